#include "cmd/runs.h"
#include "base/clock.h"
#include "base/units.h"
#include "cmd/caller.h"
#include "cmd/letters.h"
#include "cmd/pages.h"
#include "cmd/setup.h"
#include "cmd/usage.h"
#include "store/collection.h"
#include <stdio.h>
#include <string.h>

struct listing {
    bool as_json, with_steps, with_children, with_resolved;
    struct bw_reader *reader;
    struct bw_pages pages;
};

/* What became of a failed run; NULL: nothing yet. */
static const char *resolution(const struct bw_run *run)
{
    if (run->row.state != BW_RUN_FAILED) return NULL;
    if (run->resolved) return run->resolved == BW_REPLAYED ? "replayed" : "discarded";
    return run->row.ended_ms + BW_DISCARDED_AFTER_MS <= bw_clock_wall_ms() ? "discarded" : "unresolved";
}

static struct bw_slice json_or_null(struct bw_slice text)
{
    return text.len ? text : BW_SLICE("null");
}

static int64_t took_ms(const struct bw_step_row *step)
{
    return step->ended_ms ? step->ended_ms - step->started_ms : 0;
}

static void append_step(struct bw_buf *out, const struct bw_step_row *step)
{
    bw_buf_append_text(out, "{\"step\":");
    bw_buf_append_json_string(out, step->path);
    bw_buf_printf(out, ",\"state\":\"%s\",\"attempt\":%u,\"started_ms\":%lld,\"ended_ms\":%lld,\"took_ms\":%lld", bw_step_state_name(step->state),
                  step->attempt, (long long)step->started_ms, (long long)step->ended_ms, (long long)took_ms(step));
    bw_buf_printf(out, ",\"due_ms\":%lld", (long long)step->due_ms);
    if (step->children.total)
        bw_buf_printf(out, ",\"children\":{\"total\":%u,\"started\":%u,\"succeeded\":%u,\"failed\":%u}", step->children.total, step->children.started,
                      step->children.succeeded, step->children.failed);
    bw_buf_append_text(out, ",\"inputs\":");
    bw_buf_append_slice(out, step->input_names.len ? step->input_names : BW_SLICE("[]"));
    if (step->is_sensitive) bw_buf_append_text(out, ",\"sensitive\":true");
    bw_buf_append_text(out, ",\"output\":");
    bw_buf_append_slice(out, json_or_null(step->is_sensitive ? (struct bw_slice){0} : step->output));
    bw_buf_append_text(out, ",\"error\":");
    bw_buf_append_slice(out, json_or_null(step->error));
    bw_buf_append_text(out, ",\"failures\":");
    bw_buf_append_slice(out, step->failures.len ? step->failures : BW_SLICE("[]"));
    bw_buf_append_char(out, '}');
}

static void append_run(struct bw_buf *out, const struct bw_run *run, bool with_steps)
{
    const struct bw_run_row *row = &run->row;
    char run_uid[BW_UID_TEXT], event_uid[BW_UID_TEXT];
    bw_buf_printf(out, "{\"run\":\"%s\",\"event\":\"%s\",\"event_name\":", bw_uid_text(row->uid, BW_UID_RUN, run_uid),
                  bw_uid_text(run->event_uid, BW_UID_EVENT, event_uid));
    bw_buf_append_json_string(out, run->event_name);
    bw_buf_append_text(out, ",\"workflow\":");
    bw_buf_append_json_string(out, row->workflow);
    bw_buf_append_text(out, ",\"version\":\"");
    for (size_t i = 0; i < 6; i++) bw_buf_printf(out, "%02x", row->version[i]);
    bw_buf_printf(out, "\",\"state\":\"%s\",\"lost\":%u,\"started_ms\":%lld,\"ended_ms\":%lld,\"output\":", bw_run_state_name(row->state), row->lost,
                  (long long)row->started_ms, (long long)row->ended_ms);
    bw_buf_append_slice(out, json_or_null(run->child.is_sensitive ? (struct bw_slice){0} : row->output));
    bw_buf_append_text(out, ",\"error\":");
    bw_buf_append_slice(out, json_or_null(row->error));
    if (run->labels.len) {
        bw_buf_append_text(out, ",\"labels\":");
        bw_buf_append_slice(out, run->labels);
    }
    if (resolution(run)) bw_buf_printf(out, ",\"resolution\":\"%s\"", resolution(run));
    if (run->resumed_ms) bw_buf_printf(out, ",\"resumed_ms\":%lld", (long long)run->resumed_ms);
    if (!bw_uid_is_zero(run->origin)) bw_buf_printf(out, ",\"replay_of\":\"%s\"", bw_uid_text(run->origin, BW_UID_RUN, run_uid));
    if (run->child.join) {
        bw_buf_printf(out, ",\"parent\":{\"run\":\"%s\",\"step\":", bw_uid_text(run->child.parent, BW_UID_RUN, run_uid));
        bw_buf_append_json_string(out, run->child.path);
        bw_buf_printf(out, ",\"index\":%u,\"depth\":%u}", run->child.item + 1, run->child.depth);
    }
    if (with_steps) {
        bw_buf_append_text(out, ",\"steps\":[");
        for (size_t i = 0; i < row->step_count; i++) {
            if (i) bw_buf_append_char(out, ',');
            append_step(out, &row->steps[i]);
        }
        bw_buf_append_char(out, ']');
    }
    bw_buf_append_char(out, '}');
}

