/* Calls in progress. complete(), log() and heartbeat() may come from any thread of the plugin: they travel home as mail. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/json_view.h"
#include "base/mailbox.h"
#include "base/utf8.h"
#include "host/internal.h"
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define OUTPUT_BYTES_MAX (15u << 20) /* less than a frame; the engine keeps less */
#define CODE_BYTES_MAX 100
#define TEXT_BYTES_MAX 4096 /* of a message or a line for the log */
#define BEAT_EVERY_MS 1000  /* no more often than that does a beat go on its way to the worker */
#define REMEMBERED 1024     /* calls that are over and whose memory is not used again yet: a plugin may err about its own calls */

enum mail_kind { MAIL_RESULT, MAIL_LOG, MAIL_BEAT };

struct bw_host_call {
    struct bw_plugin_call call; /* first: what the plugin holds is this */
    struct bw_mail mail;
    struct bw_host_call *next, **previous;
    struct bw_host *host;
    struct bw_host_line *line; /* on which it has come; NULL: the engine has sent it, or it is over */
    int64_t line_number;       /* 0: of none; any thread may read it */
    int64_t id;
    _Atomic bool has_logged;
    json_t *head; /* owns the name of the action, and the secrets */
    char *input;
    char *texts; /* the other strings of call, one behind the other */
    _Atomic bool is_completed, is_cancelled;
    bool is_over; /* nothing that a plugin says of it counts */
    /* Beats: the flag is set by whoever beats first and cleared when the beat is sent, so however many come in between, there is one mail. */
    _Atomic bool has_beaten;
    struct bw_mail beat;
    struct event *beat_timer; /* one that came too early for it waits here; NULL: none has */
    int64_t next_beat_us;
    struct bw_buf result; /* the head of the answer */
    char *output;
    size_t output_len;
};
struct log_line {
    struct bw_mail mail;
    int64_t call, line; /* -1: of none; 0: of none */
    enum bw_plugin_level level;
    char text[];
};

static struct bw_host_call *of_call(const struct bw_plugin_call *call)
{
    return (struct bw_host_call *)call;
}

/* What the plugin may still hold a pointer to stays a while, completed and empty: whoever completes it again, or beats for it, is told so, and does
 * not write into the memory of another call. */
static void call_end(struct bw_host_call *call)
{
    static struct bw_host_call *remembered[REMEMBERED];
    static size_t next;
    *call->previous = call->next;
    if (call->next) call->next->previous = call->previous;
    if (call->beat_timer) event_free(call->beat_timer);
    json_decref(call->head);
    bw_buf_free(&call->result);
    free(call->input);
    free(call->texts);
    free(call->output);
    call->beat_timer = NULL;
    call->head = NULL;
    call->input = call->texts = call->output = NULL;
    call->call.action = call->call.input = call->call.idempotency_key = call->call.run = call->call.step = "";
    call->call.input_len = 0;
    call->call.callback_url = NULL;
    call->is_over = true;
    bw_host_line_done(call->line);
    call->line = NULL;
    free(remembered[next]);
    remembered[next] = call;
    next = (next + 1) % REMEMBERED;
}

static const char *put_text(char **at, struct bw_json_view value)
{
    struct bw_buf scratch = {0};
    const struct bw_slice text = bw_json_view_string(value, &scratch);
    char *put = *at;
    memcpy(put, text.ptr, text.len); /* no longer than it is in JSON: there is room */
    put[text.len] = '\0';
    *at += text.len + 1;
    bw_buf_free(&scratch);
    return put;
}

