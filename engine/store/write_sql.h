/* write_sql.h: the writer's prepared statements by name; their text is schema/write.sql. */
#ifndef BW_STORE_WRITE_SQL_H
#define BW_STORE_WRITE_SQL_H
#include "store/sql.h"

#define BW_WRITE_STATEMENTS(X) \
    X(begin)                   \
    X(commit)                  \
    X(rollback)                \
    X(get_meta)                \
    X(set_meta)                \
    X(insert_event)            \
    X(insert_body)             \
    X(insert_pending)          \
    X(delete_pending)          \
    X(insert_matches)          \
    X(event_uid)               \
    X(insert_delivery)         \
    X(repeat_delivery)         \
    X(refused_counts)          \
    X(trim_refused)            \
    X(insert_run)              \
    X(find_run)                \
    X(update_run)              \
    X(put_step)                \
    X(put_timer)               \
    X(put_wait)                \
    X(put_wake)                \
    X(delete_step_timer)       \
    X(delete_step_waits)       \
    X(delete_step_wake)        \
    X(delete_run_timers)       \
    X(delete_run_waits)        \
    X(delete_run_wakes)        \
    X(has_wake)                \
    X(has_source)              \
    X(unpark_run)              \
    X(put_queue)               \
    X(delete_queue)            \
    X(last_queue_id)           \
    X(first_due)               \
    X(put_event_key)           \
    X(keys_of_event)           \
    X(earliest_event)          \
    X(last_before)             \
    X(delete_spare_pairs)      \
    X(put_pair)                \
    X(put_schedule)            \
    X(put_limit)               \
    X(delete_limits)           \
    X(earliest_of_step)        \
    X(event_time)              \
    X(next_waiter)             \
    X(put_waking)              \
    X(first_waking)            \
    X(delete_waking)           \
    X(put_join)                \
    X(put_context)             \
    X(put_items)               \
    X(get_items)               \
    X(delete_items)            \
    X(insert_child_run)        \
    X(put_child)               \
    X(set_started)             \
    X(count_child)             \
    X(due_join)                \
    X(close_join)              \
    X(close_any_join)          \
    X(next_live_child)         \
    X(cancel_run)              \
    X(awaited_child)           \
    X(delete_child)            \
    X(delete_joins)            \
    X(delete_contexts)         \
    X(find_revision)           \
    X(insert_revision)         \
    X(insert_version)          \
    X(insert_revision_file)    \
    X(unmerged_keys)           \
    X(generations)             \
    X(put_generation)          \
    X(delete_generation)       \
    X(key_page)                \
    X(put_key_page)            \
    X(delete_key_pages)        \
    X(page_count)              \
    X(free_count)              \
    X(walk_deliveries)         \
    X(walk_runs)               \
    X(walk_events)             \
    X(walk_kept_keys)          \
    X(event_runs)              \
    X(delete_delivery)         \
    X(delete_steps)            \
    X(delete_run)              \
    X(keep_key)                \
    X(delete_kept_key)         \
    X(delete_matches)          \
    X(delete_event_keys)       \
    X(delete_body)             \
    X(delete_event)            \
    X(older_revisions)         \
    X(event_revisions)         \
    X(delete_revision_files)   \
    X(delete_revision)         \
    X(sweep_parked)            \
    X(sweep_active)            \
    X(sweep_timers)            \
    X(sweep_waits)             \
    X(sweep_wakes)             \
    X(sweep_queue)             \
    X(sweep_joins)             \
    X(wake_all_steps)          \
    X(run_uid)                 \
    X(recount_join)            \
    X(delete_versions)

struct bw_write_statements {
#define BW_WRITE_MEMBER(name) sqlite3_stmt *name;
    BW_WRITE_STATEMENTS(BW_WRITE_MEMBER)
#undef BW_WRITE_MEMBER
};
bool bw_write_prepare(sqlite3 *db, struct bw_write_statements *sql, struct bw_error *err);
void bw_write_finalize(struct bw_write_statements *sql);
#endif
