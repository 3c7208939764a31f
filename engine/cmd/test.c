#include "base/log.h"
#include "base/units.h"
#include "cmd/options.h"
#include "cmd/setup.h"
#include "cmd/test_files.h"
#include "cmd/test_report.h"
#include "cmd/trace.h"
#include "serve/inspect.h"
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct testing {
    enum bw_test_format format;
    bool is_terminal;
    struct bw_trial_test **tests; /* those that were chosen */
    struct bw_test_verdict *verdicts;
    size_t count, reported;
    FILE *trace; /* of the test that runs */
    char *trace_text;
    size_t trace_len;
    int64_t trace_at_ms;
};

static void report_up_to(struct testing *testing, size_t end)
{
    for (; testing->reported < end; testing->reported++) {
        struct bw_test_verdict *verdict = &testing->verdicts[testing->reported];
        if (verdict->test->skip.len) verdict->state = BW_TEST_SKIPPED;
        bw_test_report_one(testing->format, verdict, testing->reported + 1, testing->is_terminal);
    }
}

static void on_loaded(void *arg, const json_t *loaded)
{
    struct bw_errors errs = {0};
    (void)arg;
    bw_inspect_errors(loaded, &errs); /* a workflow that does not load fails its tests; here is why */
    bw_print_errors(&errs, false);
    bw_errors_free(&errs);
}

static void on_begin(void *arg, const struct bw_trial_test *test)
{
    struct testing *testing = arg;
    (void)test;
    testing->trace_at_ms = 0;
    testing->trace = open_memstream(&testing->trace_text, &testing->trace_len);
}

static void on_trace(void *arg, const struct bw_message *message, int64_t at_ms)
{
    struct testing *testing = arg;
    char text[32];
    if (!testing->trace) return;
    if (at_ms != testing->trace_at_ms) fprintf(testing->trace, "  -- %s after the beginning\n", bw_duration_text(at_ms, text));
    testing->trace_at_ms = at_ms;
    bw_trace_print(testing->trace, message, false);
}

static void on_end(void *arg, const struct bw_trial_test *test, const struct bw_trial_result *result)
{
    struct testing *testing = arg;
    size_t index = testing->reported;
    while (index < testing->count && testing->tests[index] != test) index++;
    struct bw_test_verdict *verdict = &testing->verdicts[index];
    bw_test_verdict_set(verdict, result);
    if (testing->trace) fclose(testing->trace);
    testing->trace = NULL;
    if (verdict->state == BW_TEST_FAILED) bw_buf_append(&verdict->trace, testing->trace_text, testing->trace_len);
    free(testing->trace_text);
    testing->trace_text = NULL;
    report_up_to(testing, index + 1);
}

static bool choose(struct testing *testing, const struct bw_test_files *files, const char *filter)
{
    size_t total = 0;
    for (size_t i = 0; i < files->count; i++) total += files->items[i]->test_count;
    testing->tests = calloc(total + 1, sizeof *testing->tests);
    testing->verdicts = calloc(total + 1, sizeof *testing->verdicts);
    if (!testing->tests || !testing->verdicts) return false;
    for (size_t i = 0; i < files->count; i++)
        for (size_t k = 0; k < files->items[i]->test_count; k++) {
            struct bw_trial_test *test = &files->items[i]->tests[k];
            if (filter && fnmatch(filter, test->name.ptr, 0) != 0) continue;
            testing->verdicts[testing->count].test = test;
            testing->tests[testing->count++] = test;
        }
    return true;
}

static int run_tests(struct testing *testing, const struct bw_config *config)
{
    const struct bw_trial_handlers handlers = {testing, on_begin, on_trace, on_end, on_loaded};
    struct bw_error err;
    int status = 0;
    bw_test_report_begin(testing->format, testing->count);
    if (!bw_trial_run(config, testing->tests, testing->count, &handlers, &err)) {
        bw_print_error("test", &err);
        status = 1;
    }
    if (testing->trace) fclose(testing->trace); /* it ended in the middle of one */
    free(testing->trace_text);
    if (testing->format == BW_TEST_TAP && status)
        printf("Bail out! %s\n", err.message);
    else if (!status)
        report_up_to(testing, testing->count);
    bw_test_report_end(testing->format, testing->verdicts, testing->count);
    for (size_t i = 0; i < testing->count; i++)
        if (testing->verdicts[i].state != BW_TEST_PASSED && testing->verdicts[i].state != BW_TEST_SKIPPED) status = 1;
    return fflush(stdout) ? 1 : status;
}

