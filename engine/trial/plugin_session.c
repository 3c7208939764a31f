#include "trial/plugin_session.h"
#include "base/clock.h"
#include "plugin/file.h"
#include "wire/channel.h"
#include "wire/messages.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct bw_plugin_session {
    struct bw_session_view view;
    struct event_base *base;
    struct bw_channel *channel;
    struct bw_host_ways ways;
    struct event *output, *timer;
    struct bw_plugin_try *calls;
    int64_t next_call;
    char *what;
    bool has_ended; /* the process; what it had sent may not be read yet */
};

/* ---- what it says ---- */

static struct bw_plugin_try *find(const struct bw_plugin_session *session, int64_t id)
{
    struct bw_plugin_try *call = session->calls;
    while (call && call->id != id) call = call->next;
    return call;
}

static void hear(struct bw_plugin_try *call)
{
    int64_t now = bw_clock_mono_us();
    if (now - call->heard_us > call->silence_us) call->silence_us = now - call->heard_us;
    call->heard_us = now;
}

/* A result may be of a call that nobody waits for any more: then it counts for nothing. */
static void take_result(struct bw_plugin_session *session, const struct bw_message *message)
{
    struct bw_plugin_try *call = find(session, bw_json_int(message->head, "call", -1));
    const struct bw_slice *output = bw_message_part(message, message->head, "output_part");
    if (!call || call->is_done) return;
    hear(call);
    call->is_done = true;
    call->ended_us = bw_clock_mono_us();
    call->result = json_incref((json_t *)message->head);
    if (!output) return;
    call->output = bw_json_load(*output, &call->fault);
    if (!call->output || json_is_object(call->output)) return;
    bw_error_set(&call->fault, "output.invalid", "the output is no JSON object");
    json_decref(call->output);
    call->output = NULL;
}

static void on_message(struct bw_channel *channel, const struct bw_message *message, void *arg)
{
    struct bw_plugin_session *session = arg;
    struct bw_plugin_try *call;
    const json_t *error;
    (void)channel;
    switch (message->type) {
    case BW_MSG_HOST_MANIFEST:
        session->view.manifest = json_incref(json_object_get(message->head, "manifest"));
        session->view.has_health = bw_json_bool(message->head, "has_health", false);
        session->view.state = BW_SESSION_LOADED;
        break;
    case BW_MSG_HOST_READY: session->view.state = BW_SESSION_READY; break;
    case BW_MSG_HOST_REFUSED:
        error = json_object_get(message->head, "error");
        bw_error_set(&session->view.refusal, bw_json_str(error, "code", "plugin.refused"), "%s", bw_json_str(error, "message", ""));
        bw_error_hint(&session->view.refusal, "%s", bw_json_str(error, "hint", ""));
        session->view.state = BW_SESSION_REFUSED;
        break;
    case BW_MSG_HOST_RESULT: take_result(session, message); break;
    case BW_MSG_HOST_BEAT:
        if ((call = find(session, bw_json_int(message->head, "call", -1)))) hear(call);
        break;
    case BW_MSG_HOST_LOG:
        if (strstr(bw_json_str(message->head, "message", ""), "complete() was called twice")) session->view.extra_answers++;
        break;
    default: break;
    }
}

static void settle_end(struct bw_plugin_session *session)
{
    if (session->has_ended && !session->channel) session->view.state = BW_SESSION_ENDED;
}

static void on_closed(struct bw_channel *channel, const char *reason, void *arg)
{
    struct bw_plugin_session *session = arg;
    (void)reason;
    bw_channel_free(channel);
    session->channel = NULL;
    settle_end(session);
}

static void on_ended(struct bw_process *process, int wait_status, const char *how, void *arg)
{
    struct bw_plugin_session *session = arg;
    (void)process;
    session->has_ended = true;
    session->view.exit_status = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1;
    bw_host_end_read(session->ways.report, session->what, wait_status, "", &session->view.end);
    if (wait_status == BW_PROCESS_NOT_STARTED) snprintf(session->view.end.how, sizeof session->view.end.how, "it could not be started: %s", how);
    settle_end(session);
}

/* Its own words, for whoever watches. */
static void on_output(evutil_socket_t fd, short what, void *arg)
{
    struct bw_plugin_session *session = arg;
    char text[4096];
    ssize_t got;
    (void)what;
    while ((got = read(fd, text, sizeof text)) > 0) fwrite(text, 1, (size_t)got, stderr);
    if (!got) event_del(session->output);
}

/* ---- waiting ---- */

static void on_time(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg; /* the turn of the loop ends: that is all */
}

bool bw_session_wait(struct bw_plugin_session *session, bool (*done)(const void *arg), const void *arg, int64_t most_ms)
{
    int64_t end_us = bw_clock_mono_us() + most_ms * 1000, left_us;
    while (!done(arg) && session->view.state != BW_SESSION_ENDED && (left_us = end_us - bw_clock_mono_us()) > 0) {
        event_add(session->timer, &(struct timeval){.tv_sec = left_us / 1000000, .tv_usec = left_us % 1000000});
        event_base_loop(session->base, EVLOOP_ONCE);
    }
    event_del(session->timer);
    return done(arg);
}

/* ---- what it is told ---- */

static void tell(struct bw_plugin_session *session, uint16_t type, json_t *head_take, const struct bw_slice *parts, size_t part_count)
{
    if (session->channel) bw_channel_send_json(session->channel, type, head_take, parts, part_count);
    json_decref(head_take);
}

void bw_session_init(struct bw_plugin_session *session, const json_t *config)
{
    tell(session, BW_MSG_HOST_INIT, json_pack("{s:O}", "config", config), NULL, 0);
}

