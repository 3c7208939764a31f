/* The 56 hostile categories of reliability.md (g), in random orders, one process, one state until it is spent: each ends softly, under the memory
 * cap, with its code, and the next run of the same state is clean. None of them needs the hard kill from outside. */
#include "script_fixture.h"

static const struct {
    const char *name, *code;
    const char *expected; /* codes that may come, '|' between them; "ok" = it may also end well, doing no harm */
} snippets[] = {
    /* CPU (14) */
    {"plain loop", "while true do end", "lua.timeout"},
    {"goto loop", "::a:: goto a", "lua.timeout"},
    {"tail calls", "local function f() return f() end f()", "lua.timeout"},
    {"for to huge", "for i = 1, math.huge do end", "lua.timeout"},
    {"pcall loop", "while true do pcall(function() while true do end end) end", "lua.timeout"},
    {"nested pcall", "local function f() while true do pcall(f) end end f()", "lua.timeout"},
    {"xpcall handler", "local function h() while true do end end while true do xpcall(error, h) end", "lua.timeout"},
    {"coroutine loop", "local c = coroutine.wrap(function() while true do coroutine.yield() end end) while true do c() end", "lua.denied"},
    {"coroutine spawn storm", "while true do coroutine.create(function() end) end", "lua.denied"},
    {"__pairs and __index loops", "for _ in pairs(setmetatable({}, {__pairs = function() return function() return 1 end end})) do end",
     "lua.timeout"},
    {"__eq recursion",
     "local m = {} m.__eq = function(a, b) return setmetatable({}, m) == setmetatable({}, m) end return {x = setmetatable({}, m) == setmetatable({}, "
     "m)}",
     "lua.error|lua.memory|lua.timeout"},
    {"sort with bad comparator", "local t = {} for i = 1, 1e5 do t[i] = i end while true do table.sort(t, function() return true end) end",
     "lua.timeout"},
    {"__gc loop", "setmetatable({}, {__gc = function() while true do end end})", "lua.denied"},
    {"__close loop", "local function f() local x <close> = setmetatable({}, {__close = function() f() end}) f() end f()",
     "lua.timeout|lua.error|lua.memory"},
    /* C functions without hooks (9) */
    {"a?^n", "return {x = ('a'):rep(30):find(('a?'):rep(30) .. ('a'):rep(31))}", "lua.timeout"},
    {".- chain", "return {x = ('a'):rep(3000):find('.-.-.-.-.-b')}", "lua.timeout"},
    {".* chain", "return {x = ('a'):rep(3000):match('.*.*.*.*.*b')}", "lua.timeout"},
    {"%b", "for i = 1, 1e9 do local s = ('('):rep(1e5) local _ = s:find('%b()') end", "lua.timeout"},
    {"gsub with huge replacement", "return {x = ('a'):rep(1e5):gsub('a', ('b'):rep(1e5))}", "lua.memory"},
    {"rep of empty", "return {x = #(''):rep(1 << 60)}", "ok"},
    {"table.move", "local t = {} table.move(t, 1, 1e9, 2)", "lua.error"},
    {"insert and remove with __len",
     "local t = setmetatable({}, {__len = function() return 1e15 // 1 | 0 end}) for i = 1, 100 do table.insert(t, i) table.remove(t, 1) end return "
     "{n = rawlen(t)}",
     "ok"},
    {"concat with __index", "return {x = table.concat(setmetatable({}, {__index = function() return 'x' end}), '', 1, 1e15)}", "lua.error"},
    /* memory (10) */
    {"rep 1 GiB", "return {x = ('x'):rep(1 << 30)}", "lua.memory"},
    {"concat doubling", "local s = 'x' while true do s = s .. s end", "lua.memory"},
    {"table growth", "local t = {} for i = 1, 1e9 do t[i] = i end", "lua.memory"},
    {"coroutine bomb", "local t = {} while true do t[#t + 1] = coroutine.create(print) end", "lua.denied"},
    {"unpack 1e7", "return {x = select('#', table.unpack({}, 1, 1e7))}", "lua.error"},
    {"string.byte spread", "return {x = select('#', ('x'):rep(5e6):byte(1, -1))}", "lua.error|lua.memory"},
    {"format of 200 MB",
     "local s = ('x'):rep(2e6) return {x = string.format(('%s'):rep(100), table.unpack((function() local t = {} for i = 1, 100 do t[i] = s end "
     "return t end)()))}",
     "lua.memory"},
    {"closures", "local t = {} while true do local n = #t t[n + 1] = function() return n end end", "lua.memory"},
    {"as many constants as a file can hold", NULL, "lua.memory|lua.syntax|ok"},
    {"string interning flood", "local t = {} for i = 1, 1e9 do t['k' .. i] = true end", "lua.memory|lua.timeout"},
    /* stack (7) */
    {"recursion", "local function f() return 1 + f() end f()", "lua.error|lua.memory"},
    {"nested coroutines", "local function f() coroutine.wrap(f)() end f()", "lua.denied"},
    {"nested coroutine.close", "coroutine.close(coroutine.create(function() end))", "lua.denied"},
    {"deep parentheses", NULL, "lua.syntax"},
    {"deep table constructors", NULL, "lua.syntax"},
    {"long .. chains", NULL, "lua.syntax|ok"},
    {"__index chain 3000", "local t = {} for i = 1, 3000 do t = setmetatable({}, {__index = t}) end return {x = t.y}", "lua.error|ok"},
    /* escape (12) */
    {"binary load", "load('\\27Lua')", "lua.denied"},
    {"mutated bytecode", NULL, "lua.syntax"},
    {"string.dump", "string.dump(function() end)", "lua.error"},
    {"dofile", "dofile('/etc/passwd')", "lua.denied"},
    {"loadfile", "loadfile('/etc/passwd')", "lua.denied"},
    {"require", "require('os')", "lua.denied"},
    {"package.loadlib", "package.loadlib('libc.so.6', '*')", "lua.denied"},
    {"io", "io.open('/etc/passwd')", "lua.denied"},
    {"os", "os.execute('id')", "lua.denied"},
    {"debug.*", "debug.sethook()", "lua.denied"},
    {"_ENV swap", "local _ENV = {} x = 1 return {os = os, x = x}", "ok"},
    {"load with env", "load('return 1', 'x', 't', {})", "lua.denied"},
    /* poisoning (7); more in test_poison.c */
    {"string metatable", "getmetatable('').__index = nil", "lua.error"},
    {"string.*", "string.rep = nil", "lua.denied"},
    {"_G metatable", "setmetatable(_ENV, {})", "lua.error"},
    {"event table metatable", "setmetatable(input, {__index = error}) setmetatable(input.list, {__index = error})", "lua.error"},
    {"shared upvalues", "local ok, e = pcall(string.gsub, 'x', 'x', function() ctx.json.encode = nil end) error(e, 0)", "lua.denied"},
    {"math.randomseed", "math.randomseed(1)", "lua.error"},
    {"state reuse between runs", "leak = input rawset(_ENV, 'leak2', 1) return {}", "ok|lua.error"},
    /* errors and output (7) */
    {"__tostring loop", "error(setmetatable({}, {__tostring = function() while true do end end}))", "lua.error"},
    {"error in handler", "return {x = select('#', xpcall(error, function() error('again') end))}", "lua.error"},
    {"error objects of 10 MB", "error(('x'):rep(5e6))", "lua.error"},
    {"print flood", "for i = 1, 1e9 do print(('z'):rep(1000)) end", "lua.timeout"},
    {"warn", "warn('@on')", "lua.denied"},
    {"address leak", "return {x = string.format('%p', print)}", "lua.denied"},
    {"CR and LF in log", "ctx.log('a\\r\\nb') return {}", "ok"},
};
#define COUNT (sizeof snippets / sizeof *snippets)

