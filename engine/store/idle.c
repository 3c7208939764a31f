/* What the writer does between groups: waking the rest of very many, checkpoints, merging, retention, sweeping, giving space back, and the reserve
 * for a full disk. */
#include "base/clock.h"
#include "base/crash_point.h"
#include "base/file.h"
#include "base/log.h"
#include "store/database.h"
#include "store/writer.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define CHECKPOINT_FRAMES 8000 /* 32 MiB of log */
#define CHECKPOINT_IDLE_FRAMES 1000
#define TRUNCATE_FRAMES (256 * 256) /* 256 MiB: a reader must have stood in the way for long; give the space back when it is gone */
#define IDLE_MERGE_PAGES 16
#define RESERVE_BYTES (4 * 1024 * 1024)
#define RESERVE_RETRY_US (10 * 1000000LL)
#define CAP_WORK_US 20000 /* between two groups, above the cap */
#define POSTPONED_MS 10000
#define VACUUM_PAGES 128
#define FREE_LEAST 64 /* pages; fewer are not worth moving others for */
#define FREE_SHARE 16 /* nor is a sixteenth of the file: new rows take them soon */
#define WARN_EVERY_US (10 * 1000000LL)

static bool is_fatal(const struct bw_error *err)
{
    return strcmp(err->code, "store.failed") == 0;
}

/* A full disk would say so with each group. */
static void warn(struct bw_writer *writer, const char *name, const struct bw_error *err)
{
    int64_t now_us = bw_clock_mono_us();
    if (writer->warned_us && now_us - writer->warned_us < WARN_EVERY_US) return;
    writer->warned_us = now_us;
    bw_log_error(BW_LOG_WARN, name, err);
}

/* Only what makes the file untrustworthy is an error here. A full disk or a reader in the way leaves the log as it is, for later. */
static bool checkpoint(struct bw_writer *writer, struct bw_error *err)
{
    int mode = writer->log_frames > TRUNCATE_FRAMES ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE;
    struct bw_error why = {0};
    BW_CRASH_POINT(STORE_BEFORE_CHECKPOINT);
    writer->checkpointed_frames = writer->log_frames; /* also if it fails: the next try comes when the log has grown by as much again */
    sqlite3_busy_timeout(writer->db, 0);              /* never wait for readers */
    int rc = sqlite3_wal_checkpoint_v2(writer->db, "main", mode, NULL, NULL);
    if (rc != SQLITE_OK) bw_sql_fail(writer->db, &why);
    sqlite3_busy_timeout(writer->db, BW_STORE_BUSY_MS);
    BW_CRASH_POINT(STORE_AFTER_CHECKPOINT);
    if (rc == SQLITE_OK || rc == SQLITE_BUSY) return true;
    if (is_fatal(&why)) {
        if (err) *err = why;
        return false;
    }
    warn(writer, "store.checkpoint_postponed", &why);
    return true;
}

/* A checkpoint is two syncs and a copy of all pages since the last one, and commits wait for it. Under pressure few large ones cost
 * least: a page that changed often is copied once. With nobody waiting, small ones keep the pause short for whoever comes next. */
bool bw_writer_checkpoint_if_due(struct bw_writer *writer, bool is_busy, struct bw_error *err)
{
    int grown = writer->log_frames - writer->checkpointed_frames;
    return grown < (is_busy ? CHECKPOINT_FRAMES : CHECKPOINT_IDLE_FRAMES) || checkpoint(writer, err);
}

/* With the disk full not even the log's content could move into the database. So a little space is kept for that. */
static void keep_reserve(struct bw_writer *writer)
{
    struct statvfs disk;
    int64_t now_us = bw_clock_mono_us();
    if (!writer->folder || writer->reserve >= 0 || (writer->reserve_tried_us && now_us - writer->reserve_tried_us < RESERVE_RETRY_US)) return;
    writer->reserve_tried_us = now_us;
    char *path = bw_file_join(writer->folder, "reserve");
    int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    bool is_roomy = fd >= 0 && fstatvfs(fd, &disk) == 0 && (uint64_t)disk.f_bavail * disk.f_frsize > 4 * (uint64_t)RESERVE_BYTES;
    if (is_roomy && posix_fallocate(fd, 0, RESERVE_BYTES) == 0)
        writer->reserve = fd;
    else if (fd >= 0)
        close(fd);
    free(path);
}

static bool merge(struct bw_writer *writer, struct bw_error *err)
{
    if (!bw_sql_run(BW_WRITE(&writer->sql, begin), err)) return false;
    if (bw_dedupe_merge(&writer->dedupe, IDLE_MERGE_PAGES, err) && bw_sql_run(BW_WRITE(&writer->sql, commit), err)) {
        bw_dedupe_committed(&writer->dedupe);
        return true;
    }
    if (!sqlite3_get_autocommit(writer->db)) bw_sql_run(BW_WRITE(&writer->sql, rollback), NULL);
    bw_dedupe_rolled_back(&writer->dedupe);
    return false;
}

