/* responses.h: what a worker's report says to senders who wait: read when it comes, sent when it is on disk. Main thread. */
#ifndef BW_DISPATCH_RESPONSES_H
#define BW_DISPATCH_RESPONSES_H
#include "dispatch/internal.h"
#include "dispatch/response.h"

struct bw_responses { /* all zero: none */
    struct bw_response *list;
    size_t count;
    struct bw_buf bytes;
    struct bw_uid event;
    struct bw_refused_run refused; /* for the store, when somebody waits for a run that is to be admitted */
    bool may_be_refused;
};
void bw_responses_choose(struct bw_dispatch *dispatch, const json_t *head); /* BW_MSG_RESPOND */
/* Of a report: `respond` steps, and the ends of runs. Its head must live until they are sent. */
void bw_responses_read(struct bw_responses *responses, struct bw_dispatch *dispatch, const struct bw_job *job, const struct bw_message *message);
void bw_responses_send(struct bw_responses *responses, struct bw_dispatch *dispatch);
void bw_responses_free(struct bw_responses *responses);
#endif
