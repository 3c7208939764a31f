#include "serve/serve.h"
#include "base/clock.h"
#include "base/log.h"
#include "config/listen.h"
#include "dispatch/dispatch.h"
#include "dispatch/fetches.h"
#include "ingest/ingest.h"
#include "serve/certificates.h"
#include "serve/commands.h"
#include "serve/notify.h"
#include "serve/programs.h"
#include "serve/served.h"
#include "serve/upgrade.h"
#include "source/key_ring.h"
#include "store/store.h"
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define SILENCE_US 1000000 /* so long a busy machine may keep a thread from its turn, however short the watchdog is */

enum phase { STARTING, SERVING, MAKING_WAY, STOPPING, STOPPED };
struct engine {
    const struct bw_config *config;
    struct event_base *base;
    struct bw_served served;
    struct bw_store *store;
    struct bw_dispatch *dispatch;
    struct bw_inherited inherited;
    struct bw_notify notify;
    struct bw_ingest *ingest;
    struct bw_certificates *certificates; /* NULL: no address is https */
    struct bw_key_ring *ring;             /* keys of senders that were fetched */
    struct bw_commands commands;
    struct bw_programs_asked *programs;
    struct bw_upgrade *upgrade;
    struct event *on_term, *on_int, *on_hup, *on_usr2, *on_watch, *on_drain_deadline;
    enum phase phase;
    bool is_reloading; /* as the service manager has been told */
    int status;
    int64_t started_us;
};

static void leave(struct engine *engine, int status)
{
    if (engine->status < status) engine->status = status;
    engine->phase = STOPPED;
    event_base_loopbreak(engine->base);
}

static void on_fatal(void *arg, const struct bw_error *err)
{
    bw_log_error(BW_LOG_ERROR, "engine.fatal", err);
    leave(arg, 1);
}

/* ---- start ---- */

static void redact_secrets(const struct bw_config *config)
{
    for (size_t i = 0; i < config->secret_count; i++)
        for (size_t k = 0; k < config->secrets[i].count; k++) bw_log_redact(config->secrets[i].name, config->secrets[i].values[k]);
}

/* ---- who may send: the routes of a catalogue, in two steps ---- */

static bool prepare_routes(void *arg, const json_t *workflows, json_t *errors)
{
    return bw_served_prepare(&((struct engine *)arg)->served, workflows, errors);
}

static void settle_routes(void *arg, bool is_taken)
{
    struct engine *engine = arg;
    if (is_taken && engine->ingest && engine->served.prepared) {
        bw_ingest_set_router_take(engine->ingest, bw_served_take(&engine->served));
        bw_log(BW_LOG_INFO, "sources.activated", BW_INT("sources", bw_router_count(engine->served.current)));
    }
    bw_served_forget(&engine->served);
}

/* Writer thread, in commit order. */
static void on_committed(void *arg, struct bw_accepted *accepted)
{
    struct engine *engine = arg;
    bw_dispatch_post(engine->dispatch, accepted);
}

static void bind_event(void *arg, struct bw_slice event_name, struct bw_slice body, struct bw_binding *out)
{
    bw_dispatch_bind(((struct engine *)arg)->dispatch, event_name, body, out);
}

static bool bind_call(void *arg, struct bw_slice workflow, struct bw_slice event_name, struct bw_slice body, struct bw_binding *out)
{
    return bw_dispatch_bind_call(((struct engine *)arg)->dispatch, workflow, event_name, body, out);
}

static void ask_tool_run(void *arg, struct bw_tool_run_query *query)
{
    bw_dispatch_ask_tool_run(((struct engine *)arg)->dispatch, query);
}

static void ask_approval(void *arg, struct bw_approval_query *query)
{
    bw_dispatch_ask_approval(((struct engine *)arg)->dispatch, query);
}

static void ask_callback(void *arg, struct bw_callback_query *query)
{
    bw_dispatch_ask_callback(((struct engine *)arg)->dispatch, query);
}

static void fetch_key(void *arg, const struct bw_key_wish *wish)
{
    bw_dispatch_fetch_key(((struct engine *)arg)->dispatch, wish);
}

static void on_keys_changed(void *arg)
{
    struct engine *engine = arg;
    if (engine->ingest) bw_ingest_keys_changed(engine->ingest);
}

static void ask_status(void *arg, struct bw_status_query *query)
{
    bw_dispatch_ask_status(((struct engine *)arg)->dispatch, query);
}

/* ---- from ready on ---- */

/* The port is known now. */
static void tell_public_url(struct engine *engine)
{
    struct bw_buf url = {0};
    size_t first = bw_config_first_port(engine->config);
    bw_config_public_url(engine->config, first < engine->config->listen_count ? bw_ingest_port(engine->ingest, first) : 0, &url);
    if (!url.failed) bw_dispatch_set_public_url(engine->dispatch, url.data);
    bw_buf_free(&url);
}