/* Every call has one, and it is flat: no tree is made of it. False: no memory, or it is no JSON. */
static bool read_about(struct bw_host_call *call, struct bw_slice about)
{
    struct bw_plugin_call *said = &call->call;
    *said = (struct bw_plugin_call){.size = sizeof *said, .idempotency_key = "", .run = "", .step = "", .attempt = 1, .timeout_ms = 60000};
    char *at = call->texts = bw_json_scan(about, NULL, NULL, NULL) ? malloc(about.len + 1) : NULL;
    struct bw_json_iter iter = bw_json_view_iter(bw_json_view_of(about));
    struct bw_slice key;
    struct bw_json_view value;
    while (at && bw_json_iter_next(&iter, &key, &value)) {
        int64_t number = 0;
        double real;
        bool is_integer = false, is_number = bw_json_view_number(value, &is_integer, &number, &real) && is_integer;
        if (bw_slice_is(key, "\"run\"")) said->run = put_text(&at, value);
        if (bw_slice_is(key, "\"step\"")) said->step = put_text(&at, value);
        if (bw_slice_is(key, "\"key\"")) said->idempotency_key = put_text(&at, value);
        if (bw_slice_is(key, "\"callback_url\"")) said->callback_url = put_text(&at, value);
        if (bw_slice_is(key, "\"once\"")) said->is_once = bw_json_view_type(value) == BW_JSON_TRUE;
        if (is_number && bw_slice_is(key, "\"attempt\"")) said->attempt = (uint32_t)number;
        if (is_number && bw_slice_is(key, "\"timeout_ms\"")) said->timeout_ms = number;
        if (is_number && bw_slice_is(key, "\"heartbeat_ms\"")) said->heartbeat_ms = number;
    }
    return at != NULL;
}

void bw_host_execute(struct bw_host *host, struct bw_host_line *line, const struct bw_message *message)
{
    struct bw_host_call *call = calloc(1, sizeof *call);
    if (!call ||
        !read_about(call, bw_message_part_or(message, message->head, "about_part", BW_SLICE("{}")))) { /* the engine's timeout ends the attempt */
        free(call);
        return;
    }
    call->host = host;
    call->line = line;
    call->line_number = line ? bw_host_line_number(line) : 0;
    bw_host_line_begin(line);
    call->id = bw_json_int(message->head, "call", 0);
    call->head = json_incref((json_t *)message->head);
    call->input = bw_slice_dup(bw_message_part_or(message, message->head, "input_part", BW_SLICE("{}")));
    call->next = host->calls;
    call->previous = &host->calls;
    if (call->next) call->next->previous = &call->next;
    host->calls = call;
    call->call.action = bw_json_str(call->head, "action", "");
    call->call.input = call->input ? call->input : "{}";
    call->call.input_len = call->input ? strlen(call->input) : 2;
    if (bw_json_bool(message->head, "health", false) && bw_host_has_health(host->plugin))
        host->plugin->health(host->instance, &call->call);
    else
        host->plugin->execute(host->instance, &call->call);
}

static void cancel(struct bw_host *host, struct bw_host_call *call)
{
    if (atomic_exchange(&call->is_cancelled, true)) return;
    if (host->plugin->cancel && !atomic_load(&call->is_completed)) host->plugin->cancel(host->instance, &call->call);
}

void bw_host_cancel(struct bw_host *host, const struct bw_host_line *line, int64_t id)
{
    for (struct bw_host_call *call = host->calls; call; call = call->next)
        if (call->id == id && call->line == line) {
            cancel(host, call);
            return;
        }
}

void bw_host_take_call(struct bw_host *host, struct bw_host_line *line, const struct bw_message *message)
{
    if (message->type == BW_MSG_HOST_EXECUTE && host->instance)
        bw_host_execute(host, line, message);
    else if (message->type == BW_MSG_HOST_CANCEL && host->instance)
        bw_host_cancel(host, line, bw_json_int(message->head, "call", 0));
}

/* What is completed by that ends when its mail is delivered, not before. */
void bw_host_cancel_all(struct bw_host *host, const struct bw_host_line *line)
{
    for (struct bw_host_call *call = host->calls; call; call = call->next)
        if (call->line == line) cancel(host, call);
}

json_t *bw_host_calls_of(const struct bw_host *host, const struct bw_host_line *line)
{
    json_t *numbers = json_array();
    for (const struct bw_host_call *call = host->calls; call; call = call->next)
        if (call->line == line) json_array_append_new(numbers, json_integer(call->id));
    return numbers;
}

bool bw_host_is_cancelled(const struct bw_plugin_host *services, const struct bw_plugin_call *call)
{
    (void)services;
    return atomic_load(&of_call(call)->is_cancelled);
}

/* ---- beats ---- */

void bw_host_heartbeat(const struct bw_plugin_host *services, struct bw_plugin_call *plugin_call)
{
    struct bw_host_call *call = of_call(plugin_call);
    (void)services;
    if (!call->call.heartbeat_ms || atomic_load(&call->is_completed) || atomic_exchange(&call->has_beaten, true)) return;
    call->beat.kind = MAIL_BEAT;
    bw_mailbox_post(call->host->mailbox, &call->beat);
}

