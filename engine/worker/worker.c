#include "worker/worker.h"
#include "base/confine.h"
#include "base/log.h"
#include "worker/internal.h"
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define ENGINE_FD 3
#define FLIGHT_FD 4
#define SLICES_A_TURN 64
#define EXPR_INSTRUCTIONS 100000 /* semantics.md 2.5 */
#define EXPR_BYTES (4u << 20)
#define SLICE_US 2000
#define LARGE_BYTES (1 << 20)

static void configure(struct bw_worker *worker, const struct bw_message *message)
{
    const json_t *head = message->head;
    json_t *value;
    size_t index;
    worker->stall_ms = bw_json_int(head, "stall_ms", 2000);
    worker->max_output_bytes = (size_t)bw_json_int(head, "max_output_bytes", 1 << 20);
    worker->max_run_output_bytes = (size_t)bw_json_int(head, "max_run_output_bytes", 16 << 20);
    size_t twice = 2 * worker->max_output_bytes; /* a text and what is made of it */
    worker->limits = (struct bw_script_limits){.memory_bytes = (size_t)bw_json_int(head, "lua_memory_bytes", 32 << 20),
                                               .expr_instructions = EXPR_INSTRUCTIONS,
                                               .expr_bytes = twice > EXPR_BYTES ? twice : EXPR_BYTES,
                                               .slice_us = SLICE_US};
    worker->allow_private_network = bw_json_bool(head, "allow_private_network", false);
    worker->trace = bw_json_bool(head, "trace", false);
    bw_values_take(worker, head);
    json_array_foreach(json_object_get(head, "pools"), index, value) if (!bw_map_set(worker->pools, bw_json_slice(value), worker->pools)) exit(70);
    worker->hands_over = bw_json_bool(head, "hands_over", false);
    bw_approvals_configure(worker, head);
    if (!(worker->http = bw_http_new(worker->base, worker->allow_private_network))) exit(70);
    worker->has_trial_limits = bw_json_bool(head, "trial_limits", false);
    if (bw_json_bool(head, "trial", false) && !bw_trial_begin(worker)) exit(70);
    worker->is_configured = true;
    char ready[48];
    int len = snprintf(ready, sizeof ready, "{\"pid\":%d}", (int)getpid());
    bw_channel_send(worker->channel, BW_MSG_READY, (struct bw_slice){ready, (size_t)len}, NULL, 0);
}

static void on_committed(struct bw_worker *worker, int64_t report)
{
    struct bw_attempt *attempt;
    if (report > worker->committed) worker->committed = report;
    for (attempt = TAILQ_FIRST(&worker->unacknowledged); attempt;) {
        if (attempt->report > worker->committed) {
            attempt = TAILQ_NEXT(attempt, link);
            continue;
        }
        TAILQ_REMOVE(&worker->unacknowledged, attempt, link);
        attempt->wait = BW_WAIT_NONE;
        bw_step_committed(attempt);                     /* which may end other runs and attempts, … */
        attempt = TAILQ_FIRST(&worker->unacknowledged); /* … so from the beginning */
    }
}

static void on_message(struct bw_channel *channel, const struct bw_message *message, void *arg)
{
    struct bw_worker *worker = arg;
    (void)channel;
    if (message->type == BW_MSG_CONFIGURE && !worker->is_configured) {
        configure(worker, message);
        return;
    }
    switch (message->type) {
    case BW_MSG_CATALOG: bw_catalog_load(worker, message); break;
    case BW_MSG_CATALOG_DROP: bw_catalog_drop(worker, (uint32_t)bw_json_int(message->head, "revision", 0)); break;
    case BW_MSG_EVENT: bw_event_take(worker, message); break;
    case BW_MSG_LOOK: bw_report_looked(worker, message); break;
    case BW_MSG_COMMITTED: on_committed(worker, bw_json_int(message->head, "report", -1)); break;
    case BW_MSG_CANCEL: bw_run_take_cancel(worker, message->head); break;
    case BW_MSG_CANCEL_EVENT: bw_cancel_on_take(worker, message); break;
    case BW_MSG_PUBLIC_URL: bw_approvals_configure(worker, message->head); break;
    case BW_MSG_VALUES: bw_values_take(worker, message->head); break;
    case BW_MSG_PAUSED: bw_admission_paused(worker, message->head); break;
    case BW_MSG_PERMIT: bw_permit_given(worker, message); break;
    case BW_MSG_USAGE: bw_meter_answered(worker, message); break;
    case BW_MSG_LINE: bw_line_take(worker, message->head); break;
    case BW_MSG_LINE_RETIRED: bw_line_retire(worker, bw_json_int(message->head, "line", 0)); break;
    case BW_MSG_LINE_ASK: bw_line_asked(worker, bw_json_int(message->head, "line", 0)); break;
    case BW_MSG_CALL_BEAT: bw_heartbeat_take(worker, bw_json_int(message->head, "call", -1)); break;
    case BW_MSG_CALL_RESULT: bw_step_take_result(worker, message); break;
    case BW_MSG_FETCH: bw_fetch_take(worker, message->head); break;
    case BW_MSG_TRIAL: bw_trial_take(worker, message); break;
    default: break; /* a newer engine's word that this worker does not know */
    }
}

