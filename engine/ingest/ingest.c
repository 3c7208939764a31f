#include "ingest/ingest.h"
#include "base/clock.h"
#include "base/log.h"
#include "ingest/held.h"
#include "ingest/listener.h"
#include "ingest/loop.h"
#include "ingest/origins.h"
#include "ingest/undecided.h"
#include <event2/event.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define QUEUED_MAX 8192
#define IN_FLIGHT_BYTES ((size_t)128 * 1024 * 1024)
#define OTHER_DESCRIPTORS 128 /* store, workers, log, mailboxes */

static void on_libevent_log(int severity, const char *message)
{
    static const enum bw_log_level levels[] = {BW_LOG_DEBUG, BW_LOG_DEBUG, BW_LOG_WARN, BW_LOG_ERROR};
    bw_log(severity >= 0 && severity < 4 ? levels[severity] : BW_LOG_ERROR, "libevent", BW_STR("message", message));
}

/* libevent would call exit(1) next, running handlers with the process in a state it did not expect. Nothing acknowledged is lost by an abort. */
static void on_libevent_fatal(int code)
{
    bw_log(BW_LOG_ERROR, "libevent.fatal", BW_INT("code", code),
           BW_STR("message", "libevent cannot go on: the engine aborts and recovers at its next start"));
    abort();
}

/* Known-bad libevent packages (before 2.1.12-stable-8+deb12u1) cannot be told by event_get_version(), so that floor is the package's dependency. */
static void set_up_process(void)
{
    signal(SIGPIPE, SIG_IGN);
    event_set_log_callback(on_libevent_log);
    event_set_fatal_callback(on_libevent_fatal);
}

uint64_t bw_ingest_body_max(const struct bw_ingest *ingest, const struct bw_route *route)
{
    uint64_t own = route->settings->max_body_bytes;
    return own ? own : ingest->options.config->max_body_bytes;
}

struct bw_router *bw_loop_router(struct bw_loop *loop)
{
    struct bw_ingest *ingest = loop->ingest;
    /* The loop holds a reference of its own one, so no other can have its address: the same pointer is the same router, and costs no lock. */
    if (atomic_load_explicit(&ingest->router, memory_order_acquire) == loop->router) return loop->router;
    pthread_mutex_lock(&ingest->router_lock);
    struct bw_router *router = bw_router_ref(atomic_load(&ingest->router));
    pthread_mutex_unlock(&ingest->router_lock);
    bw_router_unref(loop->router);
    return loop->router = router;
}

void bw_ingest_set_router_take(struct bw_ingest *ingest, struct bw_router *router)
{
    pthread_mutex_lock(&ingest->router_lock);
    struct bw_router *old = atomic_exchange(&ingest->router, router);
    pthread_mutex_unlock(&ingest->router_lock);
    bw_router_unref(old);
}

/* A cap above what descriptors allow would be met as EMFILE, which nobody answers well. */
static size_t connections_max(const struct bw_config *config)
{
    struct rlimit limit;
    size_t wanted = config->max_connections;
    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur == RLIM_INFINITY || wanted + OTHER_DESCRIPTORS <= limit.rlim_cur) return wanted;
    size_t possible = limit.rlim_cur > 2 * OTHER_DESCRIPTORS ? limit.rlim_cur - OTHER_DESCRIPTORS : limit.rlim_cur / 2;
    bw_log(BW_LOG_WARN, "ingest.few_descriptors", BW_INT("max_connections", wanted), BW_INT("possible", possible),
           BW_STR("hint", "raise the limit of open files (LimitNOFILE, ulimit -n)"));
    return possible;
}

/* Those of one address that the process was started with. `out` has room for all. */
static size_t list_given(const struct bw_inherited *inherited, size_t index, int *out, bool *is_given)
{
    size_t count = 0;
    if (!inherited) return 0;
    for (size_t i = bw_inherited_find(inherited, index, 0); i < inherited->count; i = bw_inherited_find(inherited, index, i + 1)) {
        out[count++] = inherited->sockets[i].fd;
        *is_given = inherited->sockets[i].is_given;
    }
    return count;
}

