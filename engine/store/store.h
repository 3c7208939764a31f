/* store.h: what the engine asks of a store. Nothing here says SQL. Today's implementations: SQLite in a data folder, and the same in memory
 * (folder NULL) for `bellwire run` and tests.
 *
 * WRITES are messages to the one writer thread. An operation is filled by its owner, given to bw_store_submit() and from then on belongs to
 * the store until `done(op)` is called ON THE WRITER THREAD, after the commit that holds it has been synced (or has failed). done() must be
 * short: post to your own loop's mailbox. Whatever queued up while the last commit ran is committed as one group (at most 512 operations, of which
 * one of N events counts as N, or 4 MiB). Operations of one thread are applied in submission order; event ids ascend in commit order. If a group
 * fails it is retried one by one; an operation that fails alone gets its own error. Disk full is "store.full": those operations fail, later ones are
 * tried again. Any other I/O error (failed fsync, corruption) is "store.failed": the store refuses everything from then on and the process must stop;
 * an fsync is never retried. RETENTION: finished things go when they are older than configured, and the oldest of them when the database grows above
 * its cap. With nothing left that may go, accepting fails with "store.full" too. What a pending event, an active or a parked run needs stays whatever
 * its age. PARKING: a run that only waits is PARKED: it is the store's alone, no memory holds it. A timer or an event with the right key wakes it: it
 * is ACTIVE again and in the queue, until it parks again or ends. Timers never fire by themselves: BW_OP_WAKE fires what is due. A wake is
 * never lost: it is written in the transaction of what caused it, and registering a wait looks back at the events that came before. Whatever
 * is written first ends a step's waiting; its other arms and its timer go in that transaction. See struct bw_step_row, BW_OP_WAKE.
 * SLOTS: a run that shares slots with others begins as BLOCKED and without steps; when it has one it is ACTIVE and in the queue, as if woken.
 * COLLECTING: an event may be reported as one of several of which a run is made. It is kept with them until their time comes, which is one of the
 * timers; then their run is there as if it had been reported. See struct bw_collect_new.
 * READS use read-only connections of their own: one per thread or command, also beside a serving process.
 * LOCK: opening for writing takes an exclusive flock on FOLDER/lock and writes pid and start time into it; a second opener gets
 * "store.locked" with who holds it. VERSION: the file carries a schema version; older ones are migrated in one transaction, newer ones are
 * refused ("store.newer"). */
#ifndef BW_STORE_STORE_H
#define BW_STORE_STORE_H
#include "base/buf.h"
#include "base/error.h"
#include "base/id.h"
#include <stdbool.h>
#include <stdint.h>

enum bw_outcome { /* of a delivery; stored, never renumber. 10 and above are refusals */
                  BW_OUTCOME_ACCEPTED = 0,
                  BW_OUTCOME_DUPLICATE = 1,
                  BW_OUTCOME_HANDSHAKE = 2,
                  BW_OUTCOME_UNVERIFIED = 10,
                  BW_OUTCOME_MALFORMED = 11,
                  BW_OUTCOME_TOO_LARGE = 12,
                  BW_OUTCOME_BAD_TYPE = 13,
                  BW_OUTCOME_BAD_METHOD = 14,
                  BW_OUTCOME_UNKNOWN_PATH = 15,
                  BW_OUTCOME_OVERLOADED = 16,
                  BW_OUTCOME_RATE_LIMITED = 17,
                  BW_OUTCOME_FORBIDDEN = 18, /* from an address that may not send */
                  BW_OUTCOME_INVALID = 19,   /* verified, but no such body as the source's schema wants */
};
enum bw_run_state {                     /* 20 and above are final */
                    BW_RUN_BLOCKED = 1, /* waits for a slot */
                    BW_RUN_ACTIVE = 2,
                    BW_RUN_PARKED = 3,
                    BW_RUN_DELAYED = 4, /* its time to begin has not come */
                    BW_RUN_HELD = 5,    /* its workflow is paused */
                    BW_RUN_SUCCEEDED = 20,
                    BW_RUN_FAILED = 21,
                    BW_RUN_CANCELLED = 22,
                    BW_RUN_SKIPPED = 23,
};
enum bw_step_state {
    BW_STEP_RETRYING = 2,
    BW_STEP_WAITING = 3,
    BW_STEP_STARTED = 4, /* of a step that must not be called twice: its call may have been made */
    BW_STEP_SUCCEEDED = 20,
    BW_STEP_FAILED = 21,
    BW_STEP_CANCELLED = 22,
    BW_STEP_SKIPPED = 23,
    BW_STEP_UNKNOWN = 24,
};
enum bw_wake_kind { /* what ended a step's waiting; stored, never renumber */
                    BW_WAKE_NONE = 0,
                    BW_WAKE_TIMER = 1,
                    BW_WAKE_EVENT = 2,
                    BW_WAKE_VOTE = 3,
                    BW_WAKE_CHILD = 4,
                    BW_WAKE_CANCEL = 5,
                    BW_WAKE_OPERATOR = 6,
};
const char *bw_outcome_name(enum bw_outcome outcome); /* "accepted", "duplicate", "unverified", … */
const char *bw_run_state_name(enum bw_run_state state);
const char *bw_step_state_name(enum bw_step_state state);
const char *bw_wake_kind_name(enum bw_wake_kind kind); /* "timer", "event", … */
int bw_run_state_parse(struct bw_slice name);          /* -1 = no such state */
enum bw_resolution {                                   /* of a failed run: what was done about it; stored, never renumber */
                     BW_UNRESOLVED = 0,
                     BW_REPLAYED = 1,
                     BW_DISCARDED = 2,
};

