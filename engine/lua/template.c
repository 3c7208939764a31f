/* Evaluating expressions and rendering templates to JSON text. */
#include "lua/internal.h"
#include <math.h>
#include <string.h>

struct rendering {
    struct bw_script *script;
    struct bw_buf *out;
    const struct bw_template *template_;
    const struct bw_expr *expr; /* the one being evaluated: errors name its place */
};

static void evaluate(lua_State *L, struct rendering *rendering, uint32_t index)
{
    rendering->expr = &rendering->script->workflow->exprs[index];
    rendering->script->instructions_left = rendering->script->limits.expr_instructions; /* each evaluation has its own */
    lua_rawgeti(L, LUA_REGISTRYINDEX, rendering->script->expr_refs[index]);
    lua_call(L, 0, 1);
}

static void render(lua_State *L, struct rendering *rendering, const struct bw_template *template_);

/* What stands inside text: text and numbers as they are, booleans as words; nil and tables are loud. */
static void append_piece(lua_State *L, struct bw_buf *text)
{
    struct bw_slice value;
    switch (lua_type(L, -1)) {
    case LUA_TBOOLEAN: bw_buf_append_text(text, lua_toboolean(L, -1) ? "true" : "false"); break;
    case LUA_TNUMBER:
        if (lua_isinteger(L, -1)) {
            bw_buf_printf(text, "%lld", (long long)lua_tointeger(L, -1));
        } else {
            struct bw_buf number = {0};
            if (!isfinite(lua_tonumber(L, -1))) luaL_error(L, "a number that is not finite cannot stand inside text");
            bw_json_real_append(&number, lua_tonumber(L, -1));
            bw_buf_append_slice(text, bw_buf_slice(&number));
            bw_buf_free(&number);
        }
        break;
    case LUA_TSTRING:
        value.ptr = lua_tolstring(L, -1, &value.len);
        bw_buf_append_slice(text, value);
        break;
    case LUA_TNIL: luaL_error(L, "nil cannot stand inside text: write `or \"\"`"); break;
    default:
        if (bw_secret_test(L, -1, &value)) {
            const struct bw_render *now = bw_lua_script(L)->render;
            if (!now || !now->allow_secrets) luaL_error(L, "a secret cannot stand here");
            bw_buf_append_slice(text, value);
        } else if (bw_value_is_null(L, -1)) {
            luaL_error(L, "null cannot stand inside text: write `default(…, \"\")`");
        } else {
            luaL_error(L, "%s cannot stand inside text: write json(…)",
                       bw_view_test(L, -1) || lua_istable(L, -1) ? "a list or an object" : luaL_typename(L, -1));
        }
    }
    lua_pop(L, 1);
}

static void render_text(lua_State *L, struct rendering *rendering, const struct bw_template *template_)
{
    struct bw_buf *text = bw_lua_push_buf(L);
    for (size_t i = 0; i < template_->count; i++) {
        if (!template_->pieces[i].is_expr) {
            bw_buf_append_slice(text, template_->pieces[i].text);
        } else {
            evaluate(L, rendering, template_->pieces[i].expr);
            append_piece(L, text);
        }
    }
    if (text->failed) luaL_error(L, "out of memory");
    if (text->len && memchr(text->data, '\0', text->len)) luaL_error(L, "a text with the character NUL cannot become JSON");
    bw_buf_append_json_string(rendering->out, bw_buf_slice(text));
    bw_buf_free(text);
    lua_pop(L, 1);
}

static void render_map(lua_State *L, struct rendering *rendering, const struct bw_template *template_)
{
    bool is_first = true;
    bw_buf_append_char(rendering->out, '{');
    for (size_t i = 0; i < template_->count; i++) {
        const struct bw_template *item = template_->items[i];
        bool is_expr = item->kind == BW_TEMPLATE_EXPR;
        if (is_expr) {
            evaluate(L, rendering, item->expr);
            if (lua_isnil(L, -1)) { /* nil drops the key */
                lua_pop(L, 1);
                continue;
            }
        }
        if (!is_first) bw_buf_append_char(rendering->out, ',');
        is_first = false;
        bw_buf_append_json_string(rendering->out, template_->keys[i]);
        bw_buf_append_char(rendering->out, ':');
        if (is_expr) {
            bw_value_to_json(L, -1, rendering->out);
            lua_pop(L, 1);
        } else {
            render(L, rendering, item);
        }
    }
    bw_buf_append_char(rendering->out, '}');
}

