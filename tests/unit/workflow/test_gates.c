/* Gates: what whoever looks for steps that may begin does not look behind. Each is compared with what the steps wait for, step by step. */
#include "workflow/internal.h"
#include "workflow_fixture.h"
#include <stdlib.h>

/* The paths of the steps that are gates, of those that are none in brackets. */
static void assert_gates(const char *steps, const char *expected)
{
    struct bw_buf text = {0}, found = {0};
    bw_buf_printf(&text, "name: w\non: [{event: a.b}]\n%s", steps);
    struct loaded loaded = load_text(text.data);
    const struct bw_workflow *workflow = only(&loaded);
    bool *waits_for = calloc(workflow->step_count, sizeof *waits_for);
    for (size_t i = 0; i < workflow->step_count; i++) {
        const struct bw_step *step = &workflow->steps[i];
        bw_buf_printf(&found, step->is_gate ? "%s%.*s" : "%s(%.*s)", found.len ? " " : "", (int)step->path.len, step->path.ptr);
        for (size_t k = i + 1; step->is_gate && k < workflow->step_count; k++) {
            const struct bw_step *behind = &workflow->steps[k];
            if (behind->kind == BW_STEP_MARK || behind->kind >= BW_STEP_UNDO) continue; /* they begin when all others have ended */
            bool is_in_ending = false;
            for (int32_t above = behind->parent; above >= 0; above = workflow->steps[above].parent)
                is_in_ending |= workflow->steps[above].kind >= BW_STEP_UNDO;
            bw_needs_closure(workflow, k, waits_for);
            if (!waits_for[i] && !is_in_ending) fail_msg("%s does not wait for %s", behind->path.ptr, step->path.ptr);
        }
    }
    assert_string_equal(bw_buf_slice(&found).ptr, expected);
    free(waits_for);
    unload(&loaded);
    bw_buf_free(&text);
    bw_buf_free(&found);
}

static void test_in_a_line_each_step_is_one(void **state)
{
    (void)state;
    assert_gates("steps: [{id: a, set: {x: 1}}, {id: b, set: {x: 1}}, {id: c, set: {x: 1}}]\n", "a b c");
}

static void test_what_may_begin_beside_others_is_none(void **state)
{
    (void)state;
    assert_gates("steps: [{id: a, set: {x: 1}}, {id: b, needs: [], set: {x: 1}}, {id: c, set: {x: 1}}]\n", "(a) b c");
    assert_gates("steps: [{id: a, set: {x: 1}}, {id: b, set: {x: 1}}, {id: c, needs: [a], set: {x: 1}}, {id: d, set: {x: 1}}]\n", "a (b) c d");
    assert_gates("steps: [{id: a, set: {x: 1}}, {id: b, set: {x: 1}}, {id: c, needs: [a], set: {x: 1}}, {id: d, needs: [b, c], set: {x: 1}}]\n",
                 "a (b) c d");
}

/* What needs one that stands below it waits for that, and by it for those above. */
static void test_needs_may_point_downwards(void **state)
{
    (void)state;
    assert_gates("steps: [{id: a, set: {x: 1}}, {id: b, needs: [c], set: {x: 1}}, {id: c, needs: [a], set: {x: 1}}]\n", "a (b) c");
    assert_gates("steps: [{id: a, set: {x: 1}}, {id: b, needs: [c], set: {x: 1}}, {id: c, needs: [], set: {x: 1}}]\n", "(a) (b) c");
}

static void test_blocks_and_their_branches(void **state)
{
    (void)state;
    assert_gates("steps:\n  - {id: a, set: {x: 1}}\n  - id: i\n    if: ${{ true }}\n    steps: [{id: b, set: {x: 1}}, {id: c, set: {x: 1}}]\n"
                 "    else: [{id: d, set: {x: 1}}, {id: e, set: {x: 1}}]\n  - {id: f, set: {x: 1}}\n",
                 "a (i) (b) (c) (d) (e) f");
    assert_gates(
        "steps:\n  - {id: a, set: {x: 1}}\n  - id: p\n    parallel: [{id: b, set: {x: 1}}, {id: c, set: {x: 1}}]\n  - {id: f, set: {x: 1}}\n",
        "a (p) (b) (c) f");
}

static void test_what_follows_the_end_takes_no_gate_away(void **state)
{
    (void)state;
    assert_gates("steps: [{id: a, lua: \"return {}\", undo: {lua: \"return {}\"}}, {id: b, lua: \"return {}\", undo: {lua: \"return {}\"}}]\n"
                 "on_failure: [{id: f, set: {x: 1}}]\nfinally: [{id: g, set: {x: 1}}, {id: h, set: {x: 1}}]\n",
                 "a b ~main (#4) (a~undo) b~undo (#7) f (#9) g h");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_a_line_each_step_is_one),
        cmocka_unit_test(test_what_may_begin_beside_others_is_none),
        cmocka_unit_test(test_needs_may_point_downwards),
        cmocka_unit_test(test_blocks_and_their_branches),
        cmocka_unit_test(test_what_follows_the_end_takes_no_gate_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
