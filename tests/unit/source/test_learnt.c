/* Secrets that senders hand over: when they are taken, and what is proven by them. */
#include "source/learnt.h"
#include "source_fixture.h"

#define OFFER "x-hook-secret: b537207f20cbfa02357cf448134da559\n"
static const char secret[] = "b537207f20cbfa02357cf448134da559";

struct door {
    struct fixture fixture;
    struct bw_learnt *learnt;
    struct bw_buf scratch;
};

static void open_door(struct door *door, const char *scheme)
{
    open_source(&door->fixture, scheme);
    door->learnt = bw_learnt_new();
    assert_non_null(door->learnt);
    assert_true(bw_learnt_reserve(door->learnt, "test"));
}

static void close_door(struct door *door)
{
    bw_learnt_free(door->learnt);
    bw_buf_free(&door->scratch);
    close_source(&door->fixture);
}

static struct bw_judgement knock(struct door *door, const char *headers, const char *body)
{
    struct lines lines;
    struct bw_judgement out;
    split_lines(&lines, bw_slice_of(headers));
    const struct bw_request request = {.method = BW_SLICE("POST"),
                                       .url = BW_SLICE("https://bellwire.example/in/test"),
                                       .query = BW_SLICE(""),
                                       .headers = lines.headers,
                                       .header_count = lines.count,
                                       .body = bw_slice_of(body),
                                       .now_ms = NOW_MS,
                                       .learnt = door->learnt};
    bw_source_judge(door->fixture.source, &request, &door->scratch, &out);
    return out;
}

static void assert_refused_with(struct door *door, const char *headers, const char *body, const char *reason, const char *cure)
{
    const struct bw_judgement out = knock(door, headers, body);
    assert_int_equal(out.verdict, BW_REFUSED);
    assert_string_equal(out.reason, reason);
    if (cure)
        assert_string_equal(out.cure, cure);
    else
        assert_null(out.cure);
    assert_int_equal(out.captured.len, 0);
}

static void test_a_secret_is_taken_only_while_the_window_is_open(void **state)
{
    struct door door = {0};
    (void)state;
    open_door(&door, "asana");
    assert_string_equal(bw_source_learns(door.fixture.source), "secret");
    assert_refused_with(&door, OFFER, "", "it may not hand over its secret now", "bellwire sources open");
    bw_learnt_set_window(door.learnt, "test", NOW_MS); /* its last moment is over */
    assert_refused_with(&door, OFFER, "", "it may not hand over its secret now", "bellwire sources open");
    bw_learnt_set_window(door.learnt, "test", NOW_MS + 1);
    struct bw_judgement out = knock(&door, OFFER, "");
    assert_int_equal(out.verdict, BW_HANDSHAKE);
    assert_int_equal(out.answer_status, 200);
    assert_true(bw_slice_is(out.captured, secret));
    assert_string_equal(out.captured_name, "secret");
    static const char echo[] = "X-Hook-Secret\0b537207f20cbfa02357cf448134da559";
    assert_non_null(memmem(out.answer_headers.ptr, out.answer_headers.len, echo, sizeof echo));
    close_door(&door);
}

static void test_what_was_handed_over_proves_what_comes_then_and_stays(void **state)
{
    struct door door = {0};
    char mac[65], line[100], other[65];
    (void)state;
    open_door(&door, "asana");
    format(line, sizeof line, "x-hook-signature: %s\n", hex_mac(secret, "{}", mac));
    assert_refused_with(&door, line, "{}", "it has handed over no secret yet", "bellwire sources open");
    bw_learnt_set_window(door.learnt, "test", NOW_MS + 1000);
    bw_learnt_set_secret(door.learnt, "test", "secret", bw_slice_of(secret), NOW_MS);
    assert_int_equal(knock(&door, line, "{}").verdict, BW_VERIFIED);
    assert_refused_with(&door, line, "[]", "bad signature", NULL);
    format(line, sizeof line, "x-hook-signature: %s\n", hex_mac("another", "{}", other));
    assert_refused_with(&door, line, "{}", "bad signature", NULL);
    assert_refused_with(&door, "x-hook-secret: another-secret-of-somebody\n", "", "it has handed over another secret before",
                        "bellwire sources forget");
    struct bw_judgement out = knock(&door, OFFER, ""); /* its sender has not heard the answer */
    assert_int_equal(out.verdict, BW_HANDSHAKE);
    assert_int_equal(out.captured.len, 0);
    bw_learnt_forget(door.learnt, "test");
    format(line, sizeof line, "x-hook-signature: %s\n", mac);
    assert_refused_with(&door, line, "{}", "it has handed over no secret yet", "bellwire sources open");
    assert_int_equal(knock(&door, OFFER, "").captured.len, sizeof secret - 1);
    close_door(&door);
}

