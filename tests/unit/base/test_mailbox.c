/* Messages to a loop: in their order, whoever takes some of them out of their turn. */
#include "base/mailbox.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { PLAIN, QUICK, MOST = 64 };

struct letter {
    struct bw_mail mail;
    int number;
};
static struct bw_mailbox *mailbox;
static struct event_base *base;
static int seen[MOST], seen_count;
static bool takes_inside; /* the receiver tries to take what is behind */

static void receive(struct bw_mail *mail, void *arg)
{
    struct letter *letter = (struct letter *)mail;
    (void)arg;
    seen[seen_count++] = letter->number;
    if (takes_inside) bw_mailbox_take(mailbox, QUICK);
    free(letter);
}

static void post(int number, int kind)
{
    struct letter *letter = calloc(1, sizeof *letter);
    assert_non_null(letter);
    letter->mail.kind = kind;
    letter->number = number;
    bw_mailbox_post(mailbox, &letter->mail);
}

static void assert_seen(const int *numbers, int count)
{
    assert_int_equal(seen_count, count);
    for (int i = 0; i < count; i++) assert_int_equal(seen[i], numbers[i]);
    seen_count = 0;
}
#define ASSERT_SEEN(...) assert_seen((const int[]){__VA_ARGS__}, (int)(sizeof((const int[]){__VA_ARGS__}) / sizeof(int)))

static int open_mailbox(void **state)
{
    (void)state;
    seen_count = 0;
    takes_inside = false;
    return !(base = event_base_new()) || !(mailbox = bw_mailbox_new(base, receive, NULL));
}

static int close_mailbox(void **state)
{
    (void)state;
    bw_mailbox_free(mailbox);
    event_base_free(base);
    return 0;
}

static void turn(void)
{
    event_base_loop(base, EVLOOP_NONBLOCK);
}

static void test_all_are_delivered_in_their_order_with_the_loops_turn(void **state)
{
    (void)state;
    for (int i = 1; i <= 4; i++) post(i, i % 2 ? PLAIN : QUICK);
    assert_int_equal(seen_count, 0);
    turn();
    ASSERT_SEEN(1, 2, 3, 4);
    turn();
    assert_int_equal(seen_count, 0);
}

static void test_what_is_taken_is_at_the_front_and_of_the_kind(void **state)
{
    (void)state;
    bw_mailbox_take(mailbox, QUICK); /* there is nothing */
    post(1, QUICK);
    post(2, QUICK);
    post(3, PLAIN);
    post(4, QUICK);
    bw_mailbox_take(mailbox, QUICK);
    ASSERT_SEEN(1, 2);
    bw_mailbox_take(mailbox, QUICK);
    assert_int_equal(seen_count, 0); /* the third would be overtaken */
    post(5, QUICK);
    turn();
    ASSERT_SEEN(3, 4, 5);
}

static void test_the_loop_hears_of_what_comes_behind_all_that_was_taken(void **state)
{
    (void)state;
    post(1, QUICK);
    bw_mailbox_take(mailbox, QUICK);
    ASSERT_SEEN(1);
    post(2, PLAIN); /* its wake-up is the one of the first */
    turn();
    ASSERT_SEEN(2);
    post(3, PLAIN);
    turn();
    ASSERT_SEEN(3);
}

static void test_nothing_is_taken_inside_of_the_receiver(void **state)
{
    (void)state;
    takes_inside = true;
    post(1, PLAIN);
    post(2, QUICK);
    turn();
    ASSERT_SEEN(1, 2);
    post(3, QUICK);
    post(4, QUICK);
    bw_mailbox_take(mailbox, QUICK);
    ASSERT_SEEN(3, 4);
}

static void test_what_is_posted_while_it_is_held_wakes_nobody_and_comes_with_the_release(void **state)
{
    (void)state;
    bw_mailbox_hold(mailbox);
    post(1, PLAIN);
    turn();
    assert_int_equal(seen_count, 0);
    post(2, QUICK);
    bw_mailbox_release(mailbox);
    ASSERT_SEEN(1, 2);
    post(3, PLAIN);
    bw_mailbox_hold(mailbox);
    post(4, PLAIN);
    bw_mailbox_release(mailbox);
    ASSERT_SEEN(3, 4);
    turn(); /* the wake-up of the third finds nothing */
    assert_int_equal(seen_count, 0);
    post(5, PLAIN);
    turn();
    ASSERT_SEEN(5);
}

static void *post_many(void *arg)
{
    (void)arg;
    for (int i = 0; i < MOST; i++) post(i, i % 3 ? QUICK : PLAIN);
    return NULL;
}

static void test_those_of_another_thread_are_all_seen_in_their_order(void **state)
{
    pthread_t thread;
    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, post_many, NULL), 0);
    while (seen_count < MOST) {
        bw_mailbox_take(mailbox, QUICK);
        turn();
        bw_mailbox_hold(mailbox);
        bw_mailbox_release(mailbox);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    for (int i = 0; i < MOST; i++) assert_int_equal(seen[i], i);
}

int main(void)
{
#define MAILBOX(test) cmocka_unit_test_setup_teardown(test, open_mailbox, close_mailbox)
    const struct CMUnitTest tests[] = {
        MAILBOX(test_all_are_delivered_in_their_order_with_the_loops_turn),
        MAILBOX(test_what_is_taken_is_at_the_front_and_of_the_kind),
        MAILBOX(test_the_loop_hears_of_what_comes_behind_all_that_was_taken),
        MAILBOX(test_nothing_is_taken_inside_of_the_receiver),
        MAILBOX(test_what_is_posted_while_it_is_held_wakes_nobody_and_comes_with_the_release),
        MAILBOX(test_those_of_another_thread_are_all_seen_in_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
