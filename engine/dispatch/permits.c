/* Permits of the named limits: workers ask, the limiter says whose turn it is, and what is owed outlives the process. Keys are hashed at once: they
 * may be anything and may be personal, and all that matters is whether two are the same. */
#include "base/clock.h"
#include "base/log.h"
#include "dispatch/internal.h"
#include "dispatch/limiter.h"
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#define KEY_BYTES 16
#define PAUSE_MAX_MS 3600000  /* semantics.md 2.5 */
#define STORE_EVERY_US 250000 /* so much, and the time of a commit, may be forgotten when the engine dies; less is not written before it stops */
#define SWEEP_EVERY_US 10000000

struct bw_asked {               /* a permit that a worker waits for or has */
    TAILQ_ENTRY(bw_asked) link; /* in worker->asked */
    struct bw_run_worker *worker;
    int64_t number; /* the worker's */
    struct bw_permit *permit;
};
struct bw_permits {
    struct bw_dispatch *dispatch;
    struct bw_limiter *limiter;
    struct bw_map *asked; /* worker and number → struct bw_asked */
    struct event *turn;   /* looks whose turn it is: once for all that a loop's turn has brought, and when the next one is due */
    bool has_news, is_storing;
    int64_t stored_us, swept_us;
};
struct stored_limits { /* on the way to the disk */
    struct bw_store_op op;
    struct bw_mail mail;
    struct bw_dispatch *dispatch;
    size_t capacity;
    struct bw_limit_row *rows;
    int64_t mono_us, wall_ms;
};

/* In a trial time is the trial's own. */
static int64_t clock_us(const struct bw_permits *permits)
{
    return permits->dispatch->options.trial ? bw_clock_wall_ms() * 1000 : bw_clock_mono_us();
}

/* ---- asked for and given ---- */

struct asked_key {
    int64_t number;
    uint64_t worker;
};
static struct bw_slice key_of(struct asked_key *key, const struct bw_run_worker *worker, int64_t number)
{
    *key = (struct asked_key){number, worker->number};
    return (struct bw_slice){(const char *)key, sizeof *key};
}

static void look_soon(struct bw_permits *permits)
{
    event_add(permits->turn, &(struct timeval){0});
}

void bw_permits_ask(struct bw_run_worker *worker, const json_t *head)
{
    struct bw_permits *permits = worker->dispatch->permits;
    struct bw_slice key = bw_json_slice(json_object_get(head, "key"));
    unsigned char hash[SHA256_DIGEST_LENGTH];
    struct asked_key place;
    struct bw_asked *asked = permits ? calloc(1, sizeof *asked) : NULL;
    if (!asked) goto refuse;
    if (key.len) key = (struct bw_slice){(const char *)SHA256((const unsigned char *)key.ptr, key.len, hash), KEY_BYTES};
    asked->worker = worker;
    asked->number = bw_json_int(head, "permit", 0);
    asked->permit =
        bw_limiter_ask(permits->limiter, bw_json_slice(json_object_get(head, "limit")), key, json_number_value(json_object_get(head, "cost")), asked);
    if (!asked->permit || !bw_map_set(permits->asked, key_of(&place, worker, asked->number), asked)) goto refuse;
    TAILQ_INSERT_TAIL(&worker->asked, asked, link);
    look_soon(permits);
    return;
refuse: /* no memory: its events go to another worker, later */
    if (asked && asked->permit) bw_permit_back(permits->limiter, asked->permit);
    free(asked);
    bw_process_kill(worker->process);
}

static void end(struct bw_permits *permits, struct bw_asked *asked)
{
    struct asked_key place;
    bw_map_remove(permits->asked, key_of(&place, asked->worker, asked->number));
    TAILQ_REMOVE(&asked->worker->asked, asked, link);
    bw_permit_back(permits->limiter, asked->permit);
    free(asked);
    look_soon(permits);
}

void bw_permits_back(struct bw_run_worker *worker, const json_t *head)
{
    struct bw_permits *permits = worker->dispatch->permits;
    struct asked_key place;
    struct bw_asked *asked = permits ? bw_map_get(permits->asked, key_of(&place, worker, bw_json_int(head, "permit", 0))) : NULL;
    int64_t pause_ms = bw_json_int(head, "pause_ms", 0);
    if (!asked) return;
    if (pause_ms > PAUSE_MAX_MS) pause_ms = PAUSE_MAX_MS;
    if (pause_ms > 0) {
        bw_permit_pause(permits->limiter, asked->permit, clock_us(permits) + pause_ms * 1000);
        permits->has_news = true;
    }
    end(permits, asked);
}

