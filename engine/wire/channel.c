#include "wire/channel.h"
#include "base/json.h"
#include "base/push.h"
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <stdlib.h>

struct bw_channel {
    struct bufferevent *stream;
    struct event *flush;
    bool is_pushing; /* what did not fit into the socket is written when epoll says that there is room */
    size_t limit_bytes;
    struct bw_channel_handlers handlers;
    void *arg;
    struct bw_buf out;     /* one frame being built; its memory is reused */
    struct bw_frame frame; /* 256 KiB of slices: kept here, off the stack; pages that are not used are not there */
    bool is_closed, is_in_handler, is_freed;
};

static void destroy(struct bw_channel *channel)
{
    if (channel->flush) event_free(channel->flush);
    if (channel->stream) bufferevent_free(channel->stream);
    bw_buf_free(&channel->out);
    free(channel);
}

void bw_channel_free(struct bw_channel *channel)
{
    if (!channel) return;
    channel->is_freed = true;
    channel->is_closed = true;
    if (!channel->is_in_handler) destroy(channel);
}

/* Returns false when the channel is gone. */
static bool close_with(struct bw_channel *channel, const char *reason)
{
    if (!channel->is_closed) {
        channel->is_closed = true;
        bufferevent_disable(channel->stream, EV_READ | EV_WRITE);
        channel->is_in_handler = true;
        channel->handlers.closed(channel, reason, channel->arg);
        channel->is_in_handler = false;
    }
    if (!channel->is_freed) return true;
    destroy(channel);
    return false;
}

static bool deliver(struct bw_channel *channel)
{
    struct bw_error err;
    const struct bw_frame *frame = &channel->frame;
    /* A line of ctx.log or a name in a message may hold a NUL: that is the user's affair, not a broken peer. */
    json_t *head = frame->head.len ? json_loadb(frame->head.ptr, frame->head.len, JSON_ALLOW_NUL, NULL) : NULL;
    if (!json_is_object(head)) {
        json_decref(head);
        bw_error_set(&err, "frame.malformed", "the head of a frame is no JSON object");
        return close_with(channel, err.message) && false;
    }
    const struct bw_message message = {frame->type, head, frame->parts, frame->part_count};
    channel->is_in_handler = true;
    channel->handlers.message(channel, &message, channel->arg);
    channel->is_in_handler = false;
    json_decref(head);
    if (!channel->is_freed) return !channel->is_closed;
    destroy(channel);
    return false;
}

static void on_readable(struct bufferevent *stream, void *arg)
{
    struct bw_channel *channel = arg;
    struct evbuffer *in = bufferevent_get_input(stream);
    struct bw_error err;
    for (;;) {
        size_t available = evbuffer_get_length(in), header = available < BW_FRAME_HEADER ? available : BW_FRAME_HEADER;
        const char *bytes = header ? (const char *)evbuffer_pullup(in, (ev_ssize_t)header) : NULL;
        if (!bytes || header < BW_FRAME_HEADER) return;
        /* Only what belongs to this frame is made contiguous: the rest of a burst is not copied for each frame again. */
        uint32_t rest = (uint32_t)(unsigned char)bytes[0] | (uint32_t)(unsigned char)bytes[1] << 8 | (uint32_t)(unsigned char)bytes[2] << 16 |
                        (uint32_t)(unsigned char)bytes[3] << 24;
        size_t whole = (size_t)rest + BW_FRAME_HEADER;
        if (whole <= channel->limit_bytes && available < whole) return;
        size_t wanted = whole <= channel->limit_bytes ? whole : BW_FRAME_HEADER;
        if (!(bytes = (const char *)evbuffer_pullup(in, (ev_ssize_t)wanted))) {
            close_with(channel, "out of memory");
            return;
        }
        int64_t taken = bw_frame_decode((struct bw_slice){bytes, wanted}, channel->limit_bytes, &channel->frame, &err);
        if (taken <= 0) {
            close_with(channel, taken < 0 ? err.message : "the lengths of a frame do not add up");
            return;
        }
        if (!deliver(channel)) return;
        evbuffer_drain(in, (size_t)taken);
    }
}

static void on_event(struct bufferevent *stream, short what, void *arg)
{
    (void)stream;
    if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) close_with(arg, "closed");
}

/* Behind whatever else is due in this turn of the loop: its messages leave together, and without asking epoll first whether there is room. That was
 * three system calls for each message of a call that goes through four processes. What goes wrong here goes wrong again in the loop's write, and is
 * heard of there. */
static void on_flush(evutil_socket_t fd, short what, void *arg)
{
    struct bw_channel *channel = arg;
    (void)fd, (void)what;
    if (channel->is_closed || bw_push(channel->stream)) return;
    channel->is_pushing = true;
    bufferevent_enable(channel->stream, EV_WRITE);
}

struct bw_channel *bw_channel_new(struct event_base *base, int fd, size_t limit_bytes, const struct bw_channel_handlers *handlers, void *arg)
{
    struct bw_channel *channel = calloc(1, sizeof *channel);
    evutil_make_socket_nonblocking(fd);
    evutil_make_socket_closeonexec(fd);
    if (!channel || !(channel->flush = event_new(base, -1, 0, on_flush, channel)) ||
        !(channel->stream = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE))) {
        if (channel && channel->flush) event_free(channel->flush);
        free(channel);
        evutil_closesocket(fd);
        return NULL;
    }
    channel->limit_bytes = limit_bytes;
    channel->handlers = *handlers;
    channel->arg = arg;
    bufferevent_set_max_single_read(channel->stream, 1 << 18); /* the default of 16 KiB would cost a turn of the loop every few frames */
    bufferevent_set_max_single_write(channel->stream, 1 << 18);
    bufferevent_setcb(channel->stream, on_readable, NULL, on_event, channel);
    bufferevent_disable(channel->stream, EV_WRITE);
    bufferevent_enable(channel->stream, EV_READ);
    return channel;
}

bool bw_channel_send(struct bw_channel *channel, uint16_t type, struct bw_slice head, const struct bw_slice *parts, size_t part_count)
{
    if (channel->is_closed) return false;
    bw_buf_clear(&channel->out);
    bw_frame_encode(&channel->out, type, head, parts, part_count);
    if (channel->out.failed) return false;
    if (channel->is_pushing && !bw_channel_unsent(channel)) {
        channel->is_pushing = false;
        bufferevent_disable(channel->stream, EV_WRITE);
    }
    bool sent = bufferevent_write(channel->stream, channel->out.data, channel->out.len) == 0;
    if (!channel->is_pushing) event_active(channel->flush, EV_WRITE, 0);
    if (channel->out.capacity > 1 << 20) bw_buf_free(&channel->out); /* one huge frame must not keep its memory */
    return sent;
}

bool bw_channel_send_json(struct bw_channel *channel, uint16_t type, const json_t *head, const struct bw_slice *parts, size_t part_count)
{
    struct bw_buf text = {0};
    bw_json_append(&text, head);
    bool sent = !text.failed && bw_channel_send(channel, type, bw_buf_slice(&text), parts, part_count);
    bw_buf_free(&text);
    return sent;
}

size_t bw_channel_unsent(const struct bw_channel *channel)
{
    return evbuffer_get_length(bufferevent_get_output(channel->stream));
}
