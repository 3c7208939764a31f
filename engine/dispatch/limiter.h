/* limiter.h: named limits that steps of all workflows share: a rate with a burst, a number at once, or both; apart for each key.
 *
 * Whoever wants to begin asks for a permit and waits in line; bw_limiter_next() gives permits in the order in which they were asked for. The rate
 * is GCRA (the virtual scheduling algorithm of ITU-T I.371): any time of length T sees at most rate × T + burst of cost. A cost above the burst is
 * let through alone, when nothing is owed, and is owed in full then. Time is the caller's, in microseconds of a clock that never jumps.
 * Nothing here is stored; bw_limiter_owed() tells what a restart must not forget, bw_limiter_owe() puts it back. One thread. */
#ifndef BW_DISPATCH_LIMITER_H
#define BW_DISPATCH_LIMITER_H
#include "base/buf.h"
#include <stdint.h>

struct bw_limit_rule {
    double count;      /* this much cost … */
    int64_t period_us; /* … in this time; 0 = no rate */
    double burst;      /* at least 1 */
    unsigned at_once;  /* 0 = any number */
};
struct bw_limiter;
struct bw_permit;
struct bw_limiter *bw_limiter_new(void);
void bw_limiter_free(struct bw_limiter *limiter); /* and all permits */
/* A limit, or another rule for one that there is: who waits is looked at by that one, and what is owed stays so much cost. False: no memory, and
 * nothing has changed. */
bool bw_limiter_set(struct bw_limiter *limiter, struct bw_slice name, const struct bw_limit_rule *rule, int64_t now_us);
/* In line. NULL: no such limit, or no memory. `owner` is the caller's. The permit is valid until it is given back. */
struct bw_permit *bw_limiter_ask(struct bw_limiter *limiter, struct bw_slice name, struct bw_slice key, double cost, void *owner);
/* The next one that may begin now, or NULL; then *due_us is when there may be one, -1 = when one is given back. */
struct bw_permit *bw_limiter_next(struct bw_limiter *limiter, int64_t now_us, int64_t *due_us);
void *bw_permit_owner(const struct bw_permit *permit);
bool bw_permit_is_given(const struct bw_permit *permit);
void bw_permit_back(struct bw_limiter *limiter, struct bw_permit *permit); /* done, or not wanted any more */
/* Nothing begins before until_us: the other side has said so. Under the key of the permit, whether it was given or not. */
void bw_permit_pause(struct bw_limiter *limiter, struct bw_permit *permit, int64_t until_us);

struct bw_limit_debt {
    struct bw_slice name, key;
    int64_t free_us, paused_us; /* when nothing is owed any more; until when it is paused; 0 = not */
};
typedef void bw_limit_visit(void *arg, const struct bw_limit_debt *debt);
/* Those with more than `least_us` still to come that have changed since they were visited last. */
void bw_limiter_owed(struct bw_limiter *limiter, int64_t now_us, int64_t least_us, bw_limit_visit *visit, void *arg);
void bw_limiter_owe(struct bw_limiter *limiter, const struct bw_limit_debt *debt);
void bw_limiter_sweep(struct bw_limiter *limiter, int64_t now_us); /* forgets keys that nobody uses and that owe nothing */
size_t bw_limiter_keys(const struct bw_limiter *limiter);
#endif