struct bw_delivery {
    int64_t at_ms;
    struct bw_slice source; /* empty when no source has the path */
    unsigned status;        /* HTTP */
    enum bw_outcome outcome;
    struct bw_slice provider_id, remote, detail; /* detail: the reason; never a secret, never body bytes */
    uint32_t bytes;
    uint32_t took_us; /* from the request's arrival to the decision */
};
struct bw_event_new {
    struct bw_uid uid;
    int64_t at_ms;
    uint32_t revision;            /* the catalogue revision that was active when it was accepted */
    struct bw_slice source, name; /* name with the source's prefix: "github.push" */
    bool trusted;
    bool is_done;               /* no workflow waits for it: no pending mark */
    struct bw_slice headers;    /* compact JSON object of the kept headers */
    struct bw_slice body;       /* raw */
    struct bw_slice packed;     /* the body as pack.h packs it: that is stored; empty = as it is */
    struct bw_slice dedupe_key; /* empty = none */
    int64_t dedupe_expire_ms;
    struct bw_slice workflow; /* manual start: the one workflow it is for; else empty */
    const uint64_t *keys;     /* hashes that waits may name, at most BW_EVENT_KEYS_MAX; a duplicate's wake nobody */
    size_t key_count;
    int64_t due_ms; /* emitted by a step: it comes then, and all that depends on the catalogue is told then (WAKE); 0 = now */
};
#define BW_EVENT_KEYS_MAX 128
struct bw_batch_event { /* one of the events of a request */
    struct bw_event_new event;
    struct bw_slice detail; /* of the row of its delivery, as is `bytes` */
    uint32_t bytes;
    int64_t event_id;           /* out */
    bool is_duplicate;          /* out */
    struct bw_uid duplicate_of; /* out, as of the operation */
};
/* Writer thread: tells revision, is_done and keys (put into `keys`) of an event whose time has come. */
typedef void bw_store_bind(void *arg, struct bw_event_new *event, uint64_t keys[BW_EVENT_KEYS_MAX]);
struct bw_wait_pair { /* events of this name (a glob) are hashed by this field; empty: by the name alone */
    struct bw_slice event, by;
};
struct bw_wait_arm { /* the lowest event with this key and id > since_event satisfies it, also one that came before the wait */
    uint64_t key;
    int64_t since_event;
};
struct bw_wake {
    enum bw_wake_kind kind; /* NONE: the step still waits */
    uint32_t arm;           /* EVENT: index of the arm that it satisfies */
    int64_t event_id;       /* EVENT; it and its body are kept as long as the wake is */
    struct bw_uid event_uid;
    int64_t at_ms;                    /* TIMER: now_ms of the operation that fired it. EVENT: when that was accepted. VOTE: its own */
    struct bw_slice choice, by, form; /* VOTE, when it is read: the one that decided; see approval.h */
    struct bw_slice votes;            /* the same: all of them, JSON array of {choice, by, at, form} */
};
#define BW_STORE_KEY_BYTES 32
struct bw_schedule_row { /* until when the firings of a schedule are accounted for; never goes back */
    struct bw_slice workflow, rule;
    int64_t last_ms;
};
struct bw_limit_row { /* what a named limit is owed under one key; wall clock */
    struct bw_slice name, key;
    int64_t free_ms, paused_ms; /* when nothing is owed any more; until when nothing begins, 0 = not paused */
};
/* REPLACE: those that wait end as cancelled, it waits instead. CANCEL_RUNNING: and one that has a slot is cancelled. */
enum bw_when_full { BW_FULL_QUEUE, BW_FULL_SKIP, BW_FULL_REPLACE, BW_FULL_CANCEL_RUNNING };
#define BW_SLOT_GROUP_BYTES 32
struct bw_slot_new { /* a run that is there for the first time: may it be ACTIVE? most 0: as far as slots go. Not read back */
    uint8_t group[BW_SLOT_GROUP_BYTES];
    uint32_t most; /* of the group's runs that hold one */
    enum bw_when_full when_full;
    uint32_t max_queue; /* more than that do not wait: it ends as SKIPPED */
    bool holds_parked;  /* it keeps its slot while it is parked; else it waits for one again when it is woken */
    bool holds_failed;  /* it keeps its slot when it has failed, until it is resumed and ends otherwise, or is replayed or discarded */
    int32_t priority;   /* seconds of head start among those that wait, at most BW_PRIORITY_MAX; those of one priority in the order of their events */
};
#define BW_PRIORITY_MAX 3600
struct bw_start_new { /* the same: when may it begin, or wait for its slot? All zero: now */
    uint8_t group[BW_SLOT_GROUP_BYTES];
    uint32_t count, burst; /* of the group's runs, `count` begin in each period, and at most `burst` at once after a rest. count 0: no such limit */
    int64_t period_ms;
    bool skips;       /* it is SKIPPED when it could not begin at once; else DELAYED, and begins in the order of admission */
    int64_t most_ms;  /* its turn would come later than that: it FAILED */
    int64_t ready_ms; /* not before, wall clock */
    int64_t until_ms; /* SKIPPED, when it is not ACTIVE by then; 0 = whenever */
};
struct bw_join_new { /* runs that a step starts (children.h); not read back */
    struct bw_slice workflow;
    uint8_t version[32];
    struct bw_slice items;                /* of each child four bytes of length, little endian, and its input (JSON) */
    struct bw_slice context;              /* handed out with each child; JSON, or empty */
    uint32_t total, concurrency, allowed; /* at most so many alive at once; above so many failures none is started any more */
    uint32_t depth;                       /* of the children: 1 below a run that an event started */
    bool is_call, is_detached;
    bool needs_event;  /* its body: else the children do without */
    bool needs_events; /* all those that the run was made of */
    /* Of a called workflow: by what it is admitted, as a run that is reported as BLOCKED. All zero: it begins at once. */
    struct bw_slot_new slot;
    struct bw_start_new start;
    /* The step has started them before and its run is resumed: those that failed and those that had not begun are run, with this context. No items;
     * of a called workflow its input, which it then has. */
    bool is_reopened;
};
struct bw_join_counts { /* how far they are; total 0: the step has none */
    int64_t id;
    uint32_t total, started, succeeded, failed;
};
#define BW_CHILDREN_MAX 100000 /* of one step; semantics.md 2.5 */
/* Takes the next item off; false at the end, or when what is left is malformed (then it has bytes left). */
bool bw_child_item_next(struct bw_slice *items, struct bw_slice *item);
struct bw_step_row {
    struct bw_slice path; /* the step's id */
    enum bw_step_state state;
    uint32_t attempt; /* the last one, 1-based */
    int64_t started_ms, ended_ms;
    struct bw_slice input_names; /* JSON array of the names of the step's inputs, or empty */
    struct bw_slice output;      /* JSON, or empty */
    struct bw_slice error;       /* JSON object {code,message,…}, or empty */
    struct bw_slice failures;    /* JSON list: attempts that were tried again, {attempt,at_ms,took_ms,error}; written: since the last row; or empty */
    const int64_t *calls;        /* metered calls of which this row says what came of them: usage.h; not read back */
    size_t call_count;
    /* WAITING and RETRYING: what the step waits for now, instead of all that it waited for before. Whatever comes first, the timer or an event
     * for one of the arms, becomes its wake, and nothing else is left registered. If events for several arms are there, the lowest id wins.
     * The wake stays until the step's row is final or the step is reported waiting again. */
    int64_t due_ms;                 /* its timer, 0 = none; wall clock. Read: 0 also after it has fired */
    const struct bw_wait_arm *arms; /* not read back */
    size_t arm_count;
    const struct bw_event_new *emits; /* events that this step causes: accepted in this transaction, like those of a sender; not read back */
    size_t emit_count;
    int64_t since_ms;    /* events accepted before do not satisfy an arm; 0 = all do */
    struct bw_wake wake; /* only read */
    /* WAITING: the step waits for these runs, they are created with this row. Final: it does not wait, they are detached. */
    const struct bw_join_new *join;
    struct bw_join_counts children; /* only read */
    bool is_sensitive;              /* what it gives is shown nowhere */
    bool is_again;                  /* only read: its run was resumed after this, see letters.h */
};
/* The event is gathered with others of its group, and one run is made of all of them: so long after the last one, so long after the first one, or
 * when there are so many, whatever comes first. Then `slot` and `start` of the last one count, with the times of `start` from then on. */
