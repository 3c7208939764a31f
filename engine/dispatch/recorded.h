/* recorded.h: what the store knows of the runs of a job, as a part of the message that hands it out: `runs` and `wake_events` of BW_MSG_EVENT. Main
 * thread. */
#ifndef BW_DISPATCH_RECORDED_H
#define BW_DISPATCH_RECORDED_H
#include "dispatch/internal.h"

#define BW_WAKE_EVENTS_MAX 64 /* events that are handed over with a run; what waits behind more of them is woken again */
struct bw_recorded {          /* zero-initialised, with dispatch and part_count set */
    struct bw_dispatch *dispatch;
    struct bw_buf head, workflow;
    struct bw_buf collected; /* the items of `collected` */
    int64_t collector_id;    /* of the run that is to be continued, 0 = it is made of one event */
    bool has_damaged;        /* one of its events is not what was accepted */
    int64_t wake_events[BW_WAKE_EVENTS_MAX];
    size_t wake_event_count;
    bool is_live; /* the run is to be continued */
    struct bw_slice parts[BW_FRAME_PARTS_MAX];
    size_t part_count;
    struct bw_buf bytes; /* copies of the outputs; parts hold offsets until the end */
    bool too_many, has_failed;
    struct bw_error error; /* has_failed */
};

/* Appends to recorded->head and the parts. True with too_many: one frame does not hold all of it. */
bool bw_recorded_read(struct bw_dispatch *dispatch, const struct bw_job *job, struct bw_recorded *recorded, struct bw_error *err);
void bw_recorded_free(struct bw_recorded *recorded); /* with the memory that it stands in; NULL is fine */
#endif
