/* source.h: who rang? A source is one path with one scheme and its secrets; verification is a pure function of the request, the
 * secrets and the clock. No I/O, no allocation on the accept path beyond `scratch`. Immutable after creation; any thread.
 *
 * A scheme is data: verification.md section 2 (alg, key, parse, sig, msg, time, id, event, handshake, guards). The built-in ones are
 * engine/source/schemes/ (embedded); files of the user's schemes folder add to them and may not take a built-in name. */
#ifndef BW_SOURCE_SOURCE_H
#define BW_SOURCE_SOURCE_H
#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "base/json_scan.h"
#include "config/config.h"
#include <stdint.h>

struct bw_header {
    struct bw_slice name, value; /* as received */
};
struct bw_key_ring;
struct bw_learnt;
struct bw_request {              /* one request as the schemes see it; borrowed and raw */
    struct bw_slice method, url; /* url: the configured public URL (+ query), or the request target when no public_url is set */
    struct bw_slice query;       /* after '?', raw */
    const struct bw_header *headers;
    size_t header_count;
    struct bw_slice body;
    int64_t now_ms;
    struct bw_key_ring *ring; /* keys that were fetched; NULL: there are none */
    struct bw_learnt *learnt; /* secrets that senders have handed over; NULL: none has, and none may */
};

enum bw_fetch_kind { BW_FETCH_CERTIFICATE, BW_FETCH_KEY_SET };
struct bw_key_wish { /* a key that is to be fetched; slices in scratch or in the scheme */
    enum bw_fetch_kind kind;
    struct bw_slice ring_url;  /* under which the ring has it */
    struct bw_slice url, post; /* post: a body to send, or empty: GET */
    struct bw_slice name, at;  /* of the certificate; pointer of the key in the answer */
    bool chain;
};

enum bw_verdict {
    BW_VERIFIED,
    BW_REFUSED,   /* not proven: 401, `reason` for the log only */
    BW_HANDSHAKE, /* answered by the scheme itself, no event */
    BW_UNDECIDED, /* a key is to be fetched first: `wish`, and is_mine if the caller is the one who has to ask for it */
    BW_MALFORMED, /* verified, but the body is not what its content type says: 400 with line and column */
};
struct bw_judgement {
    enum bw_verdict verdict;
    const char *reason;          /* static text: "missing header", "bad signature", "stale timestamp", "duplicate header", … */
    const char *cure;            /* REFUSED: the command that lets it in, without the source's name: "bellwire sources open"; NULL: there is none */
    struct bw_slice captured;    /* HANDSHAKE: the secret that it hands over: it is answered when that is on disk; empty: none, or known already */
    const char *captured_name;   /* HANDSHAKE: what the scheme calls it */
    struct bw_json_fault fault;  /* MALFORMED */
    struct bw_key_wish wish;     /* UNDECIDED */
    bool is_mine, has_failed;    /* UNDECIDED; has_failed: lately, and nobody will ask again soon */
    struct bw_slice delivery_id; /* the dedupe id, may point into scratch; empty: no dedupe */
    struct bw_slice event;       /* name without the source's prefix ("push", "issues.opened"); never empty when verified */
    bool event_trusted;          /* the name comes from signed bytes or is fixed by configuration */
    unsigned answer_status;      /* HANDSHAKE */
    const char *answer_type;     /* HANDSHAKE: content type */
    struct bw_slice answer_body; /* HANDSHAKE, in scratch */
    struct bw_slice answer_headers; /* HANDSHAKE: name, NUL, value, NUL, and so on; in scratch */
    struct bw_slice data;           /* VERIFIED: what the event's data is: the body, or what the scheme takes out of it */
    struct bw_slice subject;        /* VERIFIED: who sends, as its signed token says (the claim sub of a JWT), a text as JSON writes it; or empty */
    struct bw_slice items;          /* VERIFIED: a JSON list whose items are the events, by bw_source_item(); empty: the request is one event */
};

struct bw_scheme; /* a loaded scheme definition */
/* The set of all schemes. One thread at a time, for reading too: a built-in scheme is read when it is asked for. */
struct bw_schemes;
struct bw_schemes *bw_schemes_load(const char *user_folder,
                                   struct bw_errors *errs); /* NULL folder = built-in only; faulty files are reported and left out */