struct bw_collect_new {
    uint8_t group[BW_SLOT_GROUP_BYTES];
    int64_t quiet_ms, max_wait_ms; /* 0 = whenever; one of them is not */
    uint32_t max_events;           /* 0: the event is not gathered */
};
#define BW_COLLECT_EVENTS_MAX 1000
#define BW_COLLECT_BYTES_MAX (16 << 20) /* an event with which a collector had more, bodies and headers, begins another one */
struct bw_run_row {
    struct bw_uid uid;
    struct bw_slice workflow;
    uint8_t version[32];
    /* PARKED is a wish. It is granted if no step of the run has a wake; else the run stays ACTIVE, with a new place in the queue. A parked run
     * that no timer and no event could wake is refused ("store.no_wake"). Once parked a run is ACTIVE only by a wake: what a report says of it
     * as ACTIVE is recorded and it stays parked. A final state removes all that the run waits for. */
    enum bw_run_state state;
    uint32_t lost;                /* times that its worker died under it */
    int64_t started_ms, ended_ms; /* ended_ms 0 while active */
    bool is_settled; /* its steps have ended, what follows them has not: what woke the run itself (deadline, cancelling) has been taken notice of */
    int64_t deadline_ms; /* PARKED: it is woken then, whatever its steps wait for; 0 = none; not read back */
    struct bw_slice output, error;
    const struct bw_step_row *steps; /* those that this report adds or replaces */
    size_t step_count;
    struct bw_slot_new slot;
    struct bw_start_new start;
    struct bw_collect_new collect; /* BLOCKED: this is no run yet. Not read back */
    /* FAILED: the event that says so, or NULL. Accepted in this transaction, unless a step of another run waits for this one: it decides what the
     * failure means. Not read back. */
    const struct bw_event_new *failure;
};
struct bw_collect_version { /* a workflow that gathers events, as it is now */
    struct bw_slice workflow;
    uint8_t version[32];
};
struct bw_refused_run {
    struct bw_uid run;
    enum bw_run_state state; /* 0: none */
    char code[48];           /* of its error */
};
struct bw_revision_file {
    struct bw_slice kind; /* BW_FILE_… of wire/messages.h */
    struct bw_slice path;
    struct bw_slice content;
};
struct bw_revision {
    struct bw_revision_file *files;
    size_t count;
};

