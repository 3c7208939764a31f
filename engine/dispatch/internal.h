/* internal.h: what the files of this room share. Main thread only. */
#ifndef BW_DISPATCH_INTERNAL_H
#define BW_DISPATCH_INTERNAL_H
#include "base/mailbox.h"
#include "base/map.h"
#include "dispatch/awaits.h"
#include "dispatch/dispatch.h"
#include "dispatch/losses.h"
#include "dispatch/order.h"
#include "dispatch/process.h"
#include "wire/flight.h"
#include "wire/messages.h"
#include <limits.h>
#include <sys/queue.h>

#define BW_JOBS_QUEUED_MAX 4096 /* events held in memory before the store becomes the queue */
#define BW_JOBS_BYTES_MAX (64u << 20)
/* A fresh worker gets few events at once, and more with each one that it finishes and with each tick. Otherwise a backlog would go out all at once
 * after a restart: whoever the steps call gets a stampede, the oldest waits as long as the newest, and a crash meanwhile has gained nothing. */
#define BW_WORKER_IN_HAND_FIRST 32
#define BW_WORKER_IN_HAND_TICK 16       /* more per watchdog tick: slow steps must not hold up quick ones */
#define BW_WORKER_IN_HAND_MAX 10240     /* events that one worker works on */
#define BW_WORKER_UNSENT_MAX (4u << 20) /* bytes */
#define BW_WORKERS_RESTING_MAX 256
#define BW_WORKER_REST_US 1000000LL
#define BW_WORKER_REVISIONS_KEPT 4 /* catalogues that one worker keeps beyond those that its events need */
#define BW_WATCHDOG_MS 50
/* What a worker must have had of the processor after its deadline: one that is kept from it is not at fault … */
#ifdef BELLWIRE_SANITIZED
#define BW_LATE_CPU_MS 400 /* what looks at each access takes several times as long for the same */
#else
#define BW_LATE_CPU_MS 90
#endif
#define BW_LATE_WALL_MS 5000  /* … unless it is kept for so long */
#define BW_HOST_LOAD_MS 5000  /* a plugin must report its manifest within this */
#define BW_HOST_GRACE_MS 1000 /* for a call whose worker has ended, before the host is killed */

/* Kinds of mail in the one box: events and commits must arrive in the order in which the writer sent them (jobs.c relies on it). */
enum bw_mail_kind {
    BW_MAIL_EVENT,
    BW_MAIL_REPORT,
    BW_MAIL_REVISION,
    BW_MAIL_WAKES,
    BW_MAIL_FIRED,
    BW_MAIL_PAIRS,
    BW_MAIL_ABOUT,
    BW_MAIL_SCHEDULE,
    BW_MAIL_LIMITS,
    BW_MAIL_CANCEL,
    BW_MAIL_PAUSE,
    BW_MAIL_WATCHED,
    BW_MAIL_APPROVAL,
    BW_MAIL_CALLBACK,
    BW_MAIL_STATUS,
    BW_MAIL_TOOL_RUN,
    BW_MAIL_FETCH,
    BW_MAIL_USAGE,
    BW_MAIL_TRIAL
};

struct bw_job;
TAILQ_HEAD(bw_job_list, bw_job);
struct bw_run_worker;
struct bw_plugin_host;
struct bw_reload;
struct bw_wakes;
struct bw_schedules;
struct bw_permits;
struct bw_fetch;
struct bw_cancels;
struct bw_trial_watch;

struct bw_pool { /* workers, and the jobs that wait for them; dispatch->pools[0] is the default one, which looks at the events */
    const char *name;
    unsigned first_worker, workers; /* their numbers */
    struct bw_job_list queued;
    size_t queued_count, queued_bytes;
    bool has_passed_over; /* when there was no room, runs of it were left in the store's queue behind this id */
    int64_t passed_over_at;
};

