/* Parts of a step that wait: for the run of a workflow that the code has called, or for what people decide. That may take days, and no coroutine is
 * kept for so long: the code is given up, the row of each part waits as that of a step does (store/parking.h, children.h, approval.h), and the row of
 * the step says for which parts. When all of them have ended the code is run from its beginning, by the attempt that it was in. It finds what is
 * recorded and goes on from there, so that nothing is paid, done or asked twice, whatever crashes in between. */
#include "base/clock.h"
#include "base/log.h"
#include "base/schema.h"
#include "base/units.h"
#include "worker/internal.h"
#include <stdlib.h>
#include <string.h>

#define CHOICE_BYTES_MAX 64
#define TIMEOUT_MS (7 * 86400000LL)

static bool waits(const struct bw_step_part *part, size_t step)
{
    return part->step == step && part->state == BW_STATE_WAITING;
}

static int64_t earlier(int64_t due_ms, int64_t other_ms)
{
    return !due_ms || (other_ms && other_ms < due_ms) ? other_ms : due_ms;
}

/* ---- giving way ---- */

/* {waits_for: [PATH], since_ms, queued_ms, time}: what the step's row says until it goes on. `time` is the iteration under another name: by that one
 * the store tells a row that waits for a callback. */
static void describe(struct bw_attempt *attempt)
{
    const struct bw_run *run = attempt->run;
    struct bw_step_result *result = bw_attempt_result(attempt);
    bool is_first = true;
    bw_buf_clear(&result->output);
    bw_buf_clear(&result->error);
    bw_buf_append_text(&result->output, "{\"waits_for\":[");
    for (size_t i = 0; i < run->part_count; i++) {
        if (!waits(run->parts[i], attempt->step)) continue;
        if (!is_first) bw_buf_append_char(&result->output, ',');
        is_first = false;
        bw_buf_append_json_string(&result->output, bw_slice_of(run->parts[i]->path));
    }
    bw_buf_printf(&result->output, "],\"since_ms\":%lld,\"queued_ms\":%lld,\"time\":%u}", (long long)result->waits_since_ms,
                  (long long)result->queued_ms, result->iteration);
}

static void hold(struct bw_attempt *attempt)
{
    int64_t due_ms = 0;
    for (size_t i = 0; i < attempt->run->part_count; i++)
        if (waits(attempt->run->parts[i], attempt->step)) due_ms = earlier(due_ms, attempt->run->parts[i]->due_ms);
    attempt->run->owes_report = true; /* from now on a run begins, or somebody may decide, also while other steps are at work */
    bw_wait_hold(attempt, due_ms);
}

void bw_parts_give_way(struct bw_attempt *attempt)
{
    struct bw_run *run = attempt->run;
    struct bw_step_result *result = bw_attempt_result(attempt);
    result->has_had_waits = true;
    if (run->is_ending) { /* nothing new begins */
        bw_step_cancel(attempt);
        bw_run_advance(run);
        return;
    }
    bw_attempt_release(attempt);
    result->state = BW_STATE_WAITING;
    result->waits_on_parts = true;
    result->waits_since_ms = bw_clock_wall_ms();
    result->is_reported = false;
    describe(attempt);
    hold(attempt);
}

/* The code would be run twice, and with at_most_once it must not. */
bool bw_parts_may_wait(const struct bw_attempt *attempt, struct bw_error *err)
{
    const struct bw_step *step = bw_attempt_step(attempt);
    if (!step->is_once) return true;
    bw_error_set(err, "part.once", "code that waits is run from its beginning afterwards, which `guarantee: at_most_once` forbids");
    bw_error_hint(err, "leave it out: what is recorded as a part is not done again anyway");
    bw_error_at(err, attempt->run->entry->workflow->file.ptr, step->mark.line, step->mark.column);
    return false;
}

/* ---- questions ---- */

static const char question_fields[] =
    "{\"name\":{\"type\":\"string\",\"required\":true},"
    "\"message\":{\"type\":\"string\",\"required\":true},"
    "\"choices\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"default\":[\"approve\",\"reject\"],\"max_items\":10},"
    "\"to\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"max_items\":20},"
    "\"need\":{\"type\":\"integer\",\"min\":1,\"max\":20},"
    "\"timeout\":{\"type\":\"string\"},"
    "\"on_timeout\":{\"type\":\"string\"}}";

