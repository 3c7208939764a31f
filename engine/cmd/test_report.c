#include "cmd/test_report.h"
#include "base/units.h"
#include "cmd/setup.h"
#include <stdio.h>
#include <string.h>

static const char *const state_names[] = {"not_run", "passed", "failed", "skipped"};

void bw_test_verdict_set(struct bw_test_verdict *verdict, const struct bw_trial_result *result)
{
    struct bw_buf *out = &verdict->details;
    char text[1400];
    verdict->took_us = result->took_us;
    verdict->state = bw_trial_passed(result) ? BW_TEST_PASSED : BW_TEST_FAILED;
    if (result->error.code[0]) bw_buf_printf(out, "%s\n", bw_error_text(&result->error, text, sizeof text));
    for (size_t i = 0; i < result->count; i++) {
        const struct bw_trial_mismatch *mismatch = &result->mismatches[i];
        bw_buf_printf(out, "%s:%d:%d: %s\n    expected  %s\n    got       %s\n", verdict->test->file, mismatch->line, mismatch->column,
                      mismatch->what, mismatch->expected, mismatch->got);
    }
    if (result->dropped) bw_buf_printf(out, "and %zu more\n", result->dropped);
}

static const char *text_of(const struct bw_buf *buf)
{
    return buf->len ? buf->data : "";
}

static void print_indented(const char *indent, const struct bw_buf *text)
{
    for (const char *at = text_of(text); *at;) {
        size_t len = strcspn(at, "\n");
        printf("%s%.*s\n", indent, (int)len, at);
        at += len + (at[len] == '\n');
    }
}

/* ---- people ---- */

static void print_pretty(const struct bw_test_verdict *verdict, bool is_terminal)
{
    static const char *const words[] = {"    ", "ok  ", "FAIL", "skip"}, *const colours[] = {"", "\033[32m", "\033[31m", "\033[33m"};
    const struct bw_trial_test *test = verdict->test;
    printf("%s%s%s  %.*s: %s", is_terminal ? colours[verdict->state] : "", words[verdict->state], is_terminal ? "\033[0m" : "",
           (int)test->workflow.len, test->workflow.ptr, test->name.ptr);
    if (verdict->state == BW_TEST_SKIPPED) printf("  (%s)", test->skip.ptr);
    putchar('\n');
    print_indented("      ", &verdict->details);
    if (verdict->trace.len) printf("      what happened:\n");
    print_indented("      ", &verdict->trace);
    fflush(stdout);
}

/* ---- TAP ---- */

/* `#` begins a directive, and a line is a test. */
static void print_tap_text(const char *text)
{
    for (; *text; text++) {
        if (*text == '#' || *text == '\\') putchar('\\');
        putchar(*text == '\n' || *text == '\r' ? ' ' : *text);
    }
}

static void print_tap(const struct bw_test_verdict *verdict, size_t number)
{
    bool is_good = verdict->state == BW_TEST_PASSED || verdict->state == BW_TEST_SKIPPED;
    printf("%sok %zu - ", is_good ? "" : "not ", number);
    print_tap_text(verdict->test->workflow.ptr);
    fputs(": ", stdout);
    print_tap_text(verdict->test->name.ptr);
    if (verdict->state == BW_TEST_SKIPPED) {
        fputs(" # SKIP ", stdout);
        print_tap_text(verdict->test->skip.ptr);
    }
    putchar('\n');
    if (is_good) return;
    printf("  ---\n  at: \"%s:%d:%d\"\n  message: |\n", verdict->test->file, verdict->test->node->line, verdict->test->node->column);
    print_indented("    ", &verdict->details);
    if (verdict->trace.len) printf("  trace: |\n    what happened:\n");
    print_indented("    ", &verdict->trace);
    printf("  ...\n");
    fflush(stdout);
}

/* ---- JSON ---- */

static void print_json(const struct bw_test_verdict *verdict)
{
    struct bw_buf line = {0};
    const struct bw_trial_test *test = verdict->test;
    json_t *one =
        json_pack("{s:s,s:s,s:s,s:i,s:i,s:s,s:f}", "name", test->name.ptr, "workflow", test->workflow.ptr, "file", test->file, "line",
                  test->node->line, "column", test->node->column, "state", state_names[verdict->state], "took_ms", (double)verdict->took_us / 1000);
    if (verdict->details.len) json_object_set_new(one, "message", json_string(text_of(&verdict->details)));
    if (verdict->trace.len) json_object_set_new(one, "trace", json_string(text_of(&verdict->trace)));
    bw_json_append(&line, one);
    json_decref(one);
    bw_print_line(&line);
    fflush(stdout);
}

/* ---- JUnit ---- */

