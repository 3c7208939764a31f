/* Which steps begin when: blocks, `needs`, steps side by side. The steps are calls of a plugin that this test plays, so that it decides when each
 * ends. */
#include "fake_engine.h"

#define HEAD "name: w\non: [{event: app.ping}]\n"
#define PLUGIN \
    "{\"actions\":[{\"name\":\"my/call\",\"version\":\"1.0.0\",\"doc\":\"is answered by the test\",\"inputs\":{\"n\":{\"type\":\"integer\"}}}]}"

static void begin(struct engine *engine, const char *steps)
{
    char *workflow = NULL;
    engine_start(engine);
    assert_true(asprintf(&workflow, HEAD "%s", steps) > 0);
    engine_load_good(engine, "plugin", PLUGIN, "workflow", workflow, NULL);
    free(workflow);
    engine_event(engine, "{\"kind\":\"big\",\"yes\":true,\"n\":2.5}");
}

struct open_call {
    int64_t call;
    char step[40];
};
/* The next call; reports before it are committed. */
static struct open_call next_call(struct engine *engine)
{
    struct open_call call = {0};
    for (;;) {
        const struct answer *answer = engine_poll(engine, PATIENCE_MS);
        if (!answer) fail_msg("no call came");
        if (answer->type == BW_MSG_REPORT) {
            assert_true(json_is_true(json_object_get(answer->head, "ack")));
            engine_commit(engine, number(answer->head, "report"));
            continue;
        }
        assert_int_equal(answer->type, BW_MSG_CALL);
        call.call = number(answer->head, "call");
        snprintf(call.step, sizeof call.step, "%s", text(answer->head, "step"));
        return call;
    }
}
static void assert_call(struct open_call call, const char *step)
{
    assert_string_equal(call.step, step);
}
static void answer_ok(struct engine *engine, struct open_call call)
{
    struct bw_slice part = BW_SLICE("{\"done\":true}");
    engine_send(engine, BW_MSG_CALL_RESULT, &part, 1, "{\"call\":%lld,\"outcome\":\"ok\",\"output_part\":0}", (long long)call.call);
}
static void answer_fail(struct engine *engine, struct open_call call)
{
    engine_send(engine, BW_MSG_CALL_RESULT, NULL, 0, "{\"call\":%lld,\"outcome\":\"fail\",\"error\":{\"code\":\"no\",\"message\":\"no\"}}",
                (long long)call.call);
}
/* The state that the last report says of this step; -1: nothing. */
static int state_of(const json_t *run, const char *path)
{
    size_t index;
    json_t *step;
    json_array_foreach(json_object_get(run, "steps"), index, step) if (!strcmp(text(step, "path"), path)) return (int)number(step, "state");
    return -1;
}

/* Only pure steps: the one report tells which ran. */
static void assert_branches(const char *steps, const char *ran, const char *skipped)
{
    struct engine engine;
    char names[200];
    begin(&engine, steps);
    const json_t *run = only_run(&engine, SUCCEEDED);
    snprintf(names, sizeof names, "%s", ran);
    for (char *save, *name = strtok_r(names, " ", &save); name; name = strtok_r(NULL, " ", &save)) assert_int_equal(state_of(run, name), SUCCEEDED);
    snprintf(names, sizeof names, "%s", skipped);
    for (char *save, *name = strtok_r(names, " ", &save); name; name = strtok_r(NULL, " ", &save)) assert_int_equal(state_of(run, name), SKIPPED);
    assert_int_equal(state_of(run, "#1"), -1); /* what a block decides needs no row */
    engine_stop(&engine);
}

static void test_an_if_runs_one_of_its_lists(void **state)
{
    (void)state;
    assert_branches("steps: [{if: event.data.yes, steps: [{id: a, set: {}}, {id: b, set: {}}], else: [{id: c, set: {}}]}, {id: d, set: {}}]\n",
                    "a b d", "c");
    assert_branches("steps: [{if: not event.data.yes, steps: [{id: a, set: {}}], else: [{id: c, set: {}}]}, {id: d, set: {}}]\n", "c d", "a");
    assert_branches("steps: [{if: false, steps: [{if: true, steps: [{id: a, set: {}}]}]}, {id: d, set: {}}]\n", "d", "a");
}

