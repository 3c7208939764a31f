/* Read-only views over stored JSON: nothing is decoded before it is asked for, and what is passed on whole stays what it was.
 *
 * The members of a container are found in one walk over its bytes, at the first access; later accesses look into that index. An object also
 * remembers the views of its containers, so that `event.data.x` twice walks the bytes once. A view belongs to the run that made it: its text is
 * borrowed until bw_script_end_run(), and a view that was smuggled out of its run is refused instead of read. */
#include "lua/internal.h"
#include <stdlib.h>
#include <string.h>

static const char view_key;

struct member {
    struct bw_slice key; /* raw, with its quotes; empty in arrays */
    struct bw_json_view value;
    bool has_escape; /* of the key */
};
struct view {
    struct bw_json_view json;
    const struct member *members; /* user value 1 keeps them; valid when is_indexed */
    size_t count;
    unsigned run;
    bool is_array, is_indexed;
};
#define CHILDREN 2 /* user value: views of an object's containers by member number, or nil */

static struct view *test(lua_State *L, int index)
{
    struct view *view = lua_touserdata(L, index);
    if (!view || lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index)) return NULL;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &view_key);
    bool is_view = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return is_view ? view : NULL;
}

static struct view *check(lua_State *L, int index)
{
    struct view *view = test(L, index);
    if (!view) luaL_error(L, "event data or a step's output is expected");
    if (view->run != bw_lua_script(L)->runs) luaL_error(L, "this value belongs to a run that is over");
    return view;
}

const struct bw_json_view *bw_view_test(lua_State *L, int index)
{
    struct view *view = test(L, index);
    return view ? &check(L, index)->json : NULL;
}

void bw_view_push(lua_State *L, struct bw_json_view json)
{
    enum bw_json_type type = bw_json_view_type(json);
    if (type != BW_JSON_OBJECT && type != BW_JSON_ARRAY) {
        bw_value_push_json(L, json);
        return;
    }
    struct view *view = lua_newuserdatauv(L, sizeof *view, 2);
    *view = (struct view){.json = json, .run = bw_lua_script(L)->runs, .is_array = type == BW_JSON_ARRAY};
    lua_rawgetp(L, LUA_REGISTRYINDEX, &view_key);
    lua_setmetatable(L, -2);
}

/* A megabyte of `1,1,1,…` has twenty of members: they count as memory before they are a value of Lua. */
static void keep_member(lua_State *L, struct bw_buf *found, const struct member *member)
{
    const struct bw_lua_memory *memory = &bw_lua_script(L)->memory;
    if (memory->used + found->len + sizeof *member > (memory->expr_cap ? memory->expr_cap : memory->cap)) {
        bw_buf_free(found);
        luaL_error(L, "%s: a list or an object has too many members", memory->expr_cap ? "expr.memory" : "lua.memory");
    }
    bw_buf_append(found, member, sizeof *member);
}

static struct view *indexed(lua_State *L, int index)
{
    struct view *view = check(L, index);
    struct bw_json_iter iter = bw_json_view_iter(view->json);
    struct member member = {.has_escape = false};
    struct bw_buf *found = &bw_lua_script(L)->scratch; /* owned by the script: nothing leaks when Lua raises */
    if (view->is_indexed) return view;
    bw_budget_charge(L, view->json.raw.len / 1024 + 1);
    bw_buf_clear(found);
    while (bw_json_iter_next(&iter, &member.key, &member.value)) {
        member.has_escape = member.key.len && memchr(member.key.ptr, '\\', member.key.len);
        keep_member(L, found, &member);
    }
    if (found->failed) luaL_error(L, "out of memory");
    if (found->len) {
        struct member *members = lua_newuserdatauv(L, found->len, 0);
        memcpy(members, found->data, found->len);
        lua_setiuservalue(L, index, 1);
        view->members = members;
        view->count = found->len / sizeof member;
    }
    view->is_indexed = true;
    return view;
}

static bool key_equal(lua_State *L, const struct member *member, struct bw_slice key)
{
    struct bw_buf *scratch = &bw_lua_script(L)->scratch;
    if (!member->has_escape) return member->key.len == key.len + 2 && !memcmp(member->key.ptr + 1, key.ptr, key.len);
    return bw_slice_equal(bw_json_view_string((struct bw_json_view){member->key}, scratch), key);
}