static size_t logged_bytes;
static void count_log(void *arg, const char *level, struct bw_slice text)
{
    (void)arg, (void)level;
    logged_bytes += text.len;
}

static const char canary[] = "return {a = ('x'):rep(2), b = table.concat({1, 2}, ','), c = leak == nil, d = ctx.json.encode({1}), e = "
                             "('a1'):gsub('%d', '') , f = pcall(error)}";
static const char canary_expected[] = "{\"a\":\"xx\",\"b\":\"1,2\",\"c\":true,\"d\":\"[1]\",\"e\":\"a\",\"f\":false}";

/* Those that are too long to be written down. */
static void append_generated(struct bw_buf *out, const char *name)
{
    int count = 0;
    const char *open = "", *middle = "", *close = "";
    if (!strcmp(name, "as many constants as a file can hold")) {
        bw_buf_append_text(out, "local t = {");
        for (int i = 0; i < 20000; i++) bw_buf_printf(out, "'c%d',", i);
        bw_buf_append_text(out, "} return {}");
        return;
    }
    if (!strcmp(name, "mutated bytecode")) {
        bw_buf_append_text(out, "\\x1bLuaT");
        return;
    }
    if (!strcmp(name, "deep parentheses")) count = 5000, open = "(", middle = "1", close = ")";
    if (!strcmp(name, "deep table constructors")) count = 5000, open = "{", middle = "", close = "}";
    if (!strcmp(name, "long .. chains")) count = 5000, open = "x..", middle = "x", close = "";
    bw_buf_append_text(out, "local x = '' return ");
    for (int i = 0; i < count; i++) bw_buf_append_text(out, open);
    bw_buf_append_text(out, middle);
    for (int i = 0; i < count; i++) bw_buf_append_text(out, close);
}