/* One event from the queue until all its runs have ended or are parked; or one run that was parked, until it has ended or is parked again. */
struct bw_job {
    TAILQ_ENTRY(bw_job) link;
    int64_t number;    /* the event's id, or the run's below zero */
    struct bw_uid run; /* zero: an event */
    struct bw_accepted *event;
    struct bw_pool *pool;
    struct bw_run_worker *worker; /* who has it, or NULL */
    json_t *verdicts;             /* see BW_MSG_EVENT; NULL mostly */
    unsigned open_reports;        /* given to the store, not yet committed */
    bool is_child;                /* a step has started the run */
    bool is_damaged;              /* its body is not what was accepted: it ends without a run */
    bool may_be_recorded;         /* some of its runs or steps may be in the store already */
    bool is_finished;             /* its last report is on the way to the disk */
    bool is_woken_again;          /* while its last report is on the way: it goes back into the queue then */
    bool is_looked_at;            /* of an event: its runs have all asked for their slots, for certain */
    /* suspects.c */
    bool is_suspect;
    bool is_apart;   /* it waits among the suspects, not in the queue of its pool */
    bool has_losses; /* dispatch->losses has had an entry of it */
    unsigned deaths; /* of workers that had it in hand, and nobody knows of what they died */
    unsigned alone;  /* those of them that had nothing else in hand */
};

enum bw_worker_state { BW_WORKER_STARTING, BW_WORKER_LIVE, BW_WORKER_KILLED };
struct bw_run_worker {
    TAILQ_ENTRY(bw_run_worker) link;
    struct bw_dispatch *dispatch;
    struct bw_pool *pool;    /* NULL: it is the one for suspects */
    size_t company;          /* of that one: how many it may have in hand now */
    bool is_dismissed;       /* of that one: ended because nobody needs it */
    bool is_dead, is_silent; /* its process has ended; all that it had sent was read */
    char how[64];
    unsigned number;
    enum bw_worker_state state;
    struct bw_process *process;
    struct bw_channel *channel;
    int lines_socket; /* passes it its ends of lines to plugins (wire/pass.h) */
    struct bw_flight_page *flight;
    char *flight_file; /* NULL: it has none */
    struct bw_job_list jobs;
    size_t in_hand, may_have; /* may_have: how many at once, see BW_WORKER_IN_HAND_FIRST */
    uint32_t *revisions;      /* sent, the longest unused first */
    size_t revision_count;
    TAILQ_HEAD(, bw_asked) asked; /* permits that it waits for or has: permits.c */
    struct bw_buf granted;        /* those that it is told about at the end of this turn */
    int64_t late_us, late_cpu_us; /* the deadline that it was found to have missed, and the processor time it had had then */
    bool was_stalled;             /* killed by the watchdog */
    struct bw_flight_note stall;  /* what it was doing then */
};

