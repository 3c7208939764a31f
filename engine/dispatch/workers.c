/* Run workers: started, configured, watched, replaced. */
#include "base/clock.h"
#include "base/codec.h"
#include "base/file.h"
#include "base/log.h"
#include "dispatch/responses.h"
#include "wire/pass.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- one process ---- */

/* A socketpair whose ends are large enough that a burst of events or results does not stall either side. */
static bool make_pair(int pair[2], struct bw_error *err)
{
    int bytes = 1 << 20;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return bw_error_set(err, "process.socketpair", "cannot make a socketpair: %s", strerror(errno));
    for (int i = 0; i < 2; i++) setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    return true;
}

void bw_worker_free(struct bw_run_worker *worker)
{
    if (!worker) return;
    if (worker->channel) bw_channel_free(worker->channel);
    bw_process_free(worker->process);
    if (worker->lines_socket >= 0) close(worker->lines_socket);
    if (worker->flight) bw_flight_unmap(worker->flight);
    if (worker->flight_file) unlink(worker->flight_file); /* what it says has been counted, or the worker was ended by this engine */
    free(worker->flight_file);
    bw_permits_worker_lost(worker);
    bw_buf_free(&worker->granted);
    free(worker->revisions);
    free(worker);
}

/* In a file, for the engine after this one; if that cannot be made, at least for this one. */
static bool make_page(struct bw_run_worker *worker, int *fd, struct bw_error *err)
{
    const struct bw_dispatch_options *options = &worker->dispatch->options;
    char name[48];
    snprintf(name, sizeof name, BW_FLIGHT_FOLDER "/%u", worker->number);
    if (options->keeps_flight && worker->number) {
        worker->flight_file = bw_file_join(options->store_folder, name);
        if (worker->flight_file && !bw_flight_create(worker->flight_file, &worker->flight, fd)) return true;
        bw_log(BW_LOG_WARN, "flight.not_stored", BW_INT("worker", worker->number), BW_STR("message", strerror(errno)));
        free(worker->flight_file);
        worker->flight_file = NULL;
    }
    if (!bw_flight_create(NULL, &worker->flight, fd)) return true;
    return bw_error_set(err, "process.flight", "cannot make the flight page: %s", strerror(errno));
}

struct bw_run_worker *bw_worker_new(struct bw_dispatch *dispatch, unsigned number, const struct bw_channel_handlers *handlers,
                                    bw_process_ended *ended, struct bw_error *err)
{
    struct bw_run_worker *worker = calloc(1, sizeof *worker);
    int pair[2] = {-1, -1}, flight = -1, lines[2];

    bw_error_set(err, "memory", "out of memory");
    if (!worker) return NULL;
    worker->dispatch = dispatch;
    worker->number = number;
    worker->lines_socket = -1;
    worker->may_have = BW_WORKER_IN_HAND_FIRST;
    TAILQ_INIT(&worker->jobs);
    TAILQ_INIT(&worker->asked);
    if (!make_page(worker, &flight, err) || !make_pair(pair, err)) goto fail;
    if (!bw_pass_pair(lines)) {
        bw_error_set(err, "process.socketpair", "cannot make a socketpair: %s", strerror(errno));
        goto fail;
    }
    worker->lines_socket = lines[0];
    int child_fds[] = {pair[1], flight, lines[1]};
    pair[1] = flight = -1;
    if (!(worker->process = bw_process_spawn(dispatch->base, "worker", child_fds, sizeof child_fds / sizeof *child_fds, ended, worker, err)))
        goto fail;
    worker->channel = bw_channel_new(dispatch->base, pair[0], BW_FRAME_BYTES_MAX, handlers, worker);
    pair[0] = -1;
    if (worker->channel) return worker;
    bw_error_set(err, "memory", "out of memory");
fail:
    if (pair[0] >= 0) close(pair[0]);
    if (pair[1] >= 0) close(pair[1]);
    if (flight >= 0) close(flight);
    bw_worker_free(worker);
    return NULL;
}

static json_t *secrets_of(const struct bw_dispatch *dispatch)
{
    json_t *secrets = json_object();
    for (size_t i = 0; i < dispatch->secret_count; i++) {
        const struct bw_secret *secret = &dispatch->secrets[i];
        json_object_set_new(secrets, secret->name, json_stringn(secret->values[0].ptr, secret->values[0].len));
    }
    return secrets;
}

/* {NAME: the greatest cost of a step, 0 = any} */
static json_t *limits_of(const struct bw_limit_config *limits, size_t count)
{
    json_t *costs = json_object();
    for (size_t i = 0; i < count; i++) json_object_set_new(costs, limits[i].name, json_real(limits[i].rate_ms ? limits[i].burst : 0));
    return costs;
}