static void list(const struct testing *testing)
{
    for (size_t i = 0; i < testing->count; i++) {
        const struct bw_trial_test *test = testing->tests[i];
        printf("%s:%d  %s: %s\n", test->file, test->node->line, test->workflow.ptr, test->name.ptr);
    }
}

static bool read_format(const char *name, bool as_json, enum bw_test_format *out)
{
    static const char *const names[] = {"pretty", "tap", "junit", "json"};
    *out = as_json ? BW_TEST_JSON : BW_TEST_PRETTY;
    for (int i = 0; name && i < 4; i++) {
        if (strcmp(names[i], name) != 0) continue;
        *out = (enum bw_test_format)i;
        return true;
    }
    return !name;
}

static int test_main(int argc, char **argv)
{
    const char *config_path = NULL, *format = NULL, *filter = NULL;
    bool as_json = false, is_listing = false, is_verbose = false;
    const struct bw_option options[] = {{.name = "config", .value = &config_path}, {.name = "format", .value = &format},
                                        {.name = "filter", .value = &filter},      {.name = "json", .flag = &as_json},
                                        {.name = "list", .flag = &is_listing},     {.name = "verbose", .flag = &is_verbose}};
    int first, status = bw_options_parse(&bw_command_test, argc, argv, options, sizeof options / sizeof *options, &first);
    struct testing testing = {.is_terminal = isatty(STDOUT_FILENO)};
    struct bw_test_files files = {0};
    struct bw_errors errs = {0};

    if (status >= 0) return status;
    if (!read_format(format, as_json, &testing.format))
        return bw_options_wrong(&bw_command_test, "--format is pretty, tap, junit or json, not '%s'", format);
    bw_log_setup(is_verbose ? BW_LOG_DEBUG : BW_LOG_ERROR, BW_LOG_TEXT, "test");
    struct bw_config *config = bw_config_load_without_secrets(config_path, &errs);
    if (config) {
        config->workers = 1; /* one test after the other: time is one for all of it */
        for (int i = first; i < argc; i++) bw_test_files_add(&files, argv[i], &errs);
        if (first == argc && !access(config->workflows, F_OK)) bw_test_files_add(&files, config->workflows, &errs);
    }
    status = 1;
    if (errs.count) {
        bw_print_errors(&errs, false);
        fprintf(stderr, "bellwire test: %zu error%s, no test was run\n", errs.count, errs.count == 1 ? "" : "s");
    } else if (!choose(&testing, &files, filter)) {
        fprintf(stderr, "bellwire test: out of memory\n");
    } else if (!testing.count) {
        fprintf(stderr, "bellwire test: there is no test%s; write one beside a workflow: NAME.test.yaml\n", filter ? " of such a name" : "");
    } else if (is_listing) {
        list(&testing);
        status = 0;
    } else {
        status = run_tests(&testing, config);
    }
    for (size_t i = 0; i < testing.count; i++) {
        bw_buf_free(&testing.verdicts[i].details);
        bw_buf_free(&testing.verdicts[i].trace);
    }
    free(testing.tests);
    free(testing.verdicts);
    bw_test_files_free(&files);
    bw_errors_free(&errs);
    bw_config_free(config);
    return status;
}

const struct bw_command bw_command_test = {
    .name = "test",
    .summary = "run the tests of workflows, without network and without waiting",
    .usage =
        "usage: bellwire test [FILE|FOLDER…] [--filter GLOB] [--format pretty|tap|junit|json] [--list] [--config FILE]\n\n"
        "Runs the tests in NAME.test.yaml files (default: those in the workflows folder) on the engine itself: an event comes in, steps that\n"
        "would leave this machine get the answers of `mocks`, the clock jumps over every wait, and what came of it is compared with `expect`.\n"
        "Secrets are not needed: each has the value secret-NAME. Exit status 0: all passed; 1: one failed, or a file is wrong; 2: wrong usage.\n\n"
        "  --filter GLOB    only tests whose name matches\n"
        "  --format FORMAT  pretty; tap (version 14); junit (XML); json (one object a test)\n"
        "  --json           as --format json\n"
        "  --list           name the tests, run none\n"
        "  --verbose        the engine's log on stderr\n\n"
        "a test file, workflows/hello.test.yaml:\n\n"
        "  tests:\n"
        "    - name: a push to main is announced\n"
        "      event: {name: github.push, data: {ref: refs/heads/main}}\n"
        "      mocks: {post: {output: {status: 202}}}\n"
        "      expect: {steps: {post: {with: {method: POST}}}}\n\n"
        "example: bellwire test --format tap workflows/hello.test.yaml\n",
    .run = test_main,
};
