/* Whatever was acknowledged is there after a crash. The store runs in a child (this program again, with arguments) that writes the number
 * of each event to a pipe from done(); the parent kills it after a random number of them, or the child dies at a named crash point. */
#include "base/random.h"
#include "fixture.h"
#include "store/database.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

enum { ROUNDS = 30, IN_FLIGHT = 32, MAX_EVENTS = 20000 };

/* ---- the child: bellwire-test child FOLDER FIRST PIPE ---- */

struct slot {
    struct bw_store_op op;
    char key[16];
    uint32_t number;
};
static int child_pipe;
static uint32_t child_next, child_last;
static struct bw_store *child_store;
static char child_body[6000];

static void child_done(struct bw_store_op *op);

static void fill(struct slot *slot, uint32_t number)
{
    slot->number = number;
    snprintf(slot->key, sizeof slot->key, "key%u", (unsigned)number);
    slot->op = accept_op(number, slot->key);
    slot->op.event.body = (struct bw_slice){child_body, sizeof child_body};
    slot->op.event.dedupe_expire_ms = 1000000;
    slot->op.owner = slot;
    slot->op.done = child_done;
}

static void child_done(struct bw_store_op *op)
{
    struct slot *slot = op->owner;
    if (op->failed || op->is_duplicate) _exit(1);
    if (write(child_pipe, &slot->number, sizeof slot->number) != sizeof slot->number) _exit(2);
    if (child_next == child_last) return;
    fill(slot, child_next++); /* only the writer thread counts on from here */
    bw_store_submit(child_store, &slot->op);
}

static int child_main(char **argv)
{
    static struct slot slots[IN_FLIGHT];
    struct bw_error err = {0};
    memset(child_body, 'b', sizeof child_body);
    child_next = (uint32_t)strtoul(argv[3], NULL, 10);
    child_last = child_next + MAX_EVENTS;
    child_pipe = atoi(argv[4]);
    alarm(60); /* a crash point that is never reached is a failure, not a hang */
    child_store = bw_store_open(argv[2], &err);
    if (!child_store) return 3;
    uint32_t first = child_next;
    child_next += IN_FLIGHT;
    for (uint32_t i = 0; i < IN_FLIGHT; i++) {
        fill(&slots[i], first + i);
        bw_store_submit(child_store, &slots[i].op);
    }
    for (;;) pause();
}

/* ---- the parent ---- */

static pid_t start_child(uint32_t first, const char *crash, int *pipe_end)
{
    int ends[2];
    char first_text[16], pipe_text[16], variable[80];
    assert_int_equal(pipe(ends), 0);
    snprintf(first_text, sizeof first_text, "%u", (unsigned)first);
    snprintf(pipe_text, sizeof pipe_text, "%d", ends[1]);
    snprintf(variable, sizeof variable, "BELLWIRE_CRASH=%s", crash);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char *args[] = {(char *)"child", (char *)"child", folder, first_text, pipe_text, NULL}, *environment[] = {variable, NULL};
        close(ends[0]);
        execve("/proc/self/exe", args, environment);
        _exit(4);
    }
    close(ends[1]);
    *pipe_end = ends[0];
    return pid;
}

/* Reads acknowledged numbers until there are `limit` or the pipe ends. */
static size_t read_acknowledged(int pipe_end, uint32_t *numbers, size_t limit)
{
    size_t count = 0;
    while (count < limit && read(pipe_end, &numbers[count], sizeof *numbers) == sizeof *numbers) count++;
    return count;
}

static bool ignore(void *arg, const struct bw_event *event)
{
    (void)arg;
    assert_false(event->is_damaged);
    return true;
}

/* Without a writer: `bellwire events` after a crash, before the engine runs again. */
static void assert_readable_before_recovery(uint32_t number)
{
    struct bw_reader *reader = open_reader();
    struct bw_error err = {0};
    bool found = false;
    assert_no_error(bw_reader_event(reader, uid_of(number), ignore, NULL, &found, &err), err);
    assert_true(found);
    bw_reader_close(reader);
}

static void assert_all_there(const uint32_t *numbers, size_t count)
{
    if (count) assert_readable_before_recovery(numbers[count - 1]);
    struct bw_store *store = open_store(); /* recovers */
    struct bw_reader *reader = open_reader();
    struct bw_error err = {0};
    for (size_t i = 0; i < count; i++) {
        bool found = false;
        assert_no_error(bw_reader_event(reader, uid_of(numbers[i]), ignore, NULL, &found, &err), err);
        if (!found) fail_msg("event %u was acknowledged and is lost", (unsigned)numbers[i]);
    }
    if (count) { /* its key too */
        char key[16];
        snprintf(key, sizeof key, "key%u", (unsigned)numbers[count - 1]);
        struct bw_store_op again = accept_op(4000000000u, key);
        submit(store, &again);
        assert_true(again.is_duplicate);
    }
    bw_reader_close(reader);
    bw_store_close(store);
    sqlite3 *db = bw_database_open_reader(folder, &err);
    sqlite3_stmt *check;
    assert_no_error(db, err);
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &check, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(check), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(check, 0), "ok");
    sqlite3_finalize(check);
    bw_database_close(db, false);
}

static void test_nothing_acknowledged_is_lost_by_kill_9(void **state)
{
    static uint32_t numbers[ROUNDS * 2 * MAX_EVENTS];
    size_t count = 0;
    int pipe_end, status;
    (void)state;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        pid_t pid = start_child(round * 2 * MAX_EVENTS, "", &pipe_end);
        size_t before = count;
        count += read_acknowledged(pipe_end, numbers + count, (size_t)(bw_random_unit() * 600)); /* may be none: killed while it opens */
        kill(pid, SIGKILL);
        count += read_acknowledged(pipe_end, numbers + count, MAX_EVENTS); /* what it had acknowledged by then */
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        close(pipe_end);
        assert_all_there(numbers + before, count - before);
    }
    assert_all_there(numbers, count); /* also those of the first rounds */
}

static void test_nothing_acknowledged_is_lost_at_a_crash_point(void **state)
{
#ifdef BELLWIRE_TEST_HOOKS
    static const struct {
        const char *point;
        bool may_have_none; /* dies before anything can be acknowledged */
    } cases[] = {
        {"store.mid_migration:1", true},     {"store.before_begin:1", true},       {"store.before_begin:7", false},
        {"store.before_commit:1", true},     {"store.before_commit:9", false},     {"store.after_commit:1", true},
        {"store.after_commit:8", false},     {"store.before_checkpoint:1", false}, {"store.after_checkpoint:1", false},
        {"store.after_checkpoint:2", false},
    };
    static uint32_t numbers[MAX_EVENTS];
    int pipe_end, status;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (i && (remove_folder(state) || make_folder(state))) fail();
        pid_t pid = start_child(1, cases[i].point, &pipe_end);
        size_t count = read_acknowledged(pipe_end, numbers, MAX_EVENTS);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 137) fail_msg("%s was not reached", cases[i].point);
        close(pipe_end);
        if (cases[i].may_have_none)
            assert_int_equal(count, 0);
        else
            assert_true(count > 0);
        assert_all_there(numbers, count);
    }
#else
    (void)state;
    skip(); /* built without BELLWIRE_TEST_HOOKS */
#endif
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(test_nothing_acknowledged_is_lost_by_kill_9),
        WITH_FOLDER(test_nothing_acknowledged_is_lost_at_a_crash_point),
    };
    if (argc == 5 && strcmp(argv[1], "child") == 0) return child_main(argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
