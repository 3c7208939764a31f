/* `respond`: the answer travels with the record of its step, and the engine sends it when that is on disk. And which run answers: of those that an
 * event starts and whose workflows have `respond: {mode: result}`, the first by name. */
#include "base/clock.h"
#include "base/log.h"
#include "worker/internal.h"
#include <string.h>
#include <strings.h>

#define HEADERS_MAX 32
#define NAME_MAX_BYTES 64
#define VALUE_MAX_BYTES 1024

/* These say how the bytes travel, which is not a workflow's business. */
static const char *const reserved[] = {"content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "trailer", "te", "date"};

static bool is_header_name(const char *name)
{
    size_t len = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");
    return len && !name[len] && len <= NAME_MAX_BYTES;
}

static bool is_header_value(struct bw_slice value)
{
    for (size_t i = 0; i < value.len; i++)
        if ((unsigned char)value.ptr[i] < 0x20 || value.ptr[i] == 0x7f) return false;
    return value.len <= VALUE_MAX_BYTES;
}

static bool check_headers(const json_t *headers, struct bw_error *err)
{
    const char *name;
    json_t *value;
    if (!headers) return true;
    if (!json_is_object(headers) || json_object_size(headers) > HEADERS_MAX)
        return bw_error_set(err, "respond.headers", "headers must be a map of at most %d texts", HEADERS_MAX);
    json_object_foreach((json_t *)headers, name, value)
    {
        if (!is_header_name(name)) return bw_error_set(err, "respond.headers", "'%.*s' is no name of a header", NAME_MAX_BYTES, name);
        for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
            if (!strcasecmp(reserved[i], name)) return bw_error_set(err, "respond.headers", "the header %s cannot be set: the engine does", name);
        if (!json_is_string(value) || !is_header_value(bw_json_slice(value)))
            return bw_error_set(err, "respond.headers", "the header %s must be a text of at most %d bytes without line breaks", name,
                                VALUE_MAX_BYTES);
    }
    return true;
}

/* {status, headers, body: text} of what was rendered; NULL: err says why not. */
static json_t *make_answer(struct bw_attempt *attempt, struct bw_slice rendered, struct bw_error *err)
{
    json_t *value = bw_json_load(rendered, err), *answer = NULL;
    const json_t *status = json_object_get(value, "status"), *headers = json_object_get(value, "headers"), *body = json_object_get(value, "body");
    size_t max = bw_attempt_worker(attempt)->max_output_bytes;
    struct bw_buf text = {0};
    if (!value) return NULL;
    if (status && !(json_is_integer(status) && json_integer_value(status) >= 200 && json_integer_value(status) <= 599)) {
        bw_error_set(err, "respond.status", "the status of an answer is a whole number from 200 to 599");
        goto out;
    }
    if (!check_headers(headers, err)) goto out;
    if (json_is_string(body))
        bw_buf_append_slice(&text, bw_json_slice(body));
    else if (body)
        bw_json_append(&text, body);
    if (text.failed || text.len > max) {
        bw_error_set(err, "respond.too_large", "the body of the answer has %zu bytes, at most %zu are sent", text.len, max);
        goto out;
    }
    answer = json_pack("{s:I,s:s,s:s%}", "status", status ? json_integer_value(status) : (json_int_t)200, "type",
                       json_is_string(body) ? "text/plain; charset=utf-8" : "application/json", "body", text.data ? text.data : "", text.len);
    if (answer && headers) json_object_set(answer, "headers", (json_t *)headers);
    if (!answer) bw_error_set(err, "memory", "out of memory");
out:
    bw_buf_free(&text);
    json_decref(value);
    return answer;
}

void bw_respond(struct bw_attempt *attempt)
{
    struct bw_run *run = attempt->run;
    struct bw_step_result *result = bw_attempt_result(attempt);
    struct bw_buf rendered = {0}, redacted = {0};
    char output[32];
    struct bw_error err;
    json_t *answer = NULL;
    result->attempt = 1;
    result->started_ms = bw_clock_wall_ms();
    bw_trace_step(run, attempt->step, "step_started", 0);
    bw_note_enter_step(run, attempt->step, 0);
    bool good = bw_script_render(bw_run_script_at(run, attempt->step), bw_attempt_step(attempt)->set,
                                 &(struct bw_render){.result = bw_run_result_at(run, attempt->step)}, &rendered, &err);
    bw_note_leave(bw_attempt_worker(attempt));
    if (good) bw_redact_append(&redacted, bw_buf_slice(&rendered));
    if (good && (answer = make_answer(attempt, bw_buf_slice(&redacted), &err))) {
        int len = snprintf(output, sizeof output, "{\"status\":%d}", (int)bw_json_int(answer, "status", 200));
        result->respond = answer;
        run->owes_report = true; /* somebody waits, whatever the run does next */
        bw_step_succeed(attempt, (struct bw_slice){output, (size_t)len});
    } else {
        bw_step_fail(attempt, &err, BW_CLASS_BUG, -1);
    }
    bw_buf_free(&rendered);
    bw_buf_free(&redacted);
}

static bool may_answer(const struct bw_worker_event *event, const struct bw_workflow *workflow)
{
    if (!workflow->respond_ms || event->workflow.len) return false;
    for (size_t i = 0; i < workflow->trigger_count; i++)
        if (bw_workflow_matches(&workflow->triggers[i], event->source, event->name)) return true;
    return false;
}

void bw_respond_choose(const struct bw_worker_event *event, const struct bw_workflow *const *matches, size_t count)
{
    const struct bw_workflow *chosen = NULL;
    bool is_asked = false;
    char head[160], run[BW_UID_TEXT];
    struct bw_catalog_workflow *entry;
    for (struct bw_candidates all = bw_candidates_of(event); !is_asked && (entry = bw_candidates_next(&all));)
        is_asked = may_answer(event, entry->workflow);
    if (!is_asked) return;
    for (size_t i = 0; i < count; i++)
        if (may_answer(event, matches[i]) && (!chosen || strcmp(matches[i]->name.ptr, chosen->name.ptr) < 0)) chosen = matches[i];
    int len = snprintf(head, sizeof head, "{\"event\":\"%s\"", event->uid_text);
    if (chosen)
        len += snprintf(head + len, sizeof head - (size_t)len, ",\"run\":\"%s\",\"within_ms\":%lld",
                        bw_uid_text(bw_uid_of_run(event->uid, chosen->name), BW_UID_RUN, run), (long long)chosen->respond_ms);
    len += snprintf(head + len, sizeof head - (size_t)len, "}");
    bw_channel_send(event->worker->channel, BW_MSG_RESPOND, (struct bw_slice){head, (size_t)len}, NULL, 0);
}