/* Pushes member `i` of the view at stack index 1. */
static int push_member(lua_State *L, const struct view *view, size_t i)
{
    struct bw_json_view value = view->members[i].value;
    bool is_container = *value.raw.ptr == '{' || *value.raw.ptr == '[';
    if (!is_container || view->is_array) {
        bw_view_push(L, value);
        return 1;
    }
    if (lua_getiuservalue(L, 1, CHILDREN) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_createtable(L, 0, 1);
        lua_pushvalue(L, -1);
        lua_setiuservalue(L, 1, CHILDREN);
    }
    if (lua_rawgeti(L, -1, (lua_Integer)i) != LUA_TNIL) return 1;
    lua_pop(L, 1);
    bw_view_push(L, value);
    lua_pushvalue(L, -1);
    lua_rawseti(L, -3, (lua_Integer)i);
    return 1;
}

static int view_index(lua_State *L)
{
    struct view *view = indexed(L, 1);
    struct bw_slice key;
    if (view->is_array) {
        int is_integer;
        lua_Integer index = lua_tointegerx(L, 2, &is_integer);
        if (lua_type(L, 2) != LUA_TNUMBER || !is_integer) return 0;
        if (index < 1) return luaL_error(L, "index %I: lists begin at 1", index);
        return (size_t)index <= view->count ? push_member(L, view, (size_t)index - 1) : 0;
    }
    if (lua_type(L, 2) != LUA_TSTRING) return 0;
    key.ptr = lua_tolstring(L, 2, &key.len);
    bw_budget_charge(L, view->count / 64);
    for (size_t i = view->count; i-- > 0;) /* of two equal keys the last one counts, as in jansson */
        if (key_equal(L, &view->members[i], key)) return push_member(L, view, i);
    return 0;
}

static int view_newindex(lua_State *L)
{
    return luaL_error(L, "event data and step outputs are read-only");
}

static int view_len(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)indexed(L, 1)->count);
    return 1;
}

/* Equal when they are written the same. */
static int view_eq(lua_State *L)
{
    const struct bw_json_view *a = bw_view_test(L, 1), *b = bw_view_test(L, 2);
    if (a && b) bw_budget_charge(L, a->raw.len / 4096);
    lua_pushboolean(L, a && b && bw_slice_equal(a->raw, b->raw));
    return 1;
}

static int view_tostring(lua_State *L)
{
    const struct bw_json_view *view = bw_view_test(L, 1);
    lua_pushlstring(L, view->raw.ptr, view->raw.len);
    return 1;
}

static int view_concat(lua_State *L)
{
    return luaL_error(L, "a list or an object cannot be joined to text: write json(…) or name one of its fields");
}

/* (view, position) → position + 1 …: the position travels in an upvalue, a JSON null is nil. */
static int view_next(lua_State *L)
{
    lua_settop(L, 0);
    lua_pushvalue(L, lua_upvalueindex(1));
    struct view *view = indexed(L, 1);
    size_t position = (size_t)lua_tointeger(L, lua_upvalueindex(2));
    if (position >= view->count) return 0;
    lua_pushinteger(L, (lua_Integer)position + 1);
    lua_copy(L, -1, lua_upvalueindex(2));
    if (!view->is_array) {
        lua_pop(L, 1);
        bw_value_push_json(L, (struct bw_json_view){view->members[position].key});
    }
    bw_view_push(L, view->members[position].value);
    return 2;
}

static int view_pairs(lua_State *L)
{
    lua_settop(L, 1);
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, view_next, 2);
    return 1;
}

void bw_view_open(lua_State *L)
{
    static const luaL_Reg methods[] = {{"__index", view_index}, {"__newindex", view_newindex}, {"__len", view_len},       {"__eq", view_eq},
                                       {"__pairs", view_pairs}, {"__tostring", view_tostring}, {"__concat", view_concat}, {NULL, NULL}};
    lua_createtable(L, 0, 8);
    luaL_setfuncs(L, methods, 0);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &view_key);
}