static void tell_listening(struct engine *engine, uint32_t revision)
{
    struct bw_buf all = {0};
    for (size_t i = 0; i < engine->config->listen_count; i++) {
        struct bw_buf url = {0};
        bw_listen_append_url(&url, &engine->config->listen[i], bw_ingest_port(engine->ingest, i));
        bw_log(BW_LOG_INFO, "engine.listening", BW_STR("url", url.data), BW_INT("revision", revision),
               BW_INT("sources", bw_router_count(engine->served.current)), BW_INT("after_ms", (bw_clock_mono_us() - engine->started_us) / 1000),
               BW_STR("version", BELLWIRE_VERSION));
        bw_buf_printf(&all, " %s", url.data ? url.data : "");
        bw_buf_free(&url);
    }
    bw_notify_tell(&engine->notify, "READY=1\nSTATUS=listening on%s", all.data ? all.data : "");
    bw_buf_free(&all);
}

/* The catalogue is stored and loaded: from here on an accepted event has a revision to run under. */
static void on_ready(void *arg, uint32_t revision)
{
    struct engine *engine = arg;
    struct bw_ingest_options options = {.config = engine->config,
                                        .store = engine->store,
                                        .tls = bw_certificates_tls(engine->certificates),
                                        .inherited = &engine->inherited,
                                        .arg = engine,
                                        .bind = bind_event,
                                        .committed = on_committed,
                                        .link_key = bw_dispatch_approval_key(engine->dispatch),
                                        .ask_approval = ask_approval,
                                        .ask_callback = ask_callback,
                                        .ask_status = ask_status,
                                        .ask_tool_run = ask_tool_run,
                                        .bind_call = bind_call,
                                        .ring = engine->ring,
                                        .fetch_key = fetch_key,
                                        .learnt = bw_handover_office_learnt(engine->commands.handovers)};
    struct bw_error err;
    if (engine->phase != STARTING) return;
    bw_error_set(&err, "memory", "out of memory");
    if (engine->served.prepared) options.router = bw_served_take(&engine->served);
    if (!options.router || !(engine->ingest = bw_ingest_start(&options, &err))) {
        bw_log_error(BW_LOG_ERROR, "engine.listen", &err);
        leave(engine, 1);
        return;
    }
    engine->phase = SERVING;
    bw_certificates_serve(engine->certificates, engine->ingest);
    tell_public_url(engine);
    const struct bw_responders responders = bw_ingest_responders(engine->ingest);
    bw_dispatch_set_responders(engine->dispatch, &responders);
    bw_commands_listen(&engine->commands, engine->base, engine->config->data);
    tell_listening(engine, revision);
}

static void on_catalog(void *arg, const json_t *loaded)
{
    size_t errors = bw_dispatch_log_errors(loaded);
    (void)arg;
    bw_log(BW_LOG_INFO, "catalog.loaded", BW_INT("workflows", json_array_size(json_object_get(loaded, "workflows"))),
           BW_INT("actions", json_array_size(json_object_get(loaded, "actions"))), BW_INT("errors", errors));
}

/* ---- stop ---- */

/* The listening sockets outlive the doors, if another program takes our place. */
static void finish(struct engine *engine)
{
    struct bw_inherited sockets;
    if (engine->phase == MAKING_WAY && bw_ingest_hand_over(engine->ingest, &sockets))
        bw_upgrade_keep(engine->upgrade, &sockets);
    else if (engine->phase == MAKING_WAY)
        bw_log(BW_LOG_ERROR, "upgrade.failed", BW_STR("message", "no memory or descriptors to keep the listening sockets: the engine stops"));
    leave(engine, 0);
}

static void on_drained(void *arg)
{
    finish(arg);
}

static void on_drain_deadline(evutil_socket_t fd, short what, void *arg)
{
    struct engine *engine = arg;
    (void)fd, (void)what;
    bw_log(BW_LOG_WARN, "engine.drain_deadline", BW_INT("events_in_hand", bw_dispatch_in_hand(engine->dispatch)),
           BW_STR("message", "they go on at the next start"));
    finish(engine);
}

static void close_doors(struct engine *engine)
{
    if (!engine->ingest) return;
    bw_dispatch_set_responders(engine->dispatch, NULL);
    bw_certificates_serve(engine->certificates, NULL);
    bw_ingest_stop(engine->ingest); /* returns when everything parked at the writer is answered */
    engine->ingest = NULL;
}

/* What is in hand comes to its end, or to that of its time. */
static void drain(struct engine *engine)
{
    const struct timeval deadline = {.tv_sec = engine->config->drain_ms / 1000, .tv_usec = engine->config->drain_ms % 1000 * 1000};
    event_add(engine->on_drain_deadline, &deadline);
    bw_dispatch_drain(engine->dispatch);
}

