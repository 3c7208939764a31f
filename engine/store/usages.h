/* usages.h: the writer's side of usage.h. Writer thread, inside a transaction. */
#ifndef BW_STORE_USAGES_H
#define BW_STORE_USAGES_H
#include "store/usage.h"
#include "store/write_sql.h"

bool bw_usage_apply(struct bw_write_statements *sql, struct bw_usage_wish *wish, struct bw_error *err);
/* What came of these calls is recorded with this transaction. */
bool bw_usage_settle(struct bw_write_statements *sql, struct bw_uid run, const int64_t *calls, size_t count, struct bw_error *err);
#endif
