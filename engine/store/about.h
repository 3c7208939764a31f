/* about.h: what a catalogue says about its workflows and what is no part of a version: labels, and how long runs are kept. It counts for all runs of
 * a workflow, also those that ended before it was said; a workflow that has left the catalogue keeps what was said last as long as a run of it is
 * there.
 *
 * Writer thread, inside a transaction; the operation's owner keeps the bytes until done(). */
#ifndef BW_STORE_ABOUT_H
#define BW_STORE_ABOUT_H
#include "store/store.h"

#define BW_KEEP_UNSAID (-1)
struct bw_about {
    struct bw_slice workflow;
    struct bw_slice labels;   /* JSON object of texts, or empty */
    int64_t ok_ms, failed_ms; /* ages; 0: for ever; BW_KEEP_UNSAID: those of the instance */
};
struct bw_about_list { /* all workflows of the catalogue */
    struct bw_about *items;
    size_t count;
};

struct bw_write_statements;
/* *is_new: it is not what was there. */
bool bw_about_apply(const struct bw_write_statements *sql, const struct bw_about_list *list, bool *is_new, struct bw_error *err);
#endif
