/* run_wait.h: reading why a run has not begun. As the reading part of store.h. */
#ifndef BW_STORE_RUN_WAIT_H
#define BW_STORE_RUN_WAIT_H
#include "store/store.h"

/* What a run waits for that has not begun, or has to wait once more; all zero: nothing. */
struct bw_run_wait {
    int64_t begins_ms; /* DELAYED: as reckoned now */
    uint32_t count;    /* its rate: so many in period_ms; 0 = it has none */
    int64_t period_ms;
    uint32_t most, held;  /* BLOCKED: slots of its group */
    uint32_t ahead;       /* runs in front of it */
    int64_t until_ms;     /* when it is skipped; 0 = never */
    struct bw_uid kept;   /* a run that has failed and keeps a slot of the group; zero: there is none */
    struct bw_uid lender; /* BLOCKED: the run above it on whose slot it is to be (nest.h); zero: it is to have one of its own */
    bool is_held;         /* HELD */
    int64_t paused_ms;    /* HELD: since when its workflow is paused; 0: its workflow was resumed, and its turn comes */
    char reason[256];     /* the same: as somebody gave it, or "" */
};
bool bw_reader_run_wait(struct bw_reader *reader, int64_t run_id, struct bw_run_wait *wait, struct bw_error *err);
/* A workflow that the run has called and waits for, and that has not begun. */
struct bw_unbegun_call {
    int64_t run_id; /* 0: there is none */
    struct bw_uid run;
    char path[256]; /* the step, or a part of it */
};
bool bw_reader_unbegun_call(struct bw_reader *reader, int64_t run_id, struct bw_unbegun_call *call, struct bw_error *err);
#endif
