/* One allocation holds an accepted request: the event for the dispatcher, the store's operation, and all bytes that both borrow. It is freed when the
 * answer is sent and the dispatcher is done, whichever is later. */
#include "ingest/delivery.h"
#include "base/clock.h"
#include "ingest/conclude.h"
#include "ingest/held.h"
#include "ingest/mcp.h"
#include "ingest/parked.h"
#include <stdlib.h>

struct delivery {
    struct bw_accepted accepted;
    struct bw_loop_mail mail;
    struct bw_store_op op;
    struct bw_parked parked;
    struct bw_binding binding;
    struct bw_held *held;      /* the sender waits for a run's answer; NULL: for the writer alone */
    struct bw_tool_call *call; /* it is the call of a tool, until held has it; ours */
    bool is_call;
    char bytes[]; /* body, headers, name, packed body, id, remote */
};

static void free_delivery(struct bw_accepted *accepted)
{
    free(((struct delivery *)accepted)->call);
    free(accepted); /* the first member of struct delivery */
}

/* Of a call that is stored, was made before, or could not be stored. True: it is answered later, from elsewhere. */
static bool conclude_call(struct delivery *delivery, struct bw_buf *text, struct bw_reply *reply)
{
    struct bw_store_op *op = &delivery->op;
    struct bw_parked *parked = &delivery->parked;
    if (delivery->held) return false;
    if (op->failed) {
        bw_mcp_say_overloaded(&delivery->call->to, text, reply);
    } else if (op->is_duplicate && bw_uid_is_zero(op->duplicate_of)) {
        bw_mcp_say_gone(&delivery->call->to, text, reply);
    } else if (op->is_duplicate) {
        struct bw_router *router = bw_router_ref(parked->router);
        bw_parked_hold(parked);
        bw_mcp_repeat(parked->connection, parked->route, delivery->call, delivery->accepted.body, op->duplicate_of);
        bw_router_unref(router);
        return true;
    } else {
        bw_tool_call_reply(delivery->call, &(struct bw_mcp_outcome){.status = "active"}, text, reply);
    }
    return false;
}

/* The writer has answered: so do we. */
static void on_recorded(struct bw_loop *loop, struct bw_loop_mail *mail)
{
    struct delivery *delivery = (struct delivery *)((char *)mail - offsetof(struct delivery, mail));
    struct bw_store_op *op = &delivery->op;
    struct bw_reply reply;
    struct bw_buf text = {0};
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
        bw_reply_acknowledge(&reply, bw_source_acknowledge(delivery->parked.route->source));
        op->delivery.status = delivery->is_call ? 200 : reply.status;
        op->delivery.outcome = op->is_duplicate ? BW_OUTCOME_DUPLICATE : BW_OUTCOME_ACCEPTED;
    }
    bw_conclude_log(&op->delivery, op->failed || is_gone ? NULL : event, bw_clock_mono_us() - delivery->parked.submitted_us);
    if (delivery->is_call && conclude_call(delivery, &text, &reply)) {
        /* the main thread is asked for the run of before */
    } else if (delivery->held) {
        const struct bw_route *route = delivery->parked.route;
        bw_router_ref(route->router);
        bw_parked_hold(&delivery->parked);
        bw_held_keep(delivery->held, delivery->parked.connection, route);
    } else {
        bw_parked_answer(&delivery->parked, &reply);
    }
    bw_buf_free(&text);
    bw_accepted_unref(&delivery->accepted);
    bw_loop_end_if_done(loop);
}

/* Writer thread, in commit order. */
static void on_done(struct bw_store_op *op)
{
    struct delivery *delivery = op->owner;
    const struct bw_ingest_options options =
        delivery->parked.connection->loop->ingest->options; /* once the mail is posted, all but the event may be gone */
    struct bw_accepted *accepted = &delivery->accepted;
    bool is_news = !op->failed && !op->is_duplicate && !op->event.is_done && options.committed, is_held = false;
    if (is_news) {
        accepted->event_id = op->event_id;
        bw_accepted_ref(accepted);
        if (delivery->binding.respond_most_ms)
            delivery->held = bw_held_new_call(delivery->parked.connection->loop, accepted->uid, &delivery->binding, delivery->call);
        is_held = delivery->held != NULL;
        if (is_held) delivery->call = NULL; /* it has been taken over */
    }
    /* Nobody may answer a sender whose request the loop does not know of yet. */
    if (is_news && !is_held) options.committed(options.arg, accepted);
    bw_mailbox_post(delivery->parked.connection->loop->mailbox, &delivery->mail.mail);
    if (is_held) options.committed(options.arg, accepted);
}

