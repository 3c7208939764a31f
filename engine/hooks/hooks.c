#include "hooks/hooks.h"
#include "hooks/internal.h"
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_BYTES_MAX (4u << 20)
#define NODES_MAX 400000
#define NAME_MAX_BYTES 60

/* ---- notes ---- */

void bw_hooks_note(struct bw_hooks_state *state, const struct bw_yaml_node *at, const char *format, ...)
{
    char text[700];
    struct bw_buf note = {0};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    bw_buf_printf(&note, "%s:%d:%d: %s", state->file, at ? at->line : 1, at ? at->column : 1, text);
    if (note.failed)
        state->out->made.has_failed = true;
    else
        bw_made_add_note(&state->out->made, note.data);
    bw_buf_free(&note);
}

__attribute__((format(printf, 3, 0))) static void note(struct bw_hook *hook, const struct bw_yaml_node *at, const char *format, va_list arguments)
{
    char text[600];
    vsnprintf(text, sizeof text, format, arguments);
    for (char *next = text; *next;) { /* it stands on one line of a comment */
        bool is_plain;
        size_t len = bw_hooks_character(bw_slice_of(next), &is_plain);
        if (!is_plain) memset(next, ' ', len);
        next += len;
    }
    bw_hooks_note(hook->state, at, "%s: %s", hook->name, text);
    bw_buf_printf(&hook->comments, "# %s:%d:%d: %s\n", hook->state->file, at ? at->line : 1, at ? at->column : 1, text);
}

void bw_hook_note(struct bw_hook *hook, const struct bw_yaml_node *at, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    note(hook, at ? at : hook->node, format, arguments);
    va_end(arguments);
}

void bw_hook_close(struct bw_hook *hook, const struct bw_yaml_node *at, const char *format, ...)
{
    va_list arguments;
    hook->is_closed = true;
    va_start(arguments, format);
    note(hook, at ? at : hook->node, format, arguments);
    va_end(arguments);
}

const char *bw_hook_text(const struct bw_yaml_node *map, const char *key, const char *otherwise)
{
    const struct bw_yaml_node *node = map ? bw_yaml_get(map, key) : NULL;
    bool is_scalar = node && node->kind != BW_YAML_LIST && node->kind != BW_YAML_MAP && node->kind != BW_YAML_NULL;
    return is_scalar ? node->text.ptr : otherwise;
}

/* ---- all of them ---- */

/* "Redeploy My_App" → "redeploy-my-app"; another one of that name gets a number. malloc'd. */
static char *make_name(struct bw_hooks_state *state, const char *id)
{
    struct bw_buf name = {0};
    if (!isalpha((unsigned char)*id)) bw_buf_append_text(&name, "hook-");
    for (; *id && name.len < NAME_MAX_BYTES; id++) {
        unsigned char c = (unsigned char)*id;
        bool is_plain = isascii(c) && isalnum(c);
        if (is_plain)
            bw_buf_append_char(&name, (char)tolower(c));
        else if (name.len && name.data[name.len - 1] != '-')
            bw_buf_append_char(&name, '-');
    }
    while (name.len && name.data[name.len - 1] == '-') name.data[--name.len] = '\0';
    struct bw_slice made = bw_buf_slice(&name);
    bool is_word = bw_slice_is(made, "true") || bw_slice_is(made, "false") || bw_slice_is(made, "null"); /* of YAML */
    if (!name.len || is_word) {
        bw_buf_clear(&name);
        bw_buf_append_text(&name, "hook");
    }
    size_t len = name.len;
    for (int number = 2; name.data && json_object_get(state->names, name.data); number++) {
        name.data[name.len = len] = '\0';
        bw_buf_printf(&name, "-%d", number);
    }
    if (name.data) json_object_set_new(state->names, name.data, json_true());
    return bw_buf_take(&name, NULL);
}

