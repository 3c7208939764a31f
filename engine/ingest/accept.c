/* The way of a request: gate's refusal → route → address → method → load → encoding → judge → rate → schema → record → park → answer.
 * What anybody can send is counted by address, before it is verified; what is counted by source was verified: forged requests cost its sender
 * nothing. The loop's thread, except where said.
 *
 * One allocation holds an accepted request: the event for the dispatcher, the store's operation, and all bytes that both borrow. It is freed when the
 * answer is sent and the dispatcher is done, whichever is later. A refusal's record is a smaller allocation that the writer frees. */
#include "base/clock.h"
#include "base/codec.h"
#include "base/crash_point.h"
#include "base/log.h"
#include "base/utf8.h"
#include "ingest/approve.h"
#include "ingest/body.h"
#include "ingest/callback.h"
#include "ingest/connections.h"
#include "ingest/held.h"
#include "ingest/reply.h"
#include "ingest/status.h"
#include "ingest/undecided.h"
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

#define EVENT_NAME_MAX 200
#define ID_MAX 255 /* of a dedupe id; longer ones are known by their hash */

struct delivery {
    struct bw_accepted accepted;
    struct bw_loop_mail mail;
    struct bw_store_op op;
    struct bw_loop *loop;
    struct evhttp_request *request;
    size_t body_bytes;
    struct bw_binding binding;
    struct bw_share *share; /* of its source, that it counts in; ours */
    struct bw_held *held;   /* the sender waits for a run's answer; NULL: for the writer alone */
    int64_t submitted_us;
    char bytes[]; /* body, headers, name, packed body, id, remote */
};

struct refusal { /* a record of its own: what it names may be gone before the writer comes to it */
    struct bw_store_op op;
    char bytes[]; /* source, remote, detail */
};

struct verdict { /* of a request that starts nothing */
    unsigned status;
    enum bw_outcome outcome;
    const char *reason; /* for the log and the record */
};

static struct bw_slice put(char **at, struct bw_slice bytes)
{
    struct bw_slice copy = {*at, bytes.len};
    memcpy(*at, bytes.ptr ? bytes.ptr : "", bytes.len);
    *at += bytes.len;
    return copy;
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
    if (!bw_load_leaves_records(loop->ingest)) return;
    struct refusal *refusal = malloc(sizeof *refusal + delivery->source.len + delivery->remote.len + delivery->detail.len);
    if (!refusal) return;
    char *at = refusal->bytes;
    refusal->op = (struct bw_store_op){.kind = BW_OP_DELIVERY, .done = free_refusal, .owner = refusal, .delivery = *delivery};
    refusal->op.delivery.source = put(&at, delivery->source);
    refusal->op.delivery.remote = put(&at, delivery->remote);
    refusal->op.delivery.detail = put(&at, delivery->detail);
    bw_store_submit(store, &refusal->op);
}

static uint32_t microseconds(int64_t since_us, int64_t until_us)
{
    int64_t took = until_us - since_us;
    return took < 0 ? 0 : took > UINT32_MAX ? UINT32_MAX : (uint32_t)took;
}

/* Answers a request that starts nothing, and records it. */
static void conclude(struct bw_connection *connection, struct evhttp_request *request, const struct bw_route *route, const struct verdict *verdict,
                     struct bw_reply *reply)
{
    struct bw_loop *loop = connection->loop;
    size_t body_bytes = evbuffer_get_length(evhttp_request_get_input_buffer(request));
    const struct bw_delivery delivery = {.at_ms = bw_clock_wall_ms(),
                                         .source = route ? bw_slice_of(route->settings->name) : BW_SLICE(""),
                                         .status = verdict->status,
                                         .outcome = verdict->outcome,
                                         .remote = bw_slice_of(loop->client.text),
                                         .detail = bw_slice_of(verdict->reason),
                                         .bytes = (uint32_t)body_bytes,
                                         .took_us = microseconds(connection->arrived_us, bw_clock_mono_us())};
    record(loop, &delivery);
    log_delivery(&delivery, NULL, 0);
    bw_connection_answer(loop, request, reply, body_bytes);
}