void bw_permits_worker_lost(struct bw_run_worker *worker)
{
    while (!TAILQ_EMPTY(&worker->asked)) end(worker->dispatch->permits, TAILQ_FIRST(&worker->asked));
}

static void tell(struct bw_run_worker *worker)
{
    if (!worker->granted.len) return;
    bw_buf_append_text(&worker->granted, "]}");
    /* A permit that cannot be told would be waited for: the worker ends, and its events go to another one. */
    if (worker->granted.failed || !bw_channel_send(worker->channel, BW_MSG_PERMIT, bw_buf_slice(&worker->granted), NULL, 0))
        bw_process_kill(worker->process);
    bw_buf_clear(&worker->granted);
}

/* Gives permits to those whose turn it is. *wait_us: until the next one's, -1 = until one is given back. */
static bool give(struct bw_permits *permits, int64_t *wait_us)
{
    struct bw_run_worker *worker;
    struct bw_permit *permit;
    int64_t now_us = clock_us(permits), due_us;
    bool was_given = false;
    while ((permit = bw_limiter_next(permits->limiter, now_us, &due_us))) {
        const struct bw_asked *asked = bw_permit_owner(permit);
        struct bw_buf *granted = &asked->worker->granted;
        bw_buf_printf(granted, granted->len ? ",%lld" : "{\"permits\":[%lld", (long long)asked->number);
        permits->has_news = was_given = true;
    }
    TAILQ_FOREACH(worker, &permits->dispatch->workers, link) tell(worker);
    *wait_us = due_us < 0 ? -1 : due_us - now_us;
    return was_given;
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
    struct bw_permits *permits = arg;
    int64_t wait_us;
    (void)fd, (void)what;
    if (give(permits, &wait_us)) permits->dispatch->exchanged++;
    if (wait_us >= 0 && !permits->dispatch->options.trial)
        event_add(permits->turn, &(struct timeval){.tv_sec = wait_us / 1000000, .tv_usec = wait_us % 1000000});
}

bool bw_permits_turn(struct bw_permits *permits, int64_t *due_ms)
{
    int64_t wait_us;
    bool was_given = give(permits, &wait_us);
    *due_ms = wait_us < 0 ? 0 : (clock_us(permits) + wait_us + 999) / 1000;
    return was_given;
}

/* ---- what is owed ---- */

static void on_stored(struct bw_store_op *op)
{
    struct stored_limits *stored = op->owner;
    bw_mailbox_post(stored->dispatch->mailbox, &stored->mail); /* writer thread */
}

static void free_stored(struct stored_limits *stored)
{
    for (size_t i = 0; i < stored->op.limit_count; i++) free((void *)stored->rows[i].name.ptr);
    free(stored->rows);
    free(stored);
}

void bw_permits_stored(struct bw_mail *mail)
{
    struct stored_limits *stored = (struct stored_limits *)((char *)mail - offsetof(struct stored_limits, mail));
    struct bw_permits *permits = stored->dispatch->permits;
    if (permits) permits->is_storing = false;
    if (stored->op.failed) { /* a full disk stops no step: what is owed is in memory, and is written again when it changes */
        bw_log_error(BW_LOG_WARN, "limits.not_stored", &stored->op.error);
        if (permits) permits->stored_us = clock_us(permits) + SWEEP_EVERY_US;
    }
    free_stored(stored);
}

static void add_row(void *arg, const struct bw_limit_debt *debt)
{
    struct stored_limits *stored = arg;
    size_t *count = &stored->op.limit_count;
    if (*count == stored->capacity) {
        size_t capacity = stored->capacity ? stored->capacity * 2 : 8;
        struct bw_limit_row *grown = realloc(stored->rows, capacity * sizeof *grown);
        if (!grown) return; /* it is written when it changes again */
        stored->rows = grown;
        stored->capacity = capacity;
    }
    char *text = malloc(debt->name.len + debt->key.len + 1);
    if (!text) return;
    memcpy(text, debt->name.ptr, debt->name.len);
    memcpy(text + debt->name.len, debt->key.ptr, debt->key.len);
    stored->rows[(*count)++] = (struct bw_limit_row){
        .name = {text, debt->name.len},
        .key = {text + debt->name.len, debt->key.len},
        .free_ms = debt->free_us > stored->mono_us ? stored->wall_ms + (debt->free_us - stored->mono_us + 999) / 1000 : 0,
        .paused_ms = debt->paused_us > stored->mono_us ? stored->wall_ms + (debt->paused_us - stored->mono_us + 999) / 1000 : 0,
    };
}

