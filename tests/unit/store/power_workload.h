/* power_workload.h: what the power cut interrupts: groups of random operations of every kind, by seed, on a writer without its thread. All that is
 * drawn and all that is asked of the store is the same in each run of a seed, for as long as it has power. */
#ifndef BW_TEST_POWER_WORKLOAD_H
#define BW_TEST_POWER_WORKLOAD_H
#include "parking_fixture.h"
#include "store/approval.h"
#include "store/usage.h"

enum { WORK_GROUP = 4, WORK_KEYS = 4, WORK_ITEMS = 20, WORK_STEPS = 3 };

struct work_op { /* with all that it borrows */
    struct bw_store_op op;
    struct bw_run_row run;
    struct bw_step_row steps[WORK_STEPS];
    struct bw_wait_arm arms[2];
    struct bw_join_new join;
    struct bw_event_new emit;
    struct bw_vote vote;
    struct bw_usage_wish usage;
    struct bw_usage_budget budget;
    struct bw_wait_pair pair;
    struct bw_revision revision;
    struct bw_revision_file file;
    uint64_t keys[2];
    char dedupe[16], rule[16], body[9000], items[WORK_ITEMS * 5];
};
static struct work_op work_ops[WORK_GROUP];
static uint64_t work_random;

static uint32_t work_draw(uint32_t below)
{
    work_random = work_random * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(work_random >> 33) % below;
}

/* One of the runs that are like this, and its event. False: there is none, or no power. */
static bool work_pick(const char *which, struct bw_uid *uid, int64_t *event_id)
{
    sqlite3_stmt *row = NULL;
    char sql[300];
    snprintf(sql, sizeof sql, "SELECT uid, event_id FROM runs WHERE %s ORDER BY id DESC LIMIT 1 OFFSET %u", which, (unsigned)work_draw(6));
    bool found = sqlite3_prepare_v2(writer.db, sql, -1, &row, NULL) == SQLITE_OK && sqlite3_step(row) == SQLITE_ROW;
    if (found) *uid = bw_sql_column_uid(row, 0);
    if (found) *event_id = sqlite3_column_int64(row, 1);
    sqlite3_finalize(row);
    return found;
}

static int64_t work_event(void) /* one that is pending, 0 = none */
{
    sqlite3_stmt *row = NULL;
    char sql[100];
    snprintf(sql, sizeof sql, "SELECT event_id FROM pending ORDER BY event_id LIMIT 1 OFFSET %u", (unsigned)work_draw(4));
    bool found = sqlite3_prepare_v2(writer.db, sql, -1, &row, NULL) == SQLITE_OK && sqlite3_step(row) == SQLITE_ROW;
    int64_t id = found ? sqlite3_column_int64(row, 0) : 0;
    sqlite3_finalize(row);
    return id;
}

static struct bw_slice work_bytes(struct work_op *work)
{
    size_t len = work_draw(4) ? work_draw(300) : work_draw(sizeof work->body);
    for (size_t i = 0; i < len; i++) work->body[i] = (char)('a' + work_draw(4));
    return (struct bw_slice){work->body, len};
}

static void work_accept(struct work_op *work)
{
    snprintf(work->dedupe, sizeof work->dedupe, "%s%u", work_draw(3) ? "" : "k", (unsigned)work_draw(30));
    work->op = accept_op(next_number++, work_draw(3) ? work->dedupe : "");
    work->op.event.at_ms = work->op.delivery.at_ms = wall_ms;
    work->op.event.dedupe_expire_ms = wall_ms + 1000;
    work->op.event.body = work_bytes(work);
    work->op.event.is_done = work_draw(4) == 0;
    work->op.event.keys = work->keys;
    work->op.event.key_count = work_draw(3);
    for (size_t i = 0; i < 2; i++) work->keys[i] = work_draw(WORK_KEYS);
}

