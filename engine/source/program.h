/* program.h: a scheme as the interpreter runs it: compiled from the data file for one source's options. Immutable after compilation. */
#ifndef BW_SOURCE_PROGRAM_H
#define BW_SOURCE_PROGRAM_H
#include "base/arena.h"
#include "base/json_scan.h"
#include "base/yaml.h"
#include "source/key_ring.h"
#include "source/source.h"
#include <openssl/evp.h>

#define BW_LISTS_MAX 4
#define BW_REFS_MAX 16
#define BW_MESSAGES_MAX 2
#define BW_SIGNATURES_MAX 12  /* places where a signature may be */
#define BW_CANDIDATES_MAX 16  /* signatures in one request: rotation needs two or three */
#define BW_KEYS_MAX 16        /* values of one secret */
#define BW_KEY_SECRETS_MAX 2  /* secrets that are keys */
#define BW_SECRET_NAMES_MAX 8 /* all that a scheme names */
#define BW_REQUIREMENTS_MAX 8
#define BW_SENT_MAX 4
#define BW_STRIPS_MAX 4
#define BW_KEY_HEADERS_MAX 32

/* In the order of the table of algorithm.c. */
enum bw_alg {
    BW_ALG_NONE,
    BW_ALG_HMAC_SHA1,
    BW_ALG_HMAC_SHA256,
    BW_ALG_HMAC_SHA512,
    BW_ALG_SHA256,
    BW_ALG_EQUAL,
    BW_ALG_BASIC,
    BW_ALG_ED25519,
    BW_ALG_ECDSA_P256,
    BW_ALG_RSA,
    BW_ALG_JWT,
};
enum bw_family {
    BW_FAMILY_NONE,
    BW_FAMILY_HMAC,
    BW_FAMILY_HASH,
    BW_FAMILY_TOKEN,
    BW_FAMILY_BASIC,
    BW_FAMILY_PUBLIC,  /* the secret is a public key */
    BW_FAMILY_FETCHED, /* the public key is fetched */
    BW_FAMILY_JWT
};
struct bw_algorithm {
    const char *name, *digest; /* digest: OpenSSL's name, NULL = none, or built in */
    enum bw_family family;
};
const struct bw_algorithm *bw_algorithm(enum bw_alg alg);
size_t bw_algorithm_names(const char **names, size_t capacity);
bool bw_alg_signs(enum bw_alg alg); /* something is signed: not a token, not a password, not nothing */

enum bw_encoding { BW_ENC_HEX, BW_ENC_BASE64, BW_ENC_BASE64URL, BW_ENC_UTF8 };
enum bw_ref_kind {
    BW_REF_LITERAL,
    BW_REF_HEADER,
    BW_REF_QUERY,
    BW_REF_FORM,
    BW_REF_JSON,
    BW_REF_ITEM,
    BW_REF_BODY,
    BW_REF_URL,
    BW_REF_METHOD,
    BW_REF_SECRET,
    BW_REF_LIST,
    BW_REF_PART
};

struct bw_trial;
struct bw_ref;
/* A value that is computed (part.c): a hash of another one, the fields of a form in order, what one provider alone signs. */
struct bw_part {
    const char *name;
    bool takes_ref; /* it is made of the reference behind its name and a colon */
    /* Whoever signs it has signed what it is made of; every field of the form; the body; this header. */
    bool covers_ref, covers_form, covers_body;
    const char *covers_header;
    bool needs_url, signs_with_key;
    unsigned forms;  /* how many there are, each as good as the other: all are tried; 0 = one */
    unsigned growth; /* at most so many bytes of scratch for each byte of the body */
    bool (*read)(struct bw_trial *trial, const struct bw_ref *argument, unsigned form, struct bw_slice *out);
};
const struct bw_part *bw_part_find(struct bw_slice name);
size_t bw_part_names(const char **names, size_t capacity);

