#include "lua/script.h"
#include "lua/internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LARGE_BYTES (64u << 10) /* of an event's text: a state that nobody needs does not keep it */

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

/* The pieces of a chunk, handed to Lua one by one. Empty lines in front make Lua's line numbers those of the file, in every message. */
struct pieces {
    int lines_before;
    struct bw_slice parts[3];
    size_t next;
};

static const char *next_piece(lua_State *L, void *arg, size_t *size)
{
    static const char lines[] = "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n";
    struct pieces *pieces = arg;
    (void)L;
    if (pieces->lines_before > 0) {
        *size = (size_t)pieces->lines_before < sizeof lines - 1 ? (size_t)pieces->lines_before : sizeof lines - 1;
        pieces->lines_before -= (int)*size;
        return lines;
    }
    while (pieces->next < 3 && !pieces->parts[pieces->next].len) pieces->next++;
    if (pieces->next == 3) return NULL;
    *size = pieces->parts[pieces->next].len;
    return pieces->parts[pieces->next++].ptr;
}

int bw_script_compile(lua_State *L, const char *file, int line, const char *before, struct bw_slice source, const char *after)
{
    struct pieces pieces = {line - 1, {bw_slice_of(before), source, bw_slice_of(after)}, 0};
    lua_pushfstring(L, "@%s", file);
    int status = lua_load(L, next_piece, &pieces, lua_tostring(L, -1), "t");
    lua_remove(L, -2);
    return status;
}

/* A line break ends a comment at the end of the source; without one, "near <eof>" stays on the source's last line. */
static const char *ending(struct bw_slice source)
{
    return memmem(source.ptr, source.len, "--", 2) ? "\n" : "";
}

/* One expression: with brackets around it, `a, b` and `x return y` do not pass; without them, `1) + (2` does not. */
static int compile_expr(lua_State *L, const char *file, const struct bw_expr *expr)
{
    char closing[3];
    snprintf(closing, sizeof closing, "%s)", ending(expr->source));
    int status = bw_script_compile(L, file, expr->mark.line, "return ", expr->source, ending(expr->source));
    if (status != LUA_OK) return status;
    lua_pop(L, 1);
    return bw_script_compile(L, file, expr->mark.line, "return (", expr->source, closing);
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
        if (compile_expr(L, workflow->file.ptr, expr) != LUA_OK) {
            compile_error(compilation, &(struct bw_code_place){.file = workflow->file.ptr, .line = expr->mark.line, .column = expr->mark.column},
                          "expr.syntax");
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
            if (bw_script_compile(L, workflow->file.ptr, step->lua_mark.line, "local _ENV, input, ctx = ... ", step->lua, ending(step->lua)) !=
                LUA_OK) {
                compile_error(compilation, &(struct bw_code_place){.file = workflow->file.ptr, .line = step->lua_mark.line}, "lua.syntax");
                continue;
            }
        } else if (action && action->source.len) {
            if (bw_script_compile(L, action->file, 1, BW_CHUNK_HEAD, action->source, "") != LUA_OK) {
                compile_error(compilation, &(struct bw_code_place){.file = action->file, .line = 1}, "lua.syntax");
                continue;
            }
        } else {
            continue;
        }
        script->code_refs[i] = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    return 0;
}

struct bw_script *bw_script_new(const struct bw_workflow *workflow, const struct bw_action *const *actions, const struct bw_script_limits *limits,
                                struct bw_errors *errs)
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
    bw_error_set(&err, "memory", "out of memory");
    if (!script->expr_refs || !script->code_refs || !bw_lua_open(script, limits, &err) ||
        !bw_lua_protected(script, compile_exprs, &compilation, 0, &err) || !bw_lua_protected(script, compile_code, &compilation, 0, &err))
        bw_errors_push(errs, &err);
    else
        bw_budget_install(script->L);
    if (errs->count == before) {
        script->compiled_bytes = script->memory.used;
        lua_gc(script->L, LUA_GCCOLLECT); /* thousands of states wait at once: what compiling left behind would stay as long */
        return script;
    }
    bw_script_free(script);
    return NULL;
}

