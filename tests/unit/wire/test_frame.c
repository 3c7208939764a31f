/* Frames: what was put in comes out, half a frame is never taken for a whole one, and no length from the peer is believed. */
#include "wire/frame.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#define LIMIT (1u << 20)

static void put_u32(unsigned char *at, uint32_t value)
{
    for (int i = 0; i < 4; i++) at[i] = (unsigned char)(value >> 8 * i);
}

/* Decodes a copy of exactly these bytes, so that the sanitizer sees a read behind them. */
static int64_t decode(const void *bytes, size_t len, size_t limit, struct bw_frame *frame, struct bw_error *err)
{
    static char *exact; /* kept until the next call: the frame points into it */
    free(exact);
    exact = malloc(len ? len : 1);
    assert_non_null(exact);
    if (len) memcpy(exact, bytes, len);
    return bw_frame_decode((struct bw_slice){exact, len}, limit, frame, err);
}

static void test_a_frame_comes_back_as_it_was(void **state)
{
    (void)state;
    static struct bw_frame frame;
    struct bw_buf out = {0};
    struct bw_error err;
    const struct bw_slice parts[] = {BW_SLICE("first"), BW_SLICE(""), {"a\0b", 3}};
    bw_frame_encode(&out, 4, BW_SLICE("{\"a\":1}"), parts, 3);
    assert_false(out.failed);
    assert_int_equal(decode(out.data, out.len, LIMIT, &frame, &err), out.len);
    assert_int_equal(frame.type, 4);
    assert_true(bw_slice_is(frame.head, "{\"a\":1}"));
    assert_int_equal(frame.part_count, 3);
    for (size_t i = 0; i < 3; i++) assert_true(bw_slice_equal(frame.parts[i], parts[i]));
    bw_buf_free(&out);
}

static void test_every_cut_of_a_frame_asks_for_more(void **state)
{
    (void)state;
    static struct bw_frame frame;
    struct bw_buf out = {0};
    struct bw_error err;
    const struct bw_slice parts[] = {BW_SLICE("first"), BW_SLICE("second")};
    bw_frame_encode(&out, 1, BW_SLICE("{}"), parts, 2);
    for (size_t cut = 0; cut < out.len; cut++) assert_int_equal(decode(out.data, cut, LIMIT, &frame, &err), 0);
    bw_buf_free(&out);
}

static void test_what_follows_a_frame_is_left_alone(void **state)
{
    (void)state;
    static struct bw_frame frame;
    struct bw_buf out = {0};
    struct bw_error err;
    bw_frame_encode(&out, 1, BW_SLICE("{}"), NULL, 0);
    size_t first = out.len;
    bw_frame_encode(&out, 2, BW_SLICE("{}"), NULL, 0);
    assert_int_equal(decode(out.data, out.len, LIMIT, &frame, &err), first);
    assert_int_equal(frame.type, 1);
    bw_buf_free(&out);
}

static void test_lengths_that_do_not_add_up_are_refused(void **state)
{
    (void)state;
    static struct bw_frame frame;
    static const struct {
        uint32_t rest, parts, head, part[2];
        const char *code;
    } cases[] = {
        {4, 0, 5, {0, 0}, "frame.malformed"},           /* the head is longer than the frame */
        {4, 0, 0xffffffff, {0, 0}, "frame.malformed"},  /* ... by so much that a 32-bit sum would wrap */
        {4, 2, 0, {0, 0}, "frame.malformed"},           /* no room for the table of lengths */
        {12, 1, 2, {7, 0}, "frame.malformed"},          /* a part ends behind the frame */
        {12, 1, 2, {0xffffffff, 0}, "frame.malformed"}, /* ... far behind */
        {16, 2, 2, {6, 0xfffffff8}, "frame.malformed"}, /* two parts whose 32-bit sum would fit */
        {12, 1, 2, {5, 0}, "frame.malformed"},          /* a byte that nobody owns */
        {LIMIT, BW_FRAME_PARTS_MAX + 1, 0, {0, 0}, "frame.too_large"},
        {8192, BW_FRAME_PARTS_MAX + 1, 0, {0, 0}, "frame.malformed"},
        {LIMIT - BW_FRAME_HEADER + 1, 0, 2, {0, 0}, "frame.too_large"},
        {0xffffffff, 0, 2, {0, 0}, "frame.too_large"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned char bytes[28] = {0};
        struct bw_error err;
        put_u32(bytes, cases[i].rest);
        put_u32(bytes + 4, 1 | cases[i].parts << 16);
        put_u32(bytes + 8, cases[i].head);
        put_u32(bytes + 12, cases[i].part[0]);
        put_u32(bytes + 16, cases[i].part[1]);
        assert_int_equal(decode(bytes, sizeof bytes, LIMIT, &frame, &err), -1);
        assert_string_equal(err.code, cases[i].code);
    }
}

static void test_no_frame_is_built_that_the_peer_would_refuse(void **state)
{
    (void)state;
    static struct bw_frame frame;
    static struct bw_slice many[BW_FRAME_PARTS_MAX + 1];
    struct bw_buf out = {0};
    struct bw_error err;
    char *huge = calloc(1, BW_FRAME_BYTES_MAX);
    assert_non_null(huge);
    bw_frame_encode(&out, 1, BW_SLICE("{}"), many, BW_FRAME_PARTS_MAX + 1);
    assert_true(out.failed);
    bw_buf_clear(&out);
    /* The largest that is built is the largest that is taken. */
    const struct bw_slice fits = {huge, BW_FRAME_BYTES_MAX - BW_FRAME_HEADER - 4 - 2}, over = {huge, fits.len + 1};
    bw_frame_encode(&out, 1, BW_SLICE("{}"), &over, 1);
    assert_true(out.failed);
    bw_buf_clear(&out);
    bw_frame_encode(&out, 1, BW_SLICE("{}"), &fits, 1);
    assert_false(out.failed);
    assert_int_equal(bw_frame_decode(bw_buf_slice(&out), BW_FRAME_BYTES_MAX, &frame, &err), out.len);
    bw_buf_free(&out);
    free(huge);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_frame_comes_back_as_it_was),
        cmocka_unit_test(test_every_cut_of_a_frame_asks_for_more),
        cmocka_unit_test(test_what_follows_a_frame_is_left_alone),
        cmocka_unit_test(test_lengths_that_do_not_add_up_are_refused),
        cmocka_unit_test(test_no_frame_is_built_that_the_peer_would_refuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