static void send_beat(struct bw_host_call *call)
{
    int64_t every_ms = call->call.heartbeat_ms / 4 < BEAT_EVERY_MS ? call->call.heartbeat_ms / 4 : BEAT_EVERY_MS;
    char head[48];
    int len = snprintf(head, sizeof head, "{\"call\":%lld}", (long long)call->id);
    call->next_beat_us = bw_clock_mono_us() + every_ms * 1000;
    atomic_store(&call->has_beaten, false);
    struct bw_channel *line = bw_host_line_channel(call->line);
    if (line || !call->line) bw_channel_send(line ? line : call->host->channel, BW_MSG_HOST_BEAT, (struct bw_slice){head, (size_t)len}, NULL, 0);
}

static void on_beat_due(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    send_beat(arg);
}

/* One that comes too early is sent when it is time: were it dropped, silence after it would seem longer than it is. */
static void take_beat(struct bw_host_call *call)
{
    int64_t left_us = call->next_beat_us - bw_clock_mono_us();
    if (call->is_over) return;
    if (left_us > 0 && !call->beat_timer) call->beat_timer = event_new(call->host->base, -1, 0, on_beat_due, call);
    if (left_us <= 0 || !call->beat_timer || event_add(call->beat_timer, &(struct timeval){.tv_usec = (suseconds_t)(left_us % 1000000)}))
        send_beat(call);
}

/* What is longer would fill a frame, or not fit into one: then the engine would never hear of it. */
static struct bw_slice cut(const char *text, size_t most)
{
    size_t len = strnlen(text, most + 1);
    return (struct bw_slice){text, len > most ? bw_utf8_cut(text, most) : len};
}

static void append_error(struct bw_buf *head, const struct bw_plugin_result *result)
{
    bw_buf_append_text(head, ",\"error\":{\"code\":");
    bw_buf_append_json_string(head, cut(result->code ? result->code : "plugin.failed", CODE_BYTES_MAX));
    bw_buf_append_text(head, ",\"message\":");
    bw_buf_append_json_string(head, cut(result->message ? result->message : "the plugin gave no reason", TEXT_BYTES_MAX));
    bw_buf_printf(head, ",\"class\":\"%s\"", result->outcome == BW_PLUGIN_RETRY ? "transient" : "permanent");
    if (result->outcome == BW_PLUGIN_RETRY && result->retry_after_ms >= 0)
        bw_buf_printf(head, ",\"retry_after_ms\":%lld", (long long)result->retry_after_ms);
    bw_buf_append_char(head, '}');
}

void bw_host_complete(const struct bw_plugin_host *services, struct bw_plugin_call *plugin_call, const struct bw_plugin_result *result)
{
    struct bw_host_call *call = of_call(plugin_call);
    static const char *const names[] = {
        [BW_PLUGIN_OK] = "ok", [BW_PLUGIN_RETRY] = "retry", [BW_PLUGIN_FAIL] = "fail", [BW_PLUGIN_PENDING] = "pending"};
    static const struct bw_plugin_result too_large = {
        .size = sizeof too_large, .outcome = BW_PLUGIN_FAIL, .code = "output.too_large", .message = "the output has more than 15 MiB"};
    (void)services;
    if (atomic_exchange(&call->is_completed, true)) {
        bw_host_log(services, NULL, BW_PLUGIN_WARN, "complete() was called twice for one call: the second result is dropped");
        return;
    }
    if (result->outcome == BW_PLUGIN_OK && result->output && result->output_len > OUTPUT_BYTES_MAX) result = &too_large;
    enum bw_plugin_outcome outcome = result->outcome <= BW_PLUGIN_PENDING ? result->outcome : BW_PLUGIN_FAIL;
    bw_buf_printf(&call->result, "{\"call\":%lld,\"outcome\":\"%s\"", (long long)call->id, names[outcome]);
    if (outcome == BW_PLUGIN_OK) {
        bw_buf_append_text(&call->result, ",\"output_part\":0");
        call->output_len = result->output ? result->output_len : 2;
        if ((call->output = malloc(call->output_len + 1))) memcpy(call->output, result->output ? result->output : "{}", call->output_len);
    } else if (outcome == BW_PLUGIN_PENDING) {
        bool can_say = result->size >= offsetof(struct bw_plugin_result, within_ms) + sizeof result->within_ms;
        if (can_say && result->within_ms > 0) bw_buf_printf(&call->result, ",\"within_ms\":%lld", (long long)result->within_ms);
    } else {
        bool can_say = result->size >= offsetof(struct bw_plugin_result, is_doubtful) + sizeof result->is_doubtful; /* it may be an older one */
        if (can_say && result->is_doubtful) bw_buf_append_text(&call->result, ",\"doubtful\":true");
        append_error(&call->result, result);
    }
    call->mail.kind = MAIL_RESULT;
    bw_mailbox_post(call->host->mailbox, &call->mail);
}