/* Reads one from a text; `file` is for messages. One of the same name is replaced: nothing may have been made of it that still is in use. */
bool bw_schemes_put(struct bw_schemes *schemes, struct bw_slice name, const char *file, struct bw_slice text, struct bw_errors *errs);
void bw_schemes_free(struct bw_schemes *schemes);
/* NULL: there is none, or no memory for it. Valid until one of its name is put, or the set is freed. */
const struct bw_scheme *bw_schemes_find(const struct bw_schemes *schemes, const char *name);
size_t bw_schemes_count(const struct bw_schemes *schemes);
const struct bw_scheme *bw_schemes_at(const struct bw_schemes *schemes, size_t index); /* in the order of the names; NULL: no memory for it */
const char *bw_schemes_name(const struct bw_schemes *schemes, size_t index);
const char *bw_scheme_name(const struct bw_scheme *scheme);
const char *bw_scheme_doc(const struct bw_scheme *scheme);                   /* one line: what it is for */
void bw_scheme_describe(const struct bw_scheme *scheme, struct bw_buf *out); /* for people: secrets wanted, what is signed, dedupe id, event name */
/* {scheme, doc, console, algorithm, secrets: [{name, optional}], signature: [refs], lists: {NAME: ref}, signed: [refs], keys: {url, as, hosts} or {},
 * public_url: bool, fresh?: {from, past, future}, dedupe: [refs], event: [{from, trusted}], data, handshakes: [{when, status, answer, verify_first,
 * hands_over_secret}], batch?: {items, dedupe: [refs], event: [refs]}, acknowledge?: {status, body?}, accepts: [types],
 * options: {}}; secrets[].handed_over: the sender hands it over (learnt.h). New reference. */
json_t *bw_scheme_facts(const struct bw_scheme *scheme);

struct bw_source;
/* Checks that the scheme exists ("did you mean"), that every secret it wants is there, non-empty and decodable, and prepares the keys. */
struct bw_source *bw_source_new(const struct bw_source_config *config, const struct bw_schemes *schemes, struct bw_errors *errs);
void bw_source_free(struct bw_source *source);
const struct bw_acknowledge *bw_source_acknowledge(const struct bw_source *source); /* what the sender hears when its event is on disk */
const struct bw_accepts *bw_source_accepts(const struct bw_source *source);         /* the content types that are taken */
/* What the scheme calls the secret that the sender is to hand over by itself (learnt.h). NULL: none is, because the scheme has no such handshake or
 * the configuration has the secret: that one counts. */
const char *bw_source_learns(const struct bw_source *source);
/* What a 401 asks for in its WWW-Authenticate (RFC 9110, 11.6.1): some clients send credentials only then. NULL: HTTP has no name for it. */
const char *bw_source_challenge(const struct bw_source *source);
bool bw_source_names_are_signed(const struct bw_source *source);                   /* its events' names come from signed bytes, or are fixed */
const struct bw_source_config *bw_source_settings(const struct bw_source *source); /* the config given to bw_source_new, borrowed */
/* Judges one request: duplicate verification headers, signature, freshness, handshake, JSON well-formedness (JSON content types), id, event.
 * scratch is cleared first; slices in *out may point into it or into the request. */
void bw_source_judge(const struct bw_source *source, const struct bw_request *request, struct bw_buf *scratch, struct bw_judgement *out);
struct bw_item { /* an event of a batch; slices point into the item, into the request or into scratch */
    struct bw_slice data, delivery_id, event;
    bool event_trusted;
};
/* One item of a judgement's `items`, of the same request and scratch, to which it only appends. False: it is no JSON object, or names something
 * twice. */
bool bw_source_item(const struct bw_source *source, const struct bw_request *request, struct bw_slice item, struct bw_buf *scratch,
                    struct bw_item *out);
struct bw_slice bw_request_type(const struct bw_request *request); /* its content type without parameters; empty: it has none */
bool bw_request_is_json(const struct bw_request *request);         /* application/json or anything +json (RFC 9110 media type rules) */
const struct bw_header *bw_request_header(const struct bw_request *request, const char *name, size_t *occurrences);

/* Signs as the scheme's sender would (bellwire send): appends "Name: value\n" lines that carry id, timestamp, event name and signature.
 * id and event may be empty. False where the scheme cannot be signed with what the source holds. */
bool bw_source_sign(const struct bw_source *source, struct bw_slice body, struct bw_slice id, struct bw_slice event, int64_t now_ms,
                    struct bw_buf *headers, struct bw_error *err);
#endif
