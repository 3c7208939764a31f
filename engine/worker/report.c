/* Reports are built as text: this is the hot way back, and a tree would cost more than the run. */
#include "base/clock.h"
#include "base/codec.h"
#include "base/crash_point.h"
#include "worker/internal.h"
#include <stdlib.h>
#include <string.h>

struct report {
    struct bw_buf head;
    struct bw_slice parts[BW_FRAME_PARTS_MAX];
    size_t part_count;
};

static void append_output(struct report *report, const struct bw_buf *output)
{
    if (!output->len) return;
    bw_buf_printf(&report->head, ",\"output_part\":%zu", report->part_count);
    report->parts[report->part_count++] = bw_buf_slice(output);
}

static void append_error(struct report *report, const struct bw_buf *error)
{
    if (!error->len) return;
    bw_buf_append_text(&report->head, ",\"error\":");
    bw_buf_append_slice(&report->head, bw_buf_slice(error));
}

/* What ends the waiting of a step. */
static void append_waiting(struct report *report, const struct bw_step *step, const struct bw_step_result *result)
{
    if (result->due_ms && !result->waits_on_parts) bw_buf_printf(&report->head, ",\"due_ms\":%lld", (long long)result->due_ms);
    if (!result->keys) return;
    if (result->since_ms) bw_buf_printf(&report->head, ",\"since_ms\":%lld", (long long)result->since_ms);
    bw_buf_append_text(&report->head, ",\"arms\":[");
    for (size_t i = 0; i < step->arm_count; i++)
        bw_buf_printf(&report->head, "%s{\"key\":%lld,\"since_event\":%lld}", i ? "," : "", (long long)result->keys[i],
                      (long long)result->since_event);
    bw_buf_append_char(&report->head, ']');
}

static void append_emits(struct report *report, const json_t *emits)
{
    size_t index;
    json_t *emit;
    bw_buf_append_text(&report->head, ",\"emits\":[");
    json_array_foreach(emits, index, emit)
    {
        bw_buf_printf(&report->head, "%s{\"uid\":\"%s\",\"part\":%zu,\"name\":", index ? "," : "", bw_json_str(emit, "uid", ""), report->part_count);
        bw_buf_append_json_string(&report->head, bw_json_slice(json_object_get(emit, "name")));
        if (json_object_get(emit, "key")) {
            bw_buf_append_text(&report->head, ",\"key\":");
            bw_buf_append_json_string(&report->head, bw_json_slice(json_object_get(emit, "key")));
        }
        if (json_object_get(emit, "due_ms")) bw_buf_printf(&report->head, ",\"due_ms\":%lld", (long long)bw_json_int(emit, "due_ms", 0));
        bw_buf_append_char(&report->head, '}');
        report->parts[report->part_count++] = bw_json_slice(json_object_get(emit, "data"));
    }
    bw_buf_append_char(&report->head, ']');
}

static void append_respond(struct report *report, const json_t *respond)
{
    bw_buf_printf(&report->head, ",\"respond\":{\"status\":%d,\"type\":\"%s\",\"part\":%zu", (int)bw_json_int(respond, "status", 200),
                  bw_json_str(respond, "type", ""), report->part_count);
    if (json_object_get(respond, "headers")) {
        bw_buf_append_text(&report->head, ",\"headers\":");
        bw_json_append(&report->head, json_object_get(respond, "headers"));
    }
    bw_buf_append_char(&report->head, '}');
    report->parts[report->part_count++] = bw_json_slice(json_object_get(respond, "body"));
}

static void append_slot(struct bw_buf *head, const struct bw_concurrency *concurrency, const struct bw_admission *admission)
{
    bw_buf_printf(head,
                  ",\"slot\":{\"group\":\"%s\",\"most\":%u,\"when_full\":%d,\"max_queue\":%u,\"holds_parked\":%s,\"holds_failed\":%s,"
                  "\"priority\":%d}",
                  admission->slot_group, concurrency->limit, concurrency->when_full, concurrency->max_queue,
                  concurrency->holds_parked ? "true" : "false", concurrency->holds_failed ? "true" : "false", admission->priority);
}