static void print_xml(const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '&')
            fputs("&amp;", stdout);
        else if (c == '<')
            fputs("&lt;", stdout);
        else if (c == '>')
            fputs("&gt;", stdout);
        else if (c == '"')
            fputs("&quot;", stdout);
        else if (c == '\n')
            fputs("&#10;", stdout);
        else
            putchar(c < 0x20 && c != '\t' ? '?' : c); /* what XML cannot carry at all */
    }
}

static void print_junit_case(const struct bw_test_verdict *verdict)
{
    const struct bw_trial_test *test = verdict->test;
    char first[200];
    fputs("    <testcase classname=\"", stdout);
    print_xml(test->workflow.ptr);
    fputs("\" name=\"", stdout);
    print_xml(test->name.ptr);
    fputs("\" file=\"", stdout);
    print_xml(test->file);
    printf("\" line=\"%d\" time=\"%.6f\"", test->node->line, (double)verdict->took_us / 1e6);
    if (verdict->state == BW_TEST_PASSED) {
        fputs("/>\n", stdout);
        return;
    }
    if (verdict->state == BW_TEST_SKIPPED) {
        fputs("><skipped message=\"", stdout);
        print_xml(test->skip.ptr);
        fputs("\"/></testcase>\n", stdout);
        return;
    }
    const char *details = verdict->details.len ? verdict->details.data : "it was not run";
    snprintf(first, sizeof first, "%.*s", (int)strcspn(details, "\n"), details);
    fputs(">\n      <failure message=\"", stdout);
    print_xml(first);
    fputs("\">", stdout);
    print_xml(details);
    fputs("</failure>\n      <system-out>", stdout);
    print_xml(text_of(&verdict->trace));
    fputs("</system-out>\n    </testcase>\n", stdout);
}

struct sum {
    size_t tests, passed, failed, skipped;
    int64_t took_us;
};

/* Of one file, or of all (NULL). */
static struct sum sum_of(const struct bw_test_verdict *verdicts, size_t count, const char *file)
{
    struct sum sum = {0};
    for (size_t i = 0; i < count; i++) {
        if (file && verdicts[i].test->file != file) continue;
        sum.tests++;
        sum.passed += verdicts[i].state == BW_TEST_PASSED;
        sum.skipped += verdicts[i].state == BW_TEST_SKIPPED;
        sum.failed += verdicts[i].state == BW_TEST_FAILED || verdicts[i].state == BW_TEST_NOT_RUN;
        sum.took_us += verdicts[i].took_us;
    }
    return sum;
}

static void print_junit_sum(const char *element, const char *name, const struct sum *sum)
{
    printf("%s name=\"", element);
    print_xml(name);
    printf("\" tests=\"%zu\" failures=\"%zu\" errors=\"0\" skipped=\"%zu\" time=\"%.6f\">\n", sum->tests, sum->failed, sum->skipped,
           (double)sum->took_us / 1e6);
}

static void print_junit(const struct bw_test_verdict *verdicts, size_t count)
{
    struct sum sum = sum_of(verdicts, count, NULL);
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", stdout);
    print_junit_sum("<testsuites", "bellwire test", &sum);
    for (size_t i = 0; i < count; i++) {
        bool is_first = !i || verdicts[i].test->file != verdicts[i - 1].test->file;
        if (is_first && i) fputs("  </testsuite>\n", stdout);
        if (is_first) {
            sum = sum_of(verdicts + i, count - i, verdicts[i].test->file);
            print_junit_sum("  <testsuite", verdicts[i].test->file, &sum);
        }
        print_junit_case(&verdicts[i]);
    }
    fputs(count ? "  </testsuite>\n</testsuites>\n" : "</testsuites>\n", stdout);
}

/* ---- all of them ---- */

void bw_test_report_begin(enum bw_test_format format, size_t count)
{
    if (format == BW_TEST_TAP) printf("TAP version 14\n1..%zu\n", count);
}

void bw_test_report_one(enum bw_test_format format, const struct bw_test_verdict *verdict, size_t number, bool is_terminal)
{
    switch (format) {
    case BW_TEST_PRETTY: print_pretty(verdict, is_terminal); break;
    case BW_TEST_TAP: print_tap(verdict, number); break;
    case BW_TEST_JSON: print_json(verdict); break;
    case BW_TEST_JUNIT: break; /* it wants the sums first */
    }
}

void bw_test_report_end(enum bw_test_format format, const struct bw_test_verdict *verdicts, size_t count)
{
    struct sum sum = sum_of(verdicts, count, NULL);
    char took[32];
    if (format == BW_TEST_JUNIT) print_junit(verdicts, count);
    if (format == BW_TEST_PRETTY)
        printf("%zu passed, %zu failed, %zu skipped in %s\n", sum.passed, sum.failed, sum.skipped, bw_duration_text(sum.took_us / 1000, took));
}
