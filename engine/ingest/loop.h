/* loop.h: what the files of this room share: the listener as a whole and one event loop of it. A loop's fields are its thread's; the
 * whole's are written before the threads start, apart from the atomic ones. */
#ifndef BW_INGEST_LOOP_H
#define BW_INGEST_LOOP_H
#include "base/mailbox.h"
#include "base/map.h"
#include "ingest/client.h"
#include "ingest/ingest.h"
#include "ingest/listener.h"
#include "ingest/request.h"
#include "ingest/router.h"
#include "ingest/tls.h"
#include "store/pack.h"
#include <pthread.h>
#include <stdatomic.h>

#define BW_LOOP_ROOM 65536 /* bytes that are read at a time */

struct bw_connection;
struct bw_linger;
struct bw_held;
struct bw_asked;
struct bw_undecided;
struct bw_origins;
struct bw_loop;
struct bw_held_table { /* held.h */
    pthread_mutex_t lock;
    struct bw_map *by_event; /* uid → bw_held; those that nobody has taken yet */
    atomic_size_t count;
    size_t max;
};
struct bw_admission { /* admission.h */
    struct bw_connection *newest, *oldest;
    struct event *look;
};
struct bw_door { /* one of config->listen, as one loop has it */
    struct bw_loop *loop;
    struct evconnlistener **listeners; /* one, or more when they were handed over by an engine with more threads */
    size_t listener_count;             /* 0: closed for good */
    bool is_tls, is_unix;
};
enum { BW_LOOP_MAIL_ANY, BW_LOOP_MAIL_RECORDED /* a request that the writer is done with: nothing but its own connection is ended by its answer */ };
struct bw_loop_mail { /* to a loop, from any thread */
    struct bw_mail mail;
    void (*run)(struct bw_loop *loop, struct bw_loop_mail *mail);
};

struct bw_loop {
    struct bw_ingest *ingest;
    pthread_t thread;
    bool has_thread;
    struct event_base *base;
    struct bw_mailbox *mailbox;
    struct bw_door *doors; /* one for each config->listen */
    size_t door_count;
    struct bw_tls *tls; /* what the next connection begins with; NULL: no door is_tls */
    struct bw_handshakes *handshakes;
    struct event *sweep, *open_again, *burial;
    struct bw_connection *connections, *ended; /* the newest first; those that are to be freed */
    struct bw_admission admission;
    struct bw_linger *lingering; /* linger.h */
    size_t lingering_count;
    _Atomic int64_t turned_us; /* its last sweep: that the thread is alive */
    bool is_stopping;
    bool is_at_cap, is_out_of_descriptors, has_many_handshakes; /* why doors are closed for now */
    int64_t stop_deadline_us;
    size_t parked;                  /* requests of this loop that the writer has */
    struct bw_held *held;           /* senders that wait for a run's answer */
    struct bw_asked *asked;         /* requests for whose answer the main thread looks (asked.h) */
    struct bw_undecided *undecided; /* requests whose key is being fetched (undecided.h) */
    size_t undecided_count;
    struct bw_loop_mail drain, stop;
    struct bw_router *router; /* the one that it has seen last; bw_loop_router() */
    /* reused by one request after the other */
    struct bw_client client;
    struct bw_request_parts parts;
    struct bw_buf scratch, kept, answer;
    struct bw_packer *packer;
    char arrived[BW_LOOP_ROOM];
};

struct bw_ingest {
    struct bw_ingest_options options;
    pthread_mutex_t router_lock; /* from reading `router` to having a reference of it */
    _Atomic(struct bw_router *) router;
    size_t live_max;
    struct bw_listener *listeners; /* one for each config->listen; the main thread's */
    size_t loop_count;
    struct bw_loop *loops;
    struct bw_held_table held;
    struct bw_origins *origins;
    atomic_bool is_draining;
    atomic_size_t live;      /* connections */
    atomic_size_t asked;     /* questions to the main thread */
    atomic_size_t parked;    /* requests that the writer has */
    atomic_size_t in_flight; /* body bytes announced by requests that are not answered yet */
};

uint64_t bw_ingest_body_max(const struct bw_ingest *ingest, const struct bw_route *route);
struct bw_router *bw_loop_router(struct bw_loop *loop);                                  /* ingest.c: that of now; the reference is the loop's */
bool bw_loop_open(struct bw_loop *loop, struct bw_ingest *ingest, struct bw_error *err); /* loop.c */
void bw_loop_close(struct bw_loop *loop);                                                /* after its thread has ended */
void *bw_loop_run(void *loop);
void bw_loop_end_if_done(struct bw_loop *loop);
bool bw_door_add(struct bw_door *door, int fd); /* takes the descriptor over; false: no memory */
void bw_loop_set_doors(struct bw_loop *loop);   /* open or closed, as the loop's flags say */
#endif