static void append_rate(struct bw_buf *head, const struct bw_workflow *workflow, const struct bw_admission *admission)
{
    const struct bw_rate *rate = &workflow->rate;
    bw_buf_printf(head, ",\"rate\":{\"group\":\"%s\",\"count\":%u,\"period_ms\":%lld,\"burst\":%u,\"skips\":%s,\"most_ms\":%lld}",
                  admission->rate_group, rate->count, (long long)rate->period_ms, rate->burst, rate->skips ? "true" : "false",
                  (long long)(workflow->timeout_ms ? workflow->timeout_ms : BW_WORKFLOW_TIMEOUT_MS));
}

/* By what a run is admitted; from_ms: what its times count from. */
static void append_admission(struct bw_buf *head, const struct bw_workflow *workflow, const struct bw_admission *admission, int64_t from_ms)
{
    if (workflow->concurrency.limit) append_slot(head, &workflow->concurrency, admission);
    if (workflow->rate.count) append_rate(head, workflow, admission);
    if (admission->delay_ms) bw_buf_printf(head, ",\"ready_ms\":%lld", (long long)(from_ms + admission->delay_ms));
    if (workflow->start_within_ms) bw_buf_printf(head, ",\"until_ms\":%lld", (long long)(from_ms + workflow->start_within_ms));
}

/* step: a `foreach`; NULL: it is a call. */
static void append_join(struct report *report, const struct bw_step *step, bool is_detached, const struct bw_join *join)
{
    char version[65];
    bool needs_event = join->entry->calls_need_event || (step ? step->reads_event : join->entry->workflow->reads_event);
    bw_hex_encode(join->entry->version, sizeof join->entry->version, version);
    bw_buf_printf(&report->head,
                  ",\"join\":{\"workflow\":\"%s\",\"version\":\"%s\",\"total\":%u,\"concurrency\":%u,\"allowed\":%u,\"depth\":%u,\"call\":%s,"
                  "\"detached\":%s,\"event\":%s,\"events\":%s,\"items_part\":%zu,\"context_part\":%zu%s",
                  join->entry->workflow->name.ptr, version, join->total, join->concurrency, join->allowed, join->depth, step ? "false" : "true",
                  is_detached ? "true" : "false", needs_event ? "true" : "false", step && step->reads_events ? "true" : "false", report->part_count,
                  report->part_count + 1, join->is_reopened ? ",\"reopen\":true" : "");
    if (!step) append_admission(&report->head, join->entry->workflow, &join->admission, bw_clock_wall_ms());
    bw_buf_append_char(&report->head, '}');
    report->parts[report->part_count++] = bw_buf_slice(&join->items);
    report->parts[report->part_count++] = bw_buf_slice(&join->context);
}

/* Of a step that is tried again, the last attempt that has failed: another step's report may come while the next one is under way, and that one has
 * to be made once more when its process dies. */
static uint32_t recorded_attempt(const struct bw_run *run, size_t index)
{
    const struct bw_step_result *result = &run->results[index];
    const struct bw_attempt *attempt;
    if (result->state != BW_STATE_RETRYING) return result->attempt;
    TAILQ_FOREACH(attempt, &run->attempts, sibling)
    if (attempt->step == index && attempt->may_retry) return result->attempt - 1;
    return result->attempt;
}

static void append_calls(struct report *report, const struct bw_buf *calls)
{
    if (calls->len) bw_buf_printf(&report->head, ",\"calls\":[%s]", calls->data);
}

