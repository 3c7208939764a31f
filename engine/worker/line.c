/* Lines: calls of a plugin's actions that go to its process without the engine in between. The engine is told of each of them, not at once: it
 * watches over the process, and says what has become of the calls when that has died. */
#include "wire/pass.h"
#include "worker/internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINES_FD 5 /* passes our ends of them */

struct bw_line {
    struct bw_worker *worker;
    int64_t number;
    struct bw_channel *channel;
    json_t *secrets; /* names of those that bellwire.yaml grants to the plugin; NULL: none */
};

/* ---- results ---- */

static void tell_over(const struct bw_line *line, int64_t call, bool has_failed)
{
    char head[80];
    int len = snprintf(head, sizeof head, "{\"call\":%lld,\"line\":%lld%s}", (long long)call, (long long)line->number,
                       has_failed ? ",\"failed\":true" : "");
    bw_channel_send_later(line->worker->channel, BW_MSG_CALL_OVER, (struct bw_slice){head, (size_t)len}, NULL, 0);
}

/* The engine knows which calls the process has, also of those that nobody waits for any more. Here an answer only counts on the line of its call: no
 * plugin answers for another one. */
static void on_message(struct bw_channel *channel, const struct bw_message *message, void *arg)
{
    struct bw_line *line = arg;
    int64_t call = bw_json_int(message->head, "call", -1);
    struct bw_attempt *attempt = bw_step_called(line->worker, call);
    (void)channel;
    if (attempt && attempt->line != line) attempt = NULL;
    if (message->type == BW_MSG_HOST_BEAT && attempt) bw_heartbeat_note(attempt);
    if (message->type != BW_MSG_HOST_RESULT) return;
    tell_over(line, call, !strcmp(bw_json_str(message->head, "outcome", ""), "retry"));
    if (attempt) bw_step_plugin_result(attempt, message);
}

/* ---- its end ---- */

static void call_there_no_more(struct bw_worker *worker, int64_t number)
{
    size_t position = 0;
    struct bw_slice action;
    void *line;
    while (bw_map_next(worker->line_of, &position, &action, &line))
        if (((const struct bw_line *)line)->number == number) bw_map_remove(worker->line_of, action);
}

/* What was called there gets its answer from the engine: it looks whether the process has died, and sees to it that it does. */
static void on_closed(struct bw_channel *channel, const char *reason, void *arg)
{
    struct bw_line *line = arg;
    struct bw_worker *worker = line->worker;
    struct bw_attempt *attempt;
    json_t *head = json_pack("{s:I,s:s}", "line", (json_int_t)line->number, "why", reason);
    bw_channel_send_json(worker->channel, BW_MSG_LINE_LOST, head, NULL, 0);
    json_decref(head);
    call_there_no_more(worker, line->number);
    TAILQ_FOREACH(attempt, &worker->called, link)
    if (attempt->line == line) attempt->line = NULL;
    bw_channel_free(channel);
    json_decref(line->secrets);
    free(line);
}

static void answer(struct bw_worker *worker, enum bw_message_type type, int64_t number)
{
    char head[40];
    int len = snprintf(head, sizeof head, "{\"line\":%lld}", (long long)number);
    bw_channel_send(worker->channel, type, (struct bw_slice){head, (size_t)len}, NULL, 0);
}

void bw_line_retire(struct bw_worker *worker, int64_t number)
{
    call_there_no_more(worker, number);
    answer(worker, BW_MSG_LINE_LEFT, number);
}

void bw_line_asked(struct bw_worker *worker, int64_t number)
{
    answer(worker, BW_MSG_LINE_TOLD, number);
}

/* ---- its beginning ---- */

static struct bw_line *line_new(struct bw_worker *worker, int64_t number, int fd)
{
    static const struct bw_channel_handlers handlers = {on_message, on_closed};
    struct bw_line *line = calloc(1, sizeof *line);
    if (!line) {
        close(fd);
        return NULL;
    }
    line->worker = worker;
    line->number = number;
    if ((line->channel = bw_channel_new(worker->base, fd, BW_HOST_FRAME_BYTES_MAX, &handlers, line))) return line;
    free(line);
    return NULL;
}

