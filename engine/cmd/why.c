/* bellwire why: for each workflow of the catalogue under which an event was accepted, what decided. The triggers are evaluated again: they are pure,
 * so the answer is the one that the engine got. What this version of Bellwire does not load is told as well. */
#include "base/json_scan.h"
#include "cmd/caller.h"
#include "cmd/options.h"
#include "cmd/setup.h"
#include "cmd/why_delivery.h"
#include "cmd/why_values.h"
#include "lua/script.h"
#include "serve/inspect.h"
#include "store/collection.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPR_INSTRUCTIONS 1000000 /* more than the engine allows: one that ran out there ends as an error here, too, or shows what it was */

struct found_event {
    struct bw_event row;
    struct bw_buf bytes; /* of its slices */
    bool is_json;
};
struct found_run {
    struct bw_buf workflow;
    char uid[BW_UID_TEXT];
    int64_t id;
    int state;
    struct bw_buf why; /* it waits, or was not run: for what, or what for */
    bool is_shown;
};
struct report {
    bool as_json;
    struct found_event event;
    struct found_run *runs;
    size_t run_count;
    struct found_collection *collections;
    size_t collection_count;
    size_t shown;
    const struct bw_config *config;
    const struct bw_revision *revision;
    json_t *loaded; /* what a worker says of it; NULL: none was asked yet */
};
struct found_collection { /* the event is one of several of which a run is made */
    struct bw_buf workflow;
    uint32_t count;
    int64_t due_ms; /* when the run will be made; 0: it was */
    struct bw_uid run;
};

/* What decided about one workflow. */
struct verdict {
    const char *kind; /* ran, collected, condition, error, name, manual, refused, other */
    struct bw_mark mark;
    struct bw_slice condition;
    char text[800];
};

static struct bw_slice keep(struct bw_buf *bytes, struct bw_slice text)
{
    struct bw_slice kept = {(const char *)bytes->len, text.len};
    bw_buf_append_slice(bytes, text);
    return kept;
}

static bool take_event(void *arg, const struct bw_event *row)
{
    struct found_event *event = arg;
    event->row = *row;
    struct bw_slice *const slices[] = {&event->row.source, &event->row.name, &event->row.headers, &event->row.body, &event->row.workflow};
    for (size_t i = 0; i < sizeof slices / sizeof *slices; i++) *slices[i] = keep(&event->bytes, *slices[i]);
    for (size_t i = 0; i < sizeof slices / sizeof *slices; i++)
        slices[i]->ptr = (event->bytes.data ? event->bytes.data : "") + (size_t)slices[i]->ptr;
    event->is_json = event->row.body.len && bw_json_scan(event->row.body, NULL, NULL, NULL);
    return true;
}

static bool take_run(void *arg, const struct bw_run *run)
{
    struct report *report = arg;
    struct found_run *grown = realloc(report->runs, (report->run_count + 1) * sizeof *grown);
    if (!grown) return false;
    report->runs = grown;
    struct found_run *found = &report->runs[report->run_count++];
    *found = (struct found_run){.state = run->row.state, .id = run->id};
    if (run->row.error.len && run->row.state != BW_RUN_SUCCEEDED) {
        json_t *error = bw_json_load(run->row.error, NULL);
        bw_buf_append_text(&found->why, bw_json_str(error, "message", ""));
        json_decref(error);
    }
    bw_buf_append_slice(&found->workflow, run->row.workflow);
    bw_uid_text(run->row.uid, BW_UID_RUN, found->uid);
    return true;
}

static bool take_collection(void *arg, const struct bw_collection *collection)
{
    struct report *report = arg;
    struct found_collection *grown = realloc(report->collections, (report->collection_count + 1) * sizeof *grown);
    if (!grown) return false;
    report->collections = grown;
    struct found_collection *found = &report->collections[report->collection_count++];
    *found = (struct found_collection){.count = collection->count, .due_ms = collection->due_ms, .run = collection->run};
    bw_buf_append_slice(&found->workflow, collection->workflow);
    return true;
}

static const struct found_collection *find_collection(const struct report *report, struct bw_slice workflow)
{
    for (size_t i = 0; i < report->collection_count; i++)
        if (bw_slice_equal(bw_buf_slice(&report->collections[i].workflow), workflow)) return &report->collections[i];
    return NULL;
}

