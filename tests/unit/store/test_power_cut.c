/* The power goes at a random moment and the disk keeps, drops or tears whatever was not synced (power_vfs.h). After that the store is what it was
 * after one of its transactions, whole: not an earlier one than the last that was acknowledged, and not a later one than the last that was begun.
 * That is found by living the same life again with power and looking at all rows after each of those transactions. Then the file is sound
 * (integrity_check) and so is what is in it (assert_sound). Each seed has several lives, one on the disk that the other left.
 *
 * BELLWIRE_SEED=N replays one seed, BELLWIRE_POWER_SEEDS=N takes so many fresh ones. */
#include "base/random.h"
#include "power_vfs.h"
#include "power_workload.h"

#ifdef BELLWIRE_SANITIZED
enum { SEEDS = 100, CONTROLS = 20 };
#else
enum { SEEDS = 500, CONTROLS = 100 };
#endif
enum { LIVES = 2, LIFE_STEPS = 24, TABLES = 48, STATES = 16 };

struct state { /* a sum of each table's rows */
    size_t count;
    uint64_t sums[TABLES];
    char names[TABLES][24];
};
enum verdict { WHOLE, LOST, BROKEN }; /* LOST: no transaction's state between the two; BROKEN: it cannot be opened or is not sound */
static bool is_unsynced;              /* PRAGMA synchronous = OFF, for the controls */
static uint64_t seed;
static bool is_trying, is_control; /* control: what is lost is not worth a line */

/* ---- what the store has ---- */

static uint64_t sum_rows(sqlite3 *db, const char *table)
{
    char sql[64];
    sqlite3_stmt *row;
    uint64_t sum = 14695981039346656037ULL;
    snprintf(sql, sizeof sql, "SELECT * FROM %s", table);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &row, NULL), SQLITE_OK);
    while (sqlite3_step(row) == SQLITE_ROW)
        for (int i = 0; i < sqlite3_column_count(row); i++) {
            const unsigned char *bytes = sqlite3_column_blob(row, i);
            int len = sqlite3_column_bytes(row, i);
            sum = (sum ^ (uint64_t)len ^ (uint64_t)sqlite3_column_type(row, i) << 32) * 1099511628211ULL;
            for (int k = 0; k < len; k++) sum = (sum ^ bytes[k]) * 1099511628211ULL;
        }
    assert_int_equal(sqlite3_finalize(row), SQLITE_OK);
    return sum;
}

static void read_state(sqlite3 *db, struct state *state)
{
    sqlite3_stmt *tables;
    *state = (struct state){0};
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name", -1, &tables, NULL), SQLITE_OK);
    while (sqlite3_step(tables) == SQLITE_ROW) {
        assert_true(state->count < TABLES);
        snprintf(state->names[state->count], sizeof state->names[0], "%s", (const char *)sqlite3_column_text(tables, 0));
        state->sums[state->count] = sum_rows(db, state->names[state->count]);
        state->count++;
    }
    assert_int_equal(sqlite3_finalize(tables), SQLITE_OK);
}

/* ---- a life ---- */

struct life {
    uint64_t random;
    int64_t begin_ms;
    long cut_after;
    size_t begun, acknowledged; /* transactions; the last ones */
    /* When it is lived again: the states from `first` on, up to `last`. */
    bool is_again;
    size_t first, last;
    struct state states[STATES];
    sqlite3 *reader;
};

/* Before the commit of transaction number `begun`: who reads sees what is there without it. */
static int on_commit(void *arg)
{
    struct life *life = arg;
    size_t before = life->begun++;
    if (life->is_again && before >= life->first && before <= life->last) read_state(life->reader, &life->states[before - life->first]);
    return 0;
}

