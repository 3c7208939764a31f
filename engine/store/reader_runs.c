#include "store/reader_sql.h"
#include <stdlib.h>
#include <string.h>

/* The steps of one run. Their bytes are copied into `text` while the rows are read; slices point into it once it has stopped moving. */
struct steps {
    struct bw_step_row *rows;
    size_t count, room;
    struct bw_buf text;
};

/* An offset for now: C does not say in which order the fields of an initializer are evaluated. */
static struct bw_slice keep(struct steps *steps, struct bw_slice bytes)
{
    const struct bw_slice kept = {(const char *)steps->text.len, bytes.len};
    bw_buf_append_slice(&steps->text, bytes);
    return kept;
}

static bool add_step(struct steps *steps, sqlite3_stmt *row, struct bw_error *err)
{
    if (steps->count == steps->room) {
        size_t room = steps->room ? 2 * steps->room : 16;
        struct bw_step_row *bigger = realloc(steps->rows, room * sizeof *bigger);
        if (!bigger) return bw_error_set(err, "store.refused", "no memory to read a run's steps");
        steps->rows = bigger;
        steps->room = room;
    }
    steps->rows[steps->count++] = (struct bw_step_row){
        .path = keep(steps, bw_sql_column(row, 0)),
        .state = (enum bw_step_state)sqlite3_column_int(row, 1),
        .attempt = (uint32_t)sqlite3_column_int64(row, 2),
        .started_ms = sqlite3_column_int64(row, 3),
        .ended_ms = sqlite3_column_int64(row, 4),
        .input_names = keep(steps, bw_sql_column(row, 5)),
        .output = keep(steps, bw_sql_column(row, 6)),
        .error = keep(steps, bw_sql_column(row, 7)),
        .due_ms = sqlite3_column_int64(row, 8),
        .wake = {.kind = (enum bw_wake_kind)sqlite3_column_int(row, 9),
                 .arm = (uint32_t)sqlite3_column_int64(row, 10),
                 .event_id = sqlite3_column_int64(row, 11),
                 .at_ms = sqlite3_column_int64(row, 12),
                 .event_uid = bw_sql_column_uid(row, 13),
                 .choice = keep(steps, bw_sql_column(row, 20)),
                 .by = keep(steps, bw_sql_column(row, 21)),
                 .form = keep(steps, bw_sql_column(row, 22)),
                 .votes = keep(steps, bw_sql_column(row, 24))},
        .children = {.id = sqlite3_column_int64(row, 14),
                     .total = (uint32_t)sqlite3_column_int64(row, 15),
                     .started = (uint32_t)sqlite3_column_int64(row, 16),
                     .succeeded = (uint32_t)sqlite3_column_int64(row, 17),
                     .failed = (uint32_t)sqlite3_column_int64(row, 18)},
        .is_again = sqlite3_column_int(row, 19) != 0,
        .is_sensitive = sqlite3_column_int(row, 23) != 0,
        .failures = keep(steps, bw_sql_column(row, 25)),
    };
    return !steps->text.failed || bw_error_set(err, "store.refused", "no memory to read a run's steps");
}

static void point_into_text(struct steps *steps)
{
    const char *text = steps->text.data ? steps->text.data : "";
    for (size_t i = 0; i < steps->count; i++) {
        struct bw_step_row *row = &steps->rows[i];
        struct bw_slice *fields[] = {&row->path,    &row->input_names, &row->output,     &row->error,   &row->wake.choice,
                                     &row->wake.by, &row->wake.form,   &row->wake.votes, &row->failures};
        for (size_t k = 0; k < sizeof fields / sizeof *fields; k++) fields[k]->ptr = text + (size_t)fields[k]->ptr;
    }
}

static bool read_steps(struct bw_reader *reader, int64_t run_id, struct steps *steps, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_READ(reader, steps);
    steps->count = 0;
    bw_buf_clear(&steps->text);
    bw_sql_bind_int(statement, 1, run_id);
    for (bool has_row;;) {
        if (!bw_sql_next(statement, &has_row, err)) return false;
        if (!has_row) break;
        if (!add_step(steps, statement, err)) {
            sqlite3_reset(statement);
            return false;
        }
    }
    point_into_text(steps);
    return true;
}

