/* Calls of actions of compiled plugins: through the engine, or on a line to the plugin's own process, if there is one. */
#include "worker/internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void bw_step_start_plugin(struct bw_attempt *attempt, const char *key, int64_t timeout_ms)
{
    bw_step_call_plugin(attempt, bw_attempt_action(attempt), bw_buf_slice(&attempt->input), key, timeout_ms, true);
}

/* What the plugin is told of the step. */
static void describe(const struct bw_attempt *attempt, const char *key, int64_t timeout_ms, bool may_be_posted, struct bw_buf *about)
{
    struct bw_buf url = {0};
    bw_buf_append_text(about, "{\"run\":\"");
    bw_buf_append_text(about, attempt->run->uid_text);
    bw_buf_append_text(about, "\",\"step\":\"");
    bw_buf_append_slice(about, bw_attempt_step(attempt)->path);
    bw_buf_append_text(about, "\",\"attempt\":");
    bw_buf_append_int(about, bw_attempt_result(attempt)->attempt);
    bw_buf_append_text(about, ",\"key\":\"");
    bw_buf_append_text(about, key);
    bw_buf_append_text(about, "\",\"timeout_ms\":");
    bw_buf_append_int(about, timeout_ms);
    bw_buf_append_text(about, ",\"heartbeat_ms\":");
    bw_buf_append_int(about, attempt->heartbeat_ms);
    bw_buf_append_text(about, bw_attempt_step(attempt)->is_once ? ",\"once\":true" : ",\"once\":false");
    if (may_be_posted && bw_callback_url(attempt, &url)) {
        bw_buf_append_text(about, ",\"callback_url\":");
        bw_buf_append_json_string(about, bw_buf_slice(&url));
    }
    bw_buf_free(&url);
    bw_buf_append_char(about, '}');
}

static void call_through_engine(const struct bw_attempt *attempt, const struct bw_action *action, struct bw_slice input, struct bw_slice about)
{
    struct bw_buf head = {0};
    const struct bw_slice parts[] = {input, about};
    bw_buf_printf(&head, "{\"call\":%lld,\"action\":\"%s@%u\",\"input_part\":0,\"about_part\":1,\"secrets\":[", (long long)attempt->call,
                  action->name, action->major);
    for (size_t i = 0; i < action->secret_count; i++) {
        if (i) bw_buf_append_char(&head, ',');
        bw_buf_append_json_string(&head, bw_slice_of(action->secrets[i]));
    }
    bw_buf_append_text(&head, "]}");
    if (head.failed || !bw_channel_send(bw_attempt_worker(attempt)->channel, BW_MSG_CALL, bw_buf_slice(&head), parts, 2)) exit(70);
    bw_buf_free(&head);
}

void bw_step_call_plugin(struct bw_attempt *attempt, const struct bw_action *action, struct bw_slice input, const char *key, int64_t timeout_ms,
                         bool may_be_posted)
{
    struct bw_worker *worker = bw_attempt_worker(attempt);
    struct bw_buf about = {0};
    attempt->call = ++worker->next_call;
    describe(attempt, key, timeout_ms, may_be_posted, &about);
    if (about.failed) exit(70);
    attempt->wait = BW_WAIT_PLUGIN;
    attempt->is_exposed = true;
    TAILQ_INSERT_TAIL(&worker->called, attempt, link);
    if (!bw_line_call(attempt, action, input, bw_buf_slice(&about))) call_through_engine(attempt, action, input, bw_buf_slice(&about));
    bw_buf_free(&about);
}

void bw_step_cancel_call(const struct bw_attempt *attempt, int64_t grace_ms, bool is_kept)
{
    char head[80];
    int len = snprintf(head, sizeof head, "{\"call\":%lld,\"grace_ms\":%lld,\"keep\":%s}", (long long)attempt->call, (long long)grace_ms,
                       is_kept ? "true" : "false");
    bw_line_cancel(attempt);
    bw_channel_send(bw_attempt_worker(attempt)->channel, BW_MSG_CALL_CANCEL, (struct bw_slice){head, (size_t)len}, NULL, 0);
}

