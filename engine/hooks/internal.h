/* What the files of this room share. */
#ifndef BW_HOOKS_INTERNAL_H
#define BW_HOOKS_INTERNAL_H
#include "base/json.h"
#include "base/yaml.h"
#include "hooks/hooks.h"

struct bw_hooks_state {
    const struct bw_hooks_options *options;
    const char *file;
    struct bw_hooks *out;
    json_t *names;          /* that are taken */
    struct bw_buf programs; /* the entries of configure.exec.programs */
};
/* One hook on its way. */
struct bw_hook {
    struct bw_hooks_state *state;
    const struct bw_yaml_node *node;
    char *name; /* of the workflow and of the program */
    struct bw_buf comments;
    bool is_closed;          /* something of it cannot be taken over: it gets no path */
    struct bw_buf door;      /* the trigger's keys behind `webhook`, a line each */
    struct bw_buf condition; /* an expression; empty: none */
    struct bw_buf accepts;   /* names of variables, as a YAML list without brackets */
};

/* hooks.c */
void bw_hooks_note(struct bw_hooks_state *state, const struct bw_yaml_node *at, const char *format, ...) __attribute__((format(printf, 3, 4)));
void bw_hook_note(struct bw_hook *hook, const struct bw_yaml_node *at, const char *format, ...) __attribute__((format(printf, 3, 4)));
void bw_hook_close(struct bw_hook *hook, const struct bw_yaml_node *at, const char *format, ...) __attribute__((format(printf, 3, 4)));
const char *bw_hook_text(const struct bw_yaml_node *map, const char *key, const char *otherwise); /* of a scalar */

/* placeholder.c: what webhook fills in when it is started with -template */
/* The same text with a mark of the same length for each {{ getenv "A" }}, {{ cat "F" }} and {{ credential "C" }}. False: err has another one. */
bool bw_hooks_mark_placeholders(struct bw_slice text, const char *file, struct bw_buf *out, struct bw_error *err);
/* Is all of the text one mark? Then `{env: A}` or `{file: F}` is appended. */
bool bw_hooks_looks_like_template(struct bw_slice text);
bool bw_hooks_append_placeholder(struct bw_buf *out, const char *text);
bool bw_hooks_has_placeholder(const char *text);

/* value.c: where a value of a request is in a workflow */
/* An expression that is nil where the request has no such value. False: there is none, and `why` says what it is about. */
bool bw_hook_append_value(struct bw_hook *hook, struct bw_buf *out, const struct bw_yaml_node *argument, const char **why);
/* The same as a text of YAML, for `with`. otherwise: what stands for a missing value; NULL: its key is left out then. */
bool bw_hook_append_argument(struct bw_hook *hook, struct bw_buf *out, const struct bw_yaml_node *argument, const char *otherwise, const char **why);
void bw_hooks_append_lua(struct bw_buf *out, struct bw_slice text); /* 'text', with nothing in it that would end an expression */
/* The bytes of the next character; is_plain: a YAML text may hold it as it is, on one line. */
size_t bw_hooks_character(struct bw_slice text, bool *is_plain);
void bw_hooks_append_quoted(struct bw_buf *out, struct bw_slice text); /* "text", in double quotes of YAML */
void bw_hooks_append_yaml(struct bw_buf *out, struct bw_slice text);   /* "text", with nothing in it that would begin an expression */

/* regex.c: a regular expression of Go's as an expression that is true where `value` (an expression) holds it. False: there is no such pattern. */
bool bw_hooks_append_regex(struct bw_buf *out, const char *value, const char *regex);

/* rule.c: trigger-rule → the hook's door and its condition; closes it where that cannot be said. */
void bw_hook_take_rule(struct bw_hook *hook, const struct bw_yaml_node *rule);
/* hook.c: the hook's file, and its entry in bellwire.yaml. */
void bw_hook_convert(struct bw_hook *hook);
#endif
