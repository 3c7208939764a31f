/* An event in hand: its triggers, its runs. */
#include "base/json_scan.h"
#include "worker/internal.h"
#include <stdlib.h>
#include <string.h>

static struct bw_slice copy_into(char **at, struct bw_slice bytes)
{
    struct bw_slice copy = {*at, bytes.len};
    if (bytes.len) memcpy(*at, bytes.ptr, bytes.len);
    (*at)[bytes.len] = '\0';
    *at += bytes.len + 1;
    return copy;
}

static struct bw_worker_event *copy_event(struct bw_worker *worker, const struct bw_message *message)
{
    const json_t *head = message->head;
    struct bw_slice texts[] = {bw_json_slice(json_object_get(head, "name")), bw_json_slice(json_object_get(head, "source")),
                               bw_json_slice(json_object_get(head, "workflow")), bw_message_part_or(message, head, "body_part", BW_SLICE("")),
                               bw_message_part_or(message, head, "headers_part", BW_SLICE(""))};
    size_t bytes = 0;
    for (size_t i = 0; i < 5; i++) bytes += texts[i].len + 1;
    struct bw_worker_event *event = calloc(1, sizeof *event + bytes);
    if (!event) return NULL;
    char *at = (char *)(event + 1);
    event->worker = worker;
    event->id = bw_json_int(head, "event", 0);
    event->job = bw_json_int(head, "job", 0);
    event->at_ms = bw_json_int(head, "at_ms", 0);
    event->is_trusted = bw_json_bool(head, "trusted", false);
    bw_uid_parse(bw_json_slice(json_object_get(head, "uid")), BW_UID_EVENT, &event->uid);
    bw_uid_text(event->uid, BW_UID_EVENT, event->uid_text);
    event->name = copy_into(&at, texts[0]);
    event->source = copy_into(&at, texts[1]);
    event->workflow = copy_into(&at, texts[2]);
    event->body = copy_into(&at, texts[3]);
    event->headers = copy_into(&at, texts[4]);
    /* Views may only be laid over text that was validated here: this process trusts no flag about memory safety. */
    event->body_is_json = bw_json_scan(event->body, NULL, NULL, NULL);
    if (!bw_json_scan(event->headers, NULL, NULL, NULL)) event->headers = (struct bw_slice){"", 0};
    return event;
}

static void release_event(struct bw_worker_event *event)
{
    event->catalog->events--;
    json_decref(event->head);
    json_decref(event->cancelled);
    bw_buf_free(&event->events);
    free(event);
}

/* The event that ended the waiting of a step, with its body. */
static void keep_wake_event(const struct bw_message *message, json_t *wake)
{
    size_t index;
    json_t *event;
    int64_t id = bw_json_int(wake, "event", 0);
    if (!id) return;
    json_array_foreach(json_object_get(message->head, "wake_events"), index, event)
    {
        if (bw_json_int(event, "id", 0) != id) continue;
        struct bw_slice body = bw_message_part_or(message, event, "body_part", (struct bw_slice){0});
        json_t *kept = json_deep_copy(event);
        json_object_set_new(kept, "body_text", json_stringn_nocheck(body.ptr, body.len));
        json_object_set_new(wake, "event", kept);
        return;
    }
}

static void keep_part(const struct bw_message *message, json_t *object, const char *key, const char *kept)
{
    const struct bw_slice *part = bw_message_part(message, object, key);
    if (part && part->len) json_object_set_new(object, kept, json_stringn_nocheck(part->ptr, part->len));
}

/* Outputs of recorded steps come as parts: keep them as texts in the head, which outlives the frame. */
static json_t *keep_recorded(const struct bw_message *message)
{
    if (!json_object_get(message->head, "runs") && !json_object_get(message->head, "verdicts") && !json_object_get(message->head, "lost") &&
        !json_object_get(message->head, "condemned"))
        return NULL;
    json_t *head = json_deep_copy(message->head), *run, *step;
    size_t i, k;
    json_array_foreach(json_object_get(head, "runs"), i, run)
    {
        keep_part(message, json_object_get(run, "child"), "input_part", "input_text");
        keep_part(message, json_object_get(run, "child"), "context_part", "context_text");
        json_array_foreach(json_object_get(run, "steps"), k, step)
        {
            keep_part(message, step, "output_part", "output_text");
            keep_part(message, json_object_get(step, "children"), "items_part", "items_text");
            keep_wake_event(message, json_object_get(step, "wake"));
        }
    }
    return head;
}