struct bw_ref {
    enum bw_ref_kind kind;
    struct bw_slice name;           /* header (lower case), query, form or secret name, literal text, list key */
    int index;                      /* JSON, ITEM: into the program's pointers; LIST: which list */
    bool is_number;                 /* JSON: a number, not a string of digits (json-number:) */
    bool is_signed;                 /* event: its bytes are among the signed ones */
    bool is_optional;               /* written with a trailing '?' */
    bool is_secret_key;             /* LIST: name is the secret whose value is the key */
    bool may_hold_any;              /* msg: a character of `forbid` makes nothing ambiguous here */
    const struct bw_part *part;     /* PART */
    const struct bw_ref *argument;  /* PART */
    const struct bw_ref *otherwise; /* "a|b": when this one is not there */
};
struct bw_shape {                 /* what a value must look like */
    struct bw_slice only, beyond; /* of no other characters; of one other at least; if there are any */
    size_t at_least, at_most;     /* bytes; at_most 0 = any number */
};
struct bw_requirement { /* what else must hold; not the signature */
    struct bw_ref value;
    struct bw_slice is[4]; /* one of these, if there are any */
    size_t is_count;
    struct bw_shape shape;
};
struct bw_list_spec { /* one parser for sha256=…, t=…,v1=…, v1,… v1,… */
    struct bw_slice name, separator, equals;
    struct bw_ref from;
};
enum bw_time_unit { BW_TIME_S, BW_TIME_MS, BW_TIME_RFC3339, BW_TIME_RFC1123 };
/* Text with holes: each \1 in it is the value of the next reference. */
struct bw_template {
    struct bw_slice text;
    struct bw_ref *refs;
    size_t ref_count;
    bool is_json; /* the holes are inside JSON strings */
};
#define BW_ANSWER_HEADERS_MAX 4
struct bw_handshake {
    struct bw_slice method;
    struct bw_ref present; /* must be there; kind LITERAL = no condition */
    struct bw_ref subject; /* must equal `expected`; LITERAL = no condition */
    struct bw_slice expected;
    bool expects_secret;   /* `expected` is the name of a secret */
    struct bw_shape shape; /* of the subject */
    bool verify_first;
    unsigned status;
    const char *type;
    struct bw_template answer, headers[BW_ANSWER_HEADERS_MAX];
    struct bw_slice header_names[BW_ANSWER_HEADERS_MAX];
    size_t header_count;
    struct bw_ref captured; /* the key, which it hands over; LITERAL: it does not */
};
/* Where a public key is fetched. */
struct bw_fetch_spec {
    bool is_there;
    enum bw_fetch_kind kind;
    struct bw_slice url; /* fixed; empty: url_ref */
    struct bw_ref url_ref;
    struct bw_slice hosts[8]; /* patterns; of a fixed URL its own */
    size_t host_count;
    struct bw_slice ends, name, at; /* ends: of the path; name: of the certificate; at: pointer of the key in the answer */
    bool chain;
    struct {                          /* a question instead of a GET: these as a JSON object. Each key has an answer of its own */
        struct bw_slice name, secret; /* secret empty: the id of the key */
    } post[4];
    size_t post_count;
};
struct bw_batch_spec { /* the items of a list are events of their own */
    bool is_there;
    int items;            /* pointer of the list */
    struct bw_slice type; /* content type that says so; empty: the list says so by being there */
    struct bw_ref id[BW_REFS_MAX], event[BW_REFS_MAX];
    size_t id_count, event_count;
};
struct bw_claim {
    struct bw_slice name;
    struct bw_slice expected;
    bool is_secret; /* `expected` is the name of one */
};
/* RFC 7518, 3.1, and RFC 8037: in the order of the table of algorithm.c, those with a shared secret first. */
enum bw_jwt_alg {
    BW_JWT_HS256,
    BW_JWT_HS384,
    BW_JWT_HS512,
    BW_JWT_RS256,
    BW_JWT_RS384,
    BW_JWT_RS512,
    BW_JWT_ES256,
    BW_JWT_ES384,
    BW_JWT_ES512,
    BW_JWT_EDDSA,
    BW_JWT_ALGS
};
#define BW_JWT_SHARED BW_JWT_RS256 /* so many have a shared secret */
struct bw_jwt_algorithm {
    const char *name, *digest; /* digest: OpenSSL's name, NULL = built in */
    int type;                  /* of the public key; 0: there is none */
    const char *curve;         /* the only one that its key may be on; NULL: on none */
    size_t part_bytes;         /* of each of the two numbers that an ECDSA signature is */
};
const struct bw_jwt_algorithm *bw_jwt_algorithm(enum bw_jwt_alg alg);
void bw_jwt_algorithm_names(const char *names[BW_JWT_ALGS]);
#define BW_CLAIMS_MAX 8
/* Pointers into the claims, in this order: exp, nbf, iat, the hash of the body (if there is one), those that must be something. */
enum { BW_CLAIM_EXP, BW_CLAIM_NBF, BW_CLAIM_IAT, BW_CLAIM_HASH, BW_CLAIM_OTHERS };
struct bw_jwt_spec {
    bool allowed[BW_JWT_ALGS];
    enum bw_jwt_alg signs_with; /* the first shared one that the scheme names; HS256 if there is none */
    bool has_hash, needs_exp;
    struct bw_slice hash_claim;
    enum bw_encoding hash_encoding;
    int64_t max_age_ms, leeway_ms; /* max_age: of iat; 0 = any */
    struct bw_claim claims[BW_CLAIMS_MAX];
    size_t claim_count;
    struct bw_json_paths *header_paths, *claim_paths;
};
#define BW_DIGESTS_MAX 4
struct bw_digest_spec { /* which one, when a field of the request says it */
    struct bw_ref by;   /* LITERAL: the first */
    struct bw_slice values[BW_DIGESTS_MAX];
    const char *names[BW_DIGESTS_MAX];
    size_t count;
};
struct bw_secret_name {
    struct bw_slice name;
    bool is_optional; /* the source works without it: only a handshake wants it, another one is enough, or its sender hands it over */
};
enum bw_key_decode { BW_KEY_UTF8, BW_KEY_BASE64, BW_KEY_HEX, BW_KEY_SHA1 };
struct bw_program {
    enum bw_alg alg;
    struct bw_slice key_secrets[BW_KEY_SECRETS_MAX]; /* names; of several, each is for the signature at its place */
    size_t key_secret_count;
    struct bw_secret_name secrets[BW_SECRET_NAMES_MAX]; /* all that the scheme names, those of the key first */
    size_t secret_count;
    struct bw_slice strips[BW_STRIPS_MAX]; /* prefixes of the secret that are not key: the first that is there */
    size_t strip_count;
    enum bw_key_decode key_decode, key_bare; /* key_bare: of a secret without the prefix */
    struct bw_list_spec lists[BW_LISTS_MAX];
    size_t list_count;
    struct bw_ref signatures[BW_SIGNATURES_MAX];
    size_t signature_count;
    enum bw_encoding encoding;
    bool any_case;
    bool is_repeatable;                                   /* the header of the signature may occur several times */
    bool is_paired;                                       /* the first place signs msg, the second msg_alt */
    struct bw_slice signature_prefix;                     /* literal text in front of the signature */
    struct bw_ref messages[BW_MESSAGES_MAX][BW_REFS_MAX]; /* msg, msg_alt */
    size_t message_counts[BW_MESSAGES_MAX];
    unsigned form_count; /* how many forms of the message are tried; those beyond msg_alt are forms of a part */
    struct bw_requirement requirements[BW_REQUIREMENTS_MAX];
    size_t requirement_count;
    struct bw_header sent[BW_SENT_MAX]; /* what a sender adds and nothing here reads by itself: for signing */
    size_t sent_count;
    bool tries_json;        /* a requirement may read JSON, or something else */
    bool covers_body;       /* whoever signed the request has signed what it says */
    struct bw_ref document; /* what json: reads and what the event's data is; LITERAL = the body */
    int each;               /* pointer of the array whose items are verified one by one, or -1 */
    struct bw_batch_spec batch;
    struct bw_acknowledge acknowledge; /* as the scheme says */
    struct bw_accepts accepts;
    struct bw_fetch_spec fetch;
    struct bw_jwt_spec jwt;
    struct bw_digest_spec digest;
    unsigned growth; /* of the scratch, for each byte of the body */
    bool needs_url;
    bool has_time;
    struct bw_ref time;
    enum bw_time_unit time_unit;
    int64_t past_ms, future_ms;
    struct bw_ref id[BW_REFS_MAX], event[BW_REFS_MAX];
    size_t id_count, event_count;
    struct bw_slice forbid; /* characters that no signed part of the request but body and url may hold: they would make it ambiguous */
    bool accepts_empty_body, reads_json_first, scans_before_handshake;
    struct bw_handshake *handshakes;
    size_t handshake_count;
    bool captures_key;                               /* one of them hands over the key */
    struct bw_slice key_headers[BW_KEY_HEADERS_MAX]; /* headers that may occur only once */
    size_t key_header_count;
    const char *pointers[BW_JSON_PATHS_MAX], *item_pointers[BW_JSON_PATHS_MAX];
    size_t pointer_count, item_pointer_count;
    struct bw_json_paths *paths, *item_paths;
    struct bw_arena arena;
};

