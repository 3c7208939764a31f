/* The functions of expressions (semantics.md 3.2). Most are a few lines of Lua, compiled in a state when the first of them is
 * used there: they are larger than all the rest of it. They accept nil. */
#include "base/clock.h"
#include "lua/internal.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define BYTES_PER_UNIT 64
#define FORMAT_MAX 1024

static const char prelude[] =
    "local env, array, null, json = ...\n"
    "local function list(t) return array(t) end\n"
    "local function some(v) if v ~= null then return v end end\n" /* what `map` has put for nothing */
    "local function each(t) if t == nil then return function() end end return ipairs_all(t) end\n"
    "function env.list(t) return list(t or {}) end\n"
    "env.null = null\n"
    "function env.default(v, d) if v == nil or v == null then return d end return v end\n"
    "function env.len(v) if v == nil or v == null then return 0 end if type(v) == 'table' and not is_array(v) then local n = 0 for _ in pairs(v) do "
    "n = n + 1 end return n end return #v end\n"
    "local function path_get(v, path)\n"
    "  local out, many = {v}, false\n"
    "  for name, index in string.gmatch(path, '([^%.%[%]]*)%[?([%d%*]*)%]?%.?') do\n"
    "    if name ~= '' then for i = 1, #out do local x = out[i] if x == null then x = nil end out[i] = x[name] if out[i] == nil then out[i] = null "
    "end end end\n"
    "    if index == '*' then many = true local flat = {} for i = 1, #out do local x = out[i] if x ~= null then for _, y in each(x) do flat[#flat + "
    "1] = y end end end out = flat\n"
    "    elseif index ~= '' then for i = 1, #out do local x = out[i] if x == null then x = nil end out[i] = x[tonumber(index)] if out[i] == nil then "
    "out[i] = null end end end\n"
    "  end\n"
    "  return out, many\n"
    "end\n"
    "local function call(f, v) if v == null then v = nil end return f(v) end\n" /* a JSON null reads as nil */
    "function env.map(t, f)\n"
    "  local out = {}\n"
    "  for _, v in each(t) do\n"
    "    if type(f) == 'string' then local found = path_get(v, f) for i = 1, #found do out[#out + 1] = found[i] end\n"
    "    else local r = call(f, v) if r == nil then r = null end out[#out + 1] = r end\n"
    "  end\n"
    "  return list(out)\n"
    "end\n"
    "function env.filter(t, f) local out = {} for _, v in each(t) do if call(f, v) then out[#out + 1] = v end end return list(out) end\n"
    "function env.flat(t) local out = {} for _, v in each(t) do if is_array(v) then for _, w in each(v) do out[#out + 1] = w end else out[#out + 1] "
    "= v end end return list(out) end\n"
    "function env.join(t, sep) local out = {} for _, v in each(t) do if v ~= null then out[#out + 1] = (type(v) == 'table' or type(v) == 'number') "
    "and json(v) or tostring(v) "
    "end end return table.concat(out, "
    "sep or '') end\n"
    "function env.split(s, sep)\n"
    "  local out, from = {}, 1\n"
    "  if some(s) == nil then return list(out) end\n"
    "  if sep == nil or sep == '' then return list({s}) end\n"
    "  while true do local a, b = string.find(s, sep, from, true) if not a then break end out[#out + 1] = string.sub(s, from, a - 1) from = b + 1 "
    "end\n"
    "  out[#out + 1] = string.sub(s, from)\n"
    "  return list(out)\n"
    "end\n"
    "function env.keys(t) local out = {} if some(t) then for k in pairs(t) do out[#out + 1] = k end end table.sort(out, function(a, b) return "
    "tostring(a) < tostring(b) end) return list(out) end\n"
    "function env.has(t, k) return some(t) ~= nil and type(t) ~= 'string' and t[k] ~= nil end\n"
    "function env.contains(t, x) if t == nil or x == nil then return false end if type(t) == 'string' then return string.find(t, tostring(x), 1, "
    "true) ~= nil "
    "end for _, v in each(t) do if v == x then return true end end return false end\n"
    "function env.lower(s) s = some(s) return s and string.lower(s) end\n"
    "function env.upper(s) s = some(s) return s and string.upper(s) end\n"
    "function env.trim(s) s = some(s) return s and (string.gsub(string.gsub(s, '^%s+', ''), '%s+$', '')) end\n"
    "function env.truncate(s, n) if some(s) == nil then return nil end local at = utf8.offset(s, math.max(n, 0) + 1) if at and at <= #s then return "
    "string.sub(s, 1, at "
    "- 1) end return s end\n"
    "function env.sum(t) local n = 0 for _, v in each(t) do if v ~= null then n = n + v end end return n end\n"
    "function env.sort_by(t, f)\n"
    "  local out, by = {}, {}\n"
    "  for i, v in each(t) do\n"
    "    local key if type(f) == 'string' then key = path_get(v, f)[1] else key = call(f, v) end\n"
    "    if key == null then key = nil end\n"
    "    out[#out + 1] = {v, i, key}\n"
    "  end\n"
    "  table.sort(out, function(a, b)\n" /* what has no key comes last */
    "    if a[3] == b[3] then return a[2] < b[2] end\n"
    "    if a[3] == nil or b[3] == nil then return b[3] == nil end\n"
    "    return a[3] < b[3]\n"
    "  end)\n"
    "  for i = 1, #out do by[i] = out[i][1] end\n"
    "  return list(by)\n"
    "end\n"
    "function env.product(a, b) local out = {} for _, x in each(a) do for _, y in each(b) do out[#out + 1] = list({x, y}) end end return list(out) "
    "end\n"
    "env.fmt = string.format\n";

