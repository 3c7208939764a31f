/* What anybody can send is counted by address, before it is verified; what is counted by source was verified: forged requests cost its sender
 * nothing. */
#include "ingest/accept.h"
#include "base/clock.h"
#include "ingest/approve.h"
#include "ingest/batch.h"
#include "ingest/body.h"
#include "ingest/callback.h"
#include "ingest/conclude.h"
#include "ingest/delivery.h"
#include "ingest/handover.h"
#include "ingest/mcp.h"
#include "ingest/status.h"
#include "ingest/undecided.h"
#include <stdio.h>

#define DETAIL_BYTES_MAX 300

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

static void answer_health(struct bw_connection *connection, bool is_get)
{
    struct bw_loop *loop = connection->loop;
    struct bw_reply reply;
    if (!is_get) {
        bw_reply_refuse(&reply, 405);
        reply.allow = "GET, HEAD";
        bw_conclude(connection, NULL, &(struct bw_conclusion){405, BW_OUTCOME_BAD_METHOD, "method"}, &reply);
        return;
    }
    if (bw_store_is_failed(loop->ingest->options.store))
        bw_reply_bytes(&reply, 503, NULL, BW_SLICE("{\"status\":\"store failed\"}\n"));
    else if (atomic_load(&loop->ingest->is_draining))
        bw_reply_bytes(&reply, 503, NULL, BW_SLICE("{\"status\":\"stopping\"}\n"));
    else
        bw_reply_bytes(&reply, 200, NULL, BW_SLICE("{\"status\":\"ok\"}\n"));
    bw_connection_answer(connection, &reply);
}

/* ---- the way of a request to a source ---- */

static bool has_foreign_encoding(const struct bw_request *request)
{
    size_t count;
    const struct bw_header *header = bw_request_header(request, "Content-Encoding", &count);
    return header && (count > 1 || !bw_slice_is_nocase(header->value, "identity"));
}

/* 422 with the place; what stands there is not repeated, neither to the sender nor in the record. */
static bool fits_schema(struct bw_connection *connection, const struct bw_route *route, struct bw_slice data)
{
    struct bw_misfit misfit = {0};
    struct bw_reply reply;
    if (bw_body_fits(route->settings->schema, data, "", &misfit)) return true;
    bw_reply_bytes(&reply, 422, NULL, bw_buf_slice(&misfit.answer));
    bw_conclude(connection, route, &(struct bw_conclusion){422, BW_OUTCOME_INVALID, misfit.reason.data ? misfit.reason.data : "schema"}, &reply);
    bw_misfit_clear(&misfit);
    return false;
}

/* The sender hears nothing of why; the log and the record say it, and what the operator can do about it. */
static void refuse_unverified(struct bw_connection *connection, const struct bw_route *route, const struct bw_judgement *judgement)
{
    char detail[DETAIL_BYTES_MAX];
    if (judgement->cure) snprintf(detail, sizeof detail, "%s: %s %s", judgement->reason, judgement->cure, route->settings->name);
    bw_conclude_refused(connection, route, 401, BW_OUTCOME_UNVERIFIED, judgement->cure ? detail : judgement->reason);
}

static void conclude_judgement(struct bw_connection *connection, const struct bw_route *route, const struct bw_judgement *judgement, bool is_post)
{
    struct bw_reply reply;
    if (judgement->verdict == BW_HANDSHAKE && judgement->captured.len) {
        bw_handover(connection, route, judgement);
    } else if (judgement->verdict == BW_HANDSHAKE) {
        bw_reply_bytes(&reply, judgement->answer_status, judgement->answer_type, judgement->answer_body);
        reply.headers = judgement->answer_headers;
        bw_conclude(connection, route, &(struct bw_conclusion){judgement->answer_status, BW_OUTCOME_HANDSHAKE, "handshake"}, &reply);
    } else if (!is_post) {
        bw_conclude_refused(connection, route, 405, BW_OUTCOME_BAD_METHOD, "method");
    } else if (judgement->verdict == BW_REFUSED) {
        refuse_unverified(connection, route, judgement);
    } else if (route->settings->mcp.is_on && route->meter && !bw_meter_take(route->meter, bw_clock_mono_us())) {
        bw_conclude_refused(connection, route, 429, BW_OUTCOME_RATE_LIMITED, "rate of the source");
    } else if (route->settings->mcp.is_on) {
        bw_mcp(connection, route, judgement);
    } else if (judgement->verdict == BW_MALFORMED) {
        bw_reply_malformed(&reply, &judgement->fault);
        const char *reason = judgement->fault.reason ? judgement->fault.reason : judgement->reason;
        bw_conclude(connection, route, &(struct bw_conclusion){400, BW_OUTCOME_MALFORMED, reason}, &reply);
    } else if (judgement->event.len > BW_EVENT_NAME_MAX) {
        bw_conclude_refused(connection, route, 400, BW_OUTCOME_MALFORMED, "event name longer than 200 bytes");
    } else if (route->meter && !bw_meter_take(route->meter, bw_clock_mono_us())) {
        bw_conclude_refused(connection, route, 429, BW_OUTCOME_RATE_LIMITED, "rate of the source");
    } else if (judgement->items.len) {
        bw_batch(connection, route, judgement);
    } else if (route->settings->schema && !fits_schema(connection, route, judgement->data)) {
        return; /* said */
    } else {
        bw_deliver(connection, route, judgement);
    }
}

