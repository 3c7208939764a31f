#include "dispatch/awaits.h"
#include "base/json_view.h"
#include "base/log.h"
#include "workflow/model.h"
#include "workflow/wait_key.h"
#include <stdlib.h>
#include <string.h>

struct pair {
    char *event, *by, *pointer; /* pointer NULL: the name is all */
};
struct responder { /* a trigger of a workflow with `respond: {mode: result}` */
    struct bw_slice glob;
    int64_t within_ms;
};
struct bw_awaited {
    _Atomic bool has_told;   /* of an event that too many wait for */
    struct bw_awaited *next; /* in the list of the retired */
    uint32_t revision;
    struct bw_slice *globs;
    size_t count;
    struct pair *pairs;
    size_t pair_count;
    struct responder *responders; /* their globs are the ones above */
    size_t responder_count;
    struct bw_slice *tools; /* workflows that are called by name */
    size_t tool_count;
};

static bool add(struct bw_awaited *awaited, struct bw_slice glob, int64_t respond_ms)
{
    const char *copy = bw_slice_dup(glob);
    if (!copy) return false;
    awaited->globs[awaited->count++] = (struct bw_slice){copy, glob.len};
    if (respond_ms) awaited->responders[awaited->responder_count++] = (struct responder){{copy, glob.len}, respond_ms};
    return true;
}

void bw_awaited_free(struct bw_awaited *awaited)
{
    if (!awaited) return;
    for (size_t i = 0; i < awaited->count; i++) free((char *)awaited->globs[i].ptr);
    for (size_t i = 0; i < awaited->tool_count; i++) free((char *)awaited->tools[i].ptr);
    for (size_t i = 0; i < awaited->pair_count; i++) {
        free(awaited->pairs[i].event);
        free(awaited->pairs[i].by);
        free(awaited->pairs[i].pointer);
    }
    free(awaited->pairs);
    free(awaited->responders);
    free(awaited->tools);
    free(awaited->globs);
    free(awaited);
}

static bool add_pair(struct bw_awaited *awaited, const json_t *from)
{
    struct pair *pair = &awaited->pairs[awaited->pair_count++];
    struct bw_buf pointer = {0};
    struct bw_slice by = bw_json_slice(json_object_get(from, "by"));
    pair->event = bw_slice_dup(bw_json_slice(json_object_get(from, "event")));
    pair->by = bw_slice_dup(by);
    if (by.len) bw_wait_pointer(by, &pointer);
    pair->pointer = pointer.data; /* malloc'd */
    return pair->event && pair->by && !pointer.failed;
}

static bool add_tool(struct bw_awaited *awaited, const json_t *workflow)
{
    struct bw_slice name = bw_json_slice(json_object_get(workflow, "name"));
    if (!json_object_get(workflow, "tool")) return true;
    const char *copy = bw_slice_dup(name);
    if (copy) awaited->tools[awaited->tool_count++] = (struct bw_slice){copy, name.len};
    return copy != NULL;
}

struct bw_awaited *bw_awaited_new(uint32_t revision, const json_t *workflows, const json_t *pairs)
{
    struct bw_awaited *awaited = calloc(1, sizeof *awaited);
    size_t index, inner, total = 0;
    json_t *workflow, *glob, *pair;
    if (!awaited) return NULL;
    awaited->revision = revision;
    json_array_foreach(workflows, index, workflow) total += json_array_size(json_object_get(workflow, "events"));
    awaited->globs = calloc(total + 1, sizeof *awaited->globs);
    awaited->responders = calloc(total + 1, sizeof *awaited->responders);
    awaited->pairs = calloc(json_array_size(pairs) + 1, sizeof *awaited->pairs);
    awaited->tools = calloc(json_array_size(workflows) + 1, sizeof *awaited->tools);
    if (!awaited->globs || !awaited->responders || !awaited->pairs || !awaited->tools) goto fail;
    json_array_foreach(pairs, index, pair) if (!add_pair(awaited, pair)) goto fail;
    json_array_foreach(workflows, index, workflow)
    {
        int64_t respond_ms = bw_json_int(workflow, "respond_ms", 0);
        if (!add_tool(awaited, workflow)) goto fail;
        json_array_foreach(json_object_get(workflow, "events"), inner, glob) if (!add(awaited, bw_json_slice(glob), respond_ms)) goto fail;
    }
    return awaited;
fail:
    bw_awaited_free(awaited);
    return NULL;
}

void bw_awaits_publish_take(struct bw_awaits *awaits, struct bw_awaited *awaited)
{
    struct bw_awaited *old = atomic_exchange(&awaits->current, awaited);
    if (old) {
        old->next = awaits->retired;
        awaits->retired = old;
    }
    bw_awaits_reclaim(awaits);
}

