/* internal.h: what the files of this room share. One process, one thread, one event loop. */
#ifndef BW_WORKER_INTERNAL_H
#define BW_WORKER_INTERNAL_H
#include "base/id.h"
#include "base/json.h"
#include "base/map.h"
#include "lua/script.h"
#include "wire/approval_token.h"
#include "wire/channel.h"
#include "wire/flight.h"
#include "wire/messages.h"
#include "worker/scripts.h"
#include "workflow/model.h"
#include <event2/event.h>
#include <sys/queue.h>

#define BW_STEP_TIMEOUT_MS 60000
#define BW_LOST_MAX 5
#define BW_INPUT_BYTES_MAX (8u << 20) /* rendered inputs of a step */
#define BW_GIVE_UP_MS 10000           /* semantics.md 2.5: so long a step that is not wanted any more has to end by itself */
#define BW_LATE_CALL_MS 1000          /* … and a plugin's call whose time is over */
#define BW_ACTION_AGAIN_MS 30000      /* semantics.md 2.5: a run whose action is missing looks for it so often */
#define BW_PARK_AFTER_MS 5000         /* semantics.md 2.5: shorter waits stay in memory */
#define BW_RUN_ATTEMPTS_MAX 32        /* semantics.md 2.5: steps of one run that are under way at once */

/* As stored (store.h): the engine writes these numbers as they come. */
enum {
    BW_STATE_BLOCKED = 1, /* of a run: it waits for a slot, or is to be admitted */
    BW_STATE_ACTIVE = 2,
    BW_STATE_PARKED = 3,  /* of a run */
    BW_STATE_DELAYED = 4, /* of a run: its time to begin has not come */
    BW_STATE_HELD = 5,    /* of a run: its workflow is paused */
    BW_STATE_RETRYING = 2,
    BW_STATE_WAITING = 3,    /* of a step */
    BW_STATE_STARTED = 4,    /* of a step with at_most_once: it may be called now */
    BW_STATE_SUCCEEDED = 20, /* this and above: it has ended */
    BW_STATE_FAILED = 21,
    BW_STATE_CANCELLED = 22,
    BW_STATE_SKIPPED = 23,
    BW_STATE_UNKNOWN = 24 /* of a step: a failure of which nobody knows what it has done */
};
static inline bool bw_state_is_failure(int state)
{
    return state == BW_STATE_FAILED || state == BW_STATE_UNKNOWN;
}
enum { BW_WAKE_TIMER = 1, BW_WAKE_EVENT = 2, BW_WAKE_VOTE = 3, BW_WAKE_CHILD = 4 }; /* enum bw_wake_kind of store.h */
#define BW_STATE_ENTERED 1 /* of a block, in this room only: one of its branches is under way */

struct bw_line;
struct bw_worker {
    struct event_base *base;
    struct bw_channel *channel;
    struct bw_flight_page *flight;
    struct bw_script_limits limits;
    int64_t stall_ms;
    size_t max_output_bytes, max_run_output_bytes;
    bool allow_private_network, trace, is_configured;
    bool has_approval_key;
    uint8_t approval_key[BW_APPROVAL_KEY_BYTES]; /* of links to approvals: no Lua code sees it */
    char *public_url;                            /* what they begin with */
    struct bw_map *secrets;                      /* name → struct bw_slice * */
    json_t *values;                              /* `config` of bellwire.yaml: an object */
    char *values_text;                           /* the same as JSON; in a trial with what the test says */
    json_t *configure;                           /* `configure` of it, as plugin/settings.h reads it; NULL: no plugin is told anything */
    json_t *paused;                              /* names of workflows whose runs the store is asked for; NULL: none */
    struct bw_map *shared;                       /* limits of bellwire.yaml: name → double *, the greatest cost of a step, 0 = any */
    struct bw_map *pools;                        /* those of bellwire.yaml: name → itself, the default one is not among them */
    bool hands_over;                             /* runs of workflows with a pool: this process is of none of those */
    struct bw_map *asked;                        /* permit number (8 bytes) → struct bw_attempt *, those that wait for theirs */
    struct bw_map *metered;                      /* the same of calls that are asked for: meter.c */
    TAILQ_HEAD(, bw_run) runs;                   /* all that it executes */
    TAILQ_HEAD(, bw_catalog) catalogs;
    TAILQ_HEAD(, bw_idle_script) idle_scripts;
    TAILQ_HEAD(, bw_shared_script) shared_scripts;
    struct event *sweep_event;                   /* while some of these are idle */
    TAILQ_HEAD(bw_run_list, bw_run) with_script; /* runs that have been given a state in this turn of the loop */
    size_t with_script_count;
    struct event *suspend_event;
    TAILQ_HEAD(, bw_held_run) held;
    TAILQ_HEAD(bw_attempt_list, bw_attempt) ready; /* their code gave way: one slice each a turn */
    struct event *ready_event;
    struct bw_http *http;
    struct bw_trial *trial;                /* `bellwire test`: no network, and time stands still until it is set. NULL otherwise */
    bool has_trial_limits;                 /* in it, steps ask for permits as ever */
    TAILQ_HEAD(, bw_timer) timers;         /* in a trial: those that are set, in the order in which that was done */
    struct bw_attempt_list called;         /* waiting for a plugin */
    struct bw_map *line_of;                /* "ns/name" of an action → struct bw_line * that its calls go on */
    TAILQ_HEAD(, bw_cache_entry) cache;    /* what plugins in Lua keep; that used last at the end */
    struct bw_attempt_list unacknowledged; /* waiting for a report to be on disk */
    int64_t next_report, next_call, next_permit, next_usage;
    int64_t committed; /* reports up to this one are on disk: they are committed in their order */
};

/* ---- timer.c: timers of runs and attempts. In a trial their time is that of the test, and only bw_timers_fire() makes it pass. ---- */
struct bw_timer;
struct bw_timer *bw_timer_new(struct bw_worker *worker, event_callback_fn callback, void *arg); /* called as one of libevent's timers */
bool bw_timer_set(struct bw_timer *timer, int64_t delay_ms);                                    /* from now, instead of what it was set to */
void bw_timer_stop(struct bw_timer *timer);
void bw_timer_free(struct bw_timer *timer);
int64_t bw_timers_next_ms(const struct bw_worker *worker); /* in a trial: the earliest, 0 = none is set */
void bw_timers_fire(struct bw_worker *worker);             /* in a trial: those that are due, one after the other */