static int make_array(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    bw_value_push_array_metatable(L);
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL) { /* the libraries are tables too, and all that keeps them as they are is this */
        lua_getmetatable(L, 1);
        if (!lua_rawequal(L, -1, 2)) return luaL_error(L, "lua.denied: cannot change a protected metatable");
        lua_settop(L, 2);
    }
    lua_setmetatable(L, 1);
    return 1;
}

static int is_array(lua_State *L)
{
    const struct bw_json_view *view = bw_view_test(L, 1);
    bool answer = view && bw_json_view_type(*view) == BW_JSON_ARRAY;
    if (lua_istable(L, 1)) {
        answer = lua_rawlen(L, 1) > 0;
        if (lua_getmetatable(L, 1)) {
            bw_value_push_array_metatable(L);
            answer = answer || lua_rawequal(L, -1, -2);
        }
    }
    lua_pushboolean(L, answer);
    return 1;
}

/* The walk over a list that does not stop at nulls: (t, i) → i + 1, value. */
static int next_item(lua_State *L)
{
    lua_Integer index = lua_tointeger(L, 2) + 1;
    lua_settop(L, 1);
    lua_pushinteger(L, index);
    lua_pushinteger(L, index);
    lua_gettable(L, 1);
    if (lua_isnil(L, -1)) {
        if (index > luaL_len(L, 1)) return 1;
        lua_pop(L, 1);
        BW_LUA_NULL_PUSH(L);
    }
    return 2;
}

/* Of an empty object nobody knows what was meant: many who send write their empty lists so. */
static bool has_names(lua_State *L)
{
    const struct bw_json_view *view = bw_view_test(L, 1);
    if (view) return bw_json_view_type(*view) == BW_JSON_OBJECT && bw_json_view_count(*view);
    if (lua_rawlen(L, 1)) return false;
    lua_pushnil(L);
    if (!lua_next(L, 1)) return false;
    lua_pop(L, 2);
    return true;
}

static int ipairs_all(lua_State *L)
{
    if (bw_value_is_null(L, 1) || lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_createtable(L, 0, 0);
    }
    if (!lua_istable(L, 1) && !bw_view_test(L, 1)) return luaL_error(L, "a list is expected, found %s", luaL_typename(L, 1));
    if (has_names(L)) return luaL_error(L, "a list is expected, found an object");
    lua_pushcfunction(L, next_item);
    lua_pushvalue(L, 1);
    lua_pushinteger(L, 0);
    return 3;
}

static int free_buf(lua_State *L)
{
    bw_buf_free(lua_touserdata(L, 1));
    return 0;
}

struct bw_buf *bw_lua_push_buf(lua_State *L)
{
    static const char key;
    struct bw_buf *buf = lua_newuserdatauv(L, sizeof *buf, 0);
    *buf = (struct bw_buf){0};
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_createtable(L, 0, 1);
        lua_pushcfunction(L, free_buf);
        lua_setfield(L, -2, "__gc"); /* ours, in C: the only finaliser there is */
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
    }
    lua_setmetatable(L, -2);
    return buf;
}

static int to_json(lua_State *L)
{
    lua_settop(L, 1);
    struct bw_buf *out = bw_lua_push_buf(L);
    if (bw_value_to_json(L, 1, out)) /* a secret is in it: then the text is one */
        bw_secret_push(L, bw_buf_slice(out));
    else
        lua_pushlstring(L, out->data ? out->data : "", out->len);
    bw_buf_free(out);
    return 1;
}

static int from_json(lua_State *L)
{
    struct bw_slice text;
    struct bw_json_fault fault;
    if (lua_isnoneornil(L, 1) || bw_value_is_null(L, 1)) return 0;
    text.ptr = luaL_checklstring(L, 1, &text.len);
    if (bw_lua_script(L)->mode == BW_MODE_TASK) bw_budget_charge(L, text.len / BYTES_PER_UNIT);
    if (!bw_json_scan(text, NULL, NULL, &fault))
        return luaL_error(L, "this is no JSON: %s at line %d, column %d", fault.reason, (int)fault.line, (int)fault.column);
    bw_value_push_json(L, bw_json_view_of(text));
    return 1;
}

/* Behind the % of a format: flags and E or O, as glibc has them, then what is wanted. */
static const char *conversion_end(const char *at)
{
    at += strspn(at, "_-0^#");
    at += strspn(at, "EO");
    return *at && strchr("aAbBcCdDeFgGhHIjklmMnpPrRsStTuUVwWxXyYzZ%", *at) ? at + 1 : NULL;
}