/* `fds` and `given` have room for as many as there are loops and inherited sockets. */
static bool open_doors(struct bw_ingest *ingest, size_t index, int *fds, int *given, struct bw_error *err)
{
    const struct bw_listen *address = &ingest->options.config->listen[index];
    bool is_given = false, good;
    size_t given_count = list_given(ingest->options.inherited, index, given, &is_given);
    size_t count = given_count > ingest->loop_count ? given_count : ingest->loop_count;
    good = given_count ? bw_listener_adopt(address, given, given_count, is_given, fds, count, &ingest->listeners[index], err)
                       : bw_listener_open(address, fds, count, &ingest->listeners[index], err);
    if (!good) return false;
    for (size_t i = 0; i < count; i++)
        if (!bw_door_add(&ingest->loops[i % ingest->loop_count].doors[index], fds[i]))
            good = bw_error_set(err, "listen.failed", "no memory for a listener");
    return good;
}

static bool prepare(struct bw_ingest *ingest, struct bw_error *err)
{
    const struct bw_config *config = ingest->options.config;
    if (!ingest->options.queued_max) ingest->options.queued_max = QUEUED_MAX;
    if (!ingest->options.in_flight_bytes) ingest->options.in_flight_bytes = IN_FLIGHT_BYTES;
    ingest->live_max = connections_max(config);
    size_t loop_count = config->ingest_threads ? config->ingest_threads : 1;
    ingest->listeners = calloc(config->listen_count + 1, sizeof *ingest->listeners);
    ingest->loops = calloc(loop_count, sizeof *ingest->loops);
    size_t most = loop_count + (ingest->options.inherited ? ingest->options.inherited->count : 0);
    int *fds = calloc(most, sizeof *fds), *given = calloc(most, sizeof *given);
    bool good = ingest->listeners && ingest->loops && fds && given && bw_held_table_open(&ingest->held, ingest->live_max / 2) &&
                (ingest->origins = bw_origins_new(config));
    if (!good) bw_error_set(err, "no_memory", "no memory for the ingest threads");
    for (; good && ingest->loop_count < loop_count; ingest->loop_count++) good = bw_loop_open(&ingest->loops[ingest->loop_count], ingest, err);
    for (size_t i = 0; good && i < config->listen_count; i++) good = open_doors(ingest, i, fds, given, err);
    free(fds);
    free(given);
    return good;
}

