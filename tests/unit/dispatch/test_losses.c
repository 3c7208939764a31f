/* What was executing when a process died: each death counts once, and counts outlive engines. */
#include "base/file.h"
#include "base/json.h"
#include "dispatch/losses.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct bw_uid one = {{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}}, two = {{2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2}}, none;
static char root[64], folder[80];

static int make_root(void **state)
{
    (void)state;
    strcpy(root, "/tmp/bellwire-losses-XXXXXX");
    snprintf(folder, sizeof folder, "%s/flight", mkdtemp(root) ? root : "");
    return 0;
}

static int remove_root(void **state)
{
    (void)state;
    bw_file_remove_folder(folder);
    bw_file_remove_folder(root);
    return 0;
}

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* A worker that has died while it executed that, together with its engine. */
static void leave_page(const char *name, int64_t job, struct bw_uid run, const char *step)
{
    struct bw_flight_page *page;
    int fd;
    assert_int_equal(bw_flight_create(path_of(name), &page, &fd), 0);
    bw_flight_enter(page, job, run, bw_slice_of(step), 1, 5);
    close(fd);
    bw_flight_unmap(page);
}

static int64_t count_of(const struct bw_losses *losses, int64_t job, struct bw_uid run, const char *step)
{
    struct bw_buf text = {0};
    char uid[BW_UID_TEXT];
    size_t index;
    json_t *entry;
    int64_t count = 0;
    bw_losses_append(losses, job, &text);
    json_t *list = bw_json_load(bw_buf_slice(&text), NULL);
    assert_true(json_is_array(list));
    bw_uid_text(run, BW_UID_RUN, uid);
    json_array_foreach(list, index, entry) if (!strcmp(bw_json_str(entry, "run", ""), uid) && !strcmp(bw_json_str(entry, "path", ""), step)) count =
        bw_json_int(entry, "count", 0);
    json_decref(list);
    bw_buf_free(&text);
    return count;
}

static void test_what_was_executing_when_an_engine_died_is_counted_with_each_death(void **state)
{
    (void)state;
    bw_losses_free(bw_losses_open(folder)); /* it is there now */
    for (int deaths = 1; deaths <= 3; deaths++) {
        leave_page("1", 17, one, "boom");
        leave_page("2", 18, two, "other");
        struct bw_losses *losses = bw_losses_open(folder);
        assert_int_equal(count_of(losses, 17, one, "boom"), deaths);
        assert_int_equal(count_of(losses, 18, two, "other"), deaths);
        assert_int_equal(count_of(losses, 17, two, "other"), 0);
        assert_int_equal(access(path_of("1"), F_OK), -1); /* it has been counted */
        bw_losses_free(losses);
    }
    struct bw_losses *losses = bw_losses_open(folder); /* nobody died */
    assert_int_equal(count_of(losses, 17, one, "boom"), 3);
    bw_losses_free(losses);
}

static void test_a_page_counts_once_however_often_it_is_found(void **state)
{
    (void)state;
    struct bw_flight_note note;
    struct bw_error err;
    bw_losses_free(bw_losses_open(folder));
    leave_page("1", 17, one, "boom");
    assert_true(bw_flight_load(path_of("1"), &note, &err));
    struct bw_losses *losses = bw_losses_open(folder);
    bw_losses_add(losses, &note);
    bw_losses_free(losses);
    losses = bw_losses_open(folder); /* it is known on disk, too */
    bw_losses_add(losses, &note);
    assert_int_equal(count_of(losses, 17, one, "boom"), 1);
    note.life = two;
    bw_losses_add(losses, &note);
    assert_int_equal(count_of(losses, 17, one, "boom"), 2);
    bw_losses_free(losses);
}