/* Its key is not here: not believed, not refused. Whoever finds it missing first has it fetched. */
static void decide_later(struct bw_connection *connection, const struct bw_route *route, const struct bw_judgement *judgement)
{
    const struct bw_ingest_options *options = &connection->loop->ingest->options;
    if (judgement->is_mine && options->fetch_key) options->fetch_key(options->arg, &judgement->wish);
    bool may_wait = options->fetch_key && !judgement->has_failed;
    if (may_wait && bw_undecided_wait(connection, route)) return;
    bw_conclude_refused(connection, route, 503, BW_OUTCOME_OVERLOADED, judgement->has_failed ? "its key cannot be fetched" : judgement->reason);
}

static void find_client(const struct bw_connection *connection, bool is_readable)
{
    struct bw_loop *loop = connection->loop;
    const struct bw_config *config = loop->ingest->options.config;
    const struct bw_request unread = {0};
    bw_client_of(bw_slice_of(connection->peer), is_readable ? &loop->parts.request : &unread, config->trusted_proxies, config->trusted_proxy_count,
                 &loop->client);
}

bool bw_accept_again(struct bw_connection *connection, const struct bw_route *route, bool may_wait)
{
    struct bw_loop *loop = connection->loop;
    struct bw_judgement judgement;
    struct bw_reply reply;
    if (connection->is_gone || !bw_request_read(&loop->parts, &connection->inbound) ||
        !bw_request_set_source(&loop->parts, &connection->inbound, route->settings, bw_clock_wall_ms())) {
        bw_reply_refuse(&reply, 503);
        bw_connection_answer(connection, &reply);
        return false;
    }
    find_client(connection, true);
    loop->parts.request.ring = loop->ingest->options.ring;
    loop->parts.request.learnt = loop->ingest->options.learnt;
    bw_source_judge(route->source, &loop->parts.request, &loop->scratch, &judgement);
    if (judgement.verdict != BW_UNDECIDED) {
        conclude_judgement(connection, route, &judgement, true);
        return false;
    }
    if (may_wait && judgement.is_mine) loop->ingest->options.fetch_key(loop->ingest->options.arg, &judgement.wish);
    if (may_wait && !judgement.has_failed) return true;
    bw_conclude_refused(connection, route, 503, BW_OUTCOME_OVERLOADED,
                        judgement.has_failed ? "its key cannot be fetched" : "its key was not there in time");
    return false;
}

static void judge(struct bw_connection *connection, const struct bw_route *route, bool is_post)
{
    struct bw_loop *loop = connection->loop;
    struct bw_judgement judgement = {0};
    loop->parts.request.ring = loop->ingest->options.ring;
    loop->parts.request.learnt = loop->ingest->options.learnt;
    bw_source_judge(route->source, &loop->parts.request, &loop->scratch, &judgement);
    if (judgement.verdict == BW_UNDECIDED && is_post)
        decide_later(connection, route, &judgement);
    else
        conclude_judgement(connection, route, &judgement, is_post);
}

static void refuse_type(struct bw_connection *connection, const struct bw_route *route)
{
    const struct bw_accepts *accepts = bw_source_accepts(route->source);
    struct bw_reply reply;
    bw_reply_refuse(&reply, 415);
    reply.headers = bw_buf_slice(&accepts->header);
    reply.body = bw_buf_slice(&accepts->body).ptr;
    reply.body_len = accepts->body.len;
    bw_conclude(connection, route, &(struct bw_conclusion){415, BW_OUTCOME_BAD_TYPE, "content type"}, &reply);
}