/* strftime, but for seconds since 1970: it would take the parts for local time, and give another number in each zone. */
static void push_formatted(lua_State *L, const char *format, int64_t seconds)
{
    time_t at = (time_t)seconds;
    struct tm parts;
    luaL_Buffer out;
    gmtime_r(&at, &parts);
    luaL_buffinit(L, &out);
    for (const char *end; *format; format = end) {
        char spec[8], text[64];
        size_t plain = strcspn(format, "%");
        luaL_addlstring(&out, format, plain);
        format += plain;
        if (!*format) break;
        if (!(end = conversion_end(format + 1)) || (size_t)(end - format) >= sizeof spec)
            luaL_error(L, "date does not know '%s': see strftime, such as %%Y-%%m-%%d", format);
        if (end[-1] == 's') {
            luaL_addlstring(&out, text, (size_t)snprintf(text, sizeof text, "%lld", (long long)seconds));
            continue;
        }
        memcpy(spec, format, (size_t)(end - format));
        spec[end - format] = 0;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* one conversion of the author's; strftime reads nothing but parts */
        luaL_addlstring(&out, text, strftime(text, sizeof text, spec, &parts));
#pragma GCC diagnostic pop
    }
    luaL_pushresult(&out);
}

/* date(ms or "2026-11-23T12:00:00Z" [, strftime format]) → text in UTC; without a format RFC 3339. Pure: there is no "now". */
static int format_date(lua_State *L)
{
    const int64_t first_ms = -62167219200000, last_ms = 253402300799999; /* years 0 to 9999: RFC 3339 has no others */
    char text[BW_CLOCK_TEXT];
    int64_t ms;
    if (lua_isnoneornil(L, 1) || bw_value_is_null(L, 1)) return 0;
    if (lua_type(L, 1) == LUA_TNUMBER) {
        double given = lua_tonumber(L, 1);
        if (!(given >= (double)first_ms && given <= (double)last_ms)) return luaL_error(L, "date needs milliseconds of the years 0 to 9999");
        ms = (int64_t)floor(given);
    } else {
        struct bw_slice given;
        given.ptr = luaL_checklstring(L, 1, &given.len);
        if (!bw_clock_parse(given, &ms))
            return luaL_error(L, "date needs milliseconds or a text such as 2026-11-23T12:00:00Z, found '%s'", given.ptr);
    }
    size_t len;
    const char *format = luaL_optlstring(L, 2, NULL, &len);
    if (format && len > FORMAT_MAX) return luaL_error(L, "a format of date has at most %d bytes", FORMAT_MAX);
    if (format)
        push_formatted(L, format, ms / 1000 - (ms % 1000 < 0));
    else
        lua_pushstring(L, bw_clock_text(ms, text));
    return 1;
}

const luaL_Reg bw_json_functions[] = {{"encode", to_json}, {"decode", from_json}, {"array", make_array}, {NULL, NULL}};

void bw_helpers_register(lua_State *L, int env)
{
    static const luaL_Reg functions[] = {{"json", to_json}, {"parse", from_json}, {"date", format_date}, {NULL, NULL}};
    lua_pushvalue(L, env);
    luaL_setfuncs(L, functions, 0);
    lua_pop(L, 1);
}

bool bw_helpers_load(lua_State *L, int env, const char *name)
{
    static const char *const names[] = {"list", "null",     "default", "len",   "map",  "filter",   "flat", "join",    "split",   "keys",
                                        "has",  "contains", "lower",   "upper", "trim", "truncate", "sum",  "sort_by", "product", "fmt"};
    size_t known = 0;
    while (known < sizeof names / sizeof *names && strcmp(names[known], name) != 0) known++;
    if (known == sizeof names / sizeof *names) return false;
    if (luaL_loadbufferx(L, prelude, sizeof prelude - 1, "=helpers", "t") != LUA_OK) lua_error(L);
    /* Its own environment: the helpers, the libraries, and three functions that user code does not see. */
    lua_createtable(L, 0, 8);
    lua_pushcfunction(L, ipairs_all);
    lua_setfield(L, -2, "ipairs_all");
    lua_pushcfunction(L, is_array);
    lua_setfield(L, -2, "is_array");
    static const char *const used[] = {"math", "string", "tonumber", "tostring", "type", "pairs", "utf8"};
    for (size_t i = 0; i < sizeof used / sizeof *used; i++) {
        lua_getfield(L, env, used[i]);
        lua_setfield(L, -2, used[i]);
    }
    lua_createtable(L, 0, 8);
    luaL_setfuncs(L, bw_table_functions, 0);
    lua_setfield(L, -2, "table");
    lua_setupvalue(L, -2, 1);
    lua_pushvalue(L, env);
    lua_pushcfunction(L, make_array);
    BW_LUA_NULL_PUSH(L);
    lua_pushcfunction(L, to_json);
    lua_call(L, 4, 0);
    return lua_getfield(L, env, name) != LUA_TNIL;
}
