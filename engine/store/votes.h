/* votes.h: what people decide for steps that wait for it, and the key of the links by which they do. Writer thread, inside a transaction. */
#ifndef BW_STORE_VOTES_H
#define BW_STORE_VOTES_H
#include "store/approval.h"
#include "store/parking.h"

/* Only if the step waits, nothing has woken it, and it is the first one of this person: then the vote is written and audited. When as many as the
 * step's question says have chosen the same, it is the step's wake. */
bool bw_votes_apply(struct bw_parking *parking, struct bw_vote *vote, struct bw_error *err);
/* Of the store; made by the first who asks. */
bool bw_votes_key(const struct bw_write_statements *sql, uint8_t key[BW_STORE_KEY_BYTES], struct bw_error *err);
#endif