static struct bw_step_row work_waiting(struct work_op *work, const char *path)
{
    size_t arms = work_draw(3);
    for (size_t i = 0; i < 2; i++) work->arms[i] = (struct bw_wait_arm){.key = work_draw(WORK_KEYS), .since_event = (int64_t)work_draw(40)};
    struct bw_step_row step = waiting(path, work->arms, arms, arms && work_draw(2) ? 0 : wall_ms + work_draw(200));
    if (work_draw(2)) step.output = (struct bw_slice)BW_SLICE("{\"message\":\"?\"}"); /* a person may end it, too */
    return step;
}

static void work_vote(struct work_op *work)
{
    int64_t event_id = 0;
    work->vote = (struct bw_vote){.run = uid_of(0),
                                  .step = work_draw(2) ? (struct bw_slice)BW_SLICE("b") : (struct bw_slice)BW_SLICE("c"),
                                  .choice = BW_SLICE("approve"),
                                  .by = BW_SLICE("ann"),
                                  .form = BW_SLICE("{}"),
                                  .remote = BW_SLICE("127.0.0.1"),
                                  .at_ms = wall_ms};
    work_pick("state IN (2, 3) AND id IN (SELECT run_id FROM steps WHERE state = 3 AND output IS NOT NULL) AND id NOT IN (SELECT run_id FROM wakes)",
              &work->vote.run, &event_id);
    work->op = (struct bw_store_op){.kind = BW_OP_VOTE, .vote = &work->vote};
}

static void work_fan_out(struct work_op *work, struct bw_step_row *step)
{
    uint32_t total = 1 + work_draw(WORK_ITEMS);
    for (uint32_t i = 0; i < total; i++) memcpy(work->items + 5 * i, "\1\0\0\0007", 5);
    *step = step_row("fan", BW_STEP_WAITING);
    work->join = (struct bw_join_new){.workflow = BW_SLICE("deploy"),
                                      .items = {work->items, 5 * (size_t)total},
                                      .context = work_draw(2) ? (struct bw_slice)BW_SLICE("{}") : (struct bw_slice){0},
                                      .total = total,
                                      .concurrency = 1 + work_draw(5),
                                      .allowed = work_draw(3),
                                      .depth = 1};
    step->join = &work->join;
}

static void work_report(struct work_op *work)
{
    static const char *const live = "state IN (2, 3)", *const child = "state < 20 AND id IN (SELECT run_id FROM children)";
    static const enum bw_run_state states[] = {BW_RUN_ACTIVE, BW_RUN_PARKED, BW_RUN_PARKED, BW_RUN_PARKED, BW_RUN_SUCCEEDED, BW_RUN_FAILED};
    struct bw_run_row *run = &work->run;
    int64_t event_id = work_event();
    *run = (struct bw_run_row){.uid = uid_of(1000000 + next_number++), .workflow = BW_SLICE("deploy"), .started_ms = wall_ms, .steps = work->steps};
    run->state = states[work_draw(6)];
    bool is_new = event_id && work_draw(3) == 0;
    if (!is_new) work_pick(work_draw(2) ? child : live, &run->uid, &event_id);
    work->op = (struct bw_store_op){.kind = BW_OP_REPORT, .event_id = event_id, .runs = run, .run_count = event_id ? 1 : 0};
    work->op.event_done = work_draw(4) == 0;
    work->op.matched = 1;
    if (is_new && work_draw(2)) { /* it has to be admitted */
        run->state = BW_RUN_BLOCKED;
        run->start = (struct bw_start_new){.group = {1 + work_draw(2)}, .count = work_draw(2), .period_ms = 30, .burst = 2, .most_ms = 5000};
        run->start.until_ms = work_draw(4) ? 0 : wall_ms + work_draw(50);
        run->slot = (struct bw_slot_new){
            .group = {3}, .most = work_draw(3), .max_queue = 100, .holds_parked = work_draw(2), .holds_failed = work_draw(4) == 0};
        return;
    }
    if (run->state >= BW_RUN_SUCCEEDED) {
        run->ended_ms = wall_ms;
        run->output = (struct bw_slice)BW_SLICE("{\"done\":true}");
    }
    work->steps[run->step_count] = step_row("a", BW_STEP_SUCCEEDED);
    work->steps[run->step_count++].output = work_bytes(work);
    if (run->state != BW_RUN_PARKED) return;
    run->deadline_ms = work_draw(2) ? 0 : wall_ms + 500;
    if (work_draw(3) == 0)
        work_fan_out(work, &work->steps[run->step_count++]);
    else
        work->steps[run->step_count++] = work_waiting(work, work_draw(2) ? "b" : "c");
    if (work_draw(4)) return;
    work->emit = accept_op(next_number++, "").event;
    work->emit.at_ms = wall_ms;
    work->keys[0] = work_draw(WORK_KEYS);
    work->emit.keys = work->keys;
    work->emit.key_count = 1;
    work->steps[0].emits = &work->emit;
    work->steps[0].emit_count = 1;
}