static void append_step(struct report *report, const struct bw_run *run, size_t index)
{
    const struct bw_step_result *result = &run->results[index];
    const struct bw_step *step = &run->entry->workflow->steps[index];
    bw_buf_append_text(&report->head, "{\"path\":\"");
    bw_buf_append_slice(&report->head, run->entry->workflow->steps[index].path); /* no character that JSON escapes */
    bw_buf_printf(&report->head, "\",\"state\":%d,\"attempt\":%u,\"started_ms\":%lld,\"ended_ms\":%lld", result->state, recorded_attempt(run, index),
                  (long long)result->started_ms, (long long)result->ended_ms);
    if (run->entry->workflow->steps[index].is_sensitive) bw_buf_append_text(&report->head, ",\"sensitive\":true");
    if (result->input_names.len) {
        bw_buf_append_text(&report->head, ",\"inputs\":");
        bw_buf_append_slice(&report->head, bw_buf_slice(&result->input_names));
    }
    if (result->state < BW_STATE_SUCCEEDED) append_waiting(report, &run->entry->workflow->steps[index], result);
    if (result->emits) append_emits(report, result->emits);
    if (result->respond) append_respond(report, result->respond);
    bool starts_runs = result->state == BW_STATE_WAITING || result->state == BW_STATE_SUCCEEDED; /* not one that was cancelled at once */
    if (result->join && starts_runs) append_join(report, step->kind == BW_STEP_CALL ? NULL : step, step->is_detached, result->join);
    append_output(report, &result->output);
    append_error(report, &result->error);
    if (result->failures.len) bw_buf_printf(&report->head, ",\"failures\":[%s]", result->failures.data);
    append_calls(report, &result->calls);
    bw_buf_append_char(&report->head, '}');
}

static void append_part(struct report *report, const struct bw_step_part *part)
{
    bw_buf_printf(&report->head, "{\"path\":\"%s\",\"state\":%d,\"attempt\":1,\"started_ms\":%lld,\"ended_ms\":%lld", part->path, part->state,
                  (long long)part->started_ms, (long long)part->ended_ms);
    if (part->is_sensitive) bw_buf_append_text(&report->head, ",\"sensitive\":true");
    if (part->state == BW_STATE_WAITING && part->due_ms) bw_buf_printf(&report->head, ",\"due_ms\":%lld", (long long)part->due_ms);
    if (part->state == BW_STATE_WAITING && part->join) append_join(report, NULL, false, part->join);
    append_output(report, &part->output);
    append_error(report, &part->error);
    append_calls(report, &part->calls);
    bw_buf_append_char(&report->head, '}');
}

static void append_run(struct report *report, struct bw_run *run)
{
    char version[65];
    bool is_first = true;
    bw_hex_encode(run->entry->version, sizeof run->entry->version, version);
    bw_buf_printf(
        &report->head, "{\"uid\":\"%s\",\"workflow\":\"%s\",\"version\":\"%s\",\"state\":%d,\"lost\":%u,\"started_ms\":%lld,\"ended_ms\":%lld",
        run->uid_text, run->entry->workflow->name.ptr, version, run->state, run->lost, (long long)run->started_ms, (long long)run->ended_ms);
    if (run->state == BW_STATE_PARKED) bw_buf_printf(&report->head, ",\"deadline_ms\":%lld", (long long)bw_run_deadline_ms(run));
    if (run->outcome && run->state < BW_STATE_SUCCEEDED) bw_buf_append_text(&report->head, ",\"settled\":true");
    append_output(report, &run->output);
    append_error(report, &run->error);
    bw_buf_append_text(&report->head, ",\"steps\":[");
    for (size_t i = 0; i < run->part_count; i++) {
        if (run->parts[i]->is_reported) continue;
        if (!is_first) bw_buf_append_char(&report->head, ',');
        is_first = false;
        append_part(report, run->parts[i]);
        run->parts[i]->is_reported = true;
    }
    for (size_t i = 0; i < run->entry->workflow->step_count; i++) {
        struct bw_step_result *result = &run->results[i];
        bool is_known = bw_step_is_block(&run->entry->workflow->steps[i]) && result->state != BW_STATE_FAILED; /* frontier.c: it is computed anew */
        if (!result->state || result->is_reported || is_known) continue;
        if (!is_first) bw_buf_append_char(&report->head, ',');
        is_first = false;
        append_step(report, run, i);
        bw_buf_clear(&result->failures);
        bw_buf_clear(&result->calls);
        result->is_reported = true;
        if (result->state != BW_STATE_SKIPPED && result->state != BW_STATE_STARTED && !result->is_pure)
            run->behind_report = run->event->worker->next_report;
    }
    bw_buf_append_text(&report->head, "]}");
}