static void refuse(struct bw_connection *connection, struct evhttp_request *request, const struct bw_route *route, unsigned status,
                   enum bw_outcome outcome, const char *reason)
{
    struct bw_reply reply;
    bw_reply_refuse(&reply, status);
    if (status == 405) reply.allow = "POST";
    conclude(connection, request, route, &(struct verdict){status, outcome, reason}, &reply);
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
    bw_connection_answer(loop, request, &reply, 0);
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
    if (delivery->share) atomic_fetch_sub_explicit(&delivery->share->parked, 1, memory_order_relaxed);
    bw_share_unref(delivery->share);
    loop->parked--;
    atomic_fetch_sub(&loop->ingest->parked, 1);
    if (delivery->held) {
        bw_connection_hold(loop, delivery->request, delivery->body_bytes);
        bw_held_keep(delivery->held, delivery->request);
    } else {
        bw_reply_crash(delivery->request);
        bw_connection_answer(loop, delivery->request, &reply, delivery->body_bytes);
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
    struct bw_slice remote = bw_slice_of(loop->client.text), id = judgement->delivery_id;
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

static void park(struct bw_connection *connection, struct delivery *delivery, struct bw_share *share)
{
    struct bw_loop *loop = connection->loop;
    delivery->submitted_us = bw_clock_mono_us();
    delivery->op.delivery.took_us = microseconds(connection->arrived_us, delivery->submitted_us);
    struct evbuffer *input = evhttp_request_get_input_buffer(delivery->request);
    evbuffer_drain(input, evbuffer_get_length(input)); /* the copy is enough */
    delivery->share = share ? bw_share_ref(share) : NULL;
    if (share) atomic_fetch_add_explicit(&share->parked, 1, memory_order_relaxed);
    loop->parked++;
    atomic_fetch_add(&loop->ingest->parked, 1);
    BW_CRASH_POINT(INGEST_BEFORE_STORE);
    bw_store_submit(loop->ingest->options.store, &delivery->op);
}

/* ---- the way of a request to a source ---- */

static bool has_foreign_encoding(const struct bw_request *request)
{
    size_t count;
    const struct bw_header *header = bw_request_header(request, "Content-Encoding", &count);
    return header && (count > 1 || !bw_slice_is_nocase(header->value, "identity"));
}

/* 422 with the place; what stands there is not repeated, neither to the sender nor in the record. */
static bool fits_schema(struct bw_connection *connection, struct evhttp_request *request, const struct bw_route *route, struct bw_slice data)
{
    struct bw_misfit misfit = {0};
    struct bw_reply reply;
    if (bw_body_fits(route->settings->schema, data, &misfit)) return true;
    bw_reply_bytes(&reply, 422, NULL, bw_buf_slice(&misfit.answer));
    conclude(connection, request, route, &(struct verdict){422, BW_OUTCOME_INVALID, misfit.reason.data ? misfit.reason.data : "schema"}, &reply);
    bw_misfit_clear(&misfit);
    return false;
}

static void conclude_judgement(struct bw_connection *connection, struct evhttp_request *request, const struct bw_route *route,
                               const struct bw_judgement *judgement, bool is_post)
{
    struct bw_loop *loop = connection->loop;
    struct bw_reply reply;
    if (judgement->verdict == BW_HANDSHAKE) {
        bw_reply_bytes(&reply, judgement->answer_status, judgement->answer_type, judgement->answer_body);
        reply.headers = judgement->answer_headers;
        conclude(connection, request, route, &(struct verdict){judgement->answer_status, BW_OUTCOME_HANDSHAKE, "handshake"}, &reply);
    } else if (!is_post) {
        refuse(connection, request, route, 405, BW_OUTCOME_BAD_METHOD, "method");
    } else if (judgement->verdict == BW_REFUSED) {
        refuse(connection, request, route, 401, BW_OUTCOME_UNVERIFIED, judgement->reason);
    } else if (judgement->verdict == BW_MALFORMED) {
        bw_reply_malformed(&reply, &judgement->fault);
        const char *reason = judgement->fault.reason ? judgement->fault.reason : judgement->reason;
        conclude(connection, request, route, &(struct verdict){400, BW_OUTCOME_MALFORMED, reason}, &reply);
    } else if (judgement->event.len > EVENT_NAME_MAX) {
        refuse(connection, request, route, 400, BW_OUTCOME_MALFORMED, "event name longer than 200 bytes");
    } else if (route->meter && !bw_meter_take(route->meter, bw_clock_mono_us())) {
        refuse(connection, request, route, 429, BW_OUTCOME_RATE_LIMITED, "rate of the source");
    } else if (route->settings->schema && !fits_schema(connection, request, route, judgement->data)) {
        return; /* said */
    } else {
        struct delivery *delivery = make_delivery(connection, request, route->settings, &loop->parts.request, judgement);
        if (delivery && route->settings->is_trigger && !delivery->binding.is_awaited) {
            bw_accepted_unref(&delivery->accepted); /* its workflow went away while the request came in: it would start nothing */
            refuse(connection, request, route, 404, BW_OUTCOME_UNKNOWN_PATH, "the workflow is gone");
        } else if (delivery)
            park(connection, delivery, route->share);
        else
            refuse(connection, request, route, 503, BW_OUTCOME_OVERLOADED, "no memory");
    }
}

/* Its key is not here: not believed, not refused. Whoever finds it missing first has it fetched. */
static void decide_later(struct bw_connection *connection, struct evhttp_request *request, const struct bw_route *route,
                         const struct bw_judgement *judgement)
{
    const struct bw_ingest_options *options = &connection->loop->ingest->options;
    if (judgement->is_mine && options->fetch_key) options->fetch_key(options->arg, &judgement->wish);
    bool may_wait = options->fetch_key && !judgement->has_failed;
    if (may_wait && bw_undecided_wait(connection, request, route)) return;
    refuse(connection, request, route, 503, BW_OUTCOME_OVERLOADED, judgement->has_failed ? "its key cannot be fetched" : judgement->reason);
}

static void find_client(struct bw_loop *loop, struct evhttp_request *request, bool is_readable)
{
    const struct bw_config *config = loop->ingest->options.config;
    const struct bw_request unread = {0};
    bw_client_of(bw_connection_peer(loop, request), is_readable ? &loop->parts.request : &unread, config->trusted_proxies,
                 config->trusted_proxy_count, &loop->client);
}

bool bw_accept_again(struct bw_loop *loop, struct evhttp_request *request, const struct bw_route *route, bool may_wait)
{
    struct bw_connection *connection = bw_connection_find(loop, request);
    struct bw_judgement judgement;
    struct bw_reply reply;
    if (!connection || !bw_request_read(&loop->parts, request) ||
        !bw_request_set_source(&loop->parts, request, route->settings, bw_clock_wall_ms())) {
        bw_reply_refuse(&reply, 503);
        bw_connection_answer(loop, request, &reply, evbuffer_get_length(evhttp_request_get_input_buffer(request)));
        return false;
    }
    find_client(loop, request, true);
    loop->parts.request.ring = loop->ingest->options.ring;
    bw_source_judge(route->source, &loop->parts.request, &loop->scratch, &judgement);
    if (judgement.verdict != BW_UNDECIDED) {
        conclude_judgement(connection, request, route, &judgement, true);
        return false;
    }
    if (may_wait && judgement.is_mine) loop->ingest->options.fetch_key(loop->ingest->options.arg, &judgement.wish);
    if (may_wait && !judgement.has_failed) return true;
    refuse(connection, request, route, 503, BW_OUTCOME_OVERLOADED,
           judgement.has_failed ? "its key cannot be fetched" : "its key was not there in time");
    return false;
}

static void judge(struct bw_connection *connection, struct evhttp_request *request, const struct bw_route *route, bool is_post)
{
    struct bw_loop *loop = connection->loop;
    struct bw_judgement judgement = {0};
    loop->parts.request.ring = loop->ingest->options.ring;
    bw_source_judge(route->source, &loop->parts.request, &loop->scratch, &judgement);
    if (judgement.verdict == BW_UNDECIDED && is_post)
        decide_later(connection, request, route, &judgement);
    else
        conclude_judgement(connection, request, route, &judgement, is_post);
}

static bool is_allowed(const struct bw_route *route, const struct bw_client *client)
{
    const struct bw_source_config *settings = route->settings;
    return !settings->allow_count || bw_net_ranges_hold(settings->allow, settings->allow_count, &client->address);
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
    bool is_callback = bw_callback_is_path(loop->parts.path);
    if (is_callback || bw_approve_is_path(loop->parts.path)) {
        if (has_foreign_encoding(parsed))
            refuse(connection, request, NULL, 415, BW_OUTCOME_BAD_TYPE, "content encoding");
        else if (!(is_callback ? bw_callback_request : bw_approve_request)(loop, request, bw_slice_of(loop->client.text)))
            refuse(connection, request, NULL, 404, BW_OUTCOME_UNKNOWN_PATH, "no link of ours");
        return;
    }
    if (bw_status_is_path(loop->parts.path)) {
        if (!bw_status_request(loop, request)) refuse(connection, request, NULL, 404, BW_OUTCOME_UNKNOWN_PATH, "no link of ours");
        return;
    }
    const struct bw_route *route = bw_router_find(connection->router, loop->parts.path);
    if (!route && bw_load_is_over(loop->ingest, NULL)) {
        refuse(connection, request, NULL, 503, BW_OUTCOME_OVERLOADED, "overloaded");
    } else if (!route) {
        refuse(connection, request, NULL, 404, BW_OUTCOME_UNKNOWN_PATH, "unknown path");
    } else if (!is_allowed(route, &loop->client)) {
        refuse(connection, request, route, 403, BW_OUTCOME_FORBIDDEN, "address not allowed");
    } else if (route->meter && !bw_meter_take_for(route->meter, &loop->client.address, bw_clock_mono_us())) {
        refuse(connection, request, route, 429, BW_OUTCOME_RATE_LIMITED, "rate of the address");
    } else if (!is_post && !is_get && !bw_slice_is(parsed->method, "OPTIONS")) { /* these may be a handshake: the source says */
        refuse(connection, request, route, 405, BW_OUTCOME_BAD_METHOD, "method");
    } else if (bw_load_is_over(loop->ingest, route)) {
        refuse(connection, request, route, 503, BW_OUTCOME_OVERLOADED, "overloaded");
    } else if (has_foreign_encoding(parsed)) {
        refuse(connection, request, route, 415, BW_OUTCOME_BAD_TYPE, "content encoding");
    } else if (!bw_request_set_source(&loop->parts, request, route->settings, bw_clock_wall_ms())) {
        refuse(connection, request, route, 503, BW_OUTCOME_OVERLOADED, "no memory");
    } else {
        judge(connection, request, route, is_post);
    }
}

void bw_accept_request(struct evhttp_request *request, void *arg)
{
    struct bw_loop *loop = arg;
    struct bw_reply reply;
    struct bw_connection *connection = bw_connection_begin(loop, request);
    bool is_readable = evhttp_request_get_uri(request) && bw_request_read(&loop->parts, request);
    find_client(loop, request, is_readable);
    if (!connection || (!is_readable && !connection->refusal)) { /* past the gate: there was no memory for its record */
        bw_reply_refuse(&reply, 503);
        bw_connection_answer(loop, request, &reply, 0);
    } else if (connection->refusal && connection->handled == connection->gate.completed) {
        refuse(connection, request, connection->route, connection->refusal->status, outcome_of(connection->refusal->status),
               connection->refusal->reason);
    } else {
        handle(connection, request);
    }
}