enum bw_error_class { BW_CLASS_BUG, BW_CLASS_PERMANENT, BW_CLASS_TRANSIENT, BW_CLASS_TIMEOUT, BW_CLASS_INPUT, BW_CLASS_OUTPUT, BW_CLASS_LOST };

/* ---- values.c: `config` of bellwire.yaml. It is no part of a run: what it says when the inputs of a step are made counts. ---- */
void bw_values_take(struct bw_worker *worker, const json_t *head);       /* BW_MSG_CONFIGURE, BW_MSG_VALUES */
void bw_values_override(struct bw_worker *worker, const json_t *values); /* for a test: beside those, or instead of them; NULL: none */
struct bw_slice bw_values_text(const struct bw_worker *worker);          /* JSON object */
void bw_given_check(const struct bw_workflow *workflow, const struct bw_step *step, const struct bw_action *action, struct bw_errors *errs);
void bw_values_check(const struct bw_worker *worker, const struct bw_workflow *workflow, struct bw_errors *errs);

/* ---- catalog.c ---- */
struct bw_catalog_workflow {
    struct bw_workflow *workflow;
    const struct bw_action **actions;     /* per step: the action it uses (Lua or plugin), or NULL */
    const struct bw_action **own_actions; /* per step: the action if it is Lua that the states of this workflow execute */
    const char **limits;                  /* per step: the shared limit that its attempts begin under, or NULL */
    struct bw_schema *inputs;             /* NULL: it has none */
    uint8_t version[32];                  /* definition + the actions' sources + plugin name@major */
    bool calls_need_event;                /* when one that it calls may begin is told by expressions over the event */
    struct bw_idle_script *idle;          /* scripts.c */
    size_t idle_count;
};
struct bw_catalog {
    TAILQ_ENTRY(bw_catalog) link;
    uint32_t revision;
    struct bw_catalog_workflow *workflows;
    size_t workflow_count;
    struct bw_action **actions;
    size_t action_count;
    struct bw_loader *loader; /* while its files are loaded */
    struct bw_module **modules;
    size_t module_count;
    struct bw_package *packages;
    size_t package_count;
    json_t *unconfigured; /* names of bundled plugins that could be used, if they were configured */
    json_t *unused;       /* "ns/name" of bundled plugins in Lua that nothing here names: they are no part of it */
    bool may_respond;     /* one of the workflows has `respond: {mode: result}` */
    size_t events;        /* in hand under this revision */
    struct bw_matching *matching;
    struct bw_refusal *refusals; /* refused.c */
    size_t refusal_count;
};
void bw_catalog_load(struct bw_worker *worker, const struct bw_message *message);
void bw_catalog_drop(struct bw_worker *worker, uint32_t revision);
struct bw_catalog *bw_catalog_find(struct bw_worker *worker, uint32_t revision);

/* ---- refused.c: what a revision holds and this version of Bellwire does not load. Runs that are to go on with it end, and say so. ---- */
void bw_refusals_begin(struct bw_catalog *catalog, const struct bw_message *message, const struct bw_errors *offers); /* actions, lost files */
void bw_refusals_add(struct bw_catalog *catalog, struct bw_slice workflow, const struct bw_error *why); /* workflow: empty: nobody knows its name */
void bw_refusals_free(struct bw_catalog *catalog);
/* Why there is no such action ("ns/name"), if its file was refused. */
bool bw_refusals_of_action(const struct bw_catalog *catalog, struct bw_slice action, struct bw_error *why);
json_t *bw_refusals_describe(const struct bw_catalog *catalog); /* `refused` of BW_MSG_CATALOG_LOADED */
struct bw_worker_event;
/* Runs of the event whose workflow the revision does not give: those that had begun before a crash, and the one that the event names. */
size_t bw_refused_count(const struct bw_worker_event *event);
size_t bw_refused_settled(const struct bw_worker_event *event); /* … and those of them with which nothing is left to do here */
void bw_refused_report(struct bw_worker_event *event);          /* all of them have ended; the event may be freed */
void bw_refused_resume(struct bw_worker_event *event);          /* the same for the run that was to go on */

/* ---- exposed.c: workflows that are tools ---- */
json_t *bw_exposed_describe(const struct bw_catalog_workflow *entry);            /* `tool` of BW_MSG_CATALOG_LOADED; NULL: it is none */
void bw_exposed_check(const struct bw_catalog *catalog, struct bw_errors *errs); /* no two have one name */

/* ---- offers.c: what the files of a revision offer to workflows ---- */
#define BW_PACKAGE_TOLD_BYTES 32
struct bw_package { /* a plugin in Lua: a folder with plugin.yaml */
    char *name, *version;
    char *file, *folder; /* ".../NAME/plugin.yaml", ".../NAME/" */
    json_t *manifest;    /* {name, version, doc, config} */
    bool is_bundled;
    struct bw_buf config;                /* what it is told now: JSON */
    uint8_t told[BW_PACKAGE_TOLD_BYTES]; /* a digest of its version and of that: what it keeps in ctx.cache is for these alone */
    json_t *secrets;                     /* [NAME]: what its actions may read because of that */
    struct bw_error fault;               /* code set: what bellwire.yaml says does not fit this version of it, and its actions cannot run */
};
static inline bool bw_package_is_shared(const struct bw_package *package) /* is its code executed in the states of shared_scripts.c? */
{
    return package && package->is_bundled;
}
void bw_offers_load(struct bw_worker *worker, struct bw_catalog *catalog, const struct bw_message *message, struct bw_errors *errs);
void bw_offers_configure(const struct bw_worker *worker, struct bw_catalog *catalog, struct bw_errors *errs); /* worker->configure is another one */
void bw_offers_free(struct bw_catalog *catalog);
/* Appends the names of bundled actions that are no part of the catalogue, for "did you mean". Borrowed from it. The new count. */
size_t bw_offers_unused(const struct bw_catalog *catalog, const char **names, size_t count, size_t most);

/* ---- cache.c: what the plugins in Lua keep between attempts ---- */
enum bw_cache_state bw_cache_find(struct bw_attempt *attempt, struct bw_slice name, struct bw_buf *value); /* as in struct bw_task_services */
void bw_cache_put(struct bw_attempt *attempt, struct bw_slice name, struct bw_slice value, int64_t life_ms);
void bw_cache_drop(struct bw_attempt *attempt, struct bw_slice name, struct bw_slice value);
void bw_cache_wait(struct bw_attempt *attempt, struct bw_slice name); /* behind a WAIT: the attempt is made ready when it can look again */
void bw_cache_leave(struct bw_attempt *attempt);                      /* it waits no longer */
void bw_cache_release(struct bw_attempt *attempt);                    /* it makes nothing any more */
void bw_cache_clear(struct bw_worker *worker);                        /* bellwire.yaml is another one */

