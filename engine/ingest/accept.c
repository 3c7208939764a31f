/* The way of a request: gate's refusal → route → method → load → encoding → judge → record → park → answer.
 * The loop's thread, except where said.
 *
 * One allocation holds an accepted request: the event for the dispatcher, the store's operation, and all bytes that both borrow. It is freed when the
 * answer is sent and the dispatcher is done, whichever is later. A refusal's record is a smaller allocation that the writer frees. */
#include "base/clock.h"
#include "base/codec.h"
#include "base/log.h"
#include "base/utf8.h"
#include "ingest/approve.h"
#include "ingest/connections.h"
#include "ingest/held.h"
#include "ingest/reply.h"
#include "ingest/status.h"
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

#define EVENT_NAME_MAX 200
#define ID_MAX 255    /* of a dedupe id; longer ones are known by their hash */
#define REMOTE_MAX 64 /* a numeric address */

struct delivery {
    struct bw_accepted accepted;
    struct bw_loop_mail mail;
    struct bw_store_op op;
    struct bw_loop *loop;
    struct evhttp_request *request;
    size_t body_bytes;
    struct bw_binding binding;
    struct bw_held *held; /* the sender waits for a run's answer; NULL: for the writer alone */
    int64_t submitted_us;
    char bytes[]; /* body, headers, name, packed body, id, remote */
};

struct refusal {
    struct bw_store_op op;
    char remote[REMOTE_MAX];
};

struct verdict { /* of a request that starts nothing */
    unsigned status;
    enum bw_outcome outcome;
    const char *reason; /* static; for the log and the record, never for the sender */
};

static const char *remote_of(struct evhttp_request *request)
{
    char *address = NULL;
    ev_uint16_t port;
    struct evhttp_connection *from = evhttp_request_get_connection(request);
    if (from) evhttp_connection_get_peer(from, &address, &port);
    return address ? address : "";
}

static void log_delivery(const struct bw_delivery *delivery, const char *event, int64_t waited_us)
{
    if (!bw_log_enabled(BW_LOG_INFO)) return;
    bw_log(BW_LOG_INFO, "delivery", BW_STR("event", event), BW_SLC("source", delivery->source), BW_INT("status", delivery->status),
           BW_STR("outcome", bw_outcome_name(delivery->outcome)), BW_STR("reason", delivery->detail.len ? delivery->detail.ptr : NULL),
           BW_INT("bytes", delivery->bytes), BW_INT("took_us", delivery->took_us), BW_INT("waited_us", waited_us),
           BW_SLC("remote", delivery->remote));
}

/* Writer thread. */
static void free_refusal(struct bw_store_op *op)
{
    free(op->owner);
}

static void record(struct bw_loop *loop, const struct bw_delivery *delivery)
{
    struct bw_store *store = loop->ingest->options.store;
    /* Beyond this the store drowns, and a record of each refusal would only add to it. */
    if (bw_store_is_failed(store) || bw_store_queued(store) > 2 * loop->ingest->options.queued_max) return;
    struct refusal *refusal = malloc(sizeof *refusal);
    if (!refusal) return;
    refusal->op = (struct bw_store_op){.kind = BW_OP_DELIVERY, .done = free_refusal, .owner = refusal, .delivery = *delivery};
    refusal->op.delivery.remote.ptr = refusal->remote;
    if (refusal->op.delivery.remote.len > sizeof refusal->remote) refusal->op.delivery.remote.len = sizeof refusal->remote;
    memcpy(refusal->remote, delivery->remote.ptr, refusal->op.delivery.remote.len);
    bw_store_submit(store, &refusal->op);
}

static uint32_t microseconds(int64_t since_us, int64_t until_us)
{
    int64_t took = until_us - since_us;
    return took < 0 ? 0 : took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
}

static void answer(struct bw_loop *loop, struct evhttp_request *request, struct bw_reply *reply, size_t body_bytes)
{
    if (atomic_load_explicit(&loop->ingest->is_draining, memory_order_relaxed)) reply->closes = true;
    bw_connection_end(loop, request, body_bytes);
    bw_reply_send(request, reply);
}

