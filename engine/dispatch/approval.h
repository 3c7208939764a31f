/* approval.h: what somebody who has the link to an approval asks, and what is told (semantics.md 2.5, "Approve"). The listener has checked the link;
 * the main thread reads the store, checks what was given against what is asked, and has a vote on disk before it says so. Whoever asks twice is told
 * what was decided first. */
#ifndef BW_DISPATCH_APPROVAL_H
#define BW_DISPATCH_APPROVAL_H
#include "base/json.h"
#include "base/mailbox.h"
#include "store/approval.h"
#include "wire/approval_token.h"

struct bw_dispatch;
enum bw_approval_answer {
    BW_APPROVAL_LATER,   /* it cannot be told now: nothing is asked yet, or the engine is stopping */
    BW_APPROVAL_OPEN,    /* the question; nothing is decided */
    BW_APPROVAL_NOTED,   /* this one has decided; more must choose the same */
    BW_APPROVAL_WRONG,   /* the same, and what is wrong with what was given */
    BW_APPROVAL_DECIDED, /* by this one (is_new), by another one before, or by time */
    BW_APPROVAL_GONE     /* nobody can decide any more: the run has ended or is not there, the time is over */
};
struct bw_approval_query {
    struct bw_approval_token token;
    bool votes;                                    /* else it only looks */
    bool has_texts;                                /* the values of its form are texts, as browsers send them */
    json_t *given;                                 /* {choice, by?, form?: {}} with `votes`; the query's */
    char remote[64];                               /* its address */
    void (*done)(struct bw_approval_query *query); /* main thread; also when the engine stops */
    /* out */
    enum bw_approval_answer answer;
    bool is_new;
    json_t *question;      /* OPEN, WRONG, NOTED: {message, choices, form, need?, to?} */
    json_t *decision;      /* DECIDED, NOTED: {choice, by, at, form} */
    json_t *tally;         /* NOTED: {CHOICE: how many have chosen it} */
    int64_t due_ms;        /* OPEN, WRONG, NOTED: until when */
    struct bw_error error; /* WRONG */
    /* the dispatcher's */
    struct bw_mail mail;
    struct bw_dispatch *dispatch;
    struct bw_store_op op;
    struct bw_vote vote;
    struct bw_buf form;
    bool is_submitted, is_sensitive;
};
void bw_dispatch_ask_approval(struct bw_dispatch *dispatch, struct bw_approval_query *query); /* any thread; all but what is in and done is zero */
void bw_approval_query_clear(struct bw_approval_query *query);                                /* frees what it holds, not the query itself */
const uint8_t *bw_dispatch_approval_key(const struct bw_dispatch *dispatch); /* what links are checked with; fixed for the dispatcher's life */
/* What links to approvals begin with from now on: the listener's port is known only when it listens. */
void bw_dispatch_set_public_url(struct bw_dispatch *dispatch, const char *url);
#endif
