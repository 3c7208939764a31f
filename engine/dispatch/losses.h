/* losses.h: what was executing when a process died, and how often that was so (semantics.md 2.4).
 *
 * An entry is a path (a step, "trigger", …) of a run, and the job under which a worker had it. It counts the workers of this engine that died of it.
 * With a folder it also counts earlier engines that died while it was executing, in whichever worker: their flight pages are there, a file each, and
 * what is known is kept beside them, so that it outlives the next engine as well. Nobody knows whether it was the reason. It runs alone from then on,
 * and fails when it was there too often. An entry goes with the record of its step, or with its job.
 *
 * What the folder has and this cannot read is as if it was not there, and what cannot be written is known to this engine alone: the log says so, and
 * nothing else happens. Main thread. */
#ifndef BW_DISPATCH_LOSSES_H
#define BW_DISPATCH_LOSSES_H
#include "base/buf.h"
#include "store/store.h"
#include "wire/flight.h"

#define BW_FLIGHT_FOLDER "flight" /* below the data folder */

struct bw_losses;
/* folder: made if it is missing; the pages in it are counted and removed. NULL: no earlier engine has left anything, and no later one is told.
 * NULL when there is no memory. */
struct bw_losses *bw_losses_open(const char *folder);
void bw_losses_free(struct bw_losses *losses);                                                   /* what is in the folder stays */
void bw_losses_keep_live(struct bw_losses *losses, struct bw_reader *reader);                    /* entries of what has ended meanwhile go */
void bw_losses_add(struct bw_losses *losses, const struct bw_flight_note *note);                 /* a page counts once */
bool bw_losses_are_of(struct bw_losses *losses, int64_t job, struct bw_uid run);                 /* run: zero unless the job is that of a run */
void bw_losses_append(const struct bw_losses *losses, int64_t job, struct bw_buf *out);          /* `lost` of BW_MSG_EVENT, an array */
void bw_losses_forget(struct bw_losses *losses, int64_t job, const char *run, const char *path); /* it was recorded; path NULL: all of the job */
#endif