void bw_event_scope(const struct bw_worker_event *event, const char *run_text, struct bw_run_scope *scope)
{
    *scope = (struct bw_run_scope){.events = bw_buf_slice(&event->events),
                                   .event_body = event->body,
                                   .body_is_json = event->body_is_json,
                                   .event_headers = event->headers,
                                   .event_id = bw_slice_of(event->uid_text),
                                   .event_name = event->name,
                                   .event_source = event->source,
                                   .event_at_ms = event->at_ms,
                                   .event_trusted = event->is_trusted,
                                   .run_id = bw_slice_of(run_text)};
}

/* Does a trigger of this workflow want the event? An `if` that fails counts as a match: a failed run is visible, a silent non-match is not. */
static bool wants(struct bw_worker_event *event, struct bw_catalog_workflow *entry, struct bw_error *err, bool *has_failed)
{
    const struct bw_workflow *workflow = entry->workflow;
    *has_failed = false;
    if (event->workflow.len) return bw_slice_equal(event->workflow, workflow->name);
    for (size_t i = 0; i < workflow->trigger_count; i++) {
        const struct bw_trigger *trigger = &workflow->triggers[i];
        bool answer = true;
        if (!bw_workflow_matches(trigger, event->source, event->name)) continue;
        if (trigger->condition < 0) return true;
        struct bw_uid run = bw_uid_of_run(event->uid, workflow->name);
        struct bw_script *script = bw_scripts_take(event->worker, entry, err);
        char run_text[BW_UID_TEXT];
        struct bw_run_scope scope;
        bw_event_scope(event, bw_uid_text(run, BW_UID_RUN, run_text), &scope);
        bw_note_enter(event, run, BW_SLICE("trigger"), 0);
        if (script) bw_script_begin_run(script, &scope);
        *has_failed = !script || !bw_script_condition(script, (uint32_t)trigger->condition, &answer, err);
        bw_note_leave(event->worker);
        bw_scripts_return(event->worker, entry, script);
        if (*has_failed) return true;
        if (answer) return true;
    }
    return false;
}

/* The engine ended a worker because of this run's trigger: then that is the run's failure, without asking again. */
static bool has_verdict(const struct bw_worker_event *event, struct bw_uid run, struct bw_error *err)
{
    char text[BW_UID_TEXT];
    size_t index;
    json_t *entry;
    bw_uid_text(run, BW_UID_RUN, text);
    json_array_foreach(json_object_get(event->head, "verdicts"), index, entry)
    {
        if (strcmp(bw_json_str(entry, "run", ""), text) || strcmp(bw_json_str(entry, "path", ""), "trigger")) continue;
        const json_t *error = json_object_get(entry, "error");
        bw_error_set(err, bw_json_str(error, "code", "lua.timeout"), "%s", bw_json_str(error, "message", ""));
        return true;
    }
    json_array_foreach(json_object_get(event->head, "lost"), index, entry)
    {
        if (strcmp(bw_json_str(entry, "run", ""), text) || strcmp(bw_json_str(entry, "path", ""), "trigger") ||
            bw_json_int(entry, "count", 0) <= BW_LOST_MAX)
            continue;
        bw_error_set(err, "worker_lost", "the condition of the trigger ended its worker process %d times", BW_LOST_MAX + 1);
        return true;
    }
    return false;
}

struct match {
    struct bw_catalog_workflow *entry;
    bool has_failed, is_asked;
    struct bw_error error; /* of the trigger */
};

static void choose_answerer(const struct bw_worker_event *event, const struct match *matches, size_t count)
{
    if (!event->catalog->may_respond) return;
    const struct bw_workflow **workflows = calloc(count + 1, sizeof *workflows);
    if (!workflows) exit(70);
    for (size_t i = 0; i < count; i++) workflows[i] = matches[i].entry->workflow;
    bw_respond_choose(event, workflows, count);
    free(workflows);
}

/* Once for all expressions of the run, which see it without decoding it. */
static void gather(struct bw_worker_event *event, const struct bw_message *message)
{
    size_t index;
    json_t *one;
    struct bw_run_scope scope;
    bw_buf_append_char(&event->events, '[');
    json_array_foreach(json_object_get(message->head, "collected"), index, one)
    {
        scope = (struct bw_run_scope){.event_body = bw_message_part_or(message, one, "body_part", BW_SLICE("")),
                                      .event_headers = bw_message_part_or(message, one, "headers_part", BW_SLICE("")),
                                      .event_id = bw_json_slice(json_object_get(one, "uid")),
                                      .event_name = bw_json_slice(json_object_get(one, "name")),
                                      .event_source = bw_json_slice(json_object_get(one, "source")),
                                      .event_at_ms = bw_json_int(one, "at_ms", 0),
                                      .event_trusted = bw_json_bool(one, "trusted", false)};
        scope.body_is_json = bw_json_scan(scope.event_body, NULL, NULL, NULL);
        if (!bw_json_scan(scope.event_headers, NULL, NULL, NULL)) scope.event_headers = (struct bw_slice){"", 0};
        bw_script_write_event(&scope, &event->events);
        bw_buf_append_char(&event->events, ',');
    }
    bw_event_scope(event, "", &scope);
    bw_script_write_event(&scope, &event->events);
    bw_buf_append_char(&event->events, ']');
    if (event->events.failed) exit(70);
}