static struct bw_plugin_try *begin(struct bw_plugin_session *session, const char *action, const json_t *input, const json_t *secrets,
                                   int64_t timeout_ms, int64_t heartbeat_ms, bool is_health)
{
    struct bw_plugin_try *call = calloc(1, sizeof *call);
    struct bw_buf text = {0}, about_text = {0};
    char key[40];
    if (!call) return NULL;
    call->id = ++session->next_call;
    call->begun_us = call->heard_us = bw_clock_mono_us();
    call->next = session->calls;
    session->calls = call;
    snprintf(key, sizeof key, "key_%031lld", (long long)call->id);
    bw_json_append(&text, input);
    json_t *about =
        json_pack("{s:s,s:s,s:s,s:i,s:I,s:I,s:b}", "key", is_health ? "" : key, "run", is_health ? "" : "run_of_a_trial", "step",
                  is_health ? "" : "trial", "attempt", 1, "timeout_ms", (json_int_t)timeout_ms, "heartbeat_ms", (json_int_t)heartbeat_ms, "once", 0);
    bw_json_append(&about_text, about);
    json_decref(about);
    const struct bw_slice parts[] = {bw_buf_slice(&text), bw_buf_slice(&about_text)};
    tell(session, BW_MSG_HOST_EXECUTE,
         json_pack("{s:I,s:s,s:b,s:O,s:i,s:i}", "call", (json_int_t)call->id, "action", action, "health", is_health, "secrets", secrets, "input_part",
                   0, "about_part", 1),
         parts, 2);
    bw_buf_free(&text);
    bw_buf_free(&about_text);
    return call;
}

struct bw_plugin_try *bw_session_call(struct bw_plugin_session *session, const char *action, const json_t *input, const json_t *secrets,
                                      int64_t timeout_ms, int64_t heartbeat_ms)
{
    return begin(session, action, input, secrets, timeout_ms, heartbeat_ms, false);
}

struct bw_plugin_try *bw_session_ask(struct bw_plugin_session *session, const json_t *secrets, int64_t timeout_ms)
{
    json_t *nothing = json_object();
    struct bw_plugin_try *call = begin(session, "", nothing, secrets, timeout_ms, 0, true);
    json_decref(nothing);
    return call;
}

void bw_session_cancel(struct bw_plugin_session *session, const struct bw_plugin_try *call)
{
    tell(session, BW_MSG_HOST_CANCEL, json_pack("{s:I}", "call", (json_int_t)call->id), NULL, 0);
}

void bw_session_forget(struct bw_plugin_session *session, struct bw_plugin_try *call)
{
    struct bw_plugin_try **place = &session->calls;
    while (*place && *place != call) place = &(*place)->next;
    if (*place) *place = call->next;
    json_decref(call->result);
    json_decref(call->output);
    free(call);
}

void bw_session_leave(struct bw_plugin_session *session)
{
    if (session->channel) bw_channel_free(session->channel);
    session->channel = NULL;
    settle_end(session);
}

/* ---- life ---- */

const struct bw_session_view *bw_session_view(const struct bw_plugin_session *session)
{
    return &session->view;
}

pid_t bw_session_pid(const struct bw_plugin_session *session)
{
    return bw_process_pid(session->ways.process);
}

size_t bw_session_resident_bytes(const struct bw_plugin_session *session)
{
    return bw_process_resident_bytes(session->ways.process);
}

struct bw_plugin_session *bw_session_open(const char *what, const json_t *needs, bool allow_private_network, struct bw_error *err)
{
    static const struct bw_channel_handlers handlers = {on_message, on_closed};
    struct bw_plugin_session *session = calloc(1, sizeof *session);
    struct bw_plugin_file file = BW_PLUGIN_FILE_NONE;
    bw_error_set(err, "memory", "out of memory");
    if (!session) return NULL;
    session->ways = (struct bw_host_ways){.channel = -1, .report = -1, .output = -1, .lines = -1};
    if (!(session->base = event_base_new()) || !(session->timer = event_new(session->base, -1, 0, on_time, NULL))) goto fail;
    if (!(session->what = strdup(what))) goto fail;
    if (!bw_plugin_file_read(what, &file, err)) {
        bw_error_at(err, what, 0, 0);
        goto fail;
    }
    bool is_copied = file.copy >= 0, is_there = bw_host_spawn(session->base, file.copy, on_ended, session, &session->ways, err);
    bw_plugin_file_close(&file);
    if (!is_there) goto fail;
    session->channel = bw_channel_new(session->base, session->ways.channel, BW_HOST_FRAME_BYTES_MAX, &handlers, session);
    session->output = event_new(session->base, session->ways.output, EV_READ | EV_PERSIST, on_output, session);
    bw_error_set(err, "memory", "out of memory");
    if (!session->channel || !session->output || event_add(session->output, NULL)) goto fail;
    json_t *head = json_pack("{s:s,s:b,s:b}", "path", what, "is_copied", is_copied, "allow_private_network", allow_private_network);
    if (needs) json_object_set(head, "needs", (json_t *)needs);
    tell(session, BW_MSG_HOST_LOAD, head, NULL, 0);
    return session;
fail:
    bw_session_free(session);
    return NULL;
}

void bw_session_free(struct bw_plugin_session *session)
{
    if (!session) return;
    while (session->calls) bw_session_forget(session, session->calls);
    if (session->channel) bw_channel_free(session->channel);
    bw_process_free(session->ways.process);
    if (session->output) event_free(session->output);
    if (session->timer) event_free(session->timer);
    if (session->ways.report >= 0) close(session->ways.report);
    if (session->ways.output >= 0) close(session->ways.output);
    if (session->ways.lines >= 0) close(session->ways.lines);
    if (session->base) event_base_free(session->base);
    json_decref(session->view.manifest);
    free(session->what);
    free(session);
}
