/* json_scan.h: one pass over JSON text: strict validation and the byte ranges of the asked-for paths, without allocation.
 *
 * Strict RFC 8259: valid UTF-8 (no surrogates, no overlong forms), no BOM, no NUL byte and no \u0000, lone \uD800-\uDFFF escapes refused,
 * depth at most `BW_JSON_DEPTH_MAX`, one top-level value of any type, only the four white-space bytes around it.
 * Duplicate keys are refused in those objects that a path goes through or ends in a member of: there the meaning would be
 * ambiguous. Pure function, any thread; cost target ≥ 1 GB/s on a GitHub push. */
#ifndef BW_BASE_JSON_SCAN_H
#define BW_BASE_JSON_SCAN_H
#include "base/buf.h"
#include "base/error.h"
#include <stdint.h>

#define BW_JSON_DEPTH_MAX 64
#define BW_JSON_PATHS_MAX 16

enum bw_json_type { BW_JSON_NONE, BW_JSON_NULL, BW_JSON_FALSE, BW_JSON_TRUE, BW_JSON_NUMBER, BW_JSON_STRING, BW_JSON_ARRAY, BW_JSON_OBJECT };

/* A compiled set of RFC 6901 pointers ("/a/b~1c/0"). Immutable: share it between threads. */
struct bw_json_paths;
struct bw_json_paths *bw_json_paths_new(const char *const *pointers, size_t count, struct bw_error *err); /* at most BW_JSON_PATHS_MAX */
void bw_json_paths_free(struct bw_json_paths *paths);

struct bw_json_hit { /* the raw text of the value (a string with its quotes), or type NONE */
    enum bw_json_type type;
    struct bw_slice raw;
};
struct bw_json_fault {
    const char *reason;    /* static text: "expected ',' or '}'" */
    size_t offset;         /* byte offset */
    uint32_t line, column; /* 1-based; column counts bytes */
};
/* hits: one per pointer, in their order; may be NULL if paths is NULL. False: not JSON, fault is filled (fault may be NULL). */
bool bw_json_scan(struct bw_slice text, const struct bw_json_paths *paths, struct bw_json_hit *hits, struct bw_json_fault *fault);
#endif