static void on_closed(struct bw_channel *channel, const char *reason, void *arg)
{
    (void)channel, (void)reason, (void)arg;
    _exit(0); /* the engine is gone, or wants no more: everything that matters is with it */
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    struct bw_worker *worker = arg;
    struct bw_attempt *attempt, *last = TAILQ_LAST(&worker->ready, bw_attempt_list);
    (void)fd, (void)what;
    for (int i = 0; i < SLICES_A_TURN && (attempt = TAILQ_FIRST(&worker->ready)); i++) {
        bool is_last = attempt == last;
        TAILQ_REMOVE(&worker->ready, attempt, link);
        bw_step_continue(attempt);
        if (is_last) break; /* those that came back during this turn wait for the next */
    }
    if (!TAILQ_EMPTY(&worker->ready)) event_add(worker->ready_event, &(struct timeval){0});
    bw_trial_answer_if_quiet(worker);
}

/* Code of users runs here, in an interpreter that has had its faults: whoever gets out of it can connect to where ctx.http may connect as well, and
 * start nothing. */
static void confine(void)
{
    bw_confine_capabilities();
    if (!bw_confine_calls(&(struct bw_needs){.network = true}))
        bw_log(BW_LOG_WARN, "worker.not_confined",
               BW_STR("message",
                      "this kernel or processor has no seccomp filter: a worker could start processes if Lua code got out of its interpreter"));
}

int bw_worker_main(void)
{
    static const struct bw_channel_handlers handlers = {on_message, on_closed};
    static struct bw_worker worker;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* had the engine died before this line, its end of the socketpair is closed and on_closed() ends us */
    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);               /* the engine decides */
    mallopt(M_MMAP_THRESHOLD, LARGE_BYTES); /* what is larger is a mapping of its own: it grows without a copy, and is gone when it is freed */
    mallopt(M_TRIM_THRESHOLD, 4 * LARGE_BYTES);
    bw_log_setup(BW_LOG_WARN, BW_LOG_JSON, "worker");
    TAILQ_INIT(&worker.catalogs);
    TAILQ_INIT(&worker.runs);
    TAILQ_INIT(&worker.ready);
    TAILQ_INIT(&worker.called);
    TAILQ_INIT(&worker.cache);
    TAILQ_INIT(&worker.unacknowledged);
    TAILQ_INIT(&worker.timers);
    TAILQ_INIT(&worker.held);
    worker.shared = bw_map_new();
    worker.pools = bw_map_new();
    worker.asked = bw_map_new();
    worker.metered = bw_map_new();
    worker.line_of = bw_map_new();
    worker.base = event_base_new();
    worker.flight = bw_flight_map(FLIGHT_FD);
    if (!worker.shared || !worker.pools || !worker.asked || !worker.metered || !worker.line_of || !worker.base || !worker.flight ||
        !bw_scripts_open(&worker) || !bw_suspend_open(&worker) || !(worker.ready_event = event_new(worker.base, -1, 0, on_ready, &worker)) ||
        !(worker.channel = bw_channel_new(worker.base, ENGINE_FD, BW_FRAME_BYTES_MAX, &handlers, &worker))) {
        fprintf(stderr, "bellwire worker: this role is started by the engine (bellwire serve)\n");
        return 2;
    }
    confine();
    event_base_dispatch(worker.base);
    return 0;
}
