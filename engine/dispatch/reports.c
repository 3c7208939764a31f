/* What workers report becomes one transaction each; what waits for it on the worker's side is told when it is on disk. */
#include "base/clock.h"
#include "base/codec.h"
#include "base/crash_point.h"
#include "base/log.h"
#include "dispatch/children.h"
#include "dispatch/emits.h"
#include "dispatch/responses.h"
#include <stdlib.h>
#include <string.h>

/* One report on its way to the disk. The head's strings stay alive by reference, everything else is one buffer. */
struct bw_stored_report {
    struct bw_store_op op;
    struct bw_mail mail;
    struct bw_stored_report *next; /* in dispatch->stalled */
    struct bw_dispatch *dispatch;
    int64_t job;
    unsigned worker; /* number, to tell it; the worker may be another one by then */
    pid_t pid;
    int64_t ack; /* the report's number, or -1 */
    json_t *head;
    struct bw_buf bytes; /* copies of the outputs, texts of errors */
    struct bw_run_row *runs;
    struct bw_step_row *steps;
    struct bw_wait_arm *arms;
    struct bw_join_new *joins;
    size_t join_count;
    int64_t *calls;
    size_t call_count;
    struct bw_emits emits;
    struct bw_responses responses;
    struct bw_run_ids dropped;
};

static void report_free(struct bw_stored_report *report)
{
    free(report->dropped.ids);
    json_decref(report->head);
    bw_buf_free(&report->bytes);
    free(report->runs);
    free(report->steps);
    free(report->arms);
    free(report->joins);
    free(report->calls);
    bw_emits_free(&report->emits);
    bw_responses_free(&report->responses);
    free(report);
}

/* Offsets now, pointers when the buffer has stopped moving. An empty text stays empty. */
static struct bw_slice keep(struct bw_stored_report *report, struct bw_slice bytes)
{
    struct bw_slice kept = {(const char *)report->bytes.len, bytes.len};
    bw_buf_append_slice(&report->bytes, bytes);
    return kept;
}

static struct bw_slice keep_json(struct bw_stored_report *report, const json_t *value)
{
    if (!value || json_is_null(value)) return (struct bw_slice){0};
    size_t start = report->bytes.len;
    bw_json_append(&report->bytes, value);
    return (struct bw_slice){(const char *)start, report->bytes.len - start};
}

static struct bw_slice keep_part(struct bw_stored_report *report, const struct bw_message *message, const json_t *object)
{
    const struct bw_slice *part = bw_message_part(message, object, "output_part");
    return part ? keep(report, *part) : (struct bw_slice){0};
}

static void fix(struct bw_slice *slice, const char *base)
{
    slice->ptr = slice->len ? base + (size_t)slice->ptr : "";
}

static void read_waiting(const json_t *from, struct bw_step_row *step, struct bw_wait_arm *arms)
{
    size_t index;
    json_t *arm;
    step->due_ms = bw_json_int(from, "due_ms", 0);
    step->since_ms = bw_json_int(from, "since_ms", 0);
    step->arms = arms;
    json_array_foreach(json_object_get(from, "arms"), index, arm) arms[step->arm_count++] =
        (struct bw_wait_arm){(uint64_t)bw_json_int(arm, "key", 0), bw_json_int(arm, "since_event", 0)};
}

static void read_step(struct bw_stored_report *report, const struct bw_message *message, const json_t *from, struct bw_step_row *step)
{
    size_t index;
    json_t *call;
    step->path = bw_json_slice(json_object_get(from, "path"));
    step->state = (enum bw_step_state)bw_json_int(from, "state", BW_STEP_FAILED);
    step->attempt = (uint32_t)bw_json_int(from, "attempt", 0);
    step->started_ms = bw_json_int(from, "started_ms", 0);
    step->ended_ms = bw_json_int(from, "ended_ms", 0);
    step->is_sensitive = bw_json_bool(from, "sensitive", false);
    step->input_names = keep_json(report, json_object_get(from, "inputs"));
    step->output = keep_part(report, message, from);
    step->error = keep_json(report, json_object_get(from, "error"));
    step->failures = keep_json(report, json_object_get(from, "failures"));
    step->calls = report->calls + report->call_count;
    json_array_foreach(json_object_get(from, "calls"), index, call) report->calls[report->call_count++] = json_integer_value(call);
    step->call_count = index;
}

static bool read_join(struct bw_stored_report *report, const struct bw_message *message, const json_t *from, struct bw_step_row *step)
{
    struct bw_join_new *join = &report->joins[report->join_count];
    if (!from) return true;
    if (!bw_join_read(message, from, join)) return false;
    join->items = keep(report, join->items);
    join->context = keep(report, join->context);
    step->join = join;
    report->join_count++;
    return true;
}

