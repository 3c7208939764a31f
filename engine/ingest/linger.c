#include "ingest/linger.h"
#include "base/clock.h"
#include "ingest/priorities.h"
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINGER_US 10000000
#define SILENCE_US 2000000
#define LINGER_BYTES (64u * 1024 * 1024)
#define PIECE_BYTES 65536
#define PIECES_AT_ONCE 16 /* others want to be heard as well */
#define UNHEARD_US 250000
#define SHARE_BYTES (16u * 1024 * 1024) /* of each sweep, while the loop is never idle: 64 MiB a second */

struct bw_linger {
    struct bw_loop *loop;
    struct bw_linger *previous, *next;
    struct event *readable;
    struct bw_origin origin;
    int fd;
    int64_t since_us, heard_us;
    size_t dropped;
};

static void end(struct bw_linger *linger)
{
    struct bw_loop *loop = linger->loop;
    if (linger->previous)
        linger->previous->next = linger->next;
    else
        loop->lingering = linger->next;
    if (linger->next) linger->next->previous = linger->previous;
    loop->lingering_count--;
    if (linger->readable) event_free(linger->readable);
    close(linger->fd);
    bw_origins_leave(loop->ingest->origins, &linger->origin);
    atomic_fetch_sub_explicit(&loop->ingest->live, 1, memory_order_relaxed);
    free(linger);
}

/* False: the peer has closed, or the connection is broken. */
static bool drop(int fd, size_t pieces, size_t *dropped)
{
    char piece[PIECE_BYTES]; /* with MSG_TRUNC TCP does not even copy into it; other sockets do */
    for (size_t i = 0; i < pieces; i++) {
        ssize_t len = recv(fd, piece, sizeof piece, MSG_DONTWAIT | MSG_TRUNC);
        if (len < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
        if (len == 0) return false;
        *dropped += (size_t)len;
    }
    return true;
}

static bool hear(struct bw_linger *linger, int64_t now_us) /* false: it is over */
{
    size_t before = linger->dropped;
    bool is_open = drop(linger->fd, PIECES_AT_ONCE, &linger->dropped);
    if (linger->dropped > before) linger->heard_us = now_us;
    return is_open && linger->dropped <= LINGER_BYTES && now_us - linger->since_us <= LINGER_US && now_us - linger->heard_us <= SILENCE_US;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    if (!hear(arg, bw_clock_mono_us())) end(arg);
}

static bool has_room(const struct bw_loop *loop)
{
    return loop->lingering_count < loop->ingest->live_max / loop->ingest->loop_count / 4;
}

bool bw_linger(struct bw_loop *loop, int fd, struct bw_origin *origin, bool is_told)
{
    char byte;
    ssize_t unread = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    bool may_come = unread > 0 || (unread < 0 && is_told && (errno == EAGAIN || errno == EWOULDBLOCK));
    struct bw_linger *linger = may_come && has_room(loop) ? calloc(1, sizeof *linger) : NULL;
    if (!linger) {
        size_t dropped = 0;
        if (unread > 0) drop(fd, PIECES_AT_ONCE, &dropped);
        return false;
    }
    *linger = (struct bw_linger){.loop = loop, .fd = fd, .since_us = bw_clock_mono_us()};
    linger->heard_us = linger->since_us;
    /* What is dropped is of use to nobody but who sends it: whoever is still to be answered goes first. */
    linger->readable = event_new(loop->base, fd, EV_READ | EV_PERSIST, on_readable, linger);
    if (!linger->readable || event_priority_set(linger->readable, BW_PRIORITY_IDLE) || event_add(linger->readable, NULL) || shutdown(fd, SHUT_WR)) {
        if (linger->readable) event_free(linger->readable);
        free(linger);
        return false;
    }
    linger->origin = *origin;
    origin->is_counted = false;
    atomic_fetch_add_explicit(&loop->ingest->live, 1, memory_order_relaxed);
    linger->next = loop->lingering;
    if (linger->next) linger->next->previous = linger;
    loop->lingering = linger;
    loop->lingering_count++;
    return true;
}

/* A loop with better things to do hears nobody (see bw_linger()): here it hears some, so that they can go on sending until they listen. */
void bw_linger_sweep(struct bw_loop *loop, int64_t now_us)
{
    size_t heard = 0;
    for (struct bw_linger *linger = loop->lingering, *next; linger; linger = next) {
        next = linger->next;
        size_t before = linger->dropped;
        bool is_over = now_us - linger->since_us > LINGER_US;
        if (!is_over && now_us - linger->heard_us > UNHEARD_US && heard < SHARE_BYTES) {
            is_over = !hear(linger, now_us);
            heard += linger->dropped - before;
        }
        if (is_over) end(linger);
    }
}

void bw_linger_end_all(struct bw_loop *loop)
{
    while (loop->lingering) {
        drop(loop->lingering->fd, PIECES_AT_ONCE, &loop->lingering->dropped);
        end(loop->lingering);
    }
}
