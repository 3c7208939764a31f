/* Expected against got. */
#include "base/units.h"
#include "trial/internal.h"
#include <stdio.h>
#include <string.h>

static void cut(struct bw_buf *text, char *out, size_t size)
{
    snprintf(out, size, "%s", text->len ? text->data : "nothing");
    if (text->len >= size) memcpy(out + size - 4, "...", 4);
    bw_buf_free(text);
}

static void add(struct bw_trial_result *result, const struct bw_yaml_node *at, const char *what, struct bw_buf *expected, struct bw_buf *got)
{
    if (result->count == BW_TRIAL_MISMATCHES_MAX) {
        result->dropped++;
        bw_buf_free(expected);
        bw_buf_free(got);
        return;
    }
    struct bw_trial_mismatch *mismatch = &result->mismatches[result->count++];
    *mismatch = (struct bw_trial_mismatch){.line = at ? at->line : 0, .column = at ? at->column : 0};
    snprintf(mismatch->what, sizeof mismatch->what, "%s", what);
    cut(expected, mismatch->expected, sizeof mismatch->expected);
    cut(got, mismatch->got, sizeof mismatch->got);
}

static bool is_nothing(const json_t *got)
{
    return !got || json_is_null(got);
}

static bool is_equal(const struct bw_yaml_node *expected, const json_t *got)
{
    switch (expected->kind) {
    case BW_YAML_NULL: return is_nothing(got);
    case BW_YAML_BOOL: return json_is_boolean(got) && json_is_true(got) == expected->boolean;
    case BW_YAML_INT:
        return json_is_integer(got) ? json_integer_value(got) == expected->integer
                                    : json_is_real(got) && json_real_value(got) == (double)expected->integer;
    case BW_YAML_REAL: return json_is_number(got) && json_number_value(got) == expected->real;
    case BW_YAML_STRING: return json_is_string(got) && bw_slice_equal(expected->text, bw_json_slice((json_t *)got));
    case BW_YAML_LIST: /* Lua writes {} for both */
        return json_array_size(got) == expected->count && (json_is_array(got) || (!expected->count && json_is_object(got) && !json_object_size(got)));
    case BW_YAML_MAP: return json_is_object(got) || (!expected->count && json_is_array(got) && !json_array_size(got));
    }
    return false;
}

void bw_trial_match(const struct bw_yaml_node *expected, const json_t *got, const char *what, struct bw_trial_result *result)
{
    struct bw_buf wanted = {0}, is = {0};
    char path[200];
    if (!is_equal(expected, got)) {
        bw_yaml_to_json(expected, &wanted);
        if (got) bw_json_append(&is, got);
        add(result, expected, what, &wanted, &is);
        return;
    }
    for (size_t i = 0; expected->kind == BW_YAML_MAP && i < expected->count; i++) {
        const char *key = expected->pairs[i].key->text.ptr;
        snprintf(path, sizeof path, "%s.%s", what, key);
        bw_trial_match(expected->pairs[i].value, json_object_get(got, key), path, result);
    }
    for (size_t i = 0; expected->kind == BW_YAML_LIST && i < expected->count; i++) {
        snprintf(path, sizeof path, "%s[%zu]", what, i + 1);
        bw_trial_match(expected->items[i], json_array_get(got, i), path, result);
    }
}

/* With the failure that explains it. */
static void judge_state(const struct bw_trial_test *test, struct bw_trial_result *result)
{
    const struct bw_yaml_node *node = bw_yaml_get(test->expect, "state");
    const json_t *error = json_object_get(result->outcome, "error");
    const char *state = bw_json_str(result->outcome, "state", "none");
    struct bw_buf wanted = {0}, is = {0};
    const char *expected = node ? node->text.ptr : bw_yaml_get(test->expect, "error") ? "failed" : "succeeded";
    if (!strcmp(expected, state)) return;
    bw_buf_append_text(&wanted, expected);
    bw_buf_append_text(&is, state);
    if (error) bw_buf_printf(&is, ": %s [%s]", bw_json_str(error, "message", ""), bw_json_str(error, "code", ""));
    if (!strcmp(state, "none")) bw_buf_append_text(&is, ": no trigger of the workflow wants the event");
    add(result, node ? node : test->expect ? test->expect : test->node, "state", &wanted, &is);
}

static void judge_took(const struct bw_yaml_node *node, struct bw_trial_result *result)
{
    int64_t expected_ms = 0, took_ms = bw_json_int(result->outcome, "took", -1);
    struct bw_buf wanted = {0}, is = {0};
    char text[32];
    if (!node || !bw_duration_parse(node->text, &expected_ms, NULL) || expected_ms == took_ms) return;
    bw_buf_append_slice(&wanted, node->text);
    if (took_ms >= 0) bw_buf_append_text(&is, bw_duration_text(took_ms, text));
    add(result, node, "took", &wanted, &is);
}

/* What a sensitive step gave may be asked for, and is not told. */
static void hide_outputs(struct bw_trial_result *result, size_t from, const char *step)
{
    char output[180];
    size_t len = (size_t)snprintf(output, sizeof output, "%s.output", step);
    for (size_t i = from; i < result->count; i++)
        if (!strncmp(result->mismatches[i].what, output, len)) snprintf(result->mismatches[i].got, sizeof result->mismatches[i].got, "(sensitive)");
}

void bw_trial_judge(const struct bw_trial_test *test, struct bw_trial_result *result)
{
    static const char *const plain[] = {"outputs", "error", "emitted"};
    const struct bw_yaml_node *steps = bw_yaml_get(test->expect, "steps");
    judge_state(test, result);
    for (size_t i = 0; steps && i < steps->count; i++) {
        const char *name = steps->pairs[i].key->text.ptr;
        char what[160];
        json_t *none = json_pack("{s:s}", "state", "none"), *got = json_object_get(json_object_get(result->outcome, "steps"), name);
        snprintf(what, sizeof what, "steps.%s", name);
        size_t before = result->count;
        bw_trial_match(steps->pairs[i].value, got ? got : none, what, result);
        if (bw_json_bool(got, "sensitive", false)) hide_outputs(result, before, what);
        json_decref(none);
    }
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        const struct bw_yaml_node *node = bw_yaml_get(test->expect, plain[i]);
        if (node) bw_trial_match(node, json_object_get(result->outcome, plain[i]), plain[i], result);
    }
    judge_took(bw_yaml_get(test->expect, "took"), result);
}