static bool read_emits(struct bw_stored_report *report, const struct bw_message *message, const struct bw_job *job, const json_t *run,
                       const json_t *step, struct bw_step_row *row)
{
    const json_t *list = json_object_get(step, "emits");
    row->emits = report->emits.events + report->emits.count;
    row->emit_count = json_array_size(list);
    return !list || bw_emits_read(&report->emits, report->dispatch, job, bw_json_slice(json_object_get(run, "uid")),
                                  bw_json_slice(json_object_get(run, "workflow")), message, list);
}

static bool read_collect(const json_t *from, struct bw_collect_new *collect)
{
    size_t len = 0;
    collect->quiet_ms = bw_json_int(from, "quiet_ms", 0);
    collect->max_wait_ms = bw_json_int(from, "max_wait_ms", 0);
    collect->max_events = (uint32_t)bw_json_int(from, "max_events", 0);
    return collect->quiet_ms >= 0 && collect->max_wait_ms >= 0 && collect->quiet_ms + collect->max_wait_ms > 0 && collect->max_events > 0 &&
           collect->max_events <= BW_COLLECT_EVENTS_MAX &&
           bw_hex_decode(bw_json_slice(json_object_get(from, "group")), false, collect->group, sizeof collect->group, &len) &&
           len == sizeof collect->group;
}

static bool read_run(struct bw_stored_report *report, const struct bw_message *message, const struct bw_job *job, const json_t *from,
                     struct bw_run_row *run, struct bw_step_row *steps, size_t *arms_used)
{
    size_t len = 0, index;
    json_t *step;
    if (!bw_uid_parse(bw_json_slice(json_object_get(from, "uid")), BW_UID_RUN, &run->uid)) return false;
    if (!bw_hex_decode(bw_json_slice(json_object_get(from, "version")), false, run->version, sizeof run->version, &len) || len != sizeof run->version)
        return false;
    run->workflow = bw_json_slice(json_object_get(from, "workflow"));
    run->state = (enum bw_run_state)bw_json_int(from, "state", BW_RUN_FAILED);
    run->lost = (uint32_t)bw_json_int(from, "lost", 0);
    run->started_ms = bw_json_int(from, "started_ms", 0);
    run->ended_ms = bw_json_int(from, "ended_ms", 0);
    run->output = keep_part(report, message, from);
    run->error = keep_json(report, json_object_get(from, "error"));
    run->steps = steps;
    run->deadline_ms = bw_json_int(from, "deadline_ms", 0);
    if (run->state == BW_RUN_BLOCKED && !bw_admission_read(from, &run->slot, &run->start)) return false;
    if (json_object_get(from, "collect") && !read_collect(json_object_get(from, "collect"), &run->collect)) return false;
    run->is_settled = bw_json_bool(from, "settled", false);
    json_array_foreach(json_object_get(from, "steps"), index, step)
    {
        read_step(report, message, step, &steps[run->step_count]);
        read_waiting(step, &steps[run->step_count], report->arms + *arms_used);
        if (!read_emits(report, message, job, from, step, &steps[run->step_count])) return false;
        if (!read_join(report, message, json_object_get(step, "join"), &steps[run->step_count])) return false;
        *arms_used += steps[run->step_count++].arm_count;
    }
    return run->state != BW_RUN_FAILED || bw_emits_failure(&report->emits, report->dispatch, job, from, &run->failure);
}

static void log_run(const struct bw_run_row *run, const struct bw_accepted *event)
{
    char run_uid[BW_UID_TEXT], event_uid[BW_UID_TEXT];
    static const char *const names[] = {
        [BW_RUN_SUCCEEDED] = "succeeded", [BW_RUN_FAILED] = "failed", [BW_RUN_CANCELLED] = "cancelled", [BW_RUN_SKIPPED] = "skipped"};
    if (run->state < BW_RUN_SUCCEEDED || run->state > BW_RUN_SKIPPED) return;
    enum bw_log_level level = run->state == BW_RUN_FAILED ? BW_LOG_WARN : BW_LOG_INFO;
    if (!bw_log_enabled(level)) return;
    bw_log(level, "run", BW_STR("run", bw_uid_text(run->uid, BW_UID_RUN, run_uid)), BW_STR("event", bw_uid_text(event->uid, BW_UID_EVENT, event_uid)),
           BW_SLC("workflow", run->workflow), BW_STR("state", names[run->state]), BW_INT("took_ms", run->ended_ms - run->started_ms),
           BW_SLC("error", run->error));
}

static void on_stored(struct bw_store_op *op)
{
    struct bw_stored_report *report = op->owner;
    bw_mailbox_post(report->dispatch->mailbox, &report->mail); /* writer thread: the rest happens at home */
}