static bool is_one_line(const json_t *text, size_t most)
{
    const char *at = json_string_value(text);
    size_t len = json_string_length(text);
    if (!len || len > most) return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)at[i] < 0x20 || at[i] == 0x7f) return false;
    return true;
}

static bool are_names(const json_t *list, size_t most)
{
    size_t i, k;
    json_t *name;
    json_array_foreach(list, i, name)
    {
        if (!is_one_line(name, most)) return false;
        for (k = 0; k < i; k++)
            if (json_equal(name, json_array_get(list, k))) return false;
    }
    return true;
}

static bool is_in(const json_t *list, const char *name)
{
    size_t index;
    json_t *other;
    json_array_foreach(list, index, other) if (!strcmp(json_string_value(other), name)) return true;
    return false;
}

/* The same as workflow/approve.c asks of a step. */
static bool check_question(const struct bw_schema *schema, json_t *question, int64_t *within_ms, struct bw_error *err)
{
    if (!json_is_object(question)) return bw_error_set(err, "question.type", "a question is a table with name and message");
    if (!bw_schema_check(schema, question, false, "question", err)) return false;
    const json_t *choices = json_object_get(question, "choices"), *to = json_object_get(question, "to");
    const char *late = bw_json_str(question, "on_timeout", "fail");
    size_t bytes = json_string_length(json_object_get(question, "message"));
    struct bw_slice timeout = bw_json_slice(json_object_get(question, "timeout"));
    *within_ms = TIMEOUT_MS;
    if (!bytes || bytes > BW_APPROVE_MESSAGE_MAX)
        return bw_error_set(err, "question.message", "the message must be a text of 1 to %d bytes", BW_APPROVE_MESSAGE_MAX);
    if (!json_array_size(choices) || !are_names(choices, CHOICE_BYTES_MAX))
        return bw_error_set(err, "question.choices", "choices are different texts of 1 to %d bytes, each in one line", CHOICE_BYTES_MAX);
    if (to && (!json_array_size(to) || !are_names(to, BW_WORKFLOW_VOTER_BYTES_MAX)))
        return bw_error_set(err, "question.to", "to holds different names of 1 to %d bytes, each in one line", BW_WORKFLOW_VOTER_BYTES_MAX);
    if (bw_json_int(question, "need", 1) > (to ? (int64_t)json_array_size(to) : 1))
        return bw_error_set(err, "question.need", "need is more than are asked: name them in to");
    if (strcmp(late, "fail") != 0 && !is_in(choices, late)) return bw_error_set(err, "question.on_timeout", "on_timeout is none of the choices");
    if (timeout.len && !bw_duration_parse(timeout, within_ms, err)) return false;
    if (*within_ms < 1 || *within_ms > BW_WORKFLOW_WAIT_MAX_MS) return bw_error_set(err, "question.timeout", "timeout must be 1ms to 366d");
    return true;
}

/* As approve.c writes it, with what is to happen when nobody decides. */
static void describe_question(struct bw_step_part *part, json_t *question)
{
    struct bw_buf text = {0};
    json_object_del(question, "name");
    json_object_set_new(question, "form", json_object());
    if (!json_object_get(question, "need")) json_object_set_new(question, "need", json_integer(1));
    bw_json_append(&text, question);
    bw_redact_append(&part->output, bw_buf_slice(&text));
    bw_buf_free(&text);
}

static bool ask(struct bw_attempt *attempt, const struct bw_schema *schema, json_t *question, bool only_checks, struct bw_error *err)
{
    struct bw_run *run = attempt->run;
    int64_t within_ms, now_ms = bw_clock_wall_ms(), due_ms = bw_run_deadline_ms(run);
    char path[BW_PART_PATH_BYTES];
    if (!check_question(schema, question, &within_ms, err)) return false;
    bw_parts_path(attempt, bw_json_slice(json_object_get(question, "name")), path);
    if (strlen(path) > BW_APPROVAL_STEP_MAX) return bw_error_set(err, "question.name", "the name of the part is too long for a link");
    if (only_checks || bw_parts_at(run, path)) return true;
    struct bw_step_part *part = bw_parts_add(run, attempt->step, path, BW_STATE_WAITING, now_ms);
    part->ended_ms = 0;
    part->due_ms = within_ms < due_ms - now_ms ? now_ms + within_ms : due_ms;
    describe_question(part, question);
    bw_trace_part(run, attempt->step, part);
    return true;
}

