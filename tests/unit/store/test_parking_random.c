/* Random sequences of reports, events, timers, failed commits and restarts against a small model, with so few wakes in a transaction that
 * events are often still waking while other things happen. After each operation all rows are compared with the model, which checks
 *   - a run that has ended has no place in the queue, no timer, no wait, no wake (property 7);
 *   - a run that is parked has something that will wake it, and no wake that it has not seen: none is lost (7);
 *   - a wait ends with the lowest event behind its bound, else by its timer and not early, once, and nothing of it is left (12).
 * BELLWIRE_PARKING_SEED=N runs one seed, BELLWIRE_PARKING_SEEDS=N so many fresh ones. */
#include "base/random.h"
#include "parking_fixture.h"

enum { SLOTS = 12, STEPS = 3, ARMS = 3, KEYS = 3, EVENTS = 400, OPERATIONS = 500, SEEDS = 24 };

struct model_step {
    int64_t due_ms;
    struct bw_wait_arm arms[ARMS];
    size_t arm_count;
    struct bw_wake wake;
};
struct model_run {
    uint32_t number; /* 0 = none yet */
    enum bw_run_state state;
    int64_t row, place; /* its row's id, its place in the queue (0 = none) */
    struct model_step steps[STEPS];
};
struct model {
    struct model_run runs[SLOTS];
    int64_t last_place;
};
static struct model model;
static struct {
    int64_t id, at_ms;
    uint64_t keys[2];
} events[EVENTS];
static size_t event_count;
static const char *const paths[STEPS] = {"a", "b", "c"};
static uint64_t seed, state_of_random;
static int operation;
static size_t tally[9]; /* that the test meets what it is for */
enum { PARKED, PARKED_IN_VAIN, LOOKED_BACK, WOKEN_BY_EVENT, WOKEN_BY_TIMER, WOKEN_LATER, TIMER_FOUND_EVENT, REFUSED, COMMIT_FAILED };

#define check(condition, ...)                                                                               \
    do {                                                                                                    \
        if (!(condition)) {                                                                                 \
            print_error("BELLWIRE_PARKING_SEED=%llu, operation %d\n", (unsigned long long)seed, operation); \
            fail_msg(__VA_ARGS__);                                                                          \
        }                                                                                                   \
    } while (0)

static uint32_t draw(uint32_t below)
{
    state_of_random = state_of_random * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(state_of_random >> 33) % below;
}

/* ---- the model ---- */

/* What ends the step's waiting if it is looked at now: the lowest event behind its bound. */
static struct bw_wake best_event(const struct model_step *step)
{
    for (size_t e = 0; e < event_count; e++) /* ascending */
        for (size_t a = 0; a < step->arm_count; a++)
            for (size_t k = 0; k < 2; k++)
                if (events[e].id > step->arms[a].since_event && events[e].keys[k] == step->arms[a].key)
                    return (struct bw_wake){.kind = BW_WAKE_EVENT, .arm = (uint32_t)a, .event_id = events[e].id, .at_ms = events[e].at_ms};
    return (struct bw_wake){0};
}

static void wake_model(struct model_step *step, struct bw_wake wake)
{
    *step = (struct model_step){.wake = wake};
}

static void put_model_step(struct model_step *step, const struct bw_step_row *row)
{
    *step = (struct model_step){0};
    if (row->state >= BW_STEP_SUCCEEDED) return;
    step->due_ms = row->due_ms;
    step->arm_count = row->arm_count;
    if (row->arm_count) memcpy(step->arms, row->arms, row->arm_count * sizeof *row->arms);
    struct bw_wake wake = best_event(step);
    if (wake.kind) wake_model(step, wake);
    if (wake.kind) tally[LOOKED_BACK]++;
}

static bool has_wake(const struct model_run *run)
{
    for (size_t i = 0; i < STEPS; i++)
        if (run->steps[i].wake.kind) return true;
    return false;
}

static bool has_source(const struct model_run *run)
{
    for (size_t i = 0; i < STEPS; i++)
        if (run->steps[i].due_ms || run->steps[i].arm_count) return true;
    return false;
}

/* False: the store must refuse it. */
static bool put_model_run(struct model_run *run, enum bw_run_state wish, const struct bw_step_row *rows, const size_t *which, size_t count)
{
    if (run->state == BW_RUN_PARKED && wish == BW_RUN_ACTIVE) wish = BW_RUN_PARKED;
    for (size_t i = 0; i < count; i++) put_model_step(&run->steps[which[i]], &rows[i]);
    run->state = wish;
    if (wish >= BW_RUN_SUCCEEDED) {
        memset(run->steps, 0, sizeof run->steps);
        run->place = 0;
    }
    if (wish != BW_RUN_PARKED) return true;
    run->place = has_wake(run) ? -1 : 0; /* a new one */
    if (run->place) run->state = BW_RUN_ACTIVE;
    tally[run->place ? PARKED_IN_VAIN : PARKED]++;
    return run->place || has_source(run);
}