static struct bw_run_scope scope_of(const struct found_event *event, const char *uid)
{
    return (struct bw_run_scope){.event_body = event->row.body,
                                 .body_is_json = event->is_json,
                                 .event_headers = event->row.headers,
                                 .event_id = bw_slice_of(uid),
                                 .event_name = event->row.name,
                                 .event_source = event->row.source,
                                 .event_at_ms = event->row.at_ms,
                                 .event_trusted = event->row.trusted,
                                 .run_id = BW_SLICE("")};
}

static void describe_refusal(struct verdict *verdict, const struct bw_error *err)
{
    char text[1200];
    snprintf(verdict->text, sizeof verdict->text, "it does not load, so nothing starts it: %.700s", bw_error_text(err, text, sizeof text));
}

static void judge_condition(const struct found_event *event, const struct bw_workflow *workflow, const struct bw_trigger *trigger,
                            struct verdict *verdict)
{
    const struct bw_script_limits limits = {.memory_bytes = 64u << 20, .expr_instructions = EXPR_INSTRUCTIONS, .slice_us = 1000000};
    struct bw_errors errs = {0};
    struct bw_error err = {0};
    char uid[BW_UID_TEXT];
    bool answer = false;
    const struct bw_run_scope scope = scope_of(event, bw_uid_text(event->row.uid, BW_UID_EVENT, uid));
    struct bw_script *script = bw_script_new(workflow, NULL, &limits, &errs);
    verdict->condition = workflow->exprs[trigger->condition].source;
    verdict->mark = workflow->exprs[trigger->condition].mark;
    if (script) bw_script_begin_run(script, &scope);
    if (!script || !bw_script_condition(script, (uint32_t)trigger->condition, &answer, &err)) {
        verdict->kind = "error";
        snprintf(verdict->text, sizeof verdict->text, "its `if` raised an error: %.400s",
                 script       ? err.message
                 : errs.count ? errs.items[0].message
                              : "?");
    } else {
        if (answer) goto out; /* what the caller has written holds */
        verdict->kind = "condition";
        snprintf(verdict->text, sizeof verdict->text, "its `if` is false for this event");
    }
out:
    bw_script_free(script);
    bw_errors_free(&errs);
}

static void describe_run(struct found_run *run, const struct found_collection *collection, struct verdict *verdict)
{
    const struct bw_buf *why = &run->why;
    char made[40] = "";
    if (collection) snprintf(made, sizeof made, ", made of %u event%s", collection->count, collection->count == 1 ? "" : "s");
    snprintf(verdict->text, sizeof verdict->text, "%s  %s%s%s%.*s", run->uid, bw_run_state_name((enum bw_run_state)run->state), made,
             why->len ? ": " : "", (int)why->len, why->len ? why->data : "");
    run->is_shown = true;
}

/* Only a worker loads all of it, with the actions that it uses: one is asked if nothing else explains that there is no run. */
static void judge_refusal(struct report *report, const struct bw_workflow *workflow, struct verdict *verdict)
{
    struct bw_error err;
    size_t index;
    json_t *refused;
    if (!report->loaded && !(report->loaded = bw_inspect_revision(report->config, report->revision, &err))) {
        verdict->kind = "error";
        snprintf(verdict->text, sizeof verdict->text, "its trigger matches, but whether it loads cannot be told: %.400s", err.message);
        return;
    }
    json_array_foreach(json_object_get(report->loaded, "refused"), index, refused)
    {
        const json_t *why = json_object_get(refused, "error");
        if (!bw_slice_is(workflow->name, bw_json_str(refused, "workflow", ""))) continue;
        err = bw_json_error(why);
        verdict->kind = "refused";
        verdict->mark = (struct bw_mark){err.line, err.column};
        verdict->condition = (struct bw_slice){0};
        if (!*err.file) bw_error_at(&err, workflow->file.ptr, err.line, err.column);
        describe_refusal(verdict, &err);
        return;
    }
}

