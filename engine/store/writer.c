#include "store/writer.h"
#include "base/crash_point.h"
#include "store/crash_writes.h"
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
    if (!bw_migrate(writer->db, bw_embedded_sql, err) || !bw_write_open(&writer->sql, writer->db, err)) return false;
#ifdef BELLWIRE_TEST_HOOKS
    bw_crash_writes_watch(writer->db);
#endif
    return bw_dedupe_open(&writer->dedupe, &writer->sql, err) && bw_deliveries_open(&writer->deliveries, &writer->sql, err) &&
           bw_parking_open(&writer->parking, &writer->sql, err) &&
           bw_retention_open(&writer->retention, &writer->parking, &writer->deliveries, err) && bw_sweep_open(writer, err);
}

void bw_writer_close(struct bw_writer *writer, bool checkpoint)
{
    bw_retention_close(&writer->retention);
    bw_deliveries_close(&writer->deliveries);
    bw_dedupe_close(&writer->dedupe);
    bw_parking_close(&writer->parking);
    bw_write_close(&writer->sql);
    if (writer->db) bw_database_close(writer->db, checkpoint);
    if (writer->reserve >= 0) close(writer->reserve);
    free(writer->folder);
}

static void roll_back(struct bw_writer *writer)
{
    /* After some errors SQLite has rolled back already. If this fails there is nothing left that could be done: the next BEGIN fails too. */
    if (!sqlite3_get_autocommit(writer->db)) bw_sql_run(BW_WRITE(&writer->sql, rollback), NULL);
    bw_dedupe_rolled_back(&writer->dedupe);
    bw_deliveries_rolled_back(&writer->deliveries);
    bw_parking_rolled_back(&writer->parking);
}

/* Around a commit, one hit for each kind of operation in it. What a commit means for runs has points of its own: parking.c. */
static void hit_points_of(const struct bw_store_op *first, bool is_committed)
{
#ifdef BELLWIRE_TEST_HOOKS
    static const struct {
        enum bw_store_op_kind kind;
        enum bw_crash_point before, after;
    } points[] = {
        {BW_OP_ACCEPT, BW_CRASH_STORE_BEFORE_EVENT, BW_CRASH_STORE_AFTER_EVENT},
        {BW_OP_DELIVERY, BW_CRASH_STORE_BEFORE_REFUSAL, BW_CRASH_STORE_AFTER_REFUSAL},
        {BW_OP_REPORT, BW_CRASH_STORE_BEFORE_REPORT, BW_CRASH_STORE_AFTER_REPORT},
        {BW_OP_REVISION, BW_CRASH_STORE_BEFORE_REVISION, BW_CRASH_STORE_AFTER_REVISION},
        {BW_OP_WAKE, BW_CRASH_STORE_BEFORE_TIMER, BW_CRASH_STORE_AFTER_TIMER},
        {BW_OP_SCHEDULE, BW_CRASH_STORE_BEFORE_SCHEDULE, BW_CRASH_STORE_AFTER_SCHEDULE},
        {BW_OP_CANCEL, BW_CRASH_STORE_BEFORE_CANCEL, BW_CRASH_STORE_AFTER_CANCEL},
        {BW_OP_LIMITS, BW_CRASH_STORE_BEFORE_LIMITS, BW_CRASH_STORE_AFTER_LIMITS},
        {BW_OP_HANDOVER, BW_CRASH_STORE_BEFORE_HANDOVER, BW_CRASH_STORE_AFTER_HANDOVER},
    };
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        const struct bw_store_op *op = first;
        while (op && op->kind != points[i].kind) op = op->next;
        if (op) bw_crash_point_hit(is_committed ? points[i].after : points[i].before);
    }
#else
    (void)first, (void)is_committed;
#endif
}

bool bw_writer_commit(struct bw_writer *writer, struct bw_store_op *first, struct bw_store_op **culprit, struct bw_error *err)
{
    *culprit = NULL;
    BW_CRASH_POINT(STORE_BEFORE_BEGIN);
    if (!bw_sql_run(BW_WRITE(&writer->sql, begin), err)) return false;
    for (struct bw_store_op *op = first; op; op = op->next) {
        if (bw_writer_apply(writer, op, err)) continue;
        *culprit = op;
        goto fail;
    }
    if (!bw_deliveries_flush(&writer->deliveries, err) || !bw_dedupe_merge(&writer->dedupe, 0, err) || !bw_parking_flush(&writer->parking, err))
        goto fail;
    hit_points_of(first, false);
    BW_CRASH_POINT(STORE_BEFORE_COMMIT);
    if (!bw_sql_run(BW_WRITE(&writer->sql, commit), err)) goto fail;
    BW_CRASH_POINT(STORE_AFTER_COMMIT);
    hit_points_of(first, true);
    bw_dedupe_committed(&writer->dedupe);
    bw_deliveries_committed(&writer->deliveries);
    bw_parking_committed(&writer->parking);
    return true;
fail:
    roll_back(writer);
    return false;
}
