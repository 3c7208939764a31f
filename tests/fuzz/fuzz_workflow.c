/* workflow: any text gives workflows, or errors whose places are inside of it; `fmt` of what loads keeps each version, and has nothing to do twice.
 *
 * Input: a file. It is also read as bare YAML, whose tree must be JSON when it is written so. What loads has the same version when it is loaded
 * again, its canonical form is JSON, and its expressions stand where their places say. */
#include "base/json_scan.h"
#include "base/yaml.h"
#include "fuzz.h"
#include "places.h"
#include "workflow/format.h"
#include <ctype.h>
#include <lauxlib.h>

#define FILE_NAME "fuzz.yaml"

/* ---- places ---- */

/* An expression begins with what stands at its place: as it is, as an escape of YAML, or as !, && or ||, which are words in Lua. */
static void check_expression(struct bw_slice text, const struct bw_expr *expr)
{
    const char *at = fuzz_find_place(text, expr->mark.line, expr->mark.column);
    bool is_there = at && at < text.ptr + text.len && expr->source.len;
    fuzz_check(is_there && (tolower((unsigned char)*at) == tolower((unsigned char)*expr->source.ptr) || strchr("\\!&|", *at)), "%.*s at %d:%d",
               (int)expr->source.len, expr->source.ptr, expr->mark.line, expr->mark.column);
}

static void check_error(struct bw_slice text, const struct bw_error *err)
{
    fuzz_check_error(text, FILE_NAME, err);
    fuzz_check(strcmp(err->code, "fmt.escaped") != 0 || memchr(text.ptr, '\\', text.len), "no escape is at %d:%d", err->line, err->column);
}

static void check_errors(struct bw_slice text, const struct bw_errors *errs)
{
    for (size_t i = 0; i < errs->count; i++) check_error(text, &errs->items[i]);
}

static void check_json(struct bw_slice text, const char *what)
{
    struct bw_json_fault fault = {0};
    fuzz_check(bw_json_scan(text, NULL, NULL, &fault), "%s: %s at %zu of %.*s", what, fault.reason, fault.offset, (int)text.len, text.ptr);
}

/* ---- what is read ---- */

static bool holds_nul(const struct bw_yaml_node *node)
{
    if (node->text.len && memchr(node->text.ptr, '\0', node->text.len)) return true;
    for (size_t i = 0; i < node->count; i++) {
        if (node->kind == BW_YAML_LIST && holds_nul(node->items[i])) return true;
        if (node->kind == BW_YAML_MAP && (holds_nul(node->pairs[i].key) || holds_nul(node->pairs[i].value))) return true;
    }
    return false;
}

static void check_yaml(struct bw_slice text)
{
    struct bw_error err = {0};
    struct bw_yaml *yaml = bw_yaml_load(text, FILE_NAME, NULL, &err);
    if (!yaml) {
        check_error(text, &err);
        return;
    }
    for (size_t i = 0; i < bw_yaml_count(yaml); i++) {
        struct bw_buf json = {0};
        const struct bw_yaml_node *root = bw_yaml_root(yaml, i);
        fuzz_check(fuzz_find_place(text, root->line, root->column), "document %zu at %d:%d", i, root->line, root->column);
        bw_yaml_to_json(root, &json);
        if (!holds_nul(root)) check_json(bw_buf_slice(&json), "YAML as JSON"); /* "\0" is YAML; whoever wants JSON refuses it before */
        bw_buf_free(&json);
    }
    bw_yaml_free(yaml);
}

static void check_workflow(struct bw_slice text, const struct bw_workflow *workflow)
{
    struct bw_buf canonical = {0};
    struct bw_errors doubts = {0};
    bw_workflow_canonical(workflow, &canonical);
    check_json(bw_buf_slice(&canonical), "the canonical form");
    bw_workflow_doubts(workflow, &doubts);
    check_errors(text, &doubts);
    for (size_t i = 0; i < workflow->expr_count; i++) check_expression(text, &workflow->exprs[i]);
    for (size_t i = 0; i < workflow->step_count; i++)
        fuzz_check(fuzz_find_place(text, workflow->steps[i].mark.line, workflow->steps[i].mark.column), "step %zu at %d:%d", i,
                   workflow->steps[i].mark.line, workflow->steps[i].mark.column);
    bw_errors_free(&doubts);
    bw_buf_free(&canonical);
}