/* Answers a request that starts nothing, and records it. */
static void conclude(struct bw_connection *connection, struct evhttp_request *request, const struct bw_source *source, const struct verdict *verdict,
                     struct bw_reply *reply)
{
    struct bw_loop *loop = connection->loop;
    size_t body_bytes = evbuffer_get_length(evhttp_request_get_input_buffer(request));
    const struct bw_delivery delivery = {.at_ms = bw_clock_wall_ms(),
                                         .source = source ? bw_slice_of(bw_source_settings(source)->name) : BW_SLICE(""),
                                         .status = verdict->status,
                                         .outcome = verdict->outcome,
                                         .remote = bw_slice_of(remote_of(request)),
                                         .detail = bw_slice_of(verdict->reason),
                                         .bytes = (uint32_t)body_bytes,
                                         .took_us = microseconds(connection->arrived_us, bw_clock_mono_us())};
    record(loop, &delivery);
    log_delivery(&delivery, NULL, 0);
    answer(loop, request, reply, body_bytes);
}

static void refuse(struct bw_connection *connection, struct evhttp_request *request, const struct bw_source *source, unsigned status,
                   enum bw_outcome outcome, const char *reason)
{
    struct bw_reply reply;
    bw_reply_refuse(&reply, status);
    if (status == 405) reply.allow = "POST";
    conclude(connection, request, source, &(struct verdict){status, outcome, reason}, &reply);
}

static enum bw_outcome outcome_of(unsigned status)
{
    switch (status) {
    case 404: return BW_OUTCOME_UNKNOWN_PATH;
    case 405: return BW_OUTCOME_BAD_METHOD;
    case 413:
    case 414:
    case 431: return BW_OUTCOME_TOO_LARGE;
    case 503: return BW_OUTCOME_OVERLOADED;
    default: return BW_OUTCOME_MALFORMED;
    }
}

static void answer_health(struct bw_connection *connection, struct evhttp_request *request, bool is_get)
{
    struct bw_loop *loop = connection->loop;
    struct bw_reply reply;
    if (!is_get) {
        bw_reply_refuse(&reply, 405);
        reply.allow = "GET, HEAD";
        conclude(connection, request, NULL, &(struct verdict){405, BW_OUTCOME_BAD_METHOD, "method"}, &reply);
        return;
    }
    if (bw_store_is_failed(loop->ingest->options.store))
        bw_reply_bytes(&reply, 503, NULL, BW_SLICE("{\"status\":\"store failed\"}\n"));
    else if (atomic_load(&loop->ingest->is_draining))
        bw_reply_bytes(&reply, 503, NULL, BW_SLICE("{\"status\":\"stopping\"}\n"));
    else
        bw_reply_bytes(&reply, 200, NULL, BW_SLICE("{\"status\":\"ok\"}\n"));
    answer(loop, request, &reply, 0);
}

/* ---- accepted ---- */

static void free_delivery(struct bw_accepted *accepted)
{
    free(accepted); /* the first member of struct delivery */
}

/* The writer has answered: so do we. */
static void on_recorded(struct bw_loop *loop, struct bw_loop_mail *mail)
{
    struct delivery *delivery = (struct delivery *)((char *)mail - offsetof(struct delivery, mail));
    struct bw_store_op *op = &delivery->op;
    struct bw_reply reply;
    char event[BW_UID_TEXT];
    bw_uid_text(op->is_duplicate ? op->duplicate_of : delivery->accepted.uid, BW_UID_EVENT, event);
    bool is_gone = op->is_duplicate && bw_uid_is_zero(op->duplicate_of); /* retention removed it, its key lives on */
    if (op->failed) {
        bw_reply_refuse(&reply, 503);
        op->delivery.status = 503;
        op->delivery.outcome = BW_OUTCOME_OVERLOADED;
        op->delivery.detail = bw_slice_of(op->error.code);
    } else {
        bw_reply_accepted(&reply, is_gone ? NULL : event, op->is_duplicate);
        op->delivery.status = reply.status;
        op->delivery.outcome = op->is_duplicate ? BW_OUTCOME_DUPLICATE : BW_OUTCOME_ACCEPTED;
    }
    log_delivery(&op->delivery, op->failed || is_gone ? NULL : event, bw_clock_mono_us() - delivery->submitted_us);
    loop->parked--;
    atomic_fetch_sub(&loop->ingest->parked, 1);
    if (delivery->held) {
        bw_connection_hold(loop, delivery->request, delivery->body_bytes);
        bw_held_keep(delivery->held, delivery->request);
    } else {
        answer(loop, delivery->request, &reply, delivery->body_bytes);
    }
    bw_accepted_unref(&delivery->accepted);
    bw_loop_end_if_done(loop);
}