enum bw_store_op_kind {
    BW_OP_ACCEPT,   /* T1: delivery, dedupe key, event, pending mark, and who waits for its keys is woken: if they are very many, the rest of
                       them in the transactions that follow. A live duplicate: only a delivery row (status 200), is_duplicate set */
    BW_OP_DELIVERY, /* a refused or handshake request. Above 100 rows a second and source, repeats fold into `times` of that second's last row
                       of the outcome; of each source the newest 100,000 refused rows are kept */
    BW_OP_REPORT,   /* Tc/Tf: runs and steps of one event; with event_done the pending mark goes and `matched` is written */
    BW_OP_REVISION, /* a catalogue revision: its files, stored by content */
    BW_OP_WAKE,     /* fires timers that are due, oldest first, but no more than BW_WAKES_AT_ONCE; `more` when some are left: submit it again */
    BW_OP_PAIRS,    /* the pairs of a catalogue are kept, beside those of earlier ones for as long as any run is alive */
    BW_OP_SCHEDULE, /* `schedule` is written; one that is new begins with it */
    BW_OP_LIMITS,   /* `limits` are written, and those are removed whose times are both over at now_ms */
    BW_OP_FORGET,   /* all that happened is forgotten, the catalogue stays; for tests of workflows, never of what was promised to anybody */
    BW_OP_LETTERS,  /* runs that failed are resumed, replayed, discarded: letters.h */
    BW_OP_VOTE,     /* `vote`: the first one for a step that waits is written, audited, and wakes it */
    BW_OP_KEY,      /* the secret key of the links to approvals, made in this transaction if there is none */
    BW_OP_CANCEL,   /* `cancel`: the flag on the row of a run that has not ended; one that is parked is woken by it */
    BW_OP_ABOUT,    /* `about`: what the catalogue says about its workflows */
    BW_OP_PAUSE,    /* `pause`: from now on no run of the workflow begins, it is HELD; or they begin again, and those that are held go on: WAKE */
    BW_OP_HANDOVER, /* `handover`: a sender hands over its secret, or an operator says when it may: handover.h */
    BW_OP_USAGE,    /* `usage`: a metered call begins, if no budget forbids it, or has ended: usage.h */
    BW_OP_CALL,     /* runs call(op) on the writer thread inside the group; again if the group is retried */
};
#define BW_WAKES_AT_ONCE 500 /* steps woken in one transaction, whatever wakes them; fewer when that takes long */
struct bw_letters;
struct bw_vote;
struct bw_handover;
struct bw_usage_wish;
struct bw_about_list;
struct bw_run_ids { /* ids: malloc'd, free them; short of memory there are fewer */
    int64_t *ids;
    size_t count;
};
struct bw_store_op {
    enum bw_store_op_kind kind;
    void (*done)(struct bw_store_op *op); /* writer thread */
    void *owner;                          /* the submitter's */
    struct bw_store_op *next;             /* the store's while it has the operation, the owner's before and after */
    struct bw_delivery delivery;          /* ACCEPT, DELIVERY, HANDOVER; all borrowed bytes must live until done() */
    struct bw_event_new event;            /* ACCEPT */
    struct bw_batch_event *batch;         /* ACCEPT: these instead of `event`, all or none, each with a row like `delivery`; or NULL */
    size_t batch_count;                   /* ACCEPT */
    const struct bw_run_row *runs;        /* REPORT */
    size_t run_count;
    bool event_done;                    /* REPORT */
    uint32_t matched;                   /* REPORT with event_done */
    const struct bw_revision *revision; /* REVISION */
    struct bw_schedule_row schedule;    /* SCHEDULE; ACCEPT of a firing: written with its event, also when that is a duplicate */
    const struct bw_wait_pair *pairs;   /* PAIRS */
    size_t pair_count;                  /* PAIRS */
    struct {
        struct bw_uid run;
        struct bw_slice why;           /* {reason?, by}, JSON; of several the first one stays, */
        struct bw_slice reason, actor; /* and goes into the audit */
        enum bw_run_state found;       /* out: its state before; 0: it has no row */
        bool has_ended;                /* out: it was BLOCKED, DELAYED or HELD and had not begun: that was its end */
    } cancel;                          /* CANCEL */
    struct {
        struct bw_slice workflow, reason, actor; /* reason: or empty; both go into the audit */
        bool resumes;                            /* it is not to be paused any more */
        bool has_changed;                        /* out: false: it was so already, and nothing was written */
        int64_t since_ms;                        /* out: since when it is paused, or was; 0: it was not */
    } pause;                                     /* PAUSE; now_ms: when */
    bool has_resumed;                            /* WAKE: out: of a workflow that was resumed no run is held any more */
    const struct bw_limit_row *limits;           /* LIMITS */
    size_t limit_count;                          /* LIMITS */
    bool (*call)(struct bw_store_op *op);        /* CALL */
    int64_t now_ms;                              /* WAKE: timers with due_ms <= now_ms are due. LIMITS: 0 = nothing is removed */
    const struct bw_collect_version *collects;   /* WAKE: what a run made of events takes; not here: the version of its last event */
    size_t collect_count;                        /* WAKE */
    uint32_t collect_revision;                   /* WAKE: that of `collects` */
    bw_store_bind *bind;                         /* WAKE: of events that come later; NULL: they stay where they are */
    void *bind_arg;                              /* WAKE */
    struct bw_letters *letters;                  /* LETTERS */
    struct bw_about_list *about;                 /* ABOUT */
    struct bw_vote *vote;                        /* VOTE */
    struct bw_handover *handover;                /* HANDOVER */
    struct bw_usage_wish *usage;                 /* USAGE */
    uint8_t key[BW_STORE_KEY_BYTES];             /* KEY: out */
    bool more;                                   /* WAKE: out */
    int64_t first_emitted;                       /* REPORT, WAKE: out: the lowest id of the events that it caused, 0 = none */
    struct bw_refused_run *refused; /* REPORT: in: the owner's, or NULL. Out: a run of it that was to be admitted and has ended instead */
    struct bw_run_ids *dropped;     /* REPORT: in: the owner's, or NULL. Out: children that were alive and that it has cancelled */
    int64_t event_id;               /* REPORT: in. ACCEPT: out */
    uint32_t revision_id;           /* REVISION: out; the same content gets the id it had */
    bool is_duplicate;              /* ACCEPT: out */
    struct bw_uid duplicate_of;     /* ACCEPT: out when is_duplicate; zero when retention has removed that event */
    bool failed;                    /* out */
    struct bw_error error;          /* out when failed */
};