struct bw_dispatch {
    struct event_base *base;
    struct bw_dispatch_options options;
    struct bw_dispatch_handlers handlers;
    struct bw_responders responders; /* all NULL: no sender waits */
    struct bw_mailbox *mailbox;
    struct bw_reader *reader;
    struct event *watchdog, *feed_event, *retry_event;
    uint32_t revision;           /* the current one; 0 until the first is stored */
    struct bw_revision *catalog; /* its content */
    struct bw_awaits awaits;
    struct bw_packer *packer;        /* of events that runs emit */
    json_t *pairs;                   /* [{event, by}]: what events are hashed by, of this and of earlier catalogues */
    json_t *values;                  /* `config` of bellwire.yaml */
    json_t *configure;               /* `configure` of it, as config/configure.h says */
    const struct bw_secret *secrets; /* those of options.config, or of `live` */
    size_t secret_count;
    const struct bw_budgets_config *budgets; /* the same */
    const struct bw_limit_config *limits;    /* the same */
    size_t limit_count;
    struct bw_config_live live; /* what a reload has read; its texts are `values` and `configure` */
    json_t *paused;             /* names of workflows of which no run begins at once: pauses.c; NULL with check_only */
    json_t *workflows;          /* of the current revision: those of its BW_MSG_CATALOG_LOADED; NULL until then */
    json_t *workflow_names;     /* an object with the names of all revisions that workers have loaded */
    json_t *told_refused;       /* {revision: true} older ones of which it was logged what is refused of them */
    json_t *load_errors;        /* errors that the engine itself found: refused plugins, files that hang while loading */
    struct bw_reload *reload;
    struct bw_trial_watch *trial;             /* NULL without options.trial */
    struct bw_wakes *wakes;                   /* NULL with check_only */
    struct bw_schedules *schedules;           /* the same; of the current revision */
    struct bw_permits *permits;               /* NULL with check_only */
    bool is_ordered;                          /* a catalogue had workflows whose runs begin in the order of the events */
    unsigned ordering_worker;                 /* the number of the one that looks at them, 0 = none did yet */
    struct bw_order order;                    /* of what that one and the one for suspects are given */
    struct bw_cancels *cancels;               /* the same */
    uint8_t approval_key[BW_STORE_KEY_BYTES]; /* approvals.c; fixed once it was read */
    char *public_url;                         /* NULL with check_only */
    bool is_catalog_known, is_catalog_reported, is_draining, is_drained, is_failed, is_stopped;
    /* pools.c */
    struct bw_pool *pools;
    size_t pool_count;
    struct bw_map *pool_of; /* name of a workflow → struct bw_pool *, unless it is the default one */
    /* jobs.c */
    size_t in_hand;
    struct bw_map *jobs;  /* number (8 bytes) → bw_job, queued and in hand */
    bool is_behind;       /* there may be pending events in the store that are not in memory */
    int64_t behind_after; /* they have greater ids than this */
    /* workers.c */
    TAILQ_HEAD(, bw_run_worker) workers;
    unsigned worker_count;
    struct {
        unsigned number;
        int64_t due_us;
    } resting[BW_WORKERS_RESTING_MAX]; /* numbers of workers that are started again later */
    size_t resting_count;
    int64_t worker_deaths_us[8]; /* the last ones, oldest first: a worker that cannot even start must not spin */
    /* fetches.c */
    TAILQ_HEAD(, bw_fetch) fetches;
    size_t fetch_count;
    int64_t next_fetch;
    /* suspects.c */
    struct bw_losses *losses;
    struct bw_job_list suspects;
    struct bw_run_worker *suspect_worker; /* NULL: there is none now */
    int64_t suspects_not_before_us, suspects_seen_us;
    /* hosts.c */
    bool has_told_open;                 /* that the kernel cannot confine plugins as it should */
    TAILQ_HEAD(, bw_plugin_host) hosts; /* hosts.h */
    int64_t next_call, next_line;
    /* reports.c */
    struct bw_stored_report *stalled; /* waiting for room on the disk */
    size_t open_reports;
    uint64_t exchanged; /* jobs handed over, and reports taken: has anything happened since? */
};

/* catalog.c */
/* Files from the folders, plugins from their hosts, what the instance uses of that which is bundled. values, configure: of the bellwire.yaml that it
 * will go with; NULL: as they are now. Unreadable files go into `errors`. */
struct bw_revision *bw_catalog_read(struct bw_dispatch *dispatch, const json_t *values, const json_t *configure, json_t *errors,
                                    struct bw_error *err);
/* Adds the files of `folder` that end in `suffix`, with their paths. What cannot be read is added to errors; false: no memory, or no folder. */
bool bw_catalog_add_folder(struct bw_revision *revision, json_t *errors, const char *kind, const char *folder, const char *suffix, bool recursive,
                           struct bw_error *err);
bool bw_catalog_add_path(struct bw_revision *revision, json_t *errors, const char *kind, const char *path);
/* packages.c: plugins in Lua are folders with plugin.yaml; the Lua files beside it are actions, those in lib/ modules. */
bool bw_packages_add(struct bw_revision *revision, json_t *errors, const char *kind, const char *folder, struct bw_error *err);
/* Behind all files of the instance: those that one of them names, or bellwire.yaml; all of them for `shows_all`. What nobody uses costs nothing. */
bool bw_packages_add_bundled(const struct bw_dispatch *dispatch, const json_t *values, const json_t *configure, struct bw_revision *revision,
                             json_t *errors, struct bw_error *err);
