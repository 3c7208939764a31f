/* handover.h: secrets that senders hand over by themselves (source/learnt.h says why): when they may, and what they have handed over.
 *
 * BW_OP_HANDOVER decides inside the writer's transaction, so two senders, an operator and a clock race with nothing: a secret is taken while the
 * window of its source is open and while the source has none. It is on disk before its sender is answered, and it is never replaced. The database's
 * file is its owner's alone, as for the key of the approval links. What changes something leaves a row in the audit, under "source NAME", and so does
 * every wish to see a secret; no secret is in it. */
#ifndef BW_STORE_HANDOVER_H
#define BW_STORE_HANDOVER_H
#include "store/store.h"

#define BW_WINDOW_MAX_MS (24LL * 3600 * 1000) /* of who opens one */

enum bw_handover_verb {
    BW_HANDOVER_OPEN, /* a window, until `until_ms` */
    BW_HANDOVER_CLOSE,
    BW_HANDOVER_FORGET, /* the secret; the window closes, too: whoever comes next is not let in by what was meant for the one before */
    BW_HANDOVER_REVEAL, /* somebody wants to see the secret */
    BW_HANDOVER_TAKE,   /* a sender says it. The operation's `delivery` is written in any case: as it is, or as refused for `refusal` */
};
struct bw_handover { /* of BW_OP_HANDOVER, with its now_ms; all bytes must live until done() */
    enum bw_handover_verb verb;
    struct bw_slice source;
    struct bw_slice actor;         /* who asks; TAKE: the sender's address */
    int64_t until_ms;              /* OPEN */
    struct bw_slice secret, value; /* TAKE: what the scheme calls it, and itself */
    bool has_changed;              /* out: false: it was so already */
    const char *refusal;           /* out, TAKE: why it was not taken; NULL: it was, or it is the very one that was taken before */
};

/* ---- reading: as in store.h ---- */
struct bw_window { /* borrowed until the visit returns, and so is the next one */
    struct bw_slice source, actor;
    int64_t until_ms; /* may be over */
};
struct bw_learnt_secret {
    struct bw_slice source, secret, value, remote;
    int64_t at_ms;
};
typedef bool bw_window_visit(void *arg, const struct bw_window *window);
bool bw_reader_windows(struct bw_reader *reader, bw_window_visit *visit, void *arg, struct bw_error *err);
typedef bool bw_learnt_visit(void *arg, const struct bw_learnt_secret *secret);
bool bw_reader_learnt(struct bw_reader *reader, bw_learnt_visit *visit, void *arg, struct bw_error *err);
#endif