static void print_message(const json_t *error)
{
    bw_print_text(stdout, bw_json_slice(json_object_get(error, "message")));
    printf("  [%s]\n", bw_json_str(error, "code", ""));
}

/* "file:line: message [code]" of a stored error object. */
static void print_error(const char *indent, struct bw_slice text)
{
    struct bw_error err;
    json_t *error = text.len ? bw_json_load(text, &err) : NULL;
    if (!error) return;
    printf("%serror    ", indent);
    if (json_object_get(error, "file")) printf("%s:%lld: ", bw_json_str(error, "file", ""), (long long)bw_json_int(error, "line", 0));
    print_message(error);
    if (json_object_get(error, "hint")) {
        printf("%shint     ", indent);
        bw_print_text(stdout, bw_json_slice(json_object_get(error, "hint")));
        putchar('\n');
    }
    json_decref(error);
}

static void print_output(const char *indent, struct bw_slice output, bool is_sensitive)
{
    if (output.len && is_sensitive) output = BW_SLICE("(not shown: sensitive)");
    if (!output.len) return;
    printf("%soutput   ", indent);
    bw_print_text(stdout, output);
    putchar('\n');
}

/* The attempts that were tried again. */
static void print_failures(struct bw_slice text)
{
    char at[32], took[32];
    json_t *failures = text.len ? bw_json_load(text, NULL) : NULL, *failure;
    size_t index;
    json_array_foreach(failures, index, failure)
    {
        const json_t *error = json_object_get(failure, "error");
        printf("    attempt %lld %s", (long long)bw_json_int(failure, "attempt", 0), bw_print_time(bw_json_int(failure, "at_ms", 0), at));
        if (json_object_get(failure, "took_ms")) printf("  after %s", bw_duration_text(bw_json_int(failure, "took_ms", 0), took));
        printf("  ");
        print_message(error);
    }
    json_decref(failures);
}

static bool waits_for_parts(const struct bw_step_row *step)
{
    static const char begin[] = "{\"waits_for\":";
    return step->output.len > sizeof begin && !memcmp(step->output.ptr, begin, sizeof begin - 1);
}

static void print_steps(const struct bw_run_row *row)
{
    char took[32], at[32];
    for (size_t i = 0; i < row->step_count; i++) {
        const struct bw_step_row *step = &row->steps[i];
        printf("\n  %-20.*s %-9s %8s", (int)step->path.len, step->path.ptr, bw_step_state_name(step->state), bw_duration_text(took_ms(step), took));
        if (step->due_ms)
            printf("  until %s", bw_print_time(step->due_ms, at));
        else if (step->state == BW_STEP_WAITING && !step->wake.kind && !step->children.total)
            fputs(waits_for_parts(step) ? "  for its parts" : "  for an event", stdout);
        if (step->children.total)
            printf("  runs: %u of %u started, %u succeeded, %u failed", step->children.started, step->children.total, step->children.succeeded,
                   step->children.failed);
        if (step->attempt > 1) printf("  attempt %u", step->attempt);
        putchar('\n');
        if (step->input_names.len > 2) printf("    inputs   %.*s\n", (int)step->input_names.len, step->input_names.ptr);
        print_failures(step->failures);
        print_output("    ", step->output, step->is_sensitive);
        print_error("    ", step->error);
    }
}