/* ---- matching.c ---- */
struct bw_worker_event;
struct bw_matching *bw_matching_new(struct bw_catalog_workflow *workflows, size_t count); /* borrows them. NULL: out of memory */
void bw_matching_free(struct bw_matching *matching);
struct bw_catalog_workflow *bw_catalog_workflow_named(const struct bw_catalog *catalog, struct bw_slice name); /* NULL: there is none */
/* The workflows of which a trigger could want the event, in their order: bw_workflow_matches() has the last word. An event for one workflow: that
 * one. for (struct bw_candidates all = bw_candidates_of(event); (entry = bw_candidates_next(&all));) */
#define BW_CANDIDATE_LISTS 3
struct bw_candidates {
    const struct bw_catalog *catalog;
    struct bw_catalog_workflow *only;
    const size_t *next[BW_CANDIDATE_LISTS]; /* those that name it, those of its source, those with a star */
    size_t left[BW_CANDIDATE_LISTS];
};
struct bw_candidates bw_candidates_of(const struct bw_worker_event *event);
struct bw_catalog_workflow *bw_candidates_next(struct bw_candidates *candidates);

/* ---- event.c ---- */
struct bw_worker_event {
    struct bw_worker *worker;
    struct bw_catalog *catalog;
    int64_t id, at_ms;
    int64_t job; /* what the engine calls this piece of work */
    struct bw_uid uid;
    char uid_text[BW_UID_TEXT];
    struct bw_slice name, source, workflow, body, headers; /* in one block behind the struct */
    bool body_is_json, is_trusted;
    bool is_resumed;      /* only for one run, which was parked */
    struct bw_buf events; /* JSON array of all that its run was made of, itself last, as expressions see them; empty: it alone */
    json_t *head;         /* for runs, verdicts, lost of a recovered event; NULL otherwise */
    size_t open_runs, matched;
    size_t held_runs; /* of the open ones: held.c */
    bool is_held_run_due;
    json_t *cancelled; /* of the run that was held and begins now: it was cancelled meanwhile */
};
void bw_event_take(struct bw_worker *worker, const struct bw_message *message);
void bw_event_run_ended(struct bw_worker_event *event);

/* What expressions see of an event, before there is a run. run_text is borrowed as all else. */
void bw_event_scope(const struct bw_worker_event *event, const char *run_text, struct bw_run_scope *scope);

/* ---- held.c: runs that have ended a worker before, on their way to begin behind all else of their event ---- */
bool bw_run_is_accused(const struct bw_worker_event *event, const struct bw_catalog_workflow *entry);
void bw_held_add(struct bw_worker_event *event, struct bw_catalog_workflow *entry, const struct bw_error *trigger_error);
void bw_held_go_on(struct bw_worker_event *event); /* begins the next one if nothing else of the event is under way; not from within */
void bw_held_cancel(struct bw_worker *worker, const json_t *head); /* BW_MSG_CANCEL */

/* ---- admission.c ---- */
#define BW_GROUP_HEX 65
struct bw_admission { /* what its expressions gave for this event, or this call */
    char slot_group[BW_GROUP_HEX], rate_group[BW_GROUP_HEX], collect_group[BW_GROUP_HEX];
    int32_t priority;
    int64_t delay_ms;
};
void bw_admission_paused(struct bw_worker *worker, const json_t *head); /* BW_MSG_PAUSED */
/* May a run of it have to wait before it begins? */
bool bw_admission_is_asked(const struct bw_worker_event *event, const struct bw_workflow *workflow);
bool bw_admission_collects(const struct bw_worker_event *event, const struct bw_workflow *workflow); /* its run is made of several events */
/* Such a run is not begun: the store decides, and hands the run out when it is to begin. False: an expression cannot be evaluated. */
bool bw_admission_ask(struct bw_worker_event *event, struct bw_catalog_workflow *entry, struct bw_error *err);
void bw_report_admission(struct bw_worker_event *event, const struct bw_catalog_workflow *entry, const struct bw_admission *admission); /* report.c */
/* The same for runs that a step starts: with what the workflow is called with (JSON). The step's report says it. */
bool bw_admission_is_asked_by_call(const struct bw_workflow *workflow);
bool bw_admission_has_expressions(const struct bw_workflow *workflow);
struct bw_attempt;
/* path: what starts it, the step or a part of it. */
bool bw_admission_call(const struct bw_attempt *attempt, struct bw_slice path, struct bw_catalog_workflow *callee, struct bw_slice given,
                       struct bw_admission *admission, struct bw_error *err);