static void hold(struct bw_stored_report *report)
{
    struct bw_stored_report **end = &report->dispatch->stalled;
    while (*end) end = &(*end)->next;
    report->next = NULL;
    *end = report;
}

/* While earlier reports wait for room, later ones wait behind them: a run's end must not be overtaken by its steps. */
static void submit(struct bw_stored_report *report)
{
    report->op.failed = false;
    if (report->dispatch->stalled)
        hold(report);
    else
        bw_store_submit(report->dispatch->options.store, &report->op);
}

void bw_reports_take(struct bw_run_worker *worker, const struct bw_message *message)
{
    struct bw_dispatch *dispatch = worker->dispatch;
    struct bw_job *job = bw_jobs_find(dispatch, bw_json_int(message->head, "job", 0));
    struct bw_stored_report *report = NULL;
    json_t *runs = json_object_get(message->head, "runs"), *run;
    size_t index, inner, step_count = 0, steps_used = 0, arm_count = 0, arms_used = 0, emit_count = 0, join_count = 0, call_count = 0;
    json_t *step;

    /* Only the one who has the event may write: a report of a worker that was given up is refused (semantics.md 2.3). */
    if (!job || job->worker != worker || job->is_finished) return;
    BW_CRASH_POINT(DISPATCH_BEFORE_REPORT);
    json_array_foreach(runs, index, run)
    {
        step_count += json_array_size(json_object_get(run, "steps"));
        emit_count += bw_json_int(run, "state", BW_RUN_FAILED) == BW_RUN_FAILED;
        json_array_foreach(json_object_get(run, "steps"), inner, step)
        {
            arm_count += json_array_size(json_object_get(step, "arms"));
            emit_count += json_array_size(json_object_get(step, "emits"));
            join_count += json_object_get(step, "join") != NULL;
            call_count += json_array_size(json_object_get(step, "calls"));
        }
    }
    report = calloc(1, sizeof *report);
    if (!report) goto broken;
    report->runs = calloc(json_array_size(runs) + 1, sizeof *report->runs);
    report->steps = calloc(step_count + 1, sizeof *report->steps);
    report->arms = calloc(arm_count + 1, sizeof *report->arms);
    report->joins = calloc(join_count + 1, sizeof *report->joins);
    report->calls = calloc(call_count + 1, sizeof *report->calls);
    if (!report->runs || !report->steps || !report->arms || !report->joins || !report->calls || !bw_emits_reserve(&report->emits, emit_count))
        goto broken;
    report->dispatch = dispatch;
    report->mail.kind = BW_MAIL_REPORT;
    report->job = job->number;
    report->worker = worker->number;
    report->pid = bw_process_pid(worker->process);
    report->ack = bw_json_bool(message->head, "ack", false) ? bw_json_int(message->head, "report", -1) : -1;
    report->head = json_incref((json_t *)message->head);
    json_array_foreach(runs, index, run)
    {
        if (!read_run(report, message, job, run, &report->runs[index], report->steps + steps_used, &arms_used)) goto broken;
        steps_used += report->runs[index].step_count;
    }
    if (report->bytes.failed) goto broken;
    bw_emits_fix(&report->emits);
    for (size_t i = 0; i < report->join_count; i++) {
        fix(&report->joins[i].items, report->bytes.data);
        fix(&report->joins[i].context, report->bytes.data);
    }
    for (size_t i = 0; i < steps_used; i++) {
        fix(&report->steps[i].input_names, report->bytes.data);
        fix(&report->steps[i].output, report->bytes.data);
        fix(&report->steps[i].error, report->bytes.data);
        fix(&report->steps[i].failures, report->bytes.data);
    }
    for (size_t i = 0; i < json_array_size(runs); i++) {
        fix(&report->runs[i].output, report->bytes.data);
        fix(&report->runs[i].error, report->bytes.data);
        log_run(&report->runs[i], job->event);
    }
    report->op = (struct bw_store_op){.kind = BW_OP_REPORT,
                                      .done = on_stored,
                                      .owner = report,
                                      .runs = report->runs,
                                      .run_count = json_array_size(runs),
                                      .dropped = &report->dropped,
                                      .event_id = job->event->event_id};
    bw_responses_read(&report->responses, dispatch, job, message);
    if (report->responses.may_be_refused) report->op.refused = &report->responses.refused;
    bool is_done = bw_json_bool(message->head, "done", false);
    report->op.event_done = is_done && job->number > 0;
    report->op.matched = (uint32_t)bw_json_int(message->head, "matched", 0);
    bw_suspects_progress(dispatch, job, runs);
    if (is_done) {
        bw_jobs_finish(dispatch, job);
        bw_jobs_feed_soon(dispatch);
    }
    job->open_reports++;
    dispatch->open_reports++;
    dispatch->exchanged++;
    submit(report);
    return;
broken:
    if (report) report_free(report);
    bw_log(BW_LOG_ERROR, "worker.report", BW_INT("worker", worker->number),
           BW_STR("message", "a report could not be taken (malformed, or out of memory): the worker is replaced"));
    bw_process_kill(worker->process);
}

