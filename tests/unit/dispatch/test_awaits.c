/* The revision of an event and whether it is awaited there: one answer, whatever is published meanwhile. Run under the thread sanitizer as well. */
#include "dispatch/awaits.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>

#define THREADS 4
#define CHANGES 200 /* that each thread must have seen */

static struct bw_awaited *awaited_of(uint32_t revision, const char *workflows)
{
    json_t *list = workflows ? json_loads(workflows, 0, NULL) : NULL;
    struct bw_awaited *awaited = bw_awaited_new(revision, list);
    assert_true(awaited && (list || !workflows));
    json_decref(list);
    return awaited;
}

static void assert_bound(struct bw_awaits *awaits, const char *name, uint32_t revision, bool is_awaited)
{
    bool answer = !is_awaited;
    assert_int_equal(bw_awaits_bind(awaits, bw_slice_of(name), &answer), revision);
    assert_int_equal(answer, is_awaited);
}

static void test_everything_is_awaited_until_the_workflows_are_known(void **state)
{
    struct bw_awaits awaits = {0};
    (void)state;
    assert_bound(&awaits, "github.push", 0, true);
    bw_awaits_publish_take(&awaits, awaited_of(7, NULL));
    assert_bound(&awaits, "github.push", 7, true);
    bw_awaits_publish_take(&awaits, awaited_of(7, "[]"));
    assert_bound(&awaits, "github.push", 7, false);
    bw_awaits_end(&awaits);
}

static void test_the_globs_of_all_workflows_count(void **state)
{
    struct bw_awaits awaits = {0};
    (void)state;
    bw_awaits_publish_take(&awaits, awaited_of(3, "[{\"events\":[\"github.push\",\"shop.**\"]},{\"events\":[]},{},{\"events\":[\"*.ping\"]}]"));
    assert_bound(&awaits, "github.push", 3, true);
    assert_bound(&awaits, "shop.order.paid", 3, true);
    assert_bound(&awaits, "open.ping", 3, true);
    assert_bound(&awaits, "github.issues", 3, false);
    bw_awaits_end(&awaits);
}

static void test_a_replaced_object_lives_while_somebody_reads(void **state)
{
    struct bw_awaits awaits = {0};
    (void)state;
    bw_awaits_publish_take(&awaits, awaited_of(1, "[]"));
    atomic_fetch_add(&awaits.readers, 1); /* somebody is inside bind() */
    bw_awaits_publish_take(&awaits, awaited_of(2, "[]"));
    assert_false(bw_awaits_reclaim(&awaits));
    assert_non_null(awaits.retired);
    atomic_fetch_sub(&awaits.readers, 1);
    assert_true(bw_awaits_reclaim(&awaits));
    assert_null(awaits.retired);
    bw_awaits_end(&awaits);
}

/* Even revisions await "even.*" alone, odd ones "odd.*": any other pair of answers would lose an event. */
struct listener {
    struct bw_awaits *awaits;
    _Atomic bool *is_over;
    _Atomic size_t changes;
    size_t wrong;
};

static void *bind_often(void *data)
{
    struct listener *listener = data;
    uint32_t last = 0, before;
    while (!atomic_load(listener->is_over)) {
        bool is_even_awaited, is_odd_awaited;
        before = last;
        uint32_t revision = bw_awaits_bind(listener->awaits, BW_SLICE("even.ping"), &is_even_awaited);
        listener->wrong += is_even_awaited != (revision % 2 == 0) || revision < last;
        last = bw_awaits_bind(listener->awaits, BW_SLICE("odd.ping"), &is_odd_awaited);
        listener->wrong += is_odd_awaited != (last % 2 == 1) || last < revision;
        if (last != before) atomic_fetch_add(&listener->changes, 1);
    }
    return NULL;
}

static bool have_all_seen(struct listener *listeners)
{
    for (size_t i = 0; i < THREADS; i++)
        if (atomic_load(&listeners[i].changes) < CHANGES) return false;
    return true;
}

static void test_revision_and_answer_belong_together_while_catalogues_change(void **state)
{
    struct bw_awaits awaits = {0};
    struct listener listeners[THREADS];
    pthread_t threads[THREADS];
    _Atomic bool is_over = false;
    (void)state;
    bw_awaits_publish_take(&awaits, awaited_of(2, "[{\"events\":[\"even.*\"]}]"));
    for (size_t i = 0; i < THREADS; i++) {
        listeners[i] = (struct listener){.awaits = &awaits, .is_over = &is_over};
        assert_int_equal(pthread_create(&threads[i], NULL, bind_often, &listeners[i]), 0);
    }
    for (uint32_t revision = 3; !have_all_seen(listeners); revision++)
        bw_awaits_publish_take(&awaits, awaited_of(revision, revision % 2 ? "[{\"events\":[\"odd.*\"]}]" : "[{\"events\":[\"even.*\"]}]"));
    atomic_store(&is_over, true);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(listeners[i].wrong, 0);
    }
    assert_true(bw_awaits_reclaim(&awaits));
    bw_awaits_end(&awaits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_is_awaited_until_the_workflows_are_known),
        cmocka_unit_test(test_the_globs_of_all_workflows_count),
        cmocka_unit_test(test_a_replaced_object_lives_while_somebody_reads),
        cmocka_unit_test(test_revision_and_answer_belong_together_while_catalogues_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