/* ---- run.c ---- */
struct bw_step_result {
    int state;          /* 0 = none yet */
    uint32_t attempt;   /* of this iteration */
    uint32_t iteration; /* of a step with `repeat`, from 0 */
    int64_t started_ms, ended_ms;
    struct bw_buf input_names, output, error; /* JSON texts */
    struct bw_buf failures;                   /* of the attempts that were tried again: JSON objects between commas, until they are reported */
    struct bw_buf calls;                      /* metered ones of attempts that have ended, until they are reported: numbers between commas */
    int64_t queued_ms;                        /* since its first attempt it has waited so long for its turn: that is not the step's time */
    bool is_under_way;                        /* it has an attempt in run->attempts */
    bool is_reported, is_pure;                /* pure: recomputed from the same data to the same value, so it need not be on disk before an effect */
    uint32_t branch;                          /* ENTERED: which one */
    /* WAITING, and RETRYING when the next attempt is far away */
    int64_t due_ms;                /* 0: no time ends it */
    uint64_t *keys;                /* of a `wait`: one for each of its arms */
    int64_t since_event, since_ms; /* events up to that id, or before that time, do not count */
    struct bw_join *join;          /* the runs that it starts, until they are reported */
    const json_t *children;        /* what has become of them: borrowed from the event's head */
    bool is_again;                 /* its run was resumed: if nothing catches its failure it begins anew (frontier.c) */
    uint32_t children_total;       /* its run was resumed: the runs that it had started before */
    json_t *emits;                 /* of an `emit`: [{uid, name, key?, data}], data as JSON text */
    json_t *respond;               /* of a `respond`: {status, type, headers?, body: text} */
    const json_t *wake;            /* what ended it while the run was parked: borrowed from the event's head */
    bool waits_on_parts;           /* WAITING: its code goes on when those of its parts that wait have ended (part_wait.c) */
    bool has_had_waits;            /* some part of it has waited: it must not go on when the step has ended */
    int64_t waits_since_ms;
};
struct bw_join { /* as in BW_MSG_REPORT */
    struct bw_catalog_workflow *entry;
    uint32_t total, concurrency, allowed, depth;
    bool is_reopened;
    struct bw_admission admission; /* of a called workflow that asks for it */
    struct bw_buf items, context;
};
#define BW_PART_PATH_BYTES 320
struct bw_step_part { /* of a step: part.c */
    char path[BW_PART_PATH_BYTES];
    size_t step;
    int state; /* WAITING, SUCCEEDED, FAILED or CANCELLED */
    int64_t started_ms, ended_ms;
    struct bw_buf output, error; /* JSON texts; WAITING: what is asked, or nothing */
    struct bw_buf calls;         /* as of a step: those behind the part before it */
    bool is_reported, is_sensitive;
    /* WAITING: part_wait.c */
    int64_t due_ms;                /* 0: no time ends it */
    struct bw_join *join;          /* the run that it starts, until it is reported */
    const json_t *wake, *children; /* what has ended it while the run was parked: borrowed from the event's head */
};
/* Each begins when all that the one before it has begun has come to its end, and is left out when the workflow has nothing for it. */
enum bw_phase { BW_PHASE_STEPS, BW_PHASE_UNDO, BW_PHASE_ON_FAILURE, BW_PHASE_FINALLY, BW_PHASE_OVER };
struct bw_run {
    TAILQ_ENTRY(bw_run) link; /* in worker->runs */
    struct bw_worker_event *event;
    struct bw_catalog_workflow *entry;
    struct bw_script *script;          /* NULL: it waits without one (suspend.c) */
    struct bw_suspended_run suspended; /* then */
    size_t script_tasks;               /* of its attempts that are in `script` */
    TAILQ_ENTRY(bw_run) script_link;   /* in worker->with_script */
    bool is_with_script;
    struct bw_uid uid;
    char uid_text[BW_UID_TEXT];
    struct bw_step_result *results; /* one for each step; NULL: its trigger is all that was looked at */
    struct bw_attempt_list attempts;
    size_t attempt_count, waiting_count; /* waiting: those that wait.c holds */
    size_t first_open;                   /* all steps in front of it have ended */
    bool is_advancing, has_news;         /* frontier.c */
    enum bw_phase phase;
    size_t phase_first, phase_limit; /* its steps */
    int outcome;                     /* how the run ends, BW_STATE_SUCCEEDED or above; 0: its steps have not ended */
    int64_t outcome_ms;              /* when they have */
    bool is_ending;                  /* a step failed or stopped the run: nothing new of this phase begins, what is under way ends */
    size_t ending_step;              /* which one */
    struct bw_buf cancelled;         /* it is to end as cancelled, and is_ending: the error that says why. Empty: it is not */
    size_t kept_bytes;               /* outputs of its steps so far */
    size_t emitted;                  /* events */
    struct bw_buf output, error;
    const json_t *child;         /* a step of another run has started it: as in BW_MSG_EVENT, borrowed from the event's head. NULL: an event has */
    uint32_t depth;              /* 0: an event has started it */
    struct bw_step_part **parts; /* of its steps, done in this process: part.c */
    size_t part_count;
    size_t first, limit;          /* its steps: those of the workflow, or of the foreach that it is an item of */
    struct bw_buf inputs, locals; /* JSON objects: what it is called with; the names that an item adds */
    bool must_listen; /* it begins later than its event: an event may have come that cancels it, it is told before its report is committed */
    bool owes_report; /* of runs that a step has started, of a question to a person */
    bool is_recorded; /* the store knew it when it began here */
    int state;
    uint32_t lost;
    int64_t started_ms, resumed_ms, ended_ms; /* resumed_ms 0: never */
    struct bw_timer *timer;                   /* of the workflow's `timeout` */
    int64_t behind_report;                    /* the last report with results of effects: the next effect waits until it is on disk */
    int64_t asked_report;                     /* the last one that the engine was asked to acknowledge */
};
void bw_run_start(struct bw_worker_event *event, struct bw_catalog_workflow *entry, const struct bw_error *trigger_error);
void bw_run_park(struct bw_run *run);                 /* all that is under way are waits that the store can end. Frees the run */
void bw_run_end_steps(struct bw_run *run);            /* no step is under way, none is to begin: how has it ended? May free the run */
void bw_run_finish(struct bw_run *run);               /* with its outcome. Frees the run */
int64_t bw_run_deadline_ms(const struct bw_run *run); /* when its workflow's `timeout` ends it; what follows its steps has as much again */
void bw_run_watch_deadline(struct bw_run *run);
void bw_run_cancel(struct bw_run *run, const struct bw_error *why);    /* its steps end here, and what follows them is run */
void bw_run_fail(struct bw_run *run, const struct bw_error *err);      /* the same: something that concerns all of it is wrong */
void bw_run_take_cancel(struct bw_worker *worker, const json_t *head); /* BW_MSG_CANCEL */
bool bw_run_is_recorded_done(const struct bw_worker_event *event, struct bw_uid run);

/* ---- frontier.c: which steps begin next. Called at the start and whenever a step has a result; may free the run. ---- */
void bw_run_advance(struct bw_run *run);
void bw_run_step_ended(struct bw_run *run, size_t step); /* its result is final; bw_run_advance() follows */

/* Does it wait as it was recorded, and has not been taken up since? Then it can be ended: it has failed if it was to be tried again. */
bool bw_run_is_recorded_wait(const struct bw_run *run, size_t step);
void bw_run_end_wait(struct bw_run *run, size_t step);
void bw_run_begin_to_end(struct bw_run *run, size_t step);   /* a failure that nothing forgives, or a `stop`. The first one counts */
void bw_run_skip_branches(struct bw_run *run, size_t block); /* all but the one that its result names */