struct bw_scheme {
    char *name;
    struct bw_slice built_in; /* the text of one that nobody has asked for yet: all below is NULL until then */
    struct bw_yaml *yaml;
    const struct bw_yaml_node *root, *base; /* base: of the scheme that it is like, for what it does not say itself; or NULL */
    char *file;
};
const struct bw_yaml_node *bw_scheme_node(const struct bw_scheme *scheme, const char *key);
/* compile.c: options are NAME=VALUE; {NAME} in the scheme's texts is replaced. event_refs and id_refs override the scheme's. NULL: every fault is in
 * errs. */
struct bw_program *bw_program_compile(const struct bw_scheme *scheme, const struct bw_source_config *config, struct bw_errors *errs);
void bw_program_free(struct bw_program *program);

/* One request while it is judged. */
struct bw_key;
struct bw_keys;
struct bw_trial {
    const struct bw_program *program;
    const struct bw_source_config *config;
    const struct bw_keys *keys;
    const struct bw_request *request;
    struct bw_slice document; /* what json: reads */
    struct bw_buf *scratch;   /* unescaped JSON strings and the like; it never grows while slices point into it: it is reserved before */
    struct bw_json_hit hits[BW_JSON_PATHS_MAX], item_hits[BW_JSON_PATHS_MAX];
    bool has_json, has_item;
    const struct bw_key *key; /* the one that is tried: what secret: of its name reads */
    unsigned form;            /* of the message: 0 = msg */
    struct bw_key_wish wish;  /* the key that is not there */
    enum bw_ring_state key_state;
    struct bw_slice subject; /* of a token that was believed; or empty */
    bool is_learning;        /* the key is what the sender has handed over, or is still to */
    int64_t learns_until_ms; /* so long it may hand one over */
};
/* ref.c: false = not there. `occurrences` > 1 for a list key or header that is repeated; may be NULL. */
bool bw_ref_read(struct bw_trial *trial, const struct bw_ref *ref, struct bw_slice *out, size_t *occurrences);
bool bw_shape_is_open(const struct bw_shape *shape); /* any value fits */
bool bw_shape_fits(const struct bw_shape *shape, struct bw_slice value);
size_t bw_ref_candidates(struct bw_trial *trial, const struct bw_ref *ref, struct bw_slice *out, size_t capacity); /* all values of a list key */
/* One after the other of a query's or form's pairs, as they are written; false at the end. */
bool bw_form_next(struct bw_slice *rest, struct bw_slice *name, struct bw_slice *value);
bool bw_request_is_form(const struct bw_request *request);                                   /* or of no content type at all */
bool bw_request_is_multipart(const struct bw_request *request);                              /* multipart/form-data */
bool bw_request_is_of_type(const struct bw_request *request, struct bw_slice type);          /* whatever its parameters are */
const struct bw_secret *bw_trial_secret(const struct bw_trial *trial, struct bw_slice name); /* NULL: the source does not have it */
bool bw_trial_has_room(const struct bw_trial *trial, size_t bytes);
/* What was appended to the scratch since it was `before` long. */
struct bw_slice bw_trial_since(const struct bw_trial *trial, size_t before);

