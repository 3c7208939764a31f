#include "store/later.h"
#include "store/checksum.h"
#include "store/pack.h"
#include "store/write_sql.h"

bool bw_later_put(struct bw_parking *parking, const struct bw_event_new *event, struct bw_error *err)
{
    sqlite3_stmt *put = BW_WRITE(parking->sql, put_later);
    struct bw_slice body = event->packed.len ? event->packed : event->body;
    bw_sql_bind_int(put, 1, event->due_ms);
    bw_sql_bind_blob(put, 2, event->uid.bytes, sizeof event->uid.bytes);
    bw_sql_bind_text(put, 3, event->source);
    bw_sql_bind_text(put, 4, event->name);
    bw_sql_bind_text_or_null(put, 5, event->dedupe_key);
    bw_sql_bind_int(put, 6, event->dedupe_expire_ms - event->at_ms);
    bw_sql_bind_text_or_null(put, 7, event->headers);
    bw_sql_bind_int(put, 8, bw_checksum(event->body));
    bw_sql_bind_int(put, 9, event->packed.len ? BW_ENC_ZSTD : BW_ENC_RAW);
    bw_sql_bind_int(put, 10, (int64_t)event->body.len);
    bw_sql_bind_blob(put, 11, body.ptr, body.len);
    parking->has_later = parking->is_due_unsure = true;
    return bw_sql_run(put, err);
}

/* Offsets now, pointers when the buffer has stopped moving. */
static struct bw_slice keep(struct bw_later *later, struct bw_slice bytes)
{
    struct bw_slice kept = {(const char *)later->bytes.len, bytes.len};
    bw_buf_append_slice(&later->bytes, bytes);
    return kept;
}

static void keep_body(struct bw_parking *parking, struct bw_later *later, sqlite3_stmt *row)
{
    struct bw_slice stored = bw_sql_column(row, 10), raw = stored;
    bool is_packed = sqlite3_column_int(row, 8) == BW_ENC_ZSTD;
    if (is_packed && !parking->unpacker) parking->unpacker = bw_packer_new();
    bool is_readable = !is_packed || (parking->unpacker && bw_unpack(parking->unpacker, stored, sqlite3_column_int64(row, 9), &raw));
    later->is_damaged = !is_readable || bw_checksum(raw) != sqlite3_column_int64(row, 7);
    later->event.body = keep(later, raw);
    later->event.packed = keep(later, is_packed ? stored : (struct bw_slice){0});
}

bool bw_later_first(struct bw_parking *parking, int64_t now_ms, struct bw_later *later, bool *found, struct bw_error *err)
{
    sqlite3_stmt *row = BW_WRITE(parking->sql, first_later);
    struct bw_event_new *event = &later->event;
    *found = false;
    if (!parking->has_later) return true;
    bw_sql_bind_int(row, 1, now_ms);
    if (!bw_sql_next(row, found, err) || !*found) return !*found;
    bw_buf_clear(&later->bytes);
    later->id = sqlite3_column_int64(row, 0);
    *event = (struct bw_event_new){.at_ms = now_ms, .uid = bw_sql_column_uid(row, 1), .trusted = true};
    event->source = keep(later, bw_sql_column(row, 2));
    event->name = keep(later, bw_sql_column(row, 3));
    event->dedupe_key = keep(later, bw_sql_column(row, 4));
    event->dedupe_expire_ms = now_ms + sqlite3_column_int64(row, 5);
    event->headers = keep(later, bw_sql_column(row, 6));
    keep_body(parking, later, row);
    sqlite3_reset(row);
    struct bw_slice *slices[] = {&event->source, &event->name, &event->dedupe_key, &event->headers, &event->body, &event->packed};
    for (size_t i = 0; i < sizeof slices / sizeof *slices; i++) slices[i]->ptr = slices[i]->len ? later->bytes.data + (size_t)slices[i]->ptr : "";
    return !later->bytes.failed || bw_error_set(err, "memory", "out of memory");
}

bool bw_later_remove(struct bw_parking *parking, int64_t id, struct bw_error *err)
{
    bw_sql_bind_int(BW_WRITE(parking->sql, delete_later), 1, id);
    parking->is_due_unsure = true;
    return bw_sql_run(BW_WRITE(parking->sql, delete_later), err);
}

void bw_later_free(struct bw_later *later)
{
    bw_buf_free(&later->bytes);
}

bool bw_later_next_due(struct bw_parking *parking, int64_t *due_ms, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(parking->sql, later_due);
    bool has_row;
    *due_ms = 0;
    if (!parking->has_later) return true;
    if (!bw_sql_next(statement, &has_row, err)) return false;
    if (!has_row) return !(parking->has_later = false);
    *due_ms = sqlite3_column_int64(statement, 0);
    sqlite3_reset(statement);
    return true;
}