static bool start_threads(struct bw_ingest *ingest, struct bw_error *err)
{
    sigset_t all, before;
    int failure = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the main thread's */
    for (size_t i = 0; i < ingest->loop_count && !failure; i++) {
        struct bw_loop *loop = &ingest->loops[i];
        failure = pthread_create(&loop->thread, NULL, bw_loop_run, loop);
        loop->has_thread = !failure;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return !failure || bw_error_set(err, "listen.failed", "cannot start an ingest thread: %s", strerror(failure));
}

struct bw_ingest *bw_ingest_start(const struct bw_ingest_options *options, struct bw_error *err)
{
    struct bw_ingest *ingest = calloc(1, sizeof *ingest);
    if (!ingest) {
        bw_router_unref(options->router);
        bw_error_set(err, "no_memory", "no memory for the listener");
        return NULL;
    }
    ingest->options = *options;
    pthread_mutex_init(&ingest->router_lock, NULL);
    atomic_init(&ingest->router, options->router);
    set_up_process();
    if (prepare(ingest, err) && start_threads(ingest, err)) return ingest;
    bw_ingest_stop(ingest);
    return NULL;
}

struct tls_mail {
    struct bw_loop_mail mail;
    struct bw_tls *tls;
};

static void take_tls(struct bw_loop *loop, struct bw_loop_mail *mail)
{
    struct tls_mail *message = (struct tls_mail *)((char *)mail - offsetof(struct tls_mail, mail));
    bw_tls_unref(loop->tls);
    loop->tls = message->tls;
    free(message);
}

bool bw_ingest_set_tls(struct bw_ingest *ingest, struct bw_tls *tls)
{
    for (size_t i = 0; i < ingest->loop_count; i++) {
        struct tls_mail *message = malloc(sizeof *message);
        if (!message) return false;
        *message = (struct tls_mail){.mail.run = take_tls, .tls = bw_tls_ref(tls)};
        bw_mailbox_post(ingest->loops[i].mailbox, &message->mail.mail);
    }
    return true;
}

void bw_ingest_keys_changed(struct bw_ingest *ingest)
{
    bw_undecided_look_again(ingest);
}

uint16_t bw_ingest_port(const struct bw_ingest *ingest, size_t index)
{
    return ingest->listeners[index].port;
}

static void choose(void *arg, struct bw_uid event, struct bw_uid run, int64_t within_ms)
{
    bw_held_choose(&((struct bw_ingest *)arg)->held, event, run, within_ms);
}

static bool is_awaited(void *arg, struct bw_uid event, struct bw_uid run)
{
    return bw_held_is_awaited(&((struct bw_ingest *)arg)->held, event, run);
}

static void respond(void *arg, const struct bw_response *response)
{
    bw_held_respond(&((struct bw_ingest *)arg)->held, response);
}

struct bw_responders bw_ingest_responders(struct bw_ingest *ingest)
{
    return (struct bw_responders){.arg = ingest, .choose = choose, .is_awaited = is_awaited, .respond = respond};
}

size_t bw_ingest_held(const struct bw_ingest *ingest)
{
    return atomic_load(&ingest->held.count);
}

size_t bw_ingest_parked(const struct bw_ingest *ingest)
{
    return atomic_load(&ingest->parked);
}

size_t bw_ingest_connections(const struct bw_ingest *ingest)
{
    return atomic_load(&ingest->live);
}

int64_t bw_ingest_silent_us(const struct bw_ingest *ingest)
{
    int64_t now_us = bw_clock_mono_us(), longest_us = 0;
    for (size_t i = 0; i < ingest->loop_count; i++) {
        int64_t silent_us = now_us - atomic_load_explicit(&ingest->loops[i].turned_us, memory_order_relaxed);
        if (silent_us > longest_us) longest_us = silent_us;
    }
    return longest_us;
}

/* Several loops may have descriptors of one socket. */
static bool has_socket(const struct bw_inherited *out, int fd)
{
    struct stat one, other;
    for (size_t i = 0; i < out->count; i++)
        if (!fstat(fd, &one) && !fstat(out->sockets[i].fd, &other) && one.st_ino == other.st_ino) return true;
    return false;
}

static bool keep_socket(struct bw_inherited *out, int fd, size_t index, bool is_given)
{
    struct bw_inherited_socket *grown;
    int kept;
    if (has_socket(out, fd)) return true;
    if (!(grown = realloc(out->sockets, (out->count + 1) * sizeof *grown))) return false;
    out->sockets = grown;
    if ((kept = fcntl(fd, F_DUPFD_CLOEXEC, 3)) < 0) return false;
    grown[out->count++] = (struct bw_inherited_socket){.fd = kept, .listen = index, .is_given = is_given};
    return true;
}

bool bw_ingest_hand_over(struct bw_ingest *ingest, struct bw_inherited *out)
{
    *out = (struct bw_inherited){0};
    for (size_t i = 0; i < ingest->options.config->listen_count; i++)
        for (size_t k = 0; k < ingest->loop_count; k++) {
            const struct bw_door *door = &ingest->loops[k].doors[i];
            for (size_t m = 0; m < door->listener_count; m++)
                if (!keep_socket(out, evconnlistener_get_fd(door->listeners[m]), i, ingest->listeners[i].is_given)) {
                    bw_inherited_close(out);
                    return false;
                }
        }
    for (size_t i = 0; i < ingest->options.config->listen_count; i++) ingest->listeners[i].file = (struct bw_unix_socket){0}; /* it stays */
    return true;
}

void bw_ingest_stop_accepting(struct bw_ingest *ingest)
{
    if (atomic_exchange(&ingest->is_draining, true)) return;
    for (size_t i = 0; ingest->listeners && i < ingest->options.config->listen_count; i++) bw_listener_close(&ingest->listeners[i]);
    for (size_t i = 0; i < ingest->loop_count; i++)
        if (ingest->loops[i].has_thread) bw_mailbox_post(ingest->loops[i].mailbox, &ingest->loops[i].drain.mail);
}

void bw_ingest_stop(struct bw_ingest *ingest)
{
    bw_ingest_stop_accepting(ingest);
    for (size_t i = 0; i < ingest->loop_count; i++)
        if (ingest->loops[i].has_thread) bw_mailbox_post(ingest->loops[i].mailbox, &ingest->loops[i].stop.mail);
    for (size_t i = 0; i < ingest->loop_count; i++) {
        if (ingest->loops[i].has_thread) pthread_join(ingest->loops[i].thread, NULL);
        bw_loop_close(&ingest->loops[i]);
    }
    bw_router_unref(atomic_load(&ingest->router));
    pthread_mutex_destroy(&ingest->router_lock);
    bw_held_table_close(&ingest->held);
    bw_origins_free(ingest->origins);
    free(ingest->listeners);
    free(ingest->loops);
    free(ingest);
}
