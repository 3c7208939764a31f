#include "ingest/held.h"
#include "base/clock.h"
#include "base/crash_point.h"
#include "ingest/connections.h"
#include "ingest/reply.h"
#include "ingest/status.h"
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct bw_held {
    struct bw_loop *loop;
    struct bw_uid event;
    int64_t since_us;
    int64_t least_ms;
    /* the table's, under its lock */
    bool is_taken;
    struct bw_held *also; /* waits for the same event: a call that was repeated */
    struct bw_uid run;    /* who answers; zero: not known yet */
    int64_t deadline_us;
    /* whoever took it, until the mail is posted; then the loop's */
    struct bw_loop_mail mail;
    unsigned status;   /* 0: not an answer of a run */
    const char *state; /* of the run that was called: how it has ended; static */
    bool is_good;
    struct bw_buf type, headers, body;
    /* the loop's */
    struct bw_held *previous, *next;
    struct bw_connection *connection;
    struct bw_router *router; /* of the route; NULL until it has its request */
    const struct bw_route *route;
    struct event *timer;
    struct bw_tool_call *call; /* NULL: it has sent an event */
};

static struct bw_slice key_of(const struct bw_uid *event)
{
    return (struct bw_slice){(const char *)event->bytes, sizeof event->bytes};
}

bool bw_held_table_open(struct bw_held_table *table, size_t max)
{
    pthread_mutex_init(&table->lock, NULL);
    table->max = max;
    table->by_event = bw_map_new();
    return table->by_event != NULL;
}

void bw_held_table_close(struct bw_held_table *table)
{
    if (!table->by_event) return;
    bw_map_free(table->by_event, NULL);
    pthread_mutex_destroy(&table->lock);
}

static struct bw_held_table *table_of(const struct bw_held *held)
{
    return &held->loop->ingest->held;
}

/* True for one caller alone. */
static bool take_locked(struct bw_held_table *table, struct bw_held *held)
{
    struct bw_held *first = held->is_taken ? NULL : bw_map_get(table->by_event, key_of(&held->event));
    if (!first) return false;
    held->is_taken = true;
    if (first != held) {
        while (first->also != held) first = first->also;
        first->also = held->also;
    } else if (held->also) {
        bw_map_set(table->by_event, key_of(&held->event), held->also); /* the key is there: that needs no memory */
    } else {
        bw_map_remove(table->by_event, key_of(&held->event));
    }
    atomic_fetch_sub(&table->count, 1);
    return true;
}

static bool take(struct bw_held *held)
{
    struct bw_held_table *table = table_of(held);
    pthread_mutex_lock(&table->lock);
    bool taken = take_locked(table, held);
    pthread_mutex_unlock(&table->lock);
    return taken;
}

static void held_free(struct bw_held *held)
{
    if (held->timer) event_free(held->timer);
    bw_buf_free(&held->type);
    bw_buf_free(&held->headers);
    bw_buf_free(&held->body);
    bw_router_unref(held->router);
    free(held->call);
    free(held);
}

static void on_answer(struct bw_loop *loop, struct bw_loop_mail *mail);

struct bw_held *bw_held_new(struct bw_loop *loop, struct bw_uid event, const struct bw_binding *binding)
{
    return bw_held_new_call(loop, event, binding, NULL);
}

struct bw_held *bw_held_new_call(struct bw_loop *loop, struct bw_uid event, const struct bw_binding *binding, struct bw_tool_call *call)
{
    struct bw_held_table *table = &loop->ingest->held;
    struct bw_held *held = atomic_load(&table->count) < table->max ? calloc(1, sizeof *held) : NULL;
    if (!held) return NULL;
    held->loop = loop;
    held->event = event;
    held->since_us = bw_clock_mono_us();
    held->least_ms = binding->respond_least_ms;
    held->deadline_us = held->since_us + 1000 * binding->respond_most_ms;
    held->mail.run = on_answer;
    held->call = call;
    if (call) held->run = call->run;
    pthread_mutex_lock(&table->lock);
    held->also = bw_map_get(table->by_event, key_of(&held->event));
    bool is_in = bw_map_set(table->by_event, key_of(&held->event), held);
    if (is_in) atomic_fetch_add(&table->count, 1);
    pthread_mutex_unlock(&table->lock);
    if (is_in) return held;
    held->call = NULL; /* still the caller's */
    held_free(held);
    return NULL;
}

