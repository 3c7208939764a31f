/* kit/do@1: a plugin that keeps the contract, or breaks it in one place that is chosen when it is built. Built by test_plugin_kit.py. */
#include <bellwire_plugin.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef NEEDS
#define NEEDS ""
#endif
#ifndef MORE
#define MORE ""
#endif

struct work {
    struct bw_plugin_call *call;
    struct bw_plugin_timer *timer;
};

static const struct bw_plugin_host *host;

static void end(struct bw_plugin_call *call, enum bw_plugin_outcome outcome, const char *text)
{
    bool is_ok = outcome == BW_PLUGIN_OK;
    struct work *work = call->data;
    call->data = NULL;
    host->complete(host, call,
                   &(struct bw_plugin_result){.size = sizeof(struct bw_plugin_result),
                                              .outcome = outcome,
                                              .output = is_ok ? text : NULL,
                                              .output_len = is_ok ? strlen(text) : 0,
                                              .code = is_ok ? NULL : text,
                                              .message = is_ok ? NULL : "it was given up"});
    free(work);
}

static void finish(void *arg)
{
    struct work *work = arg;
    end(work->call, BW_PLUGIN_OK, "{\"done\":true}");
}

#ifdef ONE_AT_A_TIME
static struct bw_plugin_call *only;
static void finish_only(void *arg)
{
    struct bw_plugin_call *call = only;
    (void)arg;
    only = NULL;
    end(call, BW_PLUGIN_OK, "{\"done\":true}");
}
#endif

#ifdef BEAT
static void beat(void *arg)
{
    struct work *work = arg;
    host->heartbeat(host, work->call);
    work->timer = host->timer(host, 20, beat, work);
}
#endif

static void work_long(struct bw_plugin_call *call)
{
    struct work *work = calloc(1, sizeof *work);
    work->call = call;
    call->data = work;
#ifdef BEAT
    beat(work);
#else
    work->timer = host->timer(host, 3600000, finish, work);
#endif
}

static void execute(void *instance, struct bw_plugin_call *call)
{
    (void)instance;
#if defined(CRASH)
    raise(SIGSEGV);
#elif defined(NEVER)
    return;
#elif defined(CRASH_AT_EDGE)
    if (strstr(call->input, "\"text\":\"\"")) abort();
#elif defined(LEAK)
    memset(malloc(LEAK), 1, LEAK);
#elif defined(LEAK_FILES)
    open("/dev/null", O_RDONLY);
#elif defined(ONE_AT_A_TIME)
    if (!only) host->timer(host, 1, finish_only, NULL);
    only = call; /* in the instance, where there is room for one */
    return;
#elif defined(CRASH_AT_THE_TENTH)
    static unsigned calls;
    if (++calls == 100) raise(SIGILL);
#endif
    if (strstr(call->input, "\"slow\":true")) {
        work_long(call);
        return;
    }
#if defined(NO_OBJECT)
    end(call, BW_PLUGIN_OK, "[1]");
#elif defined(WRONG_OUTPUT)
    end(call, BW_PLUGIN_OK, "{\"done\":\"yes\"}");
#elif defined(NO_REASON)
    host->complete(host, call, &(struct bw_plugin_result){.size = sizeof(struct bw_plugin_result), .outcome = BW_PLUGIN_FAIL});
#elif defined(TWICE)
    end(call, BW_PLUGIN_OK, "{\"done\":true}");
    end(call, BW_PLUGIN_OK, "{\"done\":true}");
#elif defined(FAILS)
    end(call, BW_PLUGIN_FAIL, "kit.empty");
#else
    end(call, BW_PLUGIN_OK, "{\"done\":true}");
#endif
}

static void cancel(void *instance, struct bw_plugin_call *call)
{
    struct work *work = call->data;
    (void)instance;
    if (!work) return;
#if defined(DEAF)
    return;
#elif defined(WRONG_CODE)
    host->cancel_timer(host, work->timer);
    end(call, BW_PLUGIN_FAIL, "kit.bored");
#else
    host->cancel_timer(host, work->timer);
    end(call, BW_PLUGIN_FAIL, BELLWIRE_PLUGIN_CANCELLED);
#endif
}

#ifdef AT_EXIT
static void wait_for_ever(void)
{
    for (;;) pause();
}
#endif

#ifdef CLASH /* functions of the libraries that the host has loaded, and one of the host's own; nobody but this plugin may find these */
BELLWIRE_PLUGIN_EXPORT void *json_loadb(void)
{
    abort();
}
BELLWIRE_PLUGIN_EXPORT void *SSL_new(void)
{
    abort();
}
BELLWIRE_PLUGIN_EXPORT int event_base_loop(void)
{
    abort();
}
BELLWIRE_PLUGIN_EXPORT int bufferevent_write(void)
{
    abort();
}
BELLWIRE_PLUGIN_EXPORT void bw_host_complete(void)
{
    abort();
}
#endif

static void *start(const struct bw_plugin_host *given, const char *config, char *error, size_t size)
{
    host = given;
    (void)config;
#ifdef AT_EXIT
    atexit(wait_for_ever);
#endif
#if defined(BAD_INIT)
    snprintf(error, size, "no licence found");
    return NULL;
#elif defined(CRASH_INIT)
    raise(SIGBUS);
#endif
    (void)error, (void)size;
    return (void *)given;
}

static void stop(void *instance)
{
    (void)instance;
#if defined(CRASH_FINI)
    raise(SIGFPE);
#elif defined(HANG_FINI)
    for (;;) pause();
#endif
}

#if defined(CRASH_LOADING)
__attribute__((constructor)) static void load(void)
{
    raise(SIGSEGV);
}
#elif defined(HANG_LOADING) /* while there is such a file; "" is one that there always is */
__attribute__((constructor)) static void load(void)
{
    while (!*HANG_LOADING || !access(HANG_LOADING, F_OK)) pause();
}
#endif

BELLWIRE_PLUGIN_EXPORT const struct bw_plugin bellwire_plugin = {
    .size = sizeof(struct bw_plugin),
#ifdef BAD_ABI
    .abi = 999,
#else
    .abi = BELLWIRE_PLUGIN_ABI,
#endif
    .manifest = "{\"name\":\"kit\",\"version\":\"1.0.0\"" NEEDS ",\"actions\":[{\"name\":\"kit/do\",\"inputs\":{\"text\":{\"type\":\"string\"},"
                "\"slow\":{\"type\":\"boolean\",\"default\":false}},\"outputs\":{\"done\":{\"type\":\"boolean\",\"required\":true}}" MORE "}]}",
    .init = start,
    .execute = execute,
    .cancel = cancel,
    .fini = stop,
};
