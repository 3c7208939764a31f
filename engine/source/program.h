/* program.h: a scheme as the interpreter runs it: compiled from the data file for one source's options. Immutable after compilation. */
#ifndef BW_SOURCE_PROGRAM_H
#define BW_SOURCE_PROGRAM_H
#include "base/arena.h"
#include "base/json_scan.h"
#include "base/yaml.h"
#include "source/source.h"
#include <openssl/evp.h>

#define BW_LISTS_MAX 4
#define BW_REFS_MAX 16
#define BW_CANDIDATES_MAX 16 /* signatures in one request: rotation needs two or three */
#define BW_KEYS_MAX 16
#define BW_KEY_HEADERS_MAX 32

enum bw_alg { BW_ALG_NONE, BW_ALG_HMAC_SHA1, BW_ALG_HMAC_SHA256, BW_ALG_HMAC_SHA512, BW_ALG_SHA256, BW_ALG_EQUAL, BW_ALG_BASIC };
enum bw_encoding { BW_ENC_HEX, BW_ENC_BASE64, BW_ENC_BASE64URL, BW_ENC_UTF8 };
enum bw_ref_kind { BW_REF_LITERAL, BW_REF_HEADER, BW_REF_QUERY, BW_REF_JSON, BW_REF_BODY, BW_REF_URL, BW_REF_METHOD, BW_REF_SECRET, BW_REF_LIST };

struct bw_ref {
    enum bw_ref_kind kind;
    struct bw_slice name;           /* header (lower case), query or secret name, literal text, list key */
    int index;                      /* JSON: into the program's pointers; LIST: which list */
    bool is_number;                 /* JSON: a number, not a string of digits (json-number:) */
    bool is_signed;                 /* event: its bytes are among the signed ones */
    bool is_optional;               /* written with a trailing '?' */
    const struct bw_ref *otherwise; /* "a|b": when this one is not there */
};
struct bw_list_spec { /* one parser for sha256=…, t=…,v1=…, v1,… v1,… */
    struct bw_slice name, separator, equals;
    struct bw_ref from;
};
enum bw_time_unit { BW_TIME_S, BW_TIME_MS, BW_TIME_RFC3339 };
struct bw_handshake {
    struct bw_slice method;
    struct bw_ref present; /* must be there; kind LITERAL = no condition */
    struct bw_ref subject; /* must equal `expected`; LITERAL = no condition */
    struct bw_slice expected;
    bool verify_first;
    unsigned status;
    const char *type;
    struct bw_slice answer;     /* template: {ref} is replaced; JSON-escaped inside a JSON answer */
    struct bw_ref *answer_refs; /* in the order of the holes */
    size_t answer_ref_count;
};
struct bw_program {
    enum bw_alg alg;
    struct bw_slice secret; /* name of the key's secret */
    struct bw_slice strip;  /* prefix of the secret that is not key */
    enum { BW_KEY_UTF8, BW_KEY_BASE64, BW_KEY_HEX } key_decode;
    struct bw_list_spec lists[BW_LISTS_MAX];
    size_t list_count;
    struct bw_ref signature;
    enum bw_encoding encoding;
    bool any_case;
    struct bw_slice signature_prefix; /* literal text in front of the signature */
    struct bw_ref message[BW_REFS_MAX];
    size_t message_count;
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
    struct bw_slice key_headers[BW_KEY_HEADERS_MAX]; /* headers that may occur only once */
    size_t key_header_count;
    const char *pointers[BW_JSON_PATHS_MAX];
    size_t pointer_count;
    struct bw_json_paths *paths;
    struct bw_arena arena;
};

struct bw_scheme {
    char *name;
    struct bw_yaml *yaml;
    const struct bw_yaml_node *root;
    char *file;
};
/* compile.c: options are NAME=VALUE; {NAME} in the scheme's texts is replaced. event_refs and id_refs override the scheme's. NULL: every fault is in
 * errs. */
struct bw_program *bw_program_compile(const struct bw_scheme *scheme, const struct bw_source_config *config, struct bw_errors *errs);
void bw_program_free(struct bw_program *program);

/* One request while it is judged. */
struct bw_trial {
    const struct bw_program *program;
    const struct bw_source_config *config;
    const struct bw_request *request;
    struct bw_buf *scratch; /* unescaped JSON strings; slices into it as offsets are avoided: it is reserved before */
    struct bw_json_hit hits[BW_JSON_PATHS_MAX];
    bool has_json;
};
/* ref.c: false = not there. `occurrences` > 1 for a list key or header that is repeated; may be NULL. */
bool bw_ref_read(struct bw_trial *trial, const struct bw_ref *ref, struct bw_slice *out, size_t *occurrences);
size_t bw_ref_candidates(struct bw_trial *trial, const struct bw_ref *ref, struct bw_slice *out, size_t capacity); /* all values of a list key */

/* signature.c */
struct bw_keys {
    struct bw_slice bytes[BW_KEYS_MAX]; /* decoded; wiped on free */
    EVP_MAC_CTX *contexts[BW_KEYS_MAX]; /* keyed once, duplicated for each request */
    size_t count;
};
bool bw_keys_prepare(struct bw_keys *keys, const struct bw_program *program, const struct bw_source_config *config, struct bw_error *err);
void bw_keys_free(struct bw_keys *keys);
const char *bw_signature_check(struct bw_trial *trial, const struct bw_keys *keys); /* NULL = proven, else the reason */
size_t bw_signature_compute(struct bw_trial *trial, const struct bw_keys *keys, size_t key,
                            unsigned char *mac); /* bytes; 0 = a part of the message is missing */
/* freshness.c */
const char *bw_freshness_check(struct bw_trial *trial);
bool bw_time_parse(struct bw_slice text, enum bw_time_unit unit, int64_t *ms);
/* handshake.c: true when the request is a handshake: out is filled */
bool bw_handshake_answer(struct bw_trial *trial, bool is_verified, struct bw_judgement *out);
/* source.c: for sign.c */
const struct bw_program *bw_source_program(const struct bw_source *source);
const struct bw_keys *bw_source_keys(const struct bw_source *source);
#endif
