/* One arena holds all of a request: its events for the dispatcher and for the store, and all bytes that both borrow. It is freed when the answer is
 * sent and the dispatcher is done with each of them. */
#include "ingest/batch.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/json_view.h"
#include "ingest/body.h"
#include "ingest/conclude.h"
#include "ingest/delivery.h"
#include "ingest/parked.h"
#include <stdio.h>
#include <stdlib.h>

#define DETAIL_BYTES_MAX 64

struct batch;
struct one {
    struct bw_accepted accepted;
    struct batch *batch;
    char detail[DETAIL_BYTES_MAX]; /* "3 of 12" */
};
struct batch {
    struct bw_loop_mail mail;
    struct bw_store_op op;
    struct bw_parked parked;
    _Atomic size_t references; /* ours, and one for each event that the dispatcher has */
    struct bw_arena arena;
    size_t count;
    struct bw_batch_event *events; /* for the store, */
    struct one *ones;              /* and for the dispatcher */
    char detail[DETAIL_BYTES_MAX];
};

static void unref(struct batch *batch)
{
    if (atomic_fetch_sub_explicit(&batch->references, 1, memory_order_acq_rel) > 1) return;
    bw_arena_free(&batch->arena);
    free(batch);
}

static void release(struct bw_accepted *accepted)
{
    unref(((struct one *)accepted)->batch); /* the first member of struct one */
}

/* ---- behind the commit ---- */

/* Writer thread, in commit order. */
static void on_done(struct bw_store_op *op)
{
    struct batch *batch = op->owner;
    const struct bw_ingest_options options =
        batch->parked.connection->loop->ingest->options; /* once the mail is posted, all but the events may be gone */
    for (size_t i = 0; !op->failed && options.committed && i < batch->count; i++) {
        const struct bw_batch_event *event = &batch->events[i];
        if (event->is_duplicate || event->event.is_done) continue;
        batch->ones[i].accepted.event_id = event->event_id;
        atomic_fetch_add_explicit(&batch->references, 1, memory_order_relaxed);
        options.committed(options.arg, &batch->ones[i].accepted);
    }
    bw_mailbox_post(batch->parked.connection->loop->mailbox, &batch->mail.mail);
}

/* {"status":"accepted","events":["evt_…", null: it was a duplicate, and is gone],"duplicates":N} */
static size_t write_answer(const struct batch *batch, struct bw_buf *out)
{
    size_t duplicates = 0;
    char uid[BW_UID_TEXT];
    bw_buf_printf(out, "{\"status\":\"%s\",\"events\":[", batch->op.is_duplicate ? "duplicate" : "accepted");
    for (size_t i = 0; i < batch->count; i++) {
        const struct bw_batch_event *event = &batch->events[i];
        const struct bw_uid known = event->is_duplicate ? event->duplicate_of : event->event.uid;
        duplicates += event->is_duplicate;
        if (bw_uid_is_zero(known))
            bw_buf_printf(out, "%snull", i ? "," : "");
        else
            bw_buf_printf(out, "%s\"%s\"", i ? "," : "", bw_uid_text(known, BW_UID_EVENT, uid));
    }
    bw_buf_printf(out, "],\"duplicates\":%zu}\n", duplicates);
    return duplicates;
}

static void on_recorded(struct bw_loop *loop, struct bw_loop_mail *mail)
{
    struct batch *batch = (struct batch *)((char *)mail - offsetof(struct batch, mail));
    struct bw_delivery *delivery = &batch->op.delivery;
    struct bw_buf answer = {0};
    struct bw_reply reply;
    size_t duplicates = batch->op.failed ? 0 : write_answer(batch, &answer);
    if (batch->op.failed) {
        bw_reply_refuse(&reply, 503);
        delivery->outcome = BW_OUTCOME_OVERLOADED;
        delivery->detail = bw_slice_of(batch->op.error.code);
    } else {
        bw_reply_bytes(&reply, batch->op.is_duplicate ? 200 : 202, NULL, bw_buf_slice(&answer));
        bw_reply_acknowledge(&reply, bw_source_acknowledge(batch->parked.route->source));
        delivery->outcome = batch->op.is_duplicate ? BW_OUTCOME_DUPLICATE : BW_OUTCOME_ACCEPTED;
        snprintf(batch->detail, sizeof batch->detail, "%zu events, %zu known", batch->count, duplicates);
        delivery->detail = bw_slice_of(batch->detail);
    }
    delivery->status = reply.status;
    bw_conclude_log(delivery, NULL, bw_clock_mono_us() - batch->parked.submitted_us);
    bw_parked_answer(&batch->parked, &reply);
    bw_buf_free(&answer);
    unref(batch);
    bw_loop_end_if_done(loop);
}