static void test_a_step_that_is_recorded_and_a_job_that_ends_are_forgotten(void **state)
{
    (void)state;
    char uid[BW_UID_TEXT];
    bw_losses_free(bw_losses_open(folder));
    leave_page("1", 17, one, "boom");
    leave_page("2", 17, one, "other");
    leave_page("3", 18, two, "boom");
    leave_page("4", 18, two, "other");
    struct bw_losses *losses = bw_losses_open(folder);
    bw_losses_forget(losses, 17, bw_uid_text(one, BW_UID_RUN, uid), "boom");
    bw_losses_forget(losses, 18, NULL, NULL);
    bw_losses_free(losses);
    losses = bw_losses_open(folder);
    assert_int_equal(count_of(losses, 17, one, "boom"), 0);
    assert_int_equal(count_of(losses, 17, one, "other"), 1);
    assert_false(bw_losses_are_of(losses, 18, none));
    bw_losses_free(losses);
}

static void test_a_run_is_found_by_its_job_or_by_itself(void **state)
{
    (void)state;
    bw_losses_free(bw_losses_open(folder));
    leave_page("1", 17, one, "boom");
    struct bw_losses *losses = bw_losses_open(folder);
    assert_false(bw_losses_are_of(losses, 18, none));
    assert_false(bw_losses_are_of(losses, -4, two));
    assert_true(bw_losses_are_of(losses, 17, none));
    assert_true(bw_losses_are_of(losses, -4, one)); /* it was one of the event's runs, then it was parked and woken */
    assert_int_equal(count_of(losses, -4, one, "boom"), 1);
    bw_losses_free(losses);
}

static void test_pages_without_a_note_and_files_that_are_loaded_accuse_nobody(void **state)
{
    (void)state;
    struct bw_flight_page *page;
    struct bw_buf text = {0};
    int fd;
    bw_losses_free(bw_losses_open(folder));
    assert_int_equal(bw_flight_create(path_of("1"), &page, &fd), 0);
    close(fd);
    bw_flight_unmap(page);
    leave_page("2", 0, none, "file:./actions/a.lua");
    struct bw_losses *losses = bw_losses_open(folder);
    assert_true(bw_file_read(path_of("losses.json"), 100, &text, NULL));
    assert_int_equal(text.len, 0);
    bw_buf_free(&text);
    bw_losses_free(losses);
}

static void put(const char *name, const char *text)
{
    FILE *out = fopen(path_of(name), "w");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

static void test_what_cannot_be_read_is_as_if_it_was_not_there(void **state)
{
    (void)state;
    static const char *const damaged[] = {"[{\"job\":17,", "{}", "\xff\xfe",
                                          "[1,{\"job\":17},{\"job\":17,\"run\":\"x\",\"path\":\"boom\",\"count\":9}]"};
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
        bw_losses_free(bw_losses_open(folder));
        put("losses.json", damaged[i]);
        put("2", "no page");
        put("notes.txt", "somebody's");
        leave_page("1", 17, one, "boom");
        struct bw_losses *losses = bw_losses_open(folder);
        assert_int_equal(count_of(losses, 17, one, "boom"), 1);
        bw_losses_forget(losses, 17, NULL, NULL);
        bw_losses_free(losses);
        assert_int_equal(access(path_of("notes.txt"), F_OK), 0);
    }
}

static void test_without_a_folder_all_is_in_memory(void **state)
{
    (void)state;
    static const char *const folders[] = {NULL, "/nowhere/at/all"};
    for (size_t i = 0; i < 2; i++) {
        struct bw_losses *losses = bw_losses_open(folders[i]);
        assert_non_null(losses);
        for (uint8_t life = 1; life <= 3; life++)
            bw_losses_add(losses, &(struct bw_flight_note){.active = true, .life = {{life}}, .run = one, .job = 17, .path = "boom"});
        assert_int_equal(count_of(losses, 17, one, "boom"), 3);
        bw_losses_free(losses);
    }
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_root, remove_root)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_FOLDER(test_what_was_executing_when_an_engine_died_is_counted_with_each_death),
        IN_A_FOLDER(test_a_page_counts_once_however_often_it_is_found),
        IN_A_FOLDER(test_a_step_that_is_recorded_and_a_job_that_ends_are_forgotten),
        IN_A_FOLDER(test_a_run_is_found_by_its_job_or_by_itself),
        IN_A_FOLDER(test_pages_without_a_note_and_files_that_are_loaded_accuse_nobody),
        IN_A_FOLDER(test_what_cannot_be_read_is_as_if_it_was_not_there),
        IN_A_FOLDER(test_without_a_folder_all_is_in_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