static void test_a_switch_compares_texts_as_they_are_and_the_rest_as_json(void **state)
{
    (void)state;
#define CASES \
    "cases: {big: [{id: a, set: {}}], true: [{id: b, set: {}}], 2.5: [{id: c, set: {}}], null: [{id: d, set: {}}]}, default: [{id: e, set: {}}]}]\n"
    assert_branches("steps: [{switch: event.data.kind, " CASES, "a", "b c d e");
    assert_branches("steps: [{switch: \"${{ event.data.yes }}\", " CASES, "b", "a c d e");
    assert_branches("steps: [{switch: event.data.n, " CASES, "c", "a b d e");
    assert_branches("steps: [{switch: event.data.nothing, " CASES, "d", "a b c e");
    assert_branches("steps: [{switch: '\"small\"', " CASES, "e", "a b c d");
    assert_branches("steps: [{switch: '\"big\"', if: false, " CASES, "", "a b c d e");
}

static void test_a_block_tells_its_name_whether_it_ran(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, "steps:\n"
                   "  - {id: yes, if: true, steps: [{id: a, set: {}}]}\n"
                   "  - {id: no, if: false, steps: [{id: b, set: {}}]}\n"
                   "  - {id: say, set: {yes: \"${{ ok('yes') }}\", no: \"${{ status('no') }}\", b: \"${{ steps.b.x or 'none' }}\"}}\n"
                   "outputs: {say: \"${{ steps.say }}\"}\n");
    const json_t *run = only_run(&engine, SUCCEEDED);
    assert_string_equal(output(&engine.answer, run), "{\"say\":{\"yes\":true,\"no\":\"skipped\",\"b\":\"none\"}}");
    engine_stop(&engine);
}

static void test_a_block_that_cannot_decide_fails_the_run(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, "steps: [{if: event.data.kind, steps: [{id: a, set: {}}]}, {id: b, set: {}}]\n");
    const json_t *run = only_run(&engine, FAILED);
    assert_string_equal(code_of(run), "expr.not_boolean");
    assert_string_equal(text(json_object_get(run, "error"), "step"), "#1");
    assert_int_equal(state_of(run, "#1"), FAILED);
    assert_int_equal(state_of(run, "b"), -1);
    engine_stop(&engine);
}

static void test_steps_of_parallel_are_under_way_together(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, "steps: [{parallel: [{id: a, uses: my/call@1}, {id: b, uses: my/call@1}]}, {id: c, uses: my/call@1}]\n");
    struct open_call a = next_call(&engine), b = next_call(&engine);
    assert_call(a, "a");
    assert_call(b, "b");
    answer_ok(&engine, b);
    answer_ok(&engine, a);
    struct open_call c = next_call(&engine); /* behind both */
    assert_call(c, "c");
    answer_ok(&engine, c);
    only_run(&engine, SUCCEEDED);
    engine_stop(&engine);
}

static void test_lua_steps_side_by_side_keep_apart(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, "steps:\n"
                   "  - parallel:\n"
                   "      - {id: a, lua: \"for i = 1, 50 do pcall(error) ctx.sleep(0.001) end return {n = input.n}\", with: {n: 1}}\n"
                   "      - {id: b, lua: \"for i = 1, 50 do pcall(function() ctx.sleep(0.001) end) end return {n = input.n}\", with: {n: 2}}\n"
                   "outputs: {a: \"${{ steps.a.n }}\", b: \"${{ steps.b.n }}\"}\n");
    const json_t *run = only_run(&engine, SUCCEEDED);
    assert_string_equal(output(&engine.answer, run), "{\"a\":1,\"b\":2}");
    engine_stop(&engine);
}

static void test_a_step_with_needs_waits_only_for_those(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, "steps: [{id: a, uses: my/call@1}, {id: b, needs: [], uses: my/call@1}, {id: c, needs: [b], uses: my/call@1},\n"
                   "        {id: d, uses: my/call@1}]\n");
    struct open_call a = next_call(&engine), b = next_call(&engine);
    assert_call(a, "a");
    assert_call(b, "b");
    answer_ok(&engine, b);
    struct open_call c = next_call(&engine);
    assert_call(c, "c"); /* a is still under way */
    answer_ok(&engine, c);
    answer_ok(&engine, a);
    struct open_call d = next_call(&engine);
    assert_call(d, "d");
    answer_ok(&engine, d);
    only_run(&engine, SUCCEEDED);
    engine_stop(&engine);
}