static void on_signal(evutil_socket_t signal_number, short what, void *arg)
{
    struct engine *engine = arg;
    (void)what;
    if (engine->phase == STARTING || engine->phase == STOPPING) { /* the second one means it */
        leave(engine, engine->phase == STARTING ? 0 : 1);
        return;
    }
    bool was_making_way = engine->phase == MAKING_WAY;
    engine->phase = STOPPING;
    bw_log(BW_LOG_INFO, "engine.stopping", BW_INT("signal", signal_number), BW_INT("events_in_hand", bw_dispatch_in_hand(engine->dispatch)));
    bw_notify_tell(&engine->notify, "STOPPING=1\nSTATUS=finishing %zu events in hand", bw_dispatch_in_hand(engine->dispatch));
    close_doors(engine);
    if (!was_making_way) drain(engine); /* it does already */
}

/* ---- another program takes its place ---- */

/* The doors stay open while runs come to their end: what is accepted meanwhile is the next program's to run. */
static void on_next_judged(void *arg, const struct bw_error *err)
{
    struct engine *engine = arg;
    if (err) {
        bw_log_error(BW_LOG_ERROR, "upgrade.refused", err);
        bw_notify_tell(&engine->notify, "READY=1");
        return;
    }
    if (engine->phase != SERVING) return;
    engine->phase = MAKING_WAY;
    bw_log(BW_LOG_INFO, "upgrade.making_way", BW_INT("events_in_hand", bw_dispatch_in_hand(engine->dispatch)));
    drain(engine);
}

static void on_upgrade(evutil_socket_t signal_number, short what, void *arg)
{
    struct engine *engine = arg;
    struct bw_error err;
    (void)signal_number, (void)what;
    if (engine->phase != SERVING) return;
    bw_error_set(&err, "memory", "out of memory, or /proc is not there");
    if (!engine->upgrade || !bw_upgrade_ask(engine->upgrade, engine->base, engine->config->file, on_next_judged, engine, &err)) {
        bw_log_error(BW_LOG_ERROR, "upgrade.refused", &err);
        return;
    }
    bw_notify_tell(&engine->notify, "RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=asking the next program", (long long)bw_clock_mono_us());
}

static void on_hangup(evutil_socket_t signal_number, short what, void *arg)
{
    struct engine *engine = arg;
    (void)signal_number, (void)what;
    if (engine->phase > SERVING) return;
    if (engine->phase == SERVING && !engine->is_reloading) {
        engine->is_reloading = true;
        bw_notify_tell(&engine->notify, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)bw_clock_mono_us());
    }
    if (engine->certificates) bw_certificates_reload(engine->certificates);
    if (engine->programs) bw_programs_ask(engine->programs);
}

static void on_programs_asked(void *arg)
{
    struct engine *engine = arg;
    if (engine->dispatch) bw_dispatch_reload(engine->dispatch);
}

/* What the watchdog of the service manager is fed for: this loop turns, those that listen do, and what they accept can be stored. */
static bool is_alive(void *arg)
{
    const struct engine *engine = arg;
    int64_t allowed_us = engine->notify.watchdog_us / 2 > SILENCE_US ? engine->notify.watchdog_us / 2 : SILENCE_US;
    if (engine->store && bw_store_is_failed(engine->store)) return false;
    return !engine->ingest || bw_ingest_silent_us(engine->ingest) < allowed_us;
}

/* A reload ends in one of many ways; each of them is an end to the service manager too. */
static void settle_reload(struct engine *engine)
{
    if (!engine->is_reloading || engine->phase != SERVING) return;
    if ((engine->programs && bw_programs_are_asked(engine->programs)) || bw_dispatch_is_reloading(engine->dispatch)) return;
    engine->is_reloading = false;
    bw_notify_tell(&engine->notify, "READY=1");
}

/* A failed fsync or a damaged file: nothing may be acknowledged any more, so the process ends and recovers at the next start. */
static void on_watch(evutil_socket_t fd, short what, void *arg)
{
    struct engine *engine = arg;
    (void)fd, (void)what;
    settle_reload(engine);
    if (!bw_store_is_failed(engine->store)) return;
    bw_log(BW_LOG_ERROR, "engine.store_failed", BW_STR("message", "the store refuses to write: the engine stops and recovers at its next start"));
    leave(engine, 1);
}

