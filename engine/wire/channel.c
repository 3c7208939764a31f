#include "wire/channel.h"
#include "base/json.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BYTES (4u << 10)   /* there is room for at least so much … */
#define KEPT_BYTES (64u << 10)  /* … and for so much when it comes in bursts; what a larger frame took is given back */
#define TURN_BYTES (256u << 10) /* read, or written, in one turn of the loop */
#define LATER_US 1000

/* No bufferevent: it asks how much there is before each read, and copies each frame once more. */
struct bw_channel {
    int fd;
    struct event *readable, *writable; /* the latter is also what is due at the end of a turn */
    struct event *later;               /* NULL: nothing was ever sent later */
    bool is_held;
    bool is_pushing; /* what did not fit into the socket is written when epoll says that there is room */
    bool is_broken;  /* nothing can be written any more; what the peer had sent before is still read */
    size_t limit_bytes;
    struct bw_channel_handlers handlers;
    void *arg;
    struct bw_buf in, out; /* from the first frame that is not complete; frames of which `sent` bytes have left */
    size_t sent;
    struct bw_frame frame; /* 256 KiB of slices: kept here, off the stack; pages that are not used are not there */
    bool is_closed, is_in_handler, is_freed;
};

static void destroy(struct bw_channel *channel)
{
    if (channel->readable) event_free(channel->readable);
    if (channel->writable) event_free(channel->writable);
    if (channel->later) event_free(channel->later);
    evutil_closesocket(channel->fd);
    bw_buf_free(&channel->in);
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
        event_del(channel->readable);
        event_del(channel->writable);
        if (channel->later) event_del(channel->later);
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
    json_t *head = bw_json_load_head(frame->head);
    if (!head) {
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

/* What has arrived, up to the frame that is not complete. False: nothing more is to be read. */
static bool take(struct bw_channel *channel)
{
    struct bw_error err;
    size_t taken = 0;
    for (;;) {
        int64_t whole =
            bw_frame_decode((struct bw_slice){channel->in.data + taken, channel->in.len - taken}, channel->limit_bytes, &channel->frame, &err);
        if (!whole) break;
        if (whole < 0) {
            close_with(channel, err.message);
            return false;
        }
        if (!deliver(channel)) return false;
        if (channel->is_held) break;
        taken += (size_t)whole;
    }
    channel->in.len -= taken;
    if (taken) memmove(channel->in.data, channel->in.data + taken, channel->in.len); /* not with each piece of a large frame */
    if (!channel->in.len && channel->in.capacity > KEPT_BYTES) bw_buf_free(&channel->in);
    return true;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct bw_channel *channel = arg;
    struct bw_buf *in = &channel->in;
    (void)what;
    if (channel->is_held) return;
    for (size_t left = TURN_BYTES; left;) {
        if (!bw_buf_reserve(in, READ_BYTES)) {
            close_with(channel, "out of memory");
            return;
        }
        size_t room = in->capacity - in->len - 1, wanted = room < left ? room : left;
        ssize_t got = read(fd, in->data + in->len, wanted);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN && !channel->is_broken) return;
        if (got <= 0) {
            close_with(channel, "closed");
            return;
        }
        in->len += (size_t)got;
        left -= (size_t)got;
        if (!take(channel) || channel->is_held) return;
        if ((size_t)got < wanted && !channel->is_broken) return; /* that was all: nobody is asked whether there is more */
        if (in->capacity < KEPT_BYTES) bw_buf_reserve(in, in->capacity);
    }
    if (channel->is_broken) event_active(channel->readable, EV_READ, 0);
}

void bw_channel_hold(struct bw_channel *channel)
{
    if (channel->is_closed || channel->is_held) return;
    channel->is_held = true;
    event_del(channel->readable);
}

void bw_channel_go_on(struct bw_channel *channel)
{
    if (channel->is_closed || !channel->is_held) return;
    channel->is_held = false;
    event_add(channel->readable, NULL);
    if (channel->is_broken) event_active(channel->readable, EV_READ, 0);
    if (!channel->is_in_handler) take(channel);
}

/* Behind whatever else is due in this turn of the loop: its messages leave together, and without asking epoll first whether there is room. That was
 * three system calls for each message of a call that goes through four processes. */
static void on_flush(evutil_socket_t fd, short what, void *arg)
{
    struct bw_channel *channel = arg;
    (void)what;
    size_t left = channel->out.len - channel->sent;
    ssize_t wrote = send(fd, channel->out.data + channel->sent, left < TURN_BYTES ? left : TURN_BYTES, MSG_NOSIGNAL);
    if (wrote > 0) channel->sent += (size_t)wrote;
    channel->is_broken = wrote < 0 && errno != EAGAIN && errno != EINTR;
    channel->is_pushing = !channel->is_broken && channel->sent < channel->out.len && !event_add(channel->writable, NULL);
    if (channel->is_broken) event_active(channel->readable, EV_READ, 0);
    if (channel->sent < channel->out.len) return;
    channel->sent = 0;
    bw_buf_clear(&channel->out);
    if (channel->out.capacity > KEPT_BYTES) bw_buf_free(&channel->out);
}

struct bw_channel *bw_channel_new(struct event_base *base, int fd, size_t limit_bytes, const struct bw_channel_handlers *handlers, void *arg)
{
    struct bw_channel *channel = calloc(1, sizeof *channel);
    if (!channel) {
        evutil_closesocket(fd);
        return NULL;
    }
    evutil_make_socket_nonblocking(fd);
    evutil_make_socket_closeonexec(fd);
    channel->fd = fd;
    channel->limit_bytes = limit_bytes;
    channel->handlers = *handlers;
    channel->arg = arg;
    channel->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, channel);
    channel->writable = event_new(base, fd, EV_WRITE, on_flush, channel);
    if (channel->readable && channel->writable && !event_add(channel->readable, NULL)) return channel;
    destroy(channel);
    return NULL;
}

