/* event_stream: Server-Sent Events are those that a naive reader of the whole stream finds, however the bytes are cut.
 *
 * Input: a seed for the cuts, then the stream. The naive reader makes all ends of lines one, as the standard has it, and then looks at line by line.
 */
#include "base/event_stream.h"
#include "fuzz.h"
#include <string.h>

static void write_event(struct bw_buf *out, struct bw_slice name, struct bw_slice data, struct bw_slice id)
{
    struct bw_slice fields[] = {name, data, id};
    for (size_t i = 0; i < 3; i++) {
        bw_buf_printf(out, "%zu:", fields[i].len);
        bw_buf_append_slice(out, fields[i]);
    }
}

/* ---- the naive reader ---- */

static struct bw_slice value_of(struct bw_slice line, const char *field)
{
    size_t len = strlen(field);
    if (line.len < len || memcmp(line.ptr, field, len) != 0 || (line.len > len && line.ptr[len] != ':')) return (struct bw_slice){NULL, 0};
    if (line.len > len) len++;
    if (line.len > len && line.ptr[len] == ' ') len++;
    return (struct bw_slice){line.ptr + len, line.len - len};
}

static void read_naively(struct bw_slice text, struct bw_buf *out)
{
    struct bw_buf plain = {0}, data = {0};
    struct bw_slice name = {"", 0}, id = {"", 0}, value;
    if (text.len >= 3 && !memcmp(text.ptr, "\xef\xbb\xbf", 3)) text = (struct bw_slice){text.ptr + 3, text.len - 3};
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\r' && i + 1 < text.len && text.ptr[i + 1] == '\n') continue;
        bw_buf_append_char(&plain, text.ptr[i] == '\r' ? '\n' : text.ptr[i]);
    }
    struct bw_slice rest = bw_buf_slice(&plain);
    for (const char *end; (end = memchr(rest.ptr, '\n', rest.len));) {
        struct bw_slice line = {rest.ptr, (size_t)(end - rest.ptr)};
        rest = (struct bw_slice){end + 1, rest.len - line.len - 1};
        if (!line.len) {
            if (data.len) write_event(out, name.len ? name : BW_SLICE("message"), (struct bw_slice){data.data, data.len - 1}, id);
            bw_buf_clear(&data);
            name.len = 0;
        } else if ((value = value_of(line, "data")).ptr) {
            bw_buf_append_slice(&data, value);
            bw_buf_append_char(&data, '\n');
        } else if ((value = value_of(line, "event")).ptr) {
            name = value;
        } else if ((value = value_of(line, "id")).ptr && !memchr(value.ptr, '\0', value.len)) {
            id = value;
        }
    }
    bw_buf_free(&plain); /* name and id are not used behind this */
    bw_buf_free(&data);
}

/* ---- ours ---- */

static void read_cut(struct bw_slice text, struct fuzz_dice *dice, uint32_t longest, struct bw_buf *out)
{
    struct bw_event_stream stream = {0};
    struct bw_stream_event event;
    while (text.len) {
        size_t len = 1 + fuzz_roll(dice, longest);
        if (len > text.len) len = text.len;
        struct bw_slice piece = fuzz_copy((struct bw_slice){text.ptr, len}), bytes = piece;
        enum bw_event_stream_state state;
        while ((state = bw_event_stream_next(&stream, &bytes, &event)) == BW_EVENT_STREAM_EVENT) write_event(out, event.name, event.data, event.id);
        fuzz_check(state == BW_EVENT_STREAM_MORE && !bytes.len, "state %d, %zu bytes left", (int)state, bytes.len);
        free((char *)piece.ptr);
        text = (struct bw_slice){text.ptr + len, text.len - len};
    }
    bw_event_stream_free(&stream);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct bw_buf expected, got;
    struct bw_slice text = fuzz_input(data, size);
    struct fuzz_dice dice = fuzz_take_dice(&text);
    bw_buf_clear(&expected);
    bw_buf_clear(&got);
    read_naively(text, &expected);
    read_cut(text, &dice, 1 + fuzz_roll(&dice, 40), &got);
    fuzz_check(bw_slice_equal(bw_buf_slice(&expected), bw_buf_slice(&got)), "%.*s instead of %.*s", (int)got.len, got.data ? got.data : "",
               (int)expected.len, expected.data ? expected.data : "");
    return 0;
}
