/* dispatch.h: from stored events to finished runs: the catalogue, the queue of events, the run workers, the plugin hosts.
 *
 * Everything here runs on the engine's main thread and its event loop, except bw_dispatch_post() and bw_dispatch_bind…().
 * Dispatch never runs user code and never looks into a payload: it sends events to run workers over wire/, stores what they report, routes plugin
 * calls to hosts, and replaces whoever dies. A worker's death loses nothing: its events go to the next one with what is already recorded, under the
 * same identities. */
#ifndef BW_DISPATCH_DISPATCH_H
#define BW_DISPATCH_DISPATCH_H
#include "base/json.h"
#include "config/config.h"
#include "dispatch/awaits.h"
#include "dispatch/inbox.h"
#include "dispatch/response.h"
#include "store/store.h"
#include "wire/channel.h"
#include <event2/event.h>

struct bw_dispatch;
struct bw_key_ring;
struct bw_dispatch_options {
    const struct bw_config *config;  /* borrowed */
    struct bw_store *store;          /* borrowed; NULL with check_only */
    const char *store_folder;        /* for reading back; NULL with check_only */
    struct bw_key_ring *ring;        /* borrowed: where fetched keys end (fetches.h); NULL: none are */
    void (*keys_changed)(void *arg); /* something in it is new; main thread; or NULL */
    void *keys_arg;
    bool trace;                     /* workers report each step as it starts and ends */
    bool hold;                      /* load the catalogue and store it, but hand out nothing */
    bool check_only;                /* load the catalogue in one worker and report; nothing is stored */
    bool shows_all;                 /* with `check_only`: bundled plugins as well that are not configured */
    bool trial;                     /* for `bellwire test`: see bw_dispatch_trial_begin(). Workers run nothing else */
    bool trial_limits;              /* with `trial`: named limits hold, in the trial's time; else steps do not ask for permits */
    bool with_pools;                /* those of the configuration; otherwise the default one executes everything */
    bool with_schedules;            /* fire what is due by cron rules */
    bool keeps_flight;              /* what workers execute is noted in files below store_folder, for the engine after this one (losses.h) */
    bool asks_health;               /* of compiled plugins */
    bool watch_files;               /* reload the catalogue when its files change */
    const char *only_workflow_file; /* `bellwire run FILE`: this file instead of the workflows folder; or NULL */
    /* With `check_only`, borrowed: this revision instead of what the folders hold now; or NULL. */
    const struct bw_revision *revision;
};
struct bw_dispatch_handlers { /* main thread */
    void *arg;
    /* Who may send, for a catalogue that is about to become the current one: everything is made that serving it needs, with the secrets as they are
     * now, and nothing changes yet. False: what is wrong is added to `errors`. The first catalogue is served without what is wrong in it, any later
     * one not at all. Then comes settle(): is it the current one now? (Not for the first: `ready` says so.) Both NULL: nobody sends. */
    bool (*prepare)(void *arg, const json_t *workflows, json_t *errors);
    void (*settle)(void *arg, bool is_taken);
    void (*ready)(void *arg, uint32_t revision);                          /* the catalogue is stored and loaded: events may be accepted */
    void (*catalog)(void *arg, const json_t *loaded);                     /* a worker has loaded it: BW_MSG_CATALOG_LOADED, once */
    void (*trace)(void *arg, const struct bw_message *message);           /* BW_MSG_TRACE; may be NULL */
    void (*event_done)(void *arg, struct bw_uid event, uint32_t matched); /* recorded: its runs have ended or are parked, or one that was parked has
                                                                            or is again; may be NULL */
    void (*quiet)(void *arg, int64_t next_due_ms);                        /* with `trial` */
    void (*fatal)(void *arg, const struct bw_error *err);                 /* the engine must stop: the store failed, or workers cannot be started */
    void (*drained)(void *arg);                                           /* after bw_dispatch_drain(): nothing is in hand any more */
};
struct bw_dispatch *bw_dispatch_new(struct event_base *base, const struct bw_dispatch_options *options, const struct bw_dispatch_handlers *handlers,
                                    struct bw_error *err);