/* ---- what the store has ---- */

static struct model stored;

static struct model_run *stored_run(int64_t row)
{
    for (size_t i = 0; i < SLOTS; i++)
        if (stored.runs[i].row == row) return &stored.runs[i];
    check(false, "rows of run %lld, which has ended or never was", (long long)row);
    return NULL;
}

static struct model_step *stored_step(sqlite3_stmt *row)
{
    struct model_run *run = stored_run(sqlite3_column_int64(row, 0));
    size_t step = (size_t)(sqlite3_column_text(row, 1)[0] - 'a');
    assert_true(step < STEPS);
    return &run->steps[step];
}

static void each_row(const char *sql, void (*visit)(sqlite3_stmt *row))
{
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_prepare_v2(writer.db, sql, -1, &statement, NULL), SQLITE_OK);
    while (sqlite3_step(statement) == SQLITE_ROW) visit(statement);
    assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
}

static void read_run_row(sqlite3_stmt *row)
{
    struct bw_uid uid = bw_sql_column_uid(row, 1);
    for (size_t i = 0; i < SLOTS; i++) {
        struct bw_uid wanted = uid_of(model.runs[i].number);
        if (!bw_uid_equal(uid, wanted)) continue;
        stored.runs[i].row = sqlite3_column_int64(row, 0);
        stored.runs[i].state = (enum bw_run_state)sqlite3_column_int(row, 2);
        stored.runs[i].place = sqlite3_column_int64(row, 3);
        if (stored.runs[i].place > stored.last_place) stored.last_place = stored.runs[i].place;
    }
}

static void read_timer(sqlite3_stmt *row)
{
    struct model_step *step = stored_step(row);
    check(!step->due_ms, "two timers of one step");
    step->due_ms = sqlite3_column_int64(row, 2);
}

static void read_wait(sqlite3_stmt *row)
{
    struct model_step *step = stored_step(row);
    int64_t arm = sqlite3_column_int64(row, 2);
    check(arm == (int64_t)step->arm_count, "arm %lld where %zu was expected", (long long)arm, step->arm_count);
    step->arms[step->arm_count++] = (struct bw_wait_arm){.key = (uint64_t)sqlite3_column_int64(row, 3), .since_event = sqlite3_column_int64(row, 4)};
}

static void read_wake(sqlite3_stmt *row)
{
    stored_step(row)->wake = (struct bw_wake){.kind = (enum bw_wake_kind)sqlite3_column_int(row, 2),
                                              .arm = (uint32_t)sqlite3_column_int(row, 3),
                                              .event_id = sqlite3_column_int64(row, 4),
                                              .at_ms = sqlite3_column_int64(row, 5)};
}

static void read_store(void)
{
    stored = (struct model){0};
    each_row("SELECT r.id, r.uid, r.state, q.id FROM runs r LEFT JOIN queue q ON q.run_id = r.id", read_run_row);
    each_row("SELECT run_id, path, due_ms FROM timers", read_timer);
    each_row("SELECT run_id, path, arm, khash, since_event FROM waits ORDER BY run_id, path, arm", read_wait);
    each_row("SELECT run_id, path, kind, arm, event_id, at_ms FROM wakes", read_wake);
    check(query("SELECT count(*) FROM queue WHERE run_id NOT IN (SELECT id FROM runs WHERE state = 2)") == 0, "in the queue and not active");
}

/* ---- comparing ---- */

/* The store has woken a step that waits in the model: was it allowed to, and with this? now_ms 0 = no timers were fired. */
static void check_wake(const struct model_step *step, const struct bw_wake *wake, int64_t now_ms)
{
    struct bw_wake best = best_event(step);
    if (wake->kind == BW_WAKE_TIMER) {
        check(now_ms && step->due_ms && step->due_ms <= now_ms && wake->at_ms == now_ms, "a timer of %lld fired at %lld", (long long)step->due_ms,
              (long long)now_ms);
        check(!best.kind, "timed out although event %lld had come", (long long)best.event_id);
        tally[WOKEN_BY_TIMER]++;
        return;
    }
    check(wake->kind == BW_WAKE_EVENT && wake->event_id == best.event_id && wake->arm == best.arm && wake->at_ms == best.at_ms,
          "woken by %d: event %lld, arm %u, expected event %lld, arm %u", (int)wake->kind, (long long)wake->event_id, (unsigned)wake->arm,
          (long long)best.event_id, (unsigned)best.arm);
    if (now_ms) tally[TIMER_FOUND_EVENT]++;
    if (wake->event_id != events[event_count - 1].id) tally[WOKEN_LATER]++;
    tally[WOKEN_BY_EVENT]++;
}