static void test_when_a_step_fails_those_beside_it_end_and_nothing_begins(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, "steps: [{parallel: [{id: a, uses: my/call@1}, {id: b, uses: my/call@1, retry: {on: any}}]}, {id: c, uses: my/call@1}]\n");
    struct open_call a = next_call(&engine), b = next_call(&engine);
    answer_fail(&engine, a);
    answer_ok(&engine, b);
    const json_t *run = only_run(&engine, FAILED);
    assert_string_equal(text(json_object_get(run, "error"), "step"), "a");
    assert_int_equal(state_of(run, "a"), FAILED);
    assert_int_equal(state_of(run, "b"), SUCCEEDED);
    assert_int_equal(state_of(run, "c"), -1);
    engine_stop(&engine);
}

static void test_with_fail_fast_those_beside_it_are_cancelled(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, "fail_fast: true\nsteps: [{parallel: [{id: a, uses: my/call@1}, {id: b, uses: my/call@1}]}]\n");
    struct open_call a = next_call(&engine), b = next_call(&engine);
    answer_fail(&engine, a);
    assert_int_equal(number(engine_next(&engine, BW_MSG_CALL_CANCEL)->head, "call"), b.call);
    answer_fail(&engine, b);
    const json_t *run = only_run(&engine, FAILED);
    assert_int_equal(state_of(run, "b"), 22);
    engine_stop(&engine);
}

static void test_a_stop_beside_other_steps_lets_them_end(void **state)
{
    (void)state;
    struct engine engine;
    begin(&engine, "steps: [{parallel: [{id: a, uses: my/call@1}, {id: b, stop: {as: skipped}}]}, {id: c, uses: my/call@1}]\n");
    struct open_call a = next_call(&engine);
    answer_ok(&engine, a);
    const json_t *run = only_run(&engine, SKIPPED);
    assert_int_equal(state_of(run, "a"), SUCCEEDED);
    assert_int_equal(state_of(run, "c"), -1);
    engine_stop(&engine);
}

static void answer_retry(struct engine *engine, struct open_call call)
{
    engine_send(engine, BW_MSG_CALL_RESULT, NULL, 0, "{\"call\":%lld,\"outcome\":\"retry\",\"error\":{\"code\":\"busy\",\"message\":\"m\"}}",
                (long long)call.call);
}

/* It was recorded as one that had failed, and after a crash the step had one attempt more than it may. */
static void test_an_attempt_that_is_under_way_is_not_recorded_with_the_failure_of_another_step(void **state)
{
    struct engine engine;
    (void)state;
    begin(&engine, "steps:\n  - parallel:\n      - {id: a, uses: my/call@1, retry: {attempts: 2, delay: 1ms}}\n"
                   "      - {id: b, uses: my/call@1, retry: {attempts: 2, delay: 1500ms, jitter: 0}}\n");
    struct open_call a = next_call(&engine), b = next_call(&engine);
    answer_retry(&engine, a);
    a = next_call(&engine);
    assert_call(a, "a");
    answer_retry(&engine, b);
    const struct answer *report = engine_next(&engine, BW_MSG_REPORT);
    const json_t *run = run_at(report, 0);
    assert_int_equal(state_of(run, "a"), RETRYING);
    assert_int_equal(state_of(run, "b"), RETRYING);
    for (size_t i = 0; i < 2; i++) assert_int_equal(number(json_array_get(json_object_get(run, "steps"), i), "attempt"), 1);
    answer_ok(&engine, a);
    engine_stop(&engine);
}

static void test_at_most_32_steps_of_a_run_are_under_way(void **state)
{
    (void)state;
    struct engine engine;
    struct open_call calls[40];
    struct bw_buf steps = {0};
    bw_buf_append_text(&steps, "steps:\n  - parallel:\n");
    for (int i = 0; i < 40; i++) bw_buf_printf(&steps, "      - {id: s%d, uses: my/call@1}\n", i);
    begin(&engine, steps.data);
    for (int i = 0; i < 32; i++) calls[i] = next_call(&engine);
    for (int i = 32; i < 40; i++) {
        answer_ok(&engine, calls[i - 32]);
        calls[i] = next_call(&engine); /* each answer makes room for exactly one */
        assert_int_equal(atoi(calls[i].step + 1), i);
        assert_null(engine_poll(&engine, 0));
    }
    for (int i = 8; i < 40; i++) answer_ok(&engine, calls[i]);
    only_run(&engine, SUCCEEDED);
    bw_buf_free(&steps);
    engine_stop(&engine);
}