static bool take_hook(struct bw_hooks_state *state, const struct bw_yaml_node *node, struct bw_error *err)
{
    struct bw_hook hook = {.state = state, .node = node};
    if (node->kind != BW_YAML_MAP) {
        bw_error_set(err, "hooks.type", "a hook must be a map, found %s", bw_yaml_kind_name(node->kind));
        bw_error_at(err, state->file, node->line, node->column);
        return false;
    }
    if (!(hook.name = make_name(state, bw_hook_text(node, "id", "")))) return bw_error_set(err, "memory", "out of memory");
    bw_hook_convert(&hook);
    state->out->hook_count++;
    state->out->closed_count += hook.is_closed;
    free(hook.name);
    bw_buf_free(&hook.comments);
    bw_buf_free(&hook.door);
    bw_buf_free(&hook.condition);
    bw_buf_free(&hook.accepts);
    return true;
}

static void write_config(const struct bw_hooks_state *state, struct bw_buf *out)
{
    bw_buf_printf(out,
                  "# Made of %s by  bellwire import webhook.\n"
                  "# webhook listens on 0.0.0.0:9000. Here it would be, behind a proxy that speaks https:\n"
                  "#   listen: [http://0.0.0.0:9000]\n#   allow_plaintext: true\n"
                  "configure:\n  exec:\n"
                  "    # As free as they were. What they need is better said: see the README of the exec plugin.\n"
                  "    files: [/]\n    network: true\n    unix: true\n    programs:\n",
                  state->file);
    bw_buf_append_slice(out, bw_buf_slice(&state->programs));
    if (!strstr(state->programs.data ? state->programs.data : "", "\n      - name") &&
        strncmp(state->programs.data ? state->programs.data : "", "      - name", 12) != 0)
        bw_buf_append_text(out, "      []\n");
}

static bool take_all(struct bw_hooks_state *state, const struct bw_yaml_node *root, struct bw_error *err)
{
    if (root->kind != BW_YAML_LIST || !root->count) {
        bw_error_set(err, "hooks.type", "hooks are a list with at least one of them, found %s",
                     root->kind == BW_YAML_LIST ? "none" : bw_yaml_kind_name(root->kind));
        bw_error_at(err, state->file, root->line, root->column);
        return false;
    }
    if (!bw_made_add_file(&state->out->made, strdup("bellwire.yaml"), false)) return bw_error_set(err, "memory", "out of memory");
    for (size_t i = 0; i < root->count; i++)
        if (!take_hook(state, root->items[i], err)) return false;
    write_config(state, &state->out->made.files[0].text);
    return (!state->programs.failed && bw_made_is_whole(&state->out->made)) || bw_error_set(err, "memory", "out of memory");
}

static bool mark(struct bw_slice text, const char *file, bool is_template, struct bw_buf *out, struct bw_error *err)
{
    if (is_template) return bw_hooks_mark_placeholders(text, file, out, err);
    bw_buf_append_slice(out, text);
    if (!bw_hooks_looks_like_template(text)) return true;
    bw_error_set(err, "hooks.template", "this is a template: its secrets would be taken for what stands in its place");
    bw_error_hint(err, "import it with --template");
    bw_error_at(err, file, 0, 0);
    return false;
}

bool bw_hooks_convert(struct bw_slice text, const char *file, const struct bw_hooks_options *options, struct bw_hooks *out, struct bw_error *err)
{
    const struct bw_yaml_limits limits = {.bytes = FILE_BYTES_MAX, .nodes = NODES_MAX};
    struct bw_hooks_state state = {.options = options, .file = file, .out = out, .names = json_object()};
    struct bw_buf marked = {0};
    struct bw_yaml *yaml = NULL;
    *out = (struct bw_hooks){0};
    bool good = state.names || bw_error_set(err, "memory", "out of memory");
    good = good && mark(text, file, options->is_template, &marked, err) && (yaml = bw_yaml_load(bw_buf_slice(&marked), file, &limits, err)) &&
           take_all(&state, bw_yaml_root(yaml, 0), err);
    bw_yaml_free(yaml);
    bw_buf_free(&marked);
    bw_buf_free(&state.programs);
    json_decref(state.names);
    if (!good) bw_hooks_free(out);
    return good;
}

void bw_hooks_free(struct bw_hooks *out)
{
    bw_made_free(&out->made);
    *out = (struct bw_hooks){0};
}