/* What people have done to it. */
static bool print_act(void *arg, const struct bw_audit_row *row)
{
    char at[32];
    (void)arg;
    printf("%-8.*s %s  by ", (int)row->verb.len, row->verb.ptr, bw_print_time(row->at_ms, at));
    bw_print_text(stdout, row->actor);
    printf("  ");
    bw_print_text(stdout, row->detail);
    putchar('\n');
    return true;
}

static bool append_act(void *arg, const struct bw_audit_row *row)
{
    struct bw_buf *out = arg;
    if (out->data[out->len - 1] == '}') bw_buf_append_char(out, ',');
    bw_buf_printf(out, "{\"at_ms\":%lld,\"actor\":", (long long)row->at_ms);
    bw_buf_append_json_string(out, row->actor);
    bw_buf_append_text(out, ",\"verb\":");
    bw_buf_append_json_string(out, row->verb);
    bw_buf_append_text(out, ",\"detail\":");
    bw_buf_append_json_string(out, row->detail);
    bw_buf_append_char(out, '}');
    return true;
}

static bool visit_audit(struct bw_reader *reader, const struct bw_run *run, bw_audit_visit *visit, void *arg)
{
    struct bw_error err;
    char uid[BW_UID_TEXT];
    if (bw_reader_audit(reader, bw_slice_of(bw_uid_text(run->row.uid, BW_UID_RUN, uid)), visit, arg, &err)) return true;
    bw_print_error("runs", &err);
    return false;
}

static bool append_event(void *arg, const struct bw_event *event)
{
    char uid[BW_UID_TEXT];
    struct bw_buf *out = arg;
    bw_buf_printf(out, "%s\"%s\"", out->data[out->len - 1] == '[' ? "" : ",", bw_uid_text(event->uid, BW_UID_EVENT, uid));
    return true;
}

static bool print_event(void *arg, const struct bw_event *event)
{
    char uid[BW_UID_TEXT];
    (void)arg;
    printf("and      %s\n", bw_uid_text(event->uid, BW_UID_EVENT, uid));
    return true;
}

/* Of a run that was made of several: those before the last one. */
static bool visit_events(struct bw_reader *reader, const struct bw_run *run, int64_t below, bw_event_visit *visit, void *arg)
{
    struct bw_error err;
    if (!run->collector_id || bw_reader_collected(reader, run->collector_id, below, false, visit, arg, &err)) return true;
    bw_print_error("runs", &err);
    return false;
}

static bool append_caller(void *arg, const struct bw_event *event)
{
    bw_caller_text(event, arg);
    return false;
}

/* Of a run that was called as a tool: by whom. */
static bool find_caller(struct bw_reader *reader, const struct bw_run *run, struct bw_buf *out)
{
    struct bw_error err;
    bool found;
    if (run->child.join || bw_reader_event(reader, run->event_uid, append_caller, out, &found, &err)) return true;
    bw_print_error("runs", &err);
    return false;
}