/* ---- the loop's side ---- */

/* What its source says to whatever it takes; else 202, and where to look for what the run has to say. A body of the source's own is sent as it is,
 * without anything of ours: its sender wants just that. */
static void say_where(const struct bw_held *held, struct bw_reply *reply, struct bw_buf *url, struct bw_buf *text, struct bw_buf *headers)
{
    const struct bw_acknowledge *acknowledge = bw_source_acknowledge(held->route->source);
    char event[BW_UID_TEXT];
    bw_reply_accepted(reply, bw_uid_text(held->event, BW_UID_EVENT, event), false);
    bw_reply_acknowledge(reply, acknowledge);
    if (acknowledge->has_body || reply->status == 204) return;
    bw_status_url(held->loop, held->event, held->run, url);
    if (!url->len) return;
    bw_buf_printf(text, "{\"status\":\"accepted\",\"event\":\"%s\",\"status_url\":", event);
    bw_buf_append_json_string(text, bw_buf_slice(url));
    bw_buf_append_text(text, "}\n");
    bw_buf_append_slice(headers, reply->headers);
    bw_buf_append_slice(headers, BW_SLICE("Location\0"));
    bw_buf_append_slice(headers, bw_buf_slice(url));
    bw_buf_append_char(headers, '\0');
    if (text->failed || headers->failed) return; /* no memory: 202 alone is still the promise */
    reply->body = text->data;
    reply->body_len = text->len;
    reply->headers = bw_buf_slice(headers);
}

/* It is taken: nobody else has it. */
static void finish(struct bw_held *held)
{
    struct bw_loop *loop = held->loop;
    struct bw_reply reply;
    struct bw_buf url = {0}, text = {0}, headers = {0};
    if (held->call) {
        const struct bw_mcp_outcome outcome = {.status = held->status ? held->state : "active",
                                               .is_over = held->status != 0,
                                               .is_good = held->is_good,
                                               .output = held->is_good ? bw_buf_slice(&held->body) : (struct bw_slice){"", 0},
                                               .error = held->is_good ? (struct bw_slice){"", 0} : bw_buf_slice(&held->body)};
        bw_tool_call_reply(held->call, &outcome, &text, &reply);
    } else if (held->status) {
        bw_reply_bytes(&reply, held->status, held->type.len ? held->type.data : NULL, bw_buf_slice(&held->body));
        reply.headers = bw_buf_slice(&held->headers);
        reply.closes = false;
    } else {
        say_where(held, &reply, &url, &text, &headers);
    }
    if (held->previous)
        held->previous->next = held->next;
    else
        loop->held = held->next;
    if (held->next) held->next->previous = held->previous;
    bw_connection_answer(held->connection, &reply);
    bw_buf_free(&url);
    bw_buf_free(&text);
    bw_buf_free(&headers);
    held_free(held);
    bw_loop_end_if_done(loop);
}

static void on_answer(struct bw_loop *loop, struct bw_loop_mail *mail)
{
    (void)loop;
    finish((struct bw_held *)((char *)mail - offsetof(struct bw_held, mail)));
}

static bool set_timer(struct bw_held *held, int64_t until_us)
{
    int64_t left_us = until_us - bw_clock_mono_us();
    if (left_us < 1000) left_us = 1000;
    return event_add(held->timer, &(struct timeval){.tv_sec = left_us / 1000000, .tv_usec = left_us % 1000000}) == 0;
}

/* The one that answers may have a longer time than the one that would have. */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct bw_held *held = arg;
    struct bw_held_table *table = table_of(held);
    (void)fd, (void)what;
    pthread_mutex_lock(&table->lock);
    int64_t deadline_us = held->deadline_us;
    bool is_over = bw_clock_mono_us() >= deadline_us, is_ours = is_over && take_locked(table, held), is_taken = held->is_taken;
    pthread_mutex_unlock(&table->lock);
    if (is_ours)
        finish(held);
    else if (!is_taken && !set_timer(held, deadline_us) && take(held))
        finish(held);
}