static void work_declare(struct work_op *work)
{
    snprintf(work->rule, sizeof work->rule, "rule%u", (unsigned)work_draw(5));
    work->op = (struct bw_store_op){.kind = BW_OP_SCHEDULE,
                                    .schedule = {.workflow = BW_SLICE("deploy"), .rule = bw_slice_of(work->rule), .last_ms = wall_ms}};
    if (work_draw(3) == 0) {
        work->pair = (struct bw_wait_pair){.event = bw_slice_of(work->rule), .by = BW_SLICE("data.id")};
        work->op = (struct bw_store_op){.kind = BW_OP_PAIRS, .pairs = &work->pair, .pair_count = 1};
    } else if (work_draw(2)) {
        work->file = (struct bw_revision_file){.kind = BW_SLICE("workflow"), .path = bw_slice_of(work->rule), .content = work_bytes(work)};
        work->revision = (struct bw_revision){.files = &work->file, .count = 1};
        work->op = (struct bw_store_op){.kind = BW_OP_REVISION, .revision = &work->revision};
    }
}

/* A metered call of a run that may be there begins, or one of the last ones has ended. */
static void work_meter(struct work_op *work)
{
    int64_t event_id;
    work->budget = (struct bw_usage_budget){.scope = BW_USAGE_RUN, .most = {3, -1, 2000, -1}};
    work->usage = (struct bw_usage_wish){.opens = work_draw(2),
                                         .run = uid_of(0),
                                         .workflow = BW_SLICE("deploy"),
                                         .path = BW_SLICE("a"),
                                         .provider = BW_SLICE("p"),
                                         .model = BW_SLICE("m"),
                                         .at_ms = wall_ms,
                                         .id = 1 + work_draw(8),
                                         .numbers = {.input = work_draw(100), .cost = (int64_t)work_draw(1000) - 1, .first_ms = -1},
                                         .budgets = &work->budget,
                                         .budget_count = 1};
    work_pick("state IN (2, 3)", &work->usage.run, &event_id);
    work->op = (struct bw_store_op){.kind = BW_OP_USAGE, .usage = &work->usage};
}

static bool work_refuse(struct bw_store_op *op)
{
    return bw_error_set(&op->error, "test.refused", "the test lets this commit fail");
}

static void work_fill(struct work_op *work)
{
    uint32_t what = work_draw(100);
    work->op.next = NULL;
    if (what < 31)
        work_accept(work);
    else if (what < 35)
        work_meter(work);
    else if (what < 75)
        work_report(work);
    else if (what < 84)
        work->op = (struct bw_store_op){.kind = BW_OP_WAKE, .now_ms = wall_ms};
    else if (what < 90)
        work->op = refused_op("github", wall_ms, BW_OUTCOME_UNVERIFIED);
    else if (what < 94)
        work_vote(work);
    else if (what < 97)
        work_declare(work);
    else
        work->op = (struct bw_store_op){.kind = BW_OP_CALL, .call = work_refuse};
}

/* False: the store has failed. A group in which one is refused is as if it had not been. */
static bool work_commit(void)
{
    struct bw_store_op *culprit;
    struct bw_error err = {0};
    uint32_t count = 1 + work_draw(WORK_GROUP);
    for (uint32_t i = 0; i < count; i++) {
        work_fill(&work_ops[i]);
        if (i) work_ops[i - 1].op.next = &work_ops[i].op;
    }
    return bw_writer_commit(&writer, &work_ops[0].op, &culprit, &err) || strcmp(err.code, "store.failed") != 0;
}
#endif
