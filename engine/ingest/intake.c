/* The gate in front of evhttp. A callback on the connection's input buffer runs after each read and before evhttp's own read callback, so whatever it
 * takes out was never there for evhttp. Rules:
 * - A head is held back until it is whole and has passed; bodies and chunks go through as they come.
 * - A faulty request is cut out, with all that follows it, and replaced by something that evhttp brings to our request callback in its turn, behind
 * earlier requests of the same connection: a faulty head by a small request of our own, a faulty chunk by the end of the body. The callback sees
 * `refusal` and answers. So a refusal is recorded and answered like any other, in order, and the connection closes behind it.
 * - A body that is announced too large is swallowed, not kept, before the answer: many clients read no answer before they have sent everything, and
 * closing with unread bytes in the socket would reset the connection under our answer. When there is no room for it the answer comes at once: reading
 * on costs what the bodies that were let in need, and who hears it may stop; what comes all the same is dropped behind the answer (linger.h). */
#include "base/clock.h"
#include "ingest/approve.h"
#include "ingest/callback.h"
#include "ingest/connections.h"
#include <sys/socket.h>

#define LIBEVENT_READ 4096              /* that much libevent reads at a time: less means that there was no more */
#define PULL_BYTES 65536                /* and that much we do, of a body that is known to come: below what malloc gets from the kernel each time */
#define PULL_MOST 262144                /* then others have their turn */
#define SWALLOW_MAX (64u * 1024 * 1024) /* above it the sender does not mean it: answer at once */
#define UNKNOWN_BODY_MAX 65536          /* bodies for paths that no source has */

static const struct bw_gate_fault overloaded = {503, "too many body bytes in flight"}, unknown_path = {404, "unknown path"},
                                  no_memory = {503, "no memory"};

static void reserve(struct bw_connection *connection)
{
    uint64_t more = connection->gate.body - connection->counted;
    if (!more) return;
    connection->counted += more;
    connection->reserved += more;
    atomic_fetch_add_explicit(&connection->loop->ingest->in_flight, more, memory_order_relaxed);
    if (connection->share) atomic_fetch_add_explicit(&connection->share->in_flight, more, memory_order_relaxed);
}

void bw_intake_release(struct bw_connection *connection, uint64_t body_bytes)
{
    uint64_t bytes = body_bytes < connection->reserved ? body_bytes : connection->reserved;
    connection->reserved -= bytes;
    atomic_fetch_sub_explicit(&connection->loop->ingest->in_flight, bytes, memory_order_relaxed);
    if (connection->share) atomic_fetch_sub_explicit(&connection->share->in_flight, bytes, memory_order_relaxed);
}

static uint64_t limit_now(const struct bw_connection *connection)
{
    uint64_t left = bw_load_bytes_left(connection->loop->ingest, connection->route, connection->is_link) + connection->counted;
    return left < connection->body_max ? left : connection->body_max;
}

/* The gate says too large: is it the source's limit, or is it nobody's body, or is it our memory? */
static const struct bw_gate_fault *explain(const struct bw_connection *connection, const struct bw_gate_fault *fault, uint64_t announced)
{
    if (fault != &bw_gate_too_large) return fault;
    if (announced <= connection->body_max) return &overloaded;
    return connection->route || connection->is_link ? fault : &unknown_path;
}

/* What a connection has in flight counts as its latest request's: pipelined behind another source's, all of it moves. */
static void set_share(struct bw_connection *connection, struct bw_share *share)
{
    if (connection->share == share) return;
    if (connection->share) atomic_fetch_sub_explicit(&connection->share->in_flight, connection->reserved, memory_order_relaxed);
    bw_share_unref(connection->share);
    connection->share = share ? bw_share_ref(share) : NULL;
    if (share) atomic_fetch_add_explicit(&share->in_flight, connection->reserved, memory_order_relaxed);
}

static void find_route(struct bw_connection *connection, struct bw_slice path)
{
    struct bw_router *router = bw_loop_router(connection->loop);
    if (connection->router != router) {
        bw_router_unref(connection->router);
        connection->router = bw_router_ref(router);
    }
    connection->route = path.len ? bw_router_find(router, path) : NULL;
    set_share(connection, connection->route ? connection->route->share : NULL);
}

