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
struct bw_place { /* place.c: how far the walk through a scalar has come; kept between calls, or long texts with many holes were quadratic */
    const struct bw_yaml_node *node;
    const char *at; /* in the file */
    struct bw_mark mark;
    size_t offset; /* in the node's text */
    int indent;
    char quote; /* '"', '\'' or 0 */
    bool is_folded;
};
struct bw_origin { /* an expression as the file has it: what its places are reckoned from */
    const struct bw_yaml_node *node;
    struct bw_slice raw; /* part of node->text */
};
struct bw_loader {
    const char *file;
    struct bw_slice text; /* the whole file */
    struct bw_errors *errs;
    bool has_failed; /* an error was reported: errs may be full, its count says nothing */
    struct bw_arena *arena;
    struct bw_workflow *workflow;
    struct bw_origin *origins; /* as many as workflow->exprs */
    size_t expr_capacity;
    struct bw_place place;
    const struct bw_yaml_node **needs; /* as many as workflow->steps: what is written there, or NULL */
    const struct bw_yaml_node **undos; /* the same */
};

/* load.c: as bw_workflow_load(); each document is seen when it was loaded without errors, with all that is known of its text, or when it was not. */
typedef void bw_loaded_visit(void *arg, struct bw_loader *loader);
struct bw_load_visits { /* each may be NULL */
    bw_loaded_visit *loaded;
    bw_workflow_refused *refused;
    void *arg;
};
size_t bw_load_documents(struct bw_slice text, const char *file, struct bw_workflow ***out, struct bw_errors *errs,
                         const struct bw_load_visits *visits);

/* gives.c: an expression reads that field of what the step gives. Kept in workflow->missing if that never has it. */
void bw_note_field(struct bw_loader *loader, struct bw_slice step, struct bw_slice field, struct bw_mark mark);

