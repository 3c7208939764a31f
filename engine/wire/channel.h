/* channel.h: one end of a socketpair on an event loop: frames in, frames out, both in batches.
 *
 * Everything sent within one turn of the loop leaves in as few writes as the socket takes; everything that arrived is decoded in one go. Owned and
 * used by the loop's thread. The handlers may send, and may close the channel (bw_channel_free from within a handler is allowed and takes effect
 * when the handler returns). */
#ifndef BW_WIRE_CHANNEL_H
#define BW_WIRE_CHANNEL_H
#include "base/json.h"
#include "wire/frame.h"
#include <event2/event.h>

struct bw_channel;
struct bw_message { /* borrowed until the handler returns */
    uint16_t type;
    const json_t *head;
    const struct bw_slice *parts;
    size_t part_count;
};
/* The part that a field of the head names: `from` is the object with the field, message->head or one in it. NULL: there is no such field, or no such
 * part. The peer is another process, and trusted with nothing: nobody reads message->parts by a number of its own. */
const struct bw_slice *bw_message_part(const struct bw_message *message, const json_t *from, const char *field);
struct bw_slice bw_message_part_or(const struct bw_message *message, const json_t *from, const char *field, struct bw_slice otherwise);
struct bw_channel_handlers {
    void (*message)(struct bw_channel *channel, const struct bw_message *message, void *arg);
    /* Called once, when the peer is gone (reason "closed") or broke the protocol (reason says how). No message follows. */
    void (*closed)(struct bw_channel *channel, const char *reason, void *arg);
};
/* Takes fd (makes it non-blocking, closes it in the end). NULL without memory. limit_bytes: the largest frame to accept. */
struct bw_channel *bw_channel_new(struct event_base *base, int fd, size_t limit_bytes, const struct bw_channel_handlers *handlers, void *arg);
void bw_channel_free(struct bw_channel *channel);
/* head: borrowed JSON object text without checking. Parts are copied. False when the channel is closed or memory ran out. */
bool bw_channel_send(struct bw_channel *channel, uint16_t type, struct bw_slice head, const struct bw_slice *parts, size_t part_count);
/* The same with a jansson head (borrowed). */
bool bw_channel_send_json(struct bw_channel *channel, uint16_t type, const json_t *head, const struct bw_slice *parts, size_t part_count);
/* The same without haste: it leaves in its order with the next message that is sent, or a millisecond later. */
bool bw_channel_send_later(struct bw_channel *channel, uint16_t type, struct bw_slice head, const struct bw_slice *parts, size_t part_count);
/* Nothing is read or delivered, no end either, until bw_channel_go_on(). From within the handler of a message: that one is delivered once more then.
 */
void bw_channel_hold(struct bw_channel *channel);
void bw_channel_go_on(struct bw_channel *channel); /* what has been read already is delivered before it returns: it may be freed by its handler */
size_t bw_channel_unsent(const struct bw_channel *channel); /* bytes not yet taken by the socket */
#endif
