/* What events are hashed by, so that parked runs are found: pairs of a name and a field. Those of earlier catalogues count on: their runs may be
 * parked, or may be about to park. */
#include "base/log.h"
#include "dispatch/internal.h"
#include <stdlib.h>

struct stored_pairs {
    struct bw_store_op op;
    struct bw_mail mail;
    struct bw_dispatch *dispatch;
    json_t *kept; /* holds the texts */
    struct bw_wait_pair pairs[];
};

static bool add(json_t *pairs, struct bw_slice event, struct bw_slice by)
{
    size_t index;
    json_t *pair;
    json_array_foreach(pairs, index, pair) if (bw_slice_equal(bw_json_slice(json_object_get(pair, "event")), event) &&
                                               bw_slice_equal(bw_json_slice(json_object_get(pair, "by")), by)) return true;
    return !json_array_append_new(pairs, json_pack("{s:s%,s:s%}", "event", event.ptr, event.len, "by", by.ptr, by.len));
}

static bool add_stored(void *arg, const struct bw_wait_pair *pair)
{
    return add(arg, pair->event, pair->by);
}

bool bw_pairs_read(struct bw_dispatch *dispatch, struct bw_error *err)
{
    return bw_reader_pairs(dispatch->reader, add_stored, dispatch->pairs, err);
}

static void on_stored(struct bw_store_op *op)
{
    struct stored_pairs *stored = op->owner;
    bw_mailbox_post(stored->dispatch->mailbox, &stored->mail); /* writer thread */
}

void bw_pairs_stored(struct bw_mail *mail)
{
    struct stored_pairs *stored = (struct stored_pairs *)((char *)mail - offsetof(struct stored_pairs, mail));
    /* A full disk: they are in memory, and the next start declares them again before it accepts anything. */
    if (stored->op.failed) bw_log_error(BW_LOG_ERROR, "dispatch.pairs", &stored->op.error);
    json_decref(stored->kept);
    free(stored);
}

static bool store(struct bw_dispatch *dispatch, json_t *declared)
{
    size_t count = json_array_size(declared), index;
    json_t *pair;
    struct stored_pairs *stored = calloc(1, sizeof *stored + count * sizeof stored->pairs[0]);
    if (!stored) return false;
    stored->dispatch = dispatch;
    stored->mail.kind = BW_MAIL_PAIRS;
    stored->kept = json_incref(declared);
    json_array_foreach(declared, index, pair) stored->pairs[index] =
        (struct bw_wait_pair){bw_json_slice(json_object_get(pair, "event")), bw_json_slice(json_object_get(pair, "by"))};
    stored->op = (struct bw_store_op){.kind = BW_OP_PAIRS, .done = on_stored, .owner = stored, .pairs = stored->pairs, .pair_count = count};
    bw_store_submit(dispatch->options.store, &stored->op);
    return true;
}

bool bw_pairs_add(struct bw_dispatch *dispatch, const json_t *workflows)
{
    json_t *declared = json_array(), *workflow, *wait;
    size_t index, inner;
    bool good = declared != NULL;
    json_array_foreach(workflows, index, workflow) json_array_foreach(json_object_get(workflow, "waits"), inner, wait)
    {
        struct bw_slice event = bw_json_slice(json_object_get(wait, "event")), by = bw_json_slice(json_object_get(wait, "by"));
        good = good && add(declared, event, by) && add(dispatch->pairs, event, by);
    }
    if (good && dispatch->options.store) good = store(dispatch, declared);
    json_decref(declared);
    return good;
}
