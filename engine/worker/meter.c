/* Metered calls (ctx.usage): before one is made the engine is asked, which writes down what it may take at most, unless a budget forbids it. Behind
 * it the engine is told what it took. A call whose attempt ends without saying so, or with its process, counts with what it might have taken. And one
 * whose answer is lost with its process, before the attempt or a part of it was recorded, stays one of which nobody knows what it gave: it is made
 * again. */
#include "worker/internal.h"
#include <stdlib.h>

static struct bw_slice key_of(const int64_t *number)
{
    return (struct bw_slice){(const char *)number, sizeof *number};
}

/* `said`: the members of a JSON object, of which nothing but numbers and texts was let through (lua/api_usage.c). */
static void append_said(struct bw_buf *head, struct bw_slice said)
{
    if (said.len > 2) bw_buf_append_char(head, ',');
    bw_buf_append(head, said.ptr + 1, said.len - 1);
}

void bw_meter_begin(struct bw_attempt *attempt, struct bw_slice said)
{
    struct bw_worker *worker = bw_attempt_worker(attempt);
    struct bw_buf head = {0};
    attempt->usage = ++worker->next_usage;
    attempt->wait = BW_WAIT_USAGE;
    bw_buf_printf(&head, "{\"usage\":%lld,\"run\":\"%s\",\"workflow\":\"%s\",\"step\":\"%s\",\"attempt\":%u", (long long)attempt->usage,
                  attempt->run->uid_text, attempt->run->entry->workflow->name.ptr, bw_attempt_step(attempt)->path.ptr,
                  bw_attempt_result(attempt)->attempt);
    append_said(&head, said);
    /* One that cannot be asked for would be waited for: the worker ends, and another one runs the event with what is recorded. */
    if (head.failed || !bw_map_set(worker->metered, key_of(&attempt->usage), attempt) ||
        !bw_channel_send(worker->channel, BW_MSG_USAGE_ASK, bw_buf_slice(&head), NULL, 0))
        exit(70);
    bw_buf_free(&head);
}

static void tell_end(struct bw_worker *worker, const char *run, int64_t id, struct bw_slice said)
{
    struct bw_buf head = {0};
    bw_buf_printf(&head, "{\"run\":\"%s\",\"id\":%lld", run, (long long)id);
    append_said(&head, said);
    if (head.failed || !bw_channel_send(worker->channel, BW_MSG_USAGE_END, bw_buf_slice(&head), NULL, 0)) exit(70);
    bw_buf_free(&head);
}

/* Of more calls than were begun nobody is told: each would be a write of the engine's, and code can say it in a loop, waiting for nothing. */
void bw_meter_end(struct bw_attempt *attempt, int64_t id, struct bw_slice said)
{
    if (!attempt->metered) return;
    attempt->metered--;
    tell_end(bw_attempt_worker(attempt), attempt->run->uid_text, id, said);
    bw_buf_printf(&attempt->calls, "%s%lld", attempt->calls.len ? "," : "", (long long)id);
    if (attempt->calls.failed) exit(70);
}

void bw_meter_move(struct bw_buf *from, struct bw_buf *to)
{
    if (!from->len) return;
    if (to->len) bw_buf_append_char(to, ',');
    bw_buf_append_slice(to, bw_buf_slice(from));
    if (to->failed) exit(70);
    bw_buf_free(from);
}

void bw_meter_forget(struct bw_attempt *attempt)
{
    bw_map_remove(bw_attempt_worker(attempt)->metered, key_of(&attempt->usage));
    attempt->usage = 0;
}

void bw_meter_answered(struct bw_worker *worker, const struct bw_message *message)
{
    const json_t *error = json_object_get(message->head, "error");
    int64_t number = bw_json_int(message->head, "usage", 0), id = bw_json_int(message->head, "id", 0);
    struct bw_attempt *attempt = bw_map_remove(worker->metered, key_of(&number));
    struct bw_error err;
    char text[32];
    if (!attempt) { /* it was not wanted any more: the call is not made */
        if (id) tell_end(worker, bw_json_str(message->head, "run", ""), id, BW_SLICE("{\"cost\":0,\"final\":true}"));
        return;
    }
    attempt->usage = 0;
    if (error) {
        bw_error_set(&err, bw_json_str(error, "code", "budget.unknown"), "%s", bw_json_str(error, "message", ""));
        bw_error_hint(&err, "%s", bw_json_str(error, "hint", ""));
        bool is_transient = !strcmp(bw_json_str(error, "class", ""), "transient");
        bw_task_answer(bw_step_running(attempt), &(struct bw_http_answer){.error = &err, .transient = is_transient});
    } else {
        attempt->metered++;
        int len = snprintf(text, sizeof text, "%lld", (long long)id);
        bw_task_answer(bw_step_running(attempt), &(struct bw_http_answer){.status = 200, .body = {text, (size_t)len}});
    }
    bw_attempt_ready(attempt);
}
