/* bellwire_plugin.h: the C interface between Bellwire and a compiled plugin. ABI 1.
 *
 * This header is all that a plugin needs: it includes nothing of Bellwire, and nothing is linked back. A plugin is a shared object that
 * exports ONE object:
 *
 *     #include <bellwire_plugin.h>
 *     BELLWIRE_PLUGIN_EXPORT const struct bw_plugin bellwire_plugin = {
 *         .size = sizeof(struct bw_plugin), .abi = BELLWIRE_PLUGIN_ABI, .manifest = "{…}",
 *         .init = my_init, .execute = my_execute, .cancel = my_cancel, .fini = my_fini };
 *
 *     cc -shared -fPIC -fvisibility=hidden $(pkg-config --cflags bellwire-plugin) -o echo.so echo.c
 *
 * and is dropped into the plugins folder of an instance.
 *
 * PROCESS. Each plugin lives in a process of its own. A crash, a hang, exit() or a leak costs the calls in progress one attempt, nothing else.
 * What it prints to stdout or stderr goes to the engine's log, a line an entry.
 * Now and then a fresh process takes over while the old one finishes its calls: init() may be called while an older instance still works.
 *
 * WHAT IT MAY DO is what its manifest says under "needs", from its first instruction on: its constructors as well. Without any it computes: it may
 * start threads, and read what is installed on the machine (/usr, /opt) and the folder that it lies in.
 *
 * THREADS. All functions of the plugin are called on one thread, the host's event loop, and must not block it: long work waits through watch_fd() and
 * timer(), or runs in threads of the plugin's own. The functions of struct bw_plugin_host may be called on that one thread only, except complete(),
 * log(), heartbeat() and is_cancelled(), which may be called from any thread.
 *
 * A CALL. execute() starts one attempt of one step and returns at once. complete() ends it, then or later, exactly once per call; after that the call
 * and everything it points to is gone. Many calls may be in progress at once.
 *
 * THE END OF A CALL that has to end before it is done is told by cancel(), once, and by is_cancelled() from then on. The plugin still has to
 * complete() it, and soon; else its process is killed. There are two reasons. The attempt has taken longer than timeout_ms, or has not beaten for
 * heartbeat_ms: then it has failed already, the result is dropped, and there is a second left. Or its run was cancelled: then there are 10 s left,
 * and a result that comes in them is recorded. One that has done its work all the same is completed as OK, so that the workflow can undo it; one that
 * has not as FAIL with the code BELLWIRE_PLUGIN_CANCELLED.
 *
 * PENDING. A result that comes from somebody else, much later, need not be waited for: hand callback_url to whoever will have it, and complete() the
 * call as PENDING. It is over then, and no process is needed any more: the step waits, over restarts as well, until a JSON body is posted there,
 * {"output": {…}} or {"error": {"code", "message", "retry": true or false}}. The link is of this attempt; an earlier attempt's still counts.
 *
 * HEARTBEAT. With heartbeat_ms > 0 the call has to say that it is alive, by heartbeat(), at least that often: the attempt of one that is silent for
 * longer fails and is tried again, long before timeout_ms is over. A beat costs next to nothing, in a tight loop as well.
 *
 * GUARANTEE. A step is executed at least once. After a crash the same step comes again with the same idempotency_key: send it to
 * whatever you call, so that nothing is done twice. A step with `guarantee: at_most_once` is tried again only after a RETRY that is not doubtful.
 *
 * HEALTH. A plugin that depends on somebody else (a database, a mail server) may say whether it could do its work now: health(), which is asked when
 * it is ready, every 30 s, soon after a call has failed in a way that may pass, and every 5 s while it is ill. It is for people: what is ill still
 * gets its calls, and each of them finds out by itself.
 *
 * VERSIONS. Fields are only ever added at the end of a struct; `size` is the caller's sizeof and tells which exist. `abi` changes only when
 * something that exists changes its meaning; the host refuses a plugin of another number.
 *
 * STRINGS are UTF-8 and NUL-terminated; JSON texts also have a length. Strings given to the plugin live as long as the call (or the plugin, for
 * init()); strings given by the plugin are copied before the function returns. */