static bool is_awaited_by(const struct bw_awaited *awaited, struct bw_slice event_name)
{
    for (size_t i = 0; i < awaited->count; i++)
        if (bw_glob_match(awaited->globs[i], event_name)) return true;
    return false;
}

static void find_responders(const struct bw_awaited *awaited, struct bw_slice event_name, struct bw_binding *out)
{
    for (size_t i = 0; i < awaited->responder_count; i++) {
        const struct responder *responder = &awaited->responders[i];
        if (!bw_glob_match(responder->glob, event_name)) continue;
        if (!out->respond_least_ms || responder->within_ms < out->respond_least_ms) out->respond_least_ms = responder->within_ms;
        if (responder->within_ms > out->respond_most_ms) out->respond_most_ms = responder->within_ms;
    }
}

static void tell_too_many(struct bw_awaited *awaited, struct bw_slice event_name)
{
    if (atomic_exchange(&awaited->has_told, true)) return;
    bw_log(BW_LOG_ERROR, "dispatch.too_many_waits", BW_SLC("event", event_name), BW_INT("most", BW_EVENT_KEYS_MAX),
           BW_STR("message", "steps wait for events of this name by more different fields than an event is looked up by: some will not hear of it"),
           BW_STR("hint", "let them wait by the same few fields, or for events of several names"));
}

static void make_keys(struct bw_awaited *awaited, struct bw_slice event_name, struct bw_slice body, struct bw_binding *out)
{
    bool is_json = false, is_known = false;
    for (size_t i = 0; i < awaited->pair_count; i++) {
        const struct pair *pair = &awaited->pairs[i];
        struct bw_json_view value = {{"", 0}};
        if (!bw_glob_match(bw_slice_of(pair->event), event_name)) continue;
        if (out->key_count == BW_EVENT_KEYS_MAX) {
            tell_too_many(awaited, event_name);
            return;
        }
        if (pair->pointer) {
            if (!is_known) is_json = bw_json_scan(body, NULL, NULL, NULL);
            is_known = true;
            if (!is_json || !bw_json_view_pointer(bw_json_view_of(body), pair->pointer, &value)) continue;
        }
        out->key_count += bw_wait_key(bw_slice_of(pair->event), bw_slice_of(pair->by), value.raw, &out->keys[out->key_count]);
    }
}

void bw_awaits_bind(struct bw_awaits *awaits, struct bw_slice event_name, struct bw_slice body, struct bw_binding *out)
{
    /* Counted before the pointer is read, all sequentially consistent: a zero that reclaim sees after an exchange says that every reader of the
     * old object has left, and that the next one reads the new pointer. */
    atomic_fetch_add(&awaits->readers, 1);
    struct bw_awaited *awaited = atomic_load(&awaits->current);
    out->revision = awaited ? awaited->revision : 0;
    out->is_awaited = awaited && is_awaited_by(awaited, event_name);
    out->key_count = 0;
    out->respond_least_ms = out->respond_most_ms = 0;
    if (awaited && awaited->responder_count) find_responders(awaited, event_name, out);
    if (awaited && awaited->pair_count) make_keys(awaited, event_name, body, out);
    atomic_fetch_sub(&awaits->readers, 1);
}

bool bw_awaits_bind_call(struct bw_awaits *awaits, struct bw_slice workflow, struct bw_slice event_name, struct bw_slice body, struct bw_binding *out)
{
    bool is_there = false;
    atomic_fetch_add(&awaits->readers, 1);
    struct bw_awaited *awaited = atomic_load(&awaits->current);
    for (size_t i = 0; awaited && i < awaited->tool_count && !is_there; i++) is_there = bw_slice_equal(awaited->tools[i], workflow);
    *out = (struct bw_binding){.revision = awaited ? awaited->revision : 0, .is_awaited = is_there};
    if (awaited && awaited->pair_count) make_keys(awaited, event_name, body, out);
    atomic_fetch_sub(&awaits->readers, 1);
    return is_there;
}

bool bw_awaits_reclaim(struct bw_awaits *awaits)
{
    struct bw_awaited *old;
    if (awaits->retired && atomic_load(&awaits->readers)) return false; /* a reader stays for microseconds: next time */
    while ((old = awaits->retired)) {
        awaits->retired = old->next;
        bw_awaited_free(old);
    }
    return true;
}

void bw_awaits_end(struct bw_awaits *awaits)
{
    bw_awaited_free(atomic_exchange(&awaits->current, NULL));
    bw_awaits_reclaim(awaits);
}
