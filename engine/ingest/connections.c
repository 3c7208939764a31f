#include "ingest/connections.h"
#include "base/clock.h"
#include "base/log.h"
#include "ingest/linger.h"
#include <event2/keyvalq_struct.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>

#define SWEEP_MS 250
#define SWEEP_DRAINING_MS 20
#define SLACK_BYTES 49152 /* with a head: 64 KiB of input, which is all that is read before it is known whose the request is */
#define REQUESTS_MAX 1000 /* of one connection; then it is closed, and who wants more comes again */

static void release(struct bw_connection *connection)
{
    struct bw_loop *loop = connection->loop;
    if (connection->previous)
        connection->previous->next = connection->next;
    else
        loop->connections = connection->next;
    if (connection->next) connection->next->previous = connection->previous;
    if (connection->fd >= 0 && loop->by_fd[connection->fd] == connection) loop->by_fd[connection->fd] = NULL;
    evbuffer_remove_cb_entry(bufferevent_get_input(connection->bev), connection->watch);
    if (!connection->is_established) bufferevent_decref(connection->bev);
    if (connection->held) evbuffer_free(connection->held);
    bw_tls_unref(connection->tls);
    bw_buf_free(&connection->client);
    bw_router_unref(connection->router);
    bw_intake_release(connection, connection->reserved);
    bw_share_unref(connection->share);
    bw_origins_leave(loop->ingest->origins, &connection->origin);
    atomic_fetch_sub_explicit(&loop->ingest->live, 1, memory_order_relaxed);
    free(connection);
}

static bool index_by_fd(struct bw_connection *connection)
{
    struct bw_loop *loop = connection->loop;
    size_t fd = (size_t)bufferevent_getfd(connection->bev);
    if (fd >= loop->by_fd_count) {
        size_t count = (fd + 256) & ~(size_t)255;
        struct bw_connection **grown = realloc(loop->by_fd, count * sizeof *grown);
        if (!grown) return false;
        memset(grown + loop->by_fd_count, 0, (count - loop->by_fd_count) * sizeof *grown);
        loop->by_fd = grown;
        loop->by_fd_count = count;
    }
    loop->by_fd[fd] = connection;
    connection->fd = (int)fd;
    return true;
}

static void on_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg)
{
    struct bw_connection *connection = arg;
    if (!info->n_added || connection->is_in_gate) return;
    connection->is_in_gate = true; /* what the gate moves is not to be seen again */
    if (connection->fd < 0 && !index_by_fd(connection))
        evbuffer_drain(input, evbuffer_get_length(input)); /* no memory: it stays deaf until its deadline */
    else
        bw_intake_read(connection, input, info->n_added);
    connection->is_in_gate = false;
}

static void keep_cap(struct bw_loop *loop)
{
    struct bw_ingest *ingest = loop->ingest;
    size_t live = atomic_load_explicit(&ingest->live, memory_order_relaxed);
    if (!loop->is_at_cap && live >= ingest->live_max) {
        loop->is_at_cap = true;
        bw_loop_set_doors(loop);
        bw_log(BW_LOG_WARN, "ingest.full", BW_INT("connections", live), BW_STR("message", "no more connections are accepted until some have ended"));
    } else if (loop->is_at_cap && live <= ingest->live_max - ingest->live_max / 10 - (ingest->live_max < 10)) {
        loop->is_at_cap = false;
        bw_loop_set_doors(loop);
    }
}

/* evhttp has accepted a connection and asks what to read it with. If it gets NULL it makes a bufferevent of its own, past the gate:
 * bw_connection_begin() then finds no record, and the request is refused. */
struct bufferevent *bw_connection_accept(struct event_base *base, void *arg)
{
    const struct bw_door *door = arg;
    struct bw_loop *loop = door->loop;
    struct bw_ingest *ingest = loop->ingest;
    struct bw_connection *connection = calloc(1, sizeof *connection);
    if (!connection) return NULL;
    connection->bev = door->is_tls ? bw_tls_accept(loop->tls, base) : bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
    if (!connection->bev) goto no_memory;
    connection->watch = evbuffer_add_cb(bufferevent_get_input(connection->bev), on_input, connection);
    if (!connection->watch) goto no_memory;
    /* evhttp keeps a whole body with a known length in this buffer; above that it would buffer an endless line without limit. */
    bw_connection_expect(connection, 0);
    bufferevent_incref(connection->bev);
    if (door->is_tls) connection->tls = bw_tls_ref(loop->tls);
    connection->loop = loop;
    connection->fd = -1;
    connection->is_unix = door->is_unix;
    connection->since_us = connection->arrived_us = bw_clock_mono_us();
    connection->next = loop->connections;
    if (connection->next) connection->next->previous = connection;
    loop->connections = connection;
    atomic_fetch_add_explicit(&ingest->live, 1, memory_order_relaxed);
    event_active(loop->arrivals, EV_TIMEOUT, 0);
    keep_cap(loop);
    return connection->bev;
no_memory:
    if (connection->bev) bufferevent_free(connection->bev);
    free(connection);
    return NULL;
}