static struct bw_workflow *load(const char *code, const char *name)
{
    struct bw_buf yaml = {0}, text = {0};
    struct bw_errors errs = {0};
    struct bw_workflow **list = NULL, *workflow = NULL;
    if (code)
        bw_buf_append_text(&text, code);
    else
        append_generated(&text, name);
    bw_buf_append_text(&yaml, "name: t\non: [{manual: true}]\nsteps:\n  - id: s\n    lua: |\n      ");
    bw_buf_append_slice(&yaml, bw_buf_slice(&text));
    bw_buf_append_text(&yaml, "\n  - id: c\n    lua: |\n      ");
    bw_buf_append_text(&yaml, canary);
    bw_buf_append_char(&yaml, '\n');
    if (bw_workflow_load(bw_buf_slice(&yaml), "hostile.yaml", &list, &errs) == 1) workflow = list[0];
    if (!workflow) fail_msg("%s: %s", name, errs.count ? errs.items[0].message : "?");
    free(list);
    bw_errors_free(&errs);
    bw_buf_free(&yaml);
    bw_buf_free(&text);
    return workflow;
}

static void run(struct bw_script *script, size_t step, int64_t ms, char *out, size_t size, char *message)
{
    struct bw_error err;
    const struct bw_task_options options = {.step = step,
                                            .input = BW_SLICE("{\"list\":[1]}"),
                                            .idempotency_key = "k",
                                            .attempt = 1,
                                            .deadline_us = bw_clock_mono_us() + ms * 1000,
                                            .services = {.log = count_log}};
    bw_script_begin_run(script, &(struct bw_run_scope){0});
    struct bw_task *task = bw_task_new(script, &options, &err);
    if (!task) fail_msg("%s", err.message);
    enum bw_task_state state = bw_task_resume(task);
    while (state == BW_TASK_YIELDED) state = bw_task_resume(task);
    bool is_done = state == BW_TASK_DONE;
    snprintf(out, size, "%s", is_done ? step ? bw_task_output(task).ptr : "ok" : bw_task_failure(task)->error.code);
    snprintf(message, 200, "%.199s", is_done ? bw_task_output(task).ptr : bw_task_failure(task)->error.message);
    bw_task_free(task);
    bw_script_end_run(script);
}

static bool is_expected(const char *expected, const char *got)
{
    const char *found = strstr(expected, got);
    return found && (found == expected || found[-1] == '|') && (found[strlen(got)] == '|' || !found[strlen(got)]);
}

static void run_one(size_t i)
{
    struct bw_errors errs = {0};
    char got[200], message[200] = "";
    struct bw_workflow *workflow = load(snippets[i].code, snippets[i].name);
    struct bw_script *script = bw_script_new(workflow, NULL, &fixture_limits, &errs);
    if (!script) {
        snprintf(got, sizeof got, "%s", errs.items[0].code);
    } else {
        /* Only what is meant to run out of time gets little of it: a slow machine must not turn the other ends into timeouts. */
        run(script, 0, strstr(snippets[i].expected, "lua.timeout") ? 100 : 60000, got, sizeof got, message);
        assert_true(bw_script_memory(script) <= fixture_limits.memory_bytes);
    }
    if (!is_expected(snippets[i].expected, got)) fail_msg("%s: %s (%s), expected %s", snippets[i].name, got, message, snippets[i].expected);
    if (script && !bw_script_is_spent(script)) {
        run(script, 1, 60000, got, sizeof got, message);
        if (strcmp(message, canary_expected) != 0) fail_msg("after %s the next run gave %s", snippets[i].name, message);
    }
    bw_script_free(script);
    bw_workflow_free(workflow);
    bw_errors_free(&errs);
}

static void test_every_category_ends_softly_in_any_order(void **state)
{
    uint32_t seed = 20261123;
    (void)state;
    assert_int_equal(COUNT, 66); /* 56 categories of the document; some have several members */
    for (int round = 0; round < 2; round++) {
        size_t order[COUNT];
        for (size_t i = 0; i < COUNT; i++) order[i] = i;
        for (size_t i = COUNT - 1; i > 0; i--) {
            seed = seed * 1664525u + 1013904223u;
            size_t other = (seed >> 8) % (i + 1), kept = order[i];
            order[i] = order[other];
            order[other] = kept;
        }
        for (size_t i = 0; i < COUNT; i++) run_one(order[i]);
    }
}

static void test_a_flood_of_log_lines_is_cut(void **state)
{
    char got[200], message[200];
    struct bw_errors errs = {0};
    (void)state;
    struct bw_workflow *workflow = load("for i = 1, 2000 do print(('z'):rep(10000)) end return {}", "flood");
    struct bw_script *script = bw_script_new(workflow, NULL, &fixture_limits, &errs);
    logged_bytes = 0;
    run(script, 0, 20000, got, sizeof got, message);
    assert_string_equal(got, "ok");
    assert_in_range(logged_bytes, 200 << 10, 300 << 10);
    bw_script_free(script);
    bw_workflow_free(workflow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_category_ends_softly_in_any_order),
                                       cmocka_unit_test(test_a_flood_of_log_lines_is_cut)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
