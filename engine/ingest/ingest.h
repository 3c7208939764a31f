/* ingest.h: the doors of the engine: HTTP listeners that turn a request into a committed event, or into a refusal.
 *
 * THREADS: bw_ingest_start() makes config->ingest_threads threads, each with an event loop of its own; they share the port by
 * SO_REUSEPORT. A loop never waits for the disk: a request is parked until the store's writer says committed, then answered.
 * OWNERSHIP: config and store are borrowed; a reference of the router is taken over.
 * ROUTES may be replaced at any time: what begins to arrive from then on finds the new ones, what has begun ends with those that it has found.
 * HOOKS: bind() is called on ingest threads. committed() is called on the store's writer thread, in commit order, once for each new event, and
 * takes over one reference; it must be short. The event's bytes stay valid while that reference is held, so nobody reads it back from the disk.
 * PROMISE: 2xx for an event only after its commit. Every request that reaches a verdict is recorded as a delivery, refused ones too, except
 * /healthz, links of ours (approve.h, callback.h, status.h), questions for a run by the tool get_run (mcp.h), and what is refused while the store is
 * failed or half of its queue is full (the log has those). A client that leaves before the answer changes nothing. PROCESS-WIDE: from the first start
 * on, SIGPIPE is ignored and libevent's messages go to our log. The listening sockets are made exclusively first, so another process on the port is
 * an error ("listen.in_use"), never a silent sharing of its traffic. */
#ifndef BW_INGEST_INGEST_H
#define BW_INGEST_INGEST_H
#include "base/error.h"
#include "config/config.h"
#include "dispatch/approval.h"
#include "dispatch/awaits.h"
#include "dispatch/callback.h"
#include "dispatch/inbox.h"
#include "dispatch/status.h"
#include "dispatch/tool_runs.h"
#include "ingest/inherited.h"
#include "ingest/router.h"
#include "ingest/tls.h"
#include "store/store.h"

struct bw_ingest_options {
    const struct bw_config *config;
    struct bw_router *router; /* taken over, also when the start fails */
    struct bw_store *store;
    struct bw_tls *tls;                   /* of the addresses that are https; borrowed until bw_ingest_start() returns. NULL: none is */
    const struct bw_inherited *inherited; /* sockets that are there already; borrowed until bw_ingest_start() returns. NULL: none */
    void *arg;                            /* of both hooks */
    /* The catalogue revision for an event that is accepted now, and: does any workflow of that revision wait for events of this name? If not,
     * the event is stored as done and committed() does not see it. And the keys by which parked runs wait for it. One answer, since the
     * catalogue may change at any time. NULL: revision 0, all are awaited, no keys. */
    void (*bind)(void *arg, struct bw_slice event_name, struct bw_slice body, struct bw_binding *out);
    /* The same of the call of a tool. False: that workflow is none in the catalogue of now. NULL: as bind NULL. */
    bool (*bind_call)(void *arg, struct bw_slice workflow, struct bw_slice event_name, struct bw_slice body, struct bw_binding *out);
    void (*committed)(void *arg, struct bw_accepted *accepted);
    /* Links to approvals, of steps that wait for a callback, and to the states of runs: the key that they are made with, and who answers for them on
     * the main thread. NULL: there are none. */
    const uint8_t *link_key;
    void (*ask_approval)(void *arg, struct bw_approval_query *query); /* any thread */
    void (*ask_callback)(void *arg, struct bw_callback_query *query); /* any thread */
    void (*ask_status)(void *arg, struct bw_status_query *query);     /* any thread */
    void (*ask_tool_run)(void *arg, struct bw_tool_run_query *query); /* any thread; NULL: nobody can tell */
    /* Keys that senders publish (source/key_ring.h): where they are, and who fetches one. NULL: a request that needs one gets 503. */
    struct bw_key_ring *ring;
    void (*fetch_key)(void *arg, const struct bw_key_wish *wish); /* any thread; the wish is borrowed */
    struct bw_learnt *learnt;                                     /* secrets that senders have handed over (source/learnt.h). NULL: none may */
    size_t queued_max;                                            /* operations waiting at the store above which requests get 503; 0 = 8192 */
    size_t in_flight_bytes; /* body bytes being read or parked above which requests get 503 before their body is read; 0 = 128 MiB */
};

struct bw_ingest;
struct bw_ingest *bw_ingest_start(const struct bw_ingest_options *options, struct bw_error *err); /* options is copied; NULL: listen.* */
/* Takes over one reference. When it returns every request whose head has not been read yet meets this router. One thread at a time. */
void bw_ingest_set_router_take(struct bw_ingest *ingest, struct bw_router *router);
uint16_t bw_ingest_port(const struct bw_ingest *ingest, size_t index); /* the real port of config->listen[index]; 0: a Unix socket */
/* Connections that come from now on begin with it, those that are there end on theirs. False without memory: call it again. */
bool bw_ingest_set_tls(struct bw_ingest *ingest, struct bw_tls *tls);
void bw_ingest_keys_changed(struct bw_ingest *ingest); /* something in the ring is new: requests that wait are judged again; any thread */
/* What runs answer to senders who wait for it; arg is the ingest. Any thread. The answer leaves when bw_ingest_stop() has not ended the waiting. */
struct bw_responders bw_ingest_responders(struct bw_ingest *ingest);
size_t bw_ingest_held(const struct bw_ingest *ingest);        /* senders who wait for a run's answer; any thread */
size_t bw_ingest_parked(const struct bw_ingest *ingest);      /* requests waiting for the writer; any thread */
size_t bw_ingest_connections(const struct bw_ingest *ingest); /* any thread */
int64_t bw_ingest_silent_us(const struct bw_ingest *ingest);  /* since the loop that has been silent for longest has turned; any thread */
/* The listening sockets, for the program that takes this one's place: they stay open when the ingest has stopped, and the files of Unix sockets stay.
 * Before bw_ingest_stop_accepting(). False: no memory or descriptors, nothing has changed. */
bool bw_ingest_hand_over(struct bw_ingest *ingest, struct bw_inherited *out);
void bw_ingest_stop_accepting(struct bw_ingest *ingest); /* closes the doors; what is inside is answered with Connection: close. Returns at once. */
/* The above, waits until everything parked at the writer is answered and written, joins the threads and frees. The store must still be open. */
void bw_ingest_stop(struct bw_ingest *ingest);
#endif