static bool open_in(struct life *life)
{
    struct bw_error err = {0};
    writer = (struct bw_writer){.reserve = -1, .dedupe.generation = 16, .parking.at_once = 2, .retention.keep = defaults};
    writer.retention.keep.events_ms = writer.retention.keep.deliveries_ms = 300;
    writer.retention.keep.succeeded_ms = 100;
    if (!bw_writer_open(&writer, folder, &err)) {
        if (!power_is_off && !is_control) print_error("%s [%s]\n", err.message, err.code);
        return false;
    }
    if (is_unsynced && !bw_sql_exec(writer.db, "PRAGMA synchronous = OFF", &err)) return false;
    writer.reserve_tried_us = mono_us; /* no real file */
    sqlite3_commit_hook(writer.db, on_commit, life);
    if (life->is_again) life->reader = bw_database_open_reader(folder, &err);
    return !life->is_again || life->reader;
}

static void close_in(struct life *life, bool is_clean)
{
    if (life->reader) bw_database_close(life->reader, false);
    life->reader = NULL;
    bw_writer_close(&writer, is_clean);
    writer = (struct bw_writer){.reserve = -1};
}

/* False: the power is gone, or the store has failed. */
static bool one_step(struct life *life)
{
    struct bw_error err = {0};
    int again_ms;
    uint32_t what = work_draw(100);
    wall_ms += work_draw(20);
    mono_us += 1000 * (int64_t)work_draw(20000);
    if (what < 75) return work_commit();
    if (what < 80) return bw_writer_between_groups(&writer, true, &err);
    if (what < 90) return bw_writer_idle(&writer, &again_ms, &err);
    if (what < 96) return bw_writer_relieve(&writer, &err); /* a checkpoint */
    close_in(life, true);
    return !power_is_off && open_in(life);
}

/* Nothing is open afterwards. */
static void live(struct life *life)
{
    work_random = life->random;
    wall_ms = life->begin_ms;
    mono_us = 1000000;
    next_number = (uint32_t)(life->begin_ms - START_MS) + 1;
    life->begun = life->acknowledged = 0;
    power_cut_after(life->is_again ? INT32_MAX : life->cut_after);
    bool goes_on = open_in(life);
    for (int i = 0; goes_on && i < LIFE_STEPS && !(life->is_again && life->begun > life->last); i++) {
        goes_on = one_step(life);
        if (goes_on && !power_is_off) life->acknowledged = life->begun;
    }
    if (life->is_again) {
        assert_true(goes_on);
        if (life->begun >= life->first && life->begun <= life->last) read_state(life->reader, &life->states[life->begun - life->first]);
    } else {
        power_is_off = true;
    }
    close_in(life, false);
}

/* ---- after it ---- */

static enum verdict compare(const struct life *life, const struct state *found)
{
    for (size_t i = life->first; i <= life->last; i++)
        if (memcmp(&life->states[i - life->first], found, sizeof *found) == 0) return WHOLE;
    for (size_t i = 0; i < found->count; i++)
        if (found->sums[i] != life->states[0].sums[i])
            if (!is_control) print_message("  %s is not as it was after transaction %zu of %zu\n", found->names[i], life->first, life->last);
    return LOST;
}

static bool is_sound_file(void)
{
    sqlite3_stmt *row = NULL;
    bool ok = sqlite3_prepare_v2(writer.db, "PRAGMA integrity_check", -1, &row, NULL) == SQLITE_OK && sqlite3_step(row) == SQLITE_ROW &&
              strcmp((const char *)sqlite3_column_text(row, 0), "ok") == 0;
    return sqlite3_finalize(row) == SQLITE_OK && ok;
}

static enum verdict look(const struct life *life)
{
    struct life morning = {0};
    struct state found;
    enum verdict verdict = BROKEN;
    if (open_in(&morning) && is_sound_file()) {
        read_state(writer.db, &found);
        verdict = compare(life, &found);
        if (verdict == WHOLE) assert_sound();
    }
    close_in(&morning, false);
    return verdict;
}

/* What the disk was before and what is left of it. */
static struct power_bytes before[POWER_NAMES], left[POWER_NAMES];