static void test_what_can_be_no_secret_is_not_taken(void **state)
{
    static const char *const offers[] = {"x-hook-secret: \n", "x-hook-secret:  \t\n", OFFER OFFER};
    struct door door = {0};
    char longer[600] = "x-hook-secret: ";
    (void)state;
    open_door(&door, "asana");
    bw_learnt_set_window(door.learnt, "test", NOW_MS + 1000);
    for (size_t i = 0; i < COUNT(offers); i++) assert_refused_with(&door, offers[i], "", "what it hands over can be no secret", NULL);
    memset(longer + 15, 'x', BW_LEARNT_BYTES_MAX);
    strcpy(longer + 15 + BW_LEARNT_BYTES_MAX, "\n");
    assert_int_equal(knock(&door, longer, "").captured.len, BW_LEARNT_BYTES_MAX);
    strcpy(longer + 15 + BW_LEARNT_BYTES_MAX, "x\n");
    assert_refused_with(&door, longer, "", "what it hands over can be no secret", NULL);
    close_door(&door);
}

static void test_a_secret_of_the_configuration_counts(void **state)
{
    struct door door = {0};
    char mac[65], line[100];
    (void)state;
    add_secret(&door.fixture, "secret", BW_SLICE("given"));
    open_door(&door, "asana");
    assert_null(bw_source_learns(door.fixture.source));
    bw_learnt_set_window(door.learnt, "test", NOW_MS + 1000);
    bw_learnt_set_secret(door.learnt, "test", "secret", bw_slice_of(secret), NOW_MS);
    assert_refused_with(&door, OFFER, "", "it hands over a secret, and its secret is in the configuration", NULL);
    assert_int_equal(knock(&door, "x-hook-secret: given\n", "").verdict, BW_HANDSHAKE);
    format(line, sizeof line, "x-hook-signature: %s\n", hex_mac(secret, "{}", mac));
    assert_refused_with(&door, line, "{}", "bad signature", NULL);
    close_door(&door);
}

static void test_a_secret_of_another_scheme_is_none(void **state)
{
    struct door door = {0};
    (void)state;
    open_door(&door, "notion");
    bw_learnt_set_secret(door.learnt, "test", "secret", bw_slice_of(secret), NOW_MS);
    assert_refused_with(&door, "content-type: application/json\n", "{\"id\":\"e\"}", "it has handed over no secret yet", "bellwire sources open");
    bw_learnt_set_window(door.learnt, "test", NOW_MS + 1000);
    const struct bw_judgement out = knock(&door, "content-type: application/json\n", "{\"verification_token\":\"secret_t\\u004drlL1qK5\"}");
    assert_int_equal(out.verdict, BW_HANDSHAKE);
    assert_true(bw_slice_is(out.captured, "secret_tMrlL1qK5"));
    assert_int_equal(out.answer_body.len, 0);
    close_door(&door);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_secret_is_taken_only_while_the_window_is_open),
        cmocka_unit_test(test_what_was_handed_over_proves_what_comes_then_and_stays),
        cmocka_unit_test(test_what_can_be_no_secret_is_not_taken),
        cmocka_unit_test(test_a_secret_of_the_configuration_counts),
        cmocka_unit_test(test_a_secret_of_another_scheme_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
