/* plugin_session.h: one process of one plugin, as `serve` would have it, and calls of it, step by step: for whoever tries plugins (conformance.h).
 *
 * Nothing here waits longer than it is told to, whatever the plugin does. One thread; its own event loop. Texts and values are borrowed until the
 * session, or the call, is freed. */
#ifndef BW_TRIAL_PLUGIN_SESSION_H
#define BW_TRIAL_PLUGIN_SESSION_H
#include "base/error.h"
#include "base/json.h"
#include "dispatch/host_ways.h"
#include <stdint.h>

struct bw_plugin_session;
struct bw_plugin_try { /* a call */
    struct bw_plugin_try *next;
    int64_t id;
    bool is_done;
    json_t *result; /* BW_MSG_HOST_RESULT */
    json_t *output; /* NULL: it has none, or none that is a JSON object: see fault */
    struct bw_error fault;
    int64_t begun_us, ended_us, heard_us, silence_us; /* heard: when it beat last; silence: the longest time without */
};

enum bw_session_state {
    BW_SESSION_LOADING,
    BW_SESSION_LOADED, /* its manifest is there */
    BW_SESSION_READY,  /* it has been initialised */
    BW_SESSION_REFUSED,
    BW_SESSION_ENDED
};
struct bw_session_view {
    enum bw_session_state state;
    json_t *manifest;
    bool has_health; /* it can say how it is */
    struct bw_error refusal;
    struct bw_host_end end;
    int exit_status;        /* ENDED: -1 = by a signal */
    unsigned extra_answers; /* that it gave to calls which it had answered before */
};
/* what: the shared object. needs NULL: nothing. NULL with err. */
struct bw_plugin_session *bw_session_open(const char *what, const json_t *needs, bool allow_private_network, struct bw_error *err);
const struct bw_session_view *bw_session_view(const struct bw_plugin_session *session);
pid_t bw_session_pid(const struct bw_plugin_session *session);
size_t bw_session_resident_bytes(const struct bw_plugin_session *session);
void bw_session_init(struct bw_plugin_session *session, const json_t *config);
/* secrets: NAME → value. NULL without memory. */
struct bw_plugin_try *bw_session_call(struct bw_plugin_session *session, const char *action, const json_t *input, const json_t *secrets,
                                      int64_t timeout_ms, int64_t heartbeat_ms);
/* How is it? timeout_ms: as in bellwire_plugin.h. NULL without memory. */
struct bw_plugin_try *bw_session_ask(struct bw_plugin_session *session, const json_t *secrets, int64_t timeout_ms);
void bw_session_cancel(struct bw_plugin_session *session, const struct bw_plugin_try *call);
void bw_session_forget(struct bw_plugin_session *session, struct bw_plugin_try *call); /* frees it; it may be under way */
/* It is to call fini() and to end. */
void bw_session_leave(struct bw_plugin_session *session);
/* Waits until done(arg), or the process has ended, or so much time is over. True: done(arg). */
bool bw_session_wait(struct bw_plugin_session *session, bool (*done)(const void *arg), const void *arg, int64_t most_ms);
void bw_session_free(struct bw_plugin_session *session); /* kills the process if it still runs */
#endif
