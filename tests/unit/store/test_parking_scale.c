/* Measures what very many parked runs cost; nothing is judged but that it ends well. Not part of the suite: BELLWIRE_PARKED=1000000 runs it,
 * with a tenth as many runs waiting for one event. Figures go to stdout. */
#include "base/random.h"
#include "fixture.h"
#include "store/retention.h"
#include <stdatomic.h>
#include <sys/stat.h>

#define HOUR_MS (3600 * 1000LL)
#define START_MS (20000 * 24 * HOUR_MS)
enum { WINDOW = 1024 };
static const uint64_t KEY = 42;

static struct bw_store *store;
static int64_t event_id;
static atomic_size_t woken, finished;
static size_t submitted, total, waiter_count;
static struct bw_wait_arm arm;

static double seconds_since(int64_t from_us)
{
    return (double)(bw_clock_mono_us() - from_us) / 1e6;
}

static long memory_kb(void)
{
    char line[128];
    long kb = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file)) sscanf(line, "VmRSS: %ld", &kb);
    if (file) fclose(file);
    return kb;
}

static double file_mb(const char *name)
{
    struct stat info;
    return stat(in_folder(name), &info) == 0 ? (double)info.st_size / 1e6 : 0;
}

static void on_wake(void *arg, const struct bw_store_wakes *wakes)
{
    (void)arg;
    atomic_fetch_add(&woken, wakes->woken);
}

/* ---- parking: a window of reports, each of one run ---- */

struct slot {
    struct bw_store_op op;
    struct bw_run_row run;
    struct bw_step_row step;
};
static struct slot slots[WINDOW];
static void parked(struct bw_store_op *op);

static void park_next(struct slot *slot) /* one thread at a time: the writer after the first window */
{
    size_t number = submitted++;
    bool waits = number < waiter_count;
    int64_t due_ms = START_MS + HOUR_MS + (int64_t)(bw_random_unit() * 30 * 24 * (double)HOUR_MS);
    slot->step = (struct bw_step_row){.path = BW_SLICE("nap"), .state = BW_STEP_WAITING, .attempt = 1, .started_ms = START_MS, .due_ms = due_ms};
    if (waits) slot->step.arms = &arm, slot->step.arm_count = 1, slot->step.due_ms = START_MS + 40 * 24 * HOUR_MS;
    slot->run = (struct bw_run_row){.uid = uid_of((uint32_t)number),
                                    .workflow = BW_SLICE("reminder"),
                                    .state = BW_RUN_PARKED,
                                    .started_ms = START_MS,
                                    .steps = &slot->step,
                                    .step_count = 1};
    for (int i = 0; i < 8; i++) slot->run.uid.bytes[i] = (uint8_t)(number * 0x9e3779b97f4a7c15ULL >> 8 * i); /* spread, as real ones are */
    slot->op = (struct bw_store_op){.kind = BW_OP_REPORT, .done = parked, .owner = slot, .event_id = event_id, .runs = &slot->run, .run_count = 1};
    bw_store_submit(store, &slot->op);
}

static void parked(struct bw_store_op *op)
{
    if (op->failed) {
        print_error("%s\n", op->error.message);
        abort();
    }
    if (submitted < total) park_next(op->owner);
    atomic_fetch_add(&finished, 1);
}

static void park_all(void)
{
    int64_t from_us = bw_clock_mono_us();
    struct bw_store_op pause = {.kind = BW_OP_DELIVERY};
    for (size_t i = 0; i < WINDOW; i++) park_next(&slots[i]);
    while (atomic_load(&finished) < total) { /* a delivery of its own is a way to sleep until the next commit */
        pause = refused_op("pace", 1000, BW_OUTCOME_UNVERIFIED);
        submit(store, &pause);
    }
    double seconds = seconds_since(from_us);
    print_message("park          %zu runs in %.1f s: %.0f /s; file %.0f MB, log %.0f MB, RSS %ld kB\n", total, seconds, (double)total / seconds,
                  file_mb("bellwire.db"), file_mb("bellwire.db-wal"), memory_kb());
}

/* ---- opening ---- */

static void open_again(void)
{
    const struct bw_retention_config keep = {.deliveries_ms = 14 * 24 * HOUR_MS, .events_ms = 30 * 24 * HOUR_MS};
    struct bw_error err = {0};
    int64_t from_us = bw_clock_mono_us();
    bw_store_close(store);
    print_message("close         %.3f s\n", seconds_since(from_us));
    from_us = bw_clock_mono_us();
    store = bw_store_open_keeping(folder, &keep, &err);
    assert_no_error(store, err);
    print_message("open          %.4f s; next due %.1f h ahead, RSS %ld kB\n", seconds_since(from_us),
                  (double)(bw_store_next_due(store) - START_MS) / (double)HOUR_MS, memory_kb());
    bw_store_on_wake(store, on_wake, NULL);
    struct bw_store_op first = accept_op(4000000001u, "");
    submit(store, &first);
    print_message("first accept  %.4f s after the open began\n", seconds_since(from_us));
}