/* keys.c */
struct bw_key {
    struct bw_slice bytes;                      /* decoded; wiped on free */
    size_t secret;                              /* which of the program's key_secrets */
    EVP_MAC_CTX *context;                       /* HMAC: keyed once, duplicated for each request; tokens: for what is signed here */
    EVP_MAC_CTX *token_contexts[BW_JWT_SHARED]; /* for what a token names; NULL: the scheme does not allow it */
    EVP_PKEY *public_key;
};
struct bw_keys {
    struct bw_key items[BW_KEYS_MAX * BW_KEY_SECRETS_MAX];
    size_t count;
};
/* One more key: a value of the program's secret of that index. False: it cannot be one, or there is no memory. */
bool bw_keys_add(struct bw_keys *keys, const struct bw_program *program, const struct bw_source_config *config, size_t secret, struct bw_slice value,
                 struct bw_error *err);
bool bw_keys_prepare(struct bw_keys *keys, const struct bw_program *program, const struct bw_source_config *config, struct bw_error *err);
void bw_keys_free(struct bw_keys *keys);

/* fetched.c: NULL and *key (the caller frees it), or the reason; BW_REASON_KEY: it is to be fetched, trial->wish and key_state say what and how */
extern const char BW_REASON_KEY[];
const char *bw_fetched_key(struct bw_trial *trial, struct bw_slice id, EVP_PKEY **key);
bool bw_public_key_fits(EVP_PKEY *key, const char *digest, struct bw_slice signature, struct bw_slice message);
/* jwt.c */
const char *bw_jwt_check(struct bw_trial *trial, struct bw_slice token);
/* jwt_sign.c: appends a token for this body; false: the scheme's tokens are not signed with a shared key */
bool bw_jwt_sign(const struct bw_program *program, const struct bw_keys *keys, const struct bw_source_config *config, struct bw_slice body,
                 int64_t now_ms, struct bw_buf *out);