static void compare_step(struct model_run *run, size_t s, const struct model_step *got, int64_t now_ms, bool is_waking, size_t *woken)
{
    struct model_step *step = &run->steps[s];
    if (got->wake.kind && !step->wake.kind) {
        check(step->due_ms || step->arm_count, "run %u step %s does not wait and was woken", (unsigned)run->number, paths[s]);
        check_wake(step, &got->wake, now_ms);
        wake_model(step, got->wake);
        if (run->state == BW_RUN_PARKED) run->state = BW_RUN_ACTIVE, run->place = -1;
        ++*woken;
    }
    check(got->wake.kind == step->wake.kind && got->wake.event_id == step->wake.event_id && got->wake.arm == step->wake.arm,
          "run %u step %s: a wake is %d, expected %d", (unsigned)run->number, paths[s], (int)got->wake.kind, (int)step->wake.kind);
    check(got->due_ms == step->due_ms, "run %u step %s: timer %lld, expected %lld", (unsigned)run->number, paths[s], (long long)got->due_ms,
          (long long)step->due_ms);
    check(got->arm_count == step->arm_count, "run %u step %s: %zu waits, expected %zu", (unsigned)run->number, paths[s], got->arm_count,
          step->arm_count);
    for (size_t a = 0; a < step->arm_count; a++)
        check(got->arms[a].key == step->arms[a].key && got->arms[a].since_event == step->arms[a].since_event, "arm %zu was changed", a);
    check(is_waking || !best_event(step).kind, "run %u step %s waits for an event that has come", (unsigned)run->number, paths[s]);
}

/* Everything, after each operation. How many were woken by it. */
static size_t compare(int64_t now_ms)
{
    size_t woken = 0;
    int64_t earliest_ms = 0, last_place = model.last_place;
    bool is_waking = query("SELECT count(*) FROM wakings") > 0;
    check(!is_waking || writer.parking.has_wakings, "an event is still to wake steps, and the writer does not know");
    read_store();
    for (size_t i = 0; i < SLOTS; i++) {
        struct model_run *run = &model.runs[i];
        const struct model_run *got = &stored.runs[i];
        if (!run->number) continue;
        for (size_t s = 0; s < STEPS; s++) {
            compare_step(run, s, &got->steps[s], now_ms, is_waking, &woken);
            if (got->steps[s].due_ms && (!earliest_ms || got->steps[s].due_ms < earliest_ms)) earliest_ms = got->steps[s].due_ms;
        }
        check(got->state == run->state, "run %u is %s, expected %s", (unsigned)run->number, bw_run_state_name(got->state),
              bw_run_state_name(run->state));
        if (run->place < 0) {
            check(got->place > last_place, "run %u has the place %lld, behind %lld", (unsigned)run->number, (long long)got->place,
                  (long long)last_place);
            run->place = got->place;
        }
        check(got->place == run->place, "run %u has the place %lld, expected %lld", (unsigned)run->number, (long long)got->place,
              (long long)run->place);
        if (run->state == BW_RUN_PARKED) check(has_source(run) && !has_wake(run), "run %u is lost", (unsigned)run->number);
        run->row = got->row;
    }
    if (stored.last_place > model.last_place) model.last_place = stored.last_place;
    check(writer.parking.committed_due_ms == earliest_ms, "the earliest timer is %lld, expected %lld", (long long)writer.parking.committed_due_ms,
          (long long)earliest_ms);
    check(woken <= writer.parking.at_once, "%zu woken in one transaction", woken);
    return woken;
}

/* ---- operations ---- */