/* ---- endings.c: what a failure and the end of the steps lead to ---- */
bool bw_run_catches(struct bw_run *run, size_t step);  /* its failure: is there a `catch` that takes it? */
bool bw_run_survives(struct bw_run *run, size_t step); /* the same, and does the run go on after it? Nothing is entered yet */
void bw_run_caught(struct bw_run *run, size_t block);  /* that has come to its end */
void bw_run_settle(struct bw_run *run, int state);     /* the steps have ended; output and error are there. May free the run */
bool bw_run_restore_outcome(struct bw_run *run);       /* they had when this was recorded. May free the run */
void bw_run_phase_over(struct bw_run *run);            /* nothing of it is under way, nothing is to begin. May free the run */
void bw_run_restore_ending(struct bw_run *run);        /* a recorded step of this phase has failed, or stopped the run */
bool bw_run_is_next_undo(const struct bw_run *run, size_t step);
struct bw_slice bw_run_error_at(const struct bw_run *run, size_t step);  /* what `error` is there; may be empty */
struct bw_slice bw_run_result_at(const struct bw_run *run, size_t step); /* what `result` is in an `undo`; else empty */

/* ---- attempt.c: a step that is under way, from its condition to its result: all its attempts and the waits between them ---- */
enum bw_attempt_wait {
    BW_WAIT_NONE,
    BW_WAIT_SLICE,
    BW_WAIT_HTTP,
    BW_WAIT_READ,
    BW_WAIT_CACHE,
    BW_WAIT_USAGE,
    BW_WAIT_KEPT,
    BW_WAIT_SLEEP,
    BW_WAIT_PLUGIN,
    BW_WAIT_COMMIT,
    BW_WAIT_RETRY,
    BW_WAIT_PERMIT,
    BW_WAIT_DURABLE
};
struct bw_attempt {
    TAILQ_ENTRY(bw_attempt) sibling; /* in run->attempts */
    TAILQ_ENTRY(bw_attempt) link;    /* in the worker's list of what it waits for */
    struct bw_run *run;
    size_t step;
    enum bw_attempt_wait wait;
    struct bw_buf input; /* rendered `with` */
    const json_t *mock;  /* in a trial: the answers to be given instead of running it */
    struct bw_task *task;
    struct bw_shared_script *shared; /* whose state the task is in; NULL: in the run's own */
    struct bw_inner *inner;          /* the action that its code runs and waits for; NULL: none */
    struct bw_cache_entry *cached;   /* what it waits for (CACHE) */
    const struct bw_step_part *kept; /* the part that is on its way to the disk (KEPT) */
    struct bw_http_call *http_call;
    struct bw_http_call *stream; /* an answer that the code reads as it comes; NULL: there is none */
    bool stream_may_change;      /* its request may have had an effect */
    int64_t call;                /* plugin call number */
    struct bw_line *line;        /* on which it was made; NULL: through the engine, or that line is lost */
    int64_t report;              /* the report it waits for */
    int64_t usage;               /* a metered call that it asks for; 0 = none */
    unsigned metered;            /* calls that it has begun and not ended */
    struct bw_buf calls;         /* those that have: what came of them is recorded with the attempt, or with a part of it */
    int64_t permit;              /* of a shared limit: what it waits for (PERMIT) or has; 0 = none */
    int64_t asked_us;
    struct bw_buf limit_key;
    double limit_cost;
    char key[BW_IDEMPOTENCY_KEY_TEXT]; /* "": it was not needed yet */
    uint32_t key_iteration;            /* whose that is */
    /* at_most_once: the attempt is on disk; its call was made; that may have reached somebody; and nobody has said what has become of it */
    bool is_recorded, is_called, is_exposed, is_doubtful;
    bool may_retry;                   /* the failure is one of the attempt itself, not of what comes before it */
    int64_t began_ms;                 /* 0: it began before the run was parked */
    int64_t deadline_us, deadline_ms; /* by the monotonic clock, by the wall's: of this attempt */
    struct bw_timer *timer;           /* deadline of the attempt, delay of a retry, ctx.sleep */
    struct bw_timer *beat_timer;      /* of `heartbeat`, while its code executes; NULL: it need not beat */
    int64_t heartbeat_ms, beat_ms;    /* how often it has to beat, when it last did (bw_attempt_clock_ms()) */
    bool is_unwanted;                 /* it is not wanted any more (give_up.c) */
};
struct bw_attempt *bw_attempt_new(struct bw_run *run, size_t step);
void bw_attempt_free(struct bw_attempt *attempt);    /* whatever it is doing */
void bw_attempt_release(struct bw_attempt *attempt); /* whatever it still holds */
void bw_attempt_ready(struct bw_attempt *attempt);   /* one more slice on the next turn */
bool bw_attempt_set_timer(struct bw_attempt *attempt, event_callback_fn callback, int64_t delay_ms);
int64_t bw_attempt_clock_ms(const struct bw_attempt *attempt); /* for what is left of a time: the monotonic clock, in a trial the test's */
int64_t bw_attempt_left_ms(const struct bw_attempt *attempt);  /* until the deadline of its code */
/* The flight page: user code is about to run, and when it must be back (0: no deadline of its own). */
void bw_note_enter(const struct bw_worker_event *event, struct bw_uid run, struct bw_slice path, int64_t deadline_us);
void bw_note_enter_step(const struct bw_run *run, size_t step, int64_t deadline_us);
void bw_note_leave(struct bw_worker *worker);

static inline struct bw_worker *bw_attempt_worker(const struct bw_attempt *attempt)
{
    return attempt->run->event->worker;
}
static inline const struct bw_step *bw_attempt_step(const struct bw_attempt *attempt)
{
    return &attempt->run->entry->workflow->steps[attempt->step];
}
static inline struct bw_step_result *bw_attempt_result(const struct bw_attempt *attempt)
{
    return &attempt->run->results[attempt->step];
}
static inline const struct bw_action *bw_attempt_action(const struct bw_attempt *attempt)
{
    return attempt->run->entry->actions[attempt->step];
}

/* ---- step.c ---- */
void bw_step_begin(struct bw_attempt *attempt); /* from its condition on */
void bw_step_attempt(struct bw_attempt *attempt);
void bw_step_committed(struct bw_attempt *attempt); /* what it has waited for is on disk */
/* The engine ended a worker over this step, or it took its worker with it again and again. */
bool bw_step_is_condemned(struct bw_run *run, size_t step, struct bw_error *err, enum bw_error_class *class);
/* The condition of a step or a block. False: it cannot be told. */
bool bw_step_condition(struct bw_run *run, size_t step, bool *answer, struct bw_error *err);

/* ---- wait.c ---- */
void bw_wait_begin(struct bw_attempt *attempt);                       /* a `sleep` or `wait`, behind its condition */
void bw_wait_resume(struct bw_attempt *attempt);                      /* one that was waiting when its run was recorded */
void bw_wait_for_retry(struct bw_attempt *attempt, int64_t delay_ms); /* until its next attempt */
bool bw_run_may_park(const struct bw_run *run);

