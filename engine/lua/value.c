/* JSON text ↔ Lua values. */
#include "lua/internal.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define READ_BYTES_PER_UNIT 256
#define WRITTEN_BYTES_PER_UNIT 64
#define SHORT_BYTES 4096 /* of a text that is not looked at before it is written */

static const char array_key; /* registry key of the metatable that marks arrays */

bool bw_value_is_null(lua_State *L, int index)
{
    return lua_islightuserdata(L, index) && !lua_touserdata(L, index);
}

void bw_value_push_array_metatable(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &array_key);
}

/* What a list does not have. In expressions 0 is a mistake of those who count from 0; code may look there, as anywhere in Lua. */
static int array_index(lua_State *L)
{
    int is_integer;
    lua_Integer index = lua_tointegerx(L, 2, &is_integer);
    bool is_number = lua_type(L, 2) == LUA_TNUMBER && is_integer;
    if (is_number && index < 1 && bw_lua_script(L)->mode == BW_MODE_EXPR) return luaL_error(L, "index %I: lists begin at 1", index);
    return 0;
}

void bw_value_open(lua_State *L)
{
    lua_createtable(L, 0, 2);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pushcfunction(L, array_index);
    lua_setfield(L, -2, "__index");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &array_key);
}

bool bw_value_is_array(lua_State *L, int index)
{
    bool is_marked = false;
    if (!lua_istable(L, index)) return false;
    if (lua_getmetatable(L, index)) {
        bw_value_push_array_metatable(L);
        is_marked = lua_rawequal(L, -1, -2);
        lua_pop(L, 2);
    }
    return is_marked || lua_rawlen(L, index) > 0;
}

/* ---- JSON → Lua ---- */

static void push_string(lua_State *L, struct bw_slice raw)
{
    struct bw_buf scratch = {0};
    if (!memchr(raw.ptr, '\\', raw.len)) {
        lua_pushlstring(L, raw.ptr + 1, raw.len - 2);
        return;
    }
    bw_json_unescape_append(&scratch, raw);
    /* The copy into Lua may raise for want of memory: the buffer must not leak then. */
    char *copy = lua_newuserdatauv(L, scratch.len + 1, 0);
    if (scratch.len) memcpy(copy, scratch.data, scratch.len);
    size_t len = scratch.len;
    bw_buf_free(&scratch);
    lua_pushlstring(L, copy, len);
    lua_remove(L, -2);
}

static void push(lua_State *L, struct bw_json_view view, int depth)
{
    bool is_integer;
    int64_t integer;
    double real;
    luaL_checkstack(L, 6, "JSON nested too deeply");
    if (bw_lua_script(L)->mode == BW_MODE_TASK) /* finding the end of a part reads all of it, at each level */
        bw_budget_charge(L, 1 + view.raw.len / READ_BYTES_PER_UNIT);
    if (depth > BW_VALUE_DEPTH_MAX) luaL_error(L, "json.too_deep: a value nested deeper than %d levels", BW_VALUE_DEPTH_MAX);
    switch (bw_json_view_type(view)) {
    case BW_JSON_TRUE: lua_pushboolean(L, 1); break;
    case BW_JSON_FALSE: lua_pushboolean(L, 0); break;
    case BW_JSON_STRING: push_string(L, view.raw); break;
    case BW_JSON_NUMBER:
        if (!bw_json_view_number(view, &is_integer, &integer, &real))
            lua_pushnil(L);
        else if (is_integer)
            lua_pushinteger(L, integer);
        else
            lua_pushnumber(L, real);
        break;
    case BW_JSON_ARRAY: {
        struct bw_json_iter iter = bw_json_view_iter(view);
        struct bw_json_view item;
        lua_createtable(L, 4, 0);
        for (lua_Integer i = 1; bw_json_iter_next(&iter, NULL, &item); i++) {
            push(L, item, depth + 1);
            if (lua_isnil(L, -1)) {
                lua_pop(L, 1);
                BW_LUA_NULL_PUSH(L);
            }
            lua_rawseti(L, -2, i);
        }
        bw_value_push_array_metatable(L);
        lua_setmetatable(L, -2);
        break;
    }
    case BW_JSON_OBJECT: {
        struct bw_json_iter iter = bw_json_view_iter(view);
        struct bw_json_view value;
        struct bw_slice key;
        lua_createtable(L, 0, 4);
        while (bw_json_iter_next(&iter, &key, &value)) {
            push_string(L, key);
            push(L, value, depth + 1);
            lua_rawset(L, -3); /* nil: absent */
        }
        break;
    }
    default: lua_pushnil(L);
    }
}

