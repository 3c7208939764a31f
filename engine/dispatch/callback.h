/* callback.h: what somebody who has the link of a step that waits for a callback posts, and what is told (semantics.md 3.3: PENDING). The listener
 * has checked the link; the main thread reads the store, checks the answer against what the action promises, and has it on disk before it says so.
 * The first answer counts; whoever gives it again is told the same. */
#ifndef BW_DISPATCH_CALLBACK_H
#define BW_DISPATCH_CALLBACK_H
#include "base/json.h"
#include "base/mailbox.h"
#include "store/approval.h"
#include "wire/approval_token.h"

struct bw_dispatch;
enum bw_callback_answer {
    BW_CALLBACK_LATER, /* it cannot be told now: the step does not wait yet, or the engine is stopping */
    BW_CALLBACK_DONE,  /* it is on disk, now or since an earlier time */
    BW_CALLBACK_WRONG, /* it is no answer, or not what the action promises: nothing has changed */
    BW_CALLBACK_GONE   /* nobody waits for it any more: the time is over, the run has ended or is not there, another link was faster */
};
struct bw_callback_query {
    struct bw_approval_token token;
    struct bw_callback_turn turn;
    json_t *given;                                 /* {output: {}} or {error: {code, message, retry}}; the query's */
    char remote[64];                               /* its address */
    void (*done)(struct bw_callback_query *query); /* main thread; also when the engine stops */
    /* out */
    enum bw_callback_answer answer;
    struct bw_error error; /* WRONG */
    /* the dispatcher's */
    struct bw_mail mail;
    struct bw_dispatch *dispatch;
    struct bw_store_op op;
    struct bw_vote vote;
    struct bw_buf form;
    json_t *promised; /* schemas of the outputs, by name */
    bool is_submitted;
};
void bw_dispatch_ask_callback(struct bw_dispatch *dispatch, struct bw_callback_query *query); /* any thread; all but what is in and done is zero */
void bw_callback_query_clear(struct bw_callback_query *query);                                /* frees what it holds, not the query itself */
#endif
