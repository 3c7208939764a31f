/* The library functions of our own behave as Lua's: the same snippet in a step and in a plain Lua gives the same text. */
#include "script_fixture.h"
#include <lauxlib.h>
#include <lualib.h>

static const char *const snippets[] = {
    "return (('hello world'):gsub('o', '0'))",
    "return table.concat({('hello'):gsub('', '-')}, ' ')",
    "return table.concat({('abc'):gsub('%w', '%0%0')}, ' ')",
    "return table.concat({('abc def'):gsub('(%w+) (%w+)', '%2 %1')}, ' ')",
    "return table.concat({('hello world'):gsub('%w+', {hello = 'bye', world = false})}, ' ')",
    "return table.concat({('hello world'):gsub('%w+', function(w) return w == 'hello' and w:upper() or nil end)}, ' ')",
    "return table.concat({('abc'):gsub('b*', 'x')}, ' ')",
    "return table.concat({('abc'):gsub('^a', 'x')}, ' ')",
    "return table.concat({('aaa'):gsub('^a', 'x')}, ' ')",
    "return table.concat({('aaa'):gsub('a', 'x', 2)}, ' ')",
    "return table.concat({('aaa'):gsub('a', 'x', 0)}, ' ')",
    "return table.concat({('aaa'):gsub('a', 'x', -1)}, ' ')",
    "return table.concat({('a.b'):gsub('%.', '%%')}, ' ')",
    "return table.concat({('abc'):gsub('()', '%1')}, ' ')",
    "return table.concat({(''):gsub('^', 'x')}, ' ')",
    "return table.concat({('a b'):gsub('%f[%w]%w', string.upper)}, ' ')",
    "return tostring(pcall(string.gsub, 'a', 'a', '%2'))",
    "return tostring(pcall(string.gsub, 'a', 'a', '%x'))",
    "return tostring(pcall(string.gsub, 'a', 'a', function() return {} end))",
    "local o = {} for k, v in ('a=1, b=2'):gmatch('(%w+)=(%w+)') do o[#o + 1] = k .. v end return table.concat(o, ',')",
    "local o = {} for w in ('one two'):gmatch('%a+') do o[#o + 1] = w end return table.concat(o, ',')",
    "local o = {} for w in ('abc'):gmatch('') do o[#o + 1] = '|' end return table.concat(o)",
    "local o = {} for w in ('abc'):gmatch('b*') do o[#o + 1] = '<' .. w .. '>' end return table.concat(o)",
    "local o = {} for w in ('^a^a'):gmatch('^a') do o[#o + 1] = w end return table.concat(o, ',')",
    "local o = {} for p in ('abc'):gmatch('()', 2) do o[#o + 1] = p end return table.concat(o, ',')",
    "local o = {} for p in ('abc'):gmatch('.', -2) do o[#o + 1] = p end return table.concat(o, ',')",
    "local o = {} for p in ('abc'):gmatch('.', 9) do o[#o + 1] = p end return table.concat(o, ',')",
    "return table.concat({('hello'):find('l')}, ' ')",
    "return table.concat({('hello'):find('l', -2)}, ' ')",
    "return table.concat({('hello'):find('', 6)}, ' ')",
    "return tostring(('hello'):find('', 7))",
    "return tostring(('hello'):find('x'))",
    "return table.concat({('a+b'):find('+', 1, true)}, ' ')",
    "return table.concat({('a+b'):find('(%+)')}, ' ')",
    "return table.concat({('key=val'):match('(%w+)=(%w*)')}, ' ')",
    "return tostring(('abc'):match('^b'))",
    "return tostring(('abc'):match('b', 3))",
    "return tostring(('abc'):match('()c'))",
    "return table.concat({('x'):rep(3), ('x'):rep(0), ('x'):rep(-1), ('ab'):rep(2, ', '), (''):rep(5), ('x'):rep(1, 'yy')}, '|')",
    "return string.format('%5d|%-5s|%05.1f|%x|%q|%s|%s|%%|%c|%i', 42, 'ab', 3.14159, 255, 'a\\nb', true, nil, 65, 7)",
    "return string.format('%-10s|%.2s|%10.3s|', 'abc', 'abc', 'abcdef')",
    "return string.format('%s %s', 1, 1.5)",
    "return tostring(pcall(string.format, '%d', 'x'))",
    "return tostring(pcall(string.format, '%y', 1))",
    "return tostring(pcall(string.format, '%s'))",
    "return string.format('%s', setmetatable({}, {__tostring = function() return 'me' end}))",
    "return ('AbC'):lower() .. ('AbC'):upper() .. ('abc'):reverse() .. ('abc'):sub(-2) .. ('abc'):byte(2) .. ('a'):len()",
    "return table.concat({('abc'):byte(1, -1)}, ',')",
    "return utf8.len('\\u{e9}t\\u{e9}') .. utf8.char(233, 8364) .. utf8.codepoint('\\u{20ac}') .. utf8.offset('\\u{e9}x', 2)",
    "local t = {1, 2, 3} table.insert(t, 4) table.insert(t, 1, 0) return table.concat(t, ',')",
    "local t = {1, 2, 3} local r = table.remove(t, 1) return r .. table.concat(t, ',') .. table.remove(t) .. #t",
    "local t = {} return tostring(table.remove(t)) .. tostring(table.remove(t, 0)) .. tostring(pcall(table.remove, t, 5))",
    "local t = {1} return tostring(table.remove(t, 2)) .. #t",
    "return tostring(pcall(table.insert, {1}, 5, 1)) .. tostring(pcall(table.insert, {1}, 0, 1)) .. tostring(pcall(table.insert, {1}))",
    "local t = {1, 2, 3, 4, 5} table.move(t, 2, 4, 1) return table.concat(t, ',')",
    "local t = {1, 2, 3, 4, 5} table.move(t, 1, 3, 3) return table.concat(t, ',')",
    "return table.concat(table.move({1, 2, 3}, 1, 3, 2, {9}), ',') .. table.concat(table.move({1, 2}, 1, 0, 5), ',')",
    "return table.concat({table.unpack({1, 2, 3}, 2)}, ',') .. table.concat({table.unpack({1, 2, 3}, 2, 3)}, ',') .. select('#', table.unpack({}, 1, "
    "3))",
    "local t = table.pack(1, nil, 3) return t.n .. t[1] .. t[3]",
    "return table.concat({1, 2.5, 'x'}, '-', 2, 3) .. table.concat({}, 'x') .. tostring(pcall(table.concat, {1, {}}))",
    "local t = {5, 2, 8, 1, 9, 3} table.sort(t) return table.concat(t, ',')",
    "local t = {5, 2, 8, 1, 9, 3} table.sort(t, function(a, b) return a > b end) return table.concat(t, ',')",
    "local t = {'b', 'a', 'C'} table.sort(t) return table.concat(t, ',')",
    "return tostring(pcall(table.sort, {1, 'x'})) .. tostring(pcall(table.sort, {1, 2}, 5))",
    "local t = {} for i = 1, 500 do t[i] = (i * 7919) % 501 end table.sort(t) for i = 2, 500 do if t[i] < t[i - 1] then return 'bad' end end return "
    "'sorted'",
    "local ok, a, b = pcall(function(...) return select('#', ...), ... end, 1, 2) return tostring(ok) .. a .. b",
    "return table.concat({select(2, pcall(error, {1, 2}))[2], select('#', pcall(error))}, ',')",
    "return tostring(select(2, xpcall(error, function(m) return 'H' .. m end, 'x')))",
    "return select('#', xpcall(function(...) return ... end, print, 1, nil, 3))",
    "return tostring(xpcall(function(...) return select('#', ...) == 2 end, print, 1, 2))",
    "return tostring(pcall(pcall)) .. tostring(pcall(xpcall)) .. tostring(pcall(nil))",
    "return math.type(1) .. math.type(1.0) .. math.floor(2.7) .. math.max(1, 5, 3) .. (7 // 2) .. tostring(1e15) .. tostring(2^53)",
    "return tostring(tonumber('0x10')) .. tostring(tonumber('z', 36)) .. tostring(tonumber('x')) .. tostring(tonumber('  5  ')) .. tostring('10' + "
    "5)",
    "local t = setmetatable({}, {__index = function(_, k) return k .. '!' end, __call = function(_, x) return x end}) return t.a .. t(5)",
    "local t = setmetatable({}, {__pairs = function() return function(_, k) if not k then return 1, 2 end end end}) for k, v in pairs(t) do return k "
    ".. v end",
    "goto x do return 'no' end ::x:: return 'yes'",
    "local o = {} do local c <close> = setmetatable({}, {__close = function() o[1] = 'closed' end}) end return o[1]",
};

