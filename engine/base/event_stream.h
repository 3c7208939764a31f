/* event_stream.h: reads Server-Sent Events (text/event-stream) by the rules of the WHATWG HTML standard, 9.2.6, however the bytes are cut.
 *
 * Lines end in LF, CR or CRLF; a byte order mark in front is skipped; comments, `retry` and unknown fields are ignored; an event without data is
 * none. Nor is what the stream ends within, so there is nothing to finish. Bytes that are no UTF-8 are handed on as they are. Zero-initialise to
 * begin, bw_event_stream_free() to end. One thread. */
#ifndef BW_BASE_EVENT_STREAM_H
#define BW_BASE_EVENT_STREAM_H
#include "base/buf.h"

struct bw_event_stream {
    size_t max_bytes; /* that may be kept of one event and the line that is read; 0 = any */
    struct bw_buf line, data, name, id;
    unsigned mark;      /* bytes of a byte order mark seen so far; BW_EVENT_STREAM_MARK_OVER: the next byte is no part of one */
    bool was_cr;        /* the last byte has ended a line: an LF behind it is a part of that end */
    bool is_dispatched; /* data and name are those of the event that was given last */
};
#define BW_EVENT_STREAM_MARK_OVER 3
struct bw_stream_event {  /* borrowed until the next call */
    struct bw_slice name; /* `event`; "message" without one */
    struct bw_slice data; /* its lines, with LF between them */
    struct bw_slice id;   /* the last `id`, of this or an earlier event; may be empty */
};
enum bw_event_stream_state { BW_EVENT_STREAM_EVENT, BW_EVENT_STREAM_MORE, BW_EVENT_STREAM_TOO_LARGE, BW_EVENT_STREAM_MEMORY };
/* Takes bytes from the front of *bytes up to the end of the next event. EVENT: *event is one, *bytes what is behind it. MORE: all bytes were taken.
 * TOO_LARGE (an event beyond max_bytes), MEMORY: this stream can be read no further. */
enum bw_event_stream_state bw_event_stream_next(struct bw_event_stream *stream, struct bw_slice *bytes, struct bw_stream_event *event);
void bw_event_stream_free(struct bw_event_stream *stream);
#endif