/* ---- in front of it ---- */

struct making { /* a batch while its items are read */
    struct bw_connection *connection;
    const struct bw_route *route;
    struct batch *batch;
    struct bw_slice headers, source, remote; /* of all its events */
    bool is_awaited;                         /* one of them is */
};

static bool refuse(struct making *making, size_t number, unsigned status, enum bw_outcome outcome, const char *reason)
{
    char detail[120];
    snprintf(detail, sizeof detail, "item %zu of the batch: %s", number, reason);
    bw_conclude_refused(making->connection, making->route, status, outcome, detail);
    return false;
}

static bool fits_schema(struct making *making, size_t number, struct bw_slice data)
{
    struct bw_misfit misfit = {0};
    struct bw_reply reply;
    char place[64];
    snprintf(place, sizeof place, "item %zu of the batch: ", number);
    if (!making->route->settings->schema || bw_body_fits(making->route->settings->schema, data, place, &misfit)) return true;
    bw_reply_bytes(&reply, 422, NULL, bw_buf_slice(&misfit.answer));
    bw_conclude(making->connection, making->route,
                &(struct bw_conclusion){422, BW_OUTCOME_INVALID, misfit.reason.data ? misfit.reason.data : "schema"}, &reply);
    bw_misfit_clear(&misfit);
    return false;
}

static struct bw_slice keep_name(struct making *making, struct bw_slice event)
{
    char text[64 + 1 + BW_EVENT_NAME_MAX], *at = text;
    return bw_arena_copy(&making->batch->arena, bw_parked_put_name(&at, making->route->settings->name, event));
}

static struct bw_slice keep_id(struct making *making, struct bw_slice id)
{
    char text[BW_PARKED_ID_MAX], *at = text;
    return bw_arena_copy(&making->batch->arena, bw_parked_put_id(&at, id));
}

/* What the catalogue says of it, which may be another one for each. */
static void bind_event(struct making *making, struct one *one, struct bw_event_new *event)
{
    const struct bw_ingest_options *options = &making->connection->loop->ingest->options;
    struct bw_binding binding = {.is_awaited = true};
    if (options->bind) options->bind(options->arg, one->accepted.name, one->accepted.body, &binding);
    uint64_t *keys = binding.key_count ? bw_arena_alloc(&making->batch->arena, binding.key_count * sizeof *keys) : NULL;
    if (keys) memcpy(keys, binding.keys, binding.key_count * sizeof *keys);
    event->keys = keys;
    event->key_count = binding.key_count;
    event->revision = one->accepted.revision = binding.revision;
    event->is_done = !binding.is_awaited;
    making->is_awaited |= binding.is_awaited;
}

static void add(struct making *making, size_t index, const struct bw_item *item, int64_t now_ms)
{
    struct batch *batch = making->batch;
    struct bw_packer *packer = making->connection->loop->packer;
    struct one *one = &batch->ones[index];
    struct bw_accepted *accepted = &one->accepted;
    one->batch = batch;
    snprintf(one->detail, sizeof one->detail, "%zu of %zu", index + 1, batch->count);
    *accepted = (struct bw_accepted){.release = release,
                                     .uid = bw_uid_new(now_ms),
                                     .at_ms = now_ms,
                                     .trusted = item->event_trusted,
                                     .source = making->source,
                                     .name = keep_name(making, item->event),
                                     .headers = making->headers,
                                     .body = bw_arena_copy(&batch->arena, item->data)};
    atomic_init(&accepted->references, 1); /* the dispatcher's: without it the batch is ours */
    batch->events[index] = (struct bw_batch_event){.detail = bw_slice_of(one->detail),
                                                   .bytes = (uint32_t)item->data.len,
                                                   .event = {.uid = accepted->uid,
                                                             .at_ms = now_ms,
                                                             .source = making->source,
                                                             .name = accepted->name,
                                                             .trusted = accepted->trusted,
                                                             .headers = making->headers,
                                                             .body = accepted->body,
                                                             .packed = bw_arena_copy(&batch->arena, bw_pack(packer, item->data)),
                                                             .dedupe_key = keep_id(making, item->delivery_id),
                                                             .dedupe_expire_ms = now_ms + making->route->settings->dedupe_window_ms}};
    bind_event(making, one, &batch->events[index].event);
}