#ifndef BELLWIRE_PLUGIN_H
#define BELLWIRE_PLUGIN_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BELLWIRE_PLUGIN_ABI 1
#define BELLWIRE_PLUGIN_CANCELLED "step.cancelled"
#define BELLWIRE_PLUGIN_EXPORT __attribute__((visibility("default")))

enum bw_plugin_level { BW_PLUGIN_DEBUG, BW_PLUGIN_INFO, BW_PLUGIN_WARN, BW_PLUGIN_ERROR };

/* One attempt of one step. Owned by the host, read-only for the plugin except `data`. */
struct bw_plugin_call {
    size_t size;
    const char *action; /* "ns/name", one of the manifest's */
    const char *input;  /* JSON object, already checked against the manifest's inputs, defaults filled in */
    size_t input_len;
    const char *idempotency_key; /* the same over attempts and crashes of this step, 35 characters of [a-z0-9_] */
    const char *run, *step;      /* for messages */
    uint32_t attempt;            /* 1, 2, … */
    int64_t timeout_ms;          /* how long this attempt may take, from the call of execute() */
    void *data;                  /* the plugin's: its own state of this call */
    bool is_once;                /* guarantee: at_most_once: send nothing a second time by yourself */
    int64_t heartbeat_ms;        /* heartbeat() has to be called so often; 0 = it need not be */
    const char *callback_url;    /* where the result may be posted after BW_PLUGIN_PENDING; NULL: no link can be made */
};

enum bw_plugin_outcome {
    BW_PLUGIN_OK = 0,      /* output is the step's output */
    BW_PLUGIN_RETRY = 1,   /* a failure that may pass: tried again by the step's retry rules, not before retry_after_ms */
    BW_PLUGIN_FAIL = 2,    /* a failure that stays */
    BW_PLUGIN_PENDING = 3, /* somebody who was given callback_url will post the result there */
};
struct bw_plugin_result {
    size_t size;
    enum bw_plugin_outcome outcome;
    const char *output; /* OK: JSON object; NULL = {} */
    size_t output_len;
    const char *code;       /* RETRY, FAIL: for programs, dotted: "http.timeout"; cut behind 100 bytes */
    const char *message;    /* RETRY, FAIL: for people; never put a secret in; cut behind 4096 bytes */
    int64_t retry_after_ms; /* RETRY: 0 or less = no wish */
    bool is_doubtful;       /* RETRY, FAIL: the effect may have happened all the same: no answer came. Never tried again under at_most_once */
    int64_t within_ms;      /* PENDING: how long it may take until the result is posted; 0 = as long as the run may take */
};

enum bw_plugin_watch_for { BW_PLUGIN_READ = 1, BW_PLUGIN_WRITE = 2 };
struct bw_plugin_watch; /* opaque */
struct bw_plugin_timer; /* opaque */

