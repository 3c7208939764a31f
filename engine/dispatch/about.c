/* What the catalogue says about its workflows goes into the store, which finds runs by it and removes them by it (store/about.h). */
#include "store/about.h"
#include "base/log.h"
#include "dispatch/internal.h"
#include <stdlib.h>

struct stored_about {
    struct bw_store_op op;
    struct bw_mail mail;
    struct bw_dispatch *dispatch;
    json_t *kept;        /* holds the names */
    struct bw_buf bytes; /* the labels */
    struct bw_about_list list;
    struct bw_about items[];
};

static void about_free(struct stored_about *stored)
{
    json_decref(stored->kept);
    bw_buf_free(&stored->bytes);
    free(stored);
}

static void on_stored(struct bw_store_op *op)
{
    struct stored_about *stored = op->owner;
    bw_mailbox_post(stored->dispatch->mailbox, &stored->mail); /* writer thread */
}

void bw_about_stored(struct bw_mail *mail)
{
    struct stored_about *stored = (struct stored_about *)((char *)mail - offsetof(struct stored_about, mail));
    /* A full disk: what was said before counts on, and the next start or reload says it again. */
    if (stored->op.failed) bw_log_error(BW_LOG_ERROR, "dispatch.about", &stored->op.error);
    about_free(stored);
}

static void read_one(struct stored_about *stored, const json_t *workflow, struct bw_about *about)
{
    const json_t *labels = json_object_get(workflow, "labels");
    size_t from = stored->bytes.len;
    if (labels) bw_json_append(&stored->bytes, labels);
    *about = (struct bw_about){.workflow = bw_json_slice(json_object_get(workflow, "name")),
                               .labels = {NULL, stored->bytes.len - from},
                               .ok_ms = bw_json_int(workflow, "keep_ok_ms", BW_KEEP_UNSAID),
                               .failed_ms = bw_json_int(workflow, "keep_failed_ms", BW_KEEP_UNSAID)};
}

bool bw_about_store(struct bw_dispatch *dispatch, const json_t *workflows)
{
    size_t count = json_array_size(workflows), index;
    json_t *workflow;
    if (!dispatch->options.store) return true;
    struct stored_about *stored = calloc(1, sizeof *stored + count * sizeof stored->items[0]);
    if (!stored) return false;
    stored->dispatch = dispatch;
    stored->mail.kind = BW_MAIL_ABOUT;
    stored->kept = json_incref((json_t *)workflows);
    json_array_foreach(workflows, index, workflow) read_one(stored, workflow, &stored->items[index]);
    if (stored->bytes.failed) {
        about_free(stored);
        return false;
    }
    const char *at = stored->bytes.data ? stored->bytes.data : "";
    for (size_t i = 0; i < count; i++) {
        stored->items[i].labels.ptr = at;
        at += stored->items[i].labels.len;
    }
    stored->list = (struct bw_about_list){stored->items, count};
    stored->op = (struct bw_store_op){.kind = BW_OP_ABOUT, .done = on_stored, .owner = stored, .about = &stored->list};
    bw_store_submit(dispatch->options.store, &stored->op);
    return true;
}
