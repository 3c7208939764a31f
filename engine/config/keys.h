/* keys.h: a table-driven reader of YAML maps: one table names the keys of a map with type, default and help; the reader fills fields of a struct, and
 * refuses what the table does not know ("did you mean", or "not supported by this version" for keys of the language that are still to come). */
#ifndef BW_CONFIG_KEYS_H
#define BW_CONFIG_KEYS_H
#include "base/buf.h"
#include "base/error.h"
#include "base/yaml.h"
#include <stddef.h>

enum bw_key_type {
    BW_KEY_TEXT,             /* char * (malloc'd) */
    BW_KEY_BOOL,             /* bool */
    BW_KEY_COUNT,            /* unsigned, at least min, at most max */
    BW_KEY_SIZE,             /* uint64_t bytes, at most max */
    BW_KEY_DURATION,         /* int64_t milliseconds, at least 1 */
    BW_KEY_SIZE_OR_NONE,     /* as SIZE; "none" = 0 */
    BW_KEY_DURATION_OR_NONE, /* as DURATION; "none" = 0 */
    BW_KEY_SPECIAL,          /* read by the caller */
    BW_KEY_LATER,            /* of a later version */
};
struct bw_key {
    const char *name;
    enum bw_key_type type;
    size_t offset;
    uint64_t min, max;            /* 0 = no bound */
    const char *otherwise, *help; /* texts for the reference */
};
struct bw_key_context {
    const char *file;
    struct bw_errors *errs;
    bool without_secrets; /* their values are not looked for: each is "secret-" and its name */
    /* Secrets that programs say: they are run, or have the stand-in value, or (while the engine serves) the value that they had when they were last
     * run, or are refused. */
    enum bw_programs { BW_PROGRAMS_RUN, BW_PROGRAMS_STAND_IN, BW_PROGRAMS_KNOWN, BW_PROGRAMS_REFUSED } programs;
};
void bw_key_error(const struct bw_key_context *context, const struct bw_yaml_node *at, const char *code, const char *hint, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
bool bw_key_is_expr_name(struct bw_slice text); /* expressions can name it: letters, digits and _, no digit in front */
/* Fills the fields of `target` from `map`; every fault is reported, none stops the reading. where: "sources.github", for messages. */
void bw_keys_read(const struct bw_key_context *context, const struct bw_yaml_node *map, const char *where, const struct bw_key *keys, size_t count,
                  void *target);
void bw_keys_help(struct bw_buf *out, const struct bw_key *keys, size_t count); /* a line for each, for --help */
#endif
