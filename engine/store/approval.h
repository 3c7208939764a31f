/* approval.h: what people decide for a step that waits for it (BW_OP_VOTE), and what is shown to who decides. */
#ifndef BW_STORE_APPROVAL_H
#define BW_STORE_APPROVAL_H
#include "store/store.h"

struct bw_vote { /* what a person decides for a step that waits for it */
    struct bw_uid run;
    struct bw_slice step;
    struct bw_slice choice, by; /* by: who */
    struct bw_slice form;       /* JSON object: what else was asked for */
    struct bw_slice remote;     /* from where it came */
    int64_t at_ms;
    bool is_callback;   /* not a person's: what a step in its iteration waits for (a callback); what has ended an attempt before it stays written */
    uint32_t iteration; /* then */
    bool is_counted;    /* out: the step waited for it. Else nothing was written: something came before it, or there is no such step */
    bool decides;       /* out: with it as many as are needed have chosen this */
};

struct bw_approval { /* a step, as far as it concerns who decides for it; borrowed until the visit returns */
    enum bw_run_state run_state;
    bool is_ending;         /* its steps end, they do not know it yet: somebody wants it cancelled, or its time is over */
    bool is_sensitive;      /* what is decided is shown to nobody else */
    int step_state;         /* enum bw_step_state; 0: the step has no row yet */
    struct bw_slice output; /* WAITING: what is asked, as its worker has reported it; final: its output */
    enum bw_wake_kind wake; /* what has ended the waiting, before the step's row says so; NONE */
    int64_t due_ms;         /* when that is over; 0 = not waiting */
    struct bw_vote vote;    /* the one that decided, without run, step and remote; choice empty: none did */
    struct bw_vote own;     /* nothing is decided yet: that of `actor`, the same */
    bool has_voted;         /* `actor` has, however long ago: also for a question that was asked anew since */
    struct bw_slice tally;  /* JSON object: how many have chosen what */
};
typedef bool bw_approval_visit(void *arg, const struct bw_approval *approval);
bool bw_reader_approval(struct bw_reader *reader, struct bw_uid run, struct bw_slice step, struct bw_slice actor, bw_approval_visit *visit, void *arg,
                        bool *found, struct bw_error *err); /* not found: there is no such run */
#endif
