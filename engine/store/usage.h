/* usage.h: metered calls: what steps use of things that are paid by use, such as language models. Before a call its row says what it may take at most
 * (BW_OP_USAGE with `opens`), and in the same transaction nothing that a budget allows is exceeded, or there is no row and no call; behind the call
 * the row says what it took. A call that never says so, because its process died, counts with what it might have taken. It is open until a step's row
 * that says what came of it is written, in the same transaction: what was paid and then lost is not taken for what has served. Rows go with their
 * runs, the sums of a day stay for BW_USAGE_DAYS_KEPT days. Days are those of UTC. */
#ifndef BW_STORE_USAGE_H
#define BW_STORE_USAGE_H
#include "store/store.h"

#define BW_USAGE_DAY_MS 86400000
#define BW_USAGE_DAYS_KEPT 800
#define BW_USAGE_BUDGETS_MAX 8

enum bw_usage_scope { BW_USAGE_STEP, BW_USAGE_RUN, BW_USAGE_WORKFLOW, BW_USAGE_DAY }; /* RUN: with all that it has started. WORKFLOW: of a day */
enum bw_usage_measure { BW_USAGE_CALLS, BW_USAGE_TOKENS, BW_USAGE_COST, BW_USAGE_MS, BW_USAGE_MEASURES };
struct bw_usage_budget {
    enum bw_usage_scope scope;
    int64_t most[BW_USAGE_MEASURES]; /* -1 = any. COST: millionths of the currency */
};
struct bw_usage_numbers {
    int64_t input, output; /* tokens, all of them */
    int64_t cached;        /* of `input` */
    int64_t cost;          /* millionths of the currency; -1 = nobody knows the price */
    int64_t first_ms;      /* until the first of the answer; -1 = not measured */
    int64_t took_ms;
};
struct bw_usage_wish {
    bool opens; /* a call is to be made; else the one with `id` has ended */
    struct bw_uid run;
    struct bw_usage_numbers numbers; /* opens: input, output, cost at most */
    /* opens */
    struct bw_slice workflow, path, provider, model;
    uint32_t attempt;
    int64_t at_ms;
    const struct bw_usage_budget *budgets; /* the first that it would exceed refuses it */
    size_t budget_count;
    int64_t id;                    /* out, when it may be made; in, when it has ended */
    bool is_final;                 /* it has ended, and no step's row will say so */
    bool is_refused;               /* out: then the rest says why */
    bool is_unpriced;              /* there is a budget of cost, and nobody knows what the call costs */
    struct bw_usage_budget budget; /* which one */
    enum bw_usage_measure measure;
    int64_t used; /* so far, of that measure */
};

/* ---- reading ---- */
struct bw_usage_row { /* borrowed until the visit returns */
    struct bw_uid run;
    struct bw_slice workflow, path, provider, model;
    uint32_t attempt;
    int64_t at_ms;
    bool has_ended; /* and what came of it is recorded; false: the numbers are what it might have taken, … */
    bool is_heard;  /* … or what it took: its answer came, and is lost with its process, or not recorded yet */
    struct bw_usage_numbers numbers;
};
struct bw_usage_sum {
    int64_t day; /* since 1970 */
    struct bw_slice workflow, provider, model;
    int64_t calls, open, unpriced;   /* open: those that have not ended, or never said so */
    struct bw_usage_numbers numbers; /* cost: of those that have one. first_ms: nothing */
};
typedef bool bw_usage_visit(void *arg, const struct bw_usage_row *row);
typedef bool bw_usage_sum_visit(void *arg, const struct bw_usage_sum *sum);
bool bw_reader_usage_of_run(struct bw_reader *reader, struct bw_uid run, bw_usage_visit *visit, void *arg, struct bw_error *err);
/* Of a run that no other one has started, with all that it has started itself; calls 0: nothing. */
bool bw_reader_usage_of_root(struct bw_reader *reader, struct bw_uid run, struct bw_usage_sum *sum, struct bw_error *err);
bool bw_reader_usage_days(struct bw_reader *reader, int64_t from_day, bw_usage_sum_visit *visit, void *arg,
                          struct bw_error *err); /* by all, ascending */
#endif