/* A run that was parked goes on; the other workflows have seen this event. */
static void resume(struct bw_worker_event *event, const struct bw_message *message)
{
    struct bw_slice workflow = bw_json_slice(json_object_get(message->head, "resume"));
    event->is_resumed = true;
    event->open_runs = 1;
    struct bw_catalog_workflow *entry = bw_catalog_workflow_named(event->catalog, workflow);
    if (!entry) {
        bw_refused_resume(event);
        return;
    }
    if (json_object_get(message->head, "collected") && entry->workflow->reads_events) gather(event, message);
    bw_run_start(event, entry, NULL);
}

/* Runs that the store is to admit. Returns how many are left, to be started here; 0: the event may be freed by now. */
static size_t ask(struct bw_worker_event *event, struct match *matches, size_t count)
{
    size_t left = count;
    for (size_t i = 0; i < count; i++) {
        struct match *match = &matches[i];
        if (match->has_failed || !bw_admission_is_asked(event, match->entry->workflow)) continue;
        match->is_asked = bw_admission_ask(event, match->entry, &match->error);
        match->has_failed = !match->is_asked;
        left -= match->is_asked;
    }
    return left;
}

/* Of a suspect one of the runs may have ended a worker. The others come first: that one is not to take them with it again. */
static void start(struct bw_worker_event *event, const struct match *matches, size_t count, size_t left, bool is_suspect)
{
    for (size_t i = 0; is_suspect && i < count; i++)
        if (!matches[i].is_asked && bw_run_is_accused(event, matches[i].entry))
            bw_held_add(event, matches[i].entry, matches[i].has_failed ? &matches[i].error : NULL);
    size_t held = event->held_runs;
    for (size_t i = 0; i < count && left > held; i++) {
        if (matches[i].is_asked || (held && bw_run_is_accused(event, matches[i].entry))) continue;
        left--;
        bw_run_start(event, matches[i].entry, matches[i].has_failed ? &matches[i].error : NULL); /* after the last one it may be freed */
    }
    if (held) bw_held_go_on(event);
}

void bw_event_take(struct bw_worker *worker, const struct bw_message *message)
{
    struct bw_catalog *catalog = bw_catalog_find(worker, (uint32_t)bw_json_int(message->head, "revision", 0));
    struct bw_worker_event *event = catalog ? copy_event(worker, message) : NULL;
    struct match *matches = NULL;
    size_t count = 0, capacity = 0;
    if (!event) exit(70); /* the engine sends the catalogue first; without memory nothing is left to do here: another worker takes over */
    event->catalog = catalog;
    event->head = keep_recorded(message);
    catalog->events++;
    if (json_object_get(message->head, "resume")) {
        resume(event, message);
        return;
    }
    /* All triggers first: whoever ends last then reports the event as done, in the same transaction. */
    struct bw_catalog_workflow *entry;
    for (struct bw_candidates all = bw_candidates_of(event); (entry = bw_candidates_next(&all));) {
        struct bw_uid run = bw_uid_of_run(event->uid, entry->workflow->name);
        struct bw_error err;
        bool has_failed = false;
        if (bw_trial_leaves_out(worker, entry->workflow)) continue;
        if (event->head && bw_run_is_recorded_done(event, run)) {
            event->matched++;
            continue;
        }
        if (event->head && has_verdict(event, run, &err))
            has_failed = true;
        else if (!wants(event, entry, &err, &has_failed))
            continue;
        if (count == capacity) {
            capacity = capacity ? capacity * 4 : 4;
            if (!(matches = realloc(matches, capacity * sizeof *matches))) exit(70);
        }
        matches[count].entry = entry;
        matches[count].has_failed = has_failed;
        matches[count].is_asked = false;
        if (has_failed) matches[count].error = err;
        count++;
    }
    size_t refused = bw_refused_count(event);
    event->matched += count + refused + bw_refused_settled(event);
    event->open_runs = count + refused;
    choose_answerer(event, matches, count);
    if (refused) bw_refused_report(event);
    if (!count && !refused) { /* nobody waits for it, or all was done before a crash */
        bw_report_event(event);
        release_event(event);
    }
    size_t left = ask(event, matches, count);
    if (left) start(event, matches, count, left, bw_json_bool(message->head, "suspect", false));
    free(matches);
}

void bw_event_run_ended(struct bw_worker_event *event)
{
    if (--event->open_runs == 0)
        release_event(event); /* the last run's report said that the event is done */
    else if (event->held_runs)
        bw_held_go_on(event);
}
