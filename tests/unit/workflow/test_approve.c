/* `approve`: what it may say, and the step that notifies. */
#include "workflow_fixture.h"

#define HEAD "name: t\non: [{manual: true}]\n"
#define STEPS(text) HEAD "steps:\n" text

static void refused(const char *yaml, const char *code, int line, int column)
{
    struct loaded loaded = load_text(yaml);
    assert_int_equal(loaded.count, 0);
    print_errors(&loaded.errs);
    assert_error(&loaded.errs, 0, code, line, column);
    assert_int_equal(loaded.errs.count, 1);
    unload(&loaded);
}

static void refused_step(const char *approve, const char *code, int column)
{
    char text[1000];
    snprintf(text, sizeof text, STEPS("  - {id: r, approve: %s}\n"), approve);
    refused(text, code, 4, 22 + column);
}

static void test_defaults(void **state)
{
    (void)state;
    struct loaded loaded = load_text(STEPS("  - {id: r, approve: {message: yes or no}}\n"));
    const struct bw_step *step = &only(&loaded)->steps[0];
    assert_int_equal(step->kind, BW_STEP_APPROVE);
    assert_int_equal(step->choice_count, 2);
    assert_slice(step->choices[0], "approve");
    assert_slice(step->choices[1], "reject");
    assert_int_equal(step->wait_ms, 7 * 86400000LL);
    assert_int_equal(step->choice_in_time, -1);
    assert_int_equal(step->form.len, 0);
    assert_int_equal(step->notifies, -1);
    unload(&loaded);
}

static void test_everything_that_may_be_said(void **state)
{
    (void)state;
    struct loaded loaded =
        load_text(STEPS("  - id: r\n"
                        "    if: ${{ event.data.big }}\n"
                        "    approve:\n"
                        "      message: \"Pay ${{ event.data.n }}?\"\n"
                        "      choices: [pay, wait, \"no\"]\n"
                        "      form: {days: {type: integer, min: 1, default: 7}}\n"
                        "      timeout: 2d\n"
                        "      on_timeout: wait\n"
                        "      notify: {uses: slack/post@1, with: {text: \"${{ approval.url }}\"}, retry: {attempts: 2}, timeout: 5s}\n"
                        "  - {id: after, set: {c: \"${{ steps.r.choice }}\"}}\n"));
    const struct bw_workflow *workflow = only(&loaded);
    assert_int_equal(workflow->step_count, 3);
    const struct bw_step *notify = &workflow->steps[0], *step = &workflow->steps[1], *after = &workflow->steps[2];
    assert_slice(notify->path, "r~notify");
    assert_int_equal(notify->id.len, 0);
    assert_int_equal(notify->notifies, 1);
    assert_int_equal(notify->kind, BW_STEP_USES);
    assert_int_equal(notify->condition, step->condition);
    assert_true(step->condition >= 0);
    assert_int_equal(notify->retry.attempts, 2);
    assert_int_equal(notify->timeout_ms, 5000);
    assert_slice(step->path, "r");
    assert_int_equal(step->choice_in_time, 1);
    assert_int_equal(step->wait_ms, 2 * 86400000LL);
    assert_slice(step->form, "{\"days\":{\"type\":\"integer\",\"min\":1,\"default\":7}}");
    assert_int_equal(step->need_count, 1);
    assert_int_equal(step->needs[0], 0);
    assert_int_equal(after->need_count, 1);
    assert_int_equal(after->needs[0], 1);
    unload(&loaded);
}

