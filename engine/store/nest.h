/* nest.h: slots of runs that wait for each other: a run keeps its slot while it waits for those that its steps have started, and those may want
 * slots, too.
 *
 * LENDING: who asks for a group of which a run above it (one that waits for it, at any depth) keeps a slot gets that very slot; else the two would
 * wait for each other for ever. A slot is lent to one run at a time: it is a group of its own, with one slot, in which that run and its like wait for
 * each other as everybody else does in theirs, and which it can lend in its turn. So a group never has more at work side by side than its limit,
 * those who wait for what they have started not counted. What is lent ends with what lends it, since whoever ends takes those below with it. Who
 * gives its slot up while it is parked (hold: active) has none to lend: it is free as soon as it only waits.
 *
 * CIRCLES: with several groups runs may still wait in a circle: one keeps a slot of the first group, and what it has started wants the second one;
 * with another run it is the other way round. None of them would ever go on, so one that has not begun is failed ("concurrency.deadlock"), in the
 * transaction that would close the circle. A group is looked at when somebody begins to wait in it below somebody who keeps a slot; it is stuck when
 * each one of those who have its slots waits for something that waits for a slot of a stuck group. Only a run that begins to wait can make a group
 * stuck.
 *
 * Among those that are stuck there is always one that has not begun: who had begun has given up a slot of the group in which it waits, so somebody
 * got a slot there later than that, whose group is waited in by somebody who began later still, and so on round the circle.
 *
 * Writer thread, inside a transaction, as parking.h. */
#ifndef BW_STORE_NEST_H
#define BW_STORE_NEST_H
#include "store/parking.h"

struct bw_nest {                        /* where a run stands that asks for a slot */
    int64_t lender;                     /* the nearest run above that keeps a slot of that group; 0: none */
    uint8_t group[BW_SLOT_GROUP_BYTES]; /* that of the lent slot */
    bool has_keeper;                    /* a run above keeps a slot of whatever group: it may be in a circle */
    bool will_be_free;                  /* a run above has a slot of that group that it gives up as soon as it only waits */
};
bool bw_nest_look(struct bw_parking *parking, int64_t run_id, const uint8_t group[BW_SLOT_GROUP_BYTES], struct bw_nest *nest, struct bw_error *err);

struct bw_circle {
    int64_t run_id; /* the one that is not to wait any more; 0: there is no circle */
    int64_t holder; /* one that has a slot for which it waits */
};
/* The run waits for a slot of this group. */
bool bw_nest_find_circle(struct bw_parking *parking, int64_t run_id, const uint8_t group[BW_SLOT_GROUP_BYTES], struct bw_circle *circle,
                         struct bw_error *err);
#endif