json_t *bw_packages_unused(const struct bw_revision *revision); /* ["ns/name"…]: actions of the bundled ones that are no part of it, for hints */
/* Where the plugins are that are part of Bellwire: beside the binary in a build tree, under lib/bellwire/plugins when installed. */
#define BW_BUNDLED_FOLDERS 2
bool bw_bundled_folder(size_t index, char out[PATH_MAX]); /* false: it cannot be told */
void bw_catalog_free(struct bw_revision *revision);       /* one that bw_catalog_read() made */
bool bw_catalog_equal(const struct bw_revision *one, const struct bw_revision *other);
bool bw_catalog_send(struct bw_run_worker *worker, uint32_t revision); /* at once, unless the worker has it */
bool bw_catalog_send_content(struct bw_run_worker *worker, uint32_t revision, const struct bw_revision *content);
/* An error of the catalogue that only the engine can see. revision: workers get that one without the file; 0 = it is in none. */
void bw_catalog_refuse_file(struct bw_dispatch *dispatch, uint32_t revision, const char *path, const struct bw_error *err);
/* dispatch.c: do runs of these begin in the order of the events? Workflows as in BW_MSG_CATALOG_LOADED. */
void bw_dispatch_note_order(struct bw_dispatch *dispatch, const json_t *workflows);
/* reload.c */
struct bw_reload *bw_reload_new(struct bw_dispatch *dispatch);
void bw_reload_request(struct bw_reload *reload);
bool bw_reload_is_busy(const struct bw_reload *reload);
void bw_reload_go_on(struct bw_reload *reload);                                                 /* what was asked for and could not begin yet */
void bw_reload_stored(struct bw_reload *reload, uint32_t revision, const struct bw_error *err); /* err NULL: it is on disk */
void bw_reload_check(struct bw_reload *reload);                                                 /* now and then */
void bw_reload_plugins_settled(struct bw_reload *reload); /* a plugin that it tries is ready, or is not going to be */
bool bw_reload_is_idle(const struct bw_reload *reload);
void bw_reload_stop(struct bw_reload *reload);
void bw_reload_free(struct bw_reload *reload);
/* jobs.c */
void bw_jobs_add(struct bw_dispatch *dispatch, struct bw_accepted *event, bool may_be_recorded);
void bw_jobs_feed(struct bw_dispatch *dispatch);
void bw_jobs_feed_soon(struct bw_dispatch *dispatch);
/* Everything that the dead worker had goes back into the queue, in front and in its order, and waits there until what it has reported is on disk.
 * `note`: what it was executing, or NULL. is_innocent: none of that was the reason. */
void bw_jobs_worker_lost(struct bw_run_worker *worker, const struct bw_flight_note *note, bool is_innocent);
bool bw_jobs_add_run(struct bw_dispatch *dispatch, const struct bw_queued *queued,
                     struct bw_pool *pool);                             /* false: not now, it stays in the store's queue */
void bw_jobs_read_back(struct bw_dispatch *dispatch, int64_t event_id); /* events from this id on are in the store, and not known here */
struct bw_job *bw_jobs_find(struct bw_dispatch *dispatch, int64_t number);
struct bw_job *bw_jobs_of_run(struct bw_dispatch *dispatch, struct bw_uid run); /* a worker has it, and perhaps that run; NULL: none has */
bool bw_jobs_may_have(struct bw_dispatch *dispatch, struct bw_uid run);         /* a run that the store does not know */
void bw_jobs_finish(struct bw_dispatch *dispatch, struct bw_job *job);          /* the worker is done with it; the last report is on its way */
void bw_jobs_settle(struct bw_dispatch *dispatch, struct bw_job *job,
                    uint32_t matched); /* a report of it was committed: it may be freed, or handed out again */
