/* connections.h: a connection of a sender: the caps on their number, their deadlines, and the request in hand. One request at a time: what a sender
 * sends behind it waits until its answer has been written. The loop's thread.
 *
 * FILES: connections.c has their life, intake.c reads from the socket by way of the gate (gate.h), answers.c writes to it. Between the gate and the
 * request's handling nothing is copied while head and body came in one piece, as nearly all do.
 *
 * LIFE: from the accept to bw_connection_end(), which closes the descriptor. The record stays until the turn of the loop is over, and while it is
 * busy (somebody has its request in hand) until the answer, which then goes nowhere: so whoever has a request may answer it without asking whether
 * anybody is left to hear it. Each request is answered once.
 *
 * DEADLINES: from the accept to the first byte and from a request's first byte to the end of its head: config->request_deadline_ms. For its body as
 * much again, and longer for as long as what has come is config->body_rate a second beyond that: a large body may take its time, one that drips may
 * not. Between requests: config->idle_ms; and no longer may an answer wait to be taken. */
#ifndef BW_INGEST_CONNECTIONS_H
#define BW_INGEST_CONNECTIONS_H
#include "ingest/loop.h"
#include "ingest/origins.h"
#include "ingest/reply.h"
#include "ingest/stream.h"
#include <event2/event.h>
#include <event2/event_struct.h>
#include <netinet/in.h>

struct bw_connection {
    struct bw_loop *loop;
    struct bw_connection *previous, *next; /* of the loop's; behind its end, next of those that are to be freed */
    struct bw_stream stream;
    struct event readable, writable;
    struct bw_tls *tls;   /* what its handshake was begun with. NULL: plain */
    struct bw_buf client; /* the subject of its certificate; empty: it has shown none */
    struct bw_origin origin;
    char peer[INET6_ADDRSTRLEN]; /* its address; BW_CLIENT_UNIX */
    bool is_gone;                /* it has ended: the descriptor is closed */
    bool is_busy;                /* its request is in somebody's hands */
    bool is_last;                /* its peer has been told that no answer follows */
    bool is_at_end;              /* its peer sends nothing more */
    bool is_paused;              /* it has sent enough for now */
    bool is_in_intake;           /* intake.c is working on it, and goes on with it */
    int64_t since_us;            /* what the deadline counts from */
    int64_t arrived_us;          /* first byte of the request that comes next, or is in hand */
    int64_t unsent_us;           /* since when an answer has been seen waiting to be taken; 0: none */
    uint64_t handled;            /* requests that were answered */
    struct bw_buf output;        /* of answers, what the socket did not take yet, */
    size_t written;              /* but for these bytes of it */

    /* intake.c's */
    struct bw_gate gate;
    struct bw_inbound inbound;    /* the request that is being read, or in hand */
    struct bw_buf input;          /* what has been read behind it, or of a head that is not whole */
    uint64_t body_max;            /* of that request */
    uint64_t counted, reserved;   /* of gate.body; of in_flight */
    struct bw_share *share;       /* that `reserved` counts in; ours */
    struct bw_router *router;     /* of that request: it ends with what it has found, whatever is loaded meanwhile */
    const struct bw_route *route; /* whose path it is for */
    bool is_link;                 /* it is one of a link to an approval */
    const struct bw_gate_fault *refusal;
    uint64_t discard; /* bytes of the refused body to swallow before its answer */
    bool is_waiting;  /* for room for its body (admission.h), behind and in front of: */
    struct bw_connection *newer, *older;

    /* whoever has the request in hand for longer: its sender is gone, or sends nothing more. NULL: nobody wants to know */
    void (*on_ended)(void *arg);
    void *on_ended_arg;
};

bool bw_connections_open(struct bw_loop *loop);
void bw_connection_accept(struct bw_door *door, int fd, const struct sockaddr *peer); /* takes the descriptor over */
/* is_good: what its peer may still be sending is heard (linger.h), so that no reset takes the last answer from it. */
void bw_connection_end(struct bw_connection *connection, bool is_good);
void bw_connection_free_later(struct bw_connection *connection); /* one that has ended, and is not busy any more */
void bw_connections_close(struct bw_loop *loop);                 /* behind the loop's end */
bool bw_connections_are_answered(const struct bw_loop *loop);    /* nobody is in the middle of a request, or has come and not asked yet */
void bw_connections_sweep(struct bw_loop *loop);
void bw_connections_drain(struct bw_loop *loop); /* closes the doors, and sweeps often from here on */

/* intake.c */
void bw_intake_readable(struct bw_connection *connection);
bool bw_intake_answer_refused(struct bw_connection *connection);   /* without its whole body; false if there is nothing to answer. Not while busy */
void bw_intake_release(struct bw_connection *connection);          /* its body is no longer in flight: it is answered, or not needed for the answer */
bool bw_intake_admit(struct bw_connection *connection);            /* one that waits goes on if there is room for its body now */
void bw_intake_refuse_admission(struct bw_connection *connection); /* or it does not */
void bw_intake_resume(struct bw_connection *connection);           /* its answer is written: on with what it has sent meanwhile, and will send */

/* answers.c. The request in hand gets its answer; the last one that a connection gets says so. */
void bw_connection_answer(struct bw_connection *connection, struct bw_reply *reply);
void bw_connection_continue(struct bw_connection *connection); /* 100: the body is welcome */
void bw_connection_write(struct bw_connection *connection);    /* what waits, as far as it goes */
static inline bool bw_connection_is_written(const struct bw_connection *connection)
{
    return connection->output.len == 0;
}
#endif
