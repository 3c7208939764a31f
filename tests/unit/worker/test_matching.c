#include "base/buf.h"
#include "worker/internal.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state = 7;
static unsigned below(unsigned limit)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((state >> 33) % limit);
}

static const char *random_glob(void)
{
    static const char *const globs[] = {"a.b", "a.c", "a.*", "a.**", "*.b", "b.c.d", "b.*.d", "b", "**", "a.b*"};
    return globs[below(sizeof globs / sizeof *globs)];
}

static struct bw_catalog random_catalog(size_t count)
{
    struct bw_catalog catalog = {.workflows = calloc(count, sizeof *catalog.workflows)};
    for (size_t i = 0; i < count; i++) {
        struct bw_errors errs = {0};
        struct bw_workflow **loaded;
        struct bw_buf yaml = {0};
        bw_buf_printf(&yaml, "name: w%zu\non:\n  - {manual: true}\n", i);
        for (unsigned k = below(4); k; k--) bw_buf_printf(&yaml, "  - {event: '%s'}\n", random_glob());
        if (below(2)) bw_buf_printf(&yaml, "  - {webhook: /in/w%zu, verify: none}\n", i);
        bw_buf_append_text(&yaml, "steps: [{id: s, set: {a: 1}}]\n");
        assert_int_equal(bw_workflow_load(bw_buf_slice(&yaml), "w.yaml", &loaded, &errs), 1);
        catalog.workflows[catalog.workflow_count++].workflow = loaded[0];
        free(loaded);
        bw_buf_free(&yaml);
        bw_errors_free(&errs);
    }
    assert_non_null(catalog.matching = bw_matching_new(catalog.workflows, count));
    return catalog;
}

static void free_catalog(struct bw_catalog *catalog)
{
    bw_matching_free(catalog->matching);
    for (size_t i = 0; i < catalog->workflow_count; i++) bw_workflow_free(catalog->workflows[i].workflow);
    free(catalog->workflows);
}

static bool matches(const struct bw_workflow *workflow, struct bw_slice source, struct bw_slice name)
{
    for (size_t i = 0; i < workflow->trigger_count; i++)
        if (bw_workflow_matches(&workflow->triggers[i], source, name)) return true;
    return false;
}

static void test_those_that_match_are_found_each_once_and_in_order(void **arg)
{
    (void)arg;
    static const char *const names[] = {"a.b", "a.c", "a.d", "a.b.c", "b", "b.c.d", "b.x.d", "c", "a.bb", "", "w3.a", "w5.a.b"};
    static const char *const sources[] = {"s", "w3", "w5", ""};
    for (unsigned turn = 0; turn < 200; turn++) {
        struct bw_catalog catalog = random_catalog(below(12));
        for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
            struct bw_worker_event event = {.catalog = &catalog, .name = bw_slice_of(names[n]), .source = bw_slice_of(sources[below(4)])};
            struct bw_catalog_workflow *entry, *last = NULL;
            size_t next = 0;
            for (struct bw_candidates all = bw_candidates_of(&event); (entry = bw_candidates_next(&all)); last = entry) {
                assert_true(!last || entry > last);
                if (!matches(entry->workflow, event.source, event.name)) continue;
                while (&catalog.workflows[next] != entry) assert_false(matches(catalog.workflows[next++].workflow, event.source, event.name));
                next++;
            }
            while (next < catalog.workflow_count) assert_false(matches(catalog.workflows[next++].workflow, event.source, event.name));
        }
        free_catalog(&catalog);
    }
}

static void test_an_event_for_one_workflow_is_for_that_one(void **arg)
{
    (void)arg;
    struct bw_catalog catalog = random_catalog(5);
    struct bw_worker_event event = {.catalog = &catalog, .name = BW_SLICE("a.b"), .workflow = BW_SLICE("w3")};
    struct bw_candidates all = bw_candidates_of(&event);
    assert_ptr_equal(bw_candidates_next(&all), &catalog.workflows[3]);
    assert_null(bw_candidates_next(&all));
    event.workflow = BW_SLICE("w5");
    all = bw_candidates_of(&event);
    assert_null(bw_candidates_next(&all));
    free_catalog(&catalog);
}

static void test_thousands_of_others_are_not_looked_at(void **arg)
{
    (void)arg;
    struct bw_catalog catalog = {.workflows = calloc(3000, sizeof *catalog.workflows)};
    for (; catalog.workflow_count < 3000; catalog.workflow_count++) {
        struct bw_errors errs = {0};
        struct bw_workflow **loaded;
        char yaml[128];
        snprintf(yaml, sizeof yaml, "name: w%zu\non: [{event: x.e%zu}]\nsteps: [{id: s, set: {a: 1}}]\n", catalog.workflow_count,
                 catalog.workflow_count % 1000);
        assert_int_equal(bw_workflow_load(bw_slice_of(yaml), "w.yaml", &loaded, &errs), 1);
        catalog.workflows[catalog.workflow_count].workflow = loaded[0];
        free(loaded);
        bw_errors_free(&errs);
    }
    assert_non_null(catalog.matching = bw_matching_new(catalog.workflows, catalog.workflow_count));
    struct bw_worker_event event = {.catalog = &catalog, .name = BW_SLICE("x.e7")};
    size_t seen = 0;
    for (struct bw_candidates all = bw_candidates_of(&event); bw_candidates_next(&all);) seen++;
    assert_int_equal(seen, 3);
    free_catalog(&catalog);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_those_that_match_are_found_each_once_and_in_order),
        cmocka_unit_test(test_an_event_for_one_workflow_is_for_that_one),
        cmocka_unit_test(test_thousands_of_others_are_not_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
