/* hooks: any hooks of webhook's become an instance that loads, or are an error whose place is inside of the text.
 *
 * Input: a byte (odd: the rest is a template), and hooks.json or hooks.yaml. Every file of the instance stands in its folder, its configuration and
 * its workflows load, expressions are Lua, and whatever is left to be done has a note. */
#include "config/config.h"
#include "fuzz.h"
#include "hooks/hooks.h"
#include "places.h"
#include "workflow/model.h"
#include <lauxlib.h>

#define FILE_NAME "fuzz.yaml"

static bool is_header_kept(struct bw_slice name)
{
    return name.len != 8;
}

static void check_expression(struct bw_slice source)
{
    static lua_State *lua;
    struct bw_buf text = {0};
    if (!lua && !(lua = luaL_newstate())) abort();
    bw_buf_append_text(&text, "return ");
    bw_buf_append_slice(&text, source);
    fuzz_check(luaL_loadbufferx(lua, text.data, text.len, "e", "t") == LUA_OK, "%s", text.data);
    lua_settop(lua, 0);
    bw_buf_free(&text);
}

static void check_workflow(const struct bw_made_file *file)
{
    struct bw_workflow **workflows;
    struct bw_errors errs = {0};
    char text[1400];
    size_t count = bw_workflow_load(bw_buf_slice(&file->text), file->path, &workflows, &errs);
    fuzz_check(count == 1 && !errs.count, "%s: %s\n%s", file->path, errs.count ? bw_error_text(&errs.items[0], text, sizeof text) : "",
               file->text.data);
    for (size_t i = 0; i < workflows[0]->expr_count; i++) check_expression(workflows[0]->exprs[i].source);
    for (size_t i = 0; i < count; i++) bw_workflow_free(workflows[i]);
    free(workflows);
    bw_errors_free(&errs);
}

static void check_config(const struct bw_made_file *file)
{
    struct bw_errors errs = {0};
    char text[1400];
    struct bw_config *config = bw_config_parse(file->path, bw_buf_slice(&file->text), &errs);
    fuzz_check(config, "%s\n%s", errs.count ? bw_error_text(&errs.items[0], text, sizeof text) : "", file->text.data);
    bw_config_free(config);
    bw_errors_free(&errs);
}

static bool is_below(const char *path, const char *folder)
{
    size_t len = strlen(folder);
    return !strncmp(path, folder, len) && path[len] && !strchr(path + len, '/');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct bw_hooks_options options = {
        .is_header_kept = is_header_kept, .is_header_sent = bw_acknowledge_can_have, .is_template = size && data[0] & 1};
    struct bw_slice text = size ? fuzz_input(data + 1, size - 1) : fuzz_input(data, 0);
    struct bw_hooks made;
    struct bw_error err = {0};
    if (!bw_hooks_convert(text, FILE_NAME, &options, &made, &err)) {
        if (strcmp(err.code, "hooks.template") != 0 || options.is_template) fuzz_check_error(text, FILE_NAME, &err);
        return 0;
    }
    fuzz_check(made.hook_count && made.closed_count <= made.made.note_count, "%zu hooks, %zu closed, %zu notes", made.hook_count, made.closed_count,
               made.made.note_count);
    for (size_t i = 0; i < made.made.file_count; i++) {
        const char *path = made.made.files[i].path;
        bool is_workflow = is_below(path, "workflows/");
        fuzz_check(i ? is_workflow || is_below(path, "secrets/") || is_below(path, "schemes/") : !strcmp(path, "bellwire.yaml"), "%s", path);
        fuzz_check(made.made.files[i].is_secret == is_below(path, "secrets/"), "%s", path);
        if (is_workflow) check_workflow(&made.made.files[i]);
        if (i == 0) check_config(&made.made.files[i]);
    }
    for (size_t i = 0; i < made.made.note_count; i++)
        fuzz_check(!strncmp(made.made.notes[i], FILE_NAME ":", sizeof FILE_NAME), "%s", made.made.notes[i]);
    bw_hooks_free(&made);
    return 0;
}
