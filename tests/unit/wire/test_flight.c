/* The flight page: what a worker noted is what the engine reads, also after the worker's death. */
#include "wire/flight.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
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
    assert_int_equal(bw_flight_create(&page, &fd), 0);
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
    assert_int_equal(bw_flight_create(&page, &fd), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        struct bw_flight_page *mine = bw_flight_map(fd);
        if (!mine) _exit(1);
        bw_flight_enter(mine, one, BW_SLICE("first"), 3, 1000);
        bw_flight_leave(mine);
        bw_flight_enter(mine, two, BW_SLICE("greet"), 7, 123456789);
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
    assert_int_equal(bw_flight_create(&page, &fd), 0);
    bw_flight_enter(page, one, BW_SLICE("greet"), 1, 5);
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
    assert_int_equal(bw_flight_create(&page, &fd), 0);
    bw_flight_enter(page, one, (struct bw_slice){path, sizeof path}, 9, 5);
    bw_flight_read(page, &note);
    assert_int_equal(strlen(note.path), BW_FLIGHT_PATH_MAX - 1);
    assert_int_equal(note.revision, 9);
    bw_flight_enter(page, two, BW_SLICE("x"), 9, 5); /* nothing of the longer path is left behind */
    bw_flight_read(page, &note);
    assert_string_equal(note.path, "x");
    close(fd);
    bw_flight_unmap(page);
}

/* Two notes that differ in every field, written as fast as possible: a reader must never see a mixture of them. */
static void test_a_reader_never_sees_half_a_note(void **state)
{
    (void)state;
    struct bw_flight_page *page;
    int fd;
    assert_int_equal(bw_flight_create(&page, &fd), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        struct bw_flight_page *mine = bw_flight_map(fd);
        while (mine) {
            bw_flight_enter(mine, one, BW_SLICE("first"), 1, 1);
            bw_flight_leave(mine);
            bw_flight_enter(mine, two, BW_SLICE("second"), 2, 2);
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
        cmocka_unit_test(test_a_fresh_page_holds_no_note),         cmocka_unit_test(test_the_note_survives_the_death_of_its_writer),
        cmocka_unit_test(test_a_note_that_was_left_is_not_active), cmocka_unit_test(test_a_path_of_any_length_is_cut_not_overflowed),
        cmocka_unit_test(test_a_reader_never_sees_half_a_note),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