struct bw_store;
struct bw_retention_config;
struct bw_store *bw_store_open(const char *folder, struct bw_error *err); /* NULL = in memory. Creates the folder (0700). Starts the writer thread. */
/* The same, and removes what is older than `keep` says (config.h; copied). bw_store_open() removes nothing. */
struct bw_store *bw_store_open_keeping(const char *folder, const struct bw_retention_config *keep, struct bw_error *err);
void bw_store_submit(struct bw_store *store, struct bw_store_op *op); /* any thread; never waits for the disk */
bool bw_store_submit_wait(struct bw_store *store, struct bw_store_op *op,
                          struct bw_error *err); /* blocks until done; not for loops. op->done is replaced */
/* Are there runs to hear of that are awake already, but not told yet, or an event that has more to wake, in transactions of their own? Any thread.
 * From an op's done() on it knows of the op's own commit. */
bool bw_store_is_waking(const struct bw_store *store);
size_t bw_store_queued(const struct bw_store *store); /* operations not yet committed, one of N events as N; any thread, approximate */
bool bw_store_is_failed(const struct bw_store *store);
uint64_t bw_store_commits(const struct bw_store *store); /* transactions so far, for tests and metrics */
uint64_t bw_store_repairs(const struct bw_store *store); /* what must not happen and did, in the life of the data folder (sweep.h); any thread */
/* What a commit changed for whoever looks at the queue and at the clock. Called on the writer thread after the done() of that commit's
 * operations, only when runs were put into the queue, some are to be told, or the earliest timer is earlier than it was. Be short, like done(). One
 * handler; NULL = none, and then none is running any more. Runs that were in the queue before are not told: read it once at the start, from 0. */