static void test_who_is_asked_and_how_many_must_agree(void **state)
{
    (void)state;
    struct loaded loaded = load_text(STEPS("  - id: r\n    approve:\n      message: m\n      need: 2\n      to: [ann@example.com, Bob, \"3\"]\n"
                                           "      notify: {uses: slack/post@1, with: {all: \"${{ approval.urls }}\"}}\n"));
    const struct bw_step *step = &only(&loaded)->steps[1];
    assert_int_equal(step->votes_needed, 2);
    assert_int_equal(step->voter_count, 3);
    assert_slice(step->voters[0], "ann@example.com");
    assert_slice(step->voters[2], "3");
    unload(&loaded);
    loaded = load_text(STEPS("  - {id: r, approve: {message: m, need: 1}}\n"));
    assert_int_equal(only(&loaded)->steps[0].votes_needed, 1);
    unload(&loaded);
    refused_step("{message: m, need: 2}", "approve.need", 19); /* two decisions of whom? */
    refused_step("{message: m, need: 3, to: [a, b]}", "approve.need", 19);
    refused_step("{message: m, need: 0, to: [a, b]}", "approve.need", 19);
    refused_step("{message: m, need: all, to: [a, b]}", "approve.need", 19);
    refused_step("{message: m, to: []}", "approve.to", 17);
    refused_step("{message: m, to: ann}", "approve.to", 17);
    refused_step("{message: m, to: [a, 3]}", "approve.to", 21);
    refused_step("{message: m, to: [a, a]}", "approve.to", 21);
    refused_step("{message: m, to: [a, '']}", "approve.to", 21);
    refused_step("{message: m, to: ['${{ event.id }}']}", "expr.misplaced", 19);
    refused_step("{message: m, to: [a], notify: {lua: return 1, with: {u: '${{ approval.url }}'}}}", "expr.approval_url", 70);
}

/* Who notifies begins when the approval would have. */
static void test_the_notification_takes_over_what_the_approval_needs(void **state)
{
    (void)state;
    struct loaded loaded = load_text(STEPS("  - {id: a, set: {}}\n"
                                           "  - {id: b, needs: [], set: {}}\n"
                                           "  - {id: r, needs: [b], approve: {message: m, notify: {lua: 'return'}}}\n"
                                           "  - {id: s, approve: {message: m, notify: {lua: 'return'}}}\n"
                                           "  - parallel:\n"
                                           "      - {id: p, set: {}}\n"
                                           "      - {id: q, approve: {message: m, notify: {lua: 'return'}}}\n"));
    const struct bw_workflow *workflow = only(&loaded);
    const struct bw_step *steps = workflow->steps;
    assert_slice(steps[2].path, "r~notify");
    assert_int_equal(steps[2].need_count, 1);
    assert_int_equal(steps[2].needs[0], 1);
    assert_int_equal(steps[3].need_count, 1);
    assert_int_equal(steps[3].needs[0], 2);
    bool ends[8] = {false}; /* what s~notify waits for: all above, through r */
    for (size_t i = 0; i < steps[4].need_count; i++) ends[steps[4].needs[i]] = true;
    assert_true(ends[0] && ends[1] && ends[3]);
    assert_int_equal(steps[5].need_count, 1);
    assert_int_equal(steps[5].needs[0], 4);
    assert_slice(steps[8].path, "q~notify");
    assert_int_equal(steps[8].need_count, 0);
    assert_int_equal(steps[9].need_count, 1);
    assert_int_equal(steps[9].needs[0], 8);
    unload(&loaded);
}

static void test_a_catch_is_that_of_the_approval(void **state)
{
    (void)state;
    struct loaded loaded = load_text(STEPS("  - id: r\n"
                                           "    approve: {message: m, notify: {lua: 'return'}}\n"
                                           "    catch: [{steps: [{id: late, set: {}}]}]\n"));
    const struct bw_step *steps = only(&loaded)->steps;
    assert_int_equal(steps[0].kind, BW_STEP_TRY);
    assert_int_equal(bw_step_tried(steps, 0), 2);
    assert_false(bw_step_is_caught(steps, 1));
    assert_true(bw_step_is_caught(steps, 2));
    assert_int_equal(bw_step_owner(steps, 1), 2);
    assert_true(bw_step_has_notify(steps, 2));
    assert_int_equal(steps[0].end, 4);
    unload(&loaded);
}

