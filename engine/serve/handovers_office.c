#include "serve/handovers_office.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mailbox.h"
#include <stddef.h>
#include <stdlib.h>

struct bw_handover_office {
    struct bw_mailbox *mailbox;
    struct bw_store *store;
    struct bw_learnt *learnt;
};
struct job { /* one request, on its way to the disk */
    struct bw_store_op op;
    struct bw_handover wish;
    struct bw_mail mail;
    struct bw_handover_office *office;
    struct bw_control_request *request;
    char *source;
    char actor[64];
};

static void job_free(struct job *job)
{
    if (job) free(job->source);
    free(job);
}

/* Writer thread, in the order of the commits: so is what the listener reads. */
static void on_done(struct bw_store_op *op)
{
    struct job *job = op->owner;
    struct bw_learnt *learnt = job->office->learnt;
    if (!op->failed && job->wish.verb != BW_HANDOVER_REVEAL) bw_learnt_set_window(learnt, job->source, job->wish.until_ms);
    if (!op->failed && job->wish.verb == BW_HANDOVER_FORGET) bw_learnt_forget(learnt, job->source);
    bw_mailbox_post(job->office->mailbox, &job->mail);
}

static void on_committed(struct bw_mail *mail, void *arg)
{
    static const char *const names[] = {"source.opened", "source.closed", "source.forgotten", "source.revealed"};
    struct job *job = (struct job *)((char *)mail - offsetof(struct job, mail));
    (void)arg;
    if (job->op.failed) {
        bw_control_refuse(job->request, &job->op.error);
    } else {
        json_t *answer = json_pack("{s:b}", "changed", job->wish.has_changed);
        if (job->wish.until_ms) json_object_set_new(answer, "open_until_ms", json_integer(job->wish.until_ms));
        bw_log(BW_LOG_INFO, names[job->wish.verb], BW_STR("source", job->source), BW_STR("by", job->actor));
        bw_control_answer(job->request, answer);
    }
    job_free(job);
}

static bool read_time(int64_t for_ms, struct bw_error *err)
{
    if (for_ms > 0 && for_ms <= BW_WINDOW_MAX_MS) return true;
    return bw_error_set(err, "source.window", "a window may be open for 1 ms to 24 h");
}

void bw_handover_office_take(struct bw_handover_office *office, enum bw_handover_verb verb, const struct bw_router *router,
                             struct bw_control_request *request, const json_t *body)
{
    const char *source = bw_json_str(body, "source", "");
    int64_t now_ms = bw_clock_wall_ms(), for_ms = verb == BW_HANDOVER_OPEN ? bw_json_int(body, "for_ms", 0) : 0;
    struct job *job = NULL;
    struct bw_error err;
    bool good = bw_handovers_may(router, office->learnt, verb, source, &err) && (verb != BW_HANDOVER_OPEN || read_time(for_ms, &err));
    if (good && (!(job = calloc(1, sizeof *job)) || !(job->source = bw_slice_dup(bw_slice_of(source))) || !bw_learnt_reserve(office->learnt, source)))
        good = bw_error_set(&err, "memory", "out of memory");
    if (!good) {
        job_free(job);
        bw_control_refuse(request, &err);
        return;
    }
    job->office = office;
    job->request = request;
    job->wish = (struct bw_handover){.verb = verb,
                                     .source = bw_slice_of(job->source),
                                     .actor = bw_slice_of(bw_control_peer_name(request, job->actor)),
                                     .until_ms = for_ms ? now_ms + for_ms : 0};
    job->op = (struct bw_store_op){.kind = BW_OP_HANDOVER, .done = on_done, .owner = job, .now_ms = now_ms, .handover = &job->wish};
    bw_store_submit(office->store, &job->op);
}

void bw_handover_office_list(struct bw_handover_office *office, const struct bw_router *router, struct bw_control_request *request)
{
    bw_control_answer(request, json_pack("{s:o}", "sources", bw_handovers_list(router, office->learnt, bw_clock_wall_ms())));
}

struct bw_learnt *bw_handover_office_learnt(struct bw_handover_office *office)
{
    return office->learnt;
}

static bool load(struct bw_handover_office *office, const char *folder, struct bw_error *err)
{
    struct bw_reader *reader = bw_reader_open(folder, err);
    bool good = reader && bw_handovers_load(reader, office->learnt, err);
    bw_reader_close(reader);
    return good;
}

struct bw_handover_office *bw_handover_office_new(struct event_base *base, struct bw_store *store, const char *folder, struct bw_error *err)
{
    struct bw_handover_office *office = calloc(1, sizeof *office);
    bw_error_set(err, "memory", "out of memory");
    if (!office) return NULL;
    *office = (struct bw_handover_office){.store = store, .mailbox = bw_mailbox_new(base, on_committed, office), .learnt = bw_learnt_new()};
    if (office->mailbox && office->learnt && load(office, folder, err)) return office;
    bw_handover_office_free(office);
    return NULL;
}

void bw_handover_office_free(struct bw_handover_office *office)
{
    if (!office) return;
    if (office->mailbox) bw_mailbox_free(office->mailbox);
    bw_learnt_free(office->learnt);
    free(office);
}