static enum verdict live_and_look(struct life *life)
{
    power_save(before);
    live(life);
    power_restore();
    power_save(left);

    bool lies = power_lies;
    power_lies = false;
    power_load(before);
    life->is_again = true;
    life->first = life->acknowledged;
    life->last = life->begun;
    assert_true(life->last - life->first < STATES);
    live(life);

    power_load(left);
    enum verdict verdict = look(life);
    power_load(left); /* the next life begins with the recovery */
    power_lies = lies;
    return verdict;
}

static enum verdict try_seed(uint64_t number, bool lies)
{
    enum verdict verdict = WHOLE;
    seed = number;
    is_trying = true;
    power_erase();
    power_lies = lies;
    power_random = number * 0x9e3779b97f4a7c15ULL + 1;
    sqlite3_randomness(0, NULL); /* SQLite's own is seeded anew, by power_vfs.h */
    for (int i = 0; verdict == WHOLE && i < LIVES; i++) {
        static struct life life;
        life = (struct life){.random = number + (uint64_t)i * 7919, .begin_ms = START_MS + 1000000LL * i};
        life.cut_after = (long)power_draw(16u << power_draw(8));
        verdict = live_and_look(&life);
    }
    is_trying = false;
    return verdict;
}

/* ---- the tests ---- */

static void test_a_power_cut_loses_nothing_acknowledged_and_leaves_nothing_half(void **state)
{
    const char *one = getenv("BELLWIRE_SEED"), *many = getenv("BELLWIRE_POWER_SEEDS");
    unsigned long count = one ? 1 : many ? strtoul(many, NULL, 10) : SEEDS;
    (void)state;
    for (unsigned long i = 0; i < count; i++) {
        uint64_t number = one ? strtoull(one, NULL, 10) : many ? (uint64_t)(bw_random_unit() * 1e15) : i;
        enum verdict verdict = try_seed(number, false);
        if (verdict != WHOLE) fail_msg("BELLWIRE_SEED=%llu: %s", (unsigned long long)number, verdict == LOST ? "acknowledged and lost" : "broken");
    }
}

/* This test would find it: a disk that lies about syncs, and a store that does not ask for them. */
static size_t count_losses(bool lies)
{
    size_t losses = 0;
    is_control = true;
    for (uint64_t i = 0; i < CONTROLS; i++) losses += try_seed(i, lies) != WHOLE;
    is_control = false;
    return losses;
}

static void test_a_disk_that_lies_about_syncs_is_found_to_lose(void **state)
{
    (void)state;
    assert_true(count_losses(true) > CONTROLS / 4);
}

static void test_a_store_that_does_not_sync_is_found_to_lose(void **state)
{
    (void)state;
    is_unsynced = true;
    size_t losses = count_losses(false);
    is_unsynced = false;
    assert_true(losses > CONTROLS / 4);
}

static int power_setup(void **state)
{
    static const struct bw_clock clock = {.wall_ms = fake_wall, .mono_us = fake_mono};
    bw_clock_override(&clock);
    bw_log_setup(BW_LOG_OFF, BW_LOG_JSON, "test");
    power_install();
    return make_folder(state);
}

static int power_teardown(void **state)
{
    if (is_trying) print_error("BELLWIRE_SEED=%llu\n", (unsigned long long)seed); /* an assertion ended it */
    is_trying = false;
    power_remove();
    for (size_t i = 0; i < POWER_NAMES; i++) {
        free(before[i].data);
        free(left[i].data);
        before[i] = left[i] = (struct power_bytes){0};
    }
    bw_clock_override(NULL);
    return remove_folder(state);
}

#define POWER(test) cmocka_unit_test_setup_teardown(test, power_setup, power_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {POWER(test_a_power_cut_loses_nothing_acknowledged_and_leaves_nothing_half),
                                       POWER(test_a_disk_that_lies_about_syncs_is_found_to_lose),
                                       POWER(test_a_store_that_does_not_sync_is_found_to_lose)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