/* Which catalogue it is looked at under, who waits for it, and whether its sender waits. */
static void bind_event(const struct bw_loop *loop, const struct bw_route *route, struct delivery *delivery)
{
    const struct bw_ingest_options *options = &loop->ingest->options;
    const struct bw_accepted *accepted = &delivery->accepted;
    struct bw_binding *binding = &delivery->binding;
    binding->revision = 0;
    binding->is_awaited = true;
    binding->key_count = 0;
    binding->respond_least_ms = binding->respond_most_ms = 0;
    if (delivery->call) {
        if (options->bind_call) options->bind_call(options->arg, accepted->workflow, accepted->name, accepted->body, binding);
        binding->respond_least_ms = binding->respond_most_ms = route->settings->mcp.within_ms;
    } else if (options->bind) {
        options->bind(options->arg, accepted->name, accepted->body, binding);
    }
}

static struct delivery *make(struct bw_connection *connection, const struct bw_route *route, const struct bw_request *from,
                             const struct bw_judgement *judgement, struct bw_tool_call *call)
{
    const struct bw_source_config *source = route->settings;
    struct bw_loop *loop = connection->loop;
    struct bw_slice remote = bw_slice_of(loop->client.text), id = judgement->delivery_id;
    bw_buf_clear(&loop->kept);
    bw_headers_keep(&loop->kept, from, source, bw_buf_slice(&connection->client));
    if (call) bw_tool_call_headers(call, judgement->subject, &loop->kept);
    struct bw_slice workflow = call ? call->workflow : (struct bw_slice){"", 0};
    struct bw_slice data = judgement->data; /* the body, or what the scheme takes out of it */
    struct bw_slice packed = bw_pack(loop->packer, data);
    size_t room =
        data.len + packed.len + loop->kept.len + strlen(source->name) + 1 + judgement->event.len + BW_PARKED_ID_MAX + remote.len + workflow.len;
    struct delivery *delivery = loop->kept.failed ? NULL : malloc(sizeof *delivery + room);
    if (!delivery) return NULL;
    char *at = delivery->bytes;
    struct bw_accepted *accepted = &delivery->accepted;
    *accepted =
        (struct bw_accepted){.release = free_delivery, .uid = bw_uid_new(from->now_ms), .at_ms = from->now_ms, .trusted = judgement->event_trusted};
    atomic_init(&accepted->references, 1);
    accepted->body = bw_parked_put(&at, data);
    accepted->headers = bw_parked_put(&at, bw_buf_slice(&loop->kept));
    accepted->name = bw_parked_put_name(&at, source->name, judgement->event);
    accepted->source = (struct bw_slice){accepted->name.ptr, strlen(source->name)};
    accepted->workflow = bw_parked_put(&at, workflow);
    packed = bw_parked_put(&at, packed);
    struct bw_slice key = bw_parked_put_id(&at, id);
    delivery->call = call;
    delivery->is_call = call != NULL;
    if (call) call->run = bw_uid_of_run(accepted->uid, workflow);
    bind_event(loop, route, delivery);
    accepted->revision = delivery->binding.revision;
    delivery->mail = (struct bw_loop_mail){.mail.kind = BW_LOOP_MAIL_RECORDED, .run = on_recorded};
    delivery->held = NULL;
    delivery->op = (struct bw_store_op){
        .kind = BW_OP_ACCEPT,
        .done = on_done,
        .owner = delivery,
        .delivery = {.at_ms = from->now_ms,
                     .source = accepted->source,
                     .status = call ? 200 : bw_delivery_status(route),
                     .outcome = BW_OUTCOME_ACCEPTED,
                     .provider_id = key,
                     .remote = bw_parked_put(&at, remote),
                     .bytes = (uint32_t)from->body.len},
        .event = {.uid = accepted->uid,
                  .at_ms = from->now_ms,
                  .revision = accepted->revision,
                  .source = accepted->source,
                  .name = accepted->name,
                  .workflow = accepted->workflow,
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

unsigned bw_delivery_status(const struct bw_route *route)
{
    unsigned status = bw_source_acknowledge(route->source)->status;
    return status ? status : 202;
}

bool bw_deliver_call(struct bw_connection *connection, const struct bw_route *route, const struct bw_judgement *judgement, struct bw_tool_call *call)
{
    struct delivery *delivery = make(connection, route, &connection->loop->parts.request, judgement, call);
    if (!delivery || !delivery->binding.is_awaited) {
        if (delivery) delivery->call = NULL;
        if (delivery) bw_accepted_unref(&delivery->accepted);
        return false;
    }
    bw_parked_submit(&delivery->parked, connection, route, &delivery->op);
    return true;
}

void bw_deliver(struct bw_connection *connection, const struct bw_route *route, const struct bw_judgement *judgement)
{
    struct delivery *delivery = make(connection, route, &connection->loop->parts.request, judgement, NULL);
    if (delivery && route->settings->is_trigger && !delivery->binding.is_awaited) {
        bw_accepted_unref(&delivery->accepted); /* its workflow went away while the request came in: it would start nothing */
        bw_conclude_refused(connection, route, 404, BW_OUTCOME_UNKNOWN_PATH, "the workflow is gone");
    } else if (delivery) {
        bw_parked_submit(&delivery->parked, connection, route, &delivery->op);
    } else {
        bw_conclude_refused(connection, route, 503, BW_OUTCOME_OVERLOADED, "no memory");
    }
}