static void test_without_a_timeout_it_waits_no_longer_than_the_run(void **state)
{
    (void)state;
    struct loaded loaded = load_text("name: t\non: [{manual: true}]\ntimeout: 1d\nsteps: [{id: r, approve: {message: m}}]\n");
    assert_int_equal(only(&loaded)->steps[0].wait_ms, 86400000LL);
    unload(&loaded);
    refused("name: t\non: [{manual: true}]\ntimeout: 1d\nsteps: [{id: r, approve: {message: m, timeout: 2d}}]\n", "step.too_long", 4, 9);
}

static void test_what_it_cannot_be(void **state)
{
    char long_message[BW_APPROVE_MESSAGE_MAX + 300];
    (void)state;
    refused_step("sure", "workflow.type", 0);
    refused_step("{choices: [a]}", "approve.message", 0);
    refused_step("{message: \"\"}", "approve.message", 10);
    refused_step("{message: 3}", "approve.message", 10);
    refused_step("{message: m, choices: []}", "approve.choices", 22);
    refused_step("{message: m, choices: a}", "approve.choices", 22);
    refused_step("{message: m, choices: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]}", "approve.choices", 22);
    refused_step("{message: m, choices: [yes, true]}", "approve.choices", 28);
    refused_step("{message: m, choices: [a, b, a]}", "approve.choices", 29);
    refused_step("{message: m, choices: [a, \"b\\nc\"]}", "approve.choices", 26);
    refused_step("{message: m, choices: [\"${{ 1 }}\"]}", "expr.misplaced", 24);
    refused_step("{message: m, timeout: soon}", "approve.timeout", 22);
    refused_step("{message: m, timeout: 400d}", "approve.timeout", 22);
    refused_step("{message: m, on_timeout: publish}", "approve.on_timeout", 25);
    refused_step("{message: m, choice: [a]}", "workflow.unknown_key", 13);
    refused_step("{message: m, form: [a]}", "approve.form", 19);
    refused_step("{message: m, form: {Days: {type: integer}}}", "approve.form", 20);
    refused_step("{message: m, form: {days: {type: integre}}}", "schema.invalid", 26);
    refused_step("{message: m, form: {days: {type: integer, default: x}}}", "schema.invalid", 26);
    refused_step("{message: m, form: {days: {type: array}}}", "approve.form", 26);
    refused_step("{message: m, form: {days: {enum: [[1]]}}}", "approve.form", 26);
    refused_step("{message: m, form: {days: {type: string, default: \"${{ event.id }}\"}}}", "expr.misplaced", 51);
    refused_step("{message: \"${{ secrets.X }}\"}", "expr.secret", 15);
    refused_step("{message: \"${{ approval.url }}\"}", "expr.approval_name", 15);
    refused_step("{message: m, notify: slack}", "workflow.type", 21);
    refused_step("{message: m, notify: {}}", "step.no_verb", 21);
    refused_step("{message: m, notify: {lua: 'return', id: x}}", "approve.notify", 37);
    refused_step("{message: m, notify: {lua: 'return', if: \"${{ true }}\"}}", "approve.notify", 37);
    refused_step("{message: m, notify: {lua: 'return', outputs: {a: 1}}}", "approve.notify", 37);
    refused_step("{message: m, notify: {uses: workflow/tell}}", "approve.notify", 28);
    refused_step("{message: m}, with: {a: 1}", "step.with", 20);
    refused_step("{message: m}, retry: {attempts: 2}", "step.no_attempts", 21);
    memset(long_message, 'm', sizeof long_message);
    memcpy(long_message, "name: t\non: [{manual: true}]\nsteps: [{id: r, approve: {message: ", 64);
    strcpy(long_message + sizeof long_message - 8, "}}]\n");
    refused(long_message, "approve.message", 3, 36);
}

