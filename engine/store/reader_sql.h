/* reader_sql.h: the inside of a reader, for the reader_*.c files: its connection, its statements by name (their text is
 * schema/read.sql), and the deadline of the call that runs. */
#ifndef BW_STORE_READER_SQL_H
#define BW_STORE_READER_SQL_H
#include "store/pack.h"
#include "store/sql.h"
#include "store/store.h"

#define BW_READ_STATEMENTS(X) \
    X(pending_events)         \
    X(pending_count)          \
    X(events)                 \
    X(event)                  \
    X(event_by_id)            \
    X(collected_events)       \
    X(collectors_of_event)    \
    X(runs_of_event)          \
    X(runs_of_workflow)       \
    X(runs_in_state)          \
    X(runs)                   \
    X(run)                    \
    X(steps)                  \
    X(approval)               \
    X(queue)                  \
    X(join_context)           \
    X(child_ends)             \
    X(pairs)                  \
    X(schedules)              \
    X(limits)                 \
    X(audit)                  \
    X(run_wait)               \
    X(unbegun_call)           \
    X(held_wait)              \
    X(windows)                \
    X(learnt)                 \
    X(pauses)                 \
    X(held_count)             \
    X(state_count)            \
    X(parked_count)           \
    X(deliveries)             \
    X(refused_of_source)      \
    X(delivery)               \
    X(duplicates)             \
    X(revision_files)         \
    X(usage_of_run)           \
    X(usage_of_root)          \
    X(usage_days)             \
    X(revision)

enum bw_read_statement {
#define BW_READ_MEMBER(name) BW_READ_##name,
    BW_READ_STATEMENTS(BW_READ_MEMBER)
#undef BW_READ_MEMBER
        BW_READ_COUNT
};
struct bw_reader {
    sqlite3 *db;
    struct bw_statements sql;
    sqlite3_stmt *prepared[BW_READ_COUNT];
    struct bw_packer *packer; /* made for the first packed body */
    int64_t deadline_us;      /* bw_clock_mono_us(); a reader that stays longer would keep the log from being reset */
};
#define BW_READ_LIMIT_MS 2000
#define BW_READ(reader, name) bw_reader_statement(reader, BW_READ_##name)

sqlite3_stmt *bw_reader_statement(struct bw_reader *reader, enum bw_read_statement name); /* NULL: see bw_sql_statement() */
void bw_reader_begin(struct bw_reader *reader); /* sets the deadline; each call of store.h does this first */
int64_t bw_reader_below(int64_t id);            /* "before this id" as a bound: 0 = no bound */
int64_t bw_reader_limit(size_t limit);
#endif