void bw_worker_configure(struct bw_run_worker *worker, const struct bw_limit_config *limits, size_t limit_count, bool with_secrets)
{
    const struct bw_config *config = worker->dispatch->options.config;
    json_t *pools = json_array();
    for (size_t i = 0; i < config->pool_count; i++) json_array_append_new(pools, json_string(config->pools[i].name));
    json_t *head =
        json_pack("{s:i,s:I,s:I,s:I,s:I,s:b,s:b,s:b,s:b,s:b,s:o,s:o,s:o*}", "worker", worker->number, "lua_memory_bytes",
                  (json_int_t)config->lua_memory_bytes, "stall_ms", (json_int_t)config->stall_ms, "max_output_bytes",
                  (json_int_t)config->max_output_bytes, "max_run_output_bytes", (json_int_t)config->max_run_output_bytes, "allow_private_network",
                  config->allow_private_network, "trace", worker->dispatch->options.trace, "trial", worker->dispatch->options.trial, "trial_limits",
                  worker->dispatch->options.trial_limits, "hands_over", worker->dispatch->pool_count > 1, "limits", limits_of(limits, limit_count),
                  "pools", pools, "secrets", with_secrets ? secrets_of(worker->dispatch) : NULL);
    json_object_set(head, "config", worker->dispatch->values);
    json_object_set(head, "configure", worker->dispatch->configure);
    if (with_secrets && worker->dispatch->public_url) {
        char key[2 * BW_STORE_KEY_BYTES + 1];
        bw_hex_encode(worker->dispatch->approval_key, BW_STORE_KEY_BYTES, key);
        json_object_set_new(head, "approval_key", json_string(key));
        json_object_set_new(head, "public_url", json_string(worker->dispatch->public_url));
    }
    bw_channel_send_json(worker->channel, BW_MSG_CONFIGURE, head, NULL, 0);
    json_decref(head);
}

void bw_worker_send_values(struct bw_run_worker *worker, json_t *values, json_t *configure, bool with_secrets)
{
    const struct bw_dispatch *dispatch = worker->dispatch;
    json_t *head = json_pack("{s:O,s:O,s:o*,s:o*}", "config", values, "configure", configure, "secrets", with_secrets ? secrets_of(dispatch) : NULL,
                             "limits", with_secrets ? limits_of(dispatch->limits, dispatch->limit_count) : NULL);
    bw_channel_send_json(worker->channel, BW_MSG_VALUES, head, NULL, 0);
    json_decref(head);
}

/* On a crowded machine a worker may miss its deadline because others run: its code would have given way by itself. */
static bool is_starved(struct bw_run_worker *worker, const struct bw_flight_note *note, int64_t now_us)
{
    int64_t cpu = bw_process_cpu_us(worker->process);
    if (cpu < 0 || now_us > note->deadline_us + BW_LATE_WALL_MS * 1000LL) return false;
    if (worker->late_us != note->deadline_us) {
        worker->late_us = note->deadline_us;
        worker->late_cpu_us = cpu;
    }
    return cpu < worker->late_cpu_us + BW_LATE_CPU_MS * 1000LL;
}

void bw_worker_end_if_stalled(struct bw_run_worker *worker, int64_t now_us)
{
    struct bw_flight_note note;
    if (worker->was_stalled) return;
    bw_flight_read(worker->flight, &note);
    if (!note.active || now_us <= note.deadline_us || is_starved(worker, &note, now_us)) return;
    worker->was_stalled = true;
    worker->stall = note;
    bw_process_kill(worker->process);
}

/* What it was doing when it ended. */
static struct bw_flight_note last_note(const struct bw_run_worker *worker)
{
    struct bw_flight_note note = {0};
    if (worker->was_stalled) return worker->stall;
    bw_flight_read(worker->flight, &note);
    return note;
}

bool bw_worker_died_loading(const struct bw_run_worker *worker, const char *how, struct bw_error *err)
{
    struct bw_flight_note note = last_note(worker);
    if (!note.active || strncmp(note.path, "file:", 5) != 0) return false;
    if (worker->was_stalled)
        bw_error_set(err, "lua.timeout", "loading this file did not end within %lld ms", (long long)worker->dispatch->options.config->stall_ms);
    else
        bw_error_set(err, "worker_lost", "loading this file ended the worker process (%s)", how);
    bw_error_at(err, note.path + 5, 0, 0);
    return true;
}

/* ---- those that run events ---- */

