/* `approve`: a step that waits for a person. What is asked is part of its row, so that the engine can show it and check the answer without the
 * workflow; the vote comes back as what wakes the run. The link that `notify` sends is made here, but its key never leaves this file's C code. */
#include "base/clock.h"
#include "base/codec.h"
#include "base/log.h"
#include "base/units.h"
#include "wire/approval_token.h"
#include "worker/internal.h"
#include <stdlib.h>
#include <string.h>

void bw_approvals_configure(struct bw_worker *worker, const json_t *head)
{
    const json_t *key = json_object_get(head, "approval_key"), *url = json_object_get(head, "public_url");
    size_t len = 0;
    if (key)
        worker->has_approval_key =
            bw_hex_decode(bw_json_slice(key), false, worker->approval_key, sizeof worker->approval_key, &len) && len == sizeof worker->approval_key;
    if (!url) return;
    free(worker->public_url);
    if (!(worker->public_url = bw_slice_dup(bw_json_slice(url)))) exit(70);
}

static bool render_message(struct bw_run *run, size_t index, struct bw_buf *out, struct bw_error *err)
{
    const struct bw_step *step = &run->entry->workflow->steps[index];
    struct bw_buf rendered = {0}, redacted = {0};
    bw_note_enter_step(run, index, 0);
    bool good = bw_script_render(bw_run_script_at(run, index), step->set, &(struct bw_render){0}, &rendered, err);
    bw_note_leave(run->event->worker);
    if (good) bw_redact_append(&redacted, bw_buf_slice(&rendered));
    json_t *message = good ? bw_json_load(bw_buf_slice(&redacted), NULL) : NULL;
    size_t bytes = json_string_length(message);
    if (good && (!bytes || bytes > BW_APPROVE_MESSAGE_MAX)) {
        good = bw_error_set(err, "approve.message", "the message must be a text of 1 to %d bytes", BW_APPROVE_MESSAGE_MAX);
        bw_error_at(err, run->entry->workflow->file.ptr, step->mark.line, step->mark.column);
    }
    if (good) bw_buf_append_slice(out, bw_buf_slice(&redacted));
    json_decref(message);
    bw_buf_free(&rendered);
    bw_buf_free(&redacted);
    return good;
}

/* The link is good for as long as the run may live: when the step does not wait any more, it shows what became of it. */
bool bw_approval_url(const struct bw_run *run, struct bw_slice path, struct bw_slice actor, struct bw_buf *out)
{
    const struct bw_worker *worker = run->event->worker;
    bw_buf_append_text(out, worker->public_url ? worker->public_url : "");
    bw_buf_append_text(out, BW_APPROVAL_PATH);
    return worker->has_approval_key && bw_approval_token_append(out, worker->approval_key, run->uid, path, actor, bw_run_deadline_ms(run));
}

static bool append_url(struct bw_run *run, size_t index, struct bw_slice actor, struct bw_buf *out)
{
    struct bw_buf url = {0};
    bool good = bw_approval_url(run, run->entry->workflow->steps[index].path, actor, &url);
    bw_buf_append_json_string(out, bw_buf_slice(&url));
    bw_buf_free(&url);
    return good;
}

/* {message, url}, or {message, urls: [{to, url}]} */
bool bw_approval_scope(struct bw_run *run, size_t index, struct bw_buf *out, struct bw_error *err)
{
    const struct bw_step *step = &run->entry->workflow->steps[index];
    bool has_links = true;
    bw_buf_append_text(out, "{\"message\":");
    if (!render_message(run, index, out, err)) return false;
    bw_buf_append_text(out, step->voter_count ? ",\"urls\":[" : ",\"url\":");
    for (size_t i = 0; i < step->voter_count; i++) {
        bw_buf_append_text(out, i ? ",{\"to\":" : "{\"to\":");
        bw_buf_append_json_string(out, step->voters[i]);
        bw_buf_append_text(out, ",\"url\":");
        has_links = append_url(run, index, step->voters[i], out) && has_links;
        bw_buf_append_char(out, '}');
    }
    if (!step->voter_count) has_links = append_url(run, index, (struct bw_slice){0}, out);
    bw_buf_append_text(out, step->voter_count ? "]}" : "}");
    if (!has_links) return bw_error_set(err, "approve.link", "the link of the approval cannot be made");
    return !out->failed || bw_error_set(err, "memory", "out of memory");
}

/* What the row of a step that waits says: {message, choices, form, need?, to?}. */
static bool make_question(struct bw_attempt *attempt, struct bw_error *err)
{
    const struct bw_step *step = bw_attempt_step(attempt);
    struct bw_buf *out = &bw_attempt_result(attempt)->output;
    bw_buf_clear(out);
    bw_buf_append_text(out, "{\"message\":");
    bool good = render_message(attempt->run, attempt->step, out, err);
    bw_buf_append_text(out, ",\"choices\":[");
    for (size_t i = 0; i < step->choice_count; i++) {
        if (i) bw_buf_append_char(out, ',');
        bw_buf_append_json_string(out, step->choices[i]);
    }
    bw_buf_append_text(out, "],\"form\":");
    bw_buf_append_slice(out, step->form.len ? step->form : BW_SLICE("{}"));
    if (step->voter_count) bw_buf_printf(out, ",\"need\":%u,\"to\":[", step->votes_needed);
    for (size_t i = 0; i < step->voter_count; i++) {
        if (i) bw_buf_append_char(out, ',');
        bw_buf_append_json_string(out, step->voters[i]);
    }
    bw_buf_append_text(out, step->voter_count ? "]}" : "}");
    return good && (!out->failed || bw_error_set(err, "memory", "out of memory"));
}