static size_t draw_steps(struct bw_step_row *rows, struct bw_wait_arm arms[STEPS][ARMS], size_t *which)
{
    size_t count = 0;
    for (size_t s = 0; s < STEPS; s++) {
        if (draw(2)) continue;
        static const enum bw_step_state states[] = {BW_STEP_WAITING,  BW_STEP_WAITING,   BW_STEP_WAITING,
                                                    BW_STEP_RETRYING, BW_STEP_SUCCEEDED, BW_STEP_FAILED};
        struct bw_step_row row = step_row(paths[s], states[draw(6)]);
        if (row.state < BW_STEP_SUCCEEDED) {
            if (draw(2)) row.due_ms = wall_ms - 10 + draw(100);
            row.arms = arms[s];
            row.arm_count = draw(4) ? 1 + draw(ARMS) : 0;
            for (size_t a = 0; a < row.arm_count; a++) {
                int64_t newest = event_count ? events[event_count - 1].id : first_event;
                arms[s][a] = (struct bw_wait_arm){.key = draw(KEYS), .since_event = draw(3) ? newest : newest - draw(4)};
            }
        }
        which[count] = s;
        rows[count++] = row;
    }
    return count;
}

static void report_one(void)
{
    struct bw_step_row rows[STEPS];
    struct bw_wait_arm arms[STEPS][ARMS];
    size_t which[STEPS], count = draw_steps(rows, arms, which);
    struct model_run *run = &model.runs[draw(SLOTS)], before = *run;
    if (run->state == BW_RUN_PARKED && draw(4)) return; /* nobody owns it; a late report comes now and then */
    if (!run->number || (run->state >= BW_RUN_SUCCEEDED && draw(4))) *run = (struct model_run){.number = next_number++, .state = BW_RUN_ACTIVE};
    uint32_t kind = draw(10);
    enum bw_run_state wish = kind == 0 ? BW_RUN_SUCCEEDED : kind == 1 ? BW_RUN_CANCELLED : kind < 8 ? BW_RUN_PARKED : BW_RUN_ACTIVE;
    bool is_good = run->state >= BW_RUN_SUCCEEDED || put_model_run(run, wish, rows, which, count);
    const char *code = try_put(run->number, wish, rows, count);
    check(strcmp(code, is_good ? "" : "store.no_wake") == 0, "run %u: '%s'", (unsigned)run->number, code);
    if (is_good) return;
    *run = before;
    tally[REFUSED]++;
}

static void accept_one(void)
{
    if (event_count == EVENTS) return;
    uint64_t keys[2] = {draw(KEYS), draw(KEYS)};
    events[event_count].at_ms = wall_ms;
    events[event_count].id = accept_keys(keys, 2);
    memcpy(events[event_count].keys, keys, sizeof keys);
    event_count++;
}

/* A report, an event and timers in a commit that fails: as if nothing had been asked. */
static void fail_one(void)
{
    const uint64_t key = draw(KEYS);
    struct bw_step_row row = sleeping("a", wall_ms + 1);
    struct bw_run_row run = {.uid = uid_of(9999999), .workflow = BW_SLICE("w"), .state = BW_RUN_PARKED, .steps = &row, .step_count = 1};
    struct bw_store_op wish = {.kind = BW_OP_REPORT, .event_id = first_event, .runs = &run, .run_count = 1}, event = accept_op(next_number++, ""),
                       timers = {.kind = BW_OP_WAKE, .now_ms = wall_ms}, bad = accept_op(next_number++, ""), *culprit;
    struct bw_error err = {0};
    event.event.keys = &key;
    event.event.key_count = 1;
    bad.event.key_count = BW_EVENT_KEYS_MAX + 1;
    wish.next = &event, event.next = &timers, timers.next = &bad;
    check(!bw_writer_commit(&writer, &wish, &culprit, &err) && culprit == &bad, "a bad operation was committed");
}

static int refuse_commit(void *arg)
{
    ++*(int *)arg;
    return 1;
}

/* The rest of an event's waiters. If the commit fails nobody of them was woken, and another time all are. */
static void go_on_one(bool fails)
{
    struct bw_error err = {0};
    int again_ms, refused = 0;
    if (!writer.parking.has_wakings) return;
    bool has_any = query("SELECT count(*) FROM wakings") > 0;
    if (fails) sqlite3_commit_hook(writer.db, refuse_commit, &refused);
    assert_no_error(bw_writer_idle(&writer, &again_ms, &err), err);
    sqlite3_commit_hook(writer.db, NULL, NULL);
    if (!fails || !has_any) return;
    check(refused == 1, "%d commits where one was expected", refused);
    check(writer.parking.has_wakings, "the rest is forgotten");
    tally[COMMIT_FAILED]++;
}