static void judge(struct report *report, const struct bw_workflow *workflow, struct verdict *verdict)
{
    const struct found_event *event = &report->event;
    const struct found_collection *collection = find_collection(report, workflow->name);
    *verdict = (struct verdict){.kind = "manual", .mark = workflow->mark};
    if (collection && collection->due_ms) {
        char at[32];
        verdict->kind = "collected";
        snprintf(verdict->text, sizeof verdict->text, "collected, %u event%s so far: their run begins at %s, or when more events say so",
                 collection->count, collection->count == 1 ? "" : "s", bw_print_time(collection->due_ms, at));
        return;
    }
    bool is_callable = false;
    for (size_t i = 0; i < workflow->trigger_count; i++) is_callable |= workflow->triggers[i].kind == BW_TRIGGER_CALL;
    snprintf(verdict->text, sizeof verdict->text, "%s",
             is_callable                 ? "other workflows run it"
             : workflow->expose.name.len ? "it is a tool: who calls it by MCP starts it"
                                         : "it is started by hand only");
    for (size_t i = 0; i < report->run_count; i++) {
        if (!bw_slice_equal(bw_buf_slice(&report->runs[i].workflow), workflow->name)) continue;
        verdict->kind = "ran";
        describe_run(&report->runs[i], collection, verdict);
        return;
    }
    if (event->row.workflow.len) {
        verdict->kind = "other";
        struct bw_buf caller = {0};
        bw_caller_text(&event->row, &caller);
        snprintf(verdict->text, sizeof verdict->text, "this event was a %s of %.*s alone", caller.len ? "call" : "start by hand",
                 (int)event->row.workflow.len, event->row.workflow.ptr);
        bw_buf_free(&caller);
        return;
    }
    for (size_t i = 0; i < workflow->trigger_count; i++) {
        const struct bw_trigger *trigger = &workflow->triggers[i];
        if (trigger->kind != BW_TRIGGER_EVENT && trigger->kind != BW_TRIGGER_WEBHOOK) continue;
        if (!bw_workflow_matches(trigger, event->row.source, event->row.name)) {
            if (!strcmp(verdict->kind, "condition")) continue; /* that came nearer */
            verdict->mark = trigger->mark;
            verdict->kind = "name";
            snprintf(verdict->text, sizeof verdict->text, "it waits for %.*s", (int)trigger->event.len, trigger->event.ptr);
            continue;
        }
        verdict->mark = trigger->mark;
        verdict->kind = "other";
        snprintf(verdict->text, sizeof verdict->text,
                 event->row.is_pending ? "its trigger matches: the run is on its way" : "its trigger matches: the run is no longer kept");
        if (trigger->condition >= 0) judge_condition(event, workflow, trigger, verdict);
        if (!strcmp(verdict->kind, "condition")) continue;
        judge_refusal(report, workflow, verdict);
        return;
    }
}

struct told {                           /* whose verdict it is */
    struct bw_slice name, labels, file; /* name: may be empty, of a file that could not be read */
};

static void print(struct report *report, const struct told *told, const struct verdict *verdict)
{
    struct bw_buf line = {0};
    struct bw_slice title = told->name.len ? told->name : told->file, body = report->event.is_json ? report->event.row.body : (struct bw_slice){0};
    report->shown++;
    if (report->as_json) {
        bw_buf_append_text(&line, "{\"workflow\":");
        bw_buf_append_json_string(&line, told->name);
        if (told->labels.len) {
            bw_buf_append_text(&line, ",\"labels\":");
            bw_buf_append_slice(&line, told->labels);
        }
        bw_buf_printf(&line, ",\"decided\":\"%s\",\"message\":", verdict->kind);
        bw_buf_append_json_string(&line, bw_slice_of(verdict->text));
        bw_buf_append_text(&line, ",\"file\":");
        bw_buf_append_json_string(&line, told->file);
        bw_buf_printf(&line, ",\"line\":%d,\"column\":%d", verdict->mark.line, verdict->mark.column);
        if (verdict->condition.len) {
            bw_buf_append_text(&line, ",\"if\":");
            bw_buf_append_json_string(&line, verdict->condition);
            bw_buf_append_text(&line, ",\"saw\":{");
            bw_why_values(&line, body, verdict->condition, true);
            bw_buf_append_char(&line, '}');
        }
        bw_buf_append_char(&line, '}');
        bw_print_line(&line);
        return;
    }
    printf("  %-22.*s  ", (int)title.len, title.ptr);
    bw_print_text(stdout, bw_slice_of(verdict->text));
    putchar('\n');
    if (!verdict->condition.len) return;
    printf("%*s%.*s:%d:%d  %.*s\n", 26, "", (int)told->file.len, told->file.ptr, verdict->mark.line, verdict->mark.column,
           (int)verdict->condition.len, verdict->condition.ptr);
    bw_why_values(&line, body, verdict->condition, false);
    bw_print_text(stdout, bw_buf_slice(&line));
    bw_buf_free(&line);
}