/* False: one of them is none, and that was answered. */
static bool read_items(struct making *making, struct bw_slice items)
{
    struct bw_loop *loop = making->connection->loop;
    const struct bw_request *from = &loop->parts.request;
    struct bw_json_iter iter = bw_json_view_iter((struct bw_json_view){items});
    struct bw_json_view view;
    for (size_t i = 0; i < making->batch->count && bw_json_iter_next(&iter, NULL, &view); i++) {
        size_t before = loop->scratch.len;
        struct bw_item item;
        if (!bw_source_item(making->route->source, from, view.raw, &loop->scratch, &item))
            return refuse(making, i + 1, 400, BW_OUTCOME_MALFORMED, "it is no JSON object, or names something twice");
        if (item.event.len > BW_EVENT_NAME_MAX) return refuse(making, i + 1, 400, BW_OUTCOME_MALFORMED, "event name longer than 200 bytes");
        if (!fits_schema(making, i + 1, item.data)) return false;
        add(making, i, &item, from->now_ms);
        loop->scratch.len = before;
    }
    return true;
}

static struct batch *make(size_t count)
{
    struct batch *batch = calloc(1, sizeof *batch);
    if (!batch) return NULL;
    atomic_init(&batch->references, 1);
    batch->mail = (struct bw_loop_mail){.mail.kind = BW_LOOP_MAIL_RECORDED, .run = on_recorded};
    batch->count = count;
    batch->events = bw_arena_alloc(&batch->arena, count * sizeof *batch->events);
    batch->ones = bw_arena_alloc(&batch->arena, count * sizeof *batch->ones);
    return batch;
}

static void submit(struct making *making)
{
    struct batch *batch = making->batch;
    const struct bw_request *from = &making->connection->loop->parts.request;
    batch->op = (struct bw_store_op){.kind = BW_OP_ACCEPT,
                                     .done = on_done,
                                     .owner = batch,
                                     .batch = batch->events,
                                     .batch_count = batch->count,
                                     .delivery = {.at_ms = from->now_ms,
                                                  .source = making->source,
                                                  .status = bw_delivery_status(making->route),
                                                  .outcome = BW_OUTCOME_ACCEPTED,
                                                  .remote = making->remote,
                                                  .bytes = (uint32_t)from->body.len}};
    bw_parked_submit(&batch->parked, making->connection, making->route, &batch->op);
}

/* Some senders try a path with it. */
static void answer_empty(const struct making *making)
{
    struct bw_reply reply;
    bw_reply_bytes(&reply, 200, NULL, BW_SLICE("{\"status\":\"accepted\",\"events\":[],\"duplicates\":0}\n"));
    bw_reply_acknowledge(&reply, bw_source_acknowledge(making->route->source));
    bw_conclude(making->connection, making->route, &(struct bw_conclusion){reply.status, BW_OUTCOME_HANDSHAKE, "a batch without events"}, &reply);
}

void bw_batch(struct bw_connection *connection, const struct bw_route *route, const struct bw_judgement *judgement)
{
    struct bw_loop *loop = connection->loop;
    struct making making = {.connection = connection, .route = route};
    size_t count = bw_json_view_count((struct bw_json_view){judgement->items});
    if (!count) {
        answer_empty(&making);
        return;
    }
    if (count > BW_BATCH_EVENTS_MAX) {
        bw_conclude_refused(connection, route, 413, BW_OUTCOME_TOO_LARGE, "more than 1000 events in one request");
        return;
    }
    bw_buf_clear(&loop->kept);
    bw_headers_keep(&loop->kept, &loop->parts.request, route->settings, bw_buf_slice(&connection->client));
    struct batch *batch = making.batch = make(count);
    if (batch) {
        making.headers = bw_arena_copy(&batch->arena, bw_buf_slice(&loop->kept));
        making.source = bw_arena_copy(&batch->arena, bw_slice_of(route->settings->name));
        making.remote = bw_arena_copy(&batch->arena, bw_slice_of(loop->client.text));
    }
    bool has_memory = batch && !batch->arena.failed && !loop->kept.failed;
    if (has_memory && !read_items(&making, judgement->items)) {
        unref(batch);
        return;
    }
    if (!has_memory || batch->arena.failed) {
        bw_conclude_refused(connection, route, 503, BW_OUTCOME_OVERLOADED, "no memory");
    } else if (route->settings->is_trigger && !making.is_awaited) {
        bw_conclude_refused(connection, route, 404, BW_OUTCOME_UNKNOWN_PATH, "the workflow is gone");
    } else {
        submit(&making);
        return;
    }
    if (batch) unref(batch);
}