void bw_connection_expect(struct bw_connection *connection, uint64_t body_bytes)
{
    size_t watermark = body_bytes + BW_GATE_HEAD_MAX + SLACK_BYTES;
    if (watermark == connection->watermark) return;
    connection->watermark = watermark;
    bufferevent_setwatermark(connection->bev, EV_READ, 0, watermark);
}

static bool is_written(const struct bw_connection *connection)
{
    return evbuffer_get_length(bufferevent_get_output(connection->bev)) == 0;
}

static void on_close(struct evhttp_connection *from, void *arg)
{
    struct bw_connection *connection = arg;
    struct bw_loop *loop = connection->loop;
    (void)from;
    if (connection->tls) bw_tls_say_goodbye(connection->bev);
    if (!connection->is_ended && is_written(connection))
        bw_linger(loop, bufferevent_getfd(connection->bev), &connection->origin, connection->is_last);
    release(connection);
    bw_loop_end_if_done(loop);
}

struct bw_connection *bw_connection_find(struct bw_loop *loop, struct evhttp_request *request)
{
    struct evhttp_connection *from = evhttp_request_get_connection(request);
    if (!from) return NULL;
    struct bufferevent *bev = evhttp_connection_get_bufferevent(from);
    int fd = bufferevent_getfd(bev);
    struct bw_connection *connection = fd >= 0 && (size_t)fd < loop->by_fd_count ? loop->by_fd[fd] : NULL;
    return connection && connection->bev == bev ? connection : NULL;
}

struct bw_slice bw_connection_peer(struct bw_loop *loop, struct evhttp_request *request)
{
    const struct bw_connection *connection = bw_connection_find(loop, request);
    struct evhttp_connection *from = evhttp_request_get_connection(request);
    char *address = NULL;
    ev_uint16_t port;
    if (connection && connection->is_unix) return BW_SLICE(BW_CLIENT_UNIX);
    if (from) evhttp_connection_get_peer(from, &address, &port);
    return bw_slice_of(address ? address : "");
}

struct bw_connection *bw_connection_begin(struct bw_loop *loop, struct evhttp_request *request)
{
    struct bw_connection *connection = bw_connection_find(loop, request);
    if (!connection) return NULL;
    if (!connection->is_established) {
        evhttp_connection_set_closecb(evhttp_request_get_connection(request), on_close, connection);
        bufferevent_decref(connection->bev); /* evhttp still has its own */
        connection->is_established = true;
        if (connection->tls) bw_tls_client(connection->bev, &connection->client);
    }
    connection->is_busy = true;
    return connection;
}

/* Nearly every answer fits into its socket at once: without this it would wait for a turn of the loop, to be told that there is room. */
static void write_now(struct bw_connection *connection, bool goes_on_now)
{
    struct evbuffer *output = bufferevent_get_output(connection->bev);
    evbuffer_unfreeze(output, 1); /* libevent opens its front for its own writes only */
    evbuffer_write(output, bufferevent_getfd(connection->bev));
    evbuffer_freeze(output, 1);
    if (evbuffer_get_length(output)) return; /* the rest, or why there is none, comes with the loop */
    bufferevent_disable(connection->bev, EV_WRITE);
    bufferevent_trigger(connection->bev, EV_WRITE, goes_on_now ? 0 : BEV_TRIG_DEFER_CALLBACKS); /* evhttp goes on from here */
}

/* RFC 9112 9.6: `close` may be one of several options, and in a second field. evhttp knows it only alone in the first. */
static bool is_asked_to_close(struct evhttp_request *request)
{
    const struct evkeyval *field = evhttp_request_get_input_headers(request)->tqh_first;
    for (; field; field = field->next.tqe_next) {
        if (strcasecmp(field->key, "Connection") != 0) continue;
        for (const char *at = field->value; *at; at += strcspn(at, ",")) {
            at += strspn(at, ", \t");
            size_t len = strcspn(at, ", \t");
            if (len == 5 && !strncasecmp(at, "close", len)) return true;
        }
    }
    return false;
}