/* What the host offers. Valid until fini() returns. */
struct bw_plugin_host {
    size_t size;
    uint32_t abi;
    void *opaque; /* the host's */
    /* Ends a call. Any thread. A second completion of the same call is ignored and logged. */
    void (*complete)(const struct bw_plugin_host *host, struct bw_plugin_call *call, const struct bw_plugin_result *result);
    /* A line for the log, cut behind 4096 bytes. Any thread. call may be NULL. */
    void (*log)(const struct bw_plugin_host *host, const struct bw_plugin_call *call, enum bw_plugin_level level, const char *text);
    /* A secret that the manifest's action names and the workflow was granted, or that the plugin's configuration names; NULL = not granted. Lives as
     * long as the call: ask in each one. */
    const char *(*secret)(const struct bw_plugin_host *host, const struct bw_plugin_call *call, const char *name);
    /* Calls ready(arg, fd, what) on the loop's thread whenever fd can be read or written (bits of bw_plugin_watch_for), until unwatch(). NULL without
     * memory. */
    struct bw_plugin_watch *(*watch_fd)(const struct bw_plugin_host *host, int fd, int watch_for, void (*ready)(void *arg, int fd, int what),
                                        void *arg);
    void (*unwatch)(const struct bw_plugin_host *host, struct bw_plugin_watch *watch);
    /* Calls fire(arg) once on the loop's thread after delay_ms; the timer is gone when fire is called. NULL without memory. */
    struct bw_plugin_timer *(*timer)(const struct bw_plugin_host *host, int64_t delay_ms, void (*fire)(void *arg), void *arg);
    void (*cancel_timer)(const struct bw_plugin_host *host, struct bw_plugin_timer *timer);
    /* May a connection go to this address (struct sockaddr)? False for loopback, private, link-local and other non-public addresses unless the
     * instance allows them. Ask at the moment of connecting, about the address itself, never about a name. */
    bool (*may_connect)(const struct bw_plugin_host *host, const void *sockaddr, size_t sockaddr_len);
    /* The call is alive. Any thread, as often as you like, until complete(). Nothing when the call has no heartbeat_ms. */
    void (*heartbeat)(const struct bw_plugin_host *host, struct bw_plugin_call *call);
    /* Is the call to end? Any thread, until complete(): for threads that work for long; cancel() says the same on the loop's. */
    bool (*is_cancelled)(const struct bw_plugin_host *host, const struct bw_plugin_call *call);
};

/* The exported object. */
struct bw_plugin {
    size_t size;
    uint32_t abi; /* BELLWIRE_PLUGIN_ABI */
    /* JSON: {"name": "echo", "version": "1.0.0", "doc": "…", "needs": […], "config": {FIELD: …}, "actions": [ACTION…]} with ACTION = {"name":
     * "ns/name", "doc": "…", "inputs": {FIELD: {"type": "string|integer|number|boolean|object|array|any", "required": true, "default": …, "enum":
     * […], "min": …, "max": …, "doc": "…"}}, "outputs": {…the same…}, "secrets": ["NAME"], "effect": "none|read|write", "timeout": "30s",
     * "heartbeat": "10s", "retry":
     * {"attempts": 5, "delay": "2s", …}}. A workflow uses it as `uses: ns/name@1`, 1 being the first number of version.
     * "config": fields as in inputs, what bellwire.yaml may say under configure: {NAME: {…}} with the name of this manifest; a string field with
     * "secret": true as well is written {secret: NAME} there. Without "config" the plugin takes no configuration.
     * "needs": what it does beyond its own memory: "network", "unix" (Unix sockets), "exec" (start programs), "groups" (let them live in process
     * groups of their own, which do not end with its process), "files:/PATH" (read and write that and all beneath it), "reads:/PATH" (read only);
     * "files:$FIELD" and "reads:$FIELD" (the same for the paths in that field of the configuration), "network:$FIELD" and "unix:$FIELD" (if that
     * field is true). */
    const char *manifest;
    /* Once, before the first call; must return at once. config: JSON object, checked against the manifest's config, defaults filled in; a secret
     * field is {"secret": NAME}, to be asked for by secret() in each call. When the configuration changes, another process gets it. The instance is
     * handed to every other function. NULL = refused: write the reason, with the cure, into error. May be NULL itself: then the instance is the host
     * pointer. */
    void *(*init)(const struct bw_plugin_host *host, const char *config, char *error, size_t error_size);
    void (*execute)(void *instance, struct bw_plugin_call *call);
    void (*cancel)(void *instance, struct bw_plugin_call *call); /* may be NULL: then the call has to end by itself, or threads poll is_cancelled() */
    void (*fini)(void *instance);                                /* may be NULL */
    /* May be NULL. Could a call be done now? The question is a call of no step: its action is "", its input {}, its timeout_ms 5 s, and it may read
     * the secrets that the configuration names. It is completed like any other, and cancelled by cancel(): OK says that it is well; RETRY and FAIL
     * that it is ill, with the code and the message that people see. Must change nothing anywhere. */
    void (*health)(void *instance, struct bw_plugin_call *call);
};

#ifdef __cplusplus
}
#endif
#endif