static bool show(void *arg, const struct bw_run *run)
{
    struct listing *listing = arg;
    struct bw_buf line = {0};
    char uid[BW_UID_TEXT], at[32], took[32];
    bw_pages_row(&listing->pages, run->id);
    if (listing->as_json) {
        append_run(&line, run, listing->with_steps);
        if (listing->with_steps && line.len) {
            line.len--; /* the closing brace */
            bw_buf_append_text(&line, ",\"audit\":[");
            if (!visit_audit(listing->reader, run, append_act, &line)) return false;
            bw_buf_append_char(&line, ']');
            if (!bw_usage_append(listing->reader, run->row.uid, &line)) return false;
            if (run->collector_id) {
                bw_buf_append_text(&line, ",\"events\":[");
                if (!visit_events(listing->reader, run, INT64_MAX, append_event, &line)) return false;
                bw_buf_append_char(&line, ']');
            }
            struct bw_buf wait = {0}, caller = {0};
            if (!find_caller(listing->reader, run, &caller)) return false;
            if (caller.len) {
                bw_buf_append_text(&line, ",\"caller\":");
                bw_buf_append_json_string(&line, bw_buf_slice(&caller));
            }
            bw_buf_free(&caller);
            if (bw_wait_text(listing->reader, run->id, &wait) && wait.len) {
                bw_buf_append_text(&line, ",\"waits\":");
                bw_buf_append_json_string(&line, bw_buf_slice(&wait));
            }
            bw_buf_free(&wait);
            bw_buf_append_char(&line, '}');
        }
        bw_print_line(&line);
        return true;
    }
    const char *resolved = resolution(run);
    printf("%s  %s  %-9s %8s  %.*s  (%.*s)%s%s\n", bw_uid_text(run->row.uid, BW_UID_RUN, uid), bw_print_time(run->row.started_ms, at),
           bw_run_state_name(run->row.state), run->row.ended_ms ? bw_duration_text(run->row.ended_ms - run->row.started_ms, took) : "",
           (int)run->row.workflow.len, run->row.workflow.ptr, (int)run->event_name.len, run->event_name.ptr, resolved ? "  " : "",
           resolved ? resolved : "");
    if (listing->with_steps) {
        struct bw_buf wait = {0}, caller = {0};
        printf("event    %s\n", bw_uid_text(run->event_uid, BW_UID_EVENT, uid));
        if (!find_caller(listing->reader, run, &caller)) return false;
        if (caller.len) printf("as       "), bw_print_text(stdout, bw_buf_slice(&caller)), putchar('\n');
        bw_buf_free(&caller);
        if (run->labels.len) printf("labels   %.*s\n", (int)run->labels.len, run->labels.ptr);
        if (!visit_events(listing->reader, run, run->event_id, print_event, NULL)) return false;
        if (run->child.join)
            printf("parent   %s  step %.*s  number %u\n", bw_uid_text(run->child.parent, BW_UID_RUN, uid), (int)run->child.path.len,
                   run->child.path.ptr, run->child.item + 1);
        if (!bw_uid_is_zero(run->origin)) printf("replays  %s\n", bw_uid_text(run->origin, BW_UID_RUN, uid));
        if (!visit_audit(listing->reader, run, print_act, NULL)) return false;
        if (!bw_usage_print(listing->reader, run->row.uid)) return false;
        print_output("", run->row.output, run->child.is_sensitive);
        if (bw_wait_text(listing->reader, run->id, &wait) && wait.len) printf("waits    "), bw_print_text(stdout, bw_buf_slice(&wait)), putchar('\n');
        bw_buf_free(&wait);
        print_error("", run->row.error);
        print_steps(&run->row);
    }
    return true;
}

static int runs_main(int argc, char **argv)
{
    const char *config_path = NULL, *limit = "20";
    struct bw_run_options wanted = {0};
    struct listing listing = {0};
    const struct bw_option options[] = {{.name = "config", .value = &config_path},
                                        BW_RUN_OPTIONS(wanted),
                                        {.name = "resolved", .flag = &listing.with_resolved},
                                        {.name = "limit", .value = &limit},
                                        {.name = "json", .flag = &listing.as_json},
                                        {.name = "children", .flag = &listing.with_children}};
    if (argc > 1 && !strcmp(argv[1], "cancel")) return bw_runs_cancel(argc - 1, argv + 1);
    if (argc > 1 && !strcmp(argv[1], "mocks")) return bw_runs_mocks(argc - 1, argv + 1);
    if (argc > 1 && !strcmp(argv[1], "resolve")) return bw_runs_resolve(argc - 1, argv + 1);
    for (enum bw_letter_verb verb = BW_LETTER_RESUME; verb <= BW_LETTER_DISCARD; verb++)
        if (argc > 1 && !strcmp(argv[1], bw_letter_verb_name(verb))) return bw_letters_main(verb, argc - 1, argv + 1);
    int first, status = bw_options_parse(&bw_command_runs, argc, argv, options, sizeof options / sizeof *options, &first);
    struct bw_run_filter filter = {0};
    struct bw_config *config;
    struct bw_reader *reader = NULL;
    struct bw_error err;
    struct bw_uid uid = {{0}};
    bool found = true, done = false;
    size_t rows;

    if (status >= 0) return status;
    if ((status = bw_pages_limit(&bw_command_runs, limit, &rows)) >= 0) return status;
    if (argc > first && !strcmp(argv[first], "show")) first++; /* `runs show RUN` reads well */
    if (argc - first > 1) return bw_options_wrong(&bw_command_runs, "at most one run is shown at a time");
    if (argc > first && !bw_uid_parse(bw_slice_of(argv[first]), BW_UID_RUN, &uid))
        return bw_options_wrong(&bw_command_runs, "'%s' is no run id (run_…)", argv[first]);
    if (wanted.state && bw_run_state_parse(bw_slice_of(wanted.state)) < 0)
        return bw_options_wrong(&bw_command_runs, "'%s' is no state: held, delayed, blocked, active, parked, succeeded, failed, cancelled or skipped",
                                wanted.state);
    if (!(config = bw_setup_config("runs", config_path))) return 1;
    if (!(reader = bw_reader_open(config->data, &err))) goto out;
    listing.reader = reader;
    if (!bw_run_options_filter(&wanted, reader, &filter, &err)) goto out;
    if (argc > first) {
        listing.with_steps = true;
        done = bw_reader_run(reader, uid, show, &listing, &found, &err);
        if (done && !found) {
            done = bw_error_set(&err, "run.unknown", "there is no recorded run %s in %s", argv[first], config->data);
            bw_error_hint(&err, "a run is recorded with its first checkpoint or its end: see  bellwire events");
        }
    } else {
        filter.without_resolved = filter.state == BW_RUN_FAILED && !listing.with_resolved;
        filter.with_children = listing.with_children;
        listing.pages = bw_pages_begin(rows);
        do {
            filter.before_row = listing.pages.below;
            filter.limit = listing.pages.wanted;
            done = bw_reader_runs(reader, &filter, show, &listing, &err);
        } while (bw_pages_next(&listing.pages) && done);
        if (done && !listing.pages.shown && !listing.as_json) fprintf(stderr, "no runs\n");
    }
out:
    if (!done) bw_print_error("runs", &err);
    bw_reader_close(reader);
    bw_config_free(config);
    return done ? 0 : 1;
}