static void answer(struct bw_loop *loop, struct evhttp_request *request, struct bw_reply *reply, size_t body_bytes, bool goes_on_now)
{
    struct bw_connection *connection = bw_connection_find(loop, request);
    if (connection) {
        connection->is_busy = false;
        connection->handled++;
        connection->since_us = connection->arrived_us = bw_clock_mono_us();
        connection->unsent_us = 0;
        bw_intake_release(connection, body_bytes);
    }
    if (atomic_load_explicit(&loop->ingest->is_draining, memory_order_relaxed) || (connection && connection->handled >= REQUESTS_MAX))
        reply->closes = true;
    reply->closes = reply->closes || is_asked_to_close(request);
    if (connection) connection->is_last = reply->closes;
    bw_reply_send(request, reply);
    if (connection && !connection->tls) write_now(connection, goes_on_now);
}

void bw_connection_answer(struct bw_loop *loop, struct evhttp_request *request, struct bw_reply *reply, size_t body_bytes)
{
    answer(loop, request, reply, body_bytes, false);
}

void bw_connection_answer_and_go_on(struct bw_loop *loop, struct evhttp_request *request, struct bw_reply *reply, size_t body_bytes)
{
    answer(loop, request, reply, body_bytes, true);
}

void bw_connection_hold(struct bw_loop *loop, struct evhttp_request *request, size_t body_bytes)
{
    struct bw_connection *connection = bw_connection_find(loop, request);
    if (connection) bw_intake_release(connection, body_bytes);
}

/* One that has just been let in has something to ask: whoever rings while the doors close is answered, not hung up on. */
static bool is_answered(const struct bw_connection *connection)
{
    const struct bw_gate *gate = &connection->gate;
    bool has_asked = gate->completed > 0 && !bw_gate_is_waiting(gate) && gate->completed == connection->handled;
    return is_written(connection) && (has_asked || connection->refusal);
}

bool bw_connections_are_answered(const struct bw_loop *loop)
{
    for (const struct bw_connection *connection = loop->connections; connection; connection = connection->next)
        if (!is_answered(connection)) return false;
    return true;
}

/* Sampled by each sweep, forgotten with each new answer: a connection that is busy all the time is not one that takes nothing. */
static bool is_not_taken(struct bw_connection *connection, int64_t now_us)
{
    if (is_written(connection))
        connection->unsent_us = 0;
    else if (!connection->unsent_us)
        connection->unsent_us = now_us;
    return connection->unsent_us && now_us - connection->unsent_us > 1000 * connection->loop->ingest->options.config->idle_ms;
}

static int64_t patience_us(const struct bw_connection *connection, bool is_between)
{
    const struct bw_config *config = connection->loop->ingest->options.config;
    if (is_between) return 1000 * config->idle_ms;
    bool is_body = !connection->refusal && bw_gate_is_in_body(&connection->gate);
    return 1000 * config->request_deadline_ms + (is_body ? (int64_t)(connection->gate.arrived * 1000000 / config->body_rate) : 0);
}

static bool is_overdue(struct bw_connection *connection, int64_t now_us)
{
    bool is_between = connection->gate.completed > 0 && !connection->refusal && !bw_gate_is_waiting(&connection->gate);
    if (connection->is_busy) return false;
    if (is_not_taken(connection, now_us)) return true;
    if (is_between && atomic_load(&connection->loop->ingest->is_draining) && connection->gate.completed == connection->handled &&
        is_written(connection))
        return true;
    return now_us - connection->since_us > patience_us(connection, is_between);
}

/* evhttp's own error path: it detaches a request that is in use. shutdown() would not do: a sender that floods keeps the socket readable. */
static void end(struct bw_connection *connection)
{
    connection->is_ended = true;
    bufferevent_trigger_event(connection->bev, BEV_EVENT_TIMEOUT | BEV_EVENT_READING, 0);
}

static bool is_given_up(const struct bw_connection *connection)
{
    bufferevent_event_cb on_event = NULL;
    if (!connection->is_established) bufferevent_getcb(connection->bev, NULL, NULL, &on_event, NULL);
    return !connection->is_established && !on_event;
}