void bw_parts_ask(struct bw_attempt *attempt, struct bw_slice text)
{
    struct bw_error err;
    json_t *questions = bw_json_load(text, &err), *fields = bw_json_load(BW_SLICE(question_fields), &err), *question;
    struct bw_schema *schema = questions && fields ? bw_schema_load(fields, &err) : NULL;
    size_t index;
    bool good = schema && bw_parts_may_wait(attempt, &err);
    if (good && (!json_array_size(questions) || json_array_size(questions) > BW_PARTS_TOGETHER_MAX))
        good = bw_error_set(&err, "question.count", "1 to %d questions can be asked at once", BW_PARTS_TOGETHER_MAX);
    for (int pass = 0; pass < 2; pass++) /* either all of them are asked or none */
        json_array_foreach(questions, index, question) good = good && ask(attempt, schema, question, pass == 0, &err);
    bw_schema_free(schema);
    json_decref(fields);
    json_decref(questions);
    if (good)
        bw_parts_give_way(attempt);
    else
        bw_parts_answer_error(attempt, &err);
}

/* ---- their end ---- */

static void end(struct bw_run *run, struct bw_step_part *part, int state)
{
    part->state = state;
    part->ended_ms = bw_clock_wall_ms();
    part->is_reported = false;
    part->wake = part->children = NULL;
    run->kept_bytes += part->output.len;
    bw_trace_part(run, part->step, part);
}

static void fail(struct bw_run *run, struct bw_step_part *part, const struct bw_error *err)
{
    bw_buf_clear(&part->output);
    bw_error_to_json(&part->error, err, BW_CLASS_PERMANENT, run->entry->workflow->steps[part->step].path);
    end(run, part, BW_STATE_FAILED);
}

static void decide(struct bw_run *run, struct bw_step_part *part, const json_t *question)
{
    const json_t *wake = part->wake;
    struct bw_buf output = {0};
    struct bw_error err;
    const char *late = bw_json_str(question, "on_timeout", "fail");
    struct bw_slice timeout = bw_json_slice(json_object_get(question, "timeout"));
    int64_t within_ms = TIMEOUT_MS;
    char text[32];
    if (wake && bw_json_int(wake, "kind", 0) == BW_WAKE_VOTE) {
        const json_t *votes = bw_json_int(question, "need", 1) > 1 ? json_object_get(wake, "votes") : NULL;
        bw_approve_append_decision(&output, bw_json_slice(json_object_get(wake, "choice")), bw_json_slice(json_object_get(wake, "by")),
                                   bw_json_int(wake, "at_ms", 0), NULL, votes);
    } else if (strcmp(late, "fail") != 0) {
        bw_approve_append_decision(&output, bw_slice_of(late), BW_SLICE("timeout"), bw_clock_wall_ms(), NULL, NULL);
    } else {
        if (timeout.len) bw_duration_parse(timeout, &within_ms, NULL); /* its timer is gone by now */
        bw_error_set(&err, "approval.timeout", "nobody has decided within %s", bw_duration_text(within_ms, text));
        bw_error_hint(&err, "on_timeout: reject would let the step go on with that");
        fail(run, part, &err);
        return;
    }
    bw_buf_clear(&part->output);
    bw_buf_append_slice(&part->output, bw_buf_slice(&output));
    bw_buf_free(&output);
    end(run, part, BW_STATE_SUCCEEDED);
}

static void join(struct bw_attempt *attempt, struct bw_step_part *part)
{
    struct bw_slice output;
    struct bw_error err;
    int state = bw_join_call_end(part->children, &output, &err);
    if (state == BW_STATE_SKIPPED) bw_error_set(&err, "call.skipped", "the workflow did not take the call: its run was skipped");
    if (state == BW_STATE_SUCCEEDED && bw_parts_is_too_large(attempt, output, &err)) state = BW_STATE_FAILED;
    if (state != BW_STATE_SUCCEEDED) {
        fail(attempt->run, part, &err);
        return;
    }
    bw_redact_append(&part->output, output);
    end(attempt->run, part, BW_STATE_SUCCEEDED);
}

/* If it has ended. */
static void settle(struct bw_attempt *attempt, struct bw_step_part *part)
{
    json_t *question = part->output.len ? bw_json_load(bw_buf_slice(&part->output), NULL) : NULL;
    bool is_due = part->wake || (part->due_ms && part->due_ms <= bw_clock_wall_ms());
    if (question && is_due) {
        decide(attempt->run, part, question);
    } else if (part->children) {
        join(attempt, part);
    } else if (part->wake) { /* nothing that it waits for: its row once more, or it would wake the run for ever */
        part->wake = NULL;
        part->is_reported = false;
    }
    json_decref(question);
}