/* Writer thread, in commit order. */
static void on_done(struct bw_store_op *op)
{
    struct delivery *delivery = op->owner;
    const struct bw_ingest_options options = delivery->loop->ingest->options; /* once the mail is posted, all but the event may be gone */
    struct bw_accepted *accepted = &delivery->accepted;
    bool is_news = !op->failed && !op->is_duplicate && !op->event.is_done && options.committed, is_held = false;
    if (is_news) {
        accepted->event_id = op->event_id;
        bw_accepted_ref(accepted);
        if (delivery->binding.respond_most_ms) delivery->held = bw_held_new(delivery->loop, accepted->uid, &delivery->binding);
        is_held = delivery->held != NULL;
    }
    /* Nobody may answer a sender whose request the loop does not know of yet. */
    if (is_news && !is_held) options.committed(options.arg, accepted);
    bw_mailbox_post(delivery->loop->mailbox, &delivery->mail.mail);
    if (is_held) options.committed(options.arg, accepted);
}

static struct bw_slice put(char **at, struct bw_slice bytes)
{
    struct bw_slice copy = {*at, bytes.len};
    memcpy(*at, bytes.ptr ? bytes.ptr : "", bytes.len);
    *at += bytes.len;
    return copy;
}

static struct bw_slice put_name(char **at, const char *source, struct bw_slice event)
{
    struct bw_slice name = put(at, bw_slice_of(source));
    name.len += put(at, BW_SLICE(".")).len;
    name.len += put(at, event).len;
    return name;
}

/* The id as it is compared: whole, or its hash if it is long. Cutting it would make different deliveries one. */
static struct bw_slice put_id(char **at, struct bw_slice id)
{
    if (id.len <= ID_MAX) return put(at, id);
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char text[2 * SHA256_DIGEST_LENGTH + 1];
    SHA256((const unsigned char *)id.ptr, id.len, digest);
    bw_hex_encode(digest, sizeof digest, text);
    struct bw_slice key = put(at, BW_SLICE("sha256:"));
    key.len += put(at, (struct bw_slice){text, sizeof text - 1}).len;
    return key;
}

