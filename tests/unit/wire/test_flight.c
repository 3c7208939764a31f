/* The flight page: what a worker noted is what the engine reads, also after the worker's death. */
#include "base/file.h"
#include "wire/flight.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct bw_uid one = {{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}}, two = {{2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2}};

static int reap(pid_t child)
{
    int status = 0;
    while (waitpid(child, &status, 0) < 0) {
    }
    return status;
}

static void test_a_fresh_page_holds_no_note(void **state)
{
    (void)state;
    struct bw_flight_page *page;
    struct bw_flight_note note;
    int fd;
    assert_int_equal(bw_flight_create(NULL, &page, &fd), 0);
    bw_flight_read(page, &note);
    assert_false(note.active);
    close(fd);
    bw_flight_unmap(page);
}

static void test_the_note_survives_the_death_of_its_writer(void **state)
{
    (void)state;
    struct bw_flight_page *page;
    struct bw_flight_note note;
    int fd;
    assert_int_equal(bw_flight_create(NULL, &page, &fd), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        struct bw_flight_page *mine = bw_flight_map(fd);
        if (!mine) _exit(1);
        bw_flight_enter(mine, 7, one, BW_SLICE("first"), 3, 1000);
        bw_flight_leave(mine);
        bw_flight_enter(mine, 7, two, BW_SLICE("greet"), 7, 123456789);
        raise(SIGKILL);
    }
    assert_true(WIFSIGNALED(reap(child)));
    bw_flight_read(page, &note);
    assert_true(note.active);
    assert_int_equal(note.deadline_us, 123456789);
    assert_true(bw_uid_equal(note.run, two));
    assert_string_equal(note.path, "greet");
    assert_int_equal(note.revision, 7);
    close(fd);
    bw_flight_unmap(page);
}

static void test_a_note_that_was_left_is_not_active(void **state)
{
    (void)state;
    struct bw_flight_page *page;
    struct bw_flight_note note;
    int fd;
    assert_int_equal(bw_flight_create(NULL, &page, &fd), 0);
    bw_flight_enter(page, 7, one, BW_SLICE("greet"), 1, 5);
    bw_flight_leave(page);
    bw_flight_read(page, &note);
    assert_false(note.active);
    close(fd);
    bw_flight_unmap(page);
}

static void test_a_path_of_any_length_is_cut_not_overflowed(void **state)
{
    (void)state;
    struct bw_flight_page *page;
    struct bw_flight_note note;
    char path[2 * BW_FLIGHT_PATH_MAX];
    int fd;
    memset(path, 'p', sizeof path);
    assert_int_equal(bw_flight_create(NULL, &page, &fd), 0);
    bw_flight_enter(page, 7, one, (struct bw_slice){path, sizeof path}, 9, 5);
    bw_flight_read(page, &note);
    assert_int_equal(strlen(note.path), BW_FLIGHT_PATH_MAX - 1);
    assert_int_equal(note.revision, 9);
    bw_flight_enter(page, 7, two, BW_SLICE("x"), 9, 5); /* nothing of the longer path is left behind */
    bw_flight_read(page, &note);
    assert_string_equal(note.path, "x");
    close(fd);
    bw_flight_unmap(page);
}

/* ---- in a file ---- */

static char folder[] = "/tmp/bellwire-flight-XXXXXX", file[64];

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder)) return -1;
    snprintf(file, sizeof file, "%s/1", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    bw_file_remove_folder(folder);
    return 0;
}

static void test_a_file_has_the_note_when_both_sides_are_dead(void **state)
{
    (void)state;
    struct bw_flight_page *page;
    struct bw_flight_note note, again;
    struct bw_error err;
    int fd;
    pid_t engine = fork();
    assert_true(engine >= 0);
    if (!engine) {
        if (bw_flight_create(file, &page, &fd)) _exit(1);
        pid_t worker = fork();
        if (!worker) {
            struct bw_flight_page *mine = bw_flight_map(fd);
            bw_flight_enter(mine, -12, two, BW_SLICE("greet"), 7, 123456789);
            raise(SIGKILL);
        }
        reap(worker);
        raise(SIGKILL);
    }
    assert_true(WIFSIGNALED(reap(engine)));
    assert_true(bw_flight_load(file, &note, &err));
    assert_true(note.active);
    assert_true(bw_uid_equal(note.run, two));
    assert_int_equal(note.job, -12);
    assert_string_equal(note.path, "greet");

    /* The next worker's page is another one. */
    assert_int_equal(bw_flight_create(file, &page, &fd), 0);
    bw_flight_enter(page, 3, one, BW_SLICE("greet"), 7, 5);
    bw_flight_leave(page);
    assert_true(bw_flight_load(file, &again, &err));
    assert_false(again.active);
    assert_false(bw_uid_equal(again.life, note.life));
    close(fd);
    bw_flight_unmap(page);
}

