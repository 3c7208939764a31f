#include "base/event_stream.h"

static const char byte_order_mark[] = "\xef\xbb\xbf";

static void set(struct bw_buf *field, struct bw_slice value)
{
    field->len = 0; /* not bw_buf_clear(): that would forget a failure */
    bw_buf_append_slice(field, value);
}

/* A line without its end. True: an event is complete. */
static bool take_line(struct bw_event_stream *stream, struct bw_slice line)
{
    if (!line.len) {
        if (stream->data.len) return true;
        stream->name.len = 0;
        return false;
    }
    const char *colon = memchr(line.ptr, ':', line.len);
    struct bw_slice name = {line.ptr, colon ? (size_t)(colon - line.ptr) : line.len}, value = {"", 0};
    if (colon) value = (struct bw_slice){colon + 1, line.len - name.len - 1};
    if (value.len && *value.ptr == ' ') value = (struct bw_slice){value.ptr + 1, value.len - 1};
    if (bw_slice_is(name, "data")) {
        bw_buf_append_slice(&stream->data, value);
        bw_buf_append_char(&stream->data, '\n');
    } else if (bw_slice_is(name, "event")) {
        set(&stream->name, value);
    } else if (bw_slice_is(name, "id") && !memchr(value.ptr, '\0', value.len)) {
        set(&stream->id, value);
    }
    return false;
}

static void skip_mark(struct bw_event_stream *stream, struct bw_slice *bytes)
{
    while (bytes->len && stream->mark < BW_EVENT_STREAM_MARK_OVER) {
        if (*bytes->ptr != byte_order_mark[stream->mark]) { /* it was the beginning of a line that only looks like one */
            bw_buf_append(&stream->line, byte_order_mark, stream->mark);
            stream->mark = BW_EVENT_STREAM_MARK_OVER;
            return;
        }
        stream->mark++;
        *bytes = (struct bw_slice){bytes->ptr + 1, bytes->len - 1};
    }
}

static size_t until_line_end(struct bw_slice bytes)
{
    const char *lf = memchr(bytes.ptr, '\n', bytes.len);
    size_t len = lf ? (size_t)(lf - bytes.ptr) : bytes.len;
    const char *cr = memchr(bytes.ptr, '\r', len);
    return cr ? (size_t)(cr - bytes.ptr) : len;
}

enum bw_event_stream_state bw_event_stream_next(struct bw_event_stream *stream, struct bw_slice *bytes, struct bw_stream_event *event)
{
    if (stream->is_dispatched) stream->data.len = stream->name.len = 0;
    stream->is_dispatched = false;
    skip_mark(stream, bytes);
    while (bytes->len) {
        if (stream->was_cr && *bytes->ptr == '\n') *bytes = (struct bw_slice){bytes->ptr + 1, bytes->len - 1};
        stream->was_cr = false;
        if (!bytes->len) break;
        size_t len = until_line_end(*bytes);
        if (stream->max_bytes && stream->line.len + stream->data.len + stream->name.len + len > stream->max_bytes) return BW_EVENT_STREAM_TOO_LARGE;
        bool is_cut = len == bytes->len, is_complete = false;
        struct bw_slice line = {bytes->ptr, len};
        if (is_cut || stream->line.len) {
            bw_buf_append_slice(&stream->line, line);
            line = bw_buf_slice(&stream->line);
        }
        if (!is_cut) {
            stream->was_cr = bytes->ptr[len] == '\r';
            is_complete = take_line(stream, line);
            stream->line.len = 0;
        }
        if (stream->line.failed || stream->data.failed || stream->name.failed || stream->id.failed) return BW_EVENT_STREAM_MEMORY;
        *bytes = (struct bw_slice){bytes->ptr + len + !is_cut, bytes->len - len - !is_cut};
        if (!is_complete) continue;
        stream->is_dispatched = true;
        *event = (struct bw_stream_event){.name = stream->name.len ? bw_buf_slice(&stream->name) : BW_SLICE("message"),
                                          .data = {stream->data.data, stream->data.len - 1},
                                          .id = bw_buf_slice(&stream->id)};
        return BW_EVENT_STREAM_EVENT;
    }
    return BW_EVENT_STREAM_MORE;
}

void bw_event_stream_free(struct bw_event_stream *stream)
{
    bw_buf_free(&stream->line);
    bw_buf_free(&stream->data);
    bw_buf_free(&stream->name);
    bw_buf_free(&stream->id);
}