/* Of one whose run there is all the same that run is told, below. */
static void on_refused(void *arg, struct bw_slice name, const struct bw_error *why)
{
    struct report *report = arg;
    struct verdict verdict = {.kind = "refused", .mark = {why->line, why->column}};
    for (size_t i = 0; i < report->run_count; i++)
        if (bw_slice_equal(bw_buf_slice(&report->runs[i].workflow), name)) return;
    describe_refusal(&verdict, why);
    print(report, &(struct told){.name = name, .file = bw_slice_of(why->file)}, &verdict);
}

static void explain_file(struct report *report, const struct bw_revision_file *file)
{
    struct bw_workflow **workflows;
    struct bw_errors errs = {0};
    char *path = bw_slice_dup(file->path);
    size_t count = path ? bw_workflow_load_all(file->content, path, &workflows, &errs, on_refused, report) : 0;
    for (size_t i = 0; i < count; i++) {
        const struct bw_workflow *workflow = workflows[i];
        struct verdict verdict;
        judge(report, workflow, &verdict);
        print(report, &(struct told){workflow->name, workflow->labels, workflow->file}, &verdict);
        bw_workflow_free(workflows[i]);
    }
    if (count) free(workflows);
    bw_errors_free(&errs);
    free(path);
}

/* Of several, replays, the latest is told. */
static bool is_told(const struct report *report, struct bw_slice workflow)
{
    for (size_t i = 0; i < report->run_count; i++)
        if (report->runs[i].is_shown && bw_slice_equal(bw_buf_slice(&report->runs[i].workflow), workflow)) return true;
    return false;
}

static void explain(struct report *report)
{
    for (size_t i = 0; i < report->revision->count; i++)
        if (bw_slice_is(report->revision->files[i].kind, "workflow")) explain_file(report, &report->revision->files[i]);
    for (size_t i = 0; i < report->run_count; i++) {
        struct verdict verdict = {.kind = "ran"};
        struct bw_slice name = bw_buf_slice(&report->runs[i].workflow);
        if (is_told(report, name)) continue;
        describe_run(&report->runs[i], find_collection(report, name), &verdict);
        print(report, &(struct told){.name = name}, &verdict);
    }
}

static bool gather(struct report *report, struct bw_reader *reader, struct bw_uid uid, const char *text, struct bw_error *err)
{
    bool found = false;
    if (!bw_reader_event(reader, uid, take_event, &report->event, &found, err)) return false;
    if (!found) {
        bw_error_set(err, "event.unknown", "there is no event %s here", text);
        bw_error_hint(err, "see: bellwire events; a request that was turned away has no event, see: bellwire deliveries --refused");
        return false;
    }
    const struct bw_run_filter filter = {.event_id = report->event.row.id, .limit = 100000};
    if (!bw_reader_runs(reader, &filter, take_run, report, err)) return false;
    if (!bw_reader_collections(reader, report->event.row.id, take_collection, report, err)) return false;
    for (size_t i = 0; i < report->collection_count; i++) { /* runs that are those of another event, the last one */
        const struct found_collection *collection = &report->collections[i];
        char run[BW_UID_TEXT];
        bw_uid_text(collection->run, BW_UID_RUN, run);
        for (size_t k = 0; k < report->run_count && !collection->due_ms; k++)
            if (!strcmp(report->runs[k].uid, run)) run[0] = '\0';
        if (!collection->due_ms && run[0] && !bw_reader_run(reader, collection->run, take_run, report, &found, err)) return false;
    }
    for (size_t i = 0; i < report->run_count; i++)
        if (!bw_wait_text(reader, report->runs[i].id, &report->runs[i].why)) return false;
    return true;
}

static void print_caller(const struct bw_event *event, bool as_json)
{
    struct bw_buf caller = {0}, line = {0};
    bw_caller_text(event, &caller);
    if (caller.len && as_json) {
        bw_buf_append_text(&line, "{\"decided\":\"called\",\"message\":");
        bw_buf_append_json_string(&line, bw_buf_slice(&caller));
        bw_buf_append_char(&line, '}');
        bw_print_line(&line);
    } else if (caller.len) {
        printf("  as ");
        bw_print_text(stdout, bw_buf_slice(&caller));
        putchar('\n');
    }
    bw_buf_free(&caller);
}

