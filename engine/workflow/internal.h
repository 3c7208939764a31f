/* internal.h: what the files of this room share while one workflow is loaded. */
#ifndef BW_WORKFLOW_INTERNAL_H
#define BW_WORKFLOW_INTERNAL_H
#include "base/arena.h"
#include "base/yaml.h"
#include "workflow/model.h"

struct bw_workflow_owner { /* what bw_workflow_free() frees: the model is its first member */
    struct bw_workflow workflow;
    struct bw_arena arena;
};
struct bw_loader {
    const char *file;
    struct bw_slice text; /* the whole file, for places inside block scalars */
    struct bw_errors *errs;
    struct bw_arena *arena;
    struct bw_workflow *workflow;
    size_t expr_capacity;
};

/* report.c */
void bw_load_error(struct bw_loader *loader, struct bw_mark at, const char *code, const char *hint, const char *format, ...) __attribute__((format(printf, 5, 6)));
struct bw_mark bw_mark_of(const struct bw_yaml_node *node);
/* The place of byte `offset` of a scalar's text in the file. */
struct bw_mark bw_mark_inside(const struct bw_loader *loader, const struct bw_yaml_node *node, size_t offset);

/* expr.c */
int32_t bw_expr_add(struct bw_loader *loader, struct bw_slice source, struct bw_mark mark, bool is_condition); /* index, or -1 (reported) */
int32_t bw_expr_field(struct bw_loader *loader, const struct bw_yaml_node *node, bool is_condition);            /* ${{ … }} or bare text */
/* Behind the "}}" that closes the expression that begins at `at`; NULL when there is none. Strings and braces of Lua are respected. */
const char *bw_expr_end(const char *at, const char *end);
/* The next Lua token at or after `at` outside of strings and comments; false at the end. */
struct bw_token {
    enum { BW_TOKEN_NAME, BW_TOKEN_STRING, BW_TOKEN_OTHER } kind;
    struct bw_slice text; /* STRING: with quotes */
};
bool bw_token_next(const char **at, const char *end, struct bw_token *token);

/* template.c */
struct bw_template *bw_template_load(struct bw_loader *loader, const struct bw_yaml_node *node);

/* keys.c: what a workflow and a step may hold; the loader, its messages and the JSON Schema come from these tables. */
struct bw_load_key {
    const char *name;
    const char *schema; /* JSON Schema of the value, or NULL: a key of a later version */
    const char *doc;
};
extern const struct bw_load_key bw_workflow_keys[], bw_step_keys[], bw_trigger_keys[];
extern const size_t bw_workflow_key_count, bw_step_key_count, bw_trigger_key_count;
/* Reports every key of `map` that the table does not have. */
void bw_check_keys(struct bw_loader *loader, const struct bw_yaml_node *map, const char *where, const struct bw_load_key *keys, size_t count);

/* step.c */
void bw_steps_load(struct bw_loader *loader, const struct bw_yaml_node *list);
bool bw_is_step_id(struct bw_slice text);

/* check.c: names that expressions use */
void bw_check_references(struct bw_loader *loader);
#endif