struct bw_attempt *bw_step_called(const struct bw_worker *worker, int64_t call)
{
    struct bw_attempt *attempt;
    TAILQ_FOREACH(attempt, &worker->called, link)
    if (attempt->call == call) break;
    return attempt;
}

void bw_step_called_no_more(struct bw_attempt *attempt)
{
    TAILQ_REMOVE(&bw_attempt_worker(attempt)->called, attempt, link);
    attempt->wait = BW_WAIT_NONE;
    attempt->line = NULL;
}

static struct bw_slice output_of(const struct bw_message *message)
{
    return bw_message_part_or(message, message->head, "output_part", BW_SLICE("{}"));
}

/* Of an action that the code of the step runs as a part of it. */
static void end_inner_call(struct bw_attempt *attempt, const struct bw_message *message, const char *outcome)
{
    const json_t *error = json_object_get(message->head, "error");
    struct bw_slice output = output_of(message);
    struct bw_error err;
    bool is_ok = !strcmp(outcome, "ok");
    json_t *value = is_ok ? bw_json_load(output, &err) : NULL;
    bool is_object = json_is_object(value);
    json_decref(value);
    if (is_ok)
        bw_error_set(&err, "output.invalid", "the plugin's output is no JSON object");
    else if (!strcmp(outcome, "pending"))
        bw_error_set(&err, "part.pending", "an action whose result is posted later cannot be a part of a step");
    else
        bw_error_set(&err, bw_json_str(error, "code", "plugin.failed"), "%s", bw_json_str(error, "message", "the plugin gave no reason"));
    bw_parts_ended(attempt, is_object ? &output : NULL, &err, !strcmp(outcome, "retry") ? BW_CLASS_TRANSIENT : BW_CLASS_PERMANENT);
}

void bw_step_plugin_result(struct bw_attempt *attempt, const struct bw_message *message)
{
    const char *outcome = bw_json_str(message->head, "outcome", "fail");
    struct bw_error err;
    bw_step_called_no_more(attempt);
    if (attempt->inner) {
        end_inner_call(attempt, message, outcome);
        return;
    }
    if (!strcmp(outcome, "ok")) {
        struct bw_slice output = output_of(message);
        json_t *value = bw_json_load(output, &err); /* a plugin's word is not taken for it */
        bool is_object = json_is_object(value);
        json_decref(value);
        if (is_object) {
            bw_step_succeed_checked(attempt, output);
            return;
        }
        if (value) bw_error_set(&err, "output.invalid", "the plugin's output is no JSON object");
        memcpy(err.code, "output.invalid", sizeof "output.invalid");
        bw_step_fail(attempt, &err, BW_CLASS_OUTPUT, -1);
        return;
    }
    if (!strcmp(outcome, "pending")) {
        bw_pending_begin(attempt, bw_json_int(message->head, "within_ms", 0));
        return;
    }
    const json_t *error = json_object_get(message->head, "error");
    attempt->is_doubtful = bw_json_bool(message->head, "doubtful", false);
    bw_error_set(&err, bw_json_str(error, "code", "plugin.failed"), "%s", bw_json_str(error, "message", "the plugin gave no reason"));
    bw_error_hint(&err, "%s", bw_json_str(error, "hint", ""));
    if (!strcmp(outcome, "missing"))
        bw_step_wait_for_action(attempt, &err);
    else
        bw_step_fail(attempt, &err, !strcmp(outcome, "retry") ? BW_CLASS_TRANSIENT : BW_CLASS_PERMANENT, bw_json_int(error, "retry_after_ms", -1));
}

void bw_step_take_result(struct bw_worker *worker, const struct bw_message *message)
{
    struct bw_attempt *attempt = bw_step_called(worker, bw_json_int(message->head, "call", -1));
    if (attempt) bw_step_plugin_result(attempt, message); /* else: it came after the timeout */
}
