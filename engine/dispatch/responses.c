#include "dispatch/responses.h"
#include "dispatch/tool_runs.h"
#include <stdio.h>
#include <stdlib.h>

void bw_dispatch_set_responders(struct bw_dispatch *dispatch, const struct bw_responders *responders)
{
    dispatch->responders = responders ? *responders : (struct bw_responders){0};
}

void bw_responses_choose(struct bw_dispatch *dispatch, const json_t *head)
{
    const struct bw_responders *to = &dispatch->responders;
    struct bw_uid event, run = {{0}};
    const json_t *chosen = json_object_get(head, "run");
    if (!to->choose || !bw_uid_parse(bw_json_slice(json_object_get(head, "event")), BW_UID_EVENT, &event)) return;
    if (chosen && !bw_uid_parse(bw_json_slice(chosen), BW_UID_RUN, &run)) return;
    to->choose(to->arg, event, run, bw_json_int(head, "within_ms", 0));
}

/* Texts are offsets until all are there. */
static void add(struct bw_responses *responses, struct bw_response response)
{
    struct bw_response *longer = realloc(responses->list, (responses->count + 1) * sizeof *longer);
    if (!longer) return; /* the sender's time passes: it is told where to look */
    struct bw_slice *const texts[] = {&response.body, &response.error};
    for (size_t i = 0; i < 2; i++) {
        size_t start = responses->bytes.len;
        bw_buf_append_slice(&responses->bytes, *texts[i]);
        *texts[i] = (struct bw_slice){(const char *)start, responses->bytes.len - start};
    }
    responses->list = longer;
    responses->list[responses->count++] = response;
}

static void add_step(struct bw_responses *responses, struct bw_response response, const struct bw_message *message, const json_t *respond)
{
    response.status = (unsigned)bw_json_int(respond, "status", 200);
    response.type = bw_json_slice(json_object_get(respond, "type"));
    response.headers = json_object_get(respond, "headers");
    response.body = bw_message_part_or(message, respond, "part", BW_SLICE(""));
    add(responses, response);
}

/* The outputs of the workflow; of a failed run what failed, but not why: errors may hold what is not for the sender. */
static void add_end(struct bw_responses *responses, struct bw_response response, const struct bw_message *message, const json_t *run, int64_t state)
{
    struct bw_buf text = {0}, error = {0};
    bool is_good = state == BW_RUN_SUCCEEDED || state == BW_RUN_SKIPPED;
    response.is_end = true;
    response.state = bw_run_state_name((enum bw_run_state)state);
    response.status = is_good ? 200 : 500;
    response.type = BW_SLICE("application/json");
    response.body = bw_message_part_or(message, run, "output_part", BW_SLICE(""));
    if (!is_good) {
        bw_buf_append_text(&text, "{\"run\":");
        bw_buf_append_json_string(&text, bw_json_slice(json_object_get(run, "uid")));
        bw_buf_append_text(&text, ",\"error\":");
        bw_buf_append_json_string(
            &text, bw_slice_of(bw_json_str(json_object_get(run, "error"), "code", state == BW_RUN_CANCELLED ? "cancelled" : "failed")));
        bw_buf_append_char(&text, '}');
        response.body = bw_buf_slice(&text);
        bw_tool_error_append(&error, json_object_get(run, "error"), response.state);
        response.error = bw_buf_slice(&error);
    } else if (!response.body.len) {
        response.body = BW_SLICE("{}");
    }
    add(responses, response);
    bw_buf_free(&text);
    bw_buf_free(&error);
}

static void place(const struct bw_responses *responses, struct bw_slice *text)
{
    text->ptr = text->len ? responses->bytes.data + (size_t)text->ptr : "";
}

void bw_responses_read(struct bw_responses *responses, struct bw_dispatch *dispatch, const struct bw_job *job, const struct bw_message *message)
{
    const struct bw_responders *to = &dispatch->responders;
    size_t index, inner;
    json_t *run, *step;
    if (!to->is_awaited) return;
    json_array_foreach(json_object_get(message->head, "runs"), index, run)
    {
        struct bw_response response = {.event = job->event->uid};
        int64_t state = bw_json_int(run, "state", 0);
        if (!bw_uid_parse(bw_json_slice(json_object_get(run, "uid")), BW_UID_RUN, &response.run) ||
            !to->is_awaited(to->arg, response.event, response.run))
            continue;
        json_array_foreach(json_object_get(run, "steps"), inner, step)
        {
            const json_t *respond = json_object_get(step, "respond");
            if (respond) add_step(responses, response, message, respond);
        }
        responses->may_be_refused |= state == BW_RUN_BLOCKED;
        responses->event = response.event;
        if (state >= BW_RUN_SUCCEEDED) add_end(responses, response, message, run, state);
    }
    for (size_t i = 0; i < responses->count && !responses->bytes.failed; i++) {
        place(responses, &responses->list[i].body);
        place(responses, &responses->list[i].error);
    }
    if (responses->bytes.failed) responses->count = 0;
}

/* Its run was left out by `rate` or `concurrency`, or cannot be admitted at all. */
static void send_refusal(const struct bw_responses *responses, const struct bw_responders *to)
{
    const struct bw_refused_run *refused = &responses->refused;
    char uid[BW_UID_TEXT], text[160], error[160];
    int error_len = snprintf(error, sizeof error, "{\"code\":\"%s\",\"message\":\"it was not let begin\"}", refused->code);
    int len = snprintf(text, sizeof text, "{\"run\":\"%s\",\"error\":\"%s\"}", bw_uid_text(refused->run, BW_UID_RUN, uid), refused->code);
    const struct bw_response response = {.event = responses->event,
                                         .run = refused->run,
                                         .status = refused->state == BW_RUN_SKIPPED ? 429 : 500,
                                         .type = BW_SLICE("application/json"),
                                         .body = {text, (size_t)len},
                                         .is_end = true,
                                         .state = bw_run_state_name(refused->state),
                                         .error = {error, (size_t)error_len}};
    to->respond(to->arg, &response);
}

void bw_responses_send(struct bw_responses *responses, struct bw_dispatch *dispatch)
{
    const struct bw_responders *to = &dispatch->responders;
    for (size_t i = 0; to->respond && i < responses->count; i++) to->respond(to->arg, &responses->list[i]);
    if (to->respond && responses->refused.state) send_refusal(responses, to);
}

void bw_responses_free(struct bw_responses *responses)
{
    free(responses->list);
    bw_buf_free(&responses->bytes);
}
