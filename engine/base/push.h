/* push.h: what waits in a bufferevent's output is written at once, instead of when epoll has said that there is room. Nearly always there is. */
#ifndef BW_BASE_PUSH_H
#define BW_BASE_PUSH_H
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <stdbool.h>

/* True: all has left. False: the rest, or why there is none, comes with the loop's own write, if that is enabled. The loop's thread; plain sockets.
 */
static inline bool bw_push(struct bufferevent *stream)
{
    struct evbuffer *output = bufferevent_get_output(stream);
    evbuffer_unfreeze(output, 1); /* libevent opens its front for its own writes only */
    evbuffer_write(output, bufferevent_getfd(stream));
    evbuffer_freeze(output, 1);
    return evbuffer_get_length(output) == 0;
}
#endif
