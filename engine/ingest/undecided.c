#include "ingest/undecided.h"
#include "ingest/accept.h"
#include <event2/event.h>
#include <stdlib.h>

#define WAITING_MAX 256 /* of one loop */
#define WAIT_S 8        /* most senders give up after ten */

struct bw_undecided {
    struct bw_loop *loop;
    struct bw_undecided *previous, *next;
    struct bw_connection *connection;
    struct bw_router *router; /* ours, so that the route lives, whatever is loaded meanwhile */
    const struct bw_route *route;
    struct event *timer;
};

static void take_out(struct bw_undecided *undecided)
{
    struct bw_loop *loop = undecided->loop;
    if (undecided->previous)
        undecided->previous->next = undecided->next;
    else
        loop->undecided = undecided->next;
    if (undecided->next) undecided->next->previous = undecided->previous;
    loop->undecided_count--;
    bw_router_unref(undecided->router);
    event_free(undecided->timer);
    free(undecided);
}

static void end(struct bw_undecided *undecided)
{
    struct bw_loop *loop = undecided->loop;
    bw_accept_again(undecided->connection, undecided->route, false);
    take_out(undecided);
    bw_loop_end_if_done(loop);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    end(arg);
}

bool bw_undecided_wait(struct bw_connection *connection, const struct bw_route *route)
{
    struct bw_loop *loop = connection->loop;
    struct bw_undecided *undecided = loop->undecided_count < WAITING_MAX && !loop->is_stopping ? calloc(1, sizeof *undecided) : NULL;
    if (!undecided) return false;
    if (!(undecided->timer = event_new(loop->base, -1, 0, on_deadline, undecided)) ||
        event_add(undecided->timer, &(struct timeval){.tv_sec = WAIT_S})) {
        if (undecided->timer) event_free(undecided->timer);
        free(undecided);
        return false;
    }
    if (!bw_inbound_keep(&connection->inbound)) {
        event_free(undecided->timer);
        free(undecided);
        return false;
    }
    undecided->loop = loop;
    undecided->connection = connection;
    undecided->router = bw_router_ref(connection->router);
    undecided->route = route;
    undecided->next = loop->undecided;
    if (undecided->next) undecided->next->previous = undecided;
    loop->undecided = undecided;
    loop->undecided_count++;
    return true;
}

void bw_undecided_end_all(struct bw_loop *loop)
{
    while (loop->undecided) end(loop->undecided);
}

static void look_again(struct bw_loop *loop, struct bw_loop_mail *mail)
{
    struct bw_undecided *undecided = loop->undecided, *next;
    free(mail);
    for (; undecided; undecided = next) {
        next = undecided->next;
        if (!bw_accept_again(undecided->connection, undecided->route, true)) take_out(undecided);
    }
    bw_loop_end_if_done(loop);
}

void bw_undecided_look_again(struct bw_ingest *ingest)
{
    for (size_t i = 0; i < ingest->loop_count; i++) {
        struct bw_loop_mail *mail = calloc(1, sizeof *mail);
        if (!mail) continue; /* the deadline is there */
        mail->run = look_again;
        bw_mailbox_post(ingest->loops[i].mailbox, &mail->mail);
    }
}
