/* Handshakes get half of a thread while there is other work for it, and all of it while there is none. */
#include "base/clock.h"
#include "ingest/handshakes.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define WINDOW_US 50000

struct doors {
    struct event_base *base;
    struct bw_handshakes *handshakes;
    struct event *work;
    bool is_open;
    unsigned closed, opened; /* how often */
    unsigned rounds;         /* of other work */
    bool has_handshakes;     /* in each round */
};

static void set_open(void *arg, bool is_open)
{
    struct doors *doors = arg;
    doors->is_open = is_open;
    *(is_open ? &doors->opened : &doors->closed) += 1;
    event_base_loopbreak(doors->base); /* each test looks at every change; with something active the loop does not return by itself */
}

/* So much of a thread's time that it is more than half of a window, wherever that begins. */
static void do_handshake(void)
{
    int64_t until = bw_clock_mono_us() + WINDOW_US;
    bw_handshakes_watch(NULL, SSL_CB_ACCEPT_LOOP, 1);
    while (bw_clock_mono_us() < until) {
    }
    bw_handshakes_watch(NULL, SSL_CB_ACCEPT_EXIT, 1);
}

static void work_again(struct doors *doors)
{
    event_add(doors->work, &(struct timeval){0});
}

static void on_work(evutil_socket_t fd, short what, void *arg)
{
    struct doors *doors = arg;
    (void)fd, (void)what;
    doors->rounds++;
    if (doors->has_handshakes) do_handshake();
    work_again(doors);
    event_base_loopbreak(doors->base);
}

static void open_doors(struct doors *doors)
{
    *doors = (struct doors){.base = event_base_new(), .is_open = true};
    assert_int_equal(event_base_priority_init(doors->base, 3), 0);
    assert_non_null(doors->handshakes = bw_handshakes_new(doors->base, set_open, doors));
    assert_non_null(doors->work = event_new(doors->base, -1, 0, on_work, doors));
    bw_handshakes_begin(doors->handshakes);
}

static void close_doors(struct doors *doors)
{
    bw_handshakes_begin(NULL);
    bw_handshakes_free(doors->handshakes);
    event_free(doors->work);
    event_base_free(doors->base);
}

static void test_doors_stay_closed_while_handshakes_take_more_than_half(void **state)
{
    (void)state;
    struct doors doors;
    open_doors(&doors);
    doors.has_handshakes = true;
    work_again(&doors);
    while (!doors.closed && doors.rounds < 1000) event_base_loop(doors.base, EVLOOP_ONCE);
    assert_int_equal(doors.closed, 1);
    for (unsigned until = doors.rounds + 10; doors.rounds < until;) event_base_loop(doors.base, EVLOOP_ONCE);
    assert_false(doors.is_open);
    assert_int_equal(doors.opened, 0);
    doors.has_handshakes = false; /* other work alone: the next window that had none opens them */
    while (!doors.is_open) event_base_loop(doors.base, EVLOOP_ONCE);
    assert_int_equal(doors.opened, 1);
    assert_int_equal(doors.closed, 1);
    close_doors(&doors);
}

static void test_without_other_work_they_are_open_again_at_once(void **state)
{
    (void)state;
    struct doors doors;
    open_doors(&doors);
    do_handshake();
    while (!doors.closed && doors.rounds < 1000) event_base_loop(doors.base, EVLOOP_ONCE);
    event_base_loop(doors.base, EVLOOP_NONBLOCK);
    assert_true(doors.is_open);
    close_doors(&doors);
}

/* Three windows with short handshakes; how long the longest of them took. */
static int64_t do_few_handshakes(struct doors *doors)
{
    int64_t longest_us = 0;
    for (int64_t until = bw_clock_mono_us() + 3 * WINDOW_US; bw_clock_mono_us() < until;) {
        event_base_loop(doors->base, EVLOOP_ONCE);
        int64_t began_us = bw_clock_mono_us();
        bw_handshakes_watch(NULL, SSL_CB_ACCEPT_LOOP, 1);
        bw_handshakes_watch(NULL, SSL_CB_ACCEPT_EXIT, 1);
        int64_t took_us = bw_clock_mono_us() - began_us;
        if (took_us > longest_us) longest_us = took_us;
    }
    return longest_us;
}

static void test_few_handshakes_close_nothing(void **state)
{
    (void)state;
    struct doors doors;
    int64_t longest_us = WINDOW_US;
    for (unsigned trial = 0; longest_us > WINDOW_US / 8 && trial < 100; trial++) { /* again when others had the processor in the middle of one */
        open_doors(&doors);
        work_again(&doors);
        longest_us = do_few_handshakes(&doors);
        if (longest_us <= WINDOW_US / 8) assert_int_equal(doors.closed, 0);
        close_doors(&doors);
    }
    assert_true(longest_us <= WINDOW_US / 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_doors_stay_closed_while_handshakes_take_more_than_half),
        cmocka_unit_test(test_without_other_work_they_are_open_again_at_once),
        cmocka_unit_test(test_few_handshakes_close_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