/* A transaction of its own: if it fails, no operation fails with it. */
static bool wake_some(struct bw_writer *writer, struct bw_error *err)
{
    if (!bw_sql_run(BW_WRITE(&writer->sql, begin), err)) return false;
    if (bw_parking_go_on(&writer->parking, err) && bw_parking_flush(&writer->parking, err) && bw_sql_run(BW_WRITE(&writer->sql, commit), err)) {
        bw_parking_committed(&writer->parking);
        return true;
    }
    if (!sqlite3_get_autocommit(writer->db)) bw_sql_run(BW_WRITE(&writer->sql, rollback), NULL);
    bw_parking_rolled_back(&writer->parking);
    return false;
}

/* Free pages at the end of the file, or moved there, go back to the disk with the next checkpoint. */
static bool give_back(struct bw_writer *writer, bool *did, struct bw_error *err)
{
    int64_t pages, free_pages;
    char text[48];
    *did = false;
    if (!bw_sql_integer(writer->db, "PRAGMA page_count", &pages, err) || !bw_sql_integer(writer->db, "PRAGMA freelist_count", &free_pages, err))
        return false;
    if (free_pages > FREE_LEAST && free_pages > pages / FREE_SHARE) {
        snprintf(text, sizeof text, "PRAGMA incremental_vacuum(%d)", VACUUM_PAGES);
        *did = writer->is_shrinking = bw_sql_exec(writer->db, text, err);
        return *did;
    }
    bool was_shrinking = writer->is_shrinking;
    writer->is_shrinking = false;
    return !was_shrinking || checkpoint(writer, err);
}

/* After a bit of work: true = it went well, or it can wait. */
static bool take(struct bw_writer *writer, bool ok, const char *postponed, const struct bw_error *why, struct bw_error *err)
{
    if (ok) return true;
    if (is_fatal(why)) {
        if (err) *err = *why;
        return false;
    }
    warn(writer, postponed, why);
    return true;
}

bool bw_writer_between_groups(struct bw_writer *writer, bool is_busy, struct bw_error *err)
{
    struct bw_error why = {0};
    if (writer->parking.has_wakings && !take(writer, wake_some(writer, &why), "store.waking_postponed", &why, err)) return false;
    if (bw_sweep_wait_us(&writer->sweep, false) == 0 && !take(writer, bw_sweep_slice(writer, &why), "store.sweep_postponed", &why, err)) return false;
    bool ok = bw_retention_measure(&writer->retention, &why);
    int64_t until_us = bw_clock_mono_us() + CAP_WORK_US;
    for (;;) {
        if (!take(writer, ok, "store.retention_postponed", &why, err) || !bw_writer_checkpoint_if_due(writer, is_busy, err)) return false;
        if (!ok || bw_retention_wait_us(&writer->retention, false) != 0 || bw_clock_mono_us() >= until_us) return true;
        ok = bw_retention_slice(&writer->retention, &why);
        if (ok && !writer->retention.is_above_cap) until_us = 0; /* one is enough */
    }
}

bool bw_writer_idle(struct bw_writer *writer, int *again_ms, struct bw_error *err)
{
    struct bw_error why = {0};
    bool ok = true, did = false;
    const char *postponed = "store.merge_postponed";
    *again_ms = 0;
    keep_reserve(writer);
    if (writer->parking.has_wakings) {
        postponed = "store.waking_postponed";
        ok = wake_some(writer, &why);
        if (ok) return bw_writer_checkpoint_if_due(writer, false, err);
    } else if (bw_dedupe_has_work(&writer->dedupe)) {
        ok = merge(writer, &why);
        if (ok) return true;
    } else if (bw_retention_wait_us(&writer->retention, true) == 0) {
        postponed = "store.retention_postponed";
        ok = bw_retention_slice(&writer->retention, &why);
        if (ok) return bw_writer_checkpoint_if_due(writer, false, err);
    } else if (bw_sweep_wait_us(&writer->sweep, true) == 0) {
        postponed = "store.sweep_postponed";
        ok = bw_sweep_slice(writer, &why);
        if (ok) return bw_writer_checkpoint_if_due(writer, false, err);
    } else {
        postponed = "store.vacuum_postponed";
        ok = give_back(writer, &did, &why);
        if (did) return bw_writer_checkpoint_if_due(writer, false, err);
    }
    int64_t wait_us = bw_retention_wait_us(&writer->retention, true), sweep_us = bw_sweep_wait_us(&writer->sweep, true);
    if (wait_us < 0 || sweep_us < wait_us) wait_us = sweep_us;
    *again_ms = !ok ? POSTPONED_MS : (int)(wait_us / 1000) + 1;
    return take(writer, ok, postponed, &why, err) && bw_writer_checkpoint_if_due(writer, false, err);
}

bool bw_writer_relieve(struct bw_writer *writer, struct bw_error *err)
{
    if (writer->reserve >= 0) {
        (void)!ftruncate(writer->reserve, 0); /* what fails here shows as a full disk again */
        close(writer->reserve);
        writer->reserve = -1;
        writer->reserve_tried_us = bw_clock_mono_us();
    }
    return checkpoint(writer, err);
}