static bool has_news(const struct bw_attempt *attempt)
{
    const struct bw_run *run = attempt->run;
    for (size_t i = 0; i < run->part_count; i++)
        if (run->parts[i]->step == attempt->step && !run->parts[i]->is_reported) return true;
    return false;
}

/* From its beginning, and by the attempt that it was. What has ended is on disk before anything is done because of it: when nobody has decided in
 * time, nobody can do so later. */
static void go_on(struct bw_attempt *attempt)
{
    struct bw_run *run = attempt->run;
    struct bw_step_result *result = bw_attempt_result(attempt);
    result->waits_on_parts = false;
    result->state = BW_STATE_RETRYING; /* not in the store: there it waits until it has ended, and a crash finds that all is there */
    result->is_reported = true;
    result->due_ms = 0;
    result->wake = NULL;
    result->queued_ms += bw_clock_wall_ms() - result->waits_since_ms;
    if (result->attempt) result->attempt--;
    bw_buf_clear(&result->output);
    if (!has_news(attempt)) {
        bw_step_begin(attempt);
        return;
    }
    attempt->report = run->asked_report = bw_report_run(run, true);
    attempt->wait = BW_WAIT_COMMIT;
    TAILQ_INSERT_TAIL(&run->event->worker->unacknowledged, attempt, link);
}

void bw_parts_resume(struct bw_attempt *attempt)
{
    struct bw_run *run = attempt->run;
    struct bw_step_result *result = bw_attempt_result(attempt);
    bool has_left = false;
    for (size_t i = 0; i < run->part_count; i++) {
        if (!waits(run->parts[i], attempt->step)) continue;
        settle(attempt, run->parts[i]);
        has_left |= waits(run->parts[i], attempt->step);
    }
    if (!has_left) {
        go_on(attempt);
        return;
    }
    if (result->wake) { /* nothing that it waits for: as in settle() */
        result->wake = NULL;
        result->is_reported = false;
        describe(attempt);
    }
    hold(attempt);
}

void bw_parts_end_waits(struct bw_run *run, size_t step)
{
    for (size_t i = 0; i < run->part_count; i++) {
        if (!waits(run->parts[i], step)) continue;
        bw_buf_clear(&run->parts[i]->output); /* what was asked */
        end(run, run->parts[i], BW_STATE_CANCELLED);
    }
}

/* ---- what an earlier worker has left ---- */

static void restore(struct bw_run *run, size_t index, const json_t *row)
{
    struct bw_step_part *part = bw_parts_add(run, index, bw_json_str(row, "path", ""), BW_STATE_WAITING, bw_json_int(row, "started_ms", 0));
    part->ended_ms = 0;
    part->is_reported = true;
    part->due_ms = bw_json_int(row, "due_ms", 0);
    part->wake = json_object_get(row, "wake");
    part->children = json_object_get(row, "children");
    bw_buf_append_slice(&part->output, bw_json_slice(json_object_get(row, "output_text")));
}

void bw_parts_restore_waits(struct bw_run *run, size_t index, const json_t *row, const json_t *rows)
{
    struct bw_step_result *result = &run->results[index];
    struct bw_slice output = bw_json_slice(json_object_get(row, "output_text"));
    json_t *said = output.len ? bw_json_load(output, NULL) : NULL, *path, *other;
    size_t i, k;
    result->waits_on_parts = result->has_had_waits = json_is_array(json_object_get(said, "waits_for"));
    if (result->waits_on_parts) {
        result->waits_since_ms = bw_json_int(said, "since_ms", 0);
        result->queued_ms = bw_json_int(said, "queued_ms", 0);
        result->iteration = (uint32_t)bw_json_int(said, "time", 0);
    }
    json_array_foreach(result->waits_on_parts ? json_object_get(said, "waits_for") : NULL, i, path)
    {
        json_array_foreach(rows, k, other)
        {
            bool is_it = !strcmp(bw_json_str(other, "path", ""), json_string_value(path));
            if (is_it && bw_json_int(other, "state", 0) == BW_STATE_WAITING) restore(run, index, other);
        }
    }
    json_decref(said);
}