struct bw_watched {
    int64_t run_id, event_id;
    struct bw_uid run;
};
struct bw_store_wakes {
    size_t woken;        /* runs put into the queue */
    int64_t next_due_ms; /* the earliest of all timers, 0 = there is none */
    /* Runs that somebody may be executing, and who is to be told: the step BW_CANCEL_ON_PATH (wire/messages.h) has a wake, or it is to be cancelled.
     */
    const struct bw_watched *watched; /* told alone, before the done() of their commit: who waits for that has heard of it then */
    size_t watched_count;
};
typedef void bw_store_wake_handler(void *arg, const struct bw_store_wakes *wakes);
void bw_store_on_wake(struct bw_store *store, bw_store_wake_handler *handler, void *arg); /* any thread but the writer */
int64_t bw_store_next_due(const struct bw_store *store);                                  /* the earliest of all timers now, 0 = none; any thread */
void bw_store_close(struct bw_store *store); /* commits what is queued, checkpoints, closes, releases the lock */

/* ---- reading ---- */
struct bw_reader;
struct bw_reader *bw_reader_open(const char *folder, struct bw_error *err); /* "store.missing" with the cure when there is no store yet */
void bw_reader_close(struct bw_reader *reader);

struct bw_event { /* borrowed until the visit returns */
    int64_t id;
    struct bw_uid uid;
    int64_t at_ms;
    uint32_t revision;
    struct bw_slice source, name, headers, body, workflow;
    bool trusted, is_pending;
    bool is_damaged; /* the body is there and is not what was accepted: it must not be run */
    uint32_t matched;
};
typedef bool bw_event_visit(void *arg, const struct bw_event *event); /* false = stop */
/* Not yet done events with id > after, ascending, at most limit; *count = how many were visited. */
bool bw_reader_pending(struct bw_reader *reader, int64_t after, size_t limit, bw_event_visit *visit, void *arg, size_t *count, struct bw_error *err);
bool bw_reader_pending_count(struct bw_reader *reader, uint64_t *count, struct bw_error *err);
/* Newest first. name_glob empty = all; before_id 0 = from the newest; bodies only with with_body. */
bool bw_reader_events(struct bw_reader *reader, struct bw_slice name_glob, int64_t before_id, size_t limit, bool with_body, bw_event_visit *visit,
                      void *arg, struct bw_error *err);