static void render(lua_State *L, struct rendering *rendering, const struct bw_template *template_)
{
    luaL_checkstack(L, 10, "a template nested too deeply");
    switch (template_->kind) {
    case BW_TEMPLATE_CONST: bw_buf_append_slice(rendering->out, template_->json); break;
    case BW_TEMPLATE_EXPR: /* a list item or the whole value: nil is null there */
        evaluate(L, rendering, template_->expr);
        bw_value_to_json(L, -1, rendering->out);
        lua_pop(L, 1);
        break;
    case BW_TEMPLATE_TEXT: render_text(L, rendering, template_); break;
    case BW_TEMPLATE_MAP: render_map(L, rendering, template_); break;
    case BW_TEMPLATE_LIST:
        bw_buf_append_char(rendering->out, '[');
        for (size_t i = 0; i < template_->count; i++) {
            if (i) bw_buf_append_char(rendering->out, ',');
            render(L, rendering, template_->items[i]);
        }
        bw_buf_append_char(rendering->out, ']');
    }
}

static int render_entry(lua_State *L)
{
    struct rendering *rendering = lua_touserdata(L, 1);
    render(L, rendering, rendering->template_);
    if (rendering->out->failed) return luaL_error(L, "out of memory");
    return 0;
}

struct condition {
    struct rendering rendering;
    uint32_t index;
    bool answer;
};

static int condition_entry(lua_State *L)
{
    struct condition *condition = lua_touserdata(L, 1);
    evaluate(L, &condition->rendering, condition->index);
    if (!lua_isboolean(L, -1) && !lua_isnil(L, -1))
        return luaL_error(L, "expr.not_boolean: a condition must be true or false, this one is %s",
                          bw_view_test(L, -1) ? "an object or a list" : luaL_typename(L, -1));
    condition->answer = lua_toboolean(L, -1);
    return 0;
}

/* Runs fn under the expression budget; an error gets the place of the expression that was evaluated. */
static bool run(struct bw_script *script, lua_CFunction fn, void *arg, const struct rendering *rendering, struct bw_error *err)
{
    lua_State *L = script->L;
    bw_budget_begin_expr(script);
    lua_pushcfunction(L, fn);
    lua_pushlightuserdata(L, arg);
    int status = lua_pcall(L, 1, 0, 0);
    if (status != LUA_OK) {
        const struct bw_expr *expr = rendering->expr;
        struct bw_code_place place = {
            .file = expr ? script->workflow->file.ptr : NULL, .line = expr ? expr->mark.line : 0, .column = expr ? expr->mark.column : 0};
        bw_lua_error(script, L, status, &place, "expr.error", err);
        if (err && !strcmp(err->code, "expr.not_boolean")) bw_error_hint(err, "compare it: ${{ … == 'value' }} or ${{ … ~= nil }}");
    }
    bw_budget_end(script);
    return status == LUA_OK;
}

bool bw_script_condition(struct bw_script *script, uint32_t expr, bool *out, struct bw_error *err)
{
    struct condition condition = {{.script = script}, expr, false};
    bool good = run(script, condition_entry, &condition, &condition.rendering, err);
    *out = condition.answer;
    return good;
}

bool bw_script_condition_of(struct bw_script *script, uint32_t expr, struct bw_slice result, bool *out, struct bw_error *err)
{
    const struct bw_render options = {.result = result};
    script->render = &options;
    bool good = bw_script_condition(script, expr, out, err);
    script->render = NULL;
    return good;
}

bool bw_script_render(struct bw_script *script, const struct bw_template *template_, const struct bw_render *render_options, struct bw_buf *out,
                      struct bw_error *err)
{
    struct rendering rendering = {.script = script, .out = out, .template_ = template_};
    size_t before = out->len;
    script->render = render_options;
    bool good = run(script, render_entry, &rendering, &rendering, err);
    script->render = NULL;
    if (!good && out->len > before) { /* half a text is no text */
        out->len = before;
        out->data[before] = '\0';
    }
    return good;
}
