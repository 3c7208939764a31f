#include "store/forget.h"
#include <string.h>

/* Every table but those of the catalogue, so that a new one is not missed. */
static const char choose[] =
    "SELECT group_concat('DELETE FROM \"' || name || '\"', ';') FROM sqlite_master WHERE type = 'table' AND name NOT IN "
    "('meta', 'versions', 'revisions', 'revision_files', 'wait_pairs', 'workflows', 'schedules', 'events', 'keys') AND name NOT GLOB 'sqlite_*'";

static bool empty_tables(struct bw_writer *writer, struct bw_error *err)
{
    sqlite3_stmt *statement = NULL;
    bool has_row = false, good = sqlite3_prepare_v2(writer->db, choose, -1, &statement, NULL) == SQLITE_OK || bw_sql_fail(writer->db, err);
    good = good && bw_sql_next(statement, &has_row, err);
    char *text = good && has_row ? sqlite3_mprintf("%s", sqlite3_column_text(statement, 0)) : NULL;
    sqlite3_finalize(statement);
    if (good && !text) good = bw_error_set(err, "store.refused", "no memory to forget with");
    good = good && bw_sql_exec(writer->db, text, err);
    sqlite3_free(text);
    return good;
}

bool bw_forget_all(struct bw_writer *writer, struct bw_error *err)
{
    struct bw_dedupe *dedupe = &writer->dedupe;
    size_t generation = dedupe->generation;
    /* The newest event stays as a row without content: the next one's id is above. */
    if (!empty_tables(writer, err) || !bw_sql_exec(writer->db, "DELETE FROM events WHERE id < (SELECT max(id) FROM events)", err) ||
        !bw_sql_exec(writer->db, "UPDATE events SET dedupe = NULL, expire_ms = NULL, name = '', source = ''", err))
        return false;
    writer->parking.is_due_unsure = true;
    writer->parking.asked_ms = 0;
    writer->parking.waking = writer->parking.waiter = 0;
    bw_dedupe_close(dedupe);
    memset(dedupe, 0, sizeof *dedupe);
    dedupe->generation = generation;
    return bw_dedupe_open(dedupe, &writer->sql, err);
}
