#include "store/about.h"
#include "store/write_sql.h"

static void bind_age(sqlite3_stmt *statement, int column, int64_t age_ms)
{
    if (age_ms == BW_KEEP_UNSAID)
        sqlite3_bind_null(statement, column);
    else
        bw_sql_bind_int(statement, column, age_ms);
}

static bool put(const struct bw_write_statements *sql, const struct bw_about *about, struct bw_error *err)
{
    bool says_nothing = about->ok_ms == BW_KEEP_UNSAID && about->failed_ms == BW_KEEP_UNSAID && !about->labels.len;
    sqlite3_stmt *statement = says_nothing ? BW_WRITE(sql, delete_about) : BW_WRITE(sql, put_about);
    bw_sql_bind_text(statement, 1, about->workflow);
    if (says_nothing) return bw_sql_run(statement, err);
    bind_age(statement, 2, about->ok_ms);
    bind_age(statement, 3, about->failed_ms);
    bw_sql_bind_text_or_null(statement, 4, about->labels);
    return bw_sql_run(statement, err);
}

static bool forget_others(const struct bw_write_statements *sql, const struct bw_about_list *list, struct bw_error *err)
{
    struct bw_buf names = {0};
    for (size_t i = 0; i < list->count; i++) {
        bw_buf_append_char(&names, i ? ',' : '[');
        bw_buf_append_json_string(&names, list->items[i].workflow);
    }
    bw_buf_append_text(&names, list->count ? "]" : "[]");
    bw_sql_bind_text(BW_WRITE(sql, delete_spare_about), 1, bw_buf_slice(&names));
    bool good = names.failed ? bw_error_set(err, "memory", "out of memory") : bw_sql_run(BW_WRITE(sql, delete_spare_about), err);
    bw_buf_free(&names);
    return good;
}

bool bw_about_apply(const struct bw_write_statements *sql, const struct bw_about_list *list, bool *is_new, struct bw_error *err)
{
    sqlite3 *db = sql->all.db;
    int before = sqlite3_total_changes(db);
    for (size_t i = 0; i < list->count; i++)
        if (!put(sql, &list->items[i], err)) return false;
    if (!forget_others(sql, list, err)) return false;
    *is_new = sqlite3_total_changes(db) != before;
    return true;
}