void bw_jobs_free(struct bw_dispatch *dispatch);
/* pools.c */
bool bw_pools_open(struct bw_dispatch *dispatch);                              /* false: no memory */
bool bw_pools_set(struct bw_dispatch *dispatch, const json_t *workflows);      /* those of a new current revision; false: no memory, as before */
struct bw_pool *bw_pool_named(struct bw_dispatch *dispatch, const char *name); /* the default one, if there is no such */
struct bw_pool *bw_pool_of(struct bw_dispatch *dispatch, struct bw_slice workflow);
struct bw_pool *bw_pool_of_worker(struct bw_dispatch *dispatch, unsigned number); /* NULL: of none */
void bw_pool_enqueue(struct bw_job *job, bool at_front);
void bw_pool_dequeue(struct bw_job *job);
bool bw_pool_is_full(const struct bw_pool *pool);
bool bw_pool_is_low(const struct bw_pool *pool); /* time to read more from the store */
bool bw_pools_are_empty(const struct bw_dispatch *dispatch);
bool bw_pool_keeps_order(const struct bw_dispatch *dispatch, const struct bw_job *job);     /* nothing behind it may be looked at before it */
struct bw_run_worker *bw_pool_pick(struct bw_dispatch *dispatch, const struct bw_job *job); /* NULL: nobody can take it now */
void bw_pool_looked(struct bw_run_worker *worker, const json_t *head);                      /* BW_MSG_LOOKED */
void bw_pools_free(struct bw_dispatch *dispatch);
/* suspects.c */
bool bw_suspects_open(struct bw_dispatch *dispatch); /* with what earlier engines have left; false: no memory */
/* A job that may have begun before: it is a suspect, if it was executing when an earlier engine ended, or a worker of this one. */
void bw_suspects_recall(struct bw_dispatch *dispatch, struct bw_job *job);
/* Its worker died of what the note says. */
void bw_suspects_blame(struct bw_dispatch *dispatch, struct bw_job *job, const struct bw_flight_note *note);
void bw_suspects_forget(struct bw_dispatch *dispatch, struct bw_job *job);                      /* it has ended, or is parked */
void bw_suspects_unexplained(struct bw_dispatch *dispatch, struct bw_job *job, bool was_alone); /* its worker died of nobody knows what */
struct bw_run_worker *bw_suspects_pick(struct bw_dispatch *dispatch, const struct bw_job *job); /* NULL: not now */
void bw_suspects_worker_ended(struct bw_dispatch *dispatch, bool was_idle);
void bw_suspects_watch(struct bw_dispatch *dispatch);
/* It gets on: what it has reported has not ended its worker. */
void bw_suspects_progress(struct bw_dispatch *dispatch, struct bw_job *job, const json_t *runs);
bool bw_job_is_condemned(const struct bw_job *job); /* it ends its workers, alone and again and again: its runs fail */
bool bw_job_is_given_up(const struct bw_job *job);  /* even that ended its worker */
/* pairs.c */
bool bw_pairs_read(struct bw_dispatch *dispatch, struct bw_error *err); /* what earlier processes have left */
/* Those of a catalogue: they are stored before anything that is accepted or stored after this. False: no memory. */
bool bw_pairs_add(struct bw_dispatch *dispatch, const json_t *workflows);
void bw_pairs_stored(struct bw_mail *mail);