static int64_t send_report(struct bw_worker_event *event, struct bw_run *run, bool is_done, bool wants_ack)
{
    struct bw_worker *worker = event->worker;
    static struct report report; /* 256 KiB of parts: one at a time, one thread */
    int64_t number = ++worker->next_report;
    bw_buf_clear(&report.head);
    report.part_count = 0;
    bw_buf_printf(&report.head, "{\"report\":%lld,\"job\":%lld,\"done\":%s,\"ack\":%s,\"matched\":%zu,\"runs\":[", (long long)number,
                  (long long)event->job, is_done ? "true" : "false", wants_ack ? "true" : "false", event->matched);
    if (run) append_run(&report, run);
    bw_buf_append_text(&report.head, "]}");
    BW_CRASH_POINT(WORKER_BEFORE_REPORT);
    /* A result that cannot be sent must not be lost: the worker ends, and another one runs the event with what is recorded. */
    if (report.head.failed || !bw_channel_send(worker->channel, BW_MSG_REPORT, bw_buf_slice(&report.head), report.parts, report.part_count)) exit(70);
    for (size_t i = 0; run && run->owes_report && i < run->entry->workflow->step_count; i++) {
        bw_join_free(run->results[i].join);
        run->results[i].join = NULL;
    }
    for (size_t i = 0; run && run->owes_report && i < run->part_count; i++) {
        bw_join_free(run->parts[i]->join);
        run->parts[i]->join = NULL;
    }
    if (run) run->owes_report = false;
    return number;
}

void bw_report_event(struct bw_worker_event *event)
{
    send_report(event, NULL, true, false);
}

void bw_report_looked(struct bw_worker *worker, const struct bw_message *question)
{
    if (!bw_channel_send_json(worker->channel, BW_MSG_LOOKED, question->head, NULL, 0)) exit(70);
}

/* For `bellwire run`: one that is skipped by the store would not be heard of any more. */
static void trace_admission(struct bw_worker_event *event, const struct bw_workflow *workflow, const char *uid, const struct bw_admission *admission)
{
    struct bw_buf head = {0};
    bool is_late = workflow->start_within_ms && admission->delay_ms > workflow->start_within_ms;
    bw_buf_printf(&head, "{\"what\":\"%s\",\"run\":\"%s\",\"workflow\":\"%s\",\"state\":%d,\"took_ms\":0,\"delay_ms\":%lld",
                  is_late ? "run_finished" : "run_blocked", uid, workflow->name.ptr, is_late ? BW_STATE_SKIPPED : BW_STATE_BLOCKED,
                  (long long)admission->delay_ms);
    if (is_late)
        bw_buf_append_text(&head,
                           ",\"error\":{\"code\":\"run.start_within\",\"message\":\"not run, because its delay is longer than start_within\"}");
    bw_buf_append_char(&head, '}');
    if (!head.failed) bw_channel_send(event->worker->channel, BW_MSG_TRACE, bw_buf_slice(&head), NULL, 0);
    bw_buf_free(&head);
}