bool bw_reader_event(struct bw_reader *reader, struct bw_uid uid, bw_event_visit *visit, void *arg, bool *found, struct bw_error *err);
bool bw_reader_event_by_id(struct bw_reader *reader, int64_t id, bool with_body, bw_event_visit *visit, void *arg, bool *found, struct bw_error *err);

struct bw_child { /* what started a run, if another one did; join 0: an event did */
    int64_t join;
    struct bw_uid parent;  /* zero: it is gone */
    struct bw_slice path;  /* the parent's step */
    struct bw_slice input; /* JSON */
    uint32_t item, depth;
    bool is_call, is_detached;
    bool needs_events; /* all those that the run was made of which started it, not only the last one */
    bool is_sensitive; /* the parent's step: the run's output is part of that one's */
};
struct bw_run { /* as stored */
    int64_t id; /* for bw_run_filter.before_row */
    struct bw_run_row row;
    int64_t event_id;
    struct bw_uid event_uid;
    struct bw_slice event_name;
    int64_t collector_id; /* of several events: event_id is the last one. 0 = of one */
    struct bw_child child;
    bool is_woken;          /* it is in the queue: whoever has its event has nothing to do with it */
    bool is_overdue;        /* its deadline_ms has passed */
    struct bw_slice cancel; /* {reason?, by} of who wants or wanted it cancelled; or empty */
    uint32_t revision;      /* that it runs under */
    int64_t resumed_ms;     /* 0 = never */
    enum bw_resolution resolved;
    int64_t resolved_ms;
    struct bw_uid origin;   /* the run that it repeats; zero: none */
    struct bw_slice labels; /* of its workflow: JSON object, or empty */
};
typedef bool bw_run_visit(void *arg, const struct bw_run *run);
struct bw_run_filter {
    struct bw_slice workflow; /* empty = all */
    struct bw_slice label;    /* NAME=VALUE, or NAME: of workflows that have it (about.h); empty = all */
    int state;                /* 0 = all */
    int64_t event_id;         /* 0 = all */
    int64_t before_row;       /* 0 = newest first from the end */
    int64_t since_ms;         /* started then or later; 0 = all */
    int64_t before_ms;        /* started before; 0 = all */
    struct bw_slice error;    /* a glob: only those with such an error code; empty = all */
    bool without_resolved;    /* failed runs about which something was done are left out */
    size_t limit;
    bool with_steps;
    bool with_children; /* those that other runs have started, too */
};
bool bw_reader_runs(struct bw_reader *reader, const struct bw_run_filter *filter, bw_run_visit *visit, void *arg, struct bw_error *err);
bool bw_reader_run(struct bw_reader *reader, struct bw_uid uid, bw_run_visit *visit, void *arg, bool *found, struct bw_error *err); /* with steps */