/* about.c */
bool bw_about_store(struct bw_dispatch *dispatch, const json_t *workflows);
void bw_about_stored(struct bw_mail *mail);
/* schedules.c */
struct bw_schedules *bw_schedules_new(struct bw_dispatch *dispatch, struct bw_error *err); /* with what earlier processes have left */
bool bw_schedules_set(struct bw_schedules *schedules, const json_t *workflows); /* those of a new current revision; false: no memory, as before */
void bw_schedules_watch(struct bw_schedules *schedules);                        /* fires what is due */
void bw_schedules_stored(struct bw_mail *mail);
void bw_schedules_free(struct bw_schedules *schedules);
/* usage.c */
void bw_usage_ask(struct bw_run_worker *worker, const json_t *head); /* BW_MSG_USAGE_ASK */
void bw_usage_end(struct bw_run_worker *worker, const json_t *head); /* BW_MSG_USAGE_END */
void bw_usage_stored(struct bw_mail *mail);
void bw_usage_check_names(const struct bw_dispatch *dispatch, json_t *errors); /* budgets of workflows that are not there */
/* permits.c */
struct bw_permits *bw_permits_new(struct bw_dispatch *dispatch, struct bw_error *err); /* with what earlier processes have left owed */
/* Those that are not among them stay: runs may have begun under them. False: no memory, not all of them hold. */
bool bw_permits_set(struct bw_permits *permits, const struct bw_limit_config *limits, size_t count);
void bw_permits_ask(struct bw_run_worker *worker, const json_t *head);
void bw_permits_back(struct bw_run_worker *worker, const json_t *head);
void bw_permits_worker_lost(struct bw_run_worker *worker); /* all that it had comes back */
void bw_permits_watch(struct bw_permits *permits);         /* stores what is owed, now and then */
/* In a trial: looks whose turn it is now; true: somebody was told. *due_ms: when it is the next one's turn, 0 = when one is given back. */
bool bw_permits_turn(struct bw_permits *permits, int64_t *due_ms);
void bw_permits_store(struct bw_permits *permits); /* now */
void bw_permits_stored(struct bw_mail *mail);
void bw_permits_free(struct bw_permits *permits);
/* approvals.c */
bool bw_approvals_open(struct bw_dispatch *dispatch, struct bw_error *err); /* the key of the store's links; blocks until it is on disk */
void bw_callbacks_mail(struct bw_mail *mail);                               /* callbacks.c */
void bw_approvals_mail(struct bw_mail *mail);
/* status.c */
void bw_status_mail(struct bw_mail *mail);
void bw_tool_run_mail(struct bw_mail *mail); /* tool_runs.c */
/* fetches.c */
void bw_fetches_mail(struct bw_mail *mail);
void bw_fetches_take(struct bw_run_worker *worker, const json_t *head); /* BW_MSG_FETCHED */
void bw_fetches_worker_lost(struct bw_run_worker *worker);
void bw_fetches_free(struct bw_dispatch *dispatch);
/* cancels.c */
struct bw_cancels *bw_cancels_new(void);
void bw_cancels_tell(struct bw_run_worker *worker, struct bw_uid run, struct bw_slice why); /* {reason?, by}; empty: it has ended for the store */
void bw_cancels_stored(struct bw_mail *mail);
void bw_cancels_reported(struct bw_dispatch *dispatch, const struct bw_run_row *runs, size_t count); /* these are on disk */
void bw_cancels_drop(struct bw_dispatch *dispatch, const struct bw_run_ids *dropped);                /* the store has cancelled these children */
void bw_cancels_watch(struct bw_dispatch *dispatch);
void bw_cancels_free(struct bw_cancels *cancels);
/* pauses.c */
bool bw_pauses_open(struct bw_dispatch *dispatch, struct bw_error *err);    /* what earlier processes have left */
void bw_pauses_tell(struct bw_run_worker *worker);                          /* a new one, before its first event */
bool bw_pauses_changed(struct bw_dispatch *dispatch, struct bw_error *err); /* in the store: all workers are told */
void bw_pauses_stored(struct bw_mail *mail);
/* trial.c */
struct bw_trial_watch *bw_trial_watch_new(struct bw_dispatch *dispatch);
void bw_trial_watch_free(struct bw_trial_watch *trial);
void bw_trial_worker_started(struct bw_run_worker *worker);
void bw_trial_worker_quiet(struct bw_run_worker *worker, const json_t *head); /* BW_MSG_QUIET */
void bw_trial_store_quiet(struct bw_dispatch *dispatch);                      /* mail */
void bw_trial_look(struct bw_dispatch *dispatch);                             /* something was done: is there nothing left to do? */
/* wakes.c */
struct bw_wakes *bw_wakes_new(struct bw_dispatch *dispatch);
void bw_wakes_watch(struct bw_wakes *wakes); /* fires what is due */
void bw_wakes_fired(struct bw_wakes *wakes);
void bw_wakes_told(struct bw_wakes *wakes); /* the store has something in its queue, or an earlier timer */
void bw_wakes_refill(struct bw_wakes *wakes);
void bw_wakes_pools_changed(struct bw_wakes *wakes);
bool bw_wakes_are_behind(const struct bw_wakes *wakes);
bool bw_wakes_are_quiet(const struct bw_wakes *wakes); /* nothing is known here that is not done */
void bw_wakes_stop(struct bw_wakes *wakes);
void bw_wakes_free(struct bw_wakes *wakes);
/* cancel_on.c */
void bw_cancel_on_tell(struct bw_dispatch *dispatch, const struct bw_store_wakes *wakes); /* writer thread */
void bw_cancel_on_told(struct bw_dispatch *dispatch, struct bw_mail *mail);               /* takes the mail over */
/* reports.c */
void bw_reports_take(struct bw_run_worker *worker, const struct bw_message *message);
bool bw_reports_give_up(struct bw_dispatch *dispatch, struct bw_job *job); /* the event ends without (more) runs; false = no memory now */
void bw_reports_retry(struct bw_dispatch *dispatch);
void bw_reports_committed(struct bw_mail *mail);
void bw_reports_free_stalled(struct bw_dispatch *dispatch);
/* workers.c */
bool bw_workers_start(struct bw_dispatch *dispatch, struct bw_error *err); /* those of all pools */
struct bw_run_worker *bw_worker_start(struct bw_dispatch *dispatch, unsigned number, struct bw_error *err);
void bw_workers_watch(struct bw_dispatch *dispatch);
void bw_workers_free(struct bw_dispatch *dispatch);
/* A worker process that is in no list: `ended` frees it. `arg` of the handlers and of ended is the worker. NULL with err. */
struct bw_run_worker *bw_worker_new(struct bw_dispatch *dispatch, unsigned number, const struct bw_channel_handlers *handlers,
                                    bw_process_ended *ended, struct bw_error *err);
