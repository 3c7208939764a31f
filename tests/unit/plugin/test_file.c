/* A plugin's file is copied: what happens to it afterwards does not reach who has the copy, and it is known that something has happened. */
#include "plugin/file.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/bellwire-file-XXXXXX", path[64];

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/x.so", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void put(const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(close(fd), 0);
}

static void test_the_copy_stays_as_it_was_whatever_becomes_of_the_file(void **state)
{
    struct bw_plugin_file file;
    struct bw_error err;
    char text[16] = "";
    (void)state;
    put("one", 0600);
    assert_true(bw_plugin_file_read(path, &file, &err));
    assert_true(file.copy >= 0);
    put("another", 0600);
    assert_int_equal(pread(file.copy, text, sizeof text, 0), 3);
    assert_string_equal(text, "one");
    bw_plugin_file_close(&file);
    assert_int_equal(file.copy, -1);
}

static void test_a_shared_object_without_its_end_is_refused(void **state)
{
    Elf64_Ehdr head = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64}, .e_shoff = 1000, .e_shnum = 4, .e_shentsize = 64};
    struct bw_plugin_file file;
    struct bw_error err = {0};
    (void)state;
    for (size_t bytes = sizeof head; bytes <= 1300; bytes++) {
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert_int_equal(write(fd, &head, sizeof head), sizeof head);
        assert_int_equal(ftruncate(fd, (off_t)bytes) || close(fd), 0);
        assert_int_equal(bw_plugin_file_read(path, &file, &err), bytes >= 1256);
        if (bytes < 1256) assert_string_equal(err.code, "plugin.not_loadable");
        bw_plugin_file_close(&file);
    }
    head.e_shoff = UINT64_MAX - 10;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, &head, sizeof head), sizeof head);
    assert_int_equal(close(fd), 0);
    assert_false(bw_plugin_file_read(path, &file, &err));
}

static void test_nobody_can_write_the_copy(void **state)
{
    struct bw_plugin_file file;
    struct bw_error err;
    (void)state;
    put("one", 0600);
    assert_true(bw_plugin_file_read(path, &file, &err));
    assert_int_equal(pwrite(file.copy, "x", 1, 0), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(file.copy, 0), -1);
    assert_ptr_equal(mmap(NULL, 3, PROT_READ | PROT_WRITE, MAP_SHARED, file.copy, 0), MAP_FAILED);
    bw_plugin_file_close(&file);
}

static void test_what_has_been_touched_is_not_the_same_and_equal_bytes_have_one_hash(void **state)
{
    struct bw_plugin_file file, again, other;
    struct bw_error err;
    (void)state;
    put("one", 0600);
    assert_true(bw_plugin_file_read(path, &file, &err));
    assert_true(bw_plugin_file_is_same(&file, path));
    assert_int_equal(utimensat(AT_FDCWD, path, (const struct timespec[]){{1, 0}, {1, 0}}, 0), 0);
    assert_false(bw_plugin_file_is_same(&file, path));
    assert_true(bw_plugin_file_read(path, &again, &err));
    assert_memory_equal(file.hash, again.hash, sizeof file.hash);
    put("two", 0600);
    assert_true(bw_plugin_file_read(path, &other, &err));
    assert_memory_not_equal(file.hash, other.hash, sizeof file.hash);
    unlink(path);
    assert_false(bw_plugin_file_is_same(&other, path));
    assert_false(bw_plugin_file_is_there(path));
    bw_plugin_file_close(&file);
    bw_plugin_file_close(&again);
    bw_plugin_file_close(&other);
}

static void assert_refused(const char *what, const char *code, const char *hint)
{
    struct bw_plugin_file file;
    struct bw_error err;
    assert_false(bw_plugin_file_read(what, &file, &err));
    assert_string_equal(err.code, code);
    assert_non_null(strstr(err.hint, hint));
    assert_int_equal(file.copy, -1);
}

static void test_what_is_no_file_of_ours_alone_is_refused(void **state)
{
    (void)state;
    unlink(path);
    assert_refused(path, "plugin.unreadable", "");
    assert_refused(folder, "plugin.unreadable", "");
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_refused(path, "plugin.unreadable", ""); /* and nobody waits for a writer */
    unlink(path);
    put("one", 0602);
    assert_refused(path, "plugin.writable", "chmod o-w");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_copy_stays_as_it_was_whatever_becomes_of_the_file),
        cmocka_unit_test(test_a_shared_object_without_its_end_is_refused),
        cmocka_unit_test(test_nobody_can_write_the_copy),
        cmocka_unit_test(test_what_has_been_touched_is_not_the_same_and_equal_bytes_have_one_hash),
        cmocka_unit_test(test_what_is_no_file_of_ours_alone_is_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