/* An event ends without a run; a run that was parked ends as failed. */
bool bw_reports_give_up(struct bw_dispatch *dispatch, struct bw_job *job)
{
    static const char lost[] = "{\"code\":\"worker_lost\",\"class\":\"lost\",\"message\":\"this run ended every worker process that had it\","
                               "\"hint\":\"the engine's log says how the workers ended (worker.lost)\"}";
    static const char damaged[] =
        "{\"code\":\"event.damaged\",\"class\":\"permanent\",\"message\":\"the stored event is not what was accepted: the run "
        "cannot go on\",\"hint\":\"check the disk and the memory of this machine\"}";
    struct bw_slice error = bw_job_is_given_up(job) ? BW_SLICE(lost) : BW_SLICE(damaged);
    struct bw_stored_report *report = calloc(1, sizeof *report);
    if (!report || !(report->runs = calloc(1, sizeof *report->runs))) {
        free(report);
        return false;
    }
    report->dispatch = dispatch;
    report->mail.kind = BW_MAIL_REPORT;
    report->job = job->number;
    report->ack = -1;
    *report->runs = (struct bw_run_row){.uid = job->run, .state = BW_RUN_FAILED, .ended_ms = bw_clock_wall_ms(), .error = error};
    report->op = (struct bw_store_op){.kind = BW_OP_REPORT,
                                      .done = on_stored,
                                      .owner = report,
                                      .event_id = job->event->event_id,
                                      .runs = report->runs,
                                      .run_count = job->number<0, .event_done = job->number> 0};
    bw_jobs_finish(dispatch, job);
    job->open_reports++;
    dispatch->open_reports++;
    submit(report);
    return true;
}

static void acknowledge(const struct bw_stored_report *report)
{
    struct bw_run_worker *worker;
    char head[48];
    BW_CRASH_POINT(DISPATCH_BEFORE_ACK);
    TAILQ_FOREACH(worker, &report->dispatch->workers, link)
    {
        if (worker->number != report->worker || bw_process_pid(worker->process) != report->pid) continue;
        int len = snprintf(head, sizeof head, "{\"report\":%lld}", (long long)report->ack);
        bw_channel_send(worker->channel, BW_MSG_COMMITTED, (struct bw_slice){head, (size_t)len}, NULL, 0);
    }
}

void bw_reports_committed(struct bw_mail *mail)
{
    struct bw_stored_report *report = (struct bw_stored_report *)((char *)mail - offsetof(struct bw_stored_report, mail));
    struct bw_dispatch *dispatch = report->dispatch;
    struct bw_job *job = bw_jobs_find(dispatch, report->job);

    if (report->op.failed && !strcmp(report->op.error.code, "store.full")) {
        /* The results are held, nothing new is started, and the commit is tried again until there is room. */
        if (!dispatch->stalled) bw_log_error(BW_LOG_ERROR, "dispatch.disk_full", &report->op.error);
        hold(report);
        event_add(dispatch->retry_event, &(struct timeval){.tv_usec = 500000});
        return;
    }
    dispatch->open_reports--;
    if (job) job->open_reports--;
    if (report->op.failed) {
        bw_dispatch_fail(dispatch, &report->op.error);
    } else {
        if (report->ack >= 0) acknowledge(report);
        bw_responses_send(&report->responses, dispatch);
        bw_cancels_drop(dispatch, &report->dropped);
        bw_cancels_reported(dispatch, report->op.runs, report->op.run_count);
        if (report->op.first_emitted) bw_jobs_read_back(dispatch, report->op.first_emitted);
        if (job) bw_jobs_settle(dispatch, job, report->op.matched);
    }
    report_free(report);
    bw_dispatch_check_drained(dispatch);
}

void bw_reports_retry(struct bw_dispatch *dispatch)
{
    struct bw_stored_report *report = dispatch->stalled;
    dispatch->stalled = NULL;
    while (report) {
        struct bw_stored_report *next = report->next;
        submit(report);
        report = next;
    }
    bw_jobs_feed_soon(dispatch);
}

void bw_reports_free_stalled(struct bw_dispatch *dispatch)
{
    while (dispatch->stalled) {
        struct bw_stored_report *next = dispatch->stalled->next;
        report_free(dispatch->stalled);
        dispatch->stalled = next;
    }
}
