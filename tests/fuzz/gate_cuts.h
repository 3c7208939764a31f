/* gate_cuts.h: the same bytes through a gate as packets of any size. Included once per target. */
#ifndef BW_FUZZ_GATE_CUTS_H
#define BW_FUZZ_GATE_CUTS_H
#include "fuzz.h"
#include "ingest/gate_reading.h"

/* Feeds all of it in pieces of which each is at most `most` long. */
static inline void feed_cut(struct reading *reading, struct bw_slice bytes, struct fuzz_dice *dice, uint32_t most)
{
    while (bytes.len) {
        size_t len = 1 + fuzz_roll(dice, most);
        if (len > bytes.len) len = bytes.len;
        struct bw_slice piece = fuzz_copy((struct bw_slice){bytes.ptr, len});
        feed(reading, piece.ptr, piece.len);
        free((void *)piece.ptr);
        bytes = (struct bw_slice){bytes.ptr + len, bytes.len - len};
    }
}

static inline const char *verdict_of(const struct bw_gate *gate)
{
    return gate->fault ? gate->fault->reason : "passed";
}

/* All that a gate knows must be the same, not only its verdict. */
static inline void check_same_gate(const struct bw_gate *whole, const struct bw_gate *cut)
{
    bool same = whole->state == cut->state && whole->faulty_in == cut->faulty_in && whole->fault == cut->fault && whole->unit == cut->unit &&
                whole->line == cut->line && whole->last == cut->last && whole->left == cut->left && whole->body == cut->body &&
                whole->arrived == cut->arrived && whole->completed == cut->completed && whole->digits == cut->digits;
    fuzz_check(same, "whole: %s after %llu requests, state %d; in pieces: %s after %llu, state %d", verdict_of(whole),
               (unsigned long long)whole->completed, (int)whole->state, verdict_of(cut), (unsigned long long)cut->completed, (int)cut->state);
}
#endif