/* Of bellwire.yaml: what the instance has now, or what a candidate would have; one that executes runs has the secrets as well. */
void bw_worker_configure(struct bw_run_worker *worker, const struct bw_limit_config *limits, size_t limit_count, bool with_secrets);
void bw_worker_send_values(struct bw_run_worker *worker, json_t *values, json_t *configure, bool with_secrets); /* … and the limits */
void bw_worker_end_if_stalled(struct bw_run_worker *worker, int64_t now_us);
/* The worker has ended: false when it was not loading a file. Otherwise err says so and has the file. */
bool bw_worker_died_loading(const struct bw_run_worker *worker, const char *how, struct bw_error *err);
void bw_worker_free(struct bw_run_worker *worker);
/* hosts.c */
bool bw_hosts_start(struct bw_dispatch *dispatch, struct bw_error *err);
bool bw_hosts_all_answered(const struct bw_dispatch *dispatch);
void bw_hosts_watch(struct bw_dispatch *dispatch);
size_t bw_hosts_pids(const struct bw_dispatch *dispatch, pid_t *out, size_t capacity); /* how many were put into out */
void bw_hosts_call(struct bw_run_worker *worker, const struct bw_message *message);
void bw_hosts_cancel(struct bw_run_worker *worker, const json_t *head); /* BW_MSG_CALL_CANCEL */
/* Of lines (host_lines.c): BW_MSG_CALL with one, BW_MSG_CALL_OVER, BW_MSG_LINE_TOLD, BW_MSG_LINE_LEFT, BW_MSG_LINE_LOST */
void bw_hosts_call_on_line(struct bw_run_worker *worker, const struct bw_message *message);
void bw_hosts_call_over(struct bw_run_worker *worker, const json_t *head);
void bw_hosts_line_told(struct bw_run_worker *worker, const json_t *head);
void bw_hosts_line_left(struct bw_run_worker *worker, const json_t *head);
void bw_hosts_line_lost(struct bw_run_worker *worker, const json_t *head);
void bw_hosts_cancel_all(struct bw_run_worker *worker); /* it has ended */
void bw_hosts_free(struct bw_dispatch *dispatch);
/* host_candidate.c. A reload: which plugins are told something else? Processes are started for those; then, when none is on its way any more,
 * bw_reload_plugins_settled(); then either end. What cannot be used is added to `errors`; both are the caller's until then. */
void bw_hosts_try(struct bw_dispatch *dispatch, const json_t *configure, json_t *errors);
int64_t bw_hosts_unsettled_us(const struct bw_dispatch *dispatch); /* before that: in how long no file of a plugin is being written; 0: now */
bool bw_hosts_are_tried(const struct bw_dispatch *dispatch);
bool bw_hosts_have_changed(const struct bw_dispatch *dispatch); /* there are such processes */
void bw_hosts_take(struct bw_dispatch *dispatch);               /* they take the calls; what the others have begun ends there */
void bw_hosts_drop(struct bw_dispatch *dispatch);
/* dispatch.c */
void bw_dispatch_hosts_settled(struct bw_dispatch *dispatch);
void bw_dispatch_catalog_loaded(struct bw_dispatch *dispatch, const json_t *head);
bool bw_dispatch_store_revision(struct bw_dispatch *dispatch, const struct bw_revision *content, struct bw_error *err);
void bw_dispatch_activate(struct bw_dispatch *dispatch, uint32_t revision, struct bw_awaited *awaited); /* takes over `awaited` */
void bw_dispatch_check_drained(struct bw_dispatch *dispatch);
void bw_dispatch_fail(struct bw_dispatch *dispatch, const struct bw_error *err);
#endif