struct bw_queued {
    int64_t id; /* for `after`; ascends, within a process none is given twice */
    int64_t run_id, event_id;
    struct bw_uid run;
    bool is_child, needs_event;
    uint32_t revision;        /* 0: that of its event */
    struct bw_slice workflow; /* borrowed: until the visit returns */
};
typedef bool bw_queued_visit(void *arg, const struct bw_queued *queued);
/* Woken runs with id > after, ascending, at most limit; *count = how many were visited. */
bool bw_reader_queue(struct bw_reader *reader, int64_t after, size_t limit, bw_queued_visit *visit, void *arg, size_t *count, struct bw_error *err);
typedef bool bw_schedule_visit(void *arg, const struct bw_schedule_row *row);
bool bw_reader_schedules(struct bw_reader *reader, bw_schedule_visit *visit, void *arg, struct bw_error *err);
typedef bool bw_limit_visit_row(void *arg, const struct bw_limit_row *row);
bool bw_reader_limits(struct bw_reader *reader, bw_limit_visit_row *visit, void *arg, struct bw_error *err);
/* What a join hands out with each of its children; visited at most once. */
typedef bool bw_context_visit(void *arg, struct bw_slice context);
bool bw_reader_context(struct bw_reader *reader, int64_t join, bw_context_visit *visit, void *arg, struct bw_error *err);
/* The children of a join that have ended, in the order of their items. */
struct bw_child_end {
    uint32_t item;
    struct bw_uid run;
    enum bw_run_state state;
    struct bw_slice output, error;
};
typedef bool bw_child_end_visit(void *arg, const struct bw_child_end *end);
bool bw_reader_child_ends(struct bw_reader *reader, int64_t join, bw_child_end_visit *visit, void *arg, struct bw_error *err);
struct bw_audit_row { /* what somebody has done by hand */
    int64_t at_ms;
    struct bw_slice actor, verb, target, detail;
};
typedef bool bw_audit_visit(void *arg, const struct bw_audit_row *row);
bool bw_reader_audit(struct bw_reader *reader, struct bw_slice target, bw_audit_visit *visit, void *arg, struct bw_error *err); /* oldest first */
typedef bool bw_pair_visit(void *arg, const struct bw_wait_pair *pair);
bool bw_reader_pairs(struct bw_reader *reader, bw_pair_visit *visit, void *arg, struct bw_error *err);
bool bw_reader_parked_count(struct bw_reader *reader, uint64_t *count, struct bw_error *err);

struct bw_delivery_row {
    int64_t id;
    struct bw_delivery delivery;
    struct bw_uid event; /* zero = none */
    uint32_t times;
};
typedef bool bw_delivery_visit(void *arg, const struct bw_delivery_row *row);
bool bw_reader_deliveries(struct bw_reader *reader, struct bw_slice source, bool only_refused, int64_t before_id, size_t limit,
                          bw_delivery_visit *visit, void *arg, struct bw_error *err);
bool bw_reader_delivery(struct bw_reader *reader, int64_t id, bw_delivery_visit *visit, void *arg, bool *found, struct bw_error *err);
/* What came again after the event, oldest first. */
bool bw_reader_duplicates(struct bw_reader *reader, int64_t event_id, size_t limit, bw_delivery_visit *visit, void *arg, struct bw_error *err);
struct bw_revision *bw_reader_revision(struct bw_reader *reader, uint32_t id, struct bw_error *err); /* free with bw_revision_free() */
void bw_revision_free(struct bw_revision *revision);
#endif
