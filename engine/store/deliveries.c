#include "store/deliveries.h"
#include <stdlib.h>

#define TRIM_SLICE 500
#define OUTCOMES 32

struct row {
    int64_t id;       /* the last row of this outcome in the current second, 0 = none */
    uint32_t repeats; /* to be added to it before this transaction commits */
};
struct bw_delivery_source {
    char *name;
    struct bw_delivery_source *next_touched;
    bool is_touched;
    int64_t second; /* that `rows` counts */
    unsigned rows;
    int64_t refused, committed_refused; /* rows with a refusal */
    struct row last[OUTCOMES];
};

static void free_source(void *arg)
{
    struct bw_delivery_source *source = arg;
    if (source) free(source->name);
    free(source);
}

static struct bw_delivery_source *source_of(struct bw_deliveries *deliveries, struct bw_slice name, struct bw_error *err)
{
    struct bw_delivery_source *source = bw_map_get(deliveries->sources, name);
    if (source) return source;
    source = calloc(1, sizeof *source);
    if (source) source->name = bw_slice_dup(name);
    if (source && source->name && bw_map_set(deliveries->sources, name, source)) return source;
    free_source(source);
    bw_error_set(err, "store.refused", "no memory for a source's record");
    return NULL;
}

bool bw_deliveries_open(struct bw_deliveries *deliveries, const struct bw_write_statements *sql, struct bw_error *err)
{
    deliveries->sql = sql;
    if (!deliveries->refused_kept) deliveries->refused_kept = BW_REFUSED_KEPT;
    deliveries->sources = bw_map_new();
    if (!deliveries->sources) return bw_error_set(err, "store.refused", "no memory for the sources' records");
    for (bool has_row;;) {
        if (!bw_sql_next(BW_WRITE(sql, refused_counts), &has_row, err)) return false;
        if (!has_row) return true;
        struct bw_delivery_source *source = source_of(deliveries, bw_sql_column(BW_WRITE(sql, refused_counts), 0), err);
        if (!source) {
            sqlite3_reset(BW_WRITE(sql, refused_counts));
            return false;
        }
        source->refused = source->committed_refused = sqlite3_column_int64(BW_WRITE(sql, refused_counts), 1);
    }
}

void bw_deliveries_close(struct bw_deliveries *deliveries)
{
    if (deliveries->sources) bw_map_free(deliveries->sources, free_source);
}

bool bw_deliveries_add(struct bw_deliveries *deliveries, const struct bw_delivery *delivery, int64_t event_id, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(deliveries->sql, insert_delivery);
    bw_sql_bind_int(statement, 1, delivery->at_ms);
    bw_sql_bind_text(statement, 2, delivery->source);
    bw_sql_bind_int(statement, 3, delivery->status);
    bw_sql_bind_int(statement, 4, delivery->outcome);
    if (event_id)
        bw_sql_bind_int(statement, 5, event_id);
    else
        sqlite3_bind_null(statement, 5);
    bw_sql_bind_int(statement, 6, delivery->bytes);
    bw_sql_bind_int(statement, 7, delivery->took_us);
    bw_sql_bind_text_or_null(statement, 8, delivery->provider_id);
    bw_sql_bind_text_or_null(statement, 9, delivery->remote);
    bw_sql_bind_text_or_null(statement, 10, delivery->detail);
    return bw_sql_run(statement, err);
}

static bool write_repeats(struct bw_deliveries *deliveries, struct bw_delivery_source *source, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(deliveries->sql, repeat_delivery);
    for (int i = 0; i < OUTCOMES; i++) {
        struct row *last = &source->last[i];
        if (!last->repeats) continue;
        bw_sql_bind_int(statement, 1, last->id);
        bw_sql_bind_int(statement, 2, last->repeats);
        if (!bw_sql_run(statement, err)) return false;
        last->repeats = 0;
    }
    return true;
}