/* The head ends at `end` of work. */
static void pass_head(struct bw_connection *connection, struct evbuffer *work, size_t end)
{
    struct bw_loop *loop = connection->loop;
    struct bw_gate *gate = &connection->gate;
    struct bw_gate_head head;
    struct bw_slice path, query;
    struct evbuffer_ptr from;
    evbuffer_ptr_set(work, &from, end - gate->unit, EVBUFFER_PTR_SET);
    evbuffer_copyout_from(work, &from, loop->head, gate->unit);
    const struct bw_gate_fault *fault = bw_gate_parse_head((struct bw_slice){loop->head, gate->unit}, &head);
    bw_target_split(head.target, &path, &query);
    find_route(connection, path);
    bool is_callback = head.target.len && bw_callback_is_path(path);
    connection->is_link = is_callback || (head.target.len && bw_approve_is_path(path));
    connection->body_max = connection->route ? bw_ingest_body_max(loop->ingest, connection->route)
                           : is_callback     ? BW_CALLBACK_BODY_MAX
                                             : UNKNOWN_BODY_MAX;
    reserve(connection); /* the request before this one, if it was chunked */
    connection->counted = 0;
    if (fault) {
        bw_gate_refuse(gate, fault);
        return;
    }
    bw_gate_body(gate, &head, limit_now(connection));
    connection->since_us = bw_clock_mono_us();
    bw_connection_expect(connection, gate->state == BW_GATE_FAULTY ? 0 : head.is_chunked ? connection->body_max : gate->body);
    if (gate->state == BW_GATE_FAULTY) {
        gate->fault = explain(connection, gate->fault, gate->body);
        if (gate->fault != &overloaded && !head.expects_continue && gate->body <= SWALLOW_MAX) connection->discard = gate->body;
        gate->body = 0;
    }
}

/* Moves what is behind the first `keep` bytes to the end of `into`. */
static bool move_tail(struct evbuffer *from, size_t keep, struct evbuffer *into)
{
    if (evbuffer_get_length(from) == keep) return true;
    struct evbuffer *front = keep ? evbuffer_new() : NULL;
    bool done = !keep || (front && evbuffer_remove_buffer(from, front, keep) == (int)keep);
    done = done && evbuffer_add_buffer(into, from) == 0;
    if (front) {
        done = evbuffer_add_buffer(from, front) == 0 && done;
        evbuffer_free(front);
    }
    return done;
}

static void drop_tail(struct evbuffer *from, size_t keep)
{
    struct evbuffer *tail = keep ? evbuffer_new() : NULL;
    if (!tail || !move_tail(from, keep, tail))
        evbuffer_drain(from, evbuffer_get_length(from)); /* keep 0, or no memory: then nothing is safe to keep */
    if (tail) evbuffer_free(tail);
}

