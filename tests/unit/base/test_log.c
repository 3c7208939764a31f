#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/json.h"
#include "base/log.h"
#include <errno.h>
#include <fcntl.h>

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

/* stderr goes into a file while one line is written; the text is read back. */
static int real_stderr, capture;
static char text[65536];

static void begin(void)
{
    char path[] = "/tmp/bw-log-XXXXXX";
    real_stderr = dup(STDERR_FILENO);
    capture = mkstemp(path);
    unlink(path);
    fcntl(capture, F_SETFL, O_APPEND);
    dup2(capture, STDERR_FILENO);
}

static const char *end(void)
{
    dup2(real_stderr, STDERR_FILENO);
    ssize_t len = pread(capture, text, sizeof text - 1, 0);
    text[len < 0 ? 0 : len] = '\0';
    close(capture);
    close(real_stderr);
    return text;
}

static int64_t noon(void *arg)
{
    (void)arg;
    return 1795435200123;
}

static void test_line_is_one_json_object(void **state)
{
    (void)state;
    begin();
    bw_log(BW_LOG_INFO, "delivery.accepted", BW_STR("event", "evt_1"), BW_INT("status", 202), BW_BOOL("new", true), BW_STR("none", NULL),
           BW_SLC("part", ((struct bw_slice){"abcdef", 3})), BW_INT("least", INT64_MIN));
    assert_string_equal(end(), "{\"at\":\"2026-11-23T12:00:00.123Z\",\"level\":\"info\",\"process\":\"engine\",\"log\":\"delivery.accepted\","
                               "\"event\":\"evt_1\",\"status\":202,\"new\":true,\"part\":\"abc\",\"least\":-9223372036854775808}\n");
}

static void test_text_is_for_people_and_still_one_line(void **state)
{
    (void)state;
    bw_log_setup(BW_LOG_INFO, BW_LOG_TEXT, "engine");
    begin();
    bw_log(BW_LOG_WARN, "a.b", BW_STR("message", "two\nlines \x1b[31m"), BW_STR("word", "x=1"), BW_STR("empty", ""), BW_INT("n", 3));
    bw_log_setup(BW_LOG_INFO, BW_LOG_JSON, "engine");
    assert_string_equal(end(), "2026-11-23T12:00:00.123Z warn  engine a.b message=\"two\\nlines \\u001b[31m\" word=x=1 empty=\"\" n=3\n");
}

static void test_values_cannot_break_the_line(void **state)
{
    (void)state;
    begin();
    bw_log(BW_LOG_ERROR, "a", BW_STR("v", "x\"}\r\n{\"level\":\"info\"\x1b]0;\x07\xff"));
    const char *line = end();
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    json_t *parsed = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
    assert_string_equal(json_string_value(json_object_get(parsed, "v")), "x\"}\r\n{\"level\":\"info\"\x1b]0;\x07\xef\xbf\xbd");
    json_decref(parsed);
}

static void test_levels_below_the_least_are_silent(void **state)
{
    (void)state;
    begin();
    bw_log(BW_LOG_DEBUG, "a", BW_INT("x", 1));
    assert_false(bw_log_enabled(BW_LOG_DEBUG));
    assert_true(bw_log_enabled(BW_LOG_ERROR));
    assert_false(bw_log_enabled(BW_LOG_OFF));
    assert_string_equal(end(), "");
}

static void test_error_shows_all_its_parts(void **state)
{
    (void)state;
    struct bw_error err;
    bw_error_set(&err, "yaml.syntax", "found a tab");
    bw_error_hint(&err, "use spaces");
    bw_error_at(&err, "w.yaml", 3, 4);
    begin();
    bw_log_error(BW_LOG_ERROR, "workflow.refused", &err);
    assert_non_null(strstr(end(), "\"log\":\"workflow.refused\",\"code\":\"yaml.syntax\",\"message\":\"found a tab\",\"hint\":\"use spaces\","
                                  "\"file\":\"w.yaml\",\"line\":3,\"column\":4}\n"));
}

