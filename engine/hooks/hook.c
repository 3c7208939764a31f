/* One hook: its workflow, and its program. */
#include "base/suggest.h"
#include "hooks/internal.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define HEADERS_MAX 8
#define MESSAGE_BYTES_MAX 4096

static const char *const keys[] = {"id",
                                   "execute-command",
                                   "command-working-directory",
                                   "response-message",
                                   "response-headers",
                                   "success-http-response-code",
                                   "incoming-payload-content-type",
                                   "http-methods",
                                   "include-command-output-in-response",
                                   "include-command-output-in-response-on-error",
                                   "parse-parameters-as-json",
                                   "pass-arguments-to-command",
                                   "pass-environment-to-command",
                                   "pass-file-to-command",
                                   "trigger-rule",
                                   "trigger-rule-mismatch-http-response-code",
                                   "trigger-signature-soft-failures"};

static bool is_true(const struct bw_hook *hook, const char *key)
{
    const struct bw_yaml_node *node = bw_yaml_get(hook->node, key);
    return node && node->kind == BW_YAML_BOOL && node->boolean;
}

static const char *text_of(const struct bw_hook *hook, const char *key)
{
    return bw_hook_text(hook->node, key, "");
}

static void check_keys(struct bw_hook *hook)
{
    size_t count = sizeof keys / sizeof *keys, k;
    for (size_t i = 0; i < hook->node->count; i++) {
        const struct bw_yaml_node *key = hook->node->pairs[i].key;
        for (k = 0; k < count && !bw_slice_is(key->text, keys[k]); k++) {
        }
        if (k < count) continue;
        const char *near = bw_suggest(key->text, keys, count);
        bw_hook_close(hook, key, "webhook knows no key '%s'%s%s%s", key->text.ptr, near ? ", is it " : "", near ? near : "",
                      near ? "? If not, take it out" : ": take it out");
    }
}

/* ---- the program ---- */

static bool is_program(const char *path)
{
    return access(path, X_OK) == 0;
}

/* As webhook finds it: below the hook's folder, or along PATH. malloc'd. */
static char *find_program(const char *command, const char *folder)
{
    struct bw_buf path = {0};
    const char *at = getenv("PATH");
    if (*command == '/') return strdup(command);
    if (*folder) {
        bw_buf_printf(&path, "%s/%s", folder, command);
        return bw_buf_take(&path, NULL);
    }
    while (at && *at && !strchr(command, '/')) {
        size_t len = strcspn(at, ":");
        bw_buf_clear(&path);
        bw_buf_printf(&path, "%.*s/%s", (int)len, at, command);
        if (*at == '/' && path.data && is_program(path.data)) return bw_buf_take(&path, NULL);
        at += len + (at[len] == ':');
    }
    bw_buf_free(&path);
    return strdup(command);
}

static void add_program(struct bw_hook *hook)
{
    struct bw_buf *out = &hook->state->programs;
    const char *command = text_of(hook, "execute-command"), *folder = text_of(hook, "command-working-directory");
    const struct bw_yaml_node *at = bw_yaml_get(hook->node, "execute-command");
    char *path = find_program(command, folder);
    if (bw_hooks_has_placeholder(command) || bw_hooks_has_placeholder(folder))
        bw_hook_close(hook, at, "a template is filled in within `secret` only");
    if (!*command) bw_hook_close(hook, hook->node, "execute-command is missing");
    bool is_there = path && *path == '/' && is_program(path);
    if (*command && !is_there) bw_hook_close(hook, at, "there is no program %s here", path ? path : "");
    /* What is not there would be an error of all of them: it waits for its user as a comment. */
    bw_buf_printf(out, "    %s  - name: %s\n    %s    run: [", is_there ? "" : "# ", hook->name, is_there ? "" : "# ");
    bw_hooks_append_quoted(out, bw_slice_of(path ? path : ""));
    bw_buf_append_text(out, "]\n");
    if (*folder) {
        bw_buf_printf(out, "    %s    dir: ", is_there ? "" : "# ");
        bw_hooks_append_quoted(out, bw_slice_of(folder));
        bw_buf_append_char(out, '\n');
    }
    if (hook->accepts.len) bw_buf_printf(out, "    %s    accepts: [%s]\n", is_there ? "" : "# ", hook->accepts.data);
    free(path);
}

/* ---- what it is given ---- */

