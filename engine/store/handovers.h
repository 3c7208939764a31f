/* handovers.h: what senders hand over, and when they may: the writing part of handover.h. Writer thread, inside a transaction. */
#ifndef BW_STORE_HANDOVERS_H
#define BW_STORE_HANDOVERS_H
#include "store/deliveries.h"
#include "store/handover.h"

bool bw_handovers_apply(const struct bw_write_statements *sql, struct bw_deliveries *deliveries, struct bw_store_op *op, struct bw_error *err);
#endif
