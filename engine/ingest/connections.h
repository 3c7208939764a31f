/* connections.h: a record for each connection, because evhttp keeps none for us: the caps on their number, the deadlines, and the gate. The
 * loop's thread.
 *
 * LIFE: evhttp asks for a bufferevent when it accepts; the record is made then and holds a reference to it. evhttp tells of a connection's end only
 * from its first whole request on (the close callback needs an evhttp_connection); then the reference is given back. Before that a connection that
 * evhttp has given up is known by its missing event callback, and found by the sweep. ADDRESSES: evhttp does not
 * say where a connection comes from before it has made all of it, so that is asked for right after it has accepted what there was: before a byte is
 * read.
 *
 * DEADLINES: from the accept to the first byte and from a request's first byte to the end of its head: config->request_deadline_ms. For its body as
 * much again, and longer for as long as what has come is config->body_rate a second beyond that: a large body may take its time, one that drips may
 * not. Between requests: config->idle_ms; and no longer may an answer wait to be taken. evhttp's own timer is reset by each byte, so it is not used.
 */
#ifndef BW_INGEST_CONNECTIONS_H
#define BW_INGEST_CONNECTIONS_H
#include "ingest/loop.h"
#include "ingest/origins.h"
#include "ingest/reply.h"
#include <event2/buffer.h>
#include <event2/bufferevent.h>

struct bw_connection {
    struct bw_loop *loop;
    struct bw_connection *previous, *next;
    struct bufferevent *bev;
    struct bw_tls *tls;   /* NULL: plain */
    struct bw_buf client; /* the subject of its certificate; empty: it has shown none */
    struct evbuffer_cb_entry *watch;
    struct bw_origin origin;
    int fd;       /* -1 until the first byte */
    bool is_unix; /* it came over a Unix socket */
    bool is_looked_at /* where it comes from */, is_established, is_busy /* a request is in our hands */, is_in_gate;
    int64_t since_us;   /* what the deadline counts from */
    int64_t arrived_us; /* first byte of the request that comes next */
    int64_t unsent_us;  /* since when an answer has been seen waiting to be taken; 0: none */
    /* the gate and what it holds back; see intake.c */
    struct bw_gate gate;
    struct evbuffer *held;        /* the beginning of a head, or NULL */
    uint64_t handled;             /* requests that evhttp has given us */
    uint64_t body_max;            /* of the request in the gate */
    uint64_t counted, reserved;   /* of gate.body; of in_flight */
    struct bw_share *share;       /* that `reserved` counts in; ours */
    size_t watermark;             /* that much of its input is read ahead of evhttp */
    struct bw_router *router;     /* of that request: it ends with what it has found, whatever is loaded meanwhile */
    const struct bw_route *route; /* whose path it is for */
    bool is_link;                 /* it is one of a link to an approval */
    const struct bw_gate_fault *refusal;
    bool is_last;     /* its peer has been told that no answer follows */
    bool is_ended;    /* it was overdue */
    bool is_marked;   /* evhttp has been given what leads to the refusal's answer */
    uint64_t discard; /* bytes of the refused body to swallow before that */
};

bool bw_connections_open(struct bw_loop *loop);
struct bufferevent *bw_connection_accept(struct event_base *base, void *door); /* evhttp's callback for each connection */
void bw_connections_close(struct bw_loop *loop);                               /* after evhttp_free() */
/* The connection of a request that evhttp has just completed, now busy; NULL if it did not come through the gate. */
struct bw_connection *bw_connection_begin(struct bw_loop *loop, struct evhttp_request *request);
struct bw_connection *bw_connection_find(struct bw_loop *loop, struct evhttp_request *request); /* NULL: it is gone */
struct bw_slice bw_connection_peer(struct bw_loop *loop, struct evhttp_request *request);       /* its address; BW_CLIENT_UNIX; "": nobody knows */
/* Hands its answer to evhttp: body_bytes are no longer in flight. The last one that a connection gets says so. */
void bw_connection_answer(struct bw_loop *loop, struct evhttp_request *request, struct bw_reply *reply, size_t body_bytes);
/* The same for who is called by the loop, or has nothing to do with that connection: evhttp goes on with it at once, and may end it. */
void bw_connection_answer_and_go_on(struct bw_loop *loop, struct evhttp_request *request, struct bw_reply *reply, size_t body_bytes);
/* Its answer comes later, and its body is not needed for it: those bytes are no longer in flight. */
void bw_connection_hold(struct bw_loop *loop, struct evhttp_request *request, size_t body_bytes);
/* A body so long is coming: it has to fit into what is read ahead. Nothing else has to. */
void bw_connection_expect(struct bw_connection *connection, uint64_t body_bytes);
bool bw_connections_are_answered(const struct bw_loop *loop); /* nobody is in the middle of a request, or has come and not asked yet */
void bw_connections_sweep(struct bw_loop *loop);
void bw_connections_drain(struct bw_loop *loop); /* closes the doors, and sweeps often from here on */

/* intake.c: looks at the `added` bytes at the end of input before evhttp does. */
void bw_intake_read(struct bw_connection *connection, struct evbuffer *input, size_t added);
bool bw_intake_answer_refused(struct bw_connection *connection); /* without its whole body; false if there is nothing to answer. Not while busy */
void bw_intake_release(struct bw_connection *connection, uint64_t body_bytes);
#endif