void bw_value_push_json(lua_State *L, struct bw_json_view view)
{
    push(L, view, 0);
}

/* ---- Lua → JSON ---- */

struct writer {
    lua_State *L;
    struct bw_buf *out;
    char path[256];
    size_t path_len;
    bool has_secret;
};

static void write_value(struct writer *writer, int index, int depth);

/* What was written is given back at once: the collector does not see it, and code that catches errors could go on for ever. */
static void complain(struct writer *writer, const char *what)
{
    bw_buf_free(writer->out);
    luaL_error(writer->L, "%s%s%s cannot become JSON", what, writer->path_len ? " at " : "", writer->path);
}

/* JSON with NUL is read nowhere: whoever got the text would be told of a fault in what it never saw. */
/* What is written counts as memory of the code: `bytes` more of it. What code writes may become a text of Lua, and is there twice then. */
static void reserve(struct writer *writer, size_t bytes)
{
    const struct bw_script *script = bw_lua_script(writer->L);
    size_t times = script->mode == BW_MODE_TASK ? 2 : 1;
    if (script->mode == BW_MODE_TASK) bw_budget_charge(writer->L, bytes / WRITTEN_BYTES_PER_UNIT);
    if (script->memory.used + times * (writer->out->len + bytes) <= script->memory.cap) return;
    bw_buf_free(writer->out);
    luaL_error(writer->L, "lua.memory: the value is too large as JSON");
}

static void write_text(struct writer *writer, struct bw_slice text)
{
    reserve(writer, text.len > SHORT_BYTES ? bw_json_string_length(text) : 6 * text.len + 2);
    if (text.len && memchr(text.ptr, '\0', text.len)) complain(writer, "a text with the character NUL");
    bw_buf_append_json_string(writer->out, text);
}

static size_t enter(struct writer *writer, const char *name, lua_Integer index)
{
    size_t before = writer->path_len, room = sizeof writer->path - before;
    int len = name ? snprintf(writer->path + before, room, "%s%s", before ? "." : "", name)
                   : snprintf(writer->path + before, room, "[%lld]", (long long)index);
    if (len > 0 && (size_t)len < room) writer->path_len += (size_t)len;
    return before;
}

static void leave(struct writer *writer, size_t before)
{
    writer->path_len = before;
    writer->path[before] = '\0';
}

static bool is_array(struct writer *writer, int index, lua_Unsigned *len)
{
    lua_State *L = writer->L;
    lua_Unsigned count = 0;
    *len = lua_rawlen(L, index);
    if (lua_getmetatable(L, index)) {
        bw_value_push_array_metatable(L);
        bool marked = lua_rawequal(L, -1, -2);
        lua_pop(L, 2);
        if (marked) return true;
    }
    if (!*len) return false;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) count++;
    return count == *len;
}

static int compare_strings(const void *a, const void *b)
{
    const struct bw_slice *x = a, *y = b;
    int order = memcmp(x->ptr, y->ptr, x->len < y->len ? x->len : y->len);
    return order ? order : (x->len > y->len) - (x->len < y->len);
}