/* What was replaced must not live for as long as a sender keeps its connection: there are secrets in it. */
static void drop_old_router(struct bw_connection *connection)
{
    if (!connection->router || connection->router == bw_loop_router(connection->loop)) return;
    if (connection->is_busy || connection->refusal || connection->gate.completed != connection->handled || bw_gate_is_waiting(&connection->gate))
        return;
    bw_router_unref(connection->router);
    connection->router = NULL;
    connection->route = NULL;
}

void bw_connections_sweep(struct bw_loop *loop)
{
    bw_loop_router(loop);
    int64_t now_us = bw_clock_mono_us();
    atomic_store_explicit(&loop->turned_us, now_us, memory_order_relaxed);
    loop->is_sweeping = true;
    for (struct bw_connection *connection = loop->connections, *next; connection; connection = next) {
        next = connection->next; /* nothing below ends another connection than this one */
        bool has_close_callback = connection->is_established;
        if (!is_given_up(connection)) {
            drop_old_router(connection);
            if (!is_overdue(connection, now_us) || bw_intake_answer_refused(connection)) continue;
            end(connection);
            if (has_close_callback) continue;
        }
        if (is_given_up(connection)) release(connection);
    }
    loop->is_sweeping = false;
    bw_linger_sweep(loop, now_us);
    bw_origins_say(loop->ingest->origins);
    if (!atomic_load(&loop->ingest->is_draining)) keep_cap(loop);
    bw_loop_end_if_done(loop);
}

static bool is_welcome(struct bw_connection *connection)
{
    struct sockaddr_storage peer = {0};
    socklen_t len = sizeof peer;
    struct bw_net_address address = {0};
    connection->is_looked_at = true;
    if (getpeername(bufferevent_getfd(connection->bev), (struct sockaddr *)&peer, &len) == 0) bw_net_address_of((struct sockaddr *)&peer, &address);
    return bw_origins_enter(connection->loop->ingest->origins, &address, &connection->origin);
}

/* evhttp has made the connections that it had accepted: whence do they come? Who came first is let in first. */
static void on_arrivals(evutil_socket_t fd, short what, void *arg)
{
    struct bw_loop *loop = arg;
    (void)fd, (void)what;
    struct bw_connection *oldest = loop->connections;
    while (oldest && !oldest->is_looked_at && oldest->next && !oldest->next->is_looked_at) oldest = oldest->next;
    for (struct bw_connection *connection = oldest, *next; connection && !connection->is_looked_at; connection = next) {
        next = connection->previous; /* nothing below ends another connection than this one */
        if (is_given_up(connection) || is_welcome(connection)) continue;
        end(connection);
        if (is_given_up(connection)) release(connection);
    }
    if (!atomic_load(&loop->ingest->is_draining)) keep_cap(loop);
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    bw_connections_sweep(arg);
}

static bool sweep_every(struct bw_loop *loop, int ms)
{
    const struct timeval period = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    return event_add(loop->sweep, &period) == 0;
}

bool bw_connections_open(struct bw_loop *loop)
{
    atomic_init(&loop->turned_us, bw_clock_mono_us());
    loop->sweep = event_new(loop->base, -1, EV_PERSIST, on_sweep, loop);
    loop->arrivals = event_new(loop->base, -1, 0, on_arrivals, loop);
    return loop->sweep && loop->arrivals && sweep_every(loop, SWEEP_MS);
}

static void close_doors(evutil_socket_t fd, short what, void *arg)
{
    struct bw_loop *loop = arg;
    (void)fd, (void)what;
    for (size_t i = 0; i < loop->door_count; i++) {
        struct bw_door *door = &loop->doors[i];
        while (door->socket_count) evhttp_del_accept_socket(door->http, door->sockets[--door->socket_count]);
    }
}

/* A socket that the next engine or the service manager has as well lives on when its descriptor here is closed, and epoll would go on telling of it:
 * libevent's list of changes (loop.c) has to have reached the kernel before. That is in the next turn of the loop. */
void bw_connections_drain(struct bw_loop *loop)
{
    bw_loop_set_doors(loop);
    if (event_base_once(loop->base, -1, EV_TIMEOUT, close_doors, loop, &(struct timeval){.tv_usec = 1000})) close_doors(-1, 0, loop);
    sweep_every(loop, SWEEP_DRAINING_MS);
    bw_connections_sweep(loop);
}

void bw_connections_close(struct bw_loop *loop)
{
    bw_linger_end_all(loop);
    while (loop->connections) release(loop->connections); /* those that evhttp could not tell us about */
    if (loop->sweep) event_free(loop->sweep);
    if (loop->arrivals) event_free(loop->arrivals);
    free(loop->by_fd);
}
