/* The same cuts as in test_power_cut.c, through the store as the engine uses it, with its thread: an event whose done() was called without a failure
 * is there after the power has gone, with its bytes and its key. How operations are grouped depends on the scheduler, so a seed decides only when the
 * power goes and what the disk keeps. BELLWIRE_SEED=N tries one seed. */
#include "base/log.h"
#include "fixture.h"
#include "power_vfs.h"

enum { SEEDS = 60, EVENTS = 64 };
static struct {
    struct bw_store_op op;
    char key[16], body[6000];
    _Atomic bool is_acknowledged;
} events[EVENTS];

static void done(struct bw_store_op *op)
{
    size_t number = (size_t)(uintptr_t)op->owner;
    events[number].is_acknowledged = !op->failed;
}

/* Until the power goes, or all are written. */
static void live(void)
{
    struct bw_error err = {0};
    struct bw_store *store = bw_store_open(folder, &err);
    for (size_t i = 0; i < EVENTS; i++) {
        snprintf(events[i].key, sizeof events[i].key, "key%zu", i);
        events[i].is_acknowledged = false;
        size_t len = power_draw(sizeof events[i].body);
        memset(events[i].body, 'a' + (int)(i % 26), len);
        events[i].op = accept_op((uint32_t)i + 1, events[i].key);
        events[i].op.event.body = (struct bw_slice){events[i].body, len};
        events[i].op.event.dedupe_expire_ms = INT64_MAX;
        events[i].op.owner = (void *)(uintptr_t)i;
        events[i].op.done = done;
    }
    for (size_t i = 0; store && i < EVENTS; i++) bw_store_submit(store, &events[i].op);
    bw_store_close(store);
}

static bool compare(void *arg, const struct bw_event *event)
{
    const struct bw_slice *body = arg;
    assert_false(event->is_damaged);
    assert_true(bw_slice_equal(event->body, *body));
    return true;
}

/* How many keys of those acknowledged ring anew. */
static size_t count_forgotten(void)
{
    struct bw_error err = {0};
    struct bw_store *store = bw_store_open(folder, &err);
    size_t forgotten = store ? 0 : EVENTS;
    for (size_t i = 0; store && i < EVENTS; i++) {
        struct bw_store_op again = accept_op((uint32_t)(1000 + i), events[i].key);
        if (!events[i].is_acknowledged) continue;
        submit(store, &again);
        forgotten += !again.is_duplicate;
    }
    bw_store_close(store);
    return forgotten;
}

/* How many were acknowledged and are not there. One thread at a time: the store is closed. */
static size_t count_lost(void)
{
    struct bw_error err = {0};
    size_t lost = count_forgotten();
    struct bw_reader *reader = lost ? NULL : bw_reader_open(folder, &err);
    for (size_t i = 0; reader && i < EVENTS; i++) {
        bool found = false;
        if (!events[i].is_acknowledged) continue;
        assert_no_error(bw_reader_event(reader, uid_of((uint32_t)i + 1), compare, &events[i].op.event.body, &found, &err), err);
        lost += !found;
    }
    assert_true(reader || lost);
    bw_reader_close(reader);
    return lost;
}

static size_t try_seed(uint64_t seed, bool lies)
{
    power_erase();
    power_lies = lies;
    power_random = seed * 0x9e3779b97f4a7c15ULL + 1;
    power_cut_after((long)power_draw(2500));
    live();
    power_is_off = true; /* if it did not go by itself */
    power_lies = false;
    power_restore();
    return count_lost();
}

static void test_an_acknowledged_event_survives_a_power_cut(void **state)
{
    const char *one = getenv("BELLWIRE_SEED");
    size_t acknowledged = 0;
    (void)state;
    for (uint64_t i = 0; i < SEEDS; i++) {
        uint64_t seed = one ? strtoull(one, NULL, 10) : i;
        size_t lost = try_seed(seed, false);
        if (lost) fail_msg("BELLWIRE_SEED=%llu: %zu acknowledged events are lost", (unsigned long long)seed, lost);
        for (size_t k = 0; k < EVENTS; k++) acknowledged += events[k].is_acknowledged;
    }
    assert_in_range(acknowledged, 1, SEEDS * EVENTS - 1); /* some, and not all: the power does go */
}

static void test_this_test_finds_what_a_lying_disk_loses(void **state)
{
    size_t lost = 0;
    (void)state;
    for (uint64_t i = 0; i < SEEDS && !lost; i++) lost = try_seed(i, true);
    assert_true(lost > 0);
}

static int power_setup(void **state)
{
    bw_log_setup(BW_LOG_OFF, BW_LOG_JSON, "test");
    power_install();
    return make_folder(state);
}

static int power_teardown(void **state)
{
    power_remove();
    return remove_folder(state);
}

#define POWER(test) cmocka_unit_test_setup_teardown(test, power_setup, power_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {POWER(test_an_acknowledged_event_survives_a_power_cut), POWER(test_this_test_finds_what_a_lying_disk_loses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
