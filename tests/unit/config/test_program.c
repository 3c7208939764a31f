/* Programs that say secrets: how they are started, and what ends them. */
#include "base/file.h"
#include "base/log.h"
#include "config/program.h"
#include "config_fixture.h"

static struct bw_buf out;
static struct bw_error err;

static bool run_for(char *const *argv, size_t most, int64_t deadline_ms)
{
    const struct bw_program program = {.argv = argv, .folder = folder, .most_bytes = most, .deadline_ms = deadline_ms};
    bw_buf_clear(&out);
    err = (struct bw_error){0};
    return bw_program_read(&program, &out, &err);
}

#define run(...) run_for((char *[]){__VA_ARGS__, NULL}, 65536, 60000)
#define SH(code) (char *)"sh", (char *)"-c", (char *)(code)

static void assert_out(const char *expected)
{
    assert_string_equal(err.message, "");
    assert_int_equal(out.len, strlen(expected));
    assert_memory_equal(out.data, expected, out.len);
}

static void test_its_output_is_all_of_it_and_no_shell_is_between(void **state)
{
    (void)state;
    assert_true(run((char *)"printf", (char *)"%s|%s", (char *)"$HOME; ls", (char *)"*"));
    assert_out("$HOME; ls|*");
    assert_true(run(SH("printf a; sleep 0; printf b; exec 1>&-; exit 0")));
    assert_out("ab");
    assert_true(run(SH("pwd -P >where; cat where | wc -l")));
    assert_true(run(SH("cat; printf end"))); /* it has nothing to read */
    assert_out("end");
}

static void test_its_environment_is_small(void **state)
{
    (void)state;
    setenv("BW_TEST_ONE", "value-1", 1);
    setenv("HOME", "/nowhere", 1);
    assert_true(run(SH("printf \"%s/%s\" \"$BW_TEST_ONE\" \"$HOME\"")));
    assert_out("//nowhere");
    unsetenv("BW_TEST_ONE");
    assert_true(run(SH("ls /proc/self/fd | wc -l"))); /* its own for the folder beside the three */
    assert_out("4\n");
}

static void test_what_it_complains_of_is_in_the_error_without_secrets(void **state)
{
    (void)state;
    bw_log_redact("KNOWN", (struct bw_slice)BW_SLICE("canary-known-1"));
    assert_false(run(SH("echo canary-own-2; echo 'denied: canary-known-1 canary-own-2' >&2; echo more >&2; exit 3")));
    assert_string_equal(err.code, "program.exit");
    assert_non_null(strstr(err.message, "sh ended with status 3: denied: [secret:KNOWN] "));
    assert_null(strstr(err.message, "canary"));
    assert_null(strchr(err.message, '\n'));
    assert_false(run(SH("kill -9 $$")));
    assert_non_null(strstr(err.message, "was ended by signal 9"));
    assert_false(run((char *)"no-such-program-7"));
    assert_string_equal(err.code, "program.start");
}

static void test_more_than_that_is_refused_and_a_lot_of_complaint_is_not(void **state)
{
    (void)state;
    assert_false(run_for((char *[]){SH("yes"), NULL}, 1000, 60000));
    assert_string_equal(err.code, "program.too_large");
    assert_true(run_for((char *[]){SH("printf 12345"), NULL}, 5, 60000));
    assert_out("12345");
    assert_true(run(SH("yes | head -c 1000000 >&2; printf good")));
    assert_out("good");
}

static void test_one_that_does_not_end_is_ended_with_all_that_it_has_started(void **state)
{
    (void)state;
    assert_false(run_for((char *[]){SH("sleep 1000 & echo $! >child; wait"), NULL}, 1000, 300));
    assert_string_equal(err.code, "program.timeout");
    assert_true(
        run(SH("while kill -0 $(cat child) 2>/dev/null && ! grep -q 'State:.Z' /proc/$(cat child)/status 2>/dev/null; do :; done; printf gone")));
    assert_out("gone");
}

static void test_who_stays_behind_does_not_keep_it_from_ending(void **state)
{
    (void)state;
    assert_true(run(SH("sleep 1000 & echo $! >child; printf value")));
    assert_out("value");
    assert_true(run(SH("kill $(cat child)")));
}

/* ---- in bellwire.yaml ---- */

