/* The `table` library: raw lengths (a hostile __len cannot make C loop), work charged to the budget, a sort that is stable and cannot be
 * confused by an inconsistent comparison. Elements are read and written with metamethods, so read-only tables stay read-only. */
#include "lua/internal.h"

#define ELEMENTS_MAX 1000000 /* that one call may touch */
#define UNITS_PER_NUMBER 50  /* written as text */
#define RESULTS_MAX 100000   /* of unpack: they live on the stack */

static lua_Integer check_list(lua_State *L, int index)
{
    luaL_checktype(L, index, LUA_TTABLE);
    return (lua_Integer)lua_rawlen(L, index);
}

/* How many there are from `from` to `to`; too many are an error. */
static lua_Integer check_span(lua_State *L, lua_Integer from, lua_Integer to, lua_Integer most)
{
    if (to < from) return 0;
    lua_Unsigned count = (lua_Unsigned)to - (lua_Unsigned)from;
    if (count >= (lua_Unsigned)most) luaL_error(L, "too many elements: at most %I at once", most);
    bw_budget_charge(L, count);
    return (lua_Integer)count + 1;
}

/* What is not there may be asked of a C function. */
static int push_element(lua_State *L, int table, lua_Integer index)
{
    if (lua_istable(L, table)) {
        int type = lua_rawgeti(L, table, index);
        if (type != LUA_TNIL) return type;
        lua_pop(L, 1);
    }
    bw_budget_look(L);
    return lua_geti(L, table, index);
}

/* Pops it. */
static void set_element(lua_State *L, int table, lua_Integer index)
{
    if (lua_getmetatable(L, table)) {
        lua_pop(L, 1);
        bw_budget_look(L);
    }
    lua_seti(L, table, index);
}

static void copy_element(lua_State *L, int from_table, lua_Integer from, int to_table, lua_Integer to)
{
    push_element(L, from_table, from);
    set_element(L, to_table, to);
}

static int insert(lua_State *L)
{
    lua_Integer len = check_list(L, 1), at = len + 1;
    switch (lua_gettop(L)) {
    case 2: break;
    case 3:
        at = luaL_checkinteger(L, 2);
        luaL_argcheck(L, at >= 1 && at <= len + 1, 2, "position out of bounds");
        check_span(L, at, len, ELEMENTS_MAX);
        for (lua_Integer i = len + 1; i > at; i--) copy_element(L, 1, i - 1, 1, i);
        break;
    default: return luaL_error(L, "wrong number of arguments to 'insert'");
    }
    lua_seti(L, 1, at);
    return 0;
}

static int remove_element(lua_State *L)
{
    lua_Integer len = check_list(L, 1), at = luaL_optinteger(L, 2, len);
    if (lua_gettop(L) >= 2) luaL_argcheck(L, (at >= 1 && at <= len + 1) || (len == 0 && at == 0), 2, "position out of bounds");
    check_span(L, at, len, ELEMENTS_MAX);
    lua_geti(L, 1, at);
    for (; at < len; at++) copy_element(L, 1, at + 1, 1, at);
    lua_pushnil(L);
    lua_seti(L, 1, at);
    return 1;
}

static int move(lua_State *L)
{
    lua_Integer from = luaL_checkinteger(L, 2), to = luaL_checkinteger(L, 3), at = luaL_checkinteger(L, 4);
    int target = lua_isnoneornil(L, 5) ? 1 : 5;
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, target, LUA_TTABLE);
    lua_Integer count = check_span(L, from, to, ELEMENTS_MAX);
    luaL_argcheck(L, count == 0 || at <= LUA_MAXINTEGER - count + 1, 4, "destination wrap around");
    if (at > to || at <= from || target != 1) {
        for (lua_Integer i = 0; i < count; i++) copy_element(L, 1, from + i, target, at + i);
    } else { /* overlapping: from the back */
        for (lua_Integer i = count - 1; i >= 0; i--) copy_element(L, 1, from + i, target, at + i);
    }
    lua_pushvalue(L, target);
    return 1;
}

static int concat(lua_State *L)
{
    size_t len;
    lua_Integer last = check_list(L, 1), from = luaL_optinteger(L, 3, 1), to = luaL_optinteger(L, 4, last);
    const char *separator = luaL_optlstring(L, 2, "", &len);
    lua_Integer count = check_span(L, from, to, ELEMENTS_MAX);
    luaL_Buffer out;
    luaL_buffinit(L, &out);
    for (lua_Integer i = 0; i < count; i++) {
        if (i) luaL_addlstring(&out, separator, len);
        push_element(L, 1, from + i);
        if (!lua_isstring(L, -1)) return luaL_error(L, "invalid value (at index %I) in table for 'concat': %s", from + i, luaL_typename(L, -1));
        if (lua_type(L, -1) == LUA_TNUMBER) bw_budget_charge(L, UNITS_PER_NUMBER);
        luaL_addvalue(&out);
    }
    luaL_pushresult(&out);
    return 1;
}