static void fire_and_compare(void)
{
    int64_t oldest_left_ms = INT64_MAX, now_ms = wall_ms - draw(5);
    bool more = fire(now_ms);
    size_t woken = compare(now_ms);
    for (size_t i = 0; i < SLOTS; i++)
        for (size_t s = 0; s < STEPS; s++) {
            int64_t due_ms = model.runs[i].steps[s].due_ms;
            if (due_ms && due_ms < oldest_left_ms) oldest_left_ms = due_ms;
        }
    check(more == (oldest_left_ms <= now_ms), "more is %d and the oldest timer is of %lld", more, (long long)oldest_left_ms);
    check(!more || woken == writer.parking.at_once, "%zu woken, and there was room", woken);
}

static void open_fast(size_t at_once)
{
    struct bw_error err = {0};
    writer = (struct bw_writer){.reserve = -1, .parking.at_once = at_once};
    assert_no_error(bw_writer_open(&writer, folder, &err), err);
    assert_no_error(bw_sql_exec(writer.db, "PRAGMA synchronous = OFF", &err), err); /* no power is cut here */
}

static void reopen(void)
{
    size_t at_once = writer.parking.at_once;
    bw_writer_close(&writer, true);
    open_fast(at_once);
    model.last_place = query("SELECT coalesce(max(id), 0) FROM queue"); /* they ascend within a process */
}

static void one_operation(void)
{
    uint32_t what = draw(100);
    wall_ms += draw(8);
    if (what < 50) {
        report_one();
    } else if (what < 68) {
        accept_one();
    } else if (what < 84) {
        fire_and_compare();
        return;
    } else if (what < 92) {
        go_on_one(draw(4) == 0);
    } else if (what < 97) {
        fail_one();
    } else {
        reopen();
    }
    compare(0);
}

/* All runs end in the end: whoever is parked is woken by its timer or by the events that are sent, and then it has a place in the queue. */
static void quiesce(void)
{
    wall_ms += DAY_MS;
    for (uint64_t key = 0; key < KEYS; key += 2) {
        uint64_t keys[2] = {key, key + 1 < KEYS ? key + 1 : key};
        if (event_count == EVENTS) break;
        events[event_count].at_ms = wall_ms;
        events[event_count].id = accept_keys(keys, 2);
        memcpy(events[event_count++].keys, keys, sizeof keys);
        compare(0);
    }
    while (writer.parking.has_wakings) {
        go_on_one(false);
        compare(0);
    }
    while (writer.parking.committed_due_ms) fire_and_compare();
    for (size_t i = 0; i < SLOTS; i++) {
        check(model.runs[i].state != BW_RUN_PARKED, "run %u sleeps for ever", (unsigned)model.runs[i].number);
        if (!model.runs[i].number || model.runs[i].state >= BW_RUN_SUCCEEDED) continue;
        put_model_run(&model.runs[i], BW_RUN_SUCCEEDED, NULL, NULL, 0);
        put(model.runs[i].number, BW_RUN_SUCCEEDED, NULL, 0);
    }
    compare(0);
    assert_int_equal(query("SELECT (SELECT count(*) FROM queue) + (SELECT count(*) FROM timers) + (SELECT count(*) FROM waits) + "
                           "(SELECT count(*) FROM wakes) + (SELECT count(*) FROM wakings)"),
                     0);
}

static void live_through(uint64_t number)
{
    seed = number;
    state_of_random = number * 0x9e3779b97f4a7c15ULL + 1;
    for (operation = 0; operation < 4; operation++) draw(2);
    model = (struct model){0};
    event_count = 0;
    bw_writer_close(&writer, true);
    if (remove_folder(NULL) || make_folder(NULL)) fail();
    open_fast(1 + draw(2));
    first_event = add_event(0, "", 0);
    for (operation = 0; operation < OPERATIONS; operation++) one_operation();
    quiesce();
}

static void test_no_interleaving_loses_a_wake_or_wakes_early(void **state)
{
    const char *one = getenv("BELLWIRE_PARKING_SEED"), *many = getenv("BELLWIRE_PARKING_SEEDS");
    unsigned long count = one ? 1 : many ? strtoul(many, NULL, 10) : SEEDS;
    (void)state;
    memset(tally, 0, sizeof tally);
    for (unsigned long i = 0; i < count; i++) live_through(one ? strtoull(one, NULL, 10) : many ? (uint64_t)(bw_random_unit() * 1e15) : i);
    for (size_t i = 0; i < sizeof tally / sizeof *tally && !one; i++)
        if (tally[i] < 10) fail_msg("the test has hardly met what it is for: %zu times case %zu", tally[i], i);
    if (one || many)
        for (size_t i = 0; i < sizeof tally / sizeof *tally; i++) print_message("case %zu: %zu times\n", i, tally[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {WITH_WRITER(test_no_interleaving_loses_a_wake_or_wakes_early)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