/* What is owed for `least_us` and longer. */
static void store(struct bw_permits *permits, int64_t least_us)
{
    struct bw_dispatch *dispatch = permits->dispatch;
    struct stored_limits *stored;
    permits->has_news = false;
    permits->stored_us = clock_us(permits);
    if (!dispatch->options.store || !(stored = calloc(1, sizeof *stored))) return;
    stored->dispatch = dispatch;
    stored->mail.kind = BW_MAIL_LIMITS;
    stored->mono_us = permits->stored_us;
    stored->wall_ms = bw_clock_wall_ms();
    stored->op = (struct bw_store_op){.kind = BW_OP_LIMITS, .done = on_stored, .owner = stored};
    bw_limiter_owed(permits->limiter, stored->mono_us, least_us, add_row, stored);
    if (!stored->op.limit_count) {
        free_stored(stored);
        return;
    }
    if (stored->mono_us - permits->swept_us >= SWEEP_EVERY_US) {
        stored->op.now_ms = stored->wall_ms;
        permits->swept_us = stored->mono_us;
    }
    stored->op.limits = stored->rows;
    permits->is_storing = true;
    bw_store_submit(dispatch->options.store, &stored->op);
}

void bw_permits_store(struct bw_permits *permits)
{
    store(permits, 1); /* who stops in good order forgets nothing: the next process may begin within the same moment */
}

void bw_permits_watch(struct bw_permits *permits)
{
    int64_t now_us = clock_us(permits);
    if (!permits->has_news || permits->is_storing || now_us - permits->stored_us < STORE_EVERY_US) return;
    bw_limiter_sweep(permits->limiter, now_us);
    store(permits, STORE_EVERY_US);
}

/* ---- life ---- */

/* The clock may have been set since: no more is taken for owed than the rule could have come to. */
static bool owe(void *arg, const struct bw_limit_row *row)
{
    struct bw_permits *permits = arg;
    const struct bw_config *config = permits->dispatch->options.config;
    int64_t now_us = clock_us(permits), now_ms = bw_clock_wall_ms(), owed_us = (row->free_ms - now_ms) * 1000, pause_ms = row->paused_ms - now_ms;
    for (size_t i = 0; i < config->limit_count; i++) {
        const struct bw_limit_config *limit = &config->limits[i];
        if (!bw_slice_is(row->name, limit->name)) continue;
        double most_us = limit->rate_ms ? limit->burst * (double)limit->rate_ms * 1000 / limit->rate_count : 0;
        if (!row->free_ms || owed_us < 0) owed_us = 0;
        if ((double)owed_us > most_us) owed_us = (int64_t)most_us;
        if (!row->paused_ms || pause_ms < 0) pause_ms = 0;
        if (pause_ms > PAUSE_MAX_MS) pause_ms = PAUSE_MAX_MS;
        if (owed_us || pause_ms)
            bw_limiter_owe(permits->limiter, &(struct bw_limit_debt){row->name, row->key, now_us + owed_us, pause_ms ? now_us + pause_ms * 1000 : 0});
    }
    return true;
}

bool bw_permits_set(struct bw_permits *permits, const struct bw_limit_config *limits, size_t count)
{
    bool good = true;
    for (size_t i = 0; i < count; i++) {
        const struct bw_limit_rule rule = {limits[i].rate_count, limits[i].rate_ms * 1000, limits[i].burst, limits[i].concurrency};
        good &= bw_limiter_set(permits->limiter, bw_slice_of(limits[i].name), &rule, clock_us(permits));
    }
    permits->has_news = true;
    look_soon(permits);
    return good;
}

struct bw_permits *bw_permits_new(struct bw_dispatch *dispatch, struct bw_error *err)
{
    const struct bw_config *config = dispatch->options.config;
    struct bw_permits *permits = calloc(1, sizeof *permits);
    bw_error_set(err, "memory", "out of memory");
    if (!permits) return NULL;
    permits->dispatch = dispatch;
    permits->limiter = bw_limiter_new();
    permits->asked = bw_map_new();
    permits->turn = event_new(dispatch->base, -1, 0, on_turn, permits);
    bool good = permits->limiter && permits->asked && permits->turn && bw_permits_set(permits, config->limits, config->limit_count);
    if (good && bw_reader_limits(dispatch->reader, owe, permits, err)) return permits;
    bw_permits_free(permits);
    return NULL;
}

void bw_permits_free(struct bw_permits *permits)
{
    if (!permits) return;
    if (permits->turn) event_free(permits->turn);
    bw_map_free(permits->asked, NULL);
    bw_limiter_free(permits->limiter);
    free(permits);
}
