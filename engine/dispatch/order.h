/* order.h: whose turn it is to be given an event, where runs begin in the order of their events (semantics.md 2.1, promise 5).
 *
 * A worker looks at events in the order in which it was given them, and what their runs ask for reaches the engine in that order, too. So it is
 * enough that the queue is in order, and that an event goes to another worker than the one before it only when that one has looked at all that it was
 * given: it is asked, and its answer comes behind whatever it has reported. An event that may end its worker goes to another one, and so does the
 * next.
 *
 * Main thread. Workers are compared, nothing of theirs is touched or owned. */
#ifndef BW_DISPATCH_ORDER_H
#define BW_DISPATCH_ORDER_H
#include <stdbool.h>
#include <stdint.h>

struct bw_order {       /* all zero: nobody was given an event */
    const void *looker; /* it was given the last event, and has perhaps not looked at it yet; NULL: there is nothing that it could overtake */
    int64_t question;   /* that it has not answered; 0: it was not asked since it was given its last event */
    int64_t questions;  /* so many were asked */
};
bool bw_order_is_turn_of(const struct bw_order *order, const void *worker);           /* the next event may go to it */
int64_t bw_order_ask(struct bw_order *order);                                         /* the number of a question to the looker */
void bw_order_given(struct bw_order *order, const void *worker);                      /* an event went to it, in its turn */
bool bw_order_answered(struct bw_order *order, const void *worker, int64_t question); /* true: it has looked at all that it was given */
void bw_order_ended(struct bw_order *order, const void *worker);                      /* what it was given is in the queue again */
#endif
