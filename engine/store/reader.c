#include "base/clock.h"
#include "store/database.h"
#include "store/migrate.h"
#include "store/reader_sql.h"
#include <stdlib.h>

#define CHECK_EVERY_OPS 2000 /* of SQLite's machine: well under a millisecond */

static const char *const names[] = {
#define NAME(name) #name,
    BW_READ_STATEMENTS(NAME)
#undef NAME
};

static int is_late(void *arg)
{
    const struct bw_reader *reader = arg;
    return bw_clock_mono_us() > reader->deadline_us;
}

struct bw_reader *bw_reader_open(const char *folder, struct bw_error *err)
{
    struct bw_reader *reader = calloc(1, sizeof *reader);
    if (!reader) {
        bw_error_set(err, "store.refused", "no memory to read the store");
        return NULL;
    }
    bw_reader_begin(reader);
    reader->db = bw_database_open_reader(folder, err);
    if (!reader->db) goto fail;
    sqlite3_progress_handler(reader->db, CHECK_EVERY_OPS, is_late, reader);
    if (!bw_migrate_check(reader->db, bw_embedded_sql, err)) goto fail;
    reader->sql = (struct bw_statements){.db = reader->db, .file = "read", .names = names, .count = BW_READ_COUNT, .prepared = reader->prepared};
    return reader;
fail:
    bw_reader_close(reader);
    return NULL;
}

void bw_reader_close(struct bw_reader *reader)
{
    if (!reader) return;
    bw_sql_finalize(&reader->sql);
    if (reader->db) bw_database_close(reader->db, false);
    bw_packer_free(reader->packer);
    free(reader);
}

/* The deadline is that of rows: to prepare reads none, and many calls ask for their statement before they begin. */
sqlite3_stmt *bw_reader_statement(struct bw_reader *reader, enum bw_read_statement name)
{
    if (reader->prepared[name]) return reader->prepared[name];
    sqlite3_progress_handler(reader->db, 0, NULL, NULL);
    sqlite3_stmt *statement = bw_sql_statement(&reader->sql, name);
    sqlite3_progress_handler(reader->db, CHECK_EVERY_OPS, is_late, reader);
    return statement;
}

void bw_reader_begin(struct bw_reader *reader)
{
    reader->deadline_us = bw_clock_mono_us() + BW_READ_LIMIT_MS * 1000LL;
}

int64_t bw_reader_below(int64_t id)
{
    return id > 0 ? id : INT64_MAX;
}

int64_t bw_reader_limit(size_t limit)
{
    return limit < INT64_MAX ? (int64_t)limit : INT64_MAX;
}