static void test_huge_values_are_cut_visibly(void **state)
{
    (void)state;
    static char huge[40000];
    memset(huge, 'h', sizeof huge);
    begin();
    bw_log(BW_LOG_INFO, "a", BW_SLC("v", ((struct bw_slice){huge, sizeof huge})), BW_INT("after", 1));
    const char *line = end();
    assert_true(strlen(line) < 17000);
    assert_non_null(strstr(line, "[cut: 40000 bytes]\",\"after\":1}\n"));
}

static void test_lines_that_could_not_be_written_are_counted(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    char block[4096] = {0};
    while (write(ends[1], block, sizeof block) > 0) continue; /* a full pipe */
    real_stderr = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    errno = ENOTTY;
    bw_log(BW_LOG_INFO, "lost", BW_INT("x", 1));
    bw_log(BW_LOG_INFO, "lost", BW_INT("x", 2));
    assert_int_equal(errno, ENOTTY); /* and the caller's errno is untouched */
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    close(ends[0]);
    close(ends[1]);
    begin();
    bw_log(BW_LOG_INFO, "arrives", BW_INT("x", 3));
    assert_non_null(strstr(end(), "\"log\":\"arrives\",\"x\":3,\"lines_lost_before\":2}\n"));
}

static void test_line_after_a_torn_one_begins_afresh(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    static char block[4096], value[10000];
    while (write(ends[1], block, sizeof block) > 0) continue;
    assert_int_equal(read(ends[0], block, sizeof block), sizeof block); /* room for one page of the line */
    memset(value, 'v', sizeof value);
    real_stderr = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    bw_log(BW_LOG_INFO, "torn", BW_SLC("value", ((struct bw_slice){value, sizeof value})));
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    close(ends[0]);
    close(ends[1]);
    begin();
    bw_log(BW_LOG_INFO, "whole", BW_INT("x", 1));
    const char *line = end();
    assert_memory_equal(line, "\n{\"at\":", 7);
    assert_non_null(strstr(line, "\"log\":\"whole\",\"x\":1,\"lines_lost_before\":1}\n"));
}

static unsigned redact(struct bw_slice value, char out[4096])
{
    struct bw_buf buf = {0};
    unsigned found = bw_redact_append(&buf, value);
    snprintf(out, 4096, "%s", bw_buf_slice(&buf).ptr);
    bw_buf_free(&buf);
    return found;
}

/* Runs before any secret is registered. */
static void test_without_secrets_text_stays_as_it_is(void **state)
{
    (void)state;
    char out[4096];
    assert_int_equal(redact(BW_SLICE("s3cr3t/va lue+\"x\""), out), 0);
    assert_string_equal(out, "s3cr3t/va lue+\"x\"");
}

#define CANARY "s3cr3t/va lue+\"x\"\xc3\xa9"

static void test_every_form_of_a_secret_is_hidden(void **state)
{
    (void)state;
    char out[4096];
    bw_log_redact("KEY", BW_SLICE(CANARY));
    bw_log_redact("KEY", BW_SLICE(CANARY));     /* twice is once */
    bw_log_redact("TINY", BW_SLICE("short77")); /* 7 bytes: not hidden */
    static const char *const forms[] = {CANARY,
                                        "s3cr3t/va lue+\\\"x\\\"\xc3\xa9",
                                        "s3cr3t\\/va lue+\\\"x\\\"\xc3\xa9",
                                        "s3cr3t%2Fva%20lue%2B%22x%22%C3%A9",
                                        "s3cr3t%2fva%20lue%2b%22x%22%c3%a9",
                                        "s3cr3t%2Fva+lue%2B%22x%22%C3%A9"};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        char input[256];
        snprintf(input, sizeof input, "<%s> and <%s>", forms[i], forms[i]);
        assert_int_equal(redact(bw_slice_of(input), out), 2);
        assert_string_equal(out, "<[secret:KEY]> and <[secret:KEY]>");
    }
    assert_int_equal(redact(BW_SLICE("short77 s3cr3t/va"), out), 1); /* the end of the text may be a cut secret */
    assert_string_equal(out, "short77 [secret:KEY]");
    assert_int_equal(redact(BW_SLICE("s3cr3t/va."), out), 0);
}

