#include "store/checksum.h"
#include "store/collection.h"
#include "store/reader_sql.h"

/* The columns of the event queries in schema/read.sql, by position. */
static void read_body(struct bw_reader *reader, sqlite3_stmt *row, struct bw_event *event)
{
    bool has_body = sqlite3_column_type(row, 12) != SQLITE_NULL, is_readable = true;
    event->body = bw_sql_column(row, 12);
    if (has_body && sqlite3_column_int(row, 13) != BW_ENC_RAW) {
        if (!reader->packer) reader->packer = bw_packer_new();
        is_readable =
            sqlite3_column_int(row, 13) == BW_ENC_ZSTD && bw_unpack(reader->packer, event->body, sqlite3_column_int64(row, 14), &event->body);
    }
    event->is_damaged = has_body && (!is_readable || bw_checksum(event->body) != sqlite3_column_int64(row, 10));
}

static void read_event(struct bw_reader *reader, sqlite3_stmt *row, struct bw_event *event)
{
    event->id = sqlite3_column_int64(row, 0);
    event->uid = bw_sql_column_uid(row, 1);
    event->at_ms = sqlite3_column_int64(row, 2);
    event->revision = (uint32_t)sqlite3_column_int64(row, 3);
    event->trusted = sqlite3_column_int(row, 4) != 0;
    event->source = bw_sql_column(row, 5);
    event->name = bw_sql_column(row, 6);
    event->workflow = bw_sql_column(row, 7);
    event->is_pending = sqlite3_column_int(row, 8) != 0;
    event->matched = (uint32_t)sqlite3_column_int64(row, 9);
    event->headers = bw_sql_column(row, 11);
    read_body(reader, row, event);
}

static bool visit_all(struct bw_reader *reader, sqlite3_stmt *statement, bw_event_visit *visit, void *arg, size_t *count, struct bw_error *err)
{
    for (bool has_row;;) {
        struct bw_event event;
        if (!bw_sql_next(statement, &has_row, err)) return false;
        if (!has_row) return true;
        read_event(reader, statement, &event);
        ++*count;
        if (!visit(arg, &event)) break;
    }
    sqlite3_reset(statement);
    return true;
}

bool bw_reader_pending(struct bw_reader *reader, int64_t after, size_t limit, bw_event_visit *visit, void *arg, size_t *count, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_READ(reader, pending_events);
    *count = 0;
    bw_reader_begin(reader);
    bw_sql_bind_int(statement, 1, after);
    bw_sql_bind_int(statement, 2, bw_reader_limit(limit));
    return visit_all(reader, statement, visit, arg, count, err);
}

bool bw_reader_pending_count(struct bw_reader *reader, uint64_t *count, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_READ(reader, pending_count);
    bool has_row;
    bw_reader_begin(reader);
    if (!bw_sql_next(statement, &has_row, err)) return false;
    *count = has_row ? (uint64_t)sqlite3_column_int64(statement, 0) : 0;
    sqlite3_reset(statement);
    return true;
}

bool bw_reader_events(struct bw_reader *reader, struct bw_slice name_glob, int64_t before_id, size_t limit, bool with_body, bw_event_visit *visit,
                      void *arg, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_READ(reader, events);
    size_t count = 0;
    bw_reader_begin(reader);
    bw_sql_bind_int(statement, 1, bw_reader_below(before_id));
    bw_sql_bind_text_or_null(statement, 2, name_glob);
    bw_sql_bind_int(statement, 3, bw_reader_limit(limit));
    bw_sql_bind_int(statement, 4, with_body);
    return visit_all(reader, statement, visit, arg, &count, err);
}

bool bw_reader_event(struct bw_reader *reader, struct bw_uid uid, bw_event_visit *visit, void *arg, bool *found, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_READ(reader, event);
    size_t count = 0;
    bw_reader_begin(reader);
    bw_sql_bind_blob(statement, 1, uid.bytes, sizeof uid.bytes);
    bool ok = visit_all(reader, statement, visit, arg, &count, err);
    *found = count > 0;
    return ok;
}

bool bw_reader_event_by_id(struct bw_reader *reader, int64_t id, bool with_body, bw_event_visit *visit, void *arg, bool *found, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_READ(reader, event_by_id);
    size_t count = 0;
    bw_reader_begin(reader);
    bw_sql_bind_int(statement, 1, id);
    bw_sql_bind_int(statement, 2, with_body);
    bool ok = visit_all(reader, statement, visit, arg, &count, err);
    *found = count > 0;
    return ok;
}

bool bw_reader_collected(struct bw_reader *reader, int64_t collector_id, int64_t below, bool with_body, bw_event_visit *visit, void *arg,
                         struct bw_error *err)
{
    sqlite3_stmt *statement = BW_READ(reader, collected_events);
    size_t count = 0;
    bw_reader_begin(reader);
    bw_sql_bind_int(statement, 1, collector_id);
    bw_sql_bind_int(statement, 2, below);
    bw_sql_bind_int(statement, 3, with_body);
    return visit_all(reader, statement, visit, arg, &count, err);
}

bool bw_reader_collections(struct bw_reader *reader, int64_t event_id, bw_collection_visit *visit, void *arg, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_READ(reader, collectors_of_event);
    bw_reader_begin(reader);
    bw_sql_bind_int(statement, 1, event_id);
    for (bool has_row;;) {
        if (!bw_sql_next(statement, &has_row, err)) return false;
        if (!has_row) return true;
        const struct bw_collection collection = {.workflow = bw_sql_column(statement, 0),
                                                 .count = (uint32_t)sqlite3_column_int64(statement, 1),
                                                 .first_ms = sqlite3_column_int64(statement, 2),
                                                 .last_ms = sqlite3_column_int64(statement, 3),
                                                 .due_ms = sqlite3_column_int64(statement, 4),
                                                 .run = bw_sql_column_uid(statement, 5),
                                                 .state = (enum bw_run_state)sqlite3_column_int(statement, 6)};
        if (!visit(arg, &collection)) break;
    }
    sqlite3_reset(statement);
    return true;
}