static void write_file(const void *bytes, size_t len)
{
    FILE *out = fopen(file, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, len, out), len);
    fclose(out);
}

static void test_what_is_no_page_of_this_version_is_refused(void **state)
{
    (void)state;
    struct bw_flight_page page = {.format = BW_FLIGHT_FORMAT, .deadline_us = 5};
    struct bw_flight_note note;
    struct bw_error err;
    char longer[sizeof page + 1] = {0};
    write_file(&page, sizeof page);
    assert_true(bw_flight_load(file, &note, &err)); /* as it should be */
    page.format++;
    write_file(&page, sizeof page);
    assert_false(bw_flight_load(file, &note, &err));
    assert_string_equal(err.code, "flight.unknown");
    assert_string_equal(err.file, file);
    page.format--;
    write_file(&page, sizeof page - 1);
    assert_false(bw_flight_load(file, &note, &err));
    write_file(&page, 0);
    assert_false(bw_flight_load(file, &note, &err));
    memcpy(longer, &page, sizeof page);
    write_file(longer, sizeof longer);
    assert_false(bw_flight_load(file, &note, &err));
    unlink(file);
    assert_false(bw_flight_load(file, &note, &err));
    assert_string_equal(err.code, "file.missing");
}

static void test_a_page_that_cannot_be_made_says_why(void **state)
{
    (void)state;
    struct bw_flight_page *page;
    int fd;
    assert_int_equal(bw_flight_create("/nowhere/at/all", &page, &fd), -1);
    assert_int_equal(errno, ENOENT);
}

/* Two notes that differ in every field, written as fast as possible: a reader must never see a mixture of them. */
static void test_a_reader_never_sees_half_a_note(void **state)
{
    (void)state;
    struct bw_flight_page *page;
    int fd;
    assert_int_equal(bw_flight_create(NULL, &page, &fd), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        struct bw_flight_page *mine = bw_flight_map(fd);
        while (mine) {
            bw_flight_enter(mine, 7, one, BW_SLICE("first"), 1, 1);
            bw_flight_leave(mine);
            bw_flight_enter(mine, 7, two, BW_SLICE("second"), 2, 2);
            bw_flight_leave(mine);
        }
        _exit(1);
    }
    struct bw_flight_note note = {0};
    unsigned seen = 0;
    for (unsigned reads = 0; seen < 20000 && reads < 100000000; reads++) {
        bw_flight_read(page, &note);
        if (!note.active) continue;
        seen++;
        bool is_one = note.deadline_us == 1;
        if (!bw_uid_equal(note.run, is_one ? one : two) || strcmp(note.path, is_one ? "first" : "second") || note.revision != (is_one ? 1 : 2)) {
            kill(child, SIGKILL);
            reap(child);
            fail_msg("deadline %d with path %s, revision %u", (int)note.deadline_us, note.path, note.revision);
        }
    }
    kill(child, SIGKILL);
    reap(child);
    assert_int_equal(seen, 20000);
    close(fd);
    bw_flight_unmap(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_fresh_page_holds_no_note),
        cmocka_unit_test(test_the_note_survives_the_death_of_its_writer),
        cmocka_unit_test(test_a_note_that_was_left_is_not_active),
        cmocka_unit_test(test_a_path_of_any_length_is_cut_not_overflowed),
        cmocka_unit_test(test_a_reader_never_sees_half_a_note),
        cmocka_unit_test(test_a_file_has_the_note_when_both_sides_are_dead),
        cmocka_unit_test(test_what_is_no_page_of_this_version_is_refused),
        cmocka_unit_test(test_a_page_that_cannot_be_made_says_why),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
