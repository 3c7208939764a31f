/* Links to the state of a run: what this store's key made is read back, and nothing else is. */
#include "wire/approval_token.h"
#include "wire/status_token.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t key[BW_SEAL_KEY_BYTES] = {1, 2, 3}, other_key[BW_SEAL_KEY_BYTES] = {1, 2, 4};
static const struct bw_status_token token = {.event = {{7, 8}}, .run = {{9}}};

static bool reads(const char *text, size_t len, const uint8_t *with)
{
    struct bw_status_token got;
    return bw_status_token_read((struct bw_slice){text, len}, with, &got);
}

static void test_what_was_made_is_read_back(void **state)
{
    struct bw_buf text = {0};
    struct bw_status_token got;
    (void)state;
    assert_true(bw_status_token_append(&text, key, &token));
    assert_true(bw_status_token_read(bw_buf_slice(&text), key, &got));
    assert_true(bw_uid_equal(got.event, token.event) && bw_uid_equal(got.run, token.run));
    assert_false(reads(text.data, text.len, other_key));
    bw_buf_free(&text);
}

static void test_no_other_text_is_a_link(void **state)
{
    struct bw_buf text = {0};
    (void)state;
    assert_true(bw_status_token_append(&text, key, &token));
    for (size_t i = 0; i < text.len; i++) {
        char was = text.data[i];
        text.data[i] = was == 'A' ? 'B' : 'A';
        assert_false(reads(text.data, text.len, key));
        text.data[i] = was;
        assert_false(reads(text.data, i, key));
    }
    bw_buf_append_char(&text, 'A');
    assert_false(reads(text.data, text.len, key));
    bw_buf_free(&text);
}

/* The same bytes sealed for another use of the key are no link to a state. */
static void test_a_link_to_an_approval_is_none_to_a_state(void **state)
{
    struct bw_buf text = {0};
    char step[] = "0123456789";
    (void)state;
    assert_true(bw_approval_token_append(&text, key, token.event, bw_slice_of(step), (struct bw_slice){0}, 0));
    assert_int_equal(text.len, 66); /* as long as one, and of version 1, too */
    assert_false(reads(text.data, text.len, key));
    bw_buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_what_was_made_is_read_back), cmocka_unit_test(test_no_other_text_is_a_link),
                                       cmocka_unit_test(test_a_link_to_an_approval_is_none_to_a_state)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