/* ---- what it gives ---- */

static json_t *form_defaults(const struct bw_step *step)
{
    json_t *form = step->form.len ? bw_json_load(step->form, NULL) : NULL, *values = json_object(), *schema;
    const char *name;
    json_object_foreach(form, name, schema) if (json_object_get(schema, "default")) json_object_set(values, name, json_object_get(schema, "default"));
    json_decref(form);
    return values;
}

void bw_approve_append_decision(struct bw_buf *out, struct bw_slice choice, struct bw_slice by, int64_t at_ms, const json_t *form,
                                const json_t *votes)
{
    bw_buf_append_text(out, "{\"choice\":");
    bw_buf_append_json_string(out, choice);
    bw_buf_append_text(out, ",\"by\":");
    bw_buf_append_json_string(out, by);
    bw_buf_printf(out, ",\"at\":%lld,\"form\":", (long long)at_ms);
    if (form)
        bw_json_append(out, form);
    else
        bw_buf_append_text(out, "{}");
    if (votes) {
        bw_buf_append_text(out, ",\"votes\":");
        bw_json_append(out, votes);
    }
    bw_buf_append_char(out, '}');
}

/* Takes over `form`. */
static void decide(struct bw_attempt *attempt, struct bw_slice choice, struct bw_slice by, int64_t at_ms, json_t *form, const json_t *votes)
{
    struct bw_buf output = {0};
    bw_approve_append_decision(&output, choice, by, at_ms, form, votes);
    json_decref(form);
    bw_step_succeed(attempt, bw_buf_slice(&output));
    bw_buf_free(&output);
}

void bw_approve_voted(struct bw_attempt *attempt, const json_t *wake)
{
    const json_t *form = json_object_get(wake, "form");
    decide(attempt, bw_json_slice(json_object_get(wake, "choice")), bw_json_slice(json_object_get(wake, "by")), bw_json_int(wake, "at_ms", 0),
           form ? json_incref((json_t *)form) : json_object(), bw_attempt_step(attempt)->votes_needed > 1 ? json_object_get(wake, "votes") : NULL);
}

void bw_approve_timed_out(struct bw_attempt *attempt)
{
    const struct bw_step *step = bw_attempt_step(attempt);
    struct bw_error err;
    char text[32];
    if (step->choice_in_time >= 0) {
        decide(attempt, step->choices[step->choice_in_time], BW_SLICE("timeout"), bw_clock_wall_ms(), form_defaults(step), NULL);
        return;
    }
    bw_error_set(&err, "approval.timeout", "nobody has decided within %s", bw_duration_text(step->wait_ms, text));
    bw_error_hint(&err, "on_timeout: %s would let the run go on with that choice", step->choices[0].ptr);
    bw_step_fail(attempt, &err, BW_CLASS_PERMANENT, -1);
}

/* ---- the beginning ---- */

/* Nobody was told: then nobody is waited for. */
static bool was_told(const struct bw_attempt *attempt, struct bw_error *err)
{
    const struct bw_run *run = attempt->run;
    bool has_notify = bw_step_has_notify(run->entry->workflow->steps, attempt->step);
    const struct bw_step_result *notify = has_notify ? &run->results[attempt->step - 1] : NULL;
    if (!notify || notify->state != BW_STATE_FAILED) return true;
    json_t *why = bw_json_load(bw_buf_slice(&notify->error), NULL);
    bw_error_set(err, bw_json_str(why, "code", "approve.notify"), "notify: %s", bw_json_str(why, "message", "it has failed"));
    bw_error_hint(err, "%s", bw_json_str(why, "hint", ""));
    json_decref(why);
    return false;
}

void bw_approve_begin(struct bw_attempt *attempt)
{
    struct bw_run *run = attempt->run;
    const struct bw_step *step = bw_attempt_step(attempt);
    struct bw_step_result *result = bw_attempt_result(attempt);
    struct bw_error err;
    result->attempt = 1;
    result->started_ms = bw_clock_wall_ms();
    bw_trace_step(run, attempt->step, "step_started", 0);
    bool is_told = was_told(attempt, &err);
    if (!is_told || !make_question(attempt, &err)) {
        bw_step_fail(attempt, &err, is_told ? BW_CLASS_BUG : BW_CLASS_PERMANENT, -1);
        return;
    }
    if (attempt->mock) {
        bw_trial_vote(attempt, step->wait_ms);
        return;
    }
    result->state = BW_STATE_WAITING;
    run->owes_report = true; /* from now on somebody may decide, also while other steps are at work */
    bw_wait_hold(attempt, result->started_ms + step->wait_ms);
}

/* ---- `bellwire test` ---- */

void bw_approve_mocked(struct bw_attempt *attempt, const json_t *output)
{
    const struct bw_step *step = bw_attempt_step(attempt);
    struct bw_slice choice = bw_json_slice(json_object_get(output, "choice")), by = bw_json_slice(json_object_get(output, "by"));
    json_t *form = form_defaults(step);
    struct bw_error err;
    for (size_t i = 0; i < step->choice_count; i++) {
        if (!bw_slice_equal(step->choices[i], choice)) continue;
        json_object_update(form, json_object_get(output, "form"));
        decide(attempt, choice, by.len ? by : BW_SLICE("test"), bw_clock_wall_ms(), form, NULL);
        return;
    }
    json_decref(form);
    bw_error_set(&err, "test.choice", "the test decides for none of the choices of %s", step->path.ptr);
    bw_error_hint(&err, "write for example mocks: {%s: {output: {choice: %s}}}", step->path.ptr, step->choices[0].ptr);
    bw_step_fail(attempt, &err, BW_CLASS_PERMANENT, -1);
}