static struct delivery *make_delivery(struct bw_connection *connection, struct evhttp_request *request, const struct bw_source_config *source,
                                      const struct bw_request *from, const struct bw_judgement *judgement)
{
    struct bw_loop *loop = connection->loop;
    struct bw_slice remote = bw_slice_of(remote_of(request)), id = judgement->delivery_id;
    bw_buf_clear(&loop->kept);
    bw_headers_keep(&loop->kept, from, source, bw_buf_slice(&connection->client));
    struct bw_slice data = judgement->data; /* the body, or what the scheme takes out of it */
    struct bw_slice packed = bw_pack(loop->packer, data);
    size_t room = data.len + packed.len + loop->kept.len + strlen(source->name) + 1 + judgement->event.len + ID_MAX + remote.len;
    struct delivery *delivery = loop->kept.failed ? NULL : malloc(sizeof *delivery + room);
    if (!delivery) return NULL;
    char *at = delivery->bytes;
    struct bw_accepted *accepted = &delivery->accepted;
    *accepted =
        (struct bw_accepted){.release = free_delivery, .uid = bw_uid_new(from->now_ms), .at_ms = from->now_ms, .trusted = judgement->event_trusted};
    atomic_init(&accepted->references, 1);
    accepted->body = put(&at, data);
    accepted->headers = put(&at, bw_buf_slice(&loop->kept));
    accepted->name = put_name(&at, source->name, judgement->event);
    accepted->source = (struct bw_slice){accepted->name.ptr, strlen(source->name)};
    packed = put(&at, packed);
    struct bw_slice key = put_id(&at, id);
    delivery->binding.revision = 0;
    delivery->binding.is_awaited = true;
    delivery->binding.key_count = 0;
    delivery->binding.respond_least_ms = delivery->binding.respond_most_ms = 0;
    if (loop->ingest->options.bind) loop->ingest->options.bind(loop->ingest->options.arg, accepted->name, accepted->body, &delivery->binding);
    accepted->revision = delivery->binding.revision;
    delivery->mail.run = on_recorded;
    delivery->loop = loop;
    delivery->held = NULL;
    delivery->request = request;
    delivery->body_bytes = from->body.len;
    delivery->op = (struct bw_store_op){
        .kind = BW_OP_ACCEPT,
        .done = on_done,
        .owner = delivery,
        .delivery = {.at_ms = from->now_ms,
                     .source = accepted->source,
                     .status = 202,
                     .outcome = BW_OUTCOME_ACCEPTED,
                     .provider_id = key,
                     .remote = put(&at, remote),
                     .bytes = (uint32_t)from->body.len},
        .event = {.uid = accepted->uid,
                  .at_ms = from->now_ms,
                  .revision = accepted->revision,
                  .source = accepted->source,
                  .name = accepted->name,
                  .trusted = accepted->trusted,
                  .is_done = !delivery->binding.is_awaited,
                  .keys = delivery->binding.keys,
                  .key_count = delivery->binding.key_count,
                  .headers = accepted->headers,
                  .body = accepted->body,
                  .packed = packed,
                  .dedupe_key = key,
                  .dedupe_expire_ms = from->now_ms + source->dedupe_window_ms},
    };
    return delivery;
}

static void park(struct bw_connection *connection, struct delivery *delivery)
{
    struct bw_loop *loop = connection->loop;
    delivery->submitted_us = bw_clock_mono_us();
    delivery->op.delivery.took_us = microseconds(connection->arrived_us, delivery->submitted_us);
    struct evbuffer *input = evhttp_request_get_input_buffer(delivery->request);
    evbuffer_drain(input, evbuffer_get_length(input)); /* the copy is enough */
    loop->parked++;
    atomic_fetch_add(&loop->ingest->parked, 1);
    bw_store_submit(loop->ingest->options.store, &delivery->op);
}

/* ---- the way of a request to a source ---- */

static bool is_overloaded(const struct bw_ingest *ingest)
{
    return bw_store_is_failed(ingest->options.store) || bw_store_queued(ingest->options.store) > ingest->options.queued_max;
}

static bool has_foreign_encoding(const struct bw_request *request)
{
    size_t count;
    const struct bw_header *header = bw_request_header(request, "Content-Encoding", &count);
    return header && (count > 1 || !bw_slice_is_nocase(header->value, "identity"));
}