static void log_from_worker(const struct bw_message *message)
{
    enum bw_log_level level = BW_LOG_INFO;
    bw_log_level_named(bw_json_str(message->head, "level", "info"), &level);
    bw_log(level, "step.log", BW_STR("message", bw_json_str(message->head, "message", "")), BW_STR("run", bw_json_str(message->head, "run", NULL)),
           BW_STR("workflow", bw_json_str(message->head, "workflow", NULL)), BW_STR("step", bw_json_str(message->head, "step", NULL)));
}

static void on_message(struct bw_channel *channel, const struct bw_message *message, void *arg)
{
    struct bw_run_worker *worker = arg;
    struct bw_dispatch *dispatch = worker->dispatch;
    (void)channel;
    switch (message->type) {
    case BW_MSG_READY:
        worker->state = BW_WORKER_LIVE;
        if (dispatch->revision) bw_catalog_send(worker, dispatch->revision);
        if (dispatch->trial) bw_trial_worker_started(worker);
        bw_jobs_feed_soon(dispatch);
        break;
    case BW_MSG_QUIET:
        if (dispatch->trial) bw_trial_worker_quiet(worker, message->head);
        break;
    case BW_MSG_CATALOG_LOADED: bw_dispatch_catalog_loaded(dispatch, message->head); break;
    case BW_MSG_REPORT: bw_reports_take(worker, message); break;
    case BW_MSG_LOOKED: bw_pool_looked(worker, message->head); break;
    case BW_MSG_RESPOND: bw_responses_choose(dispatch, message->head); break;
    case BW_MSG_CALL:
        if (json_object_get(message->head, "line"))
            bw_hosts_call_on_line(worker, message);
        else
            bw_hosts_call(worker, message);
        break;
    case BW_MSG_CALL_OVER: bw_hosts_call_over(worker, message->head); break;
    case BW_MSG_LINE_TOLD: bw_hosts_line_told(worker, message->head); break;
    case BW_MSG_LINE_LEFT: bw_hosts_line_left(worker, message->head); break;
    case BW_MSG_LINE_LOST: bw_hosts_line_lost(worker, message->head); break;
    case BW_MSG_CALL_CANCEL: bw_hosts_cancel(worker, message->head); break;
    case BW_MSG_PERMIT_ASK: bw_permits_ask(worker, message->head); break;
    case BW_MSG_PERMIT_BACK: bw_permits_back(worker, message->head); break;
    case BW_MSG_USAGE_ASK: bw_usage_ask(worker, message->head); break;
    case BW_MSG_USAGE_END: bw_usage_end(worker, message->head); break;
    case BW_MSG_FETCHED: bw_fetches_take(worker, message->head); break;
    case BW_MSG_LOG: log_from_worker(message); break;
    case BW_MSG_TRACE:
        if (dispatch->handlers.trace) dispatch->handlers.trace(dispatch->handlers.arg, message);
        break;
    default:
        bw_log(BW_LOG_ERROR, "worker.protocol", BW_INT("worker", worker->number), BW_INT("type", message->type),
               BW_STR("message", "unknown message: the worker is replaced"));
        bw_process_kill(worker->process);
    }
}

static void bury(struct bw_run_worker *worker);

/* A worker without a channel is of no use. What it had sent before it died was read by now, and counts. */
static void on_closed(struct bw_channel *channel, const char *reason, void *arg)
{
    struct bw_run_worker *worker = arg;
    (void)channel;
    worker->is_silent = true;
    if (worker->is_dead) {
        bury(worker);
        return;
    }
    if (worker->state == BW_WORKER_KILLED) return;
    bw_log(BW_LOG_DEBUG, "worker.channel", BW_INT("worker", worker->number), BW_STR("reason", reason));
    bw_process_kill(worker->process); /* what follows happens in on_ended() */
}

/* Eight deaths within two seconds, none of them by a step. */
static bool is_spinning(struct bw_dispatch *dispatch)
{
    const size_t count = sizeof dispatch->worker_deaths_us / sizeof *dispatch->worker_deaths_us;
    int64_t now = bw_clock_mono_us();
    memmove(dispatch->worker_deaths_us, dispatch->worker_deaths_us + 1, (count - 1) * sizeof *dispatch->worker_deaths_us);
    dispatch->worker_deaths_us[count - 1] = now;
    return dispatch->worker_deaths_us[0] && now - dispatch->worker_deaths_us[0] < 2000000;
}

