/* Callbacks: the answer of somebody else to a step whose code has said that it will come (`pending`). For the store it is a vote: the first one for a
 * step that waits wakes it. */
#include "base/clock.h"
#include "base/log.h"
#include "base/schema.h"
#include "dispatch/callback.h"
#include "dispatch/internal.h"
#include <string.h>

#define DEPTH_MAX 32 /* it travels inside of other JSON */
#define CODE_BYTES_MAX 47
#define MESSAGE_BYTES_MAX 400

void bw_callback_query_clear(struct bw_callback_query *query)
{
    json_decref(query->given);
    json_decref(query->promised);
    bw_buf_free(&query->form);
}

/* ---- what the store says ---- */

static bool see(void *arg, const struct bw_approval *approval)
{
    struct bw_callback_query *query = arg;
    bool is_waiting = approval->step_state == BW_STEP_WAITING && !approval->wake;
    bool is_over = approval->run_state >= BW_RUN_SUCCEEDED || approval->is_ending || approval->step_state >= BW_STEP_SUCCEEDED || approval->wake;
    json_t *row = is_waiting ? bw_json_load(approval->output, NULL) : NULL;
    if (approval->has_voted)
        query->answer = BW_CALLBACK_DONE;
    else if (is_over)
        query->answer = BW_CALLBACK_GONE;
    else if (!is_waiting)
        query->answer = BW_CALLBACK_LATER;
    else if (!json_is_true(json_object_get(row, "callback")) || bw_json_int(row, "iteration", -1) != query->turn.iteration)
        query->answer = BW_CALLBACK_GONE;
    else
        query->promised = json_incref(json_object_get(row, "outputs"));
    json_decref(row);
    return false;
}

/* False: there is an answer already. */
static bool is_waited_for(struct bw_callback_query *query)
{
    const enum bw_callback_answer none = (enum bw_callback_answer) - 1;
    struct bw_error err;
    bool found;
    query->answer = none;
    if (!bw_reader_approval(query->dispatch->reader, query->token.run, bw_slice_of(query->token.step), bw_slice_of(query->token.actor), see, query,
                            &found, &err)) {
        bw_log_error(BW_LOG_WARN, "dispatch.callback", &err);
        query->answer = BW_CALLBACK_LATER;
    } else if (!found) { /* it has no row yet, and its first step has given the link away; those of runs that are kept no more expire */
        query->answer = BW_CALLBACK_LATER;
    }
    return query->answer == none;
}

/* ---- what was given ---- */

static bool wrong(struct bw_callback_query *query, const char *code, const char *message)
{
    return bw_error_set(&query->error, code, "%s", message);
}

static bool is_flat(const json_t *value, int depth)
{
    const char *key;
    json_t *member;
    size_t index;
    bool good = depth > 0;
    if (good && json_is_object(value)) json_object_foreach((json_t *)value, key, member) good = good && is_flat(member, depth - 1);
    if (good && json_is_array(value)) json_array_foreach(value, index, member) good = good && is_flat(member, depth - 1);
    return good;
}

static bool check_output(struct bw_callback_query *query, json_t *output)
{
    if (!json_is_object(output)) return wrong(query, "callback.output", "output must be an object");
    if (!is_flat(output, DEPTH_MAX)) return wrong(query, "callback.output", "output is nested too deeply");
    struct bw_schema *schema = query->promised ? bw_schema_load(query->promised, &query->error) : NULL;
    bool good = !query->promised || (schema && bw_schema_check(schema, output, true, "output", &query->error));
    bw_schema_free(schema);
    return good;
}

