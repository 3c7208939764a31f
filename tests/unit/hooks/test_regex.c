/* Regular expressions of Go's as patterns of Lua's: which are taken, and that none does harm. What the taken ones match is compared with webhook
 * itself in tests/integration/test_import_webhook.py. */
#include "hooks/internal.h"
#include "lua/pattern.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static char *translated(const char *regex)
{
    struct bw_buf out = {0};
    bool good = bw_hooks_append_regex(&out, "x", regex);
    if (!good) assert_int_equal(out.len, 0);
    char *text = good ? bw_buf_take(&out, NULL) : NULL;
    bw_buf_free(&out);
    return text;
}

static void test_what_lua_can_say_is_said(void **state)
{
    static const char *const cases[][2] = {
        {"^refs/heads/main$", "(x ~= nil and (string.find(fmt('%s', x), '^refs/heads/main$')) ~= nil)"},
        {"v\\d{2}\\.", "(x ~= nil and (string.find(fmt('%s', x), 'v[0-9][0-9]%.')) ~= nil)"},
        {"a|^b", "(x ~= nil and (string.find(fmt('%s', x), 'a') or string.find(fmt('%s', x), '^b')) ~= nil)"},
        {"a(b|c)d", "(x ~= nil and (string.find(fmt('%s', x), 'abd') or string.find(fmt('%s', x), 'acd')) ~= nil)"},
        {"{{}}'\\\\", NULL},
        {"it's-1", "(x ~= nil and (string.find(fmt('%s', x), 'it\\'s%-1')) ~= nil)"},
        {"a{1,2}", "(x ~= nil and (string.find(fmt('%s', x), 'aa?')) ~= nil)"},
        {"[^/]+?x", "(x ~= nil and (string.find(fmt('%s', x), '[^/]+x')) ~= nil)"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *text = translated(cases[i][0]);
        if (cases[i][1])
            assert_string_equal(text, cases[i][1]);
        else
            assert_null(text);
        free(text);
    }
}

static void test_what_it_cannot_say_is_refused(void **state)
{
    static const char *const cases[] = {
        "(?i)a", "(ab)+", "(a|b)*", "[[:alpha:]]", "\\bword", "a**", "a{70}", "a{2,1}",   "[",   "(",       "\\",
        "a)",    "é*",    ".?",     "[^a]",        "a^b",     "a$b", "\\pL",  "(?P<n>a)", "a{2", "[\\d-z]", "(a|b)(a|b)(a|b)(a|b)(a|b)"};
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *text = translated(cases[i]);
        if (text) fail_msg("%s became %s", cases[i], text);
    }
}

/* Whatever it is: no harm, and what is taken is a pattern. */
static void test_any_text_is_taken_or_refused(void **state)
{
    static const char letters[] = "()[]|\\^$*+?{},.-a19:dw/\xC3\xA9";
    unsigned seed = 17;
    size_t taken = 0;
    (void)state;
    for (int i = 0; i < 20000; i++) {
        char regex[24];
        size_t len = (size_t)rand_r(&seed) % (sizeof regex - 1);
        for (size_t k = 0; k < len; k++) regex[k] = letters[(size_t)rand_r(&seed) % (sizeof letters - 1)];
        regex[len] = '\0';
        char *text = translated(regex);
        taken += text != NULL;
        for (char *at = text; at && (at = strstr(at, "x), '"));) { /* the pattern up to its quote; what is escaped in it is no letter of ours */
            struct bw_pattern pattern;
            char *end = strchr(at += 5, '\'');
            assert_non_null(end);
            if (memchr(at, '\\', (size_t)(end - at))) continue;
            const char *wrong = bw_pattern_compile(&pattern, (struct bw_slice){at, (size_t)(end - at)}, true);
            if (wrong) fail_msg("%s became %s: %s", regex, text, wrong);
        }
        free(text);
    }
    assert_in_range(taken, 100, 19000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_lua_can_say_is_said),
        cmocka_unit_test(test_what_it_cannot_say_is_refused),
        cmocka_unit_test(test_any_text_is_taken_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
