#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64];

static const char *at(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", root, name);
    return path;
}

static void put(const char *name, const char *text)
{
    FILE *file = fopen(at(name), "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int make_root(void **state)
{
    (void)state;
    strcpy(root, "/tmp/bw-file-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int drop_root(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command);
}

static void expect_refused(const char *name, size_t limit, const char *code)
{
    struct bw_buf buf = {0};
    struct bw_error err = {0};
    assert_false(bw_file_read(at(name), limit, &buf, &err));
    assert_string_equal(err.code, code);
    assert_string_equal(err.file, at(name));
    bw_buf_free(&buf);
}

static void test_read_whole_up_to_the_limit(void **state)
{
    (void)state;
    struct bw_buf buf = {0};
    put("five", "12345");
    put("empty", "");
    assert_true(bw_file_read(at("five"), 5, &buf, NULL));
    assert_string_equal(buf.data, "12345");
    assert_true(bw_file_read(at("five"), 5, &buf, NULL)); /* appends: the limit counts this file alone */
    assert_string_equal(buf.data, "1234512345");
    bw_buf_free(&buf);
    assert_true(bw_file_read(at("empty"), 0, &buf, NULL));
    assert_string_equal(buf.data, "");
    bw_buf_free(&buf);
    expect_refused("five", 4, "file.too_large");
    expect_refused("none", 4, "file.missing");
    expect_refused("five/none", 4, "file.missing");
}

static void test_files_that_claim_to_be_empty_are_read(void **state)
{
    (void)state;
    struct bw_buf buf = {0};
    assert_true(bw_file_read("/proc/self/status", 65536, &buf, NULL));
    assert_true(buf.len > 100);
    bw_buf_free(&buf);
}

static void test_only_regular_files_and_no_hang_on_a_fifo(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(at("fifo"), 0600), 0);
    assert_int_equal(mkdir(at("folder"), 0700), 0);
    expect_refused("fifo", 10, "file.unreadable");
    expect_refused("folder", 10, "file.unreadable");
}

static void test_list_is_sorted_and_without_hidden_names(void **state)
{
    (void)state;
    char **list;
    size_t count;
    assert_int_equal(mkdir(at("l"), 0700), 0);
    assert_int_equal(mkdir(at("l/sub"), 0700), 0);
    assert_int_equal(mkdir(at("l/.git"), 0700), 0);
    assert_int_equal(mkdir(at("l/folder.yaml"), 0700), 0);
    put("l/b.yaml", "");
    put("l/B.yaml", "");
    put("l/a.yml", "");
    put("l/.hidden.yaml", "");
    put("l/.git/c.yaml", "");
    put("l/sub/a.yaml", "");
    assert_int_equal(symlink("b.yaml", at("l/link.yaml")), 0);
    assert_int_equal(symlink("nowhere", at("l/dead.yaml")), 0);
    assert_int_equal(symlink("..", at("l/sub/circle")), 0);
    assert_true(bw_file_list(at("l"), ".yaml", false, &list, &count, NULL));
    assert_int_equal(count, 3);
    assert_string_equal(list[0], "B.yaml");
    assert_string_equal(list[1], "b.yaml");
    assert_string_equal(list[2], "link.yaml");
    bw_file_list_free(list, count);
    assert_true(bw_file_list(at("l"), ".yaml", true, &list, &count, NULL));
    assert_int_equal(count, 4);
    assert_string_equal(list[3], "sub/a.yaml");
    bw_file_list_free(list, count);
    assert_int_equal(symlink("sub", at("l/linked")), 0);
    assert_true(bw_file_list_folders(at("l"), &list, &count, NULL));
    assert_int_equal(count, 3);
    assert_string_equal(list[0], "folder.yaml");
    assert_string_equal(list[1], "linked");
    assert_string_equal(list[2], "sub");
    bw_file_list_free(list, count);
}

static void test_missing_folder_is_an_empty_list_but_a_file_is_an_error(void **state)
{
    (void)state;
    char **list;
    size_t count = 7;
    struct bw_error err = {0};
    assert_true(bw_file_list(at("nothing"), "", true, &list, &count, &err));
    assert_int_equal(count, 0);
    bw_file_list_free(list, count);
    put("plain", "");
    assert_false(bw_file_list(at("plain"), "", true, &list, &count, &err));
    assert_int_equal(count, 0);
}

static void test_too_deep_is_said_not_skipped(void **state)
{
    (void)state;
    char **list, name[64] = "d";
    size_t count;
    struct bw_error err = {0};
    assert_int_equal(mkdir(at(name), 0700), 0);
    for (int i = 0; i < 9; i++) {
        strcat(name, "/d");
        assert_int_equal(mkdir(at(name), 0700), 0);
    }
    assert_false(bw_file_list(at("d"), ".yaml", true, &list, &count, &err));
    assert_string_equal(err.code, "file.too_deep");
    assert_true(bw_file_list(at("d/d"), ".yaml", true, &list, &count, &err));
    bw_file_list_free(list, count);
}

static void test_join(void **state)
{
    (void)state;
    static const char *const rows[][3] = {{"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"/", "b", "/b"}, {"a", "/b", "/b"}, {"", "b", "b"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *path = bw_file_join(rows[i][0], rows[i][1]);
        assert_string_equal(path, rows[i][2]);
        free(path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_whole_up_to_the_limit),
        cmocka_unit_test(test_files_that_claim_to_be_empty_are_read),
        cmocka_unit_test(test_only_regular_files_and_no_hang_on_a_fifo),
        cmocka_unit_test(test_list_is_sorted_and_without_hidden_names),
        cmocka_unit_test(test_missing_folder_is_an_empty_list_but_a_file_is_an_error),
        cmocka_unit_test(test_too_deep_is_said_not_skipped),
        cmocka_unit_test(test_join),
    };
    return cmocka_run_group_tests(tests, make_root, drop_root);
}
