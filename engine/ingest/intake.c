/* From the socket through the gate to the request's handling.
 *
 * - The gate sees every byte first, and says where a request begins and ends; what it refuses is never looked at. A faulty request is answered in its
 * turn, recorded like any other, and the connection closes behind it: what follows a fault is worth nothing.
 * - What comes in one piece is handled where it was read to, in the loop's room. Only a request in pieces has bytes of its own: a head is held back
 * until it is whole, and a body is read to where it stays.
 * - What comes behind a request waits, unread by the gate, until that is answered.
 * - A body that is announced too large is swallowed, not kept, before the answer: many clients read no answer before they have sent everything, and
 * closing with unread bytes in the socket would reset the connection under our answer. When there is no room for it the answer comes at once: reading
 * on costs what the bodies that were let in need, and who hears it may stop; what comes all the same is dropped behind the answer (linger.h). */
#include "base/clock.h"
#include "ingest/accept.h"
#include "ingest/admission.h"
#include "ingest/approve.h"
#include "ingest/callback.h"
#include "ingest/connections.h"

#define PULL_BYTES 65536                /* of a body that is known to come, at a time */
#define AT_ONCE_BYTES 262144            /* then others have their turn */
#define INPUT_MAX BW_LOOP_ROOM          /* what is read of what nobody has asked for yet */
#define SWALLOW_MAX (64u * 1024 * 1024) /* above it the sender does not mean it: answer at once */
#define UNKNOWN_BODY_MAX 65536          /* bodies for paths that no source has */

#define SCARCE_BYTES 2048 /* a head, with little of a body that may have to wait, and would wait in our memory */

static const struct bw_gate_fault overloaded = {503, "too many body bytes in flight"}, unknown_path = {404, "unknown path"},
                                  no_memory = {503, "no memory"};

/* ---- what is in flight ---- */

static void reserve(struct bw_connection *connection)
{
    uint64_t more = connection->gate.body - connection->counted;
    if (!more) return;
    connection->counted += more;
    connection->reserved += more;
    atomic_fetch_add_explicit(&connection->loop->ingest->in_flight, more, memory_order_relaxed);
    if (connection->share) atomic_fetch_add_explicit(&connection->share->in_flight, more, memory_order_relaxed);
}