static int pack(lua_State *L)
{
    int count = lua_gettop(L);
    lua_createtable(L, count, 1);
    lua_insert(L, 1);
    for (int i = count; i >= 1; i--) lua_seti(L, 1, i);
    lua_pushinteger(L, count);
    lua_setfield(L, 1, "n");
    return 1;
}

static int unpack(lua_State *L)
{
    lua_Integer from = luaL_optinteger(L, 2, 1), to;
    luaL_checkany(L, 1);
    if (lua_isnoneornil(L, 3))
        to = check_list(L, 1);
    else
        to = luaL_checkinteger(L, 3);
    lua_Integer count = check_span(L, from, to, RESULTS_MAX);
    if (!lua_checkstack(L, (int)count + 1)) return luaL_error(L, "too many results to unpack");
    for (lua_Integer i = 0; i < count; i++) push_element(L, 1, from + i);
    return (int)count;
}

/* ---- sort: merging index lists over a copy of the elements ---- */

struct sorting {
    lua_State *L;
    int values;         /* stack index of the copy */
    bool has_less;      /* the comparison is at stack index 2 */
    bool may_be_unseen; /* it is a C function, or a metamethod that may be one */
};

static bool is_less(const struct sorting *sorting, uint32_t a, uint32_t b)
{
    lua_State *L = sorting->L;
    if (sorting->may_be_unseen) bw_budget_look(L);
    if (sorting->has_less) lua_pushvalue(L, 2);
    lua_rawgeti(L, sorting->values, a);
    lua_rawgeti(L, sorting->values, b);
    bool less;
    if (sorting->has_less) {
        lua_call(L, 2, 1);
        less = lua_toboolean(L, -1);
        lua_pop(L, 1);
    } else {
        bw_budget_charge(L, 2 + lua_rawlen(L, -1) / 32); /* long texts take long to compare */
        less = lua_compare(L, -2, -1, LUA_OPLT);
        lua_pop(L, 2);
    }
    return less;
}

/* from[low…middle) and from[middle…high) are sorted; to[low…high) becomes both. Equal elements keep their order. */
static void merge(const struct sorting *sorting, const uint32_t *from, uint32_t *to, size_t low, size_t middle, size_t high)
{
    size_t left = low, right = middle;
    for (size_t i = low; i < high; i++) {
        bool takes_right = right < high && (left == middle || is_less(sorting, from[right], from[left]));
        to[i] = takes_right ? from[right++] : from[left++];
    }
}

static int sort(lua_State *L)
{
    size_t count = (size_t)check_list(L, 1);
    struct sorting sorting = {.L = L, .values = 3, .has_less = !lua_isnoneornil(L, 2)};
    if (sorting.has_less) luaL_checktype(L, 2, LUA_TFUNCTION);
    sorting.may_be_unseen = lua_iscfunction(L, 2);
    check_span(L, 1, (lua_Integer)count, ELEMENTS_MAX);
    lua_settop(L, 2);
    if (count < 2) return 0;
    lua_createtable(L, (int)count, 0);
    uint32_t *order = lua_newuserdatauv(L, 2 * count * sizeof *order, 0), *other = order + count;
    for (size_t i = 0; i < count; i++) {
        push_element(L, 1, (lua_Integer)i + 1);
        if (!sorting.has_less && lua_type(L, -1) >= LUA_TTABLE) sorting.may_be_unseen = true;
        lua_rawseti(L, sorting.values, (lua_Integer)i + 1);
        order[i] = (uint32_t)i + 1;
    }
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t low = 0; low < count; low += 2 * width) {
            size_t middle = low + width < count ? low + width : count, high = low + 2 * width < count ? low + 2 * width : count;
            merge(&sorting, order, other, low, middle, high);
        }
        uint32_t *swap = order;
        order = other;
        other = swap;
    }
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, sorting.values, order[i]);
        set_element(L, 1, (lua_Integer)i + 1);
    }
    return 0;
}

const luaL_Reg bw_table_functions[] = {{"concat", concat},         {"insert", insert}, {"move", move},     {"pack", pack},
                                       {"remove", remove_element}, {"sort", sort},     {"unpack", unpack}, {NULL, NULL}};