static const struct bw_yaml_node *list_of(struct bw_hook *hook, const char *key)
{
    const struct bw_yaml_node *list = bw_yaml_get(hook->node, key);
    if (!list || list->kind == BW_YAML_NULL) return NULL;
    if (list->kind == BW_YAML_LIST && list->count) return list;
    if (list->kind != BW_YAML_LIST) bw_hook_close(hook, list, "%s must be a list", key);
    return NULL;
}

static void tell_lost(struct bw_hook *hook, const struct bw_yaml_node *argument, const char *why)
{
    bw_hook_close(hook, argument, "%s.%s cannot be given to the program: %s", bw_hook_text(argument, "source", "?"),
                  bw_hook_text(argument, "name", ""), why);
}

static void append_arguments(struct bw_hook *hook, struct bw_buf *out)
{
    const struct bw_yaml_node *list = list_of(hook, "pass-arguments-to-command");
    const char *why;
    if (!list) return;
    bw_buf_append_text(out, "      args:\n");
    for (size_t i = 0; i < list->count; i++) {
        bw_buf_append_text(out, "        - ");
        if (!bw_hook_append_argument(hook, out, list->items[i], "", &why)) {
            tell_lost(hook, list->items[i], why);
            bw_buf_append_text(out, "\"\"");
        }
        bw_buf_append_char(out, '\n');
    }
}

/* webhook's own name for the variable of a value that says none. */
static void make_variable(struct bw_buf *out, const struct bw_yaml_node *argument, bool is_file)
{
    const char *given = bw_hook_text(argument, "envname", ""), *name = bw_hook_text(argument, "name", "");
    bw_buf_clear(out);
    bw_buf_append_text(out, *given ? given : "HOOK_");
    for (; !*given && *name; name++) bw_buf_append_char(out, is_file ? (char)toupper((unsigned char)*name) : *name);
}

/* `env` and `files`: variables, in the order of the hook. */
static void append_variables(struct bw_hook *hook, struct bw_buf *out, const char *key, const char *input)
{
    const struct bw_yaml_node *list = list_of(hook, key);
    struct bw_buf name = {0};
    const char *why;
    json_t *seen = json_object();
    if (list) bw_buf_printf(out, "      %s:\n", input);
    for (size_t i = 0; list && i < list->count; i++) {
        make_variable(&name, list->items[i], !strcmp(input, "files"));
        if (json_object_get(seen, name.data ? name.data : "")) {
            bw_hook_close(hook, list->items[i], "there are two variables %s", name.data);
            continue;
        }
        json_object_set_new(seen, name.data ? name.data : "", json_true());
        bw_buf_append_text(out, "        ");
        bw_hooks_append_quoted(out, bw_buf_slice(&name));
        bw_buf_append_text(out, ": ");
        if (!bw_hook_append_argument(hook, out, list->items[i], NULL, &why)) {
            tell_lost(hook, list->items[i], why);
            bw_buf_append_text(out, "\"\"");
        }
        bw_buf_append_char(out, '\n');
        if (hook->accepts.len) bw_buf_append_text(&hook->accepts, ", ");
        bw_hooks_append_quoted(&hook->accepts, bw_buf_slice(&name));
    }
    json_decref(seen);
    bw_buf_free(&name);
}

/* ---- what the sender hears ---- */

static int64_t success_code(struct bw_hook *hook)
{
    const struct bw_yaml_node *code = bw_yaml_get(hook->node, "success-http-response-code");
    if (!code || code->kind != BW_YAML_INT || code->integer == 0) return 200;
    if (code->integer >= 200 && code->integer <= 299) return code->integer;
    bw_hook_note(hook, code, "what is taken is answered with 200 to 299: 200 instead of %lld", (long long)code->integer);
    return 200;
}

static const char *header_name(const struct bw_yaml_node *list, size_t i)
{
    return bw_hook_text(list->items[i], "name", "");
}

/* The last one of a name is what webhook says. */
static bool is_said_again(const struct bw_yaml_node *list, size_t i, size_t count)
{
    for (size_t later = i + 1; later < count; later++)
        if (bw_slice_is_nocase(bw_slice_of(header_name(list, i)), header_name(list, later))) return true;
    return false;
}

/* To webhook it is a text like any other; a workflow can say it as an expression only, and that not everywhere. */
static bool is_expression(const char *text)
{
    return strstr(text, "${{") != NULL;
}