static const struct refusal refusals[] = {
    {"secrets: {T: {exec: §false}}\n", "secret.reference", "exec: [PROGRAM"},
    {"secrets: {T: {exec: §[]}}\n", "secret.reference", "exec: [PROGRAM"},
    {"secrets: {T: {exec: §[[a]]}}\n", "secret.reference", "exec: [PROGRAM"},
    {"secrets: {T: §{exec: [a], env: B}}\n", "secret.reference", "must be"},
    {"secrets: {T: {exec: §[sh, -c, 'echo no >&2; exit 7']}}\n", "secret.program", "secret T: sh ended with status 7: no"},
    {"secrets: {T: {exec: §[no-such-program-7]}}\n", "secret.program", "cannot start"},
    {"secrets: {T: {exec: §['true']}}\n", "secret.empty", "the output of its program is empty"},
    {"secrets: {T: {exec: §[head, -c, 70000, /dev/zero]}}\n", "secret.program", "more than 65536 bytes"},
    {"sources:\n  s:\n    path: /a\n    verify: hmac\n    secrets: {secret: {exec: §[sh, -c, exit 7]}}\n", "secret.program", "status 7"},
};

static void test_what_is_wrong_names_its_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) assert_refused(&refusals[i]);
}

static void test_values_come_from_programs(void **state)
{
    (void)state;
    write_file("say", "#!/bin/sh\nprintf '%s\\n' \"value-of-$1\"\n", 0755);
    struct bw_config *config = load_good("secrets:\n  T: {exec: [./say, one]}\n  R: [{exec: [./say, new]}, {exec: [printf, \"old\\n\\n\"]}]\n");
    assert_string_equal(config->secrets[0].values[0].ptr, "value-of-one");
    assert_int_equal(config->secrets[1].count, 2);
    assert_string_equal(config->secrets[1].values[1].ptr, "old\n"); /* one line break is cut */
    bw_config_free(config);
}

static void test_where_nobody_uses_them_no_program_is_run(void **state)
{
    struct bw_errors errs = {0};
    (void)state;
    write_file("bellwire.yaml", "secrets: {T: {exec: [sh, -c, 'touch was-run; echo value']}}\n", 0600);
    struct bw_config *config = bw_config_load_without_programs(path_of("bellwire.yaml"), &errs);
    assert_non_null(config);
    assert_string_equal(config->secrets[0].values[0].ptr, "secret-T");
    bw_config_free(config);
    assert_int_not_equal(access(path_of("was-run"), F_OK), 0);
}

static void test_what_everybody_may_change_is_not_run(void **state)
{
    struct bw_errors errs = {0};
    (void)state;
    write_file("say", "#!/bin/sh\necho value\n", 0777);
    assert_null(load_text("secrets: {T: {exec: [./say]}}\n", &errs));
    assert_string_equal(errs.items[0].code, "secret.writable");
    bw_errors_free(&errs);
    assert_int_equal(chmod(path_of("say"), 0755), 0);
    write_file("bellwire.yaml", "secrets: {T: {exec: [./say]}}\n", 0666);
    errs = (struct bw_errors){0};
    assert_null(bw_config_load(path_of("bellwire.yaml"), &errs));
    assert_string_equal(errs.items[0].code, "secret.writable");
    bw_errors_free(&errs);
}

static int forget(void **state)
{
    (void)state;
    bw_buf_free(&out);
    bw_file_remove_folder(folder);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_its_output_is_all_of_it_and_no_shell_is_between),
        cmocka_unit_test(test_its_environment_is_small),
        cmocka_unit_test(test_what_it_complains_of_is_in_the_error_without_secrets),
        cmocka_unit_test(test_more_than_that_is_refused_and_a_lot_of_complaint_is_not),
        cmocka_unit_test(test_one_that_does_not_end_is_ended_with_all_that_it_has_started),
        cmocka_unit_test(test_who_stays_behind_does_not_keep_it_from_ending),
        cmocka_unit_test(test_what_is_wrong_names_its_place),
        cmocka_unit_test(test_values_come_from_programs),
        cmocka_unit_test(test_where_nobody_uses_them_no_program_is_run),
        cmocka_unit_test(test_what_everybody_may_change_is_not_run),
    };
    return cmocka_run_group_tests(tests, make_folder, forget);
}