struct bw_script *bw_script_new_shared(const struct bw_script_limits *limits, struct bw_error *err)
{
    static const struct bw_workflow none; /* no expressions, no steps */
    struct bw_errors errs = {0};
    struct bw_script *script = bw_script_new(&none, NULL, limits, &errs);
    if (script)
        script->is_shared = true;
    else
        *err = errs.items[0];
    bw_errors_free(&errs);
    return script;
}

static void forget_steps(struct bw_step_value *steps, size_t count)
{
    for (size_t i = 0; steps && i < count; i++) {
        free((char *)steps[i].output.ptr);
        free((char *)steps[i].error.ptr);
    }
    free(steps);
}

void bw_script_free(struct bw_script *script)
{
    if (!script) return;
    bw_lua_close(script);
    forget_steps(script->steps, script->workflow->step_count);
    bw_buf_free(&script->event_text);
    bw_buf_free(&script->events_text);
    bw_buf_free(&script->workflow_text);
    bw_buf_free(&script->run_text);
    bw_buf_free(&script->scratch);
    free(script->expr_refs);
    free(script->code_refs);
    free(script);
}

size_t bw_script_memory(const struct bw_script *script)
{
    return script->memory.used;
}
bool bw_script_is_spent(const struct bw_script *script)
{
    return script->is_spent || script->memory.was_hit || script->runs >= BW_SCRIPT_RUNS_MAX ||
           script->memory.used > script->limits.memory_bytes / 2 || script->memory.used > script->compiled_bytes + BW_SCRIPT_LEFT_MAX;
}

void bw_script_begin_run(struct bw_script *script, const struct bw_run_scope *scope)
{
    script->scope = *scope;
    script->runs++;
}

void bw_script_set_names(struct bw_script *script, struct bw_slice inputs, struct bw_slice locals)
{
    script->scope.inputs = inputs;
    script->scope.locals = locals;
}

void bw_script_set_error(struct bw_script *script, struct bw_slice error)
{
    script->scope.error = error;
}

void bw_script_end_run(struct bw_script *script)
{
    struct bw_suspended_run run;
    bw_script_suspend_run(script, &run);
    bw_suspended_run_free(&run);
}

void bw_script_suspend_run(struct bw_script *script, struct bw_suspended_run *run)
{
    *run = (struct bw_suspended_run){script->scope, script->steps, script->workflow->step_count};
    script->steps = NULL;
    script->scope = (struct bw_run_scope){0};
    luaL_unref(script->L, LUA_REGISTRYINDEX, script->event_ref); /* never allocates: the reference exists */
    luaL_unref(script->L, LUA_REGISTRYINDEX, script->events_ref);
    script->event_ref = script->events_ref = LUA_NOREF;
    if (script->event_text.capacity > LARGE_BYTES) bw_buf_free(&script->event_text);
    if (script->events_text.capacity > LARGE_BYTES) bw_buf_free(&script->events_text);
}

void bw_script_resume_run(struct bw_script *script, struct bw_suspended_run *run)
{
    script->scope = run->scope;
    script->steps = run->steps;
    script->runs++;
    *run = (struct bw_suspended_run){0};
}

void bw_suspended_run_free(struct bw_suspended_run *run)
{
    forget_steps(run->steps, run->step_count);
    *run = (struct bw_suspended_run){0};
}

bool bw_script_set_step(struct bw_script *script, size_t step, enum bw_step_status status, struct bw_slice output, struct bw_slice error,
                        struct bw_error *err)
{
    size_t count = script->workflow->step_count;
    if (!script->steps && !(script->steps = calloc(count, sizeof *script->steps))) return bw_error_set(err, "memory", "out of memory");
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
