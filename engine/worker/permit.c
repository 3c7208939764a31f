/* Named limits (`limits` of bellwire.yaml): an attempt asks the engine before it begins, waits in its line, and gives back when it has ended. Waiting
 * holds no thread and counts against no time of the step. A worker that dies gives back nothing: the engine takes it. */
#include "base/clock.h"
#include "worker/internal.h"
#include <stdio.h>
#include <stdlib.h>

#define TELL_AFTER_MS 1000 /* `bellwire run` says what it waits for */

static struct bw_slice key_of(const int64_t *number)
{
    return (struct bw_slice){(const char *)number, sizeof *number};
}

/* ---- key and cost ---- */

static bool fail(const struct bw_attempt *attempt, struct bw_error *err, const char *hint)
{
    const struct bw_mark mark = bw_attempt_step(attempt)->limit.mark;
    bw_error_hint(err, "%s", hint);
    bw_error_at(err, attempt->run->entry->workflow->file.ptr, mark.line, mark.column);
    return false;
}

static bool read_key(struct bw_attempt *attempt, const json_t *value, struct bw_error *err)
{
    if (json_is_string(value))
        bw_buf_append_slice(&attempt->limit_key, bw_json_slice(value));
    else if (json_is_number(value) || json_is_boolean(value))
        bw_json_append(&attempt->limit_key, value);
    if (attempt->limit_key.len) return true;
    bw_error_set(err, "limit.key", "`key` of the limit gave %s", json_is_string(value) ? "an empty text" : value ? "an object or a list" : "nothing");
    return fail(attempt, err, "it must give a text, a number, true or false");
}

static bool read_cost(struct bw_attempt *attempt, const json_t *value, double most, struct bw_error *err)
{
    attempt->limit_cost = json_number_value(value);
    if (!json_is_number(value) || attempt->limit_cost < 0) {
        bw_error_set(err, "limit.cost", "`cost` of the limit gave no number of at least 0");
        return fail(attempt, err, "give it a default, such as ${{ tonumber(inputs.size) or 1 }}");
    }
    if (!most || attempt->limit_cost <= most) return true;
    bw_error_set(err, "limit.cost", "the step costs %.17g, more than the limit ever lets through at once: its burst is %.17g", attempt->limit_cost,
                 most);
    return fail(attempt, err, "give the limit a greater burst in bellwire.yaml, or do less in one step");
}

bool bw_permit_prepare(struct bw_attempt *attempt, struct bw_error *err)
{
    const struct bw_step *step = bw_attempt_step(attempt);
    const double *most = bw_map_get(bw_attempt_worker(attempt)->shared, bw_slice_of(attempt->run->entry->limits[attempt->step]));
    struct bw_buf rendered = {0};
    bool good = true;
    bw_buf_clear(&attempt->limit_key);
    attempt->limit_cost = 1;
    if (!most) {
        bw_error_set(err, "limit.unknown", "there is no limit %s in bellwire.yaml", attempt->run->entry->limits[attempt->step]);
        return fail(attempt, err, "add it there and start the engine again");
    }
    if (!step->limit.measures) return true;
    bw_note_enter_step(attempt->run, attempt->step, 0);
    good = bw_script_render(bw_run_script_at(attempt->run, attempt->step), step->limit.measures, &(struct bw_render){0}, &rendered, err);
    bw_note_leave(bw_attempt_worker(attempt));
    json_t *measures = good ? bw_json_load(bw_buf_slice(&rendered), err) : NULL;
    good = measures != NULL;
    if (good && step->limit.has_key) good = read_key(attempt, json_object_get(measures, "key"), err);
    if (good && step->limit.has_cost) good = read_cost(attempt, json_object_get(measures, "cost"), *most, err);
    json_decref(measures);
    bw_buf_free(&rendered);
    return good;
}

/* ---- asking ---- */

static void on_long_wait(evutil_socket_t fd, short what, void *arg)
{
    const struct bw_attempt *attempt = arg;
    (void)fd, (void)what;
    bw_trace_step(attempt->run, attempt->step, "step_waiting", 0);
}

void bw_permit_ask(struct bw_attempt *attempt)
{
    struct bw_worker *worker = bw_attempt_worker(attempt);
    struct bw_buf head = {0};
    attempt->permit = ++worker->next_permit;
    attempt->asked_us = bw_clock_mono_us();
    attempt->wait = BW_WAIT_PERMIT;
    bw_buf_printf(&head, "{\"permit\":%lld,\"limit\":\"%s\",\"cost\":%.17g,\"key\":", (long long)attempt->permit,
                  attempt->run->entry->limits[attempt->step], attempt->limit_cost);
    bw_buf_append_json_string(&head, bw_buf_slice(&attempt->limit_key));
    bw_buf_append_char(&head, '}');
    /* One that cannot be asked for would be waited for: the worker ends, and another one runs the event with what is recorded. */
    if (head.failed || !bw_map_set(worker->asked, key_of(&attempt->permit), attempt) ||
        !bw_channel_send(worker->channel, BW_MSG_PERMIT_ASK, bw_buf_slice(&head), NULL, 0))
        exit(70);
    bw_buf_free(&head);
    if (worker->trace) bw_attempt_set_timer(attempt, on_long_wait, TELL_AFTER_MS);
}

void bw_permit_release(struct bw_attempt *attempt, int64_t pause_ms)
{
    struct bw_worker *worker = bw_attempt_worker(attempt);
    char head[80];
    int len = snprintf(head, sizeof head, "{\"permit\":%lld,\"pause_ms\":%lld}", (long long)attempt->permit, (long long)pause_ms);
    bw_map_remove(worker->asked, key_of(&attempt->permit));
    attempt->permit = 0;
    if (!bw_channel_send(worker->channel, BW_MSG_PERMIT_BACK, (struct bw_slice){head, (size_t)len}, NULL, 0)) exit(70);
}

void bw_permit_given(struct bw_worker *worker, const struct bw_message *message)
{
    size_t index;
    json_t *number;
    json_array_foreach(json_object_get(message->head, "permits"), index, number)
    {
        int64_t permit = json_integer_value(number);
        struct bw_attempt *attempt = bw_map_remove(worker->asked, key_of(&permit));
        if (!attempt) continue; /* it was not wanted any more: that is on its way to the engine */
        attempt->wait = BW_WAIT_NONE;
        bw_timer_stop(attempt->timer);
        if (bw_attempt_result(attempt)->started_ms) bw_attempt_result(attempt)->queued_ms += (bw_clock_mono_us() - attempt->asked_us) / 1000;
        bw_step_attempt(attempt);
    }
}