static bool make_events(struct engine *engine)
{
    const struct timeval period = {.tv_usec = 100000};
    if (!(engine->base = event_base_new())) return false;
    engine->on_term = evsignal_new(engine->base, SIGTERM, on_signal, engine);
    engine->on_int = evsignal_new(engine->base, SIGINT, on_signal, engine);
    engine->on_hup = evsignal_new(engine->base, SIGHUP, on_hangup, engine);
    engine->on_usr2 = evsignal_new(engine->base, SIGUSR2, on_upgrade, engine);
    engine->on_watch = event_new(engine->base, -1, EV_PERSIST, on_watch, engine);
    engine->on_drain_deadline = event_new(engine->base, -1, 0, on_drain_deadline, engine);
    return engine->on_term && engine->on_int && engine->on_hup && engine->on_usr2 && engine->on_watch && engine->on_drain_deadline &&
           !event_add(engine->on_term, NULL) && !event_add(engine->on_int, NULL) && !event_add(engine->on_hup, NULL) &&
           !event_add(engine->on_usr2, NULL) && !event_add(engine->on_watch, &period);
}

static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit)) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void end(struct engine *engine)
{
    if (engine->upgrade) bw_upgrade_stop_asking(engine->upgrade);
    close_doors(engine);
    bw_programs_free(engine->programs);
    bw_inherited_close(&engine->inherited);
    bw_certificates_free(engine->certificates);
    bw_commands_hang_up(&engine->commands);
    if (engine->dispatch) bw_dispatch_stop(engine->dispatch);
    if (engine->store) bw_store_close(engine->store);
    bw_commands_free(&engine->commands);
    bw_dispatch_free(engine->dispatch);
    bw_served_free(&engine->served);
    bw_key_ring_free(engine->ring);
    if (engine->on_term) event_free(engine->on_term);
    if (engine->on_int) event_free(engine->on_int);
    if (engine->on_hup) event_free(engine->on_hup);
    if (engine->on_usr2) event_free(engine->on_usr2);
    if (engine->on_watch) event_free(engine->on_watch);
    if (engine->on_drain_deadline) event_free(engine->on_drain_deadline);
    bw_notify_close(&engine->notify);
    if (engine->base) event_base_free(engine->base);
}

int bw_serve(const struct bw_config *config, char *const *argv)
{
    struct engine engine = {.config = config, .served.config = config, .started_us = bw_clock_mono_us(), .upgrade = bw_upgrade_new(argv)};
    const struct bw_dispatch_options options = {.config = config,
                                                .store_folder = config->data,
                                                .with_pools = true,
                                                .with_schedules = true,
                                                .keeps_flight = true,
                                                .asks_health = true,
                                                .watch_files = true};
    const struct bw_dispatch_handlers handlers = {.arg = &engine,
                                                  .prepare = prepare_routes,
                                                  .settle = settle_routes,
                                                  .ready = on_ready,
                                                  .catalog = on_catalog,
                                                  .fatal = on_fatal,
                                                  .drained = on_drained};
    struct bw_error err;

    prctl(PR_SET_DUMPABLE, 0); /* secrets are in this memory: no core files, no ptrace by others of the same user */
    raise_descriptor_limit();
    redact_secrets(config);
    if (!bw_served_check(config)) {
        engine.status = 1;
        goto out;
    }
    if (!bw_inherited_take(config, &engine.inherited, &err)) goto fail;
    bw_error_set(&err, "memory", "out of memory");
    if (!make_events(&engine) || !bw_notify_open(&engine.notify, engine.base, is_alive, &engine) || !(engine.ring = bw_key_ring_new()) ||
        !(engine.store = bw_store_open_keeping(config->data, &config->retention, &err)))
        goto fail;
    if (!(engine.certificates = bw_certificates_new(engine.base, config, &err)) && *err.code) goto fail;
    struct bw_dispatch_options with_store = options;
    with_store.store = engine.store;
    with_store.ring = engine.ring;
    with_store.keys_changed = on_keys_changed;
    with_store.keys_arg = &engine;
    if (!(engine.dispatch = bw_dispatch_new(engine.base, &with_store, &handlers, &err))) goto fail;
    bw_error_set(&err, "memory", "out of memory");
    if (!(engine.programs = bw_programs_new(engine.base, config->file, on_programs_asked, &engine))) goto fail;
    const struct bw_commands_of of = {
        .base = engine.base, .store = engine.store, .folder = config->data, .dispatch = engine.dispatch, .router = &engine.served.current};
    if (!bw_commands_open(&engine.commands, &of, &err)) goto fail;
    event_base_dispatch(engine.base);
    bw_log(BW_LOG_INFO, "engine.stopped", BW_INT("status", engine.status));
    goto out;
fail:
    bw_log_error(BW_LOG_ERROR, "engine.start", &err);
    engine.status = 1;
out:
    end(&engine);
    if (engine.upgrade && bw_upgrade_is_due(engine.upgrade)) {
        bw_upgrade_start(engine.upgrade, &err);
        bw_log_error(BW_LOG_ERROR, "upgrade.failed", &err);
        engine.status = 1;
    }
    bw_upgrade_free(engine.upgrade);
    return engine.status;
}
