/* yaml_parts.h: the parts of the YAML loader that know nothing of libyaml. Only for yaml*.c. Pure functions, any thread. */
#ifndef BW_BASE_YAML_PARTS_H
#define BW_BASE_YAML_PARTS_H
#include "base/yaml.h"

struct bw_yaml_place { /* 1-based; columns count characters */
    int line, column;
};
/* The bytes must be UTF-8 and hold only characters that YAML allows (spec 1.2.2, 5.1). Codes yaml.encoding, yaml.character; err gets line and column.
 * end: the place behind the last character. */
bool bw_yaml_check_bytes(struct bw_slice text, struct bw_yaml_place *end, struct bw_error *err);

/* Gives a plain scalar its kind and value by the core schema (spec 1.2.2, 10.3.2). Refuses (yaml.number) what has no JSON value: .inf, .nan,
 * integers beyond 64 bits, reals beyond a double. */
bool bw_yaml_resolve_plain(struct bw_yaml_node *node, struct bw_error *err);

/* The text of a line (1-based, without its break), empty if there is none. */
struct bw_slice bw_yaml_line(struct bw_slice text, int line);
/* Adds the next step to a syntax error of libyaml whose place is already in err: tabs, unquoted ${{ }}, reserved characters, … */
void bw_yaml_hint_syntax(struct bw_slice text, struct bw_error *err);
#endif