/* 12 or #12; 0: it is none */
static int64_t delivery_number(const char *text)
{
    char *end;
    if (*text == '#') text++;
    long long number = *text >= '0' && *text <= '9' ? strtoll(text, &end, 10) : 0;
    return number > 0 && !*end ? number : 0;
}

static int why_main(int argc, char **argv)
{
    const char *config_path = NULL;
    struct report report = {0};
    const struct bw_option options[] = {{.name = "config", .value = &config_path}, {.name = "json", .flag = &report.as_json}};
    int first, status = bw_options_parse(&bw_command_why, argc, argv, options, sizeof options / sizeof *options, &first);
    struct bw_config *config;
    struct bw_reader *reader = NULL;
    struct bw_revision *revision = NULL;
    struct bw_error err;
    struct bw_uid uid = {{0}};
    char at[32], text[BW_UID_TEXT];

    if (status >= 0) return status;
    if (argc - first != 1) return bw_options_wrong(&bw_command_why, "name one event, or the number of one delivery");
    const char *what = argv[first];
    int64_t number = delivery_number(what);
    if (!number && !bw_uid_parse(bw_slice_of(what), BW_UID_EVENT, &uid))
        return bw_options_wrong(&bw_command_why, "'%s' is no event id (evt_…) and no number of a delivery", what);
    if (!(config = bw_setup_config("why", config_path))) return 1;
    bool good = (reader = bw_reader_open(config->data, &err)) && (!number || bw_why_delivery(reader, number, report.as_json, &uid, &err));
    bool has_event = good && (!number || !bw_uid_is_zero(uid)); /* of a delivery that was refused there is none */
    if (has_event) {
        bw_uid_text(uid, BW_UID_EVENT, text);
        good = gather(&report, reader, uid, text, &err) && (revision = bw_reader_revision(reader, report.event.row.revision, &err));
    }
    if (has_event && good) {
        const struct bw_event *event = &report.event.row;
        if (!report.as_json)
            printf("%s  %s  %.*s  %s\n", text, bw_print_time(event->at_ms, at), (int)event->name.len, event->name.ptr,
                   event->is_pending ? "pending" : "done");
        print_caller(event, report.as_json);
        good = bw_why_duplicates(reader, event->id, event->at_ms, report.as_json, &err);
        report.config = config;
        report.revision = revision;
        explain(&report);
        if (!report.shown) fprintf(stderr, "there was no workflow when this event came\n");
    }
    if (!good) bw_print_error("why", &err);
    bw_revision_free(revision);
    bw_reader_close(reader);
    for (size_t i = 0; i < report.run_count; i++) {
        bw_buf_free(&report.runs[i].workflow);
        bw_buf_free(&report.runs[i].why);
    }
    free(report.runs);
    for (size_t i = 0; i < report.collection_count; i++) bw_buf_free(&report.collections[i].workflow);
    free(report.collections);
    json_decref(report.loaded);
    bw_buf_free(&report.event.bytes);
    bw_config_free(config);
    return good ? 0 : 1;
}

const struct bw_command bw_command_why = {
    .name = "why",
    .summary = "say for each workflow why an event started it, or why not",
    .usage =
        "usage: bellwire why EVENT|DELIVERY [--json] [--config FILE]\n\n"
        "For each workflow as it was when the event came: the run that was started, with what it waits for or why it was left out; the name that\n"
        "it waits for instead, or the `if` that was false, with the values that it saw; or why it does not load. And what came again, and was\n"
        "taken for a duplicate of it.\n\n"
        "Of a delivery, named by its number (bellwire deliveries), it says first what became of that: the event that it was, the earlier one that\n"
        "it was a duplicate of, or why it was refused.\n\n"
        "  --json         one JSON object a line: {workflow, labels?, decided: ran|collected|condition|error|name|manual|refused|other, message,\n"
        "                 file, line, column, if, saw}; in front of them {decided: called, message} of the call of a tool, {decided: duplicates,\n"
        "                 count, duplicates: […]} if there are any, and of a delivery what became of it\n\n"
        "example: bellwire events --limit 1 && bellwire why evt_01m84g49b6fgntx4szaxsw039y\n",
    .run = why_main,
};