void bw_line_take(struct bw_worker *worker, const json_t *head)
{
    int64_t wanted = bw_json_int(head, "line", 0), number = 0;
    struct bw_line *line = NULL;
    json_t *action;
    size_t index;
    int fd;
    while (number != wanted && (fd = bw_pass_take(LINES_FD, &number)) >= 0)
        if (number == wanted)
            line = line_new(worker, number, fd);
        else
            close(fd);
    if (!line) { /* without memory; calls go through the engine */
        bw_line_retire(worker, wanted);
        return;
    }
    line->secrets = json_incref(json_object_get(head, "secrets"));
    json_array_foreach(json_object_get(head, "actions"), index, action) bw_map_set(worker->line_of, bw_json_slice(action), line);
}

/* ---- calls ---- */

static void append_secret(struct bw_buf *head, const struct bw_worker *worker, struct bw_slice name, bool *is_first)
{
    const struct bw_slice *value = bw_map_get(worker->secrets, name);
    if (!value) return;
    if (!*is_first) bw_buf_append_char(head, ',');
    *is_first = false;
    bw_buf_append_json_string(head, name);
    bw_buf_append_char(head, ':');
    bw_buf_append_json_string(head, *value);
}

static void append_secrets(struct bw_buf *head, const struct bw_line *line, const struct bw_action *action)
{
    bool is_first = true;
    size_t index;
    json_t *name;
    for (size_t i = 0; i < action->secret_count; i++) append_secret(head, line->worker, bw_slice_of(action->secrets[i]), &is_first);
    json_array_foreach(line->secrets, index, name) append_secret(head, line->worker, bw_json_slice(name), &is_first);
}

/* Not at once: that would wake a process which has nothing to do with the call, as a rule. When it has, it asks. */
static void tell_called(const struct bw_line *line, int64_t call, struct bw_slice about)
{
    char head[80];
    int len = snprintf(head, sizeof head, "{\"call\":%lld,\"line\":%lld,\"about_part\":0}", (long long)call, (long long)line->number);
    if (!bw_channel_send_later(line->worker->channel, BW_MSG_CALL, (struct bw_slice){head, (size_t)len}, &about, 1)) exit(70);
}

bool bw_line_call(struct bw_attempt *attempt, const struct bw_action *action, struct bw_slice input, struct bw_slice about)
{
    struct bw_line *line = bw_map_get(bw_attempt_worker(attempt)->line_of, bw_slice_of(action->name));
    const struct bw_slice parts[] = {input, about};
    struct bw_buf head = {0};
    if (!line) return false;
    bw_buf_append_text(&head, "{\"input_part\":0,\"about_part\":1,\"call\":");
    bw_buf_append_int(&head, attempt->call);
    bw_buf_append_text(&head, ",\"action\":\"");
    bw_buf_append_text(&head, action->name);
    bw_buf_append_text(&head, "\",\"secrets\":{");
    append_secrets(&head, line, action);
    bw_buf_append_text(&head, "}}");
    if (head.failed) exit(70);
    tell_called(line, attempt->call, about);
    if (!bw_channel_send(line->channel, BW_MSG_HOST_EXECUTE, bw_buf_slice(&head), parts, 2)) exit(70);
    attempt->line = line;
    bw_buf_free(&head);
    return true;
}

void bw_line_cancel(const struct bw_attempt *attempt)
{
    char head[40];
    if (!attempt->line) return;
    int len = snprintf(head, sizeof head, "{\"call\":%lld}", (long long)attempt->call);
    bw_channel_send(attempt->line->channel, BW_MSG_HOST_CANCEL, (struct bw_slice){head, (size_t)len}, NULL, 0);
}
