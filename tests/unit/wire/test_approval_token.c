/* Links to approvals: what this store's key made is read back, and nothing else is. */
#include "base/codec.h"
#include "wire/approval_token.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static const uint8_t key[BW_APPROVAL_KEY_BYTES] = {1, 2, 3}, other_key[BW_APPROVAL_KEY_BYTES] = {1, 2, 4};
static const struct bw_uid run = {{9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 255, 254, 253, 252, 251, 250}};
#define EXPIRES_MS 1795485722717LL

static struct bw_buf token_of(const char *step)
{
    struct bw_buf text = {0};
    assert_true(bw_approval_token_append(&text, key, run, bw_slice_of(step), (struct bw_slice){0}, EXPIRES_MS));
    return text;
}

static bool reads(const char *text, size_t len)
{
    struct bw_approval_token token;
    return bw_approval_token_read((struct bw_slice){text, len}, key, &token);
}

static void test_a_token_is_read_back(void **state)
{
    (void)state;
    struct bw_buf text = token_of("review");
    struct bw_approval_token token;
    assert_true(bw_approval_token_read(bw_buf_slice(&text), key, &token));
    assert_true(bw_uid_equal(token.run, run));
    assert_string_equal(token.step, "review");
    assert_true(token.expires_ms == EXPIRES_MS);
    assert_int_equal(strspn(text.data, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), text.len); /* goes into a path as it is */
    bw_buf_free(&text);
}

static void test_the_longest_step_fits_and_a_longer_one_is_refused(void **state)
{
    (void)state;
    char step[BW_APPROVAL_STEP_MAX + 2];
    struct bw_approval_token token;
    struct bw_buf none = {0};
    memset(step, 's', sizeof step);
    step[BW_APPROVAL_STEP_MAX] = '\0';
    struct bw_buf text = token_of(step);
    assert_true(bw_approval_token_read(bw_buf_slice(&text), key, &token));
    assert_string_equal(token.step, step);
    bw_buf_free(&text);
    assert_false(bw_approval_token_append(&none, key, run, (struct bw_slice){step, BW_APPROVAL_STEP_MAX + 1}, (struct bw_slice){0}, EXPIRES_MS));
    assert_false(bw_approval_token_append(&none, key, run, (struct bw_slice){step, 0}, (struct bw_slice){0}, EXPIRES_MS));
    bw_buf_free(&none);
}

