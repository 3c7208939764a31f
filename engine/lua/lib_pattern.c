/* string.find, match, gmatch and gsub on our own matcher. Steps are charged to the budget: a pattern bomb ends as an error of its step, not as
 * a worker that must be killed. */
#include "lua/internal.h"
#include "lua/pattern.h"
#include <stddef.h>

#define STEPS_MAX 4000000 /* of one call in code: some 30 ms */
#define STEPS_PER_UNIT 4  /* a step is cheaper than an instruction of Lua */
#define PLAIN_BYTES_PER_UNIT 256

static uint64_t steps_allowed(lua_State *L)
{
    const struct bw_script *script = bw_lua_script(L);
    uint64_t left = script->instructions_left > 0 ? (uint64_t)script->instructions_left * STEPS_PER_UNIT : 1;
    return script->mode == BW_MODE_EXPR && left < STEPS_MAX ? left : STEPS_MAX;
}

static void compile(lua_State *L, struct bw_pattern *pattern, struct bw_slice text, bool anchors)
{
    const char *fault = bw_pattern_compile(pattern, text, anchors);
    if (fault) luaL_error(L, "%s", fault);
}

/* A search from `from` on, paid for. */
static bool search(lua_State *L, const struct bw_pattern *pattern, struct bw_pattern_match *match, const char *from)
{
    uint64_t before = match->steps_left;
    enum bw_pattern_result result = bw_pattern_search(pattern, match, from);
    bw_budget_charge(L, (before - match->steps_left) / STEPS_PER_UNIT + 1);
    if (result == BW_PATTERN_TOO_COMPLEX) luaL_error(L, "lua.timeout: pattern too complex");
    return result == BW_PATTERN_FOUND;
}

static void push_capture(lua_State *L, const struct bw_pattern_match *match, unsigned i)
{
    struct bw_slice capture = match->captures[i];
    if (capture.len == BW_CAPTURE_POSITION)
        lua_pushinteger(L, capture.ptr - match->subject.ptr + 1);
    else
        lua_pushlstring(L, capture.ptr, capture.len);
}

/* All captures, or the whole match when the pattern has none. */
static int push_captures(lua_State *L, const struct bw_pattern *pattern, const struct bw_pattern_match *match)
{
    luaL_checkstack(L, (int)pattern->captures + 1, "too many captures");
    if (!pattern->captures) {
        lua_pushlstring(L, match->start, (size_t)(match->end - match->start));
        return 1;
    }
    for (unsigned i = 0; i < pattern->captures; i++) push_capture(L, match, i);
    return (int)pattern->captures;
}

static struct bw_slice check_slice(lua_State *L, int index)
{
    struct bw_slice text;
    text.ptr = luaL_checklstring(L, index, &text.len);
    return text;
}

/* The third argument: where to begin, 1-based, from the end when negative. False: behind the end. */
static bool start_of(lua_State *L, int index, size_t len, size_t *start)
{
    lua_Integer at = luaL_optinteger(L, index, 1);
    if (at > 0)
        *start = (size_t)at - 1;
    else
        *start = at == 0 || at < -(lua_Integer)len ? 0 : len - (size_t)-at;
    return *start <= len;
}

static int find_plain(lua_State *L, struct bw_slice text, struct bw_slice what, size_t start)
{
    bw_budget_charge(L, (text.len - start) / PLAIN_BYTES_PER_UNIT);
    const char *found = what.len ? memmem(text.ptr + start, text.len - start, what.ptr, what.len) : text.ptr + start;
    if (!found) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushinteger(L, found - text.ptr + 1);
    lua_pushinteger(L, found - text.ptr + (lua_Integer)what.len);
    return 2;
}

static int find_or_match(lua_State *L, bool is_find)
{
    struct bw_slice text = check_slice(L, 1), what = check_slice(L, 2);
    struct bw_pattern_match match = {.subject = text, .steps_left = steps_allowed(L)};
    struct bw_pattern pattern;
    size_t start;
    if (!start_of(L, 3, text.len, &start)) {
        lua_pushnil(L);
        return 1;
    }
    if (is_find && (lua_toboolean(L, 4) || bw_pattern_is_plain(what))) return find_plain(L, text, what, start);
    compile(L, &pattern, what, true);
    if (!search(L, &pattern, &match, text.ptr + start)) {
        lua_pushnil(L);
        return 1;
    }
    if (!is_find) return push_captures(L, &pattern, &match);
    lua_pushinteger(L, match.start - text.ptr + 1);
    lua_pushinteger(L, match.end - text.ptr);
    return pattern.captures ? 2 + push_captures(L, &pattern, &match) : 2;
}

static int find(lua_State *L)
{
    return find_or_match(L, true);
}
static int match_first(lua_State *L)
{
    return find_or_match(L, false);
}

/* ---- gmatch: upvalues text and walk ---- */

struct walk {
    size_t at, last_end; /* an empty match where the last one ended does not count; at > len: over */
    bool has_last;
    struct bw_pattern pattern; /* last: cut behind its items */
};