void bw_wait_hold(struct bw_attempt *attempt, int64_t due_ms); /* waiting, until something outside of this process ends it */
/* Events that a step waits for: their keys into its result; and whether the one that `wake` has is one of them, with what the step gives then. False:
 * it cannot be told. */
bool bw_wait_make_keys(struct bw_run *run, size_t index, struct bw_error *err);
bool bw_wait_look_at(struct bw_run *run, size_t index, const json_t *wake, struct bw_buf *output, bool *answer, struct bw_error *err);

/* ---- cancel_on.c ---- */
bool bw_cancel_on_begin(struct bw_run *run, bool *cancels, struct bw_error *err);   /* *cancels: an event has come; *err says which */
void bw_cancel_on_end(struct bw_run *run);                                          /* its steps have ended */
void bw_cancel_on_take(struct bw_worker *worker, const struct bw_message *message); /* BW_MSG_CANCEL_EVENT */

/* ---- approve.c ---- */
void bw_approvals_configure(struct bw_worker *worker, const json_t *head); /* approval_key and public_url of BW_MSG_CONFIGURE, BW_MSG_PUBLIC_URL */
void bw_approve_begin(struct bw_attempt *attempt);                         /* an `approve`, behind its condition */
void bw_approve_voted(struct bw_attempt *attempt, const json_t *wake);
void bw_approve_timed_out(struct bw_attempt *attempt);
void bw_approve_mocked(struct bw_attempt *attempt, const json_t *output);
/* Appends what a decision is as an output. form: an object, or NULL. votes: all of them when several were needed, or NULL. */
void bw_approve_append_decision(struct bw_buf *out, struct bw_slice choice, struct bw_slice by, int64_t at_ms, const json_t *form,
                                const json_t *votes);
/* Appends the link by which `actor`, or whoever has it when that is empty, decides for the step or part `path`. False: it cannot be made. */
bool bw_approval_url(const struct bw_run *run, struct bw_slice path, struct bw_slice actor, struct bw_buf *out);
/* What `approval` is for what notifies for the step: appends {message, url}, or {message, urls}. */
bool bw_approval_scope(struct bw_run *run, size_t step, struct bw_buf *out, struct bw_error *err);

/* ---- children.c ---- */
void bw_step_begin_children(struct bw_attempt *attempt); /* a `foreach` or a called workflow, behind its condition */
void bw_step_resume_children(struct bw_attempt *attempt);
void bw_join_free(struct bw_join *join);
/* One call of a workflow by a part of the step; given: JSON. NULL: it cannot be made. */
struct bw_join *bw_join_of_call(const struct bw_attempt *attempt, struct bw_slice path, struct bw_catalog_workflow *callee, struct bw_slice given,
                                struct bw_error *err);
/* How a call has ended, of what a wake by its run says: SUCCEEDED with its output, SKIPPED, or FAILED with the error. */
int bw_join_call_end(const json_t *children, struct bw_slice *output, struct bw_error *err);
/* What a run is called with, defaults counted in: `given` (JSON), or what its event holds when given.len is 0. */
bool bw_inputs_make(const struct bw_worker_event *event, const struct bw_catalog_workflow *entry, struct bw_script *script, struct bw_slice given,
                    struct bw_buf *out, struct bw_error *err);
bool bw_run_make_inputs(struct bw_run *run, struct bw_error *err);
bool bw_run_restore_item(struct bw_run *run, struct bw_error *err); /* what a run has from the one that has started it */
bool bw_run_is_item(const struct bw_run *run);
/* That of its last step that was run. */
void bw_run_item_output(const struct bw_run *run, struct bw_buf *out);

/* ---- respond.c ---- */
void bw_respond(struct bw_attempt *attempt);
/* Says which of the runs that an event starts answers its sender, if one may; nothing when no workflow for such events would. */
void bw_respond_choose(const struct bw_worker_event *event, const struct bw_workflow *const *matches, size_t count);

/* ---- repeat.c ---- */
/* An attempt of a step with `repeat` has given this. True: that was not the last time, or it has failed; the attempt and the run may be freed. */
bool bw_step_repeats(struct bw_attempt *attempt, struct bw_slice raw);
/* What the row of a step that will be tried again says of it besides: {"iteration": n} as its output; nothing when that is 0. */
void bw_repeat_note(struct bw_step_result *result);
void bw_repeat_restore(struct bw_step_result *result, struct bw_slice output);
/* After a crash: its last attempt had failed, and the time until the next one, which nobody has measured since, is not over. Then it waits. */
bool bw_step_waits_on(struct bw_attempt *attempt);
void bw_step_try_again(struct bw_attempt *attempt, int64_t delay_ms); /* step_end.c: its next attempt, then. The run may be freed */

/* ---- once.c: at_most_once ---- */
void bw_once_record(struct bw_attempt *attempt); /* `started`; bw_step_attempt() again when that is on disk */
/* An attempt has failed like that: may it have had its effect? */
bool bw_once_is_unknown(const struct bw_attempt *attempt, enum bw_error_class class);
void bw_once_make_unknown(struct bw_run *run, size_t step, const char *what, const struct bw_error *why); /* its error; not its state */
void bw_once_restore(struct bw_run *run, size_t step);                                                    /* it was found `started` */

/* ---- emit.c ---- */
#define BW_RUN_EMITS_MAX 10000 /* all of them fit into one report */
void bw_emit(struct bw_attempt *attempt);

/* ---- permit.c: named limits that steps of all workflows share; the engine says whose turn it is ---- */
bool bw_permit_prepare(struct bw_attempt *attempt, struct bw_error *err); /* its key and cost: once, like its inputs */
void bw_permit_ask(struct bw_attempt *attempt);                           /* bw_step_attempt() again when it is its turn */
void bw_permit_release(struct bw_attempt *attempt, int64_t pause_ms);     /* pause_ms > 0: nobody is to begin under that limit for so long */
void bw_permit_given(struct bw_worker *worker, const struct bw_message *message);

/* ---- pending.c ---- */
bool bw_callback_url(const struct bw_attempt *attempt, struct bw_buf *out); /* false: nothing listens */
void bw_pending_begin(struct bw_attempt *attempt, int64_t within_ms);       /* its code has ended and says so. 0: as long as the run may take */
void bw_pending_answered(struct bw_attempt *attempt, const json_t *wake);
void bw_pending_timed_out(struct bw_attempt *attempt);
static inline bool bw_step_is_pending(const struct bw_run *run, size_t step)
{
    enum bw_step_kind kind = run->entry->workflow->steps[step].kind;
    return run->results[step].state == BW_STATE_WAITING && (kind == BW_STEP_USES || kind == BW_STEP_LUA);
}