/* ---- waking ---- */

/* The handler is called after done(): behind one more commit all is told. */
static size_t count_woken(void)
{
    struct bw_store_op op = refused_op("pace", 1000, BW_OUTCOME_UNVERIFIED);
    submit(store, &op);
    return atomic_load(&woken);
}

static bool fire(int64_t now_ms)
{
    struct bw_store_op op = {.kind = BW_OP_WAKE, .now_ms = now_ms};
    submit(store, &op);
    return op.more;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void report_times(const char *what, double *ms, size_t count)
{
    qsort(ms, count, sizeof *ms, by_size);
    print_message("%s median %.2f ms, p99 %.2f ms, max %.2f ms\n", what, ms[count / 2], ms[count * 99 / 100], ms[count - 1]);
}

static void fire_one_by_one(void)
{
    static double ms[500];
    for (size_t i = 0; i < 500; i++) {
        int64_t from_us = bw_clock_mono_us();
        fire(bw_store_next_due(store));
        ms[i] = 1000 * seconds_since(from_us);
    }
    report_times("fire one      with its commit:", ms, 500);
}

static void fire_many(void)
{
    static double ms[100000];
    size_t before = count_woken(), transactions = 0;
    int64_t from_us = bw_clock_mono_us(), now_ms = START_MS + 15 * 24 * HOUR_MS; /* about a half of them */
    for (bool more = true; more && transactions < 100000; transactions++) {
        int64_t one_us = bw_clock_mono_us();
        more = fire(now_ms);
        ms[transactions] = 1000 * seconds_since(one_us);
    }
    double seconds = seconds_since(from_us);
    size_t count = count_woken() - before;
    print_message("fire many     %zu timers in %.1f s: %.0f /s, RSS %ld kB\n", count, seconds, (double)count / seconds, memory_kb());
    report_times("              of 500 with their commit:", ms, transactions);
}

static void wake_by_event(void)
{
    static double ms[100000];
    size_t before = count_woken(), accepts = 0;
    struct bw_store_op op = accept_op(4000000002u, "");
    op.event.keys = &KEY;
    op.event.key_count = 1;
    int64_t from_us = bw_clock_mono_us();
    submit(store, &op);
    print_message("event         that %zu runs wait for: accepted in %.2f ms\n", waiter_count, 1000 * seconds_since(from_us));
    while (atomic_load(&woken) - before < waiter_count && accepts < 100000) { /* others ring meanwhile */
        int64_t one_us = bw_clock_mono_us();
        struct bw_store_op other = accept_op(4100000000u + (uint32_t)accepts, "");
        submit(store, &other);
        ms[accepts++] = 1000 * seconds_since(one_us);
    }
    print_message("              all woken after %.1f s, RSS %ld kB\n", seconds_since(from_us), memory_kb());
    report_times("              accepting meanwhile:", ms, accepts);
    assert_int_equal(atomic_load(&woken) - before, waiter_count);
}

static void count_parked(void)
{
    struct bw_reader *reader = open_reader();
    struct bw_error err = {0};
    uint64_t count;
    int64_t from_us = bw_clock_mono_us();
    assert_no_error(bw_reader_parked_count(reader, &count, &err), err);
    print_message("parked_count  %llu in %.1f ms\n", (unsigned long long)count, 1000 * seconds_since(from_us));
    bw_reader_close(reader);
}

static void test_very_many_parked_runs(void **state)
{
    const char *count = getenv("BELLWIRE_PARKED");
    (void)state;
    if (!count) skip(); /* a measurement, not a rule */
    total = strtoul(count, NULL, 10);
    waiter_count = total / 10;
    if (total < 10 * WINDOW) fail_msg("BELLWIRE_PARKED: at least %d", 10 * WINDOW);
    store = open_store();
    bw_store_on_wake(store, on_wake, NULL);
    struct bw_store_op op = accept_op(4000000000u, "");
    submit(store, &op);
    event_id = op.event_id;
    arm = (struct bw_wait_arm){KEY, event_id};
    park_all();
    open_again();
    count_parked();
    fire_one_by_one();
    wake_by_event();
    fire_many();
    bw_store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_very_many_parked_runs, make_folder, remove_folder)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