const char *bw_host_secret(const struct bw_plugin_host *services, const struct bw_plugin_call *call, const char *name)
{
    (void)services;
    return bw_json_str(json_object_get(of_call(call)->head, "secrets"), name, NULL);
}

void bw_host_log(const struct bw_plugin_host *services, const struct bw_plugin_call *call, enum bw_plugin_level level, const char *text)
{
    struct bw_host *host = services->opaque;
    size_t len = cut(text, TEXT_BYTES_MAX).len;
    struct log_line *line = malloc(sizeof *line + len + 1);
    if (!line) return;
    line->call = call ? of_call(call)->id : -1;
    line->line = call ? of_call(call)->line_number : 0;
    if (call) atomic_store(&of_call(call)->has_logged, true);
    line->mail.kind = MAIL_LOG;
    line->level = level;
    memcpy(line->text, text, len);
    line->text[len] = '\0';
    bw_mailbox_post(host->mailbox, &line->mail);
}

static void send_log(struct bw_host *host, const struct log_line *line)
{
    static const char *const names[] = {
        [BW_PLUGIN_DEBUG] = "debug", [BW_PLUGIN_INFO] = "info", [BW_PLUGIN_WARN] = "warn", [BW_PLUGIN_ERROR] = "error"};
    struct bw_buf head = {0};
    bw_buf_printf(&head, "{\"level\":\"%s\",\"message\":", names[line->level <= BW_PLUGIN_ERROR ? line->level : BW_PLUGIN_INFO]);
    bw_buf_append_json_string(&head, bw_slice_of(line->text));
    bw_buf_printf(&head, ",\"call\":%lld", (long long)line->call);
    if (line->line) bw_buf_printf(&head, ",\"line\":%lld", (long long)line->line);
    bw_buf_append_char(&head, '}');
    if (!head.failed) bw_channel_send(host->channel, BW_MSG_HOST_LOG, bw_buf_slice(&head), NULL, 0);
    bw_buf_free(&head);
}

/* On its line, unless there is something in the engine's hands that belongs in front of it: a line of its log, or of its output. */
static void send_result(struct bw_host_call *call)
{
    struct bw_host *host = call->host;
    const struct bw_slice output = {call->output, call->output_len};
    struct bw_channel *channel = bw_host_line_channel(call->line);
    if (channel && (atomic_load(&call->has_logged) || bw_host_has_printed(host))) channel = NULL;
    if (call->line && !channel) bw_buf_printf(&call->result, ",\"line\":%lld", (long long)call->line_number);
    bw_buf_append_char(&call->result, '}');
    bw_channel_send(channel ? channel : host->channel, BW_MSG_HOST_RESULT, bw_buf_slice(&call->result), &output, call->output ? 1 : 0);
}

void bw_host_receive(struct bw_mail *mail, void *arg)
{
    struct bw_host *host = arg;
    if (mail->kind == MAIL_LOG) {
        struct log_line *line = (struct log_line *)((char *)mail - offsetof(struct log_line, mail));
        send_log(host, line);
        free(line);
        return;
    }
    if (mail->kind == MAIL_BEAT) {
        take_beat((struct bw_host_call *)((char *)mail - offsetof(struct bw_host_call, beat)));
        return;
    }
    struct bw_host_call *call = (struct bw_host_call *)((char *)mail - offsetof(struct bw_host_call, mail));
    send_result(call);
    call_end(call);
}