static void test_whose_it_is_is_read_back(void **state)
{
    (void)state;
    char step[BW_APPROVAL_STEP_MAX + 1] = "", actor[BW_APPROVAL_ACTOR_MAX + 2] = "";
    struct bw_buf none = {0};
    memset(step, 's', BW_APPROVAL_STEP_MAX);
    memset(actor, 'a', BW_APPROVAL_ACTOR_MAX);
    const struct {
        const char *step, *actor;
    } cases[] = {{"ask", "ann@example.com"}, {"a", "b"}, {step, actor}, {"ab", ""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bw_buf text = {0};
        struct bw_approval_token token;
        assert_true(bw_approval_token_append(&text, key, run, bw_slice_of(cases[i].step), bw_slice_of(cases[i].actor), EXPIRES_MS));
        assert_true(bw_approval_token_read(bw_buf_slice(&text), key, &token));
        assert_string_equal(token.step, cases[i].step);
        assert_string_equal(token.actor, cases[i].actor);
        assert_true(token.expires_ms == EXPIRES_MS && bw_uid_equal(token.run, run));
        bw_buf_free(&text);
    }
    actor[BW_APPROVAL_ACTOR_MAX] = 'a';
    assert_false(bw_approval_token_append(&none, key, run, BW_SLICE("ask"), bw_slice_of(actor), EXPIRES_MS));
    bw_buf_free(&none);
}

static void test_another_key_made_another_token(void **state)
{
    (void)state;
    struct bw_buf text = token_of("review");
    struct bw_approval_token token;
    assert_false(bw_approval_token_read(bw_buf_slice(&text), other_key, &token));
    bw_buf_free(&text);
}

static void test_a_token_with_any_bit_altered_is_refused(void **state)
{
    (void)state;
    struct bw_buf text = token_of("review");
    uint8_t bytes[128];
    size_t len;
    assert_true(bw_base64url_decode(bw_buf_slice(&text), bytes, sizeof bytes, &len));
    for (size_t bit = 0; bit < 8 * len; bit++) {
        struct bw_buf altered = {0};
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        bw_base64url_append(&altered, bytes, len);
        if (reads(altered.data, altered.len)) fail_msg("bit %zu does not matter", bit);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        bw_buf_free(&altered);
    }
    assert_true(reads(text.data, text.len));
    bw_buf_free(&text);
}

static void test_a_token_with_any_character_changed_added_or_missing_is_refused(void **state)
{
    (void)state;
    struct bw_buf text = token_of("review_it"); /* of a length that leaves unused bits in the last character */
    for (size_t i = 0; i < text.len; i++) {
        char was = text.data[i];
        for (int c = 1; c < 256; c++) {
            text.data[i] = (char)c;
            if (c != (unsigned char)was && reads(text.data, text.len)) fail_msg("character %zu may be %c", i, c);
        }
        text.data[i] = was;
    }
    for (size_t len = 0; len < text.len; len++) assert_false(reads(text.data, len));
    bw_buf_append_char(&text, 'A');
    assert_false(reads(text.data, text.len));
    bw_buf_free(&text);
}

static void test_what_is_far_too_long_is_refused(void **state)
{
    (void)state;
    char text[5000];
    memset(text, 'A', sizeof text);
    for (size_t len = 0; len < sizeof text; len += 7) assert_false(reads(text, len));
}

/* ---- callbacks ---- */

static void test_a_callback_is_read_back_and_is_no_approval(void **state)
{
    (void)state;
    const struct bw_callback_turn turn = {4000000000u, 7, 1795485722717LL};
    struct bw_callback_turn read;
    struct bw_approval_token token;
    struct bw_buf text = {0}, approval = {0};
    assert_true(bw_callback_token_append(&text, key, run, BW_SLICE("order"), &turn, EXPIRES_MS));
    assert_true(bw_callback_token_read(bw_buf_slice(&text), key, &token, &read));
    assert_true(bw_uid_equal(token.run, run));
    assert_string_equal(token.step, "order");
    assert_true(token.expires_ms == EXPIRES_MS);
    assert_true(read.iteration == turn.iteration && read.attempt == turn.attempt && read.started_ms == turn.started_ms);
    assert_false(bw_callback_token_read(bw_buf_slice(&text), other_key, &token, &read));
    assert_false(reads(text.data, text.len));
    assert_true(bw_approval_token_append(&approval, key, run, BW_SLICE("order"), BW_SLICE("1.2.3"), EXPIRES_MS));
    assert_false(bw_callback_token_read(bw_buf_slice(&approval), key, &token, &read));
    for (size_t i = 0; i < text.len; i++) {
        char was = text.data[i];
        text.data[i] = was == 'A' ? 'B' : 'A';
        assert_false(bw_callback_token_read(bw_buf_slice(&text), key, &token, &read));
        text.data[i] = was;
    }
    bw_buf_free(&text);
    bw_buf_free(&approval);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_token_is_read_back),
        cmocka_unit_test(test_the_longest_step_fits_and_a_longer_one_is_refused),
        cmocka_unit_test(test_whose_it_is_is_read_back),
        cmocka_unit_test(test_another_key_made_another_token),
        cmocka_unit_test(test_a_token_with_any_bit_altered_is_refused),
        cmocka_unit_test(test_a_token_with_any_character_changed_added_or_missing_is_refused),
        cmocka_unit_test(test_what_is_far_too_long_is_refused),
        cmocka_unit_test(test_a_callback_is_read_back_and_is_no_approval),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
