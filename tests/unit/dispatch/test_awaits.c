/* The revision of an event and whether it is awaited there: one answer, whatever is published meanwhile. Run under the thread sanitizer as well. */
#include "dispatch/awaits.h"
#include "workflow/wait_key.h"
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
    struct bw_awaited *awaited = bw_awaited_new(revision, list, NULL);
    assert_true(awaited && (list || !workflows));
    json_decref(list);
    return awaited;
}

static void assert_bound(struct bw_awaits *awaits, const char *name, uint32_t revision, bool is_awaited)
{
    struct bw_binding binding;
    bw_awaits_bind(awaits, bw_slice_of(name), BW_SLICE("{}"), &binding);
    assert_int_equal(binding.revision, revision);
    assert_int_equal(binding.is_awaited, is_awaited);
    assert_int_equal(binding.key_count, 0);
}

static void test_a_call_is_for_a_tool_of_the_catalogue_of_now(void **state)
{
    struct bw_awaits awaits = {0};
    struct bw_binding binding;
    const struct bw_slice name = BW_SLICE("agents.tools.price"), data = BW_SLICE("{}");
    (void)state;
    assert_false(bw_awaits_bind_call(&awaits, BW_SLICE("price"), name, data, &binding));
    bw_awaits_publish_take(&awaits,
                           awaited_of(3, "[{\"name\":\"price\",\"tool\":{\"name\":\"price_of\"}},{\"name\":\"other\",\"events\":[\"**\"]}]"));
    assert_true(bw_awaits_bind_call(&awaits, BW_SLICE("price"), name, data, &binding));
    assert_true(binding.revision == 3 && binding.is_awaited && !binding.respond_most_ms);
    assert_false(bw_awaits_bind_call(&awaits, BW_SLICE("other"), name, data, &binding)); /* it would like the event, and is no tool */
    assert_false(binding.is_awaited);
    bw_awaits_publish_take(&awaits, awaited_of(4, "[]"));
    assert_false(bw_awaits_bind_call(&awaits, BW_SLICE("price"), name, data, &binding));
    bw_awaits_end(&awaits);
}

static void test_nothing_is_awaited_by_no_workflow(void **state)
{
    struct bw_awaits awaits = {0};
    (void)state;
    assert_bound(&awaits, "github.push", 0, false);
    bw_awaits_publish_take(&awaits, awaited_of(7, "[]"));
    assert_bound(&awaits, "github.push", 7, false);
    bw_awaits_end(&awaits);
}

static uint64_t key(const char *event, const char *by, const char *value)
{
    uint64_t made;
    assert_true(bw_wait_key(bw_slice_of(event), bw_slice_of(by), bw_slice_of(value), &made));
    return made;
}

/* A parked run is found by what its wait and the event have in common. */
static void test_an_event_has_a_key_for_each_pair_that_fits(void **state)
{
    struct bw_awaits awaits = {0};
    struct bw_binding binding;
    json_t *pairs = json_loads("[{\"event\":\"shop.*\",\"by\":\"data.order.id\"},{\"event\":\"shop.paid\",\"by\":\"\"},"
                               "{\"event\":\"shop.paid\",\"by\":\"data.none\"},{\"event\":\"other\",\"by\":\"data.order.id\"}]",
                               0, NULL);
    (void)state;
    bw_awaits_publish_take(&awaits, bw_awaited_new(1, NULL, pairs));
    bw_awaits_bind(&awaits, BW_SLICE("shop.paid"), BW_SLICE("{\"order\":{\"id\":\"\\u0061-1\"}}"), &binding);
    assert_int_equal(binding.key_count, 2);
    assert_true(binding.keys[0] == key("shop.*", "data.order.id", "\"a-1\""));
    assert_true(binding.keys[1] == key("shop.paid", "", ""));
    bw_awaits_bind(&awaits, BW_SLICE("shop.paid"), BW_SLICE("no json"), &binding);
    assert_int_equal(binding.key_count, 1);
    bw_awaits_bind(&awaits, BW_SLICE("shop.sent"), BW_SLICE("{\"order\":{\"id\":{}}}"), &binding);
    assert_int_equal(binding.key_count, 0);
    json_decref(pairs);
    bw_awaits_end(&awaits);
}

/* The number is stored: a formula that changes would never wake what is parked. */
static void test_the_formula_of_keys_stays(void **state)
{
    (void)state;
    assert_true(key("a.b", "data.x", "7") == key("a.b", "data.x", " 7.0 ") && key("a.b", "data.x", "7e0") == key("a.b", "data.x", "7"));
    assert_true(key("a.b", "data.x", "7") != key("a.b", "data.x", "\"7\"") && key("a.b", "data.x", "true") != key("a.b", "data.x", "\"true\""));
    assert_true(key("a.b", "data.x", "1") != key("a.b", "data.y", "1") && key("a.b", "data.x", "1") != key("a.c", "data.x", "1"));
    assert_true(key("a.b", "data.x", "9007199254740993") != key("a.b", "data.x", "9007199254740992"));
    assert_int_equal(key("shop.paid", "data.order.id", "\"a-1\""), 0xafe283983038a793ULL);
    uint64_t made;
    assert_false(bw_wait_key(BW_SLICE("a"), BW_SLICE("data.x"), BW_SLICE("null"), &made));
    assert_false(bw_wait_key(BW_SLICE("a"), BW_SLICE("data.x"), BW_SLICE("[1]"), &made));
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
        struct bw_binding even, odd;
        before = last;
        bw_awaits_bind(listener->awaits, BW_SLICE("even.ping"), BW_SLICE("{}"), &even);
        listener->wrong += even.is_awaited != (even.revision % 2 == 0) || even.revision < last;
        bw_awaits_bind(listener->awaits, BW_SLICE("odd.ping"), BW_SLICE("{}"), &odd);
        last = odd.revision;
        listener->wrong += odd.is_awaited != (last % 2 == 1) || last < even.revision;
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
        cmocka_unit_test(test_a_call_is_for_a_tool_of_the_catalogue_of_now),
        cmocka_unit_test(test_nothing_is_awaited_by_no_workflow),
        cmocka_unit_test(test_an_event_has_a_key_for_each_pair_that_fits),
        cmocka_unit_test(test_the_formula_of_keys_stays),
        cmocka_unit_test(test_the_globs_of_all_workflows_count),
        cmocka_unit_test(test_a_replaced_object_lives_while_somebody_reads),
        cmocka_unit_test(test_revision_and_answer_belong_together_while_catalogues_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
