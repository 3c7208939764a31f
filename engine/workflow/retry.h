/* retry.h: how a failed step is tried again (semantics.md 2.5). Written in parts at three places; each field comes from the first that has it:
 * the step's `retry`, the workflow's `defaults.retry`, the action's manifest, the built-in values. Plain data, any thread. */
#ifndef BW_WORKFLOW_RETRY_H
#define BW_WORKFLOW_RETRY_H
#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include <stdint.h>

#define BW_RETRY_WAITS_MAX 20
enum bw_retry_on {
    BW_RETRY_ON_UNSET,
    BW_RETRY_ON_TRANSIENT, /* what may pass: network, timeouts, 408/425/429/5xx, what the action marks */
    BW_RETRY_ON_ANY,       /* whatever the attempt itself failed with */
    BW_RETRY_ON_CODES      /* these error codes, and no others */
};
struct bw_retry {     /* not written: negative, or ON_UNSET */
    int32_t attempts; /* in all */
    int64_t delay_ms, max_delay_ms, max_elapsed_ms;
    double factor, jitter;                /* delay × factor each time; × (1 - jitter × U[0,1)) */
    int64_t waits_ms[BW_RETRY_WAITS_MAX]; /* `delay` as a list: one wait after the other, then the last one again; no factor, no max_delay */
    uint8_t wait_count;                   /* 0: it is no list. Else `attempts`, where they are not written beside it, are one more */
    enum bw_retry_on on;
    const struct bw_slice *codes; /* borrowed from where they were written */
    size_t code_count;
};
extern const struct bw_retry bw_retry_unset;
extern const struct bw_retry bw_retry_builtin; /* 6 attempts, 2 s, ×5, at most 15 m, jitter 0.5, no end, transient */

void bw_retry_fill(struct bw_retry *retry, const struct bw_retry *otherwise); /* what `retry` does not say comes from `otherwise` */
/* One field from its JSON value; false: err says what is expected. `on` is not for manifests and unknown here. */
bool bw_retry_set(struct bw_retry *retry, const char *key, const json_t *value, struct bw_error *err);
bool bw_retry_matches(const struct bw_retry *retry, bool is_transient, struct bw_slice code);
/* The wait after `failed` failed attempts. retry_after_ms: what the other side asked for, of which at most 1 h is the minimum; -1 or 0 = nothing:
 * whoever says "at once" to all gets them all at once. */
int64_t bw_retry_delay_ms(const struct bw_retry *retry, uint32_t failed, int64_t retry_after_ms);
#endif