/* A part of a step holds no steps, however deep somebody writes. */
static void test_a_notification_holds_no_steps(void **state)
{
    (void)state;
    struct loaded loaded =
        load_text(STEPS("  - id: r\n"
                        "    approve:\n"
                        "      message: m\n"
                        "      notify:\n"
                        "        approve: {message: n, notify: {approve: {message: o, notify: {approve: {message: p}}}}}\n"
                        "        parallel: [{id: a, set: {}}, {id: b, set: {}}, {id: c, set: {}}, {id: d, set: {}}, {id: e, set: {}}]\n"));
    assert_int_equal(loaded.count, 0);
    assert_error(&loaded.errs, 0, "approve.notify", 8, 9);
    assert_error(&loaded.errs, 1, "approve.notify", 9, 9);
    unload(&loaded);
}

static void test_what_is_used_is_checked_where_it_stands(void **state)
{
    (void)state;
    refused(STEPS("  - {id: r, approve: {message: m, notify: {lua: 'return', with: {a: \"${{ steps.later.x }}\"}}}}\n"
                  "  - {id: later, set: {}}\n"),
            "expr.step_order", 4, 80);
    refused(STEPS("  - {id: r, approve: {message: m}}\n"
                  "  - {id: s, set: {a: \"${{ approval.url }}\"}}\n"),
            "expr.approval_name", 5, 27);
    refused(STEPS("  - {id: r, needs: [nobody], approve: {message: m, notify: {lua: 'return'}}}\n"), "step.needs", 4, 21);
    refused(STEPS("  - {id: r, if: \"${{ approval }}\", approve: {message: m, notify: {lua: 'return'}}}\n"), "expr.approval_name", 4, 22);
    refused(STEPS("  - {id: f, foreach: [1], as: approval, steps: [{id: s, set: {}}]}\n"), "foreach.as", 4, 31);
}

static void test_what_is_asked_is_part_of_the_version(void **state)
{
    static const char *const differing[] = {"{message: m}",
                                            "{message: n}",
                                            "{message: m, choices: [approve, no]}",
                                            "{message: m, choices: [reject, approve]}",
                                            "{message: m, timeout: 6d}",
                                            "{message: m, on_timeout: reject}",
                                            "{message: m, form: {a: {type: string}}}",
                                            "{message: m, form: {a: {type: integer}}}",
                                            "{message: m, notify: {lua: 'return'}}",
                                            "{message: m, notify: {lua: 'return 1'}}"};
    uint8_t hashes[COUNT(differing)][32];
    (void)state;
    for (size_t i = 0; i < COUNT(differing); i++) {
        char text[300];
        snprintf(text, sizeof text, STEPS("  - {id: r, approve: %s}\n"), differing[i]);
        struct loaded loaded = load_text(text);
        memcpy(hashes[i], only(&loaded)->hash, 32);
        unload(&loaded);
        for (size_t k = 0; k < i; k++)
            if (!memcmp(hashes[i], hashes[k], 32)) fail_msg("%s is the version of %s", differing[i], differing[k]);
    }
    struct loaded loaded = load_text(STEPS("  - {id: r, approve: {timeout: 7d, on_timeout: fail, choices: [approve, reject], message: m}}\n"));
    assert_memory_equal(only(&loaded)->hash, hashes[0], 32); /* the defaults, written out */
    unload(&loaded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_everything_that_may_be_said),
        cmocka_unit_test(test_who_is_asked_and_how_many_must_agree),
        cmocka_unit_test(test_the_notification_takes_over_what_the_approval_needs),
        cmocka_unit_test(test_a_catch_is_that_of_the_approval),
        cmocka_unit_test(test_without_a_timeout_it_waits_no_longer_than_the_run),
        cmocka_unit_test(test_what_it_cannot_be),
        cmocka_unit_test(test_a_notification_holds_no_steps),
        cmocka_unit_test(test_what_is_used_is_checked_where_it_stands),
        cmocka_unit_test(test_what_is_asked_is_part_of_the_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
