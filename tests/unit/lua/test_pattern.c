/* The own pattern matcher against Lua's: the same answers, faults found, and an end that comes softly. */
#include "lua/pattern.h"
#include <lauxlib.h>
#include <lualib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

static const struct {
    const char *subject, *pattern;
} same[] = {
    {"hello world", "o w"},
    {"hello world", "(%a+) (%a+)"},
    {"key = value", "^(%w+)%s*=%s*(%w+)$"},
    {"THE (quick) fox", "%((%a+)%)"},
    {"x", "()x()"},
    {"", ".*"},
    {"", "^$"},
    {"aaa", "a-"},
    {"aaab", "a-b"},
    {"aaa", "^a-$"},
    {"THE (quick (brown)) fox", "%b()"},
    {"''a''", "%b''"},
    {"THE QUICK fox", "%f[%a]%a+%f[%A]"},
    {"hello", "(l)%1"},
    {"abab", "(ab)%1$"},
    {"a]b", "[]]"},
    {"a-b", "[a%-]"},
    {"a-b", "[%a-]+"},
    {"2026-11-23", "(%d+)-(%d+)-(%d+)"},
    {"a.b", "%."},
    {"a$b", "$b"},
    {"a^b", "a^b"},
    {"^a", "[%^a]+"},
    {"abc", "[^a]+"},
    {"abc", "((a)(b))"},
    {"caaat", "ca?a*a+t"},
    {"\t\n x", "%s*(%S)"},
    {"f(a,b)", "%((.-),(.-)%)"},
    {"0x1F", "0[xX]%x+"},
    {"aXb", "%u"},
    {"foo.bar.baz", "^(.-)%.(.*)$"},
    {"a*b", "a*b"},
    {"*x", "*x"},
    {"ab", "(a*(.)%w(%s*))"},
    {"12:34", "^(%d%d?):(%d%d)$"},
};

static int lua_find(lua_State *L, struct bw_slice subject, const char *pattern)
{
    lua_settop(L, 0);
    lua_getglobal(L, "string");
    lua_getfield(L, -1, "find");
    lua_pushlstring(L, subject.ptr, subject.len);
    lua_pushstring(L, pattern);
    return lua_pcall(L, 2, LUA_MULTRET, 0);
}

/* The stack holds string, start, end, captures… of the real find. */
static bool agrees(lua_State *L, const struct bw_pattern *pattern, const struct bw_pattern_match *match, enum bw_pattern_result result)
{
    if (result == BW_PATTERN_NONE) return lua_isnil(L, 2);
    bool good = lua_gettop(L) == 3 + (int)pattern->captures && lua_tointeger(L, 2) == match->start - match->subject.ptr + 1 &&
                lua_tointeger(L, 3) == match->end - match->subject.ptr;
    for (unsigned i = 0; good && i < pattern->captures; i++) {
        struct bw_slice capture = match->captures[i], theirs;
        if (capture.len == BW_CAPTURE_POSITION) {
            good = lua_tointeger(L, 4 + (int)i) == capture.ptr - match->subject.ptr + 1;
        } else {
            theirs.ptr = lua_tolstring(L, 4 + (int)i, &theirs.len);
            good = theirs.ptr && bw_slice_equal(theirs, capture);
        }
    }
    return good;
}

static void compare(lua_State *L, struct bw_slice subject, const char *text)
{
    struct bw_pattern pattern;
    struct bw_pattern_match match = {.subject = subject, .steps_left = 1000000};
    int status = lua_find(L, subject, text);
    const char *fault = bw_pattern_compile(&pattern, bw_slice_of(text), true);
    if (fault) return; /* Lua finds faults only where the match gets to; test_faults_are_named has them */
    if (status != LUA_OK) fail_msg("Lua refuses '%s': %s", text, lua_tostring(L, -1));
    enum bw_pattern_result result = bw_pattern_search(&pattern, &match, subject.ptr);
    if (result != BW_PATTERN_TOO_COMPLEX && !agrees(L, &pattern, &match, result))
        fail_msg("'%s' on '%.*s' differs from Lua", text, (int)subject.len, subject.ptr);
}