static bool check_error(struct bw_callback_query *query, const json_t *error)
{
    const json_t *code = json_object_get(error, "code"), *message = json_object_get(error, "message"), *retry = json_object_get(error, "retry");
    struct bw_slice name = bw_json_slice(code);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)error, key, value) if (strcmp(key, "code") && strcmp(key, "message") && strcmp(key, "retry")) return wrong(
        query, "callback.error", "error has only the members code, message and retry");
    if (!name.len || name.len > CODE_BYTES_MAX || strspn(name.ptr, "abcdefghijklmnopqrstuvwxyz0123456789_.") != name.len)
        return wrong(query, "callback.error", "error.code must be a text of a-z, 0-9, _ and dots, at most 47");
    if (message && (!json_is_string(message) || json_string_length(message) > MESSAGE_BYTES_MAX))
        return wrong(query, "callback.error", "error.message must be a text of at most 400 bytes");
    return !retry || json_is_boolean(retry) || wrong(query, "callback.error", "error.retry must be true or false");
}

static bool check(struct bw_callback_query *query)
{
    json_t *output = json_object_get(query->given, "output"), *error = json_object_get(query->given, "error");
    bool good = json_object_size(query->given) == 1 && (output || json_is_object(error));
    if (!good) wrong(query, "callback.body", "post {\"output\": {…}} or {\"error\": {\"code\": …, \"message\": …, \"retry\": true or false}}");
    good = good && (output ? check_output(query, output) : check_error(query, error));
    if (!good) {
        query->answer = BW_CALLBACK_WRONG;
        return false;
    }
    bw_json_append(&query->form, output ? output : error);
    query->vote.choice = output ? BW_SLICE("output") : BW_SLICE("error");
    query->vote.form = bw_buf_slice(&query->form);
    query->answer = BW_CALLBACK_LATER;
    return !query->form.failed;
}

/* ---- the answer ---- */

static void on_stored(struct bw_store_op *op)
{
    struct bw_callback_query *query = op->owner; /* writer thread */
    bw_mailbox_post(query->dispatch->mailbox, &query->mail);
}

static void submit(struct bw_callback_query *query)
{
    query->is_submitted = true;
    query->vote.run = query->token.run;
    query->vote.step = bw_slice_of(query->token.step);
    query->vote.by = bw_slice_of(query->token.actor);
    query->vote.remote = bw_slice_of(query->remote);
    query->vote.at_ms = bw_clock_wall_ms();
    query->vote.is_callback = true;
    query->vote.iteration = query->turn.iteration;
    query->op = (struct bw_store_op){.kind = BW_OP_VOTE, .done = on_stored, .owner = query, .vote = &query->vote};
    bw_store_submit(query->dispatch->options.store, &query->op);
}

static void stored(struct bw_callback_query *query)
{
    const struct bw_vote *vote = &query->vote;
    char run[BW_UID_TEXT];
    query->answer = BW_CALLBACK_LATER;
    if (query->op.failed) {
        bw_log_error(BW_LOG_WARN, "dispatch.callback", &query->op.error);
    } else if (vote->is_counted) {
        query->answer = BW_CALLBACK_DONE;
        bw_log(BW_LOG_INFO, "callback.done", BW_STR("run", bw_uid_text(vote->run, BW_UID_RUN, run)), BW_SLC("step", vote->step),
               BW_SLC("what", vote->choice), BW_SLC("remote", vote->remote));
    } else if (!query->dispatch->is_stopped) { /* something was faster */
        json_decref(query->promised);
        query->promised = NULL;
        if (is_waited_for(query)) query->answer = BW_CALLBACK_LATER;
    }
}

void bw_callbacks_mail(struct bw_mail *mail)
{
    struct bw_callback_query *query = (struct bw_callback_query *)((char *)mail - offsetof(struct bw_callback_query, mail));
    struct bw_dispatch *dispatch = query->dispatch;
    if (query->is_submitted) {
        stored(query);
    } else if (dispatch->is_stopped || dispatch->is_failed || !dispatch->reader) {
        query->answer = BW_CALLBACK_LATER;
    } else if (is_waited_for(query) && check(query)) {
        submit(query);
        return; /* once more when it is on disk */
    }
    query->done(query);
}

void bw_dispatch_ask_callback(struct bw_dispatch *dispatch, struct bw_callback_query *query)
{
    query->dispatch = dispatch;
    query->mail.kind = BW_MAIL_CALLBACK;
    bw_mailbox_post(dispatch->mailbox, &query->mail);
}
