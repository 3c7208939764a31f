/* slots.h: runs that may be active only so many at a time (`concurrency` of a workflow). A group has slots; a run of it is ACTIVE with one, or
 * BLOCKED and waits for one, in the order of the events, those with a head start (`priority`) earlier by so much. All of it is rows
 * (schema/009_slots.sql), written in the transaction of what causes it: a run's end gives its slot to the next one, so that none is lost and none is
 * used twice.
 *
 * A run that a step has started asks like one that an event has, in one order with those: it comes behind the events that are there when it asks.
 * What is special about it: nest.h.
 *
 * Writer thread, inside a transaction, as parking.h. */
#ifndef BW_STORE_SLOTS_H
#define BW_STORE_SLOTS_H
#include "store/parking.h"

bool bw_slots_open(struct bw_parking *parking, struct bw_error *err);

struct bw_slot_ask {
    int64_t run_id, event_id;
    int64_t until_ms; /* it has a timer for `start_within`; 0: it has none */
    bool keeps_order; /* it asks as soon as its event was looked at: none of a later event, with the same priority, is before it */
    bool must_run;    /* somebody wants it to: it waits, however full the group is */
    bool is_called;   /* a step has started it */
    const struct bw_slot_new *slot;
};
/* A run that is not in the queue: it is ACTIVE, or BLOCKED, or is not to be run (`when_full`). */
bool bw_slots_admit(struct bw_parking *parking, const struct bw_slot_ask *ask, struct bw_error *err);
bool bw_slots_parked(struct bw_parking *parking, int64_t run_id, struct bw_error *err);
/* It was parked and is ACTIVE. *may_go false: it has given its slot up and waits for one: it is BLOCKED now. */
bool bw_slots_woken(struct bw_parking *parking, int64_t run_id, bool *may_go, struct bw_error *err);
/* It has ended. One that has failed with holds_failed keeps its slot. */
bool bw_slots_ended(struct bw_parking *parking, int64_t run_id, struct bw_error *err);
/* Something was done about a run that had failed, or it is removed: a slot that was kept is free. */
bool bw_slots_resolved(struct bw_parking *parking, int64_t run_id, struct bw_error *err);
/* The same for those that its failed children, and theirs, have kept: they are no dead letters of their own. */
bool bw_slots_resolved_below(struct bw_parking *parking, int64_t run_id, struct bw_error *err);
/* A slot that `from` has kept (perhaps the run itself) is the run's. */
bool bw_slots_take_over(struct bw_parking *parking, int64_t run_id, int64_t from, bool *has_slot, struct bw_error *err);
/* The sweeper: those who wait get what is free. */
bool bw_slots_settle(struct bw_parking *parking, int64_t run_id, struct bw_error *err);
#endif