/* Sorted keys: the same value gives the same bytes in every state and on every machine. */
static void write_object(struct writer *writer, int index, int depth)
{
    lua_State *L = writer->L;
    size_t count = 0, n = 0;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            complain(writer,
                     lua_type(L, -2) == LUA_TNUMBER ? "a table with both names and numbers, or with holes," : "a table with keys that are no text");
        count++;
    }
    struct bw_slice *keys = lua_newuserdatauv(L, (count + 1) * sizeof *keys, 0);
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        keys[n].ptr = lua_tolstring(L, -2, &keys[n].len);
        n++;
    }
    qsort(keys, count, sizeof *keys, compare_strings);
    bw_buf_append_char(writer->out, '{');
    for (size_t i = 0; i < count; i++) {
        if (i) bw_buf_append_char(writer->out, ',');
        write_text(writer, keys[i]);
        bw_buf_append_char(writer->out, ':');
        lua_pushlstring(L, keys[i].ptr, keys[i].len);
        lua_rawget(L, index);
        size_t before = enter(writer, keys[i].ptr, 0);
        write_value(writer, lua_gettop(L), depth + 1);
        leave(writer, before);
        lua_pop(L, 1);
    }
    bw_buf_append_char(writer->out, '}');
    lua_pop(L, 1);
}

static void write_table(struct writer *writer, int index, int depth)
{
    lua_State *L = writer->L;
    lua_Unsigned len;
    bw_budget_look(L); /* a table that was emptied is as large as it was */
    if (!is_array(writer, index, &len)) {
        write_object(writer, index, depth);
        return;
    }
    bw_buf_append_char(writer->out, '[');
    for (lua_Unsigned i = 1; i <= len; i++) {
        if (i > 1) bw_buf_append_char(writer->out, ',');
        lua_rawgeti(L, index, (lua_Integer)i);
        size_t before = enter(writer, NULL, (lua_Integer)i);
        write_value(writer, lua_gettop(L), depth + 1);
        leave(writer, before);
        lua_pop(L, 1);
    }
    bw_buf_append_char(writer->out, ']');
}

static void write_number(struct writer *writer, int index)
{
    lua_State *L = writer->L;
    if (lua_isinteger(L, index)) {
        char text[24];
        int len = snprintf(text, sizeof text, "%lld", (long long)lua_tointeger(L, index));
        bw_buf_append(writer->out, text, (size_t)len);
        return;
    }
    double value = lua_tonumber(L, index);
    if (!isfinite(value)) complain(writer, "a number that is not finite");
    bw_json_real_append(writer->out, value);
}

static void write_value(struct writer *writer, int index, int depth)
{
    lua_State *L = writer->L;
    const struct bw_json_view *view;
    struct bw_slice text;
    luaL_checkstack(L, 8, "a value nested too deeply");
    if (depth >= BW_VALUE_DEPTH_MAX && lua_istable(L, index)) complain(writer, "json.too_deep: a value nested deeper than 64 levels (or a cycle)");
    bw_budget_charge(L, 1);
    reserve(writer, 0);
    switch (lua_type(L, index)) {
    case LUA_TNIL: bw_buf_append_text(writer->out, "null"); break;
    case LUA_TBOOLEAN: bw_buf_append_text(writer->out, lua_toboolean(L, index) ? "true" : "false"); break;
    case LUA_TNUMBER: write_number(writer, index); break;
    case LUA_TSTRING:
        text.ptr = lua_tolstring(L, index, &text.len);
        write_text(writer, text);
        break;
    case LUA_TTABLE: write_table(writer, index, depth); break;
    case LUA_TLIGHTUSERDATA:
        if (!bw_value_is_null(L, index)) complain(writer, "this value");
        bw_buf_append_text(writer->out, "null");
        break;
    default:
        if ((view = bw_view_test(L, index))) {
            reserve(writer, view->raw.len);
            bw_buf_append_slice(writer->out, view->raw);
        } else if (bw_secret_test(L, index, &text)) {
            const struct bw_render *render = bw_lua_script(L)->render;
            if (!render || !render->allow_secrets) complain(writer, "a secret");
            writer->has_secret = true;
            write_text(writer, text);
        } else {
            complain(writer, lua_type(L, index) == LUA_TFUNCTION ? "a function" : "this value");
        }
    }
}

bool bw_value_to_json(lua_State *L, int index, struct bw_buf *out)
{
    struct writer writer = {.L = L, .out = out};
    write_value(&writer, lua_absindex(L, index), 0);
    if (out->failed) luaL_error(L, "out of memory");
    return writer.has_secret;
}
