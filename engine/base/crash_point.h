/* crash_point.h: named places where a test can make the process die as if by SIGKILL: BELLWIRE_CRASH=store.before_commit:3 in the
 * environment ends it with _exit(137) at the third hit of that point, *:3 at the third hit of any. All points are in this one table, and a name that
 * is not among them ends the program at once: a test whose point nobody knows would prove nothing. `bellwire version --json` lists them, and
 * tests/integration/test_crash_points.py says for each what must come of it. Those of a worker end the worker alone, once: whoever follows it goes
 * on. Compiled to nothing without BELLWIRE_TEST_HOOKS. Any thread. */
#ifndef BW_BASE_CRASH_POINT_H
#define BW_BASE_CRASH_POINT_H

#ifdef BELLWIRE_TEST_HOOKS
#include <stdbool.h>

/* Before and after: of the commit of a transaction in which that is done. */
#define BW_CRASH_POINTS(X)                                                                                                      \
    X(INGEST_BEFORE_STORE, "ingest.before_store")       /* a request is good, the store has not got it */                       \
    X(INGEST_BEFORE_ANSWER, "ingest.before_answer")     /* it is on disk, its sender does not know */                           \
    X(INGEST_MID_ANSWER, "ingest.mid_answer")           /* twelve bytes of the answer have left */                              \
    X(INGEST_BEFORE_RESPONSE, "ingest.before_response") /* what a run says to the sender who waits */                           \
    X(DISPATCH_BEFORE_JOB, "dispatch.before_job")       /* an event is handed to a worker */                                    \
    X(DISPATCH_BEFORE_REPORT, "dispatch.before_report") /* a worker has told what became of it, nothing is written */           \
    X(DISPATCH_BEFORE_ACK, "dispatch.before_ack")       /* it is on disk, the worker that waits for it does not know */         \
    X(DISPATCH_BEFORE_ACTIVATE, "dispatch.before_activate")                                                                     \
    X(DISPATCH_AFTER_ACTIVATE, "dispatch.after_activate")                                                                       \
    X(WORKER_BEFORE_ATTEMPT, "worker.before_attempt") /* the code of a step begins */                                           \
    X(WORKER_BEFORE_REQUEST, "worker.before_request") /* it calls another server */                                             \
    X(WORKER_AFTER_REQUEST, "worker.after_request")   /* the answer is there, the code has not got it */                        \
    X(WORKER_BEFORE_REPORT, "worker.before_report")   /* the engine has not heard of it */                                      \
    X(STORE_MID_MIGRATION, "store.mid_migration")                                                                               \
    X(STORE_BEFORE_BEGIN, "store.before_begin")                                                                                 \
    X(STORE_BEFORE_COMMIT, "store.before_commit")                                                                               \
    X(STORE_MID_COMMIT, "store.mid_commit")   /* at each write into the log */                                                  \
    X(STORE_BEFORE_SYNC, "store.before_sync") /* all of a commit is written, nothing synced */                                  \
    X(STORE_AFTER_COMMIT, "store.after_commit")                                                                                 \
    X(STORE_BEFORE_CHECKPOINT, "store.before_checkpoint")                                                                       \
    X(STORE_MID_CHECKPOINT, "store.mid_checkpoint") /* at each page that goes from the log into the database */                 \
    X(STORE_AFTER_CHECKPOINT, "store.after_checkpoint")                                                                         \
    X(STORE_BEFORE_EVENT, "store.before_event")                                                                                 \
    X(STORE_AFTER_EVENT, "store.after_event")                                                                                   \
    X(STORE_MID_BATCH, "store.mid_batch") /* behind each event of a request that has several */                                 \
    X(STORE_BEFORE_REFUSAL, "store.before_refusal")                                                                             \
    X(STORE_AFTER_REFUSAL, "store.after_refusal")                                                                               \
    X(STORE_BEFORE_REPORT, "store.before_report")                                                                               \
    X(STORE_AFTER_REPORT, "store.after_report")                                                                                 \
    X(STORE_BEFORE_REVISION, "store.before_revision")                                                                           \
    X(STORE_AFTER_REVISION, "store.after_revision")                                                                             \
    X(STORE_BEFORE_TIMER, "store.before_timer")                                                                                 \
    X(STORE_AFTER_TIMER, "store.after_timer")                                                                                   \
    X(STORE_BEFORE_SCHEDULE, "store.before_schedule")                                                                           \
    X(STORE_AFTER_SCHEDULE, "store.after_schedule")                                                                             \
    X(STORE_BEFORE_CANCEL, "store.before_cancel")                                                                               \
    X(STORE_AFTER_CANCEL, "store.after_cancel")                                                                                 \
    X(STORE_BEFORE_LIMITS, "store.before_limits")                                                                               \
    X(STORE_AFTER_LIMITS, "store.after_limits")                                                                                 \
    X(STORE_BEFORE_PARK, "store.before_park")                                                                                   \
    X(STORE_AFTER_PARK, "store.after_park")                                                                                     \
    X(STORE_BEFORE_WAKE, "store.before_wake")                                                                                   \
    X(STORE_AFTER_WAKE, "store.after_wake")                                                                                     \
    X(STORE_BEFORE_CHILDREN, "store.before_children") /* children are begun: a call, or a chunk of a foreach with its cursor */ \
    X(STORE_AFTER_CHILDREN, "store.after_children")                                                                             \
    X(STORE_BEFORE_JOIN, "store.before_join") /* the end of a child is counted */                                               \
    X(STORE_AFTER_JOIN, "store.after_join")                                                                                     \
    X(STORE_BEFORE_LETTERS, "store.before_letters") /* failed runs are resumed, replayed, discarded */                          \
    X(STORE_AFTER_LETTERS, "store.after_letters")                                                                               \
    X(STORE_BEFORE_VOTE, "store.before_vote")                                                                                   \
    X(STORE_AFTER_VOTE, "store.after_vote")                                                                                     \
    X(STORE_BEFORE_ADMISSION, "store.before_admission") /* a run gets its slot, or its turn */                                  \
    X(STORE_AFTER_ADMISSION, "store.after_admission")                                                                           \
    X(STORE_BEFORE_COLLECT, "store.before_collect")                                                                             \
    X(STORE_AFTER_COLLECT, "store.after_collect")                                                                               \
    X(STORE_BEFORE_FLUSH, "store.before_flush") /* what was collected becomes a run */                                          \
    X(STORE_AFTER_FLUSH, "store.after_flush")                                                                                   \
    X(STORE_BEFORE_LATER, "store.before_later") /* an emitted event comes after its delay */                                    \
    X(STORE_AFTER_LATER, "store.after_later")                                                                                   \
    X(STORE_BEFORE_PAUSE, "store.before_pause") /* a workflow is paused, or goes on */                                          \
    X(STORE_AFTER_PAUSE, "store.after_pause")                                                                                   \
    X(STORE_BEFORE_HOLD, "store.before_hold") /* a run of it is held */                                                         \
    X(STORE_AFTER_HOLD, "store.after_hold")                                                                                     \
    X(STORE_BEFORE_RELEASE, "store.before_release")                                                                             \
    X(STORE_AFTER_RELEASE, "store.after_release")                                                                               \
    X(STORE_BEFORE_HANDOVER, "store.before_handover") /* a sender may hand over its secret, or does */                          \
    X(STORE_AFTER_HANDOVER, "store.after_handover")                                                                             \
    X(STORE_BEFORE_REMOVAL, "store.before_removal") /* retention */                                                             \
    X(STORE_AFTER_REMOVAL, "store.after_removal")

