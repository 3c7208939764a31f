/* Server-Sent Events: what an event is by the standard, and that no cut of the bytes changes it. */
#include "base/event_stream.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

static void write_event(struct bw_buf *out, const struct bw_stream_event *event)
{
    bw_buf_append_char(out, '[');
    bw_buf_append_json_string(out, event->name);
    bw_buf_append_char(out, ',');
    bw_buf_append_json_string(out, event->data);
    bw_buf_append_char(out, ',');
    bw_buf_append_json_string(out, event->id);
    bw_buf_append_char(out, ']');
}

/* In pieces that end at those places; each piece is a block of its own, so that the address sanitizer sees a read beside it. */
static void read_cut(struct bw_slice text, const size_t *cuts, size_t cut_count, struct bw_buf *out)
{
    struct bw_event_stream stream = {0};
    struct bw_stream_event event;
    size_t from = 0;
    for (size_t i = 0; i <= cut_count; i++) {
        size_t to = i < cut_count ? cuts[i] : text.len;
        char *piece = malloc(to - from + 1);
        assert_non_null(piece);
        memcpy(piece, text.ptr + from, to - from);
        struct bw_slice bytes = {piece, to - from};
        enum bw_event_stream_state state;
        while ((state = bw_event_stream_next(&stream, &bytes, &event)) == BW_EVENT_STREAM_EVENT) write_event(out, &event);
        assert_int_equal(state, BW_EVENT_STREAM_MORE);
        assert_int_equal(bytes.len, 0);
        free(piece);
        from = to;
    }
    bw_event_stream_free(&stream);
}

static const struct {
    struct bw_slice text;
    const char *events;
} table[] = {
    {BW_SLICE("data: a\n\n"), "[\"message\",\"a\",\"\"]"},
    {BW_SLICE("data:a\n\ndata:  b\n\n"), "[\"message\",\"a\",\"\"][\"message\",\" b\",\"\"]"},
    {BW_SLICE("event: add\ndata: 1\n\ndata: 2\n\n"), "[\"add\",\"1\",\"\"][\"message\",\"2\",\"\"]"},
    {BW_SLICE("data: YHOO\ndata: +2\ndata: 10\n\n"), "[\"message\",\"YHOO\\n+2\\n10\",\"\"]"},
    /* the examples of the standard */
    {BW_SLICE(": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n"),
     "[\"message\",\"first event\",\"1\"][\"message\",\"second event\",\"\"][\"message\",\" third event\",\"\"]"},
    {BW_SLICE("data\n\ndata\ndata\n\ndata:"), "[\"message\",\"\",\"\"][\"message\",\"\\n\",\"\"]"},
    {BW_SLICE("data:test\n\ndata: test\n\n"), "[\"message\",\"test\",\"\"][\"message\",\"test\",\"\"]"},
    /* ends of lines */
    {BW_SLICE("data: a\r\rdata: b\r\n\r\ndata: c\n\r\ndata: d\r\n\n"),
     "[\"message\",\"a\",\"\"][\"message\",\"b\",\"\"][\"message\",\"c\",\"\"][\"message\",\"d\",\"\"]"},
    {BW_SLICE("data: a\r\ndata: b\rdata: c\n\r"), "[\"message\",\"a\\nb\\nc\",\"\"]"},
    {BW_SLICE("\n\r\r\n\ndata: x\n\n\n\n"), "[\"message\",\"x\",\"\"]"},
    {BW_SLICE("data: a\n\r\r\n\ndata: b\r\r"), "[\"message\",\"a\",\"\"][\"message\",\"b\",\"\"]"},
    /* the byte order mark: one, and only in front */
    {BW_SLICE("\xef\xbb\xbf"
              "data: a\n\n"),
     "[\"message\",\"a\",\"\"]"},
    {BW_SLICE("\xef\xbb\xbf\xef\xbb\xbf"
              "data: a\n\n"),
     ""},
    {BW_SLICE("data: a\n\n\xef\xbb\xbf"
              "data: b\n\n"),
     "[\"message\",\"a\",\"\"]"},
    {BW_SLICE("\xef\xbb"
              "data: a\n\ndata: b\n\n"),
     "[\"message\",\"b\",\"\"]"},
    {BW_SLICE("\xef\n\ndata: b\n\n"), "[\"message\",\"b\",\"\"]"},
    /* ids stay, one with NUL counts for nothing */
    {BW_SLICE("id: 7\ndata: a\n\ndata: b\n\nid: 8\0\ndata: c\n\nid:\ndata: d\n\n"),
     "[\"message\",\"a\",\"7\"][\"message\",\"b\",\"7\"][\"message\",\"c\",\"7\"][\"message\",\"d\",\"\"]"},
    {BW_SLICE("id: 9\n\ndata: a\n\n"), "[\"message\",\"a\",\"9\"]"},
    /* what is no event */
    {BW_SLICE("event: x\nid: 1\n\n"), ""},
    {BW_SLICE("event: x\n\ndata: a\n\n"), "[\"message\",\"a\",\"\"]"},
    {BW_SLICE("data: a\n\ndata: cut"), "[\"message\",\"a\",\"\"]"},
    {BW_SLICE("data: a\n\ndata: cut\n"), "[\"message\",\"a\",\"\"]"},
    {BW_SLICE(": ping\n:\nretry: 10\ndatas: x\n data: y\nDATA: z\nnothing\ndata : q\n\n"), ""},
    {BW_SLICE(""), ""},
    {BW_SLICE("event: a\nevent:\ndata: x\n\n"), "[\"message\",\"x\",\"\"]"},
    {BW_SLICE("data: {\"a\": \"b:c\"}\n\n"), "[\"message\",\"{\\\"a\\\": \\\"b:c\\\"}\",\"\"]"},
    {BW_SLICE("data: \xff\xfe\n\n"), "[\"message\",\"\xef\xbf\xbd\xef\xbf\xbd\",\"\"]"},
};