static bool is_allowed(const struct bw_route *route, const struct bw_client *client)
{
    const struct bw_source_config *settings = route->settings;
    return !settings->allow_count || bw_net_ranges_hold(settings->allow, settings->allow_count, &client->address);
}

static void handle(struct bw_connection *connection)
{
    struct bw_loop *loop = connection->loop;
    struct bw_request *parsed = &loop->parts.request;
    bool is_get = bw_slice_is(parsed->method, "GET") || bw_slice_is(parsed->method, "HEAD"), is_post = bw_slice_is(parsed->method, "POST");
    if (bw_slice_is(loop->parts.path, "/healthz")) {
        answer_health(connection, is_get);
        return;
    }
    bool is_callback = bw_callback_is_path(loop->parts.path);
    if (is_callback || bw_approve_is_path(loop->parts.path)) {
        if (has_foreign_encoding(parsed))
            bw_conclude_refused(connection, NULL, 415, BW_OUTCOME_BAD_TYPE, "content encoding");
        else if (!(is_callback ? bw_callback_request : bw_approve_request)(connection, bw_slice_of(loop->client.text)))
            bw_conclude_refused(connection, NULL, 404, BW_OUTCOME_UNKNOWN_PATH, "no link of ours");
        return;
    }
    if (bw_status_is_path(loop->parts.path)) {
        if (!bw_status_request(connection)) bw_conclude_refused(connection, NULL, 404, BW_OUTCOME_UNKNOWN_PATH, "no link of ours");
        return;
    }
    const struct bw_route *route = connection->route;
    if (!route && bw_load_is_over(loop->ingest, NULL)) {
        bw_conclude_refused(connection, NULL, 503, BW_OUTCOME_OVERLOADED, "overloaded");
    } else if (!route) {
        bw_conclude_refused(connection, NULL, 404, BW_OUTCOME_UNKNOWN_PATH, "unknown path");
    } else if (!is_allowed(route, &loop->client)) {
        bw_conclude_refused(connection, route, 403, BW_OUTCOME_FORBIDDEN, "address not allowed");
    } else if (route->settings->mcp.is_on && !bw_mcp_may_come_from(connection, route)) {
        bw_conclude_refused(connection, route, 403, BW_OUTCOME_FORBIDDEN, "origin not allowed");
    } else if (route->meter && !bw_meter_take_for(route->meter, &loop->client.address, bw_clock_mono_us())) {
        bw_conclude_refused(connection, route, 429, BW_OUTCOME_RATE_LIMITED, "rate of the address");
    } else if (!is_post && !is_get && !bw_slice_is(parsed->method, "OPTIONS")) { /* these may be a handshake: the source says */
        bw_conclude_refused(connection, route, 405, BW_OUTCOME_BAD_METHOD, "method");
    } else if (bw_load_is_over(loop->ingest, route)) {
        bw_conclude_refused(connection, route, 503, BW_OUTCOME_OVERLOADED, "overloaded");
    } else if (has_foreign_encoding(parsed)) {
        bw_conclude_refused(connection, route, 415, BW_OUTCOME_BAD_TYPE, "content encoding");
    } else if (connection->inbound.body.len && !bw_accepts_takes(bw_source_accepts(route->source), bw_request_type(parsed))) {
        refuse_type(connection, route);
    } else if (!bw_request_set_source(&loop->parts, &connection->inbound, route->settings, bw_clock_wall_ms())) {
        bw_conclude_refused(connection, route, 503, BW_OUTCOME_OVERLOADED, "no memory");
    } else {
        judge(connection, route, is_post);
    }
}

void bw_accept_request(struct bw_connection *connection)
{
    struct bw_loop *loop = connection->loop;
    /* Those of before are answered while they are still in the cache, and what they held is there for this one. When thousands ring at once, all of
     * them are read in one turn of the loop, and their answers would wait for its end: a request then took a quarter more of the processor. */
    bw_mailbox_take(loop->mailbox, BW_LOOP_MAIL_RECORDED);
    if (connection->stream.ssl && !connection->handled) bw_tls_client(connection->stream.ssl, &connection->client);
    bw_request_read(&loop->parts, &connection->inbound);
    find_client(connection, true);
    handle(connection);
}

void bw_accept_refused(struct bw_connection *connection)
{
    const struct bw_gate_fault *refusal = connection->refusal;
    find_client(connection, bw_request_read(&connection->loop->parts, &connection->inbound));
    bw_conclude_refused(connection, connection->route, refusal->status, outcome_of(refusal->status), refusal->reason);
}
