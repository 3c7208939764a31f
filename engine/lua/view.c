/* Read-only views over stored JSON: nothing is decoded before it is asked for, and what is passed on whole stays byte for byte what it was. */
#include "lua/internal.h"
#include <string.h>

static const char view_key;

struct view {
    struct bw_json_view json;
    /* Walking an array by index is walking it in order: remember where the last item was. */
    lua_Integer last_index;
    struct bw_json_iter after_last;
};

const struct bw_json_view *bw_view_test(lua_State *L, int index)
{
    struct view *view = lua_touserdata(L, index);
    if (!view || lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index)) return NULL;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &view_key);
    bool is_view = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return is_view ? &view->json : NULL;
}

void bw_view_push(lua_State *L, struct bw_json_view json)
{
    enum bw_json_type type = bw_json_view_type(json);
    if (type != BW_JSON_OBJECT && type != BW_JSON_ARRAY) {
        bw_value_push_json(L, json);
        return;
    }
    struct view *view = lua_newuserdatauv(L, sizeof *view, 0);
    *view = (struct view){.json = json};
    lua_rawgetp(L, LUA_REGISTRYINDEX, &view_key);
    lua_setmetatable(L, -2);
}

static bool find_item(struct view *view, lua_Integer index, struct bw_json_view *found)
{
    struct bw_json_iter iter = view->last_index && index > view->last_index ? view->after_last : bw_json_view_iter(view->json);
    lua_Integer at = view->last_index && index > view->last_index ? view->last_index : 0;
    while (bw_json_iter_next(&iter, NULL, found))
        if (++at == index) {
            view->last_index = index;
            view->after_last = iter;
            return true;
        }
    return false;
}

static int view_index(lua_State *L)
{
    struct view *view = lua_touserdata(L, 1);
    struct bw_json_view found;
    struct bw_slice key;
    bool is_array = bw_json_view_type(view->json) == BW_JSON_ARRAY;
    if (is_array && lua_isinteger(L, 2)) {
        lua_Integer index = lua_tointeger(L, 2);
        if (index < 1) return luaL_error(L, "index %d: lists begin at 1", (int)index);
        if (find_item(view, index, &found)) {
            bw_view_push(L, found);
            return 1;
        }
    } else if (!is_array && lua_type(L, 2) == LUA_TSTRING) {
        key.ptr = lua_tolstring(L, 2, &key.len);
        if (bw_json_view_get(view->json, key, &found)) {
            bw_view_push(L, found);
            return 1;
        }
    }
    lua_pushnil(L);
    return 1;
}

static int view_newindex(lua_State *L) { return luaL_error(L, "event data and step outputs are read-only"); }

static int view_len(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)bw_json_view_count(((struct view *)lua_touserdata(L, 1))->json));
    return 1;
}

static int view_eq(lua_State *L)
{
    const struct bw_json_view *a = bw_view_test(L, 1), *b = bw_view_test(L, 2);
    lua_pushboolean(L, a && b && bw_slice_equal(a->raw, b->raw));
    return 1;
}

static int view_tostring(lua_State *L)
{
    const struct bw_json_view *view = bw_view_test(L, 1);
    lua_pushlstring(L, view->raw.ptr, view->raw.len);
    return 1;
}

struct walk {
    struct bw_json_iter iter;
    lua_Integer index;
    bool is_array;
};

static int view_next(lua_State *L)
{
    struct walk *walk = lua_touserdata(L, lua_upvalueindex(1));
    struct bw_slice key;
    struct bw_json_view value;
    if (!bw_json_iter_next(&walk->iter, &key, &value)) {
        lua_pushnil(L);
        return 1;
    }
    if (walk->is_array)
        lua_pushinteger(L, ++walk->index);
    else
        bw_value_push_json(L, (struct bw_json_view){key});
    bw_view_push(L, value);
    if (lua_isnil(L, -1)) { /* a walk must not end at a null */
        lua_pop(L, 1);
        BW_LUA_NULL_PUSH(L);
    }
    return 2;
}

static int view_pairs(lua_State *L)
{
    struct view *view = lua_touserdata(L, 1);
    struct walk *walk = lua_newuserdatauv(L, sizeof *walk, 0);
    *walk = (struct walk){.iter = bw_json_view_iter(view->json), .is_array = bw_json_view_type(view->json) == BW_JSON_ARRAY};
    lua_pushcclosure(L, view_next, 1);
    return 1;
}

void bw_view_open(lua_State *L)
{
    static const luaL_Reg methods[] = {{"__index", view_index}, {"__newindex", view_newindex}, {"__len", view_len}, {"__eq", view_eq}, {"__pairs", view_pairs}, {"__tostring", view_tostring}, {NULL, NULL}};
    lua_createtable(L, 0, 8);
    luaL_setfuncs(L, methods, 0);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &view_key);
}