/* Threads submit in no strict order of time: an older second counts with the current one, unless the clock was set back. */
static bool enter_second(struct bw_deliveries *deliveries, struct bw_delivery_source *source, int64_t second, struct bw_error *err)
{
    if (second <= source->second && second >= source->second - 10) return true;
    if (!write_repeats(deliveries, source, err)) return false;
    for (int i = 0; i < OUTCOMES; i++) source->last[i].id = 0;
    source->second = second;
    source->rows = 0;
    return true;
}

static void touch(struct bw_deliveries *deliveries, struct bw_delivery_source *source)
{
    if (source->is_touched) return;
    source->is_touched = true;
    source->next_touched = deliveries->touched;
    deliveries->touched = source;
}

bool bw_deliveries_fold(struct bw_deliveries *deliveries, const struct bw_delivery *delivery, struct bw_error *err)
{
    struct bw_delivery_source *source = source_of(deliveries, delivery->source, err);
    if (!source) return false;
    touch(deliveries, source);
    if (!enter_second(deliveries, source, delivery->at_ms / 1000, err)) return false;
    struct row *last = &source->last[(unsigned)delivery->outcome % OUTCOMES];
    if (source->rows >= BW_DELIVERY_ROWS_PER_SECOND && last->id) {
        last->repeats++;
        return true;
    }
    if (last->repeats && !write_repeats(deliveries, source, err)) return false;
    if (!bw_deliveries_add(deliveries, delivery, 0, err)) return false;
    source->rows++;
    last->id = sqlite3_last_insert_rowid(deliveries->sql->all.db);
    if (delivery->outcome >= BW_OUTCOME_UNVERIFIED) source->refused++;
    return true;
}

void bw_deliveries_removed(struct bw_deliveries *deliveries, struct bw_slice name, enum bw_outcome outcome, int64_t id)
{
    struct bw_delivery_source *source = bw_map_get(deliveries->sources, name);
    if (!source) return; /* nothing of it was ever refused or folded: nothing is counted */
    touch(deliveries, source);
    if (outcome >= BW_OUTCOME_UNVERIFIED) source->refused--;
    struct row *last = &source->last[(unsigned)outcome % OUTCOMES];
    if (last->id == id) *last = (struct row){0};
}

static bool trim(struct bw_deliveries *deliveries, struct bw_delivery_source *source, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(deliveries->sql, trim_refused);
    if (source->refused < deliveries->refused_kept + TRIM_SLICE) return true;
    bw_sql_bind_text(statement, 1, bw_slice_of(source->name));
    bw_sql_bind_int(statement, 2, TRIM_SLICE);
    if (!bw_sql_run(statement, err)) return false;
    source->refused -= sqlite3_changes(sqlite3_db_handle(statement));
    return true;
}

bool bw_deliveries_flush(struct bw_deliveries *deliveries, struct bw_error *err)
{
    for (struct bw_delivery_source *source = deliveries->touched; source; source = source->next_touched)
        if (!write_repeats(deliveries, source, err) || !trim(deliveries, source, err)) return false;
    return true;
}

/* The transaction is over: with its changes if `kept`, else as it began. */
static void settle(struct bw_deliveries *deliveries, bool kept)
{
    struct bw_delivery_source *next;
    for (struct bw_delivery_source *source = deliveries->touched; source; source = next) {
        next = source->next_touched;
        source->is_touched = false;
        if (kept) {
            source->committed_refused = source->refused;
            continue;
        }
        source->refused = source->committed_refused;
        for (int i = 0; i < OUTCOMES; i++) source->last[i] = (struct row){0}; /* these rows may never have been: begin new ones */
    }
    deliveries->touched = NULL;
}

void bw_deliveries_committed(struct bw_deliveries *deliveries)
{
    settle(deliveries, true);
}

void bw_deliveries_rolled_back(struct bw_deliveries *deliveries)
{
    settle(deliveries, false);
}