void bw_report_admission(struct bw_worker_event *event, const struct bw_catalog_workflow *entry, const struct bw_admission *admission)
{
    const struct bw_workflow *workflow = entry->workflow;
    char version[65], uid[BW_UID_TEXT];
    struct bw_buf head = {0};
    bw_hex_encode(entry->version, sizeof entry->version, version);
    bw_buf_printf(&head,
                  "{\"report\":%lld,\"job\":%lld,\"done\":%s,\"ack\":false,\"matched\":%zu,\"runs\":[{\"uid\":\"%s\",\"workflow\":\"%s\","
                  "\"version\":\"%s\",\"state\":%d,\"started_ms\":%lld,\"ended_ms\":0,\"steps\":[]",
                  (long long)++event->worker->next_report, (long long)event->job, event->open_runs == 1 ? "true" : "false", event->matched,
                  bw_uid_text(bw_uid_of_run(event->uid, workflow->name), BW_UID_RUN, uid), workflow->name.ptr, version, BW_STATE_BLOCKED,
                  (long long)bw_clock_wall_ms());
    bool collects = bw_admission_collects(event, workflow);
    append_admission(&head, workflow, admission, collects ? 0 : event->at_ms); /* its run begins when all are there */
    if (collects)
        bw_buf_printf(&head, ",\"collect\":{\"group\":\"%s\",\"quiet_ms\":%lld,\"max_wait_ms\":%lld,\"max_events\":%u}", admission->collect_group,
                      (long long)workflow->collect.quiet_ms, (long long)workflow->collect.max_wait_ms, workflow->collect.max_events);
    bw_buf_append_text(&head, "}]}");
    if (head.failed || !bw_channel_send(event->worker->channel, BW_MSG_REPORT, bw_buf_slice(&head), NULL, 0)) exit(70);
    if (event->worker->trace && !collects) trace_admission(event, workflow, uid, admission);
    bw_buf_free(&head);
}

int64_t bw_report_run(struct bw_run *run, bool wants_ack)
{
    bool has_left = run->state >= BW_STATE_SUCCEEDED || run->state == BW_STATE_PARKED;
    return send_report(run->event, run, has_left && run->event->open_runs == 1, wants_ack);
}

/* ---- for `bellwire run` and `bellwire test` ---- */

static void trace(struct bw_run *run, struct bw_buf *head, const struct bw_buf *output, const struct bw_buf *error)
{
    struct bw_slice part = bw_buf_slice(output);
    if (error->len) {
        bw_buf_append_text(head, ",\"error\":");
        bw_buf_append_slice(head, bw_buf_slice(error));
    }
    if (output->len) bw_buf_append_text(head, ",\"output_part\":0");
    bw_buf_append_char(head, '}');
    if (!head->failed) bw_channel_send(run->event->worker->channel, BW_MSG_TRACE, bw_buf_slice(head), &part, output->len ? 1 : 0);
    bw_buf_free(head);
}

/* Whose child it is. */
static void append_child(struct bw_buf *head, const struct bw_run *run)
{
    if (!run->child) return;
    bw_buf_printf(head, ",\"parent\":\"%s\",\"depth\":%u,\"path\":\"%s\"", bw_json_str(run->child, "parent", ""), run->depth,
                  bw_json_str(run->child, "path", ""));
    if (bw_run_is_item(run)) bw_buf_printf(head, ",\"index\":%lld", (long long)bw_json_int(run->child, "item", 0) + 1);
}

void bw_trace_run(struct bw_run *run, const char *what)
{
    struct bw_buf head = {0};
    if (!run->event->worker->trace) return;
    bw_buf_printf(&head, "{\"what\":\"%s\",\"run\":\"%s\",\"workflow\":\"%s\",\"state\":%d,\"took_ms\":%lld", what, run->uid_text,
                  run->entry->workflow->name.ptr, run->state, (long long)(run->ended_ms ? run->ended_ms - run->started_ms : 0));
    append_child(&head, run);
    bool is_sensitive = bw_json_bool(run->child, "sensitive", false); /* its output is part of that step's */
    if (is_sensitive) bw_buf_append_text(&head, ",\"sensitive\":true");
    trace(run, &head, is_sensitive ? &(struct bw_buf){0} : &run->output, &run->error);
}