static void replace(struct bw_dispatch *dispatch, unsigned number, bool was_noted, const char *how)
{
    struct bw_error err;
    bool spins = !was_noted && is_spinning(dispatch);
    if (spins && (dispatch->trial || !dispatch->is_catalog_reported)) { /* none of them ever did its work: they cannot live here */
        bw_error_set(&err, "worker.spinning", "run workers end as soon as they start (%s)", how);
        bw_error_hint(&err, "the lines before this one in the log say why");
        bw_dispatch_fail(dispatch, &err);
    } else if (spins && dispatch->resting_count < BW_WORKERS_RESTING_MAX) { /* events are accepted meanwhile */
        bw_log(BW_LOG_ERROR, "worker.resting", BW_INT("worker", number), BW_STR("how", how), BW_INT("rest_ms", BW_WORKER_REST_US / 1000),
               BW_STR("message", "workers end again and again, and not by a step: look for who kills them (memory?)"));
        dispatch->resting[dispatch->resting_count].number = number;
        dispatch->resting[dispatch->resting_count++].due_us = bw_clock_mono_us() + BW_WORKER_REST_US;
    } else if (!dispatch->is_failed && !bw_worker_start(dispatch, number, &err)) {
        bw_dispatch_fail(dispatch, &err);
    }
}

/* Its process is gone, and there is nothing of it left to read. */
static void bury(struct bw_run_worker *worker)
{
    struct bw_dispatch *dispatch = worker->dispatch;
    const struct bw_pool *pool = worker->pool;
    unsigned number = worker->number;
    struct bw_flight_note note = last_note(worker);
    struct bw_error err;
    char how[sizeof worker->how];

    memcpy(how, worker->how, sizeof how);
    worker->state = BW_WORKER_KILLED;
    TAILQ_REMOVE(&dispatch->workers, worker, link);
    bool was_loading = bw_worker_died_loading(worker, how, &err), was_idle = !worker->in_hand;
    if (was_loading) {
        bw_catalog_refuse_file(dispatch, note.revision, note.path + 5, &err);
        bw_log_error(BW_LOG_ERROR, "catalog.file_refused", &err);
        note.active = false;
    }
    bw_hosts_cancel_all(worker);
    bw_fetches_worker_lost(worker);
    bw_order_ended(&dispatch->order, worker);
    if (!worker->is_dismissed) bw_jobs_worker_lost(worker, note.active ? &note : NULL, was_loading);
    bw_worker_free(worker);
    if (pool)
        replace(dispatch, number, note.active, how);
    else
        bw_suspects_worker_ended(dispatch, was_idle);
    bw_dispatch_check_drained(dispatch);
}

static void on_ended(struct bw_process *process, int wait_status, const char *how, void *arg)
{
    struct bw_run_worker *worker = arg;
    (void)process, (void)wait_status;
    worker->is_dead = true;
    snprintf(worker->how, sizeof worker->how, "%s", how);
    if (worker->is_silent) bury(worker);
}

struct bw_run_worker *bw_worker_start(struct bw_dispatch *dispatch, unsigned number, struct bw_error *err)
{
    static const struct bw_channel_handlers handlers = {on_message, on_closed};
    struct bw_run_worker *worker = bw_worker_new(dispatch, number, &handlers, on_ended, err);
    if (!worker) return NULL;
    worker->pool = bw_pool_of_worker(dispatch, number);
    TAILQ_INSERT_TAIL(&dispatch->workers, worker, link);
    bw_worker_configure(worker, worker->dispatch->limits, worker->dispatch->limit_count, true);
    bw_pauses_tell(worker);
    return worker;
}

bool bw_workers_start(struct bw_dispatch *dispatch, struct bw_error *err)
{
    for (unsigned i = 1; i <= dispatch->worker_count; i++)
        if (!bw_worker_start(dispatch, i, err)) return false;
    return true;
}

static void start_rested(struct bw_dispatch *dispatch, int64_t now)
{
    struct bw_error err;
    for (size_t i = dispatch->resting_count; i-- > 0;) {
        unsigned number = dispatch->resting[i].number;
        if (now < dispatch->resting[i].due_us) continue;
        dispatch->resting[i] = dispatch->resting[--dispatch->resting_count];
        if (!dispatch->is_failed && !bw_worker_start(dispatch, number, &err)) bw_dispatch_fail(dispatch, &err);
    }
}

void bw_workers_watch(struct bw_dispatch *dispatch)
{
    struct bw_run_worker *worker;
    int64_t now = bw_clock_mono_us();
    start_rested(dispatch, now);
    TAILQ_FOREACH(worker, &dispatch->workers, link)
    {
        worker->may_have += BW_WORKER_IN_HAND_TICK;
        if (worker->may_have > BW_WORKER_IN_HAND_MAX) worker->may_have = BW_WORKER_IN_HAND_MAX;
        bw_worker_end_if_stalled(worker, now);
    }
}

void bw_workers_free(struct bw_dispatch *dispatch)
{
    struct bw_run_worker *worker;
    while ((worker = TAILQ_FIRST(&dispatch->workers))) {
        TAILQ_REMOVE(&dispatch->workers, worker, link);
        bw_worker_free(worker);
    }
}