static void append_literal(struct bw_buf *yaml, const char *text)
{
    for (; *text; text++) {
        if (*text == '\'') bw_buf_append_char(yaml, '\'');
        bw_buf_append_char(yaml, *text);
    }
}

static void test_snippets_give_what_lua_gives(void **state)
{
    lua_State *L = luaL_newstate();
    (void)state;
    luaL_openlibs(L);
    for (size_t i = 0; i < sizeof snippets / sizeof *snippets; i++) {
        struct fixture fixture;
        struct bw_buf yaml = {0}, expected = {0};
        struct bw_error err;
        struct bw_slice text;
        if (luaL_dostring(L, snippets[i]) != LUA_OK) fail_msg("plain Lua: %s: %s", snippets[i], lua_tostring(L, -1));
        bool is_number = lua_type(L, -1) == LUA_TNUMBER;
        text.ptr = lua_tolstring(L, -1, &text.len);
        bw_buf_append_text(&expected, "{\"value\":");
        if (is_number)
            bw_buf_append_slice(&expected, text);
        else
            bw_buf_append_json_string(&expected, text);
        bw_buf_append_char(&expected, '}');
        bw_buf_append_text(&yaml, "name: t\non: [{manual: true}]\nsteps:\n  - {id: s, lua: '");
        append_literal(&yaml, snippets[i]);
        bw_buf_append_text(&yaml, "'}\n");
        fixture_open(&fixture, yaml.data, NULL, "{}");
        assert_non_null(fixture.script);
        const struct bw_task_options options = {
            .input = BW_SLICE("{}"), .idempotency_key = "k", .attempt = 1, .deadline_us = bw_clock_mono_us() + 60000000};
        struct bw_task *task = bw_task_new(fixture.script, &options, &err);
        assert_non_null(task);
        enum bw_task_state end = bw_task_resume(task);
        while (end == BW_TASK_YIELDED) end = bw_task_resume(task);
        if (end != BW_TASK_DONE) fail_msg("%s: %s", snippets[i], bw_task_failure(task)->error.message);
        if (!bw_slice_equal(bw_task_output(task), bw_buf_slice(&expected)))
            fail_msg("%s: %.*s, Lua gives %s", snippets[i], (int)bw_task_output(task).len, bw_task_output(task).ptr, expected.data);
        bw_task_free(task);
        fixture_close(&fixture);
        bw_buf_free(&yaml);
        bw_buf_free(&expected);
        lua_settop(L, 0);
    }
    lua_close(L);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_snippets_give_what_lua_gives)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
