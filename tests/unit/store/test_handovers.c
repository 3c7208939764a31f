/* Secrets that senders hand over: the writer has the last word, and what it has taken stays. */
#include "fixture.h"
#include "store/handover.h"

#define NOW 1000000
#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

static struct bw_store *store;

static struct bw_handover say(enum bw_handover_verb verb, int64_t now_ms, int64_t until_ms, const char *value)
{
    struct bw_handover wish = {.verb = verb,
                               .source = BW_SLICE("asana"),
                               .actor = BW_SLICE("me"),
                               .until_ms = until_ms,
                               .secret = BW_SLICE("secret"),
                               .value = bw_slice_of(value)};
    struct bw_store_op op = {.kind = BW_OP_HANDOVER,
                             .now_ms = now_ms,
                             .handover = &wish,
                             .delivery = {.at_ms = now_ms, .source = BW_SLICE("asana"), .status = 200, .outcome = BW_OUTCOME_HANDSHAKE}};
    struct bw_error err;
    if (!bw_store_submit_wait(store, &op, &err)) fail_msg("%s", err.message);
    return wish;
}

struct seen {
    char texts[8][80];
    size_t count;
};

static bool see_window(void *arg, const struct bw_window *window)
{
    struct seen *seen = arg;
    snprintf(seen->texts[seen->count++], 80, "%.*s %lld %.*s", (int)window->source.len, window->source.ptr, (long long)window->until_ms,
             (int)window->actor.len, window->actor.ptr);
    return true;
}

static bool see_secret(void *arg, const struct bw_learnt_secret *secret)
{
    struct seen *seen = arg;
    snprintf(seen->texts[seen->count++], 80, "%.*s %.*s %.*s %lld", (int)secret->source.len, secret->source.ptr, (int)secret->secret.len,
             secret->secret.ptr, (int)secret->value.len, secret->value.ptr, (long long)secret->at_ms);
    return true;
}

static bool see_audit(void *arg, const struct bw_audit_row *row)
{
    struct seen *seen = arg;
    assert_int_equal(row->detail.len, 0);
    snprintf(seen->texts[seen->count++], 80, "%.*s", (int)row->verb.len, row->verb.ptr);
    return true;
}

static bool see_delivery(void *arg, const struct bw_delivery_row *row)
{
    struct seen *seen = arg;
    snprintf(seen->texts[seen->count++], 80, "%u %s %.*s", row->delivery.status, bw_outcome_name(row->delivery.outcome),
             (int)row->delivery.detail.len, row->delivery.detail.ptr);
    return true;
}

static void assert_seen(const struct seen *seen, size_t count, const char *const *expected)
{
    assert_int_equal(seen->count, count);
    for (size_t i = 0; i < count; i++) assert_string_equal(seen->texts[i], expected[i]);
}

static struct bw_reader *reader(void)
{
    struct bw_error err;
    struct bw_reader *made = bw_reader_open(folder, &err);
    assert_non_null(made);
    return made;
}

static void assert_learnt(const char *expected)
{
    struct seen seen = {0};
    struct bw_error err;
    struct bw_reader *look = reader();
    assert_true(bw_reader_learnt(look, see_secret, &seen, &err));
    bw_reader_close(look);
    assert_seen(&seen, expected ? 1 : 0, &expected);
}

static void test_the_first_one_in_the_window_stays(void **state)
{
    (void)state;
    store = open_store();
    assert_string_equal(say(BW_HANDOVER_TAKE, NOW, 0, "one").refusal, "it may not hand over its secret now");
    assert_true(say(BW_HANDOVER_OPEN, NOW, NOW + 10, "").has_changed);
    assert_string_equal(say(BW_HANDOVER_TAKE, NOW + 10, 0, "one").refusal, "it may not hand over its secret now");
    assert_learnt(NULL);
    struct bw_handover wish = say(BW_HANDOVER_TAKE, NOW + 9, 0, "one");
    assert_true(!wish.refusal && wish.has_changed);
    wish = say(BW_HANDOVER_TAKE, NOW + 9, 0, "two");
    assert_string_equal(wish.refusal, "it has handed over another secret before");
    assert_false(wish.has_changed);
    wish = say(BW_HANDOVER_TAKE, NOW + 99, 0, "one"); /* said again, whenever */
    assert_true(!wish.refusal && !wish.has_changed);
    assert_learnt("asana secret one 1000009");
    bw_store_close(store);
}

static void test_windows_and_secrets_outlive_the_process(void **state)
{
    static const char *const windows[] = {"asana 1000010 me"};
    struct seen seen = {0};
    struct bw_error err;
    (void)state;
    store = open_store();
    say(BW_HANDOVER_OPEN, NOW, NOW + 5, "");
    say(BW_HANDOVER_OPEN, NOW, NOW + 10, ""); /* opened anew: this one counts */
    say(BW_HANDOVER_TAKE, NOW, 0, "one");
    bw_store_close(store);
    store = open_store();
    struct bw_reader *look = reader();
    assert_true(bw_reader_windows(look, see_window, &seen, &err));
    assert_seen(&seen, 1, windows);
    bw_reader_close(look);
    assert_learnt("asana secret one 1000000");
    assert_string_equal(say(BW_HANDOVER_TAKE, NOW + 1, 0, "two").refusal, "it has handed over another secret before");
    bw_store_close(store);
}

static void test_what_is_forgotten_can_be_learnt_anew_in_a_new_window(void **state)
{
    static const char *const verbs[] = {"open", "learn", "reveal", "forget", "open", "learn", "close"};
    static const char *const deliveries[] = {"200 handshake ", "401 unverified it may not hand over its secret now", "200 handshake "};
    struct seen seen = {0}, rows = {0};
    struct bw_error err;
    (void)state;
    store = open_store();
    assert_false(say(BW_HANDOVER_FORGET, NOW, 0, "").has_changed);
    assert_false(say(BW_HANDOVER_CLOSE, NOW, 0, "").has_changed);
    say(BW_HANDOVER_OPEN, NOW, NOW + 10, "");
    say(BW_HANDOVER_TAKE, NOW, 0, "one");
    say(BW_HANDOVER_REVEAL, NOW, 0, "");
    assert_true(say(BW_HANDOVER_FORGET, NOW, 0, "").has_changed);
    assert_learnt(NULL);
    assert_non_null(say(BW_HANDOVER_TAKE, NOW, 0, "two").refusal); /* the window has closed with it */
    say(BW_HANDOVER_OPEN, NOW, NOW + 10, "");
    assert_null(say(BW_HANDOVER_TAKE, NOW, 0, "two").refusal);
    assert_learnt("asana secret two 1000000");
    assert_true(say(BW_HANDOVER_CLOSE, NOW, 0, "").has_changed);
    assert_learnt("asana secret two 1000000");
    struct bw_reader *look = reader();
    assert_true(bw_reader_audit(look, BW_SLICE("source asana"), see_audit, &seen, &err));
    assert_seen(&seen, COUNT_OF(verbs), verbs);
    assert_true(bw_reader_deliveries(look, (struct bw_slice){0}, false, 0, 8, see_delivery, &rows, &err));
    assert_seen(&rows, COUNT_OF(deliveries), deliveries);
    bw_reader_close(look);
    bw_store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_first_one_in_the_window_stays, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_windows_and_secrets_outlive_the_process, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_what_is_forgotten_can_be_learnt_anew_in_a_new_window, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