/* Gives evhttp what makes it call us for the refused request. */
static void mark(struct bw_connection *connection, struct evbuffer *input)
{
    static const char whole[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n", last_chunk[] = "\r\n0\r\n\r\n", last_line[] = "\r\n";
    const char *text = whole;
    if (connection->gate.faulty_in == BW_GATE_CHUNK_SIZE || connection->gate.faulty_in == BW_GATE_CHUNK_END) text = last_chunk;
    if (connection->gate.faulty_in == BW_GATE_LAST_CHUNK) text = last_line;
    connection->is_marked = true;
    evbuffer_add(input, text, strlen(text));
}

static void discard(struct bw_connection *connection, struct evbuffer *input, size_t added)
{
    drop_tail(input, evbuffer_get_length(input) - added);
    if (connection->is_marked) return;
    connection->discard -= added < connection->discard ? added : connection->discard;
    if (!connection->discard) mark(connection, input);
}

/* Feeds the gate with work from `at` on; returns how far it came. */
static size_t feed(struct bw_connection *connection, struct evbuffer *work, size_t at)
{
    struct bw_gate *gate = &connection->gate;
    size_t total = evbuffer_get_length(work);
    gate->limit = limit_now(connection);
    while (at < total && gate->state != BW_GATE_FAULTY) {
        struct evbuffer_ptr from;
        struct evbuffer_iovec pieces[4];
        evbuffer_ptr_set(work, &from, at, EVBUFFER_PTR_SET);
        int count = evbuffer_peek(work, -1, &from, pieces, 4);
        for (int i = 0; i < count && i < 4; i++) {
            size_t used = bw_gate_feed(gate, pieces[i].iov_base, pieces[i].iov_len);
            at += used;
            if (gate->state == BW_GATE_AT_HEAD_END) pass_head(connection, work, at);
            if (used < pieces[i].iov_len) break;
        }
    }
    if (gate->state == BW_GATE_FAULTY && gate->faulty_in == BW_GATE_CHUNK_SIZE)
        gate->fault = explain(connection, gate->fault, gate->body + gate->left);
    reserve(connection);
    return at;
}

static void refuse(struct bw_connection *connection, struct evbuffer *work, struct evbuffer *input, size_t at)
{
    size_t unit = connection->gate.unit, total = evbuffer_get_length(work), keep = at > unit ? at - unit : 0;
    connection->refusal = connection->gate.fault;
    if (connection->discard) connection->discard -= total - at < connection->discard ? total - at : connection->discard;
    drop_tail(work, keep);
    if (work != input) evbuffer_add_buffer(input, work);
    if (!connection->discard) mark(connection, input);
}

static void read_new(struct bw_connection *connection, struct evbuffer *input, size_t added)
{
    struct bw_gate *gate = &connection->gate;
    size_t old = evbuffer_get_length(input) - added;
    struct evbuffer *work = input;
    size_t at = old;
    if (gate->state == BW_GATE_IN_HEAD) {
        at = evbuffer_get_length(connection->held);
        if (!move_tail(input, old, connection->held)) {
            bw_gate_refuse(gate, &no_memory);
            gate->unit = 0;
        }
        work = connection->held;
    }
    at = feed(connection, work, at);
    if (gate->state == BW_GATE_FAULTY) {
        refuse(connection, work, input, at);
        return;
    }
    size_t keep = at - (gate->state == BW_GATE_IN_HEAD ? gate->unit : 0);
    if (work != input) {
        if (keep) evbuffer_remove_buffer(work, input, keep);
        return;
    }
    if (keep == at) return; /* the way of nearly every request: nothing is moved */
    if (!connection->held) connection->held = evbuffer_new();
    if (!connection->held || !move_tail(input, keep, connection->held)) {
        bw_gate_refuse(gate, &no_memory);
        refuse(connection, input, input, at);
    }
}

/* libevent needs three system calls and a turn of the loop for each 4 KiB. Called inside its read, so the buffer's end is open. What goes wrong here
 * goes wrong again in its next read, and is heard of there. */
static size_t pull(struct bw_connection *connection, struct evbuffer *input)
{
    uint64_t left = connection->gate.left;
    struct evbuffer_iovec room;
    size_t wanted = left < PULL_BYTES ? (size_t)left : PULL_BYTES;
    if (evbuffer_reserve_space(input, (ev_ssize_t)wanted, &room, 1) != 1) return 0;
    ssize_t len = recv(connection->fd, room.iov_base, wanted, MSG_DONTWAIT);
    if (len <= 0) return 0;
    room.iov_len = (size_t)len;
    return evbuffer_commit_space(input, &room, 1) ? 0 : (size_t)len;
}

static bool has_more(const struct bw_connection *connection, size_t added)
{
    enum bw_gate_state state = connection->gate.state;
    return added >= LIBEVENT_READ && !connection->tls && connection->gate.left && (state == BW_GATE_IN_BODY || state == BW_GATE_CHUNK_DATA);
}

void bw_intake_read(struct bw_connection *connection, struct evbuffer *input, size_t added)
{
    struct bw_gate *gate = &connection->gate;
    if (connection->refusal) {
        discard(connection, input, added);
        return;
    }
    bool was_waiting = bw_gate_is_waiting(gate);
    uint64_t completed = gate->completed;
    int64_t now_us = bw_clock_mono_us();
    read_new(connection, input, added);
    for (size_t pulled = 0; pulled < PULL_MOST && has_more(connection, added) && (added = pull(connection, input)); pulled += added)
        read_new(connection, input, added);
    if (!was_waiting) connection->arrived_us = connection->since_us = now_us;
    if (gate->completed != completed) connection->since_us = now_us;
}

bool bw_intake_answer_refused(struct bw_connection *connection)
{
    if (!connection->refusal || connection->is_marked) return false;
    struct evbuffer *input = bufferevent_get_input(connection->bev);
    connection->is_in_gate = true;
    if (!connection->tls) evbuffer_unfreeze(input, 0); /* between reads a socket's buffer takes nothing at its end; that of TLS is never frozen */
    mark(connection, input);
    if (!connection->tls) evbuffer_freeze(input, 0);
    connection->is_in_gate = false;
    connection->since_us = bw_clock_mono_us();
    bufferevent_trigger(connection->bev, EV_READ, 0);
    return true;
}
