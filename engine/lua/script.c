#include "lua/script.h"
#include "lua/internal.h"
#include <stdlib.h>
#include <string.h>

struct compilation {
    struct bw_script *script;
    struct bw_errors *errs;
};

static void compile_error(struct compilation *compilation, const struct bw_code_place *place, const char *code)
{
    struct bw_error err;
    bw_lua_error(compilation->script, compilation->script->L, LUA_ERRSYNTAX, place, code, &err);
    bw_errors_push(compilation->errs, &err);
}

/* Text in, function in the registry out; the first upvalue is its environment. */
static int compile(lua_State *L, const char *prefix, struct bw_slice source, const char *chunk_name)
{
    /* A line break ends a comment at the end of the source; without one, "near <eof>" stays on the source's last line. */
    const char *suffix = memmem(source.ptr, source.len, "--", 2) ? "\n" : "";
    struct bw_buf text = {0};
    bw_buf_append_text(&text, prefix);
    bw_buf_append_slice(&text, source);
    bw_buf_append_text(&text, suffix);
    int status = text.failed ? LUA_ERRMEM : luaL_loadbufferx(L, text.data, text.len, chunk_name, "t");
    if (text.failed) lua_pushliteral(L, "out of memory");
    bw_buf_free(&text);
    return status;
}

static int compile_exprs(lua_State *L)
{
    struct compilation *compilation = lua_touserdata(L, 1);
    struct bw_script *script = compilation->script;
    const struct bw_workflow *workflow = script->workflow;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &bw_env_expr_key);
    int env = lua_gettop(L);
    for (size_t i = 0; i < workflow->expr_count; i++) {
        const struct bw_expr *expr = &workflow->exprs[i];
        if (compile(L, "return ", expr->source, "=expr") != LUA_OK) {
            compile_error(compilation, &(struct bw_code_place){workflow->file.ptr, expr->mark.line, expr->mark.column}, "expr.syntax");
            continue;
        }
        lua_pushvalue(L, env);
        if (!lua_setupvalue(L, -2, 1)) lua_pop(L, 1); /* an expression of constants has no environment */
        script->expr_refs[i] = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    return 0;
}

static int compile_code(lua_State *L)
{
    struct compilation *compilation = lua_touserdata(L, 1);
    struct bw_script *script = compilation->script;
    const struct bw_workflow *workflow = script->workflow;
    for (size_t i = 0; i < workflow->step_count; i++) {
        const struct bw_step *step = &workflow->steps[i];
        const struct bw_action *action = script->actions ? script->actions[i] : NULL;
        if (step->kind == BW_STEP_LUA) {
            if (compile(L, "local input, ctx = ... ", step->lua, "=code") != LUA_OK) {
                compile_error(compilation, &(struct bw_code_place){workflow->file.ptr, step->lua_mark.line, 0}, "lua.syntax");
                continue;
            }
        } else if (action && action->source.len) {
            if (compile(L, "", action->source, "=code") != LUA_OK) {
                compile_error(compilation, &(struct bw_code_place){action->file, 1, 0}, "lua.syntax");
                continue;
            }
        } else {
            continue;
        }
        script->code_refs[i] = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    return 0;
}

struct bw_script *bw_script_new(const struct bw_workflow *workflow, const struct bw_action *const *actions, const struct bw_script_limits *limits, struct bw_errors *errs)
{
    struct bw_script *script = calloc(1, sizeof *script);
    struct compilation compilation = {script, errs};
    struct bw_error err;
    size_t before = errs->count;
    if (!script) {
        bw_errors_add(errs, "memory", "out of memory");
        return NULL;
    }
    script->workflow = workflow;
    script->actions = actions;
    script->expr_refs = calloc(workflow->expr_count + 1, sizeof *script->expr_refs);
    script->code_refs = calloc(workflow->step_count + 1, sizeof *script->code_refs);
    script->steps = calloc(workflow->step_count + 1, sizeof *script->steps);
    bw_error_set(&err, "memory", "out of memory");
    if (!script->expr_refs || !script->code_refs || !script->steps || !bw_lua_open(script, limits, &err) || !bw_lua_protected(script, compile_exprs, &compilation, 0, &err) ||
        !bw_lua_protected(script, compile_code, &compilation, 0, &err))
        bw_errors_push(errs, &err);
    else
        bw_budget_install(script->L);
    if (errs->count == before) return script;
    bw_script_free(script);
    return NULL;
}

static void forget_steps(struct bw_script *script)
{
    for (size_t i = 0; script->steps && i < script->workflow->step_count; i++) {
        free((char *)script->steps[i].output.ptr);
        free((char *)script->steps[i].error.ptr);
        script->steps[i] = (struct bw_step_value){0};
    }
}

void bw_script_free(struct bw_script *script)
{
    if (!script) return;
    bw_lua_close(script);
    forget_steps(script);
    bw_buf_free(&script->event_text);
    bw_buf_free(&script->workflow_text);
    bw_buf_free(&script->run_text);
    bw_buf_free(&script->scratch);
    free(script->steps);
    free(script->expr_refs);
    free(script->code_refs);
    free(script);
}

size_t bw_script_memory(const struct bw_script *script) { return script->memory.used; }
bool bw_script_is_spent(const struct bw_script *script)
{
    return script->is_spent || script->memory.was_hit || script->runs >= BW_SCRIPT_RUNS_MAX || script->memory.used > script->memory.cap / 2;
}

static int make_env(lua_State *L)
{
    struct bw_script *script = lua_touserdata(L, 1);
    bw_env_push_fresh(L);
    script->env_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

bool bw_script_begin_run(struct bw_script *script, const struct bw_run_scope *scope, struct bw_error *err)
{
    script->scope = *scope;
    script->runs++;
    return bw_lua_protected(script, make_env, script, 0, err);
}

void bw_script_end_run(struct bw_script *script)
{
    luaL_unref(script->L, LUA_REGISTRYINDEX, script->env_ref); /* never allocates: the reference exists */
    luaL_unref(script->L, LUA_REGISTRYINDEX, script->event_ref);
    script->env_ref = script->event_ref = LUA_NOREF;
    script->scope = (struct bw_run_scope){0};
    forget_steps(script);
}

bool bw_script_set_step(struct bw_script *script, size_t step, enum bw_step_status status, struct bw_slice output, struct bw_slice error, struct bw_error *err)
{
    struct bw_step_value *value = &script->steps[step];
    char *kept_output = output.len ? bw_slice_dup(output) : NULL, *kept_error = error.len ? bw_slice_dup(error) : NULL;
    if ((output.len && !kept_output) || (error.len && !kept_error)) {
        free(kept_output);
        free(kept_error);
        return bw_error_set(err, "memory", "out of memory");
    }
    free((char *)value->output.ptr);
    free((char *)value->error.ptr);
    *value = (struct bw_step_value){status, {kept_output, output.len}, {kept_error, error.len}};
    return true;
}