/* Moved to the front when that is less than what has left since the last time. */
static void close_up(struct bw_channel *channel)
{
    if (channel->sent <= channel->out.len / 2) return;
    channel->out.len -= channel->sent;
    memmove(channel->out.data, channel->out.data + channel->sent, channel->out.len);
    channel->sent = 0;
}

static bool append(struct bw_channel *channel, uint16_t type, struct bw_slice head, const struct bw_slice *parts, size_t part_count)
{
    if (channel->is_closed) return false;
    close_up(channel);
    bw_frame_encode(&channel->out, type, head, parts, part_count);
    bool has_failed = channel->out.failed; /* then nothing of it was appended */
    channel->out.failed = false;
    return !has_failed;
}

static void on_later(evutil_socket_t fd, short what, void *arg)
{
    struct bw_channel *channel = arg;
    (void)fd, (void)what;
    if (channel->sent < channel->out.len && !channel->is_pushing && !channel->is_broken) event_active(channel->writable, EV_WRITE, 0);
}

bool bw_channel_send_later(struct bw_channel *channel, uint16_t type, struct bw_slice head, const struct bw_slice *parts, size_t part_count)
{
    if (!channel->later) channel->later = event_new(event_get_base(channel->readable), -1, 0, on_later, channel);
    if (!channel->later) return false;
    if (!append(channel, type, head, parts, part_count)) return false;
    if (!event_pending(channel->later, EV_TIMEOUT, NULL)) event_add(channel->later, &(struct timeval){.tv_usec = LATER_US});
    return true;
}

bool bw_channel_send(struct bw_channel *channel, uint16_t type, struct bw_slice head, const struct bw_slice *parts, size_t part_count)
{
    if (!append(channel, type, head, parts, part_count)) return false;
    if (!channel->is_pushing && !channel->is_broken) event_active(channel->writable, EV_WRITE, 0);
    return true;
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
    return channel->out.len - channel->sent;
}

const struct bw_slice *bw_message_part(const struct bw_message *message, const json_t *from, const char *field)
{
    int64_t part = bw_json_int(from, field, -1);
    return part >= 0 && (uint64_t)part < message->part_count ? &message->parts[part] : NULL;
}

struct bw_slice bw_message_part_or(const struct bw_message *message, const json_t *from, const char *field, struct bw_slice otherwise)
{
    const struct bw_slice *part = bw_message_part(message, from, field);
    return part ? *part : otherwise;
}
