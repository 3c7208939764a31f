/* `mocks` and `expect`: what a test answers for steps, and what it expects of the run. */
#include "trial/internal.h"
#include <string.h>

static json_t *read_error(const struct bw_trial_reader *reader, const struct bw_yaml_node *node)
{
    const struct bw_yaml_node *class = bw_yaml_get(node, "class"), *after = bw_yaml_get(node, "retry_after");
    int64_t after_ms = -1;
    if (!bw_trial_check_map(reader, node, "error", "code message class retry_after")) return NULL;
    if (class && !bw_slice_is(class->text, "transient") && !bw_slice_is(class->text, "permanent") && !bw_slice_is(class->text, "timeout") &&
        !bw_slice_is(class->text, "bug"))
        bw_trial_error(reader, class, "test.class", "only transient and timeout are tried again", "class is transient, permanent, timeout or bug");
    bw_trial_read_duration(reader, after, "retry_after", &after_ms);
    json_t *error = bw_trial_value(node);
    json_object_del(error, "retry_after");
    if (after) json_object_set_new(error, "retry_after_ms", json_integer(after_ms));
    return error;
}

static json_t *read_answer(const struct bw_trial_reader *reader, const struct bw_yaml_node *node)
{
    const struct bw_yaml_node *with = bw_yaml_get(node, "with"), *output = bw_yaml_get(node, "output"), *error = bw_yaml_get(node, "error");
    int64_t after_ms = 0;
    if (!bw_trial_check_map(reader, node, "a mock", "with output error after")) return NULL;
    json_t *answer = json_object();
    if (output && error) bw_trial_error(reader, error, "test.mock", NULL, "a mock gives an output or an error, not both");
    if (with && with->kind != BW_YAML_MAP) bw_trial_error(reader, with, "test.type", NULL, "with must be a map");
    if (output && output->kind != BW_YAML_MAP) bw_trial_error(reader, output, "test.type", NULL, "the output of a step is a map");
    bw_trial_read_duration(reader, bw_yaml_get(node, "after"), "after", &after_ms);
    if (with) json_object_set_new(answer, "with", bw_trial_value(with));
    if (output) json_object_set_new(answer, "output", bw_trial_value(output));
    if (error) json_object_set_new(answer, "error", read_error(reader, error));
    if (after_ms) json_object_set_new(answer, "after_ms", json_integer(after_ms));
    return answer;
}

void bw_trial_read_mocks(const struct bw_trial_reader *reader, const struct bw_yaml_node *node, json_t *mocks)
{
    if (node->kind != BW_YAML_MAP) {
        bw_trial_error(reader, node, "test.type", "write mocks: {STEP: {output: {…}}}", "mocks must be a map of steps, this is %s",
                       bw_yaml_kind_name(node->kind));
        return;
    }
    for (size_t i = 0; i < node->count; i++) {
        const struct bw_yaml_node *mock = node->pairs[i].value;
        json_t *answers = json_array();
        if (mock->kind != BW_YAML_LIST) json_array_append_new(answers, read_answer(reader, mock));
        for (size_t k = 0; mock->kind == BW_YAML_LIST && k < mock->count; k++) json_array_append_new(answers, read_answer(reader, mock->items[k]));
        if (mock->kind == BW_YAML_LIST && !mock->count) bw_trial_error(reader, mock, "test.mock", NULL, "a mock needs an answer");
        json_object_set_new(mocks, node->pairs[i].key->text.ptr, answers);
    }
}

/* ---- expect ---- */

static void check_state(const struct bw_trial_reader *reader, const struct bw_yaml_node *node, const char *known, const char *hint)
{
    char word[40];
    if (!node) return;
    size_t len = node->text.len;
    if (node->kind == BW_YAML_STRING && len && len < sizeof word - 2) {
        word[0] = ' ';
        memcpy(word + 1, node->text.ptr, len);
        memcpy(word + 1 + len, " ", 2);
        if (strstr(known, word)) return;
    }
    bw_trial_error(reader, node, "test.state", hint, "state is one of:%s", known);
}

void bw_trial_check_expect(const struct bw_trial_reader *reader, const struct bw_yaml_node *expect)
{
    int64_t ignored;
    if (!bw_trial_check_map(reader, expect, "expect", "state steps outputs emitted error took")) return;
    const struct bw_yaml_node *steps = bw_yaml_get(expect, "steps"), *emitted = bw_yaml_get(expect, "emitted"), *state = bw_yaml_get(expect, "state");
    check_state(reader, state, " succeeded failed cancelled skipped delayed blocked parked active none ",
                "none: no trigger wants the event, there is no run");
    bw_trial_read_duration(reader, bw_yaml_get(expect, "took"), "took", &ignored);
    if (steps && steps->kind != BW_YAML_MAP) {
        bw_trial_error(reader, steps, "test.type", NULL, "steps must be a map");
        return;
    }
    for (size_t i = 0; steps && i < steps->count; i++) {
        if (!bw_trial_check_map(reader, steps->pairs[i].value, "a step of expect", "state attempts with output error")) continue;
        check_state(reader, bw_yaml_get(steps->pairs[i].value, "state"), " succeeded failed cancelled skipped waiting retrying unknown none ",
                    "none: the run did not come to it");
    }
    if (emitted && emitted->kind != BW_YAML_LIST)
        bw_trial_error(reader, emitted, "test.type", NULL, "emitted must be a list of {event, data}");
    else
        for (size_t i = 0; emitted && i < emitted->count; i++) bw_trial_check_map(reader, emitted->items[i], "an event of emitted", "event data");
}
