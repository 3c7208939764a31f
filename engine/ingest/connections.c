#include "ingest/connections.h"
#include "base/clock.h"
#include "base/log.h"
#include "ingest/admission.h"
#include "ingest/linger.h"
#include <arpa/inet.h>
#include <event2/listener.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define SWEEP_MS 250
#define SWEEP_DRAINING_MS 20

/* ---- their end ---- */

static void free_connection(struct bw_connection *connection)
{
    bw_inbound_clear(&connection->inbound);
    bw_buf_free(&connection->input);
    bw_buf_free(&connection->output);
    bw_buf_free(&connection->client);
    bw_router_unref(connection->router);
    free(connection);
}

static void free_ended(struct bw_loop *loop)
{
    for (struct bw_connection *connection = loop->ended, *next; connection; connection = next) {
        next = connection->next;
        free_connection(connection);
    }
    loop->ended = NULL;
}

static void on_burial(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    free_ended(arg);
}

void bw_connection_free_later(struct bw_connection *connection)
{
    struct bw_loop *loop = connection->loop;
    if (!loop->ended) event_active(loop->burial, EV_TIMEOUT, 0);
    connection->next = loop->ended;
    loop->ended = connection;
}

static void take_out(struct bw_connection *connection)
{
    if (connection->previous)
        connection->previous->next = connection->next;
    else
        connection->loop->connections = connection->next;
    if (connection->next) connection->next->previous = connection->previous;
}

void bw_connection_end(struct bw_connection *connection, bool is_good)
{
    struct bw_loop *loop = connection->loop;
    if (connection->is_gone) return;
    connection->is_gone = true;
    event_del(&connection->readable);
    event_del(&connection->writable);
    take_out(connection);
    bw_admission_leave(connection);
    bw_intake_release(connection);
    bw_share_unref(connection->share);
    connection->share = NULL;
    int fd = bw_stream_release(&connection->stream, is_good);
    bool may_linger = is_good && bw_connection_is_written(connection);
    if (!may_linger || !bw_linger(loop, fd, &connection->origin, connection->is_last)) close(fd);
    bw_tls_unref(connection->tls);
    connection->tls = NULL;
    bw_origins_leave(loop->ingest->origins, &connection->origin);
    atomic_fetch_sub_explicit(&loop->ingest->live, 1, memory_order_relaxed);
    if (!connection->is_busy)
        bw_connection_free_later(connection);
    else if (connection->on_ended)
        connection->on_ended(connection->on_ended_arg);
    bw_loop_end_if_done(loop);
}

/* ---- their beginning ---- */

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

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    bw_intake_readable(arg);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct bw_connection *connection = arg;
    (void)fd, (void)what;
    bool was_reading = connection->stream.wants_write;
    bw_connection_write(connection);
    if (was_reading && !connection->is_gone) bw_intake_readable(connection);
}

