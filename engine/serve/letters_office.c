#include "serve/letters_office.h"
#include "base/clock.h"
#include "base/mailbox.h"
#include "serve/letters.h"
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bw_letter_office {
    struct bw_mailbox *mailbox;
    struct bw_store *store;
    const struct bw_dispatch *dispatch;
};
struct job { /* one request, on its way to the disk */
    struct bw_store_op op;
    struct bw_mail mail;
    struct bw_letter_office *office;
    struct bw_control_request *request;
    struct bw_letters letters;
    struct bw_letter_catalog catalog;
    json_t *body; /* where its texts are */
    struct bw_buf output;
    char actor[64];
    struct bw_letter items[];
};

static void job_free(struct job *job)
{
    bw_letter_catalog_free(&job->catalog);
    json_decref(job->body);
    bw_buf_free(&job->output);
    free(job);
}

static json_t *error_of(const struct bw_error *err)
{
    json_t *error = json_pack("{s:s,s:s}", "code", err->code, "message", err->message);
    if (*err->hint) json_object_set_new(error, "hint", json_string(err->hint));
    return error;
}

static json_t *result_of(const struct bw_letters *letters, const struct bw_letter *letter)
{
    char uid[BW_UID_TEXT];
    json_t *result = json_pack("{s:s}", "run", bw_uid_text(letter->run, BW_UID_RUN, uid));
    if (letter->is_refused)
        json_object_set_new(result, "error", error_of(&letter->refusal));
    else if (letters->verb == BW_LETTER_REPLAY)
        json_object_set_new(result, "replay", json_string(bw_uid_text(letter->replay, BW_UID_RUN, uid)));
    else if (letters->verb == BW_LETTER_RESOLVE)
        json_object_set_new(result, "resumed", json_boolean(letter->is_resumed));
    if (letters->verb == BW_LETTER_RESOLVE && !letter->is_refused && *letter->refusal.code)
        json_object_set_new(result, "why", error_of(&letter->refusal));
    return result;
}

static void on_committed(struct bw_mail *mail, void *arg)
{
    struct job *job = (struct job *)((char *)mail - offsetof(struct job, mail));
    (void)arg;
    if (job->op.failed) {
        bw_control_refuse(job->request, &job->op.error);
    } else {
        json_t *results = json_array();
        for (size_t i = 0; i < job->letters.count; i++) json_array_append_new(results, result_of(&job->letters, &job->items[i]));
        bw_control_answer(job->request, json_pack("{s:o}", "results", results));
    }
    job_free(job);
}

static void on_done(struct bw_store_op *op)
{
    struct job *job = op->owner; /* writer thread */
    bw_mailbox_post(job->office->mailbox, &job->mail);
}

static bool read_runs(struct job *job, const json_t *runs, struct bw_error *err)
{
    size_t index;
    json_t *run;
    json_array_foreach(runs, index, run)
    {
        job->items[index].replay = bw_uid_new(job->letters.now_ms);
        if (!bw_uid_parse(bw_json_slice(run), BW_UID_RUN, &job->items[index].run))
            return bw_error_set(err, "run.id", "%s is no run id (run_…)", json_is_string(run) ? json_string_value(run) : "something");
    }
    return true;
}

static bool read_resolution(struct job *job, struct bw_error *err)
{
    static const char *const words[] = {"succeeded", "failed", "retry"};
    const json_t *output = json_object_get(job->body, "output");
    size_t i = 0;
    while (i < 3 && strcmp(bw_json_str(job->body, "as", ""), words[i]) != 0) i++;
    if (i == 3 || (output && !json_is_object(output)))
        return bw_error_set(err, "control.malformed", "`as` is succeeded, failed or retry, and `output` is an object");
    if (output)
        bw_json_append(&job->output, output);
    else
        bw_buf_append_text(&job->output, "{}");
    if (job->output.failed) return false;
    if (job->output.len > BW_RESOLVED_OUTPUT_BYTES_MAX)
        return bw_error_set(err, "output.too_large", "the output has %zu bytes, at most %u are taken", job->output.len, BW_RESOLVED_OUTPUT_BYTES_MAX);
    job->letters.resolution = (enum bw_step_resolution)i;
    job->letters.step = bw_json_slice(json_object_get(job->body, "step"));
    job->letters.output = bw_buf_slice(&job->output);
    return true;
}

static bool fill(struct job *job, enum bw_letter_verb verb, const json_t *body, struct bw_error *err)
{
    const json_t *runs = json_object_get(body, "runs");
    bool is_current =
        verb == BW_LETTER_REPLAY ? !bw_json_bool(body, "same_version", false) : verb == BW_LETTER_RESUME && bw_json_bool(body, "latest", false);
    job->letters = (struct bw_letters){.verb = verb,
                                       .actor = bw_slice_of(job->actor),
                                       .now_ms = bw_clock_wall_ms(),
                                       .from = is_current ? bw_json_slice(json_object_get(job->body, "from")) : (struct bw_slice){0},
                                       .items = job->items,
                                       .count = json_array_size(runs)};
    if (!read_runs(job, runs, err) || (verb == BW_LETTER_RESOLVE && !read_resolution(job, err))) return false;
    if (!is_current) return true;
    if (!bw_dispatch_workflows(job->office->dispatch)) return bw_error_set(err, "engine.starting", "the engine has not loaded its workflows yet");
    if (!bw_letter_catalog_make(&job->catalog, job->office->dispatch, err)) return false;
    bw_letter_catalog_apply(&job->catalog, &job->letters);
    return true;
}

void bw_letter_office_take(struct bw_letter_office *office, enum bw_letter_verb verb, struct bw_control_request *request, const json_t *body)
{
    size_t count = json_array_size(json_object_get(body, "runs"));
    struct job *job = NULL;
    struct bw_error err;
    if (!count || count > BW_LETTERS_AT_ONCE) {
        bw_error_set(&err, "control.malformed", "a request names 1 to %d runs", BW_LETTERS_AT_ONCE);
        bw_control_refuse(request, &err);
        return;
    }
    bw_error_set(&err, "memory", "out of memory");
    if ((job = calloc(1, sizeof *job + count * sizeof *job->items))) {
        job->office = office;
        job->request = request;
        job->body = json_deep_copy(body);
        bw_control_peer_name(request, job->actor);
    }
    if (!job || !job->body || !fill(job, verb, body, &err)) {
        if (job) job_free(job);
        bw_control_refuse(request, &err);
        return;
    }
    job->op = (struct bw_store_op){.kind = BW_OP_LETTERS, .done = on_done, .owner = job, .letters = &job->letters};
    bw_store_submit(office->store, &job->op);
}

struct bw_letter_office *bw_letter_office_new(struct event_base *base, struct bw_store *store, const struct bw_dispatch *dispatch)
{
    struct bw_letter_office *office = calloc(1, sizeof *office);
    if (!office) return NULL;
    *office = (struct bw_letter_office){.store = store, .dispatch = dispatch, .mailbox = bw_mailbox_new(base, on_committed, office)};
    if (office->mailbox) return office;
    free(office);
    return NULL;
}

void bw_letter_office_free(struct bw_letter_office *office)
{
    if (!office) return;
    bw_mailbox_free(office->mailbox);
    free(office);
}