/* signature.c */
const char *bw_signature_check(struct bw_trial *trial); /* NULL = proven, else the reason */
/* The MAC of msg (or msg_alt, by trial->form). Bytes; 0 = a part of the message is missing. */
size_t bw_signature_compute(struct bw_trial *trial, const struct bw_key *key, unsigned char *mac);
bool bw_token_equal(struct bw_slice given, struct bw_slice key); /* neither content nor length of the key shows in the time */
/* freshness.c */
const char *bw_freshness_check(struct bw_trial *trial);
bool bw_time_parse(struct bw_slice text, enum bw_time_unit unit, int64_t *ms);
/* handshake.c: true when the request is a handshake: out is filled, also when it is refused as one */
bool bw_handshake_answer(struct bw_trial *trial, bool is_verified, struct bw_judgement *out);
/* naming.c: into scratch. The id is empty when a part of it is missing; the name never is. */
struct bw_slice bw_naming_id(struct bw_trial *trial, const struct bw_ref *refs, size_t count);
struct bw_slice bw_naming_event(struct bw_trial *trial, const struct bw_ref *refs, size_t count, bool *is_trusted);
/* batch.c */
bool bw_batch_is_one(const struct bw_trial *trial); /* or should be one, by its content type */
/* source.c: for sign.c and batch.c */
const struct bw_program *bw_source_program(const struct bw_source *source);
const struct bw_keys *bw_source_keys(const struct bw_source *source);
#endif