static int next_match(lua_State *L)
{
    struct walk *walk = lua_touserdata(L, lua_upvalueindex(2));
    struct bw_pattern_match match = {.steps_left = steps_allowed(L)};
    match.subject.ptr = lua_tolstring(L, lua_upvalueindex(1), &match.subject.len);
    while (walk->at <= match.subject.len && search(L, &walk->pattern, &match, match.subject.ptr + walk->at)) {
        size_t start = (size_t)(match.start - match.subject.ptr), end = (size_t)(match.end - match.subject.ptr);
        if (walk->has_last && end == walk->last_end) {
            walk->at = start + 1;
            continue;
        }
        walk->at = walk->last_end = end;
        walk->has_last = true;
        return push_captures(L, &walk->pattern, &match);
    }
    walk->at = match.subject.len + 1;
    return 0;
}

static int gmatch(lua_State *L)
{
    struct bw_slice text = check_slice(L, 1), what = check_slice(L, 2);
    struct bw_pattern pattern;
    size_t start;
    if (!start_of(L, 3, text.len, &start)) start = text.len + 1;
    compile(L, &pattern, what, false);
    lua_settop(L, 1);
    size_t size = offsetof(struct bw_pattern, items) + (pattern.count + 1) * sizeof *pattern.items;
    struct walk *walk = lua_newuserdatauv(L, offsetof(struct walk, pattern) + size, 0);
    walk->at = start;
    walk->last_end = 0;
    walk->has_last = false;
    memcpy(&walk->pattern, &pattern, size);
    lua_pushcclosure(L, next_match, 2);
    return 1;
}

/* ---- gsub ---- */

/* %0 is the whole match, %1 to %9 are captures (%1 the whole match when there are none), %% is a percent sign. */
static void add_template(lua_State *L, luaL_Buffer *out, const struct bw_pattern *pattern, const struct bw_pattern_match *match, struct bw_slice text)
{
    const char *at = text.ptr, *end = text.ptr + text.len, *percent;
    while ((percent = memchr(at, '%', (size_t)(end - at)))) {
        luaL_addlstring(out, at, (size_t)(percent - at));
        char digit = percent + 1 < end ? percent[1] : '\0';
        unsigned number = digit >= '1' && digit <= '9' ? (unsigned)(digit - '1') : 0;
        if (digit == '%') {
            luaL_addchar(out, '%');
        } else if (digit == '0' || (digit == '1' && !pattern->captures)) {
            luaL_addlstring(out, match->start, (size_t)(match->end - match->start));
        } else if (digit < '1' || digit > '9') {
            luaL_error(L, "invalid use of '%%' in replacement string");
        } else if (number >= pattern->captures) {
            luaL_error(L, "invalid capture index %%%d in replacement string", (int)number + 1);
        } else {
            push_capture(L, match, number);
            luaL_addvalue(out);
        }
        at = percent + 2;
    }
    luaL_addlstring(out, at, (size_t)(end - at));
}

static void add_replacement(lua_State *L, luaL_Buffer *out, const struct bw_pattern *pattern, const struct bw_pattern_match *match)
{
    struct bw_slice whole = {match->start, (size_t)(match->end - match->start)}, text;
    switch (lua_type(L, 3)) {
    case LUA_TFUNCTION:
        if (lua_iscfunction(L, 3)) bw_budget_look(L);
        lua_pushvalue(L, 3);
        lua_call(L, push_captures(L, pattern, match), 1);
        break;
    case LUA_TTABLE:
        if (lua_getmetatable(L, 3)) {
            lua_pop(L, 1);
            bw_budget_look(L);
        }
        if (pattern->captures)
            push_capture(L, match, 0);
        else
            lua_pushlstring(L, whole.ptr, whole.len);
        lua_gettable(L, 3);
        break;
    default:
        text.ptr = lua_tolstring(L, 3, &text.len);
        add_template(L, out, pattern, match, text);
        return;
    }
    if (!lua_toboolean(L, -1)) { /* nil and false keep what was there */
        lua_pop(L, 1);
        luaL_addlstring(out, whole.ptr, whole.len);
    } else if (!lua_isstring(L, -1)) {
        luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    } else {
        luaL_addvalue(out);
    }
}

static int gsub(lua_State *L)
{
    struct bw_slice text = check_slice(L, 1), what = check_slice(L, 2);
    int type = lua_type(L, 3);
    luaL_argexpected(L, type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION || type == LUA_TTABLE, 3, "string/function/table");
    lua_Integer most = luaL_optinteger(L, 4, (lua_Integer)text.len + 1), count = 0;
    struct bw_pattern_match match = {.subject = text, .steps_left = steps_allowed(L)};
    const char *at = text.ptr, *end = text.ptr + text.len, *last_end = NULL;
    struct bw_pattern pattern;
    luaL_Buffer out;
    compile(L, &pattern, what, true);
    lua_settop(L, 3);
    luaL_buffinit(L, &out);
    while (count < most && at <= end && search(L, &pattern, &match, at)) {
        luaL_addlstring(&out, at, (size_t)(match.start - at));
        if (match.end == last_end) { /* empty, and right behind the last one: one byte further */
            at = match.start;
        } else {
            count++;
            add_replacement(L, &out, &pattern, &match);
            at = last_end = match.end;
            if (match.end > match.start && !pattern.is_anchored) continue;
        }
        if (pattern.is_anchored || at == end) break;
        luaL_addchar(&out, *at++);
    }
    if (at < end) luaL_addlstring(&out, at, (size_t)(end - at));
    luaL_pushresult(&out);
    lua_pushinteger(L, count);
    return 2;
}

const luaL_Reg bw_pattern_functions[] = {{"find", find}, {"match", match_first}, {"gmatch", gmatch}, {"gsub", gsub}, {NULL, NULL}};
