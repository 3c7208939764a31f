/* children.h: runs that steps start, between the frames of a worker and the rows of the store. What is handed over is bytes: nothing of it is read
 * here. Main thread. */
#ifndef BW_DISPATCH_CHILDREN_H
#define BW_DISPATCH_CHILDREN_H
#include "dispatch/internal.h"

#define BW_CHILDREN_OUTPUT_BYTES_MAX (8u << 20) /* of all children of a step: above that their outputs are left out */

/* By what a run is admitted: `slot`, `rate`, `ready_ms`, `until_ms` of a run, or of a `join`. False: malformed. */
bool bw_admission_read(const json_t *from, struct bw_slot_new *slot, struct bw_start_new *start);
/* `join` of a step in BW_MSG_REPORT; the two slices are those of the message. False: malformed. */
bool bw_join_read(const struct bw_message *message, const json_t *from, struct bw_join_new *join);
/* What has become of a step's children: the members of `children` in BW_MSG_EVENT, and the array of their outputs. */
bool bw_join_append_ends(struct bw_reader *reader, const struct bw_join_counts *counts, struct bw_buf *head, struct bw_buf *items,
                         struct bw_error *err);
#endif