void bw_intake_release(struct bw_connection *connection)
{
    uint64_t bytes = connection->reserved;
    if (!bytes) return;
    connection->reserved = 0;
    atomic_fetch_sub_explicit(&connection->loop->ingest->in_flight, bytes, memory_order_relaxed);
    if (connection->share) atomic_fetch_sub_explicit(&connection->share->in_flight, bytes, memory_order_relaxed);
    bw_admission_look(connection->loop);
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

/* ---- refusals ---- */

static void answer_refused(struct bw_connection *connection)
{
    connection->is_busy = true;
    bw_accept_refused(connection);
}

/* The gate has refused it. */
static void refuse(struct bw_connection *connection)
{
    connection->refusal = connection->gate.fault;
    if (!connection->discard) answer_refused(connection);
}

static void refuse_for(struct bw_connection *connection, const struct bw_gate_fault *fault)
{
    bw_gate_refuse(&connection->gate, fault);
    refuse(connection);
}

static void discard(struct bw_connection *connection, size_t len)
{
    if (!connection->discard) return; /* it is answered */
    connection->discard -= len < connection->discard ? len : connection->discard;
    if (!connection->discard) answer_refused(connection);
}

bool bw_intake_answer_refused(struct bw_connection *connection)
{
    if (!connection->discard) return false;
    connection->discard = 0;
    answer_refused(connection);
    return true;
}

/* ---- a whole request ---- */

static void hand_on(struct bw_connection *connection)
{
    connection->is_busy = true;
    bw_accept_request(connection);
    if (connection->is_busy)
        bw_inbound_let_go(&connection->inbound);
    else
        bw_inbound_clear(&connection->inbound);
}

/* ---- its head ---- */

static void set_share(struct bw_connection *connection, struct bw_share *share)
{
    if (connection->share == share) return;
    bw_share_unref(connection->share); /* nothing of the request before is in flight any more */
    connection->share = share ? bw_share_ref(share) : NULL;
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

static void note_body_max(struct bw_connection *connection, struct bw_slice path)
{
    bool is_callback = path.len && bw_callback_is_path(path);
    connection->is_link = is_callback || (path.len && bw_approve_is_path(path));
    connection->body_max = connection->route ? bw_ingest_body_max(connection->loop->ingest, connection->route)
                           : is_callback     ? BW_CALLBACK_BODY_MAX
                                             : UNKNOWN_BODY_MAX;
}

static bool has_room(const struct bw_connection *connection, const struct bw_gate_head *head)
{
    return head->content_length <= limit_now(connection);
}

/* Leaves the gate in front of the body, behind the request when there is none, or faulty. */
static void begin_body(struct bw_connection *connection, const struct bw_gate_head *head)
{
    struct bw_gate *gate = &connection->gate;
    bw_gate_body(gate, head, limit_now(connection));
    connection->since_us = bw_clock_mono_us();
    if (gate->state == BW_GATE_FAULTY) {
        gate->fault = explain(connection, gate->fault, gate->body);
        if (gate->fault != &overloaded && !head->expects_continue && gate->body <= SWALLOW_MAX) connection->discard = gate->body;
        gate->body = 0;
    }
    reserve(connection);
}

/* Whose it is, and what it says. Leaves the gate faulty, or at the end of the head. */
static void read_head(struct bw_connection *connection, struct bw_slice text, struct bw_gate_head *head)
{
    struct bw_slice path, query;
    const struct bw_gate_fault *fault = bw_gate_parse_head(text, head);
    bw_target_split(head->target, &path, &query);
    find_route(connection, path);
    note_body_max(connection, path);
    connection->counted = 0;
    if (fault) {
        bw_gate_refuse(&connection->gate, fault);
        return;
    }
    connection->inbound.head = text;
    connection->inbound.is_head = bw_slice_is(head->method, "HEAD");
    connection->inbound.is_http10 = head->is_http10;
    connection->inbound.closes = head->asks_to_close || (head->is_http10 && !head->asks_to_keep);
}

static bool is_to_wait(const struct bw_connection *connection, const struct bw_gate_head *head)
{
    bool is_draining = atomic_load_explicit(&connection->loop->ingest->is_draining, memory_order_relaxed);
    return !has_room(connection, head) && head->content_length <= connection->body_max && !is_draining &&
           bw_load_may_wait(connection->route, connection->is_link);
}

static void wait_for_room(struct bw_connection *connection)
{
    if (!bw_inbound_keep(&connection->inbound)) {
        refuse_for(connection, &no_memory);
        return;
    }
    connection->since_us = bw_clock_mono_us();
    bw_admission_wait(connection);
}

/* Its body comes later, or in chunks: what there is of it has to be its own. */
static void prepare_for_body(struct bw_connection *connection, bool expects_continue)
{
    struct bw_gate *gate = &connection->gate;
    if (!bw_inbound_keep(&connection->inbound) || (gate->state == BW_GATE_IN_BODY && !bw_buf_reserve(&connection->inbound.own_body, gate->left)))
        refuse_for(connection, &no_memory);
    else if (expects_continue)
        bw_connection_continue(connection);
}

/* Of a head, and of its body when all of it is there; returns how much of it was taken. */
static size_t take_head(struct bw_connection *connection, const char *bytes, size_t len)
{
    struct bw_gate *gate = &connection->gate;
    size_t seen = gate->state == BW_GATE_IN_HEAD ? gate->unit : 0;
    uint64_t completed = gate->completed;
    struct bw_gate_head head = {0};
    bw_gate_feed(gate, bytes + seen, len - seen);
    if (gate->state == BW_GATE_IN_HEAD) return 0;
    size_t taken = gate->unit;
    if (gate->state == BW_GATE_AT_HEAD_END) read_head(connection, (struct bw_slice){bytes, taken}, &head);
    if (gate->state == BW_GATE_AT_HEAD_END && is_to_wait(connection, &head)) {
        wait_for_room(connection);
        return taken;
    }
    if (gate->state == BW_GATE_AT_HEAD_END) begin_body(connection, &head);
    if (gate->state == BW_GATE_IN_BODY && len - taken >= gate->left) {
        connection->inbound.body = (struct bw_slice){bytes + taken, (size_t)gate->left};
        taken += bw_gate_feed(gate, bytes + taken, (size_t)gate->left);
    }
    if (gate->state == BW_GATE_FAULTY) {
        if (connection->discard) connection->discard -= len - taken < connection->discard ? len - taken : connection->discard;
        if (!bw_inbound_keep(&connection->inbound)) bw_inbound_clear(&connection->inbound);
        refuse(connection);
    } else if (gate->completed != completed) {
        hand_on(connection);
    } else {
        prepare_for_body(connection, head.expects_continue && len == taken);
    }
    return taken;
}

/* ---- its body ---- */

static bool is_in_data(const struct bw_gate *gate)
{
    return (gate->state == BW_GATE_IN_BODY || gate->state == BW_GATE_CHUNK_DATA) && gate->left;
}

/* The gate has been given more of the body. */
static void go_on_with_body(struct bw_connection *connection, uint64_t completed)
{
    struct bw_gate *gate = &connection->gate;
    if (gate->state == BW_GATE_FAULTY) {
        if (gate->faulty_in == BW_GATE_CHUNK_SIZE) gate->fault = explain(connection, gate->fault, gate->body + gate->left);
        refuse(connection);
        return;
    }
    reserve(connection);
    if (gate->completed == completed) return;
    connection->inbound.body = bw_buf_slice(&connection->inbound.own_body);
    hand_on(connection);
}

static size_t take_body(struct bw_connection *connection, const char *bytes, size_t len)
{
    struct bw_gate *gate = &connection->gate;
    struct bw_buf *body = &connection->inbound.own_body;
    uint64_t completed = gate->completed;
    size_t piece = !is_in_data(gate) ? 1 : len < gate->left ? len : (size_t)gate->left;
    if (is_in_data(gate)) bw_buf_append(body, bytes, piece);
    if (body->failed) {
        refuse_for(connection, &no_memory);
        return piece;
    }
    gate->limit = limit_now(connection);
    bw_gate_feed(gate, bytes, piece);
    go_on_with_body(connection, completed);
    return piece;
}

/* ---- what has come ---- */

/* It can take another request, or goes on with one. */
static bool is_free(const struct bw_connection *connection)
{
    return !connection->is_busy && !connection->refusal && !connection->is_last && !connection->is_gone && !connection->is_waiting &&
           bw_connection_is_written(connection);
}

/* Returns how many of these bytes were taken: all of them, but for a part of a head, and what comes behind a request that is not answered yet. */
static size_t take(struct bw_connection *connection, const char *bytes, size_t len)
{
    size_t at = 0;
    connection->is_in_intake = true;
    while (at < len && is_free(connection)) {
        bool is_body = bw_gate_is_in_body(&connection->gate);
        size_t taken = is_body ? take_body(connection, bytes + at, len - at) : take_head(connection, bytes + at, len - at);
        if (!taken) break;
        at += taken;
    }
    connection->is_in_intake = false;
    return at;
}

static bool is_worth_nothing(const struct bw_connection *connection) /* what comes now */
{
    return connection->refusal || connection->is_last || connection->is_gone;
}

static void work_off(struct bw_connection *connection)
{
    struct bw_buf *input = &connection->input;
    size_t taken = take(connection, input->data, input->len);
    if (is_worth_nothing(connection) || taken == input->len) {
        bw_buf_free(input);
        return;
    }
    memmove(input->data, input->data + taken, input->len - taken);
    input->len -= taken;
}

static void arrive(struct bw_connection *connection, const char *bytes, size_t len)
{
    struct bw_buf *input = &connection->input;
    bool is_first = is_free(connection) && !input->len && !bw_gate_is_waiting(&connection->gate);
    if (is_first) connection->arrived_us = connection->since_us = bw_clock_mono_us();
    if (is_worth_nothing(connection)) {
        discard(connection, len);
        return;
    }
    size_t taken = input->len ? 0 : take(connection, bytes, len);
    if (taken == len || is_worth_nothing(connection)) return;
    bool had_some = input->len > 0;
    bw_buf_append(input, bytes + taken, len - taken);
    if (input->failed && !connection->is_busy)
        refuse_for(connection, &no_memory);
    else if (input->failed)
        bw_connection_end(connection, false);
    else if (had_some)
        work_off(connection);
}

/* ---- the socket ---- */

/* A body that is known to come is read to where it stays. */
static ssize_t read_body(struct bw_connection *connection, size_t *room)
{
    struct bw_gate *gate = &connection->gate;
    struct bw_buf *body = &connection->inbound.own_body;
    *room = gate->left < PULL_BYTES ? (size_t)gate->left : PULL_BYTES;
    if (!bw_buf_reserve(body, *room)) {
        refuse_for(connection, &no_memory);
        return BW_STREAM_LATER;
    }
    ssize_t len = bw_stream_read(&connection->stream, body->data + body->len, *room);
    if (len <= 0) return len;
    uint64_t completed = gate->completed;
    char *bytes = body->data + body->len;
    body->len += (size_t)len;
    body->data[body->len] = '\0';
    connection->is_in_intake = true;
    bw_gate_feed(gate, bytes, (size_t)len);
    go_on_with_body(connection, completed);
    connection->is_in_intake = false;
    return len;
}

static ssize_t read_some(struct bw_connection *connection, size_t *room)
{
    struct bw_loop *loop = connection->loop;
    if (is_free(connection) && !connection->input.len && is_in_data(&connection->gate)) return read_body(connection, room);
    bool is_scarce = loop->admission.newest || bw_load_is_scarce(loop->ingest);
    *room = connection->input.len ? INPUT_MAX - connection->input.len : is_scarce ? SCARCE_BYTES : sizeof loop->arrived;
    ssize_t len = bw_stream_read(&connection->stream, loop->arrived, *room);
    if (len > 0) arrive(connection, loop->arrived, (size_t)len);
    return len;
}

static void stop_reading(struct bw_connection *connection)
{
    if (!connection->is_at_end && !connection->is_paused) event_del(&connection->readable);
}

/* Its peer sends nothing more; it may still want to hear. */
static void note_end(struct bw_connection *connection)
{
    stop_reading(connection);
    connection->is_at_end = true;
    if (connection->is_busy && connection->on_ended) connection->on_ended(connection->on_ended_arg);
}

/* What has come is done with as far as it can be. */
static void settle(struct bw_connection *connection)
{
    if (connection->is_gone) return;
    bool is_idle = !connection->is_busy && !connection->is_waiting && bw_connection_is_written(connection);
    if (connection->is_at_end && is_idle && !bw_intake_answer_refused(connection)) {
        bw_connection_end(connection, true);
    } else if (connection->input.len >= INPUT_MAX || connection->is_waiting) {
        stop_reading(connection);
        connection->is_paused = true;
    }
}

static bool is_read(const struct bw_connection *connection)
{
    return !connection->is_gone && !connection->is_at_end && !connection->is_waiting && connection->input.len < INPUT_MAX;
}

void bw_intake_readable(struct bw_connection *connection)
{
    size_t total = 0, room = 0;
    ssize_t len = 1;
    if (connection->is_gone) return;
    if (connection->input.len) work_off(connection);
    while (len > 0 && total < AT_ONCE_BYTES && is_read(connection)) {
        len = read_some(connection, &room);
        if (len > 0) total += (size_t)len;
        if (len > 0 && (size_t)len < room && !bw_stream_has_more(&connection->stream)) break; /* there was no more */
    }
    if (connection->is_gone) return;
    if (len == BW_STREAM_BROKEN) {
        bw_connection_end(connection, false);
        return;
    }
    if (len == BW_STREAM_ENDED) note_end(connection);
    if (!connection->is_gone && connection->stream.wants_write) event_add(&connection->writable, NULL);
    settle(connection);
    bool is_reading = !connection->is_gone && !connection->is_at_end && !connection->is_paused;
    if (is_reading && len > 0 && bw_stream_has_more(&connection->stream)) event_active(&connection->readable, EV_READ, 0);
}

void bw_intake_resume(struct bw_connection *connection)
{
    if (connection->is_in_intake) return; /* it goes on by itself */
    bool was_paused = connection->is_paused;
    connection->is_paused = false;
    if (was_paused && !connection->is_at_end && event_add(&connection->readable, NULL)) {
        bw_connection_end(connection, false);
        return;
    }
    bool has_something = connection->input.len || connection->is_at_end || bw_stream_has_more(&connection->stream);
    if (has_something) event_active(&connection->readable, EV_READ, 0); /* in a turn of its own: who answers has other things to do */
}

/* ---- those who waited ---- */

bool bw_intake_admit(struct bw_connection *connection)
{
    struct bw_gate_head head;
    bw_gate_parse_head(connection->inbound.head, &head); /* it has passed before */
    if (!has_room(connection, &head)) return false;
    bw_admission_leave(connection);
    begin_body(connection, &head);
    prepare_for_body(connection, head.expects_continue && !connection->input.len);
    if (!connection->is_gone && bw_connection_is_written(connection)) bw_intake_resume(connection);
    return true;
}

void bw_intake_refuse_admission(struct bw_connection *connection)
{
    bw_admission_leave(connection);
    refuse_for(connection, &overloaded);
}