/* It sends nothing more, so it has gone, or only waits: then it still gets its answer, now. */
static void on_ended(void *arg)
{
    if (take(arg)) finish(arg);
}

void bw_held_keep(struct bw_held *held, struct bw_connection *connection, const struct bw_route *route)
{
    struct bw_loop *loop = held->loop;
    held->connection = connection;
    held->route = route;
    held->router = route->router;
    held->next = loop->held;
    if (held->next) held->next->previous = held;
    loop->held = held;
    held->timer = event_new(loop->base, -1, 0, on_timer, held);
    connection->on_ended = on_ended;
    connection->on_ended_arg = held;
    bool is_heard = !connection->is_gone && !connection->is_at_end && held->timer && set_timer(held, held->since_us + 1000 * held->least_ms);
    if ((!is_heard || loop->is_stopping || atomic_load(&loop->ingest->is_draining)) && take(held)) finish(held);
}

void bw_held_end_all(struct bw_loop *loop)
{
    for (struct bw_held *held = loop->held, *next; held; held = next) {
        next = held->next;
        if (take(held)) finish(held); /* else its answer is on its way to this loop */
    }
}

/* ---- the engine's side ---- */

void bw_held_choose(struct bw_held_table *table, struct bw_uid event, struct bw_uid run, int64_t within_ms)
{
    if (!atomic_load(&table->count)) return;
    pthread_mutex_lock(&table->lock);
    struct bw_held *held = bw_map_get(table->by_event, key_of(&event));
    bool is_ours = held && bw_uid_is_zero(run) && take_locked(table, held);
    if (held && !is_ours) {
        held->run = run;
        held->deadline_us = held->since_us + 1000 * within_ms;
    }
    pthread_mutex_unlock(&table->lock);
    if (is_ours) bw_mailbox_post(held->loop->mailbox, &held->mail.mail);
}

bool bw_held_is_awaited(struct bw_held_table *table, struct bw_uid event, struct bw_uid run)
{
    if (!atomic_load(&table->count)) return false;
    pthread_mutex_lock(&table->lock);
    const struct bw_held *held = bw_map_get(table->by_event, key_of(&event));
    bool is_awaited = held && bw_uid_equal(held->run, run);
    pthread_mutex_unlock(&table->lock);
    return is_awaited;
}

/* False: nobody waits for it any more. */
static bool respond_to_first(struct bw_held_table *table, const struct bw_response *response)
{
    const char *name;
    json_t *value;
    pthread_mutex_lock(&table->lock);
    struct bw_held *held = bw_map_get(table->by_event, key_of(&response->event));
    bool is_ours = held && bw_uid_equal(held->run, response->run) && (response->is_end || !held->call) && take_locked(table, held);
    pthread_mutex_unlock(&table->lock);
    if (!is_ours) return false;
    BW_CRASH_POINT(INGEST_BEFORE_RESPONSE);
    held->status = response->status;
    json_object_foreach((json_t *)response->headers, name, value)
    {
        struct bw_buf *to = !strcasecmp(name, "content-type") ? &held->type : &held->headers;
        if (to == &held->headers) {
            bw_buf_append_text(to, name);
            bw_buf_append_char(to, '\0');
        } else {
            bw_buf_clear(to);
        }
        bw_buf_append_slice(to, bw_json_slice(value));
        bw_buf_append_char(to, '\0');
    }
    if (!held->type.len) {
        bw_buf_append_slice(&held->type, response->type);
        bw_buf_append_char(&held->type, '\0');
    }
    held->state = response->state;
    held->is_good = response->is_end && !response->error.len;
    bw_buf_append_slice(&held->body, held->call && !held->is_good ? response->error : response->body);
    if (held->type.failed || held->headers.failed || held->body.failed) held->status = 0; /* no memory for it: 202 */
    bw_mailbox_post(held->loop->mailbox, &held->mail.mail);
    return true;
}

void bw_held_respond(struct bw_held_table *table, const struct bw_response *response)
{
    while (respond_to_first(table, response)) continue;
}
