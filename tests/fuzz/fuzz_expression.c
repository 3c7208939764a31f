/* expression: compiled, or refused with a place; what it gives is JSON or an error with a place, within its instructions and its memory.
 *
 * Input: the text between ${{ and }}. It stands in a workflow as people write it, as a value, inside of a text and as a condition, and is evaluated
 * twice with the same event: what can be evaluated gives the same both times. Time is libFuzzer's to judge: nothing of 100,000 instructions takes
 * seconds. */
#include "base/json_scan.h"
#include "fuzz.h"
#include "lua/internal.h"

#define FILE_NAME "fuzz.yaml"
#define EVENT                                                                                                                                  \
    "{\"n\":1,\"f\":1.5,\"big\":9007199254740993,\"s\":\"t\\u00e9\\n\",\"t\":true,\"nul\":null,\"list\":[3,1,null,2],\"empty\":[],\"obj\":{}," \
    "\"deep\":{\"z\":1,\"a\":{\"b\":[{\"c\":\"x\"}]}},\"commits\":[{\"message\":\"one\",\"n\":2},{\"message\":\"two\",\"n\":1}]}"
#define HEAD                                                                                                                            \
    "name: t\non: [{manual: true}]\nvars: {limit: 3}\nsecrets: [KEY]\nsteps:\n  - {id: before, set: {x: 5}}\n  - id: value\n    set:\n" \
    "      v: |-\n        ${{ "
#define LINE_OF_HEAD 10 /* where the first expression begins */
#define OTHERS "  - id: text\n    set:\n      v: |-\n        <${{ "
#define CONDITION "    if: |-\n        ${{ "
#define CONDITION_LINES 6
enum { BEFORE, VALUE, TEXT, STEPS };

static const struct bw_script_limits limits = {.memory_bytes = 32 << 20, .expr_instructions = 100000, .expr_bytes = 4 << 20, .slice_us = 2000};

/* As a block scalar: the lines of the expression are indented like its first one. */
static void write_expression(struct bw_slice expression, const char *behind, struct bw_buf *out)
{
    for (size_t i = 0; i < expression.len; i++) {
        bw_buf_append_char(out, expression.ptr[i]);
        if (expression.ptr[i] == '\n') bw_buf_append_text(out, "        ");
    }
    bw_buf_append_text(out, behind);
}

static void write_workflow(struct bw_slice expression, struct bw_buf *out)
{
    bw_buf_clear(out);
    bw_buf_append_text(out, HEAD);
    write_expression(expression, " }}\n", out);
    bw_buf_append_text(out, OTHERS);
    write_expression(expression, " }}>\n", out);
    bw_buf_append_text(out, CONDITION);
    write_expression(expression, " }}\n", out);
}

static void check_errors(const struct bw_errors *errs, int lines)
{
    fuzz_check(errs->count, "neither a script nor an error");
    for (size_t i = 0; i < errs->count; i++) {
        const struct bw_error *err = &errs->items[i];
        if (!strcmp(err->code, "too_many_errors")) continue; /* of the others, which have their places */
        fuzz_check(*err->code && *err->message && !strcmp(err->file, FILE_NAME) && err->line >= 1 && err->line <= lines, "%s at %s:%d: %s", err->code,
                   err->file, err->line, err->message);
    }
}

static void check_failure(const struct bw_error *err, int lines)
{
    fuzz_check(*err->code && *err->message && !strcmp(err->file, FILE_NAME) && err->line >= LINE_OF_HEAD && err->line <= lines, "%s at %s:%d: %s",
               err->code, err->file, err->line, err->message);
}

static void check_state(const struct bw_script *script)
{
    fuzz_check(lua_gettop(script->L) == 0, "%d values are left on the stack", lua_gettop(script->L));
    fuzz_check(script->memory.used <= limits.memory_bytes, "%zu bytes", script->memory.used);
}

static bool render(struct bw_script *script, const struct bw_template *template_, int lines, struct bw_buf *out)
{
    struct bw_error err = {0};
    struct bw_json_fault fault = {0};
    bool good = bw_script_render(script, template_, &(struct bw_render){0}, out, &err);
    check_state(script);
    if (good) {
        fuzz_check(bw_json_scan(bw_buf_slice(out), NULL, NULL, &fault), "%s at %zu of %.*s", fault.reason, fault.offset, (int)out->len, out->data);
    } else {
        check_failure(&err, lines);
        fuzz_check(!out->len, "half a value is left behind: %s", out->data);
    }
    return good;
}

static void check_template(struct bw_script *script, const struct bw_template *template_, int lines)
{
    struct bw_buf first = {0}, second = {0};
    bool good = render(script, template_, lines, &first);
    if (render(script, template_, lines, &second) && good)
        fuzz_check(bw_slice_equal(bw_buf_slice(&first), bw_buf_slice(&second)), "%s, and then %s", first.data, second.data);
    bw_buf_free(&first);
    bw_buf_free(&second);
}

static void check_condition(struct bw_script *script, uint32_t expr, int lines)
{
    struct bw_error err = {0};
    bool first = false, second = false;
    bool good = bw_script_condition(script, expr, &first, &err);
    check_state(script);
    if (!good) check_failure(&err, lines);
    if (bw_script_condition(script, expr, &second, NULL) && good) fuzz_check(first == second, "%d, and then %d", first, second);
}

static void check_script(struct bw_script *script, const struct bw_workflow *workflow, int lines)
{
    const struct bw_run_scope scope = {.event_body = BW_SLICE(EVENT),
                                       .body_is_json = true,
                                       .event_headers = BW_SLICE("{\"x-a\":\"b\"}"),
                                       .event_id = BW_SLICE("evt_1"),
                                       .event_name = BW_SLICE("github.push"),
                                       .event_source = BW_SLICE("github"),
                                       .run_id = BW_SLICE("run_1")};
    struct bw_error err = {0};
    bw_script_begin_run(script, &scope);
    fuzz_check(bw_script_set_step(script, BEFORE, BW_STATUS_SUCCEEDED, BW_SLICE("{\"x\":5}"), (struct bw_slice){0}, &err), "%s", err.message);
    check_template(script, workflow->steps[VALUE].set, lines);
    check_template(script, workflow->steps[TEXT].set, lines);
    check_condition(script, (uint32_t)workflow->steps[TEXT].condition, lines);
    bw_script_end_run(script);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct bw_buf text;
    struct bw_workflow **workflows;
    struct bw_errors errs = {0};
    int breaks = 0;
    write_workflow(fuzz_input(data, size), &text);
    for (size_t i = 0; i < size; i++)
        breaks += data[i] == '\n' || data[i] == '\r' || data[i] == 0xc2 || data[i] == 0xe2; /* YAML's line ends, and more */
    int lines = LINE_OF_HEAD + CONDITION_LINES + 1 + 3 * breaks;
    size_t count = bw_workflow_load(bw_buf_slice(&text), FILE_NAME, &workflows, &errs);
    struct bw_script *script = count ? bw_script_new(workflows[0], NULL, &limits, &errs) : NULL;
    if (!script) check_errors(&errs, lines);
    /* A line end that YAML knows and this file does not may have made something else of it. */
    const struct bw_workflow *workflow = count ? workflows[0] : NULL;
    if (script && workflow->step_count == STEPS && workflow->steps[VALUE].set && workflow->steps[TEXT].set && workflow->steps[TEXT].condition >= 0)
        check_script(script, workflow, lines);
    bw_script_free(script);
    for (size_t i = 0; i < count; i++) bw_workflow_free(workflows[i]);
    free(workflows);
    bw_errors_free(&errs);
    return 0;
}
