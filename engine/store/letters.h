/* letters.h: the dead letter: runs that failed, and what a person does about them (semantics.md 2.5).
 *
 *   resume   the same run goes on, under its own identity and keys: what it has recorded as succeeded stays, all else is run once more, with fresh
 *            attempts. A step that waits for runs which it has started takes those up again that failed, and starts those that had not begun.
 *   replay   a new run of the same event, with an identity of its own; what it repeats is remembered. The old run is resolved if it had failed.
 *   discard  nothing more is to be done about it.
 *   resolve  what a step that ended as unknown has done, as somebody has found out: it has had its effect, with this output; or it has not, and the
 *            run stays failed for now; or it is to be called once more. In the first and the last case the run is resumed, if it may be: a run with
 *            an unknown step is not, nor is one that takes up such a run.
 *
 * An operation is one transaction. What cannot be done is refused for that run alone; the others go on. Each one that is done leaves a row in the
 * audit. To commits that others wait for an operation is as large as the rows that it writes: give it BW_LETTERS_AT_ONCE runs, fewer with `from`.
 * Writer thread. */
#ifndef BW_STORE_LETTERS_H
#define BW_STORE_LETTERS_H
#include "store/store.h"

#define BW_LETTERS_AT_ONCE 50
#define BW_RESOLVED_OUTPUT_BYTES_MAX (512u << 10)
#define BW_DISCARDED_AFTER_MS (180LL * 24 * 3600 * 1000) /* a failed run that nobody has done anything about counts as discarded then */

enum bw_letter_verb { BW_LETTER_RESUME, BW_LETTER_REPLAY, BW_LETTER_DISCARD, BW_LETTER_RESOLVE };
enum bw_step_resolution { BW_STEP_HAS_SUCCEEDED, BW_STEP_HAS_FAILED, BW_STEP_TRY_AGAIN };
const char *bw_letter_verb_name(enum bw_letter_verb verb); /* "resume", … */

struct bw_letter { /* one run */
    struct bw_uid run;
    struct bw_uid replay;    /* REPLAY: the new run's, from bw_uid_new() */
    bool is_refused;         /* out */
    bool is_resumed;         /* out: RESOLVE */
    struct bw_error refusal; /* out, when refused: "run.unknown", "run.not_failed", "run.resolved", "run.child", "run.undone", … RESOLVE: also why it
                                is not resumed */
};
struct bw_letter_workflow { /* as a revision has it */
    struct bw_slice name;
    uint8_t version[32];
    const struct bw_slice *steps; /* their paths: first those of the run itself, in their order, then those in a foreach or after the end */
    size_t own_count, step_count; /* own_count: of the run itself */
};
struct bw_letters {
    enum bw_letter_verb verb;
    struct bw_slice actor;
    int64_t now_ms;
    /* The revision to run under, and all of its workflows; 0: each run's own. It must stay the current one until this is committed. */
    uint32_t revision;
    const struct bw_letter_workflow *workflows;
    size_t workflow_count;
    struct bw_slice from; /* REPLAY, with a revision: the outputs of the steps before this one are copied; empty: nothing is */
    struct bw_slice step; /* RESOLVE: its path */
    enum bw_step_resolution resolution;
    struct bw_slice output; /* JSON object: when it has succeeded */
    struct bw_letter *items;
    size_t count;
};
#endif