enum bw_crash_point {
#define X(name, text) BW_CRASH_##name,
    BW_CRASH_POINTS(X)
#undef X
        BW_CRASH_POINT_COUNT
};
extern const char *const bw_crash_point_names[BW_CRASH_POINT_COUNT];
/* Reads the environment, which the first hit does otherwise. What is no point or no count ends the program with status 2. */
void bw_crash_point_read(void);
bool bw_crash_point_is_armed(void);                    /* is there any point at all? */
bool bw_crash_point_is_due(enum bw_crash_point point); /* counts a hit: true = die now */
void bw_crash_point_hit(enum bw_crash_point point);
/* For who starts and buries processes: does a child get the point, and has it died of it? Then no other one is to. */
bool bw_crash_point_is_of_worker(void);
void bw_crash_point_child_ended(int status);
#define BW_CRASH_POINT(name) bw_crash_point_hit(BW_CRASH_##name)
/* BELLWIRE_CRASH_STEP=PATH ends a run worker by SIGKILL each time that it enters code of that step, PATH~ each time that it has left it. */
void bw_crash_step_hit(const char *path, const char *when);
#define BW_CRASH_STEP(path, when) bw_crash_step_hit(path, when)
#else
#define BW_CRASH_POINT(name) ((void)0)
#define BW_CRASH_STEP(path, when) ((void)0)
#endif
#endif