static void test_known_patterns_match_as_in_lua(void **state)
{
    struct bw_pattern pattern;
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        if (bw_pattern_compile(&pattern, bw_slice_of(same[i].pattern), true)) fail_msg("%s is refused", same[i].pattern);
        compare(*state, bw_slice_of(same[i].subject), same[i].pattern);
    }
}

static uint64_t seed;
static unsigned below(unsigned limit)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % limit;
}

static void test_random_patterns_match_as_in_lua(void **state)
{
    static const char *const parts[] = {"a", "b", ".",    "%a",    "%d", "%w",  "[ab]", "[^a]", "[a-c]",  "%s",     "(",  ")",  "()",
                                        "*", "+", "-",    "?",     "$",  "^",   "%1",   "%b()", "%f[%w]", "%f[^a]", "x",  "1",  "%",
                                        "[", "]", "[]a]", "[%a-]", "%2", "(a*", "b-)",  "(.)",  "(.-)",   "%z",     "%S", "%.", "[^]]"};
    static const char bytes[] = "abc() 1x-$^.]"; /* and NUL */
    seed = 2026;
    for (int round = 0; round < 60000; round++) {
        char pattern[80] = "", subject[12];
        size_t len = below(12);
        for (unsigned i = 1 + below(6); i > 0; i--) strcat(pattern, parts[below(sizeof parts / sizeof *parts)]);
        for (size_t i = 0; i < len; i++) subject[i] = bytes[below(sizeof bytes)];
        compare(*state, (struct bw_slice){subject, len}, pattern);
    }
}

static void test_faults_are_named(void **state)
{
    static const char *const faults[] = {"(", ")",  "a)",  "(a", "[",   "[a", "[]",   "[^]",   "[%",
                                         "%", "%b", "%bx", "%f", "%fa", "%1", "(%1)", "(a)%2", "%0"};
    struct bw_pattern pattern;
    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        if (!bw_pattern_compile(&pattern, bw_slice_of(faults[i]), true)) fail_msg("'%s' was accepted", faults[i]);
    char text[2 * BW_PATTERN_ITEMS_MAX + 8] = "";
    for (int i = 0; i <= BW_PATTERN_ITEMS_MAX; i++) strcat(text, "a?");
    assert_non_null(bw_pattern_compile(&pattern, bw_slice_of(text), true));
    memset(text, 0, sizeof text);
    for (int i = 0; i <= BW_PATTERN_CAPTURES_MAX; i++) strcat(text, "()");
    assert_non_null(bw_pattern_compile(&pattern, bw_slice_of(text), true));
}

/* Each of these runs for minutes and more on Lua's own matcher. */
static void test_bombs_end_when_their_steps_are_gone(void **state)
{
    static const char *const bombs[] = {".-.-.-.-.-b",
                                        ".*.*.*.*.*b",
                                        "a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?a?b",
                                        "(.-)(.-)(.-)(.-)%4b",
                                        "[ab]*[ab]*[ab]*[ab]*[ab]*c",
                                        "%b()%b()"};
    char subject[3000];
    struct bw_pattern pattern;
    (void)state;
    for (size_t i = 0; i < sizeof bombs / sizeof *bombs; i++) {
        memset(subject, i + 1 < sizeof bombs / sizeof *bombs ? 'a' : '(', sizeof subject);
        struct bw_pattern_match match = {.subject = {subject, sizeof subject}, .steps_left = 500000};
        assert_null(bw_pattern_compile(&pattern, bw_slice_of(bombs[i]), true));
        if (bw_pattern_search(&pattern, &match, subject) != BW_PATTERN_TOO_COMPLEX) fail_msg("%s ended by itself", bombs[i]);
    }
}

static int open_lua(void **state)
{
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    *state = L;
    return 0;
}

static int close_lua(void **state)
{
    lua_close(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_patterns_match_as_in_lua),
        cmocka_unit_test(test_random_patterns_match_as_in_lua),
        cmocka_unit_test(test_faults_are_named),
        cmocka_unit_test(test_bombs_end_when_their_steps_are_gone),
    };
    return cmocka_run_group_tests(tests, open_lua, close_lua);
}