static bool append_headers(struct bw_hook *hook, bool may_be_expressions, struct bw_buf *out)
{
    const struct bw_yaml_node *list = list_of(hook, "response-headers");
    if (!list) return false;
    if (list->count > HEADERS_MAX) bw_hook_note(hook, list, "only %d headers of the answer are taken over", HEADERS_MAX);
    size_t count = list->count < HEADERS_MAX ? list->count : HEADERS_MAX;
    const char *before = "headers: {";
    for (size_t i = 0; i < count; i++) {
        const char *value = bw_hook_text(list->items[i], "value", "");
        if (is_said_again(list, i, count)) continue;
        if (is_expression(header_name(list, i)) || (!may_be_expressions && is_expression(value))) {
            bw_hook_note(hook, list->items[i], "a header of the answer with ${{ in it is left out");
            continue;
        }
        if (!hook->state->options->is_header_sent(bw_slice_of(header_name(list, i)), bw_slice_of(value))) {
            bw_hook_note(hook, list->items[i], "a header of the answer that cannot be sent is left out");
            continue;
        }
        bw_buf_append_text(out, before);
        before = ", ";
        bw_hooks_append_quoted(out, bw_slice_of(header_name(list, i)));
        bw_buf_append_text(out, ": ");
        bw_hooks_append_yaml(out, bw_slice_of(value));
    }
    if (*before == ',') bw_buf_append_text(out, "}");
    return *before == ',';
}

static void append_acknowledge(struct bw_hook *hook, struct bw_buf *out)
{
    const struct bw_yaml_node *at = bw_yaml_get(hook->node, "response-message");
    const char *message = text_of(hook, "response-message");
    struct bw_buf headers = {0};
    int64_t code = success_code(hook);
    bool has_headers = append_headers(hook, false, &headers);
    if (is_expression(message)) {
        bw_hook_note(hook, at, "an answer cannot have ${{ in it: the sender gets another one");
        message = "";
    } else if (strlen(message) > MESSAGE_BYTES_MAX) {
        bw_hook_note(hook, at, "an answer has at most %d bytes: the sender gets another one", MESSAGE_BYTES_MAX);
        message = "";
    }
    bw_buf_printf(out, "    acknowledge: {status: %lld", (long long)code);
    if (has_headers) bw_buf_printf(out, ", %s", headers.data ? headers.data : "");
    if (code != 204) bw_buf_append_text(out, ", body: ");
    if (code != 204) bw_hooks_append_quoted(out, bw_slice_of(message));
    bw_buf_append_text(out, "}\n");
    bw_buf_free(&headers);
}

static void append_answer(struct bw_hook *hook, struct bw_buf *out)
{
    struct bw_buf headers = {0};
    if (!is_true(hook, "include-command-output-in-response")) return;
    bw_buf_printf(out, "  - id: answer\n    respond:\n      status: %lld\n", (long long)success_code(hook));
    if (append_headers(hook, true, &headers)) bw_buf_printf(out, "      %s\n", headers.data ? headers.data : "");
    bw_buf_append_text(out, "      body: \"${{ steps.run.stdout .. steps.run.stderr }}\"\n");
    bw_buf_free(&headers);
}

static void tell_answers(struct bw_hook *hook)
{
    const struct bw_yaml_node *mismatch = bw_yaml_get(hook->node, "trigger-rule-mismatch-http-response-code");
    const struct bw_yaml_node *on_error = bw_yaml_get(hook->node, "include-command-output-in-response-on-error");
    if (mismatch)
        bw_hook_note(hook, mismatch, "whoever is not verified gets 401 or 403; what is, and triggers nothing, the same answer as what does");
    if (is_true(hook, "include-command-output-in-response-on-error"))
        bw_hook_note(hook, on_error, "when the program fails the sender gets 500, without its output");
}

/* ---- what comes in ---- */

static void check_methods(struct bw_hook *hook)
{
    const struct bw_yaml_node *list = list_of(hook, "http-methods");
    bool has_post = !list;
    for (size_t i = 0; list && i < list->count; i++) {
        struct bw_slice method = list->items[i]->text;
        while (method.len && *method.ptr == ' ') method.ptr++, method.len--;
        has_post |= method.len >= 4 && !strncasecmp(method.ptr, "post", 4);
    }
    if (!has_post) bw_hook_close(hook, list, "nothing but POST comes in");
    if (has_post && list && list->count > 1) bw_hook_note(hook, list, "of these methods POST comes in, and no other");
}