void bw_trace_step(struct bw_run *run, size_t step, const char *what, int64_t delay_ms)
{
    struct bw_buf head = {0};
    const struct bw_step_result *result = &run->results[step];
    if (!run->event->worker->trace) return;
    bw_buf_printf(
        &head, "{\"what\":\"%s\",\"run\":\"%s\",\"workflow\":\"%s\",\"step\":\"%s\",\"state\":%d,\"attempt\":%u,\"took_ms\":%lld,\"delay_ms\":%lld",
        what, run->uid_text, run->entry->workflow->name.ptr, run->entry->workflow->steps[step].path.ptr, result->state, result->attempt,
        (long long)(result->ended_ms ? result->ended_ms - result->started_ms : 0), (long long)delay_ms);
    append_child(&head, run);
    if (!strcmp(what, "step_waiting") && run->entry->limits[step]) bw_buf_printf(&head, ",\"limit\":\"%s\"", run->entry->limits[step]);
    if (result->join) bw_buf_printf(&head, ",\"runs\":%u", result->join->total);
    bool is_sensitive = run->entry->workflow->steps[step].is_sensitive;
    if (is_sensitive) bw_buf_append_text(&head, ",\"sensitive\":true");
    trace(run, &head, is_sensitive ? &(struct bw_buf){0} : &result->output, &result->error);
}

void bw_trace_progress(struct bw_run *run, size_t step, struct bw_slice text)
{
    struct bw_buf head = {0};
    bw_buf_printf(&head, "{\"what\":\"step_progress\",\"run\":\"%s\",\"workflow\":\"%s\",\"step\":\"%s\",\"text\":", run->uid_text,
                  run->entry->workflow->name.ptr, run->entry->workflow->steps[step].path.ptr);
    bw_buf_append_json_string(&head, text);
    append_child(&head, run);
    trace(run, &head, &(struct bw_buf){0}, &(struct bw_buf){0});
}

void bw_trace_part(struct bw_run *run, size_t step, const struct bw_step_part *part)
{
    struct bw_buf head = {0};
    bool is_sensitive = run->entry->workflow->steps[step].is_sensitive;
    if (!run->event->worker->trace) return;
    bool is_waiting = part->state == BW_STATE_WAITING;
    bw_buf_printf(&head,
                  "{\"what\":\"%s\",\"run\":\"%s\",\"workflow\":\"%s\",\"step\":\"%s\",\"state\":%d,\"attempt\":1,\"took_ms\":%lld,\"part\":true",
                  is_waiting ? "step_waiting" : "step_finished", run->uid_text, run->entry->workflow->name.ptr, part->path, part->state,
                  (long long)(part->ended_ms - part->started_ms));
    if (is_waiting && part->join) bw_buf_append_text(&head, ",\"runs\":1");
    if (is_waiting && part->due_ms) bw_buf_printf(&head, ",\"delay_ms\":%lld", (long long)(part->due_ms - bw_clock_wall_ms()));
    append_child(&head, run);
    if (is_sensitive) bw_buf_append_text(&head, ",\"sensitive\":true");
    trace(run, &head, is_sensitive ? &(struct bw_buf){0} : &part->output, &part->error);
}

void bw_trace_input(struct bw_run *run, size_t step, const struct bw_buf *input)
{
    struct bw_buf head = {0};
    if (!run->event->worker->trace) return;
    bw_buf_printf(&head, "{\"what\":\"step_input\",\"run\":\"%s\",\"workflow\":\"%s\",\"step\":\"%s\"", run->uid_text, run->entry->workflow->name.ptr,
                  run->entry->workflow->steps[step].path.ptr);
    append_child(&head, run);
    trace(run, &head, input, &(struct bw_buf){0});
}