/* ---- heartbeat.c ---- */
void bw_heartbeat_start(struct bw_attempt *attempt, int64_t every_ms); /* 0: it need not beat */
void bw_heartbeat_note(struct bw_attempt *attempt);                    /* it has */
void bw_heartbeat_take(struct bw_worker *worker, int64_t call);        /* BW_MSG_CALL_BEAT */

/* ---- give_up.c ---- */
/* It is not wanted any more. Code that executes is told and may end by itself, all else is cancelled here. The run is not advanced. */
void bw_step_give_up(struct bw_attempt *attempt);

/* ---- step_code.c ---- */
void bw_step_break_off(struct bw_attempt *attempt); /* what its Lua code waits for: that raises BW_STEP_CANCELLED */
void bw_step_start_lua(struct bw_attempt *attempt, const char *key);
void bw_step_start_inner(struct bw_attempt *attempt, const char *key);                               /* attempt->inner, which is Lua */
void bw_step_free_task(struct bw_run *run, struct bw_task **task, struct bw_shared_script **shared); /* of an attempt, or of its inner action */
struct bw_task *bw_step_running(const struct bw_attempt *attempt); /* the code that executes, or waits for something */
void bw_step_continue(struct bw_attempt *attempt);                 /* its code gets a slice */
void bw_step_log(struct bw_attempt *attempt, const char *level, struct bw_slice text);
void bw_step_on_timeout(evutil_socket_t fd, short what, void *attempt); /* a timer's callback */

/* ---- plugin_call.c ---- */
void bw_step_start_plugin(struct bw_attempt *attempt, const char *key, int64_t timeout_ms);
void bw_step_call_plugin(struct bw_attempt *attempt, const struct bw_action *action, struct bw_slice input, const char *key, int64_t timeout_ms,
                         bool may_be_posted);
/* It is not wanted any more. The plugin has that much time to give it up; with is_kept a result that comes until then is wanted. */
void bw_step_cancel_call(const struct bw_attempt *attempt, int64_t grace_ms, bool is_kept);
struct bw_attempt *bw_step_called(const struct bw_worker *worker, int64_t call); /* who waits for it; NULL: nobody does, or any more */
void bw_step_called_no_more(struct bw_attempt *attempt);
void bw_step_take_result(struct bw_worker *worker, const struct bw_message *message);     /* BW_MSG_CALL_RESULT */
void bw_step_plugin_result(struct bw_attempt *attempt, const struct bw_message *message); /* BW_MSG_HOST_RESULT, or the same */

/* ---- line.c ---- */
void bw_line_take(struct bw_worker *worker, const json_t *head); /* BW_MSG_LINE */
void bw_line_retire(struct bw_worker *worker, int64_t number);   /* BW_MSG_LINE_RETIRED */
/* False: there is none for that action. */
bool bw_line_call(struct bw_attempt *attempt, const struct bw_action *action, struct bw_slice input, struct bw_slice about);
void bw_line_cancel(const struct bw_attempt *attempt);        /* the process is told, if the call was made on a line */
void bw_line_asked(struct bw_worker *worker, int64_t number); /* BW_MSG_LINE_ASK */

/* ---- grants.c ---- */
/* What the step may see: the workflow's secrets; an action only those that it declares. Returns the count. */
size_t bw_step_grants(const struct bw_attempt *attempt, bool only_declared, struct bw_grant grants[BW_WORKFLOW_SECRETS_MAX]);
/* What the workflow grants to the action, and what its plugin's configuration grants to all of its actions. NULL without memory. */
struct bw_grant *bw_step_all_grants(const struct bw_attempt *attempt, const struct bw_action *action, size_t *count);

/* ---- step_end.c: each ends the attempt and goes on with the run; both may be freed when they return ---- */
/* error: the reason; class as in messages.h */
void bw_step_fail(struct bw_attempt *attempt, const struct bw_error *err, enum bw_error_class class, int64_t retry_after_ms);
int64_t bw_step_last_ms(const struct bw_attempt *attempt);                            /* when `max_elapsed` of the step is over; 0 = it has none */
void bw_step_wait_for_action(struct bw_attempt *attempt, const struct bw_error *err); /* it is not there now: the same attempt again, later */
void bw_step_succeed(struct bw_attempt *attempt, struct bw_slice output);
void bw_step_succeed_checked(struct bw_attempt *attempt, struct bw_slice output); /* an action's output, against what it promised */
void bw_step_skip(struct bw_attempt *attempt);
void bw_step_cancel(struct bw_attempt *attempt); /* it is not wanted any more; the run is not advanced */
void bw_error_to_json(struct bw_buf *out, const struct bw_error *err, enum bw_error_class class, struct bw_slice step);

/* ---- report.c ---- */
void bw_report_event(struct bw_worker_event *event);                                /* done, without runs */
void bw_report_looked(struct bw_worker *worker, const struct bw_message *question); /* BW_MSG_LOOK: what came before it has been looked at */
int64_t bw_report_run(struct bw_run *run, bool wants_ack);                          /* what is not reported yet; the report's number */
void bw_trace_run(struct bw_run *run, const char *what);
void bw_trace_step(struct bw_run *run, size_t step, const char *what, int64_t delay_ms);
void bw_trace_progress(struct bw_run *run, size_t step, struct bw_slice text);
void bw_trace_part(struct bw_run *run, size_t step, const struct bw_step_part *part);
void bw_trace_input(struct bw_run *run, size_t step, const struct bw_buf *input);

/* ---- trial.c: `bellwire test` ---- */
bool bw_trial_begin(struct bw_worker *worker); /* this process runs nothing but trials */
void bw_trial_take(struct bw_worker *worker, const struct bw_message *message);
void bw_trial_answer_if_quiet(struct bw_worker *worker); /* nothing is left to do before time passes: if the engine has asked, it is told */
bool bw_trial_leaves_out(const struct bw_worker *worker, const struct bw_workflow *workflow); /* its triggers are not asked */
const json_t *bw_trial_mock_named(const struct bw_attempt *attempt, const char *name);        /* of a part of the step, or NULL */
bool bw_trial_can_mock(const struct bw_step *step);                                           /* else it runs as it is in every test */
const json_t *bw_trial_mock(const struct bw_attempt *attempt);                                /* what the test answers for the step, or NULL */
void bw_trial_attempt(struct bw_attempt *attempt, int64_t timeout_ms);                        /* one attempt of such a step */
void bw_trial_vote(struct bw_attempt *attempt, int64_t timeout_ms);                           /* the same for an `approve` */
void bw_trial_refuse_step(struct bw_attempt *attempt);                                        /* one that only a plugin could run */
void bw_trial_network_error(const struct bw_attempt *attempt, const struct bw_task_request *request, struct bw_error *err);
void bw_trial_trace_input(struct bw_attempt *attempt); /* nothing outside of a trial */