static void check_payload(struct bw_hook *hook)
{
    const struct bw_yaml_node *type = bw_yaml_get(hook->node, "incoming-payload-content-type"), *files = list_of(hook, "pass-file-to-command");
    const struct bw_yaml_node *parsed = list_of(hook, "parse-parameters-as-json");
    const char *name = bw_hook_text(hook->node, "incoming-payload-content-type", "");
    if (*name && !strstr(name, "json")) bw_hook_close(hook, type, "the sender's own content type counts, and not '%.100s'", name);
    for (size_t i = 0; files && i < files->count; i++) {
        const struct bw_yaml_node *coded = bw_yaml_get(files->items[i], "base64decode");
        if (coded && coded->kind == BW_YAML_BOOL && coded->boolean) bw_hook_close(hook, files->items[i], "a file holds a value as it is, in base64");
    }
    for (size_t i = 0; parsed && i < parsed->count; i++)
        if (strcmp(bw_hook_text(parsed->items[i], "source", ""), "payload") != 0)
            bw_hook_close(hook, parsed->items[i], "only fields of the payload are parsed");
}

static void make_path(struct bw_hook *hook, const char *id, struct bw_buf *out)
{
    struct bw_buf path = {0};
    bool is_good = *id && !id[strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/")];
    if (!is_good) bw_hook_close(hook, hook->node, "the id '%.100s' is no part of a path", id);
    bw_buf_printf(&path, "/hooks/%s", id);
    if (is_good)
        bw_buf_append_slice(out, bw_buf_slice(&path));
    else
        bw_hooks_append_quoted(out, bw_buf_slice(&path));
    bw_buf_free(&path);
}

void bw_hook_convert(struct bw_hook *hook)
{
    struct bw_buf steps = {0}, path = {0}, door = {0}, where = {0};
    const char *id = text_of(hook, "id");
    bool answers = is_true(hook, "include-command-output-in-response");
    check_keys(hook);
    check_methods(hook);
    check_payload(hook);
    make_path(hook, id, &where);
    bw_hook_take_rule(hook, bw_yaml_get(hook->node, "trigger-rule"));
    append_arguments(hook, &steps);
    append_variables(hook, &steps, "pass-environment-to-command", "env");
    append_variables(hook, &steps, "pass-file-to-command", "files");
    add_program(hook);
    tell_answers(hook);
    if (!answers) append_acknowledge(hook, &door);

    bw_buf_printf(&path, "workflows/%s.yaml", hook->name);
    struct bw_buf *out = bw_made_add_file(&hook->state->out->made, bw_buf_take(&path, NULL), false);
    if (out) {
        bw_buf_printf(out, "# %s:%d: the hook ", hook->state->file, hook->node->line);
        bw_hooks_append_quoted(out, bw_slice_of(id));
        bw_buf_append_char(out, '\n');
        bw_buf_append_slice(out, bw_buf_slice(&hook->comments));
        bw_buf_printf(out, "name: %s\non:\n", hook->name);
        const char *begin = hook->is_closed ? "# " : "";
        if (hook->is_closed)
            bw_buf_append_text(out, "  - manual: true\n# By hand only, until what is said above is done. Then this is its trigger:\n");
        struct bw_buf trigger = {0};
        bw_buf_printf(&trigger, "  - webhook: %s\n%s    name: hook\n", where.data ? where.data : "", hook->door.data ? hook->door.data : "");
        bw_buf_append_slice(&trigger, bw_buf_slice(&door));
        if (hook->condition.len) {
            bw_buf_append_text(&trigger, "    if: ");
            bw_hooks_append_quoted(&trigger, bw_buf_slice(&hook->condition));
            bw_buf_append_char(&trigger, '\n');
        }
        for (const char *line = trigger.data; line && *line; line = strchr(line, '\n') + 1)
            bw_buf_printf(out, "%s%.*s\n", begin, (int)strcspn(line, "\n"), line);
        if (trigger.failed) out->failed = true;
        bw_buf_free(&trigger);
        if (answers) bw_buf_append_text(out, "respond: {mode: result, within: 60s}\n");
        bw_buf_printf(out, "steps:\n  - id: run\n    uses: exec/run@1\n    timeout: 24h # webhook has none\n    with:\n      program: %s\n",
                      hook->name);
        bw_buf_append_slice(out, bw_buf_slice(&steps));
        append_answer(hook, out);
        if (steps.failed || door.failed || hook->door.failed || hook->condition.failed || hook->accepts.failed || hook->comments.failed)
            out->failed = true;
    }
    bw_buf_free(&steps);
    bw_buf_free(&path);
    bw_buf_free(&door);
    bw_buf_free(&where);
}
