/* `emit`: the events travel with the record of their step and are accepted in its transaction, so each is caused exactly once. */
#include "base/clock.h"
#include "base/log.h"
#include "base/units.h"
#include "worker/internal.h"
#include <stdlib.h>
#include <string.h>

/* How many events in a row were each caused by a run of the one before. Only this engine makes events of that source. */
static int64_t depth_of(const struct bw_worker_event *event)
{
    size_t len = strlen(BW_EMIT_SOURCE);
    bool is_ours = event->source.len > len && !memcmp(event->source.ptr, BW_EMIT_SOURCE, len);
    json_t *headers = is_ours ? bw_json_load(event->headers, NULL) : NULL;
    int64_t depth = strtol(bw_json_str(headers, "bellwire-depth", "0"), NULL, 10);
    json_decref(headers);
    return depth;
}

static bool check(struct bw_attempt *attempt, struct bw_slice name, size_t bytes, struct bw_error *err)
{
    size_t max = bw_attempt_worker(attempt)->max_output_bytes;
    if (!bw_is_event_name(name)) {
        bw_error_set(err, "emit.event", "'%.*s' is no name of an event", (int)(name.len < 80 ? name.len : 80), name.len ? name.ptr : "");
        bw_error_hint(err, "parts between dots, at most 200 bytes, without * and spaces, not below bellwire.");
        return false;
    }
    if (bytes > max) return bw_error_set(err, "emit.too_large", "the data of the event have %zu bytes, at most %zu are allowed", bytes, max);
    if (attempt->run->emitted >= BW_RUN_EMITS_MAX) return bw_error_set(err, "emit.too_many", "a run causes at most %d events", BW_RUN_EMITS_MAX);
    return true;
}

/* *due_ms 0: now. */
static bool read_delay(const json_t *delay, int64_t *due_ms, struct bw_error *err)
{
    int64_t delay_ms = 0;
    *due_ms = 0;
    if (!delay) return true;
    if (!json_is_string(delay) || !bw_duration_parse(bw_json_slice(delay), &delay_ms, err) || delay_ms < 0 || delay_ms > BW_WORKFLOW_WAIT_MAX_MS) {
        bw_error_set(err, "emit.delay", "the delay of the event is no usable duration");
        bw_error_hint(err, "it must give a duration of at most 366d: delay: \"${{ event.data.days }}d\"");
        return false;
    }
    if (delay_ms) *due_ms = bw_clock_wall_ms() + delay_ms;
    return true;
}

static bool add(struct bw_attempt *attempt, const json_t *from, json_t *emits, json_t *ids, struct bw_error *err)
{
    json_t *data = json_object_get(from, "data"), *key = json_object_get(from, "key"), *emit;
    struct bw_slice name = bw_json_slice(json_object_get(from, "event"));
    struct bw_buf text = {0}, key_text = {0};
    char uid[BW_UID_TEXT];
    int64_t due_ms;
    if (data)
        bw_json_append(&text, data);
    else
        bw_buf_append_text(&text, "{}");
    if (json_is_string(key))
        bw_buf_append_slice(&key_text, bw_json_slice(key));
    else if (key)
        bw_json_append(&key_text, key);
    bool good = check(attempt, name, text.len, err) && read_delay(json_object_get(from, "delay"), &due_ms, err);
    if (good) {
        bw_uid_text(bw_uid_new(bw_clock_wall_ms()), BW_UID_EVENT, uid);
        emit = json_pack("{s:s,s:s%,s:s%}", "uid", uid, "name", name.ptr, name.len, "data", text.data, text.len);
        if (key_text.len) json_object_set_new(emit, "key", json_stringn(key_text.data, key_text.len));
        if (due_ms) json_object_set_new(emit, "due_ms", json_integer(due_ms));
        json_array_append_new(emits, emit);
        json_array_append_new(ids, json_string(uid));
        attempt->run->emitted++;
    }
    bw_buf_free(&text);
    bw_buf_free(&key_text);
    return good;
}

void bw_emit(struct bw_attempt *attempt)
{
    struct bw_run *run = attempt->run;
    const struct bw_step *step = bw_attempt_step(attempt);
    struct bw_step_result *result = bw_attempt_result(attempt);
    struct bw_buf rendered = {0}, output = {0}, redacted = {0};
    json_t *value = NULL, *emits = json_array(), *ids = json_array(), *one;
    struct bw_error err;
    size_t index;
    result->attempt = 1;
    result->started_ms = bw_clock_wall_ms();
    bw_trace_step(run, attempt->step, "step_started", 0);
    bw_note_enter_step(run, attempt->step, 0);
    bool good = bw_script_render(bw_run_script_at(run, attempt->step), step->set, &(struct bw_render){.result = bw_run_result_at(run, attempt->step)},
                                 &rendered, &err);
    bw_note_leave(bw_attempt_worker(attempt));
    if (good && depth_of(run->event) >= BW_EMIT_DEPTH_MAX) {
        good = bw_error_set(&err, "emit.too_deep", "this run stands behind %d events in a row that runs caused: that is taken for a loop",
                            BW_EMIT_DEPTH_MAX);
        bw_error_hint(&err, "look for workflows that wake each other by the events they emit");
        bw_error_at(&err, run->entry->workflow->file.ptr, step->mark.line, step->mark.column);
    }
    if (good) bw_redact_append(&redacted, bw_buf_slice(&rendered)); /* an event is stored: no secret may be in it */
    good = good && (value = bw_json_load(bw_buf_slice(&redacted), &err));
    if (good && !json_is_array(value)) good = add(attempt, value, emits, ids, &err);
    if (good && json_is_array(value)) json_array_foreach(value, index, one) good = good && add(attempt, one, emits, ids, &err);
    if (good) {
        bw_buf_append_text(&output, json_is_array(value) ? "{\"events\":" : "{\"event\":");
        bw_json_append(&output, json_is_array(value) ? ids : json_array_get(ids, 0));
        bw_buf_append_char(&output, '}');
        result->emits = json_incref(emits);
        bw_step_succeed(attempt, bw_buf_slice(&output));
    } else {
        bw_step_fail(attempt, &err, BW_CLASS_BUG, -1);
    }
    json_decref(value);
    json_decref(emits);
    json_decref(ids);
    bw_buf_free(&rendered);
    bw_buf_free(&redacted);
    bw_buf_free(&output);
}
