/* Globs over event names: a star never leaves its part, ** takes the rest. */
#include "workflow_fixture.h"

static void check(const char *glob, const char *name, bool expected)
{
    if (bw_glob_match(bw_slice_of(glob), bw_slice_of(name)) != expected) fail_msg("'%s' %s match '%s'", glob, expected ? "must" : "must not", name);
}

static void test_without_a_star_names_are_compared(void **state)
{
    (void)state;
    check("github.push", "github.push", true);
    check("github.push", "github.pushed", false);
    check("github.push", "github.pus", false);
    check("github.push", "github.push.x", false);
    check("github.push", "GitHub.push", false);
    check("github.push", "", false);
}

static void test_star_stays_in_its_part(void **state)
{
    (void)state;
    check("github.*", "github.push", true);
    check("github.*", "github.issues.opened", false);
    check("github.*", "github", false);
    check("*.push", "github.push", true);
    check("*.push", "a.github.push", false);
    check("*", "push", true);
    check("*", "github.push", false);
    check("github.*.opened", "github.issues.opened", true);
    check("github.*.opened", "github.issues.x.opened", false);
    check("github.*.opened", "github.opened", false);
}

static void test_star_within_a_part_takes_any_run_of_letters(void **state)
{
    (void)state;
    check("github.pull_*", "github.pull_request", true);
    check("github.pull_*", "github.pull_", true);
    check("github.*_request", "github.pull_request", true);
    check("a*b*c", "abc", true);
    check("a*b*c", "axxbyybzc", true); /* the first b is the wrong one to stop at */
    check("a*b*c", "axxb.yyc", false);
    check("*ab", "aab", true);
    check("a*.b", "a.x.b", false);
    check("*a.b*", "xa.bx", true);
    check("*a.*b", "xa.xa.b", false);
}

static void test_double_star_takes_the_rest(void **state)
{
    (void)state;
    check("**", "a", true);
    check("**", "a.b.c", true);
    check("github.**", "github.push", true);
    check("github.**", "github.issues.opened", true);
    check("github.**", "github", false); /* there is no rest */
    check("github.**", "githubx.push", false);
    check("*.issues.**", "github.issues.opened", true);
    check("*.issues.**", "github.issues", false);
    check("a*.**", "abc.d.e", true);
}

static void test_many_stars_do_not_explode(void **state)
{
    (void)state;
    char glob[400], name[4001];
    for (size_t i = 0; i < 199; i++) memcpy(glob + 2 * i, "a*", 3);
    memset(name, 'a', 4000);
    name[4000] = '\0';
    check(glob, name, true);
    name[3999] = 'b';
    strcat(glob, "c");
    check(glob, name, false); /* a matcher that tries every split would not come back */
}

static void test_only_events_match_a_trigger(void **state)
{
    (void)state;
    struct loaded loaded = load_text("name: t\non: [{event: \"a.*\"}, {manual: true}]\nsteps: [{id: a, set: {}}]\n");
    const struct bw_workflow *workflow = only(&loaded);
    assert_true(bw_workflow_matches(&workflow->triggers[0], BW_SLICE("s"), BW_SLICE("a.b")));
    assert_false(bw_workflow_matches(&workflow->triggers[0], BW_SLICE("s"), BW_SLICE("b.a")));
    assert_false(bw_workflow_matches(&workflow->triggers[1], BW_SLICE("s"), BW_SLICE("")));
    assert_false(bw_workflow_matches(&workflow->triggers[1], BW_SLICE("s"), BW_SLICE("a.b")));
    unload(&loaded);
}

/* What a run emits may be called like that; it has not come in by the path. */
static void test_a_webhook_wants_the_events_of_its_own_source_alone(void **state)
{
    (void)state;
    struct loaded loaded = load_text("name: orders\non: [{webhook: /o, verify: none}]\nsteps: [{id: a, set: {}}]\n");
    const struct bw_trigger *trigger = &only(&loaded)->triggers[0];
    assert_true(bw_workflow_matches(trigger, BW_SLICE("orders"), BW_SLICE("orders.paid")));
    assert_true(bw_workflow_matches(trigger, BW_SLICE("orders"), BW_SLICE("orders.paid.late")));
    assert_false(bw_workflow_matches(trigger, BW_SLICE("workflow/other"), BW_SLICE("orders.paid")));
    assert_false(bw_workflow_matches(trigger, BW_SLICE("order"), BW_SLICE("orders.paid")));
    unload(&loaded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_a_star_names_are_compared),
        cmocka_unit_test(test_star_stays_in_its_part),
        cmocka_unit_test(test_star_within_a_part_takes_any_run_of_letters),
        cmocka_unit_test(test_double_star_takes_the_rest),
        cmocka_unit_test(test_a_webhook_wants_the_events_of_its_own_source_alone),
        cmocka_unit_test(test_many_stars_do_not_explode),
        cmocka_unit_test(test_only_events_match_a_trigger),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