static void judge(struct bw_connection *connection, struct evhttp_request *request, const struct bw_source *source, bool is_post)
{
    struct bw_loop *loop = connection->loop;
    struct bw_judgement judgement = {0};
    struct bw_reply reply;
    bw_source_judge(source, &loop->parts.request, &loop->scratch, &judgement);
    if (judgement.verdict == BW_HANDSHAKE) {
        bw_reply_bytes(&reply, judgement.answer_status, judgement.answer_type, judgement.answer_body);
        reply.headers = judgement.answer_headers;
        conclude(connection, request, source, &(struct verdict){judgement.answer_status, BW_OUTCOME_HANDSHAKE, "handshake"}, &reply);
    } else if (!is_post) {
        refuse(connection, request, source, 405, BW_OUTCOME_BAD_METHOD, "method");
    } else if (judgement.verdict == BW_REFUSED) {
        refuse(connection, request, source, 401, BW_OUTCOME_UNVERIFIED, judgement.reason);
    } else if (judgement.verdict == BW_MALFORMED) {
        bw_reply_malformed(&reply, &judgement.fault);
        const char *reason = judgement.fault.reason ? judgement.fault.reason : judgement.reason;
        conclude(connection, request, source, &(struct verdict){400, BW_OUTCOME_MALFORMED, reason}, &reply);
    } else if (judgement.event.len > EVENT_NAME_MAX) {
        refuse(connection, request, source, 400, BW_OUTCOME_MALFORMED, "event name longer than 200 bytes");
    } else {
        struct delivery *delivery = make_delivery(connection, request, bw_source_settings(source), &loop->parts.request, &judgement);
        if (delivery)
            park(connection, delivery);
        else
            refuse(connection, request, source, 503, BW_OUTCOME_OVERLOADED, "no memory");
    }
}

static void handle(struct bw_connection *connection, struct evhttp_request *request)
{
    struct bw_loop *loop = connection->loop;
    struct bw_request *parsed = &loop->parts.request;
    bool is_get = bw_slice_is(parsed->method, "GET") || bw_slice_is(parsed->method, "HEAD"), is_post = bw_slice_is(parsed->method, "POST");
    if (bw_slice_is(loop->parts.path, "/healthz")) {
        answer_health(connection, request, is_get);
        return;
    }
    if (bw_approve_is_path(loop->parts.path)) {
        if (has_foreign_encoding(parsed))
            refuse(connection, request, NULL, 415, BW_OUTCOME_BAD_TYPE, "content encoding");
        else if (!bw_approve_request(loop, request, bw_slice_of(remote_of(request))))
            refuse(connection, request, NULL, 404, BW_OUTCOME_UNKNOWN_PATH, "no link of ours");
        return;
    }
    if (bw_status_is_path(loop->parts.path)) {
        if (!bw_status_request(loop, request)) refuse(connection, request, NULL, 404, BW_OUTCOME_UNKNOWN_PATH, "no link of ours");
        return;
    }
    const struct bw_source *source = bw_router_find(loop->ingest->router, loop->parts.path);
    if (!source) {
        refuse(connection, request, NULL, 404, BW_OUTCOME_UNKNOWN_PATH, "unknown path");
    } else if (!is_post && !is_get && !bw_slice_is(parsed->method, "OPTIONS")) { /* these may be a handshake: the source says */
        refuse(connection, request, source, 405, BW_OUTCOME_BAD_METHOD, "method");
    } else if (is_overloaded(loop->ingest)) {
        refuse(connection, request, source, 503, BW_OUTCOME_OVERLOADED, "overloaded");
    } else if (has_foreign_encoding(parsed)) {
        refuse(connection, request, source, 415, BW_OUTCOME_BAD_TYPE, "content encoding");
    } else if (!bw_request_set_source(&loop->parts, request, bw_source_settings(source), bw_clock_wall_ms())) {
        refuse(connection, request, source, 503, BW_OUTCOME_OVERLOADED, "no memory");
    } else {
        judge(connection, request, source, is_post);
    }
}

void bw_accept_request(struct evhttp_request *request, void *arg)
{
    struct bw_loop *loop = arg;
    struct bw_reply reply;
    struct bw_connection *connection = bw_connection_begin(loop, request);
    bool is_readable = evhttp_request_get_uri(request) && bw_request_read(&loop->parts, request);
    if (!connection || (!is_readable && !connection->refusal)) { /* past the gate: there was no memory for its record */
        bw_reply_refuse(&reply, 503);
        answer(loop, request, &reply, 0);
    } else if (connection->refusal && connection->handled == connection->gate.completed) {
        refuse(connection, request, connection->source, connection->refusal->status, outcome_of(connection->refusal->status),
               connection->refusal->reason);
    } else {
        handle(connection, request);
    }
}