/* report.c */
void bw_load_error(struct bw_loader *loader, struct bw_mark at, const char *code, const char *hint, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
struct bw_mark bw_mark_of(const struct bw_yaml_node *node);
/* Says that an expression would be kept as text here; `what` names the place. True when `node` (or anything below it) holds one. */
bool bw_refuse_hole(struct bw_loader *loader, const struct bw_yaml_node *node, const char *what);
/* The text of a string that holds no expression; anything else is reported. */
struct bw_slice bw_plain_text(struct bw_loader *loader, const struct bw_yaml_node *node, const char *what);

/* place.c: the place of byte `offset` of a scalar's text in the file. */
struct bw_mark bw_mark_inside(struct bw_loader *loader, const struct bw_yaml_node *node, size_t offset);

/* expr.c: source is a part of node->text, its blank ends are left out; the index, or -1 (reported) */
int32_t bw_expr_add(struct bw_loader *loader, const struct bw_yaml_node *node, struct bw_slice source, bool is_condition);
int32_t bw_expr_field(struct bw_loader *loader, const struct bw_yaml_node *node, bool is_condition); /* ${{ … }} or bare text */
void bw_expr_unclosed(struct bw_loader *loader, const struct bw_yaml_node *node, const char *open);  /* reports the ${{ at open */
/* Behind the "}}" that closes the expression that begins at `at`; NULL when there is none. Strings, comments and braces of Lua are respected. */
const char *bw_expr_end(const char *at, const char *end);
/* The spellings that people bring from other languages, outside of strings and comments, and what Lua has for them. */
struct bw_aliases {
    const char *begin, *at, *end, *behind; /* behind: where the last one ended */
};
struct bw_alias {
    struct bw_slice text; /* part of the expression */
    char lua[8];          /* instead, with a blank where it needs one */
};
static inline struct bw_aliases bw_aliases_of(struct bw_slice source)
{
    return (struct bw_aliases){source.ptr, source.ptr, source.ptr + source.len, NULL};
}
bool bw_alias_next(struct bw_aliases *aliases, struct bw_alias *alias);
/* The next Lua token at or after `at` outside of strings and comments; false at the end. */
struct bw_token {
    enum { BW_TOKEN_NAME, BW_TOKEN_STRING, BW_TOKEN_OTHER } kind;
    struct bw_slice text; /* STRING: with quotes */
};
bool bw_token_next(const char **at, const char *end, struct bw_token *token);
/* The names that an expression gives itself: parameters and locals of its functions. Wherever they stand they count for all of it. */
#define BW_EXPR_LOCALS_MAX 64
struct bw_expr_locals {
    struct bw_slice names[BW_EXPR_LOCALS_MAX];
    size_t count; /* may be more than there is room for: then any name is taken for one */
};
void bw_expr_find_locals(const char *at, const char *end, struct bw_expr_locals *out);
bool bw_expr_is_local(const struct bw_expr_locals *locals, struct bw_slice name);

/* template.c: NULL only without memory */
struct bw_template *bw_template_load(struct bw_loader *loader, const struct bw_yaml_node *node);

/* keys.c: what a workflow and a step may hold; the loader, its messages and the JSON Schema come from these tables. */
struct bw_load_key {
    const char *name;
    const char *schema; /* JSON Schema of the value, or NULL: a key of a later version */
    const char *doc;
};
extern const struct bw_load_key bw_schema_keys[]; /* base/schema.h */
extern const size_t bw_schema_key_count;
extern const struct bw_load_key bw_wait_keys[], bw_sleep_keys[], bw_emit_keys[];
extern const size_t bw_wait_key_count, bw_sleep_key_count, bw_emit_key_count;
#define BW_ARM_KEYS 4 /* the first ones of bw_wait_keys are those of an arm */
extern const struct bw_load_key bw_limit_keys[];
extern const size_t bw_limit_key_count;
extern const struct bw_load_key bw_workflow_keys[], bw_step_keys[], bw_trigger_keys[], bw_retry_keys[], bw_defaults_keys[], bw_stop_keys[];
extern const size_t bw_workflow_key_count, bw_step_key_count, bw_trigger_key_count, bw_retry_key_count, bw_defaults_key_count, bw_stop_key_count;
/* Reports every key of `map` that the table does not have; true when one of them is of a later version. */
bool bw_check_keys(struct bw_loader *loader, const struct bw_yaml_node *map, const char *where, const struct bw_load_key *keys, size_t count);

extern const char *const bw_lua_words[]; /* no step may be called like them; ends with NULL */

/* glob.c: parts between dots, none empty; * within a part, ** only as the last part */
bool bw_is_event_glob(struct bw_slice glob);

struct bw_list_place;
/* policy.c: what a step does when it fails, and how it ends a run */
struct bw_step_defaults {
    struct bw_retry retry;
    int64_t timeout_ms; /* 0 = none */
    struct bw_step_limit limit;
};
void bw_defaults_load(struct bw_loader *loader, const struct bw_yaml_node *node, struct bw_step_defaults *out);
void bw_policy_load(struct bw_loader *loader, const struct bw_yaml_node *map, struct bw_step *step, const struct bw_step_defaults *defaults);
void bw_stop_load(struct bw_loader *loader, const struct bw_yaml_node *node, struct bw_step *step);
int64_t bw_timeout_load(struct bw_loader *loader, const struct bw_yaml_node *node); /* 0: reported */

/* limit.c */
void bw_limit_load(struct bw_loader *loader, const struct bw_yaml_node *node, struct bw_step_limit *out);

/* schedule.c */
void bw_schedule_load(struct bw_loader *loader, const struct bw_yaml_node *map, struct bw_trigger *trigger);

/* webhook.c */
extern const char *const bw_webhook_only_keys[]; /* of a trigger: those that go with `webhook` alone; ends with NULL */
void bw_webhook_load(struct bw_loader *loader, const struct bw_yaml_node *map, struct bw_trigger *trigger);

/* foreach.c */
bool bw_foreach_load(struct bw_loader *loader, const struct bw_yaml_node *map, struct bw_step *step, const struct bw_list_place *place);
void bw_inputs_load(struct bw_loader *loader, const struct bw_yaml_node *map);

extern const struct bw_load_key bw_repeat_keys[];
extern const size_t bw_repeat_key_count;
/* concurrency.c */
extern const struct bw_load_key bw_concurrency_keys[];
extern const size_t bw_concurrency_key_count;
uint32_t bw_load_number(struct bw_loader *loader, const struct bw_yaml_node *node, const char *code, const char *key, int64_t least, int64_t most,
                        uint32_t otherwise); /* node NULL: otherwise */
/* Its place among the words; 0, the first one, without a node, and when it is none of them (reported). */
size_t bw_load_word(struct bw_loader *loader, const struct bw_yaml_node *node, const char *code, const char *key, const char *const *words,
                    size_t count);
struct bw_template *bw_expr_template(struct bw_loader *loader, const struct bw_yaml_node *node); /* ${{ … }} or bare text; NULL: reported */
void bw_concurrency_load(struct bw_loader *loader, const struct bw_yaml_node *map);

/* about.c */
extern const struct bw_load_key bw_retention_keys[];
extern const size_t bw_retention_key_count;
#define BW_AGE_SCHEMA "{\"type\":\"string\",\"pattern\":\"^(none|(?=[0-9])([0-9]+d)?([0-9]+h)?([0-9]+m(?!s))?([0-9]+s)?([0-9]+ms)?)$\"}"
void bw_labels_load(struct bw_loader *loader, const struct bw_yaml_node *map);
void bw_retention_load(struct bw_loader *loader, const struct bw_yaml_node *map);
void bw_pool_load(struct bw_loader *loader, const struct bw_yaml_node *node);

/* expose.c: behind `name` and `description` */
extern const struct bw_load_key bw_expose_keys[], bw_tool_keys[];
extern const size_t bw_expose_key_count, bw_tool_key_count;
void bw_expose_load(struct bw_loader *loader, const struct bw_yaml_node *node);

/* collect.c */
extern const struct bw_load_key bw_collect_keys[];
extern const size_t bw_collect_key_count;
void bw_collect_load(struct bw_loader *loader, const struct bw_yaml_node *map);
void bw_collect_check(struct bw_loader *loader, const struct bw_yaml_node *respond); /* behind `respond` */

/* admission.c */
extern const struct bw_load_key bw_rate_keys[];
extern const size_t bw_rate_key_count;
void bw_rate_load(struct bw_loader *loader, const struct bw_yaml_node *map);
void bw_priority_load(struct bw_loader *loader, const struct bw_yaml_node *node); /* behind `concurrency` */
void bw_delay_load(struct bw_loader *loader, const struct bw_yaml_node *node);
void bw_start_within_load(struct bw_loader *loader, const struct bw_yaml_node *node); /* behind `delay` */

/* emit.c */
void bw_emit_load(struct bw_loader *loader, const struct bw_yaml_node *node, struct bw_step *step);

/* respond.c */
extern const struct bw_load_key bw_respond_mode_keys[], bw_respond_keys[]; /* of the workflow; of a step */
extern const size_t bw_respond_mode_key_count, bw_respond_key_count;
void bw_respond_mode_load(struct bw_loader *loader, const struct bw_yaml_node *node); /* before the steps */
void bw_respond_load(struct bw_loader *loader, const struct bw_yaml_node *node, struct bw_step *step);

/* wait.c: steps that wait for time or for an event */
void bw_sleep_load(struct bw_loader *loader, const struct bw_yaml_node *node, struct bw_step *step);
void bw_wait_load(struct bw_loader *loader, const struct bw_yaml_node *node, struct bw_step *step);
void bw_run_timeout_load(struct bw_loader *loader, const struct bw_yaml_node *node);
void bw_cancel_on_load(struct bw_loader *loader, const struct bw_yaml_node *list, struct bw_step *step);
void bw_waits_check(struct bw_loader *loader); /* none may be longer than the run */

int64_t bw_wait_duration(struct bw_loader *loader, const struct bw_yaml_node *node, const char *code, const char *what); /* 0: reported */

/* approve.c: steps that wait for a person */
extern const struct bw_load_key bw_approve_keys[];
extern const size_t bw_approve_key_count;
extern const char *const bw_notify_keys[], *const bw_notify_verbs[]; /* of a `notify`; each ends with NULL */
void bw_approve_load(struct bw_loader *loader, const struct bw_yaml_node *map, struct bw_step *step);
const struct bw_yaml_node *bw_notify_of(const struct bw_yaml_node *map); /* of a step's map; NULL: it has none */
/* The step that notifies, in front of the one that this map is. */
void bw_notify_load(struct bw_loader *loader, const struct bw_yaml_node *map, const struct bw_list_place *place);

/* step.c: all steps of the workflow, with what they need */
bool bw_is_workflow_name(struct bw_slice text);
void bw_steps_load(struct bw_loader *loader, const struct bw_yaml_node *root, const struct bw_step_defaults *defaults); /* and the endings */

/* block.c */
struct bw_list_place { /* of a list of steps */
    int32_t parent;
    uint32_t branch;
    int depth;
    const struct bw_step_defaults *defaults;
    const char *path; /* of an `undo`: it has no id. Else NULL */
    bool is_caught;   /* of a step with `catch`: what it needs, its TRY needs */
};
size_t bw_block_count_steps(const struct bw_yaml_node *list); /* blocks and what is in them */
void bw_list_load(struct bw_loader *loader, const struct bw_yaml_node *list, const char *what, const struct bw_list_place *place);
/* Loads what the block holds. False: the map is no block, `kind` is untouched. */
bool bw_block_load(struct bw_loader *loader, const struct bw_yaml_node *map, struct bw_step *step, const struct bw_list_place *place);
void bw_step_load(struct bw_loader *loader, const struct bw_yaml_node *map, const struct bw_list_place *place); /* step.c */
bool bw_is_expr_name(struct bw_slice text); /* step.c: what a step or an item may be called: a-z, 0-9, _, no word of Lua */

#define BW_ENDING_STEPS 5 /* at most: mark, undo, on_failure, finally, and that of cancel_on */
/* endings.c: what a step's failure and the end of all steps lead to: `catch`, `undo`, `undo_on`, `on_failure`, `finally` */
extern const struct bw_load_key bw_catch_keys[];
extern const size_t bw_catch_key_count;
extern const char *const bw_undo_keys[], *const bw_undo_verbs[];                                               /* of an `undo`; each ends with NULL */
void bw_try_load(struct bw_loader *loader, const struct bw_yaml_node *map, const struct bw_list_place *place); /* a step that has `catch` */
/* Behind the steps from `first` on, which one run executes: their `undo` steps. */
struct bw_endings bw_undos_load(struct bw_loader *loader, size_t first, const struct bw_list_place *place);
void bw_endings_load(struct bw_loader *loader, const struct bw_yaml_node *root, const struct bw_step_defaults *defaults);
/* The UNDO, ON_FAILURE or FINALLY that it stands in, or -1. */
int32_t bw_step_ending(const struct bw_workflow *workflow, size_t step);
/* May `step` read the outputs of `other` there? Who follows when all has ended may read what came before, ended or not. */
bool bw_ending_reads(const struct bw_workflow *workflow, size_t step, size_t other);
bool bw_step_sees_error(const struct bw_workflow *workflow, size_t step);
struct bw_step *bw_step_new(struct bw_loader *loader, struct bw_mark mark, const struct bw_list_place *place); /* step.c */

/* needs.c: what each step waits for, from `needs` and from the order of the file; cycles are reported. */
void bw_needs_load(struct bw_loader *loader);
/* marks[i] = has step i ended for certain when `step` begins? marks has room for all steps of the workflow. */
void bw_needs_closure(const struct bw_workflow *workflow, size_t step, bool *marks);

/* check.c: names that expressions use */
void bw_check_references(struct bw_loader *loader);
#endif