static void note_peer(struct bw_connection *connection, const struct bw_door *door, const struct sockaddr *peer)
{
    const void *address = peer->sa_family == AF_INET6 ? (const void *)&((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr
                                                      : (const void *)&((const struct sockaddr_in *)(const void *)peer)->sin_addr;
    if (door->is_unix)
        strcpy(connection->peer, BW_CLIENT_UNIX);
    else if (!inet_ntop(peer->sa_family, address, connection->peer, sizeof connection->peer))
        connection->peer[0] = '\0';
}

static struct bw_connection *make(struct bw_door *door, int fd, const struct sockaddr *peer)
{
    struct bw_loop *loop = door->loop;
    struct bw_connection *connection = calloc(1, sizeof *connection);
    SSL *ssl = connection && door->is_tls ? bw_tls_accept(loop->tls, fd) : NULL;
    if (!connection || (door->is_tls && !ssl)) {
        free(connection);
        return NULL;
    }
    bw_stream_open(&connection->stream, fd, ssl);
    bw_inbound_clear(&connection->inbound); /* empty is "", for the first request as for the others */
    if (ssl) connection->tls = bw_tls_ref(loop->tls);
    connection->loop = loop;
    connection->since_us = connection->arrived_us = bw_clock_mono_us();
    note_peer(connection, door, peer);
    event_assign(&connection->readable, loop->base, fd, EV_READ | EV_PERSIST, on_readable, connection);
    event_assign(&connection->writable, loop->base, fd, EV_WRITE, on_writable, connection);
    return connection;
}

void bw_connection_accept(struct bw_door *door, int fd, const struct sockaddr *peer)
{
    struct bw_loop *loop = door->loop;
    struct bw_ingest *ingest = loop->ingest;
    struct bw_net_address address = {0};
    struct bw_origin origin = {0};
    if (!door->is_unix) bw_net_address_of(peer, &address);
    struct bw_connection *connection = bw_origins_enter(ingest->origins, &address, &origin) ? make(door, fd, peer) : NULL;
    if (!connection) {
        bw_origins_leave(ingest->origins, &origin);
        close(fd);
        return;
    }
    connection->origin = origin;
    connection->next = loop->connections;
    if (connection->next) connection->next->previous = connection;
    loop->connections = connection;
    atomic_fetch_add_explicit(&ingest->live, 1, memory_order_relaxed);
    if (event_add(&connection->readable, NULL)) bw_connection_end(connection, false);
    keep_cap(loop);
}

/* ---- their deadlines ---- */

/* One that has just been let in has something to ask: whoever rings while the doors close is answered, not hung up on. */
static bool is_answered(const struct bw_connection *connection)
{
    bool has_asked = connection->handled > 0 && !connection->input.len && !bw_gate_is_waiting(&connection->gate);
    return !connection->is_busy && bw_connection_is_written(connection) && (has_asked || connection->refusal);
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
    if (bw_connection_is_written(connection))
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

/* A loop with much to do has not read yet what is there: who has sent it is not idle, and would hear a reset in place of an answer. */
static bool has_arrived(const struct bw_connection *connection)
{
    char byte;
    return recv(connection->stream.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static bool is_overdue(struct bw_connection *connection, int64_t now_us)
{
    bool is_between = connection->handled > 0 && !connection->refusal && !bw_gate_is_waiting(&connection->gate);
    if (connection->is_busy) return false;
    if (is_not_taken(connection, now_us)) return true;
    bool is_to_go = is_between && atomic_load(&connection->loop->ingest->is_draining) && is_answered(connection);
    bool is_over = is_to_go || now_us - connection->since_us > patience_us(connection, is_between);
    return is_over && !(is_between && has_arrived(connection));
}

/* What was replaced must not live for as long as a sender keeps its connection: there are secrets in it. */
static void drop_old_router(struct bw_connection *connection)
{
    if (!connection->router || connection->router == bw_loop_router(connection->loop)) return;
    if (connection->is_busy || connection->refusal || bw_gate_is_waiting(&connection->gate)) return;
    bw_router_unref(connection->router);
    connection->router = NULL;
    connection->route = NULL;
}

void bw_connections_sweep(struct bw_loop *loop)
{
    bw_loop_router(loop);
    int64_t now_us = bw_clock_mono_us();
    atomic_store_explicit(&loop->turned_us, now_us, memory_order_relaxed);
    for (struct bw_connection *connection = loop->connections, *next; connection; connection = next) {
        next = connection->next; /* nothing below ends another connection than this one */
        drop_old_router(connection);
        if (is_overdue(connection, now_us) && !bw_intake_answer_refused(connection)) bw_connection_end(connection, false);
    }
    bw_admission_sweep(loop, now_us);
    bw_linger_sweep(loop, now_us);
    bw_origins_say(loop->ingest->origins);
    if (!atomic_load(&loop->ingest->is_draining)) keep_cap(loop);
    bw_loop_end_if_done(loop);
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

/* ---- of a loop ---- */

bool bw_connections_open(struct bw_loop *loop)
{
    atomic_init(&loop->turned_us, bw_clock_mono_us());
    loop->sweep = event_new(loop->base, -1, EV_PERSIST, on_sweep, loop);
    loop->burial = event_new(loop->base, -1, 0, on_burial, loop);
    return loop->sweep && loop->burial && bw_admission_open(loop) && sweep_every(loop, SWEEP_MS);
}

static void close_doors(evutil_socket_t fd, short what, void *arg)
{
    struct bw_loop *loop = arg;
    (void)fd, (void)what;
    for (size_t i = 0; i < loop->door_count; i++) {
        struct bw_door *door = &loop->doors[i];
        while (door->listener_count) evconnlistener_free(door->listeners[--door->listener_count]);
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
    if (loop->base) close_doors(-1, 0, loop);
    while (loop->connections) bw_connection_end(loop->connections, true);
    bw_linger_end_all(loop);
    free_ended(loop);
    if (loop->sweep) event_free(loop->sweep);
    if (loop->burial) event_free(loop->burial);
    bw_admission_close(loop);
}
