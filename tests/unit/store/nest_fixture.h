/* nest_fixture.h: runs that steps start and that share slots. */
#ifndef BW_TEST_NEST_FIXTURE_H
#define BW_TEST_NEST_FIXTURE_H
#include "parking_fixture.h"

static struct bw_slot_new slot_of(unsigned group, uint32_t most)
{
    struct bw_slot_new slot = {.most = most, .max_queue = 1000, .holds_parked = true};
    memset(slot.group, (int)group + 1, sizeof slot.group);
    return slot;
}

static void report_as(struct bw_uid uid, struct bw_run_row row)
{
    row.uid = uid;
    row.workflow = (struct bw_slice)BW_SLICE("deploy");
    row.started_ms = 1;
    row.ended_ms = row.state >= BW_RUN_SUCCEEDED ? 9 : 0;
    struct bw_store_op op = {.kind = BW_OP_REPORT, .event_id = first_event, .runs = &row, .run_count = 1};
    commit(&op);
}

static void report_step(struct bw_uid uid, enum bw_run_state state, const struct bw_step_row *step)
{
    report_as(uid, (struct bw_run_row){.state = state, .steps = step, .step_count = step != NULL});
}

/* A run that an event starts. */
static void ask(struct bw_uid uid, struct bw_slot_new slot)
{
    report_as(uid, (struct bw_run_row){.state = slot.most ? BW_RUN_BLOCKED : BW_RUN_ACTIVE, .slot = slot});
}

static void finish(struct bw_uid uid, enum bw_run_state state)
{
    report_step(uid, state, NULL);
}

static const struct bw_join_new one_call = {
    .workflow = BW_SLICE("deploy"), .items = BW_SLICE("\2\0\0\0{}"), .total = 1, .concurrency = 1, .depth = 1, .is_call = true};

/* The run's step calls a workflow with this slot, and the run is then in that state. */
static struct bw_uid call_with(struct bw_uid uid, const char *path, enum bw_run_state state, struct bw_join_new join)
{
    struct bw_step_row step = step_row(path, join.is_detached ? BW_STEP_SUCCEEDED : BW_STEP_WAITING);
    step.join = &join;
    report_step(uid, state, &step);
    return bw_uid_of_child(uid, bw_slice_of(path), 0);
}

__attribute__((unused)) static struct bw_uid call(struct bw_uid uid, const char *path, struct bw_slot_new slot)
{
    struct bw_join_new join = one_call;
    join.slot = slot;
    return call_with(uid, path, BW_RUN_PARKED, join);
}

/* The same for so many items, none of which has a slot of its own. */
__attribute__((unused)) static void fan(struct bw_uid uid, const char *path, uint32_t total)
{
    static const char items[] = "\1\0\0\0001\1\0\0\0002\1\0\0\0003";
    struct bw_join_new join = one_call;
    join.is_call = false;
    join.items = (struct bw_slice){items, 5 * total};
    join.total = join.concurrency = join.allowed = total;
    call_with(uid, path, BW_RUN_PARKED, join);
}

static int64_t of_uid(struct bw_uid uid, const char *select)
{
    char sql[300], hex[33];
    for (size_t i = 0; i < 16; i++) snprintf(hex + 2 * i, 3, "%02x", uid.bytes[i]);
    snprintf(sql, sizeof sql, "SELECT coalesce((SELECT %s FROM runs r WHERE uid = x'%s'), 0)", select, hex);
    return query(sql);
}

__attribute__((unused)) static enum bw_run_state state_at(struct bw_uid uid)
{
    return (enum bw_run_state)of_uid(uid, "state");
}

#define assert_state(uid, wanted) assert_string_equal(bw_run_state_name(state_at(uid)), bw_run_state_name(wanted))

/* No group has more slots taken than the limit of those who are in it, and none of two runs is on the same lent one. */
__attribute__((unused)) static void assert_slots(void)
{
    assert_int_equal(query("SELECT count(*) FROM (SELECT 1 FROM slots WHERE state = 1 GROUP BY grp HAVING count(*) > max(most))"), 0);
    assert_int_equal(
        query("SELECT count(*) FROM slots s WHERE lender AND NOT EXISTS (SELECT 1 FROM slots l WHERE l.run_id = s.lender AND l.state = 1)"), 0);
    assert_int_equal(query("SELECT count(*) FROM slots s JOIN runs r ON r.id = s.run_id WHERE (s.state = 0) <> (r.state = 1)"), 0);
    assert_int_equal(count_faults(), 0);
}
#endif