/* After a crash the block takes the branch that it took, and what is recorded inside of it is not run again. */
static void test_a_recovered_run_goes_on_inside_its_block(void **state)
{
    (void)state;
    struct engine engine;
    char more[400];
    const struct bw_slice recorded = BW_SLICE("{\"n\":41}");
    engine_start(&engine);
    engine_load_good(&engine, "plugin", PLUGIN, "workflow",
                     HEAD
                     "steps: [{if: event.data.yes, steps: [{id: a, uses: my/call@1}, {id: b, uses: my/call@1, with: {n: \"${{ steps.a.n }}\"}}],\n"
                     "         else: [{id: c, uses: my/call@1}]}]\n",
                     NULL);
    snprintf(more, sizeof more,
             ",\"runs\":[{\"uid\":\"%s\",\"state\":2,\"lost\":0,\"steps\":[{\"path\":\"a\",\"state\":20,\"attempt\":1,\"output_part\":2}]}]",
             run_of("w"));
    engine_event_with(&engine, "{\"yes\":true}", more, &recorded, 1);
    struct open_call b = next_call(&engine);
    assert_call(b, "b");
    assert_int_equal(engine.answer.part_count, 1);
    assert_true(bw_slice_is(engine.answer.parts[0], "{\"n\":41}"));
    answer_ok(&engine, b);
    assert_int_equal(state_of(only_run(&engine, SUCCEEDED), "c"), SKIPPED);
    engine_stop(&engine);
}

/* ---- property 16: a step begins after all that it needs has ended, and as soon as that is so ---- */

#define NODES_MAX 64
struct node {
    int parent, first_above;              /* first_above: where its list begins */
    bool is_block, is_parallel, is_other; /* is_other: the branch that is not taken */
    bool has_needs, needs[NODES_MAX];
    int state; /* 0, 1 = under way, 2 = ended */
};
struct graph {
    struct node nodes[NODES_MAX];
    int count;
    unsigned seed;
    struct bw_buf text;
};

static unsigned draw(struct graph *graph, unsigned below)
{
    graph->seed = graph->seed * 1103515245u + 12345u;
    return (graph->seed >> 16) % below;
}

static void make_list(struct graph *graph, int parent, int depth, bool is_parallel, bool is_other)
{
    int first = graph->count, length = 1 + (int)draw(graph, 4);
    bw_buf_append_char(&graph->text, '[');
    for (int i = 0; i < length && (!i || graph->count < 40); i++) {
        int index = graph->count++;
        struct node *node = &graph->nodes[index];
        *node = (struct node){.parent = parent, .first_above = first, .is_other = is_other};
        bw_buf_printf(&graph->text, "%s{id: s%d", i ? ", " : "", index);
        if (index && !draw(graph, 3)) { /* needs: some of those in front of it that are no block around it */
            node->has_needs = true;
            bw_buf_append_text(&graph->text, ", needs: [");
            bool is_first = true;
            for (int k = 0; k < index; k++) {
                bool is_around = false;
                for (int up = parent; up >= 0; up = graph->nodes[up].parent) is_around |= up == k;
                if (is_around || draw(graph, 4)) continue;
                node->needs[k] = true;
                bw_buf_printf(&graph->text, "%ss%d", is_first ? "" : ", ", k);
                is_first = false;
            }
            bw_buf_append_char(&graph->text, ']');
        } else if (!is_parallel) {
            for (int k = first; k < index; k++) node->needs[k] = graph->nodes[k].parent == parent;
        }
        unsigned kind = depth < 3 ? draw(graph, 5) : 4;
        node->is_block = kind < 2;
        if (kind == 0) {
            bw_buf_append_text(&graph->text, ", parallel: ");
            make_list(graph, index, depth + 1, true, is_other);
        } else if (kind == 1) {
            bool answer = draw(graph, 2);
            bw_buf_printf(&graph->text, ", if: %s, steps: ", answer ? "true" : "false");
            make_list(graph, index, depth + 1, false, is_other || !answer);
            bw_buf_append_text(&graph->text, ", else: ");
            make_list(graph, index, depth + 1, false, is_other || answer);
        } else {
            bw_buf_append_text(&graph->text, ", uses: my/call@1");
        }
        bw_buf_append_char(&graph->text, '}');
    }
    bw_buf_append_char(&graph->text, ']');
}