/* The columns of the run queries in schema/read.sql, by position. */
static void read_run(sqlite3_stmt *row, struct bw_run *run)
{
    struct bw_slice version = bw_sql_column(row, 4);
    *run = (struct bw_run){
        .id = sqlite3_column_int64(row, 0),
        .event_id = sqlite3_column_int64(row, 2),
        .event_uid = bw_sql_column_uid(row, 11),
        .event_name = bw_sql_column(row, 12),
        .is_woken = sqlite3_column_int(row, 13),
        .is_overdue = sqlite3_column_int(row, 14),
        .cancel = bw_sql_column(row, 28),
        .child = {.join = sqlite3_column_int64(row, 15),
                  .item = (uint32_t)sqlite3_column_int64(row, 16),
                  .input = bw_sql_column(row, 17),
                  .path = bw_sql_column(row, 18),
                  .depth = (uint32_t)sqlite3_column_int64(row, 19),
                  .is_call = sqlite3_column_int(row, 20) != 0,
                  .is_detached = sqlite3_column_int(row, 21) != 0,
                  .parent = bw_sql_column_uid(row, 22),
                  .needs_events = sqlite3_column_int(row, 30) != 0,
                  .is_sensitive = sqlite3_column_int(row, 32) != 0},
        .collector_id = sqlite3_column_int64(row, 29),
        .revision = (uint32_t)sqlite3_column_int64(row, 23),
        .resumed_ms = sqlite3_column_int64(row, 24),
        .resolved = (enum bw_resolution)sqlite3_column_int(row, 25),
        .resolved_ms = sqlite3_column_int64(row, 26),
        .origin = bw_sql_column_uid(row, 27),
        .labels = bw_sql_column(row, 31),
        .row = {.uid = bw_sql_column_uid(row, 1),
                .workflow = bw_sql_column(row, 3),
                .state = (enum bw_run_state)sqlite3_column_int(row, 5),
                .lost = (uint32_t)sqlite3_column_int64(row, 6),
                .started_ms = sqlite3_column_int64(row, 7),
                .ended_ms = sqlite3_column_int64(row, 8),
                .output = bw_sql_column(row, 9),
                .error = bw_sql_column(row, 10)},
    };
    if (version.len == sizeof run->row.version) memcpy(run->row.version, version.ptr, version.len);
}

static bool visit_all(struct bw_reader *reader, sqlite3_stmt *statement, bool with_steps, bw_run_visit *visit, void *arg, size_t *count,
                      struct bw_error *err)
{
    struct steps steps = {0};
    bool ok = false, has_row;
    for (;;) {
        struct bw_run run;
        if (!bw_sql_next(statement, &has_row, err)) goto out;
        if (!has_row) break;
        read_run(statement, &run);
        if (with_steps && !read_steps(reader, run.id, &steps, err)) goto out;
        run.row.steps = steps.rows;
        run.row.step_count = steps.count;
        ++*count;
        if (!visit(arg, &run)) break;
    }
    ok = true;
out:
    sqlite3_reset(statement);
    free(steps.rows);
    bw_buf_free(&steps.text);
    return ok;
}

static sqlite3_stmt *choose(struct bw_reader *reader, const struct bw_run_filter *filter)
{
    if (filter->event_id) return BW_READ(reader, runs_of_event);
    if (filter->state && filter->state != BW_RUN_SUCCEEDED) return BW_READ(reader, runs_in_state);
    return filter->workflow.len ? BW_READ(reader, runs_of_workflow) : BW_READ(reader, runs);
}

static void bind_label(sqlite3_stmt *statement, struct bw_slice label)
{
    const char *equals = label.len ? memchr(label.ptr, '=', label.len) : NULL;
    size_t name = equals ? (size_t)(equals - label.ptr) : label.len;
    bw_sql_bind_text_or_null(statement, 10, (struct bw_slice){label.ptr, name});
    if (equals)
        bw_sql_bind_text(statement, 11, (struct bw_slice){equals + 1, label.len - name - 1}); /* an empty one is a value too */
    else
        sqlite3_bind_null(statement, 11);
}

bool bw_reader_runs(struct bw_reader *reader, const struct bw_run_filter *filter, bw_run_visit *visit, void *arg, struct bw_error *err)
{
    sqlite3_stmt *statement = choose(reader, filter);
    size_t count = 0;
    bw_reader_begin(reader);
    bw_sql_bind_int(statement, 1, filter->event_id);
    bw_sql_bind_text_or_null(statement, 2, filter->workflow);
    bw_sql_bind_int(statement, 3, filter->state);
    bw_sql_bind_int(statement, 4, bw_reader_below(filter->before_row));
    bw_sql_bind_int(statement, 5, bw_reader_limit(filter->limit));
    bw_sql_bind_int(statement, 6, filter->with_children);
    bw_sql_bind_int(statement, 7, filter->since_ms);
    bw_sql_bind_text_or_null(statement, 8, filter->error);
    bw_sql_bind_int(statement, 9, !filter->without_resolved);
    bind_label(statement, filter->label);
    bw_sql_bind_int(statement, 12, filter->before_ms);
    return visit_all(reader, statement, filter->with_steps, visit, arg, &count, err);
}

bool bw_reader_run(struct bw_reader *reader, struct bw_uid uid, bw_run_visit *visit, void *arg, bool *found, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_READ(reader, run);
    size_t count = 0;
    bw_reader_begin(reader);
    bw_sql_bind_blob(statement, 1, uid.bytes, sizeof uid.bytes);
    bool ok = visit_all(reader, statement, true, visit, arg, &count, err);
    *found = count > 0;
    return ok;
}