static void test_events_are_those_of_the_standard_at_every_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct bw_buf expected = {0}, got = {0};
        read_cut(table[i].text, NULL, 0, &expected);
        assert_string_equal(bw_buf_slice(&expected).ptr, table[i].events);
        for (size_t a = 0; a <= table[i].text.len; a++)
            for (size_t b = a; b <= table[i].text.len; b++) {
                const size_t cuts[] = {a, b};
                bw_buf_clear(&got);
                read_cut(table[i].text, cuts, 2, &got);
                if (!bw_slice_equal(bw_buf_slice(&got), bw_buf_slice(&expected))) fail_msg("entry %zu cut at %zu and %zu: %s", i, a, b, got.data);
            }
        bw_buf_free(&expected);
        bw_buf_free(&got);
    }
}

static void test_bytes_one_by_one_are_the_same(void **state)
{
    (void)state;
    size_t cuts[512];
    for (size_t i = 0; i < 512; i++) cuts[i] = i;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct bw_buf got = {0};
        read_cut(table[i].text, cuts, table[i].text.len, &got);
        assert_string_equal(bw_buf_slice(&got).ptr, table[i].events);
        bw_buf_free(&got);
    }
}

static enum bw_event_stream_state feed(struct bw_event_stream *stream, const char *text)
{
    struct bw_slice bytes = bw_slice_of(text);
    struct bw_stream_event event;
    enum bw_event_stream_state state;
    while ((state = bw_event_stream_next(stream, &bytes, &event)) == BW_EVENT_STREAM_EVENT) {
    }
    return state;
}

static void test_an_event_that_never_ends_is_too_large(void **state)
{
    (void)state;
    static const char *const endless[] = {"data: 0123456789\n", "x0123456789", "event: 01234567890123456789012345678901234567890123456789\n"};
    for (size_t i = 0; i < 3; i++) {
        struct bw_event_stream stream = {.max_bytes = 40};
        enum bw_event_stream_state last = BW_EVENT_STREAM_MORE;
        for (size_t k = 0; k < 6 && last == BW_EVENT_STREAM_MORE; k++) last = feed(&stream, endless[i]);
        assert_int_equal(last, BW_EVENT_STREAM_TOO_LARGE);
        bw_event_stream_free(&stream);
    }
    struct bw_event_stream stream = {.max_bytes = 40}; /* what was given, or ignored, counts no more */
    for (size_t k = 0; k < 50; k++) assert_int_equal(feed(&stream, "data: 01234567890123456789\n\n: 0123456789012345\n"), BW_EVENT_STREAM_MORE);
    bw_event_stream_free(&stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events_are_those_of_the_standard_at_every_cut),
        cmocka_unit_test(test_bytes_one_by_one_are_the_same),
        cmocka_unit_test(test_an_event_that_never_ends_is_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
