/* letters_apply.h: the writer's side of letters.h. Writer thread, inside a transaction, as parking.h. */
#ifndef BW_STORE_LETTERS_APPLY_H
#define BW_STORE_LETTERS_APPLY_H
#include "store/letters.h"
#include "store/parking.h"

bool bw_letters_apply(struct bw_parking *parking, struct bw_letters *letters, struct bw_error *err);
/* A run that has ended is active again and in the queue; what it has not finished is run once more. */
bool bw_letters_revive(struct bw_parking *parking, int64_t run_id, int64_t now_ms, struct bw_error *err);
#endif