/* ---- meter.c: metered calls. said: a JSON object, as lua/script.h has it ---- */
void bw_meter_begin(struct bw_attempt *attempt, struct bw_slice said);
void bw_meter_end(struct bw_attempt *attempt, int64_t id, struct bw_slice said);
void bw_meter_forget(struct bw_attempt *attempt);                                   /* what it asks for is not wanted any more */
void bw_meter_move(struct bw_buf *from, struct bw_buf *to);                         /* numbers of calls; `from` is empty then */
void bw_meter_answered(struct bw_worker *worker, const struct bw_message *message); /* BW_MSG_USAGE */

/* Found by name: it is there and wants to be called. NULL: else it is said. */
struct bw_catalog_workflow *bw_catalog_callee(const struct bw_catalog *catalog, struct bw_slice name, struct bw_error *err);

/* ---- part.c: parts of a step that are recorded one by one ---- */
struct bw_inner { /* an action that the code of a step runs as a part of it */
    const struct bw_action *action;
    struct bw_task *task;            /* NULL: it is a plugin's */
    struct bw_shared_script *shared; /* as of an attempt */
    struct bw_buf input;
    char path[BW_PART_PATH_BYTES];
    int64_t started_ms;
};
int bw_parts_find(const struct bw_attempt *attempt, struct bw_slice name, struct bw_buf *output,
                  struct bw_buf *error); /* its state; 0: there is none */
/* input: what it is to be given, or empty. */
bool bw_parts_offer(const struct bw_attempt *attempt, struct bw_slice uses, struct bw_slice input, struct bw_buf *out, struct bw_error *err);
void bw_parts_keep(struct bw_attempt *attempt, struct bw_slice name, struct bw_slice value);
void bw_parts_run(struct bw_attempt *attempt, struct bw_slice name, struct bw_slice uses, struct bw_slice given);
/* The inner action has ended: with an output, or with NULL and why. */
void bw_parts_ended(struct bw_attempt *attempt, const struct bw_slice *output, const struct bw_error *failure, enum bw_error_class class);
void bw_parts_committed(struct bw_attempt *attempt); /* it is on disk: the code goes on */
void bw_inner_free(struct bw_attempt *attempt);
void bw_parts_free(struct bw_run *run);
void bw_parts_path(const struct bw_attempt *attempt, struct bw_slice name, char out[BW_PART_PATH_BYTES]);
struct bw_step_part *bw_parts_add(struct bw_run *run, size_t step, const char *path, int state, int64_t started_ms);
struct bw_step_part *bw_parts_at(const struct bw_run *run, const char *path); /* of this process; NULL: none */
const json_t *bw_parts_row(const struct bw_run *run, const char *path);       /* of an earlier one, as the run came with it; NULL: none */
bool bw_parts_is_too_large(const struct bw_attempt *attempt, struct bw_slice output, struct bw_error *err);
void bw_parts_answer_error(struct bw_attempt *attempt, const struct bw_error *err); /* the code is told, and goes on */

/* ---- part_wait.c: parts that wait for a run or for a person. The code ends there, and is run from its beginning when they have ended ---- */
#define BW_PARTS_TOGETHER_MAX 64 /* questions, or calls */
bool bw_parts_may_wait(const struct bw_attempt *attempt, struct bw_error *err);
void bw_parts_give_way(struct bw_attempt *attempt);                       /* its code has added parts that are WAITING */
void bw_parts_ask(struct bw_attempt *attempt, struct bw_slice questions); /* JSON, as in bw_task_request */
void bw_parts_restore_waits(struct bw_run *run, size_t step, const json_t *row, const json_t *rows);
void bw_parts_resume(struct bw_attempt *attempt);         /* have they ended? */
void bw_parts_end_waits(struct bw_run *run, size_t step); /* the step has ended */

/* ---- part_call.c: those of them that are calls of workflows ---- */
#define BW_CALL_PREFIX "workflow/"
bool bw_parts_is_call(struct bw_slice uses, struct bw_slice *workflow); /* "workflow/NAME" */
/* inner->path is the part, inner->input what the workflow is called with. */
void bw_parts_call(struct bw_attempt *attempt, struct bw_slice workflow);
void bw_parts_call_all(struct bw_attempt *attempt, struct bw_slice calls); /* JSON, as in bw_task_request: side by side */
bool bw_parts_offer_workflow(const struct bw_attempt *attempt, struct bw_slice workflow, struct bw_slice input, struct bw_buf *out,
                             struct bw_error *err);

/* ---- fetch.c ---- */
void bw_fetch_take(struct bw_worker *worker, const json_t *head); /* BW_MSG_FETCH */

/* ---- http.c ---- */
struct bw_http *bw_http_new(struct event_base *base, bool allow_private_network); /* loads nothing: that is for the first request */
typedef void bw_http_done(const struct bw_http_answer *answer, void *arg);
typedef void bw_http_more(void *arg); /* called inside of libcurl: nothing of this header may be called from there */
/* is_once: libcurl does not send it again when a connection that was kept turns out to be dead.
 * A request with is_stream: `done` gets the head of the answer and must call nothing of this header either; the call lives on until bw_http_abort(),
 * and `more` says that bw_http_read() may have something new. One that fails before there is a head ends like any other: `done` is told, the call
 * freed. */
struct bw_http_call *bw_http_start(struct bw_http *http, const struct bw_task_request *request, int64_t timeout_ms, bool is_once, bw_http_done *done,
                                   bw_http_more *more, void *arg, struct bw_error *err);
/* Moves what has come behind out. While nobody reads, the server has to wait when 64 KiB have come. FAILED fills err. */
enum bw_stream_state bw_http_read(struct bw_http_call *call, struct bw_buf *out, struct bw_error *err, bool *is_transient);
void bw_http_fail(struct bw_http_call *call, const struct bw_error *err, bool is_transient); /* a stream: it ends behind what has come, like that */
void bw_http_abort(struct bw_http_call *call);                                               /* done and more are not called any more */
#endif
