/* yaml.h: YAML text → a tree of nodes that know their place. The only door to libyaml.
 *
 * YAML 1.2 core schema: true/false, null/~/empty, integers (decimal, 0o, 0x; 012 is 12) and floats are typed when plain; everything
 * quoted and everything else (on, no, off, yes, 1_000, dates) is a string. What JSON cannot carry (.inf, .nan, integers beyond 64 bits)
 * is refused, so that no number changes silently. Keys are strings by their text: `on:`, `true:` and `1:` are "on", "true" and "1".
 * Anchors, aliases, tags, merge keys, duplicate and complex keys are refused. Limits are checked while parsing (libyaml is quadratic in
 * flow depth). Codes: yaml.too_large .encoding .character .syntax .too_deep .too_many_nodes .number .key .duplicate_key .anchor .alias
 * .tag .merge, and no_memory.
 * A document owns its nodes; they die with bw_yaml_free(). One thread. */
#ifndef BW_BASE_YAML_H
#define BW_BASE_YAML_H
#include "base/buf.h"
#include "base/error.h"
#include <stdint.h>

enum bw_yaml_kind { BW_YAML_NULL, BW_YAML_BOOL, BW_YAML_INT, BW_YAML_REAL, BW_YAML_STRING, BW_YAML_LIST, BW_YAML_MAP };
struct bw_yaml_node {
    enum bw_yaml_kind kind;
    bool plain;           /* scalar without quotes or block indicator */
    bool block;           /* literal or folded block scalar; text then begins on the line after line/column */
    int line, column;     /* 1-based place of the value */
    struct bw_slice text; /* scalars: the text as written, unquoted and unescaped; NUL-terminated behind len */
    union {
        bool boolean;
        int64_t integer;
        double real;
    };
    /* LIST: items[0..count); MAP: pairs[0..count) in file order */
    size_t count;
    union {
        struct bw_yaml_node **items;
        struct bw_yaml_pair *pairs;
    };
};
struct bw_yaml_pair {
    struct bw_yaml_node *key; /* kind STRING */
    struct bw_yaml_node *value;
};
struct bw_yaml_limits {
    size_t bytes, depth, nodes; /* 0 = default: 256 KiB, 64, 10,000 */
};
struct bw_yaml;
/* All documents of one text. The first error ends the load: NULL, with code yaml.* and file:line:column.
 * `file` is copied, only for messages. An empty text is one document whose root is a NULL node. */
struct bw_yaml *bw_yaml_load(struct bw_slice text, const char *file, const struct bw_yaml_limits *limits, struct bw_error *err);
void bw_yaml_free(struct bw_yaml *yaml);
const char *bw_yaml_file(const struct bw_yaml *yaml);
size_t bw_yaml_count(const struct bw_yaml *yaml);
const struct bw_yaml_node *bw_yaml_root(const struct bw_yaml *yaml, size_t document);
const struct bw_yaml_node *bw_yaml_get(const struct bw_yaml_node *map, const char *key); /* NULL = absent or no map */
/* Bytes of the line break at `at`, 0 if there is none. Lines are counted by LF, CR, CR LF and by what YAML 1.1 has besides: NEL, LS and PS. */
size_t bw_yaml_break(const char *at, const char *end);
const char *bw_yaml_kind_name(enum bw_yaml_kind kind);                     /* "a list", "a string", … for messages */
void bw_yaml_to_json(const struct bw_yaml_node *node, struct bw_buf *out); /* compact JSON text, keys in file order */
#endif