const struct bw_command bw_command_runs = {
    .name = "runs",
    .summary = "list the runs, or show one with its steps",
    .usage = "usage: bellwire runs [FILTER] [--limit N] [--children] [--resolved] [--json] [--config FILE]\n"
             "       bellwire runs show RUN [--json]\n"
             "       bellwire runs cancel  RUN…|FILTER [--reason TEXT] [--dry-run] [--json]   (bellwire runs cancel --help)\n"
             "       bellwire runs resume  RUN…|FILTER [--latest] [--dry-run] [--json]\n"
             "       bellwire runs replay  RUN…|FILTER [--from STEP | --same-version] [--dry-run] [--json]\n"
             "       bellwire runs discard RUN…|FILTER [--dry-run] [--json]\n"
             "       bellwire runs mocks   RUN [--all]   (bellwire runs mocks --help)\n"
             "       bellwire runs resolve RUN --step STEP --succeeded|--failed|--retry   (bellwire runs resolve --help)\n\n"
             "Lists runs, newest first; with an id, shows that run's steps: the names of their inputs, outputs, durations, errors.\n"
             "A run that failed stays in the list of failed runs until something is done about it:\n"
             "  resume    it goes on: the steps that succeeded are not run again, the others are, under the same idempotency keys\n"
             "  replay    its event is run once more, as a new run with keys of its own, by the workflow as it is now\n"
             "  discard   nothing is to be done about it\n\n"
             "FILTER, for the list and for the verbs (the three take failed runs, unless --state says otherwise):\n"
             "  --workflow NAME   only runs of this workflow\n"
             "  --label NAME=TEXT only runs of workflows that have this label now; NAME alone: whatever it says\n"
             "  --state STATE     held, delayed, blocked, active, parked, succeeded, failed, cancelled or skipped\n"
             "  --event EVENT     only runs that this event started\n"
             "  --since 2d        only runs that started in the last 2 days\n"
             "  --older-than 1d   only runs that started longer ago\n"
             "  --error GLOB      only runs that failed with such an error code: 'http.*'\n\n"
             "  --limit N         at most N (20)\n"
             "  --children        also those that steps of other runs have started: items of a foreach, called workflows\n"
             "  --resolved        in the list of failed runs, also those that were replayed or discarded\n"
             "  --latest          resume: go on as the workflow is now, if it still has all steps that are finished\n"
             "  --from STEP       replay: copy what the steps before STEP gave, and begin there\n"
             "  --same-version    replay: by the version of the workflow that the run had\n"
             "  --dry-run         say how many runs it would be, and do nothing\n"
             "  --json            one JSON object a line\n\n"
             "example: bellwire runs --state failed\n"
             "         bellwire runs resume --workflow publish --error 'http.*' --since 2d\n",
    .run = runs_main,
};
