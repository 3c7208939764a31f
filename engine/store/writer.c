#include "store/writer.h"
#include "base/crash_point.h"
#include "store/database.h"
#include "store/migrate.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int on_commit(void *arg, sqlite3 *db, const char *name, int frames)
{
    struct bw_writer *writer = arg;
    (void)db, (void)name;
    if (frames < writer->log_frames) writer->checkpointed_frames = 0;
    writer->log_frames = frames;
    return SQLITE_OK;
}

bool bw_writer_open(struct bw_writer *writer, const char *folder, struct bw_error *err)
{
    if (folder) {
        writer->folder = strdup(folder);
        if (!writer->folder) return bw_error_set(err, "store.refused", "no memory to open the store");
    }
    writer->db = bw_database_open_writer(folder, err);
    if (!writer->db) return false;
    sqlite3_wal_hook(writer->db, on_commit, writer);
    return bw_migrate(writer->db, bw_embedded_sql, err) && bw_write_prepare(writer->db, &writer->sql, err) &&
           bw_dedupe_open(&writer->dedupe, &writer->sql, err) && bw_deliveries_open(&writer->deliveries, &writer->sql, err) &&
           bw_parking_open(&writer->parking, &writer->sql, err) &&
           bw_retention_open(&writer->retention, &writer->parking, &writer->deliveries, err) && bw_sweep_open(writer, err);
}

void bw_writer_close(struct bw_writer *writer, bool checkpoint)
{
    bw_retention_close(&writer->retention);
    bw_deliveries_close(&writer->deliveries);
    bw_dedupe_close(&writer->dedupe);
    bw_parking_close(&writer->parking);
    bw_write_finalize(&writer->sql);
    if (writer->db) bw_database_close(writer->db, checkpoint);
    if (writer->reserve >= 0) close(writer->reserve);
    free(writer->folder);
}

static void roll_back(struct bw_writer *writer)
{
    /* After some errors SQLite has rolled back already. If this fails there is nothing left that could be done: the next BEGIN fails too. */
    if (!sqlite3_get_autocommit(writer->db)) bw_sql_run(writer->sql.rollback, NULL);
    bw_dedupe_rolled_back(&writer->dedupe);
    bw_deliveries_rolled_back(&writer->deliveries);
    bw_parking_rolled_back(&writer->parking);
}

bool bw_writer_commit(struct bw_writer *writer, struct bw_store_op *first, struct bw_store_op **culprit, struct bw_error *err)
{
    *culprit = NULL;
    BW_CRASH_POINT("store.before_begin");
    if (!bw_sql_run(writer->sql.begin, err)) return false;
    for (struct bw_store_op *op = first; op; op = op->next) {
        if (bw_writer_apply(writer, op, err)) continue;
        *culprit = op;
        goto fail;
    }
    if (!bw_deliveries_flush(&writer->deliveries, err) || !bw_dedupe_merge(&writer->dedupe, 0, err) || !bw_parking_flush(&writer->parking, err))
        goto fail;
    BW_CRASH_POINT("store.before_commit");
    if (!bw_sql_run(writer->sql.commit, err)) goto fail;
    BW_CRASH_POINT("store.after_commit");
    bw_dedupe_committed(&writer->dedupe);
    bw_deliveries_committed(&writer->deliveries);
    bw_parking_committed(&writer->parking);
    return true;
fail:
    roll_back(writer);
    return false;
}