static bool has_begun(const struct graph *graph, int index);
static bool node_ended(const struct graph *graph, int index)
{
    const struct node *node = &graph->nodes[index];
    if (!node->is_block) return node->state == 2 || (node->is_other && node->parent >= 0 && has_begun(graph, node->parent));
    if (!has_begun(graph, index)) return false;
    for (int i = index + 1; i < graph->count; i++)
        if (graph->nodes[i].parent == index && !node_ended(graph, i)) return false;
    return true;
}
static bool has_begun(const struct graph *graph, int index)
{
    const struct node *node = &graph->nodes[index];
    if (node->is_other && node->parent >= 0 && graph->nodes[node->parent].is_other) return has_begun(graph, node->parent); /* skipped with it */
    if (node->is_other) return has_begun(graph, node->parent);
    if (node->parent >= 0 && !has_begun(graph, node->parent)) return false;
    for (int i = 0; i < index; i++)
        if (node->needs[i] && !node_ended(graph, i)) return false;
    return true;
}

static void run_graph(unsigned seed)
{
    static struct graph graph;
    struct engine engine;
    struct open_call calls[NODES_MAX];
    int open = 0, expected, done = 0;
    graph = (struct graph){.seed = seed};
    bw_buf_append_text(&graph.text, "steps: ");
    make_list(&graph, -1, 0, false, false);
    bw_buf_append_char(&graph.text, '\n');
    begin(&engine, graph.text.data);
    for (;;) {
        expected = 0;
        for (int i = 0; i < graph.count; i++) {
            const struct node *node = &graph.nodes[i];
            expected += !node->is_block && !node->is_other && node->state < 2 && has_begun(&graph, i);
        }
        while (open < expected) {
            calls[open] = next_call(&engine);
            int index = atoi(calls[open++].step + 1);
            if (!has_begun(&graph, index) || graph.nodes[index].state || graph.nodes[index].is_other)
                fail_msg("seed %u: s%d must not begin now in\n%s", seed, index, graph.text.data);
            graph.nodes[index].state = 1;
        }
        if (!open) break;
        int chosen = (int)draw(&graph, (unsigned)open);
        answer_ok(&engine, calls[chosen]);
        graph.nodes[atoi(calls[chosen].step + 1)].state = 2;
        calls[chosen] = calls[--open];
        done++;
    }
    const struct answer *report = engine_next(&engine, BW_MSG_REPORT);
    if (number(run_at(report, 0), "state") != SUCCEEDED) fail_msg("seed %u: not all has run in\n%s", seed, graph.text.data);
    bw_buf_free(&graph.text);
    engine_stop(&engine);
}

static void test_a_step_begins_when_its_needs_have_ended_and_not_before(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 60; seed++) run_graph(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_if_runs_one_of_its_lists),
        cmocka_unit_test(test_a_switch_compares_texts_as_they_are_and_the_rest_as_json),
        cmocka_unit_test(test_a_block_tells_its_name_whether_it_ran),
        cmocka_unit_test(test_a_block_that_cannot_decide_fails_the_run),
        cmocka_unit_test(test_steps_of_parallel_are_under_way_together),
        cmocka_unit_test(test_lua_steps_side_by_side_keep_apart),
        cmocka_unit_test(test_a_step_with_needs_waits_only_for_those),
        cmocka_unit_test(test_when_a_step_fails_those_beside_it_end_and_nothing_begins),
        cmocka_unit_test(test_with_fail_fast_those_beside_it_are_cancelled),
        cmocka_unit_test(test_a_stop_beside_other_steps_lets_them_end),
        cmocka_unit_test(test_an_attempt_that_is_under_way_is_not_recorded_with_the_failure_of_another_step),
        cmocka_unit_test(test_at_most_32_steps_of_a_run_are_under_way),
        cmocka_unit_test(test_a_recovered_run_goes_on_inside_its_block),
        cmocka_unit_test(test_a_step_begins_when_its_needs_have_ended_and_not_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