static void test_base64_is_hidden_at_every_alignment(void **state)
{
    (void)state;
    char out[4096];
    bw_log_redact("B64", BW_SLICE("\xfb\xff\xbfsecret\xfe\xff"));
    for (int before = 0; before < 7; before++) {
        for (int url = 0; url < 2; url++) {
            struct bw_buf raw = {0}, coded = {0};
            bw_buf_append(&raw, "user: ", (size_t)before);
            bw_buf_append_text(&raw, "\xfb\xff\xbfsecret\xfe\xff");
            bw_buf_append_text(&raw, " after");
            (url ? bw_base64url_append : bw_base64_append)(&coded, raw.data, raw.len);
            assert_int_equal(redact(bw_buf_slice(&coded), out), 1);
            assert_non_null(strstr(out, "[secret:B64]"));
            bw_buf_free(&raw);
            bw_buf_free(&coded);
        }
    }
}

static void test_log_lines_hide_secrets_in_every_kind_of_field(void **state)
{
    (void)state;
    bw_log_redact("PIN", BW_SLICE("4711471147114711"));
    begin();
    bw_log(BW_LOG_INFO, "a", BW_STR("s", "Bearer " CANARY "!"), BW_INT("n", 4711471147114711), BW_INT("ok", 12345678));
    assert_non_null(strstr(end(), "\"s\":\"Bearer [secret:KEY]!\",\"n\":\"[secret:PIN]\",\"ok\":12345678}\n"));
}

static void test_longest_secret_wins(void **state)
{
    (void)state;
    char out[4096];
    bw_log_redact("SHORT", BW_SLICE("abcdefgh"));
    bw_log_redact("LONG", BW_SLICE("abcdefghijkl"));
    assert_int_equal(redact(BW_SLICE("-abcdefghijkl-abcdefgh-"), out), 2);
    assert_string_equal(out, "-[secret:LONG]-[secret:SHORT]-");
}

static void *chatter(void *arg)
{
    char name[32], value[32];
    snprintf(name, sizeof name, "T%d", *(int *)arg);
    for (int i = 0; i < 50; i++) {
        snprintf(value, sizeof value, "thread%d-secret-%04d", *(int *)arg, i);
        bw_log_redact(name, bw_slice_of(value));
        bw_log(BW_LOG_INFO, "chatter", BW_STR("value", value), BW_INT("i", i));
    }
    return NULL;
}

static void test_threads_register_and_write_at_once(void **state)
{
    (void)state;
    pthread_t threads[4];
    int numbers[4] = {0, 1, 2, 3}, lines = 0;
    begin();
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, chatter, &numbers[i]);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    const char *all = end();
    assert_null(strstr(all, "-secret-"));
    for (const char *line = all, *stop; (stop = strchr(line, '\n')); line = stop + 1, lines++) {
        json_t *parsed = json_loadb(line, (size_t)(stop - line), 0, NULL);
        assert_non_null(parsed);
        json_decref(parsed);
    }
    assert_int_equal(lines, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line_is_one_json_object),
        cmocka_unit_test(test_text_is_for_people_and_still_one_line),
        cmocka_unit_test(test_values_cannot_break_the_line),
        cmocka_unit_test(test_levels_below_the_least_are_silent),
        cmocka_unit_test(test_error_shows_all_its_parts),
        cmocka_unit_test(test_huge_values_are_cut_visibly),
        cmocka_unit_test(test_lines_that_could_not_be_written_are_counted),
        cmocka_unit_test(test_line_after_a_torn_one_begins_afresh),
        cmocka_unit_test(test_without_secrets_text_stays_as_it_is),
        cmocka_unit_test(test_every_form_of_a_secret_is_hidden),
        cmocka_unit_test(test_base64_is_hidden_at_every_alignment),
        cmocka_unit_test(test_log_lines_hide_secrets_in_every_kind_of_field),
        cmocka_unit_test(test_longest_secret_wins),
        cmocka_unit_test(test_threads_register_and_write_at_once),
    };
    bw_clock_override(&(struct bw_clock){.wall_ms = noon});
    bw_log_setup(BW_LOG_INFO, BW_LOG_JSON, "engine");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
