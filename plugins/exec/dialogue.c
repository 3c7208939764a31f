#include "dialogue.h"
#include <stdlib.h>
#include <string.h>

#define NO_METHOD (-32601)

static void send(struct exec_dialogue *dialogue, const json_t *message)
{
    char *text = json_dumps(message, JSON_COMPACT); /* no line break is in it */
    if (!text) dialogue->outbox.has_failed = true;
    if (text) text_append(&dialogue->outbox, text, strlen(text));
    text_append(&dialogue->outbox, "\n", 1);
    free(text);
}

/* Up to the next request, which is waited for. */
static void go_on(struct exec_dialogue *dialogue)
{
    dialogue->awaited = NULL;
    while (!dialogue->awaited && dialogue->next < json_array_size(dialogue->messages)) {
        const json_t *message = json_array_get(dialogue->messages, dialogue->next++);
        dialogue->awaited = json_object_get(message, "method") ? json_object_get(message, "id") : NULL;
        send(dialogue, message);
    }
    if (!dialogue->awaited) dialogue->is_over = true;
}

static void refuse(struct exec_dialogue *dialogue, const json_t *request)
{
    const char *method = json_string_value(json_object_get(request, "method"));
    json_t *id = json_object_get(request, "id"), *answer;
    if (method && !strcmp(method, "ping"))
        answer = json_pack("{s:s,s:O,s:{}}", "jsonrpc", "2.0", "id", id, "result");
    else
        answer = json_pack("{s:s,s:O,s:{s:i,s:s}}", "jsonrpc", "2.0", "id", id, "error", "code", NO_METHOD, "message", "a step answers no requests");
    if (answer) send(dialogue, answer);
    json_decref(answer);
}

/* A line that is no message is passed over: some programs greet. */
static void take_line(struct exec_dialogue *dialogue, const char *line, size_t len)
{
    json_t *message = json_loadb(line, len, 0, NULL), *id = json_object_get(message, "id"), *error = json_object_get(message, "error");
    bool is_error = error && !json_is_null(error);
    if (json_object_get(message, "method")) {
        if (id) refuse(dialogue, message);
    } else if (dialogue->awaited && (json_equal(id, dialogue->awaited) || (is_error && (!id || json_is_null(id))))) {
        json_array_append(dialogue->answers, message);
        if (is_error)
            dialogue->is_over = true;
        else
            go_on(dialogue);
    }
    json_decref(message);
}

bool exec_dialogue_begin(struct exec_dialogue *dialogue, const json_t *messages, size_t most)
{
    dialogue->messages = json_incref((json_t *)messages);
    dialogue->answers = json_array();
    dialogue->most = most;
    go_on(dialogue);
    return dialogue->answers && !dialogue->outbox.has_failed;
}

void exec_dialogue_read(struct exec_dialogue *dialogue, const char *bytes, size_t len)
{
    while (len && !dialogue->is_over) {
        const char *end = memchr(bytes, '\n', len);
        size_t part = end ? (size_t)(end - bytes) : len;
        text_append(&dialogue->line, bytes, part);
        if (dialogue->line.has_failed || dialogue->line.len > dialogue->most) {
            dialogue->is_too_large = dialogue->is_over = true;
            return;
        }
        bytes += part + (end != NULL);
        len -= part + (end != NULL);
        if (!end) return;
        dialogue->most -= dialogue->line.len; /* of all of them together */
        take_line(dialogue, dialogue->line.bytes, dialogue->line.len);
        dialogue->line.len = 0;
    }
}

void exec_dialogue_free(struct exec_dialogue *dialogue)
{
    json_decref(dialogue->messages);
    json_decref(dialogue->answers);
    text_free(&dialogue->line);
    text_free(&dialogue->outbox);
    *dialogue = (struct exec_dialogue){0};
}
