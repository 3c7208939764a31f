/* config.h: configure: {exec: …}: the programs that may be run, and how. Read once, then constant. */
#ifndef EXEC_CONFIG_H
#define EXEC_CONFIG_H
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct exec_program {                 /* texts belong to the configuration */
    const char *name, *path, *folder; /* folder NULL: the root */
    const json_t *first;              /* what it is given before the arguments of a step: texts, its own path the first of them */
    const json_t *environment;        /* name to text; NULL: none */
    const json_t *secrets;            /* [{name, value: {secret}}]; NULL: none */
    const json_t *accepts;            /* names of variables that a step may set; NULL: none */
};
struct exec_config {
    json_t *json; /* owns the texts */
    struct exec_program *programs;
    size_t count, at_once, output_bytes;
    int grace_ms;
};
/* False: reason says what is wrong, and the cure. */
bool exec_config_read(struct exec_config *config, const char *text, char *reason, size_t size);
void exec_config_free(struct exec_config *config);
/* NULL: it is none of those; known: their names, for people. */
const struct exec_program *exec_config_find(const struct exec_config *config, const char *name, char *known, size_t size);
/* Is this a name that an environment may have? */
bool exec_is_variable(const char *name);
#endif