static void free_all(struct bw_workflow **workflows, size_t count)
{
    for (size_t i = 0; i < count; i++) bw_workflow_free(workflows[i]);
    free(workflows);
}

static void check_same(struct bw_slice text, struct bw_workflow *const *before, size_t count, const char *what)
{
    struct bw_workflow **again;
    struct bw_errors errs = {0};
    size_t again_count = bw_workflow_load(text, FILE_NAME, &again, &errs);
    fuzz_check(again_count == count, "%s: %zu workflows, and then %zu", what, count, again_count);
    for (size_t i = 0; i < count; i++) fuzz_check(!memcmp(before[i]->hash, again[i]->hash, sizeof before[i]->hash), "%s: another version", what);
    free_all(again, again_count);
    bw_errors_free(&errs);
}

/* Loading a workflow does not compile its expressions. */
static bool is_lua(struct bw_slice source)
{
    static lua_State *lua;
    if (!lua && !(lua = luaL_newstate())) return false;
    struct bw_buf text = {0};
    bw_buf_append_text(&text, "return ");
    bw_buf_append_slice(&text, source);
    bool good = !text.failed && luaL_loadbufferx(lua, text.data, text.len, "e", "t") == LUA_OK;
    lua_settop(lua, 0);
    bw_buf_free(&text);
    return good;
}

/* What fmt writes of an expression that is no Lua may be no YAML: it says so, and leaves the file alone. */
static void check_refusal(struct bw_slice text, struct bw_workflow *const *workflows, size_t count, const struct bw_errors *errs)
{
    bool are_lua = true;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < workflows[i]->expr_count; k++) are_lua = are_lua && is_lua(workflows[i]->exprs[k].source);
    for (size_t i = 0; i < errs->count; i++) {
        if (strcmp(errs->items[i].code, "fmt.version") != 0)
            check_error(text, &errs->items[i]);
        else
            fuzz_check(!are_lua, "%s", errs->items[i].message);
    }
}

static void check_format(struct bw_slice text, struct bw_workflow *const *workflows, size_t count)
{
    struct bw_format format, second;
    struct bw_errors errs = {0};
    if (bw_workflow_format(text, FILE_NAME, &format, &errs)) {
        for (size_t i = 0; i < format.count; i++) {
            const struct bw_format_edit *edit = &format.edits[i];
            fuzz_check(fuzz_find_place(text, edit->mark.line, edit->mark.column) == text.ptr + edit->at, "the edit at %zu is at %d:%d", edit->at,
                       edit->mark.line, edit->mark.column);
        }
        struct bw_slice formatted = fuzz_copy(bw_buf_slice(&format.text));
        check_same(formatted, workflows, count, "formatted");
        fuzz_check(bw_workflow_format(formatted, FILE_NAME, &second, &errs) && second.count == 0, "formatted twice: %zu edits", second.count);
        bw_format_free(&second);
        free((void *)formatted.ptr);
    } else {
        check_refusal(text, workflows, count, &errs);
    }
    bw_format_free(&format);
    bw_errors_free(&errs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bw_slice text = fuzz_input(data, size);
    struct bw_workflow **workflows;
    struct bw_errors errs = {0};
    check_yaml(text);
    size_t count = bw_workflow_load(text, FILE_NAME, &workflows, &errs);
    fuzz_check(count || errs.count, "neither a workflow nor an error");
    check_errors(text, &errs);
    for (size_t i = 0; i < count; i++) check_workflow(text, workflows[i]);
    if (count && !errs.count) {
        check_same(text, workflows, count, "loaded again");
        check_format(text, workflows, count);
    }
    free_all(workflows, count);
    bw_errors_free(&errs);
    return 0;
}
