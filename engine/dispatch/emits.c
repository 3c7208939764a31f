#include "dispatch/emits.h"
#include "base/clock.h"
#include "store/pack.h"
#include <stdlib.h>
#include <string.h>

#define DEDUPE_WINDOW_MS (3 * 86400000LL) /* semantics.md 2.5 */

bool bw_emits_reserve(struct bw_emits *emits, size_t count)
{
    if (!count) return true;
    emits->events = calloc(count, sizeof *emits->events);
    emits->bindings = calloc(count, sizeof *emits->bindings);
    emits->capacity = count;
    return emits->events && emits->bindings;
}

/* Offsets now, pointers when the buffer has stopped moving. */
static struct bw_slice since(const struct bw_emits *emits, size_t start)
{
    return (struct bw_slice){(const char *)start, emits->bytes.len - start};
}

static struct bw_slice keep(struct bw_emits *emits, struct bw_slice bytes)
{
    size_t start = emits->bytes.len;
    bw_buf_append_slice(&emits->bytes, bytes);
    return since(emits, start);
}

/* How many events in a row were each caused by a run of the one before. */
static long depth_of(const struct bw_accepted *event)
{
    struct bw_slice source = event->source, ours = BW_SLICE(BW_EMIT_SOURCE);
    json_t *headers = source.len > ours.len && !memcmp(source.ptr, ours.ptr, ours.len) ? bw_json_load(event->headers, NULL) : NULL;
    long depth = strtol(bw_json_str(headers, "bellwire-depth", "0"), NULL, 10);
    json_decref(headers);
    return depth;
}

/* Caused by this run of that event. */
static void fill(struct bw_emits *emits, const struct bw_job *job, struct bw_slice run, struct bw_slice workflow, struct bw_slice name,
                 struct bw_slice body, struct bw_slice packed)
{
    struct bw_event_new *event = &emits->events[emits->count];
    struct bw_binding *binding = &emits->bindings[emits->count];
    event->at_ms = bw_clock_wall_ms();
    event->revision = binding->revision;
    event->is_done = !binding->is_awaited;
    event->keys = binding->keys;
    event->key_count = binding->key_count;
    event->trusted = true;
    event->name = keep(emits, name);
    event->body = keep(emits, body);
    event->packed = keep(emits, packed);
    size_t start = emits->bytes.len;
    bw_buf_printf(&emits->bytes, "{\"bellwire-depth\":\"%ld\",\"bellwire-run\":\"%.*s\"}", depth_of(job->event) + 1, (int)run.len, run.ptr);
    event->headers = since(emits, start);
    start = emits->bytes.len;
    bw_buf_append_text(&emits->bytes, BW_EMIT_SOURCE);
    bw_buf_append_slice(&emits->bytes, workflow);
    event->source = since(emits, start);
}

bool bw_emits_read(struct bw_emits *emits, struct bw_dispatch *dispatch, const struct bw_job *job, struct bw_slice run, struct bw_slice workflow,
                   const struct bw_message *message, const json_t *list)
{
    size_t index;
    json_t *from;
    json_array_foreach(list, index, from)
    {
        struct bw_event_new *event = &emits->events[emits->count];
        struct bw_binding *binding = &emits->bindings[emits->count];
        struct bw_slice name = bw_json_slice(json_object_get(from, "name"));
        const struct bw_slice *data = bw_message_part(message, from, "part");
        if (emits->count == emits->capacity || !data || !bw_uid_parse(bw_json_slice(json_object_get(from, "uid")), BW_UID_EVENT, &event->uid))
            return false;
        bw_awaits_bind(&dispatch->awaits, name, *data, binding);
        fill(emits, job, run, workflow, name, *data, bw_pack(dispatch->packer, *data));
        event->dedupe_key = keep(emits, bw_json_slice(json_object_get(from, "key")));
        event->dedupe_expire_ms = event->at_ms + DEDUPE_WINDOW_MS;
        event->due_ms = bw_json_int(from, "due_ms", 0);
        emits->count++;
    }
    return !emits->bytes.failed;
}

static json_t *text_of(struct bw_slice text)
{
    return json_stringn(text.ptr, text.len);
}

/* A run that such an event began and that fails itself says no more: that would be a loop of the simplest kind. */
bool bw_emits_failure(struct bw_emits *emits, struct bw_dispatch *dispatch, const struct bw_job *job, const json_t *from,
                      const struct bw_event_new **event)
{
    const struct bw_slice name = BW_SLICE(BW_RUN_FAILED_EVENT), run = bw_json_slice(json_object_get(from, "uid")),
                          workflow = bw_json_slice(json_object_get(from, "workflow"));
    struct bw_buf body = {0};
    char uid[BW_UID_TEXT];
    bool good = true;
    *event = NULL;
    if (bw_slice_equal(job->event->name, name) || emits->count == emits->capacity || depth_of(job->event) >= BW_EMIT_DEPTH_MAX) return true;
    json_t *data = json_pack("{s:o, s:o, s:{s:s, s:o, s:o}, s:I, s:I, s:O?}", "run", text_of(run), "workflow", text_of(workflow), "event", "id",
                             bw_uid_text(job->event->uid, BW_UID_EVENT, uid), "name", text_of(job->event->name), "source",
                             text_of(job->event->source), "started_ms", (json_int_t)bw_json_int(from, "started_ms", 0), "ended_ms",
                             (json_int_t)bw_json_int(from, "ended_ms", 0), "error", json_object_get(from, "error"));
    if (data) bw_json_append(&body, data);
    struct bw_binding *binding = &emits->bindings[emits->count];
    bw_awaits_bind(&dispatch->awaits, name, bw_buf_slice(&body), binding);
    if (!data || body.failed) {
        good = false;
    } else if (binding->is_awaited || binding->key_count) {
        *event = &emits->events[emits->count];
        emits->events[emits->count].uid = bw_uid_new(bw_clock_wall_ms());
        fill(emits, job, run, workflow, name, bw_buf_slice(&body), bw_pack(dispatch->packer, bw_buf_slice(&body)));
        emits->count++;
        good = !emits->bytes.failed;
    }
    bw_buf_free(&body);
    json_decref(data);
    return good;
}

void bw_emits_fix(struct bw_emits *emits)
{
    for (size_t i = 0; i < emits->count; i++) {
        struct bw_event_new *event = &emits->events[i];
        struct bw_slice *slices[] = {&event->name, &event->body, &event->packed, &event->headers, &event->dedupe_key, &event->source};
        for (size_t k = 0; k < sizeof slices / sizeof *slices; k++) slices[k]->ptr = slices[k]->len ? emits->bytes.data + (size_t)slices[k]->ptr : "";
    }
}

void bw_emits_free(struct bw_emits *emits)
{
    free(emits->events);
    free(emits->bindings);
    bw_buf_free(&emits->bytes);
}
