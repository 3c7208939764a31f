#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/suggest.h"

static const char *const words[] = {"steps", "name", "timeout", "retry", "if", "with", "uses"};

static const char *ask(const char *word)
{
    return bw_suggest(bw_slice_of(word), words, sizeof words / sizeof *words);
}

static void test_small_slips_are_recognised(void **state)
{
    (void)state;
    assert_string_equal(ask("stps"), "steps");      /* left out */
    assert_string_equal(ask("stepss"), "steps");    /* doubled */
    assert_string_equal(ask("stesp"), "steps");     /* swapped: one slip */
    assert_string_equal(ask("tiemuot"), "timeout"); /* two slips */
    assert_string_equal(ask("naem"), "name");
    assert_string_equal(ask("use"), "uses");
}

static void test_other_words_are_not(void **state)
{
    (void)state;
    assert_null(ask("something"));
    assert_null(ask("tmut")); /* three letters of timeout are missing */
    assert_null(ask("nxmx")); /* short words: one slip only */
    assert_null(ask(""));
    char longest[200] = {0};
    memset(longest, 'a', 199);
    assert_null(ask(longest));
    assert_null(bw_suggest(BW_SLICE("x"), NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_small_slips_are_recognised), cmocka_unit_test(test_other_words_are_not)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
