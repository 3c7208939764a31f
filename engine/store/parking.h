/* parking.h: runs that wait without anybody holding them: what their steps wait for, and how they are woken.
 *
 * Everything is rows (schema/003_parking.sql), written in the transaction of the operation that causes it; in memory are four numbers. The
 * rules that keep a wake from being lost:
 *   - registering a wait (parking.c) looks at the events that are there already; accepting an event (waking.c) looks at the waits that are
 *     there already; both happen in the one writer's transactions, so one of the two sees the other;
 *   - whatever is about to wake a step that waits for events, a timer too, first asks for the lowest event that satisfies the step: an event
 *     whose turn has not come yet (below) is not overtaken;
 *   - a run whose step was woken is not parked again before the step's row has changed.
 * Rows of timers, waits and wakes exist only for steps whose stored state is below 20, so a run without such a step costs no statement here.
 *
 * A transaction wakes at most BW_WAKES_AT_ONCE steps, fewer if they take long: commits wait for it. An event that more of them wait for leaves a row
 * in `wakings`, and bw_parking_go_on() wakes the rest, so many at a time, in transactions of its own, after a crash as well.
 *
 * Writer thread, inside a transaction that ends in bw_parking_committed() or bw_parking_rolled_back(). */
#ifndef BW_STORE_PARKING_H
#define BW_STORE_PARKING_H
#include "store/store.h"
#include "store/write_sql.h"

struct bw_parking { /* zero-initialise, then bw_parking_open(). Fields are parking.c's and waking.c's */
    size_t at_once; /* steps that a transaction wakes; 0 = BW_WAKES_AT_ONCE. For tests */
    const struct bw_write_statements *sql;
    int64_t last_queue_id;
    int64_t due_ms, committed_due_ms; /* of the earliest timer, 0 = none: with this transaction, without it */
    bool is_due_unsure;               /* a timer has gone: perhaps the earliest */
    bool is_due_earlier;              /* than bw_parking_news() has said */
    size_t woken_steps, woken_runs;   /* by this transaction */
    int64_t until_us;                 /* bw_clock_mono_us(); then it wakes no more */
    size_t parked;                    /* by this transaction */
    size_t started, joined;           /* by this transaction: children (children.c) */
    struct bw_run_ids *dropped;       /* of the report that is written, or NULL: children that it has cancelled */
    size_t votes;                     /* by this transaction (votes.c) */
    size_t letters;                   /* by this transaction: runs that somebody did something about (letters.c) */
    size_t collected, flushed;        /* by this transaction: events and collectors (collect.c) */
    size_t caused;                    /* by this transaction: events that were to come later (later.c) */
    bool has_later;                   /* perhaps there are such events: else no statement asks */
    struct bw_packer *unpacker;       /* of their bodies; made when it is needed */
    size_t admitted;                  /* by this transaction: runs that admission.c has looked at */
    struct bw_paused *paused;         /* workflows that are paused (pausing.c) */
    size_t paused_count;
    bool is_paused_unsure;         /* after a rollback: it is read again */
    size_t pauses, held, released; /* by this transaction (pausing.c) */
    size_t news;                   /* runs woken by commits since bw_parking_news() */
    struct bw_watched *watched;    /* by commits since then, and behind them by this transaction */
    size_t watched_committed, watched_count, watched_capacity;
    bool has_slots;         /* perhaps there is a run that shares slots: else no statement asks (slots.c) */
    int64_t asked_ms;       /* when the last one asked for a slot: does not go back, whatever the clock does */
    bool has_delayed;       /* perhaps there is a run that waits for its turn under a rate (rates.c) */
    bool has_collectors;    /* perhaps there is one: else no statement asks (collect.c) */
    bool has_wakings;       /* perhaps there is an event whose waiters are not all woken */
    int64_t waking, waiter; /* that event, 0 = not begun; of those who wait for its key all below this run are woken */
    size_t waking_key;      /* that key: its place among the event's */
};

bool bw_parking_open(struct bw_parking *parking, const struct bw_write_statements *sql, struct bw_error *err);
void bw_parking_close(struct bw_parking *parking);
bool bw_parking_flush(struct bw_parking *parking, struct bw_error *err); /* before COMMIT */
void bw_parking_committed(struct bw_parking *parking);
void bw_parking_rolled_back(struct bw_parking *parking);
/* After a commit: is there something to tell, since the last time that this was asked? */
bool bw_parking_watched(struct bw_parking *parking, struct bw_store_wakes *wakes); /* only those */
bool bw_parking_news(struct bw_parking *parking, struct bw_store_wakes *wakes);
bool bw_parking_has_news(const struct bw_parking *parking); /* asks without hearing it */

/* ---- a report's steps and runs ---- */
/* After the step's row was written. *has_live: may steps of the run have something registered? Set when this one has. */
bool bw_parking_put_step(struct bw_parking *parking, int64_t run_id, const struct bw_step_row *step, bool *has_live, struct bw_error *err);
/* Its row says parked; it may be active after this. deadline_ms: a timer of the run itself, with an empty path; 0 = none. */
bool bw_parking_park(struct bw_parking *parking, int64_t run_id, int64_t deadline_ms, struct bw_error *err);
/* It is ending: what has woken the run itself has been taken notice of. */
bool bw_parking_settled(struct bw_parking *parking, int64_t run_id, struct bw_error *err);
/* It ends with steps whose rows are not final: they end, too, and one that may have been called (at_most_once) as unknown. */
bool bw_parking_end_steps(struct bw_parking *parking, int64_t run_id, struct bw_error *err);
/* It has ended. */
bool bw_parking_end(struct bw_parking *parking, int64_t run_id, bool has_live, struct bw_error *err);

/* ---- waking ---- */
bool bw_parking_accepted(struct bw_parking *parking, int64_t event_id, const struct bw_event_new *event, struct bw_error *err);
bool bw_parking_fire(struct bw_parking *parking, int64_t now_ms, bool *more, struct bw_error *err);
bool bw_parking_cancel(struct bw_parking *parking, int64_t run_id, int64_t now_ms, struct bw_error *err);
/* Some of those who wait for an event that was accepted before. */
bool bw_parking_go_on(struct bw_parking *parking, struct bw_error *err);
#endif
