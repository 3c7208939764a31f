/* tool_runs.h: what has become of a run that the call of a tool has begun (`expose: mcp`), for whoever may use the source by which it was called:
 * read from the store, so what it says is on disk, or that the run is in hand and not there yet. Runs of other sources are unknown to it. */
#ifndef BW_DISPATCH_TOOL_RUNS_H
#define BW_DISPATCH_TOOL_RUNS_H
#include "base/buf.h"
#include "base/id.h"
#include "base/json.h"
#include "base/mailbox.h"
#include <stdbool.h>

struct bw_dispatch;
enum bw_tool_run_found {
    BW_TOOL_RUN_LATER, /* it cannot be told now */
    BW_TOOL_RUN_FOUND,
    BW_TOOL_RUN_UNKNOWN,
    BW_TOOL_RUN_OTHER_ARGUMENTS, /* the call that it is said to repeat was called with others */
};
struct bw_tool_run_query {
    struct bw_uid run;
    struct bw_uid event;                           /* of a call that is repeated; zero: nobody has */
    struct bw_slice source;                        /* borrowed until done() */
    const json_t *given;                           /* with `event`: what it was called with, NULL: nothing; borrowed until done() */
    void (*done)(struct bw_tool_run_query *query); /* main thread; also when the engine stops */
    /* out */
    enum bw_tool_run_found found;
    const char *status; /* static */
    bool is_over, is_good;
    struct bw_buf output;    /* JSON object */
    struct bw_buf error;     /* {code, message, step?}, or empty */
    struct bw_buf waits_for; /* [{step, for, until?}], or empty */
    /* the dispatcher's */
    struct bw_mail mail;
    struct bw_dispatch *dispatch;
};
void bw_dispatch_ask_tool_run(struct bw_dispatch *dispatch, struct bw_tool_run_query *query); /* any thread; what is not given is zero */
void bw_tool_run_query_clear(struct bw_tool_run_query *query);
/* {code, message, step?} of a run's error: where in which file is nothing for who called it. */
void bw_tool_error_append(struct bw_buf *out, const json_t *error, const char *otherwise);
#endif