/* Any thread, in commit order, after the commit: takes over one reference of each. */
void bw_dispatch_post(struct bw_dispatch *dispatch, struct bw_accepted *accepted);
void bw_dispatch_set_responders(struct bw_dispatch *dispatch, const struct bw_responders *responders); /* copied; NULL: none, as at first */
uint32_t bw_dispatch_revision(const struct bw_dispatch *dispatch);                                     /* 0 until ready */
/* Its workflows as in BW_MSG_CATALOG_LOADED; borrowed until the loop goes on; NULL until ready. */
const json_t *bw_dispatch_workflows(const struct bw_dispatch *dispatch);
/* The compiled plugins, and how they are: [{plugin, version?, file, state: "loading"|"ready"|"refused"|"resting", calls, health?: "well"|"ill",
 * code?, message?, since_ms?}]; new reference. health is left out by those that do not say. */
json_t *bw_dispatch_plugins(const struct bw_dispatch *dispatch);
/* Any thread: the current revision, for an event that is accepted now. Not awaited: no workflow of that revision has a trigger for this name, so the
 * event can be stored as done and need not be posted. The keys are what parked runs may be waiting for: they are stored with the event. */
void bw_dispatch_bind(struct bw_dispatch *dispatch, struct bw_slice event_name, struct bw_slice body, struct bw_binding *out);
/* The same of a call of the tool that a workflow is, for it alone. False: it is none now. */
bool bw_dispatch_bind_call(struct bw_dispatch *dispatch, struct bw_slice workflow, struct bw_slice event_name, struct bw_slice body,
                           struct bw_binding *out);
/* Reads workflows, actions and secrets of sources again. Without an error in any of them they become the current revision: events accepted from then
 * on run under it, earlier ones end under theirs. Otherwise nothing changes, and the log says what is wrong. */
void bw_dispatch_reload(struct bw_dispatch *dispatch);
bool bw_dispatch_is_reloading(const struct bw_dispatch *dispatch);             /* one is asked for or on its way */
json_t *bw_dispatch_error_json(const struct bw_error *err, const char *class); /* an ERROR of wire/messages.h; new reference */
size_t bw_dispatch_log_errors(const json_t *loaded);                           /* the errors of a BW_MSG_CATALOG_LOADED, a line each */
void bw_dispatch_drain(struct bw_dispatch *dispatch); /* no event is started any more; `drained` follows when the workers are empty */
/* Cancels a run: `done` is called once, on this thread, perhaps at once. state: "cancelling": it will end, whatever happens from here on; or
 * "cancelled". Otherwise NULL and err: "run.unknown", "run.ended", … */
typedef void bw_dispatch_cancelled(void *arg, const char *state, const struct bw_error *err);
void bw_dispatch_cancel(struct bw_dispatch *dispatch, struct bw_uid run, const char *reason, const char *by, bw_dispatch_cancelled *done, void *arg);
/* From now on no run of the workflow begins; or (resumes) they begin again. `done` is called once, on this thread, perhaps at once. op: what was
 * written (store.h, PAUSE); otherwise NULL and err: "workflow.unknown", … */
typedef void bw_dispatch_paused(void *arg, const struct bw_store_op *op, const struct bw_error *err);
void bw_dispatch_pause(struct bw_dispatch *dispatch, const char *workflow, bool resumes, const char *reason, const char *by, bw_dispatch_paused *done,
                       void *arg);
size_t bw_dispatch_in_hand(const struct bw_dispatch *dispatch);
size_t bw_dispatch_pids(const struct bw_dispatch *dispatch, pid_t *out, size_t capacity); /* of workers and hosts; for tests and logs */
/* With `trial` time stands still: a test begins, at now_ms. Only triggers of that workflow are asked, and steps get the answers of `mocks` (as in
 * BW_MSG_TRIAL). values: of `config`, for this test; or NULL. What it begins with is submitted to the store next; then comes
 * bw_dispatch_trial_go_on(). */
void bw_dispatch_trial_begin(struct bw_dispatch *dispatch, int64_t now_ms, const char *workflow, json_t *mocks, json_t *values);
/* It is now_ms. What is due is fired, what there is to do is done, and then `quiet` is called: nothing will happen before next_due_ms (0: at all),
 * unless something is submitted. Calls it once. */
void bw_dispatch_trial_go_on(struct bw_dispatch *dispatch, int64_t now_ms);
/* The end has an order: bw_dispatch_stop() ends workers and hosts; then bw_store_close() commits what they had reported; then bw_dispatch_free(). */
void bw_dispatch_stop(struct bw_dispatch *dispatch);
void bw_dispatch_free(struct bw_dispatch *dispatch);
#endif
