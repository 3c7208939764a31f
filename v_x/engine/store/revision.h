/* revision.h: catalogue revisions. A revision is the set of its files; the same set gets the id it had, whatever order it comes in, and
 * contents are stored once however many revisions hold them. Writer thread, inside a transaction. */
#ifndef BW_STORE_REVISION_H
#define BW_STORE_REVISION_H
#include "store/store.h"
#include "store/write_sql.h"

bool bw_revision_store(const struct bw_write_statements *sql, const struct bw_revision *revision, uint32_t *id, struct bw_error *err);
#endif
