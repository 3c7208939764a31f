/* status.h: what has become of a run, for the sender who did not wait for its answer until the end (semantics.md 2.5, "Respond"). The listener has
 * checked the link; it shows what an answer would have shown, and no more. */
#ifndef BW_DISPATCH_STATUS_H
#define BW_DISPATCH_STATUS_H
#include "base/buf.h"
#include "base/mailbox.h"
#include "wire/status_token.h"

struct bw_dispatch;
struct bw_status_query {
    struct bw_status_token token;
    void (*done)(struct bw_status_query *query); /* main thread; also when the engine stops */
    /* out */
    unsigned status;    /* 200; 410: it is not kept any more; 503: it cannot be told now */
    bool is_over;       /* it will not change any more */
    struct bw_buf body; /* JSON: {event, run?, state, output?, error?} */
    /* the dispatcher's */
    struct bw_mail mail;
    struct bw_dispatch *dispatch;
};
void bw_dispatch_ask_status(struct bw_dispatch *dispatch, struct bw_status_query *query); /* any thread; all but token and done is zero */
#endif
