/* Sources: what they need before they start, tokens and passwords, names and ids, handshakes. */
#include "source_fixture.h"

static const char key[] = "its-a-secret";

/* The first error of a source that must not start. */
static void assert_not_opened(struct fixture *fixture, const char *scheme, const char *code, const char *hint)
{
    assert_false(try_open(fixture, scheme, NULL));
    const struct bw_error *err = &fixture->errs.items[0];
    assert_string_equal(err->code, code);
    assert_string_equal(err->file, "bellwire.yaml");
    assert_int_equal(err->line, 7);
    assert_int_equal(err->column, 3);
    if (!strstr(err->hint, hint)) fail_msg("the hint is '%s', not '%s'", err->hint, hint);
    close_source(fixture);
}

static void test_unknown_scheme_is_guessed(void **state)
{
    (void)state;
    struct fixture near = {0}, far = {0};
    assert_not_opened(&near, "gihtub", "source.unknown_scheme", "did you mean 'github'?");
    assert_not_opened(&far, "something-else", "source.unknown_scheme", "bellwire schemes");
}

/* Fail-open is the commonest hole of all (pitfall 1): no secret, no source. */
static void test_source_without_its_secret_does_not_start(void **state)
{
    (void)state;
    struct fixture none = {0}, other = {0}, good = {0}, no_user = {0};
    assert_not_opened(&none, "github", "source.no_secret", "webhook_secret");
    add_secret(&other, "secret", bw_slice_of(key));
    assert_not_opened(&other, "github", "source.no_secret", "webhook_secret");
    add_secret(&no_user, "password", bw_slice_of(key));
    assert_not_opened(&no_user, "basic", "source.no_secret", "");
    add_secret(&good, "webhook_secret", bw_slice_of(key));
    open_source(&good, "github");
    close_source(&good);
}

static void test_secret_that_is_no_key_does_not_start(void **state)
{
    (void)state;
    static const struct {
        const char *scheme, *name, *value, *code;
    } samples[] = {
        {"github", "webhook_secret", "", "source.empty_secret"},
        {"github", "webhook_secret", " \t\r\n", "source.empty_secret"},
        {"standard-webhooks", "signing_secret", "whsec_", "source.bad_secret"},
        {"standard-webhooks", "signing_secret", "whsec_not base64!", "source.bad_secret"},
        {"standard-webhooks", "signing_secret", "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY", "source.bad_secret"}, /* padding lost */
        {"standard-webhooks", "signing_secret", "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", NULL},
        {"static-header", "token", "", "source.empty_secret"},
        {"static-header", "token", "t", NULL},
    };
    for (size_t i = 0; i < COUNT(samples); i++) {
        struct fixture fixture = {0};
        add_secret(&fixture, samples[i].name, bw_slice_of(samples[i].value));
        if (samples[i].code) {
            assert_not_opened(&fixture, samples[i].scheme, samples[i].code, "");
        } else {
            open_source(&fixture, samples[i].scheme);
            close_source(&fixture);
        }
    }
}

static void test_one_empty_value_among_good_ones_does_not_start(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    add_secret(&fixture, "webhook_secret", bw_slice_of(key));
    add_secret(&fixture, "webhook_secret", BW_SLICE(""));
    assert_not_opened(&fixture, "github", "source.empty_secret", "");
}

static void test_secret_that_the_scheme_does_not_know_is_an_error(void **state)
{
    (void)state;
    struct fixture extra = {0}, none = {0};
    add_secret(&extra, "webhook_secret", bw_slice_of(key));
    add_secret(&extra, "signing_secret", bw_slice_of(key));
    assert_not_opened(&extra, "github", "source.unknown_secret", "bellwire schemes show github");
    add_secret(&none, "secret", bw_slice_of(key)); /* whoever writes this believes that something is verified */
    assert_not_opened(&none, "none", "source.unknown_secret", "");
}

static void test_unknown_option_is_guessed(void **state)
{
    (void)state;
    struct fixture typo = {0}, value = {0}, foreign = {0}, good = {0};
    add_secret(&typo, "secret", bw_slice_of(key));
    add_option(&typo, "heder=x-sig");
    assert_not_opened(&typo, "hmac", "scheme.invalid", "did you mean 'header'?");
    add_secret(&value, "secret", bw_slice_of(key));
    add_option(&value, "algorithm=hmac-sha265");
    assert_false(try_open(&value, "hmac", NULL));
    assert_string_equal(value.errs.items[0].hint, "did you mean 'hmac-sha256'?");
    close_source(&value);
    add_secret(&foreign, "webhook_secret", bw_slice_of(key));
    add_option(&foreign, "header=x-sig");
    assert_not_opened(&foreign, "github", "scheme.invalid", "");
    add_secret(&good, "secret", bw_slice_of(key));
    add_option(&good, "header=X-Sig");
    open_source(&good, "hmac");
    char mac[65], lines[100];
    assert_accepted(&good, format(lines, sizeof lines, "x-sig: %s\n", hex_mac(key, "a", mac)), "a");
    assert_refused(&good, format(lines, sizeof lines, "x-signature: %s\n", mac), "a", "missing signature");
    close_source(&good);
}

static void test_basic_wants_user_and_password(void **state)
{
    (void)state;
    static const struct {
        const char *credentials;
        bool good;
    } samples[] = {
        {"user:pass:word", true}, /* split at the first colon (RFC 7617) */
        {"user:pass:wor", false},
        {"user:pass:word1", false},
        {"user:", false},
        {"user:pass", false},
        {"usr:pass:word", false},
        {"usera:pass:word", false},
        {"userx:ass:word", false},
        {":pass:word", false},
        {"user", false},
        {"", false},
        {"User:pass:word", false},
        {"user :pass:word", false},
        {"user:pass:word\n", false},
        {"pass:word:user", false},
    };
    struct fixture fixture = {0};
    char lines[200];
    struct bw_buf coded = {0};
    add_secret(&fixture, "username", BW_SLICE("user"));
    add_secret(&fixture, "password", BW_SLICE("pass:word"));
    open_source(&fixture, "basic");
    for (size_t i = 0; i < COUNT(samples); i++) {
        bw_buf_clear(&coded);
        bw_base64_append(&coded, samples[i].credentials, strlen(samples[i].credentials));
        format(lines, sizeof lines, "authorization: Basic %s\n", coded.data ? coded.data : "");
        assert_verdict_at(&fixture, lines, "x", NOW_MS, samples[i].good ? BW_VERIFIED : BW_REFUSED, NULL);
    }
    assert_accepted(&fixture, "Authorization: bAsIc dXNlcjpwYXNzOndvcmQ=\n", "x"); /* the scheme's name has no case */
    assert_accepted(&fixture, "authorization: Basic   dXNlcjpwYXNzOndvcmQ=\n", "x");
    assert_refused(&fixture, "authorization: Bearer dXNlcjpwYXNzOndvcmQ=\n", "x", "not basic authentication");
    assert_refused(&fixture, "authorization: Basic dXNlcjpwYXNzOndvcmQ\n", "x", "unreadable credentials");
    assert_refused(&fixture, "authorization: Basic\n", "x", "not basic authentication");
    assert_refused(&fixture, "", "x", "missing header");
    assert_refused(&fixture, "authorization: Basic dXNlcjpwYXNzOndvcmQ=\nauthorization: Basic AAAA\n", "x", "duplicate header");
    bw_buf_free(&coded);
    close_source(&fixture);
}

static void test_token_must_be_the_same_to_the_byte(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    add_secret(&fixture, "token", BW_SLICE("token-1"));
    add_secret(&fixture, "token", BW_SLICE("token-two"));
    open_source(&fixture, "static-header");
    assert_accepted(&fixture, "x-token: token-1\n", "x");
    assert_accepted(&fixture, "X-Token: token-two\n", "x");
    static const char *const odd[] = {"token-", "token-10", "token-2", "TOKEN-1", " token-1", "token-1 ", "token-1,token-two", ""};
    char lines[100];
    for (size_t i = 0; i < COUNT(odd); i++) assert_refused(&fixture, format(lines, sizeof lines, "x-token: %s\n", odd[i]), "x", "bad token");
    assert_refused(&fixture, "", "x", "missing token");
    assert_refused(&fixture, "x-token: token-1\nx-token: token-1\n", "x", "duplicate header");
    close_source(&fixture);
}

static void test_none_accepts_whoever_comes_and_vouches_for_nobody(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    struct bw_buf scratch = {0};
    open_source(&fixture, "none");
    const struct bw_judgement out = judge_at(fixture.source, BW_SLICE(""), BW_SLICE(""), NOW_MS, &scratch);
    assert_int_equal(out.verdict, BW_VERIFIED);
    assert_false(out.event_trusted);
    assert_true(bw_slice_is(out.event, "event"));
    bw_buf_free(&scratch);
    close_source(&fixture);
}

/* Routing headers are outside most signatures (pitfall 14): a workflow must be able to tell. */
static void test_event_name_is_trusted_only_from_signed_bytes(void **state)
{
    (void)state;
    static char *header_refs[] = {(char *)(uintptr_t) "header:x-kind"}, *body_refs[] = {(char *)(uintptr_t) "json:/kind"},
                *mixed_refs[] = {(char *)(uintptr_t) "json:/missing|header:x-kind"};
    static const struct {
        const char *scheme, *secret, *fixed;
        char **refs;
        const char *event;
        bool trusted;
    } samples[] = {
        {"hmac", "secret", NULL, body_refs, "ping", true},          {"hmac", "secret", NULL, header_refs, "pong", false},
        {"hmac", "secret", NULL, mixed_refs, "pong", false},        {"hmac", "secret", "fixed", NULL, "fixed", true},
        {"static-header", "token", NULL, body_refs, "ping", false}, {"static-header", "token", "fixed", NULL, "fixed", true},
    };
    const char *body = "{\"kind\":\"ping\"}";
    for (size_t i = 0; i < COUNT(samples); i++) {
        struct fixture fixture = {0};
        struct bw_buf scratch = {0};
        char mac[65], lines[200];
        add_secret(&fixture, samples[i].secret, bw_slice_of(key));
        fixture.config.event = (char *)(uintptr_t)samples[i].fixed;
        fixture.config.event_refs = samples[i].refs;
        fixture.config.event_ref_count = samples[i].refs != NULL;
        open_source(&fixture, samples[i].scheme);
        format(lines, sizeof lines, "content-type: application/json\nx-kind: pong\nx-signature: %s\nx-token: %s\n", hex_mac(key, body, mac), key);
        const struct bw_judgement out = judge_at(fixture.source, bw_slice_of(lines), bw_slice_of(body), NOW_MS, &scratch);
        assert_int_equal(out.verdict, BW_VERIFIED);
        if (!bw_slice_is(out.event, samples[i].event) || out.event_trusted != samples[i].trusted)
            fail_msg("sample %zu: %.*s is %strusted", i, (int)out.event.len, out.event.ptr, out.event_trusted ? "" : "not ");
        bw_buf_free(&scratch);
        close_source(&fixture);
    }
}

static void test_part_of_the_body_that_is_not_signed_is_not_trusted(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    struct bw_buf scratch = {0};
    char mac[65], text[300];
    add_secret(&fixture, "signing_key", bw_slice_of(key));
    open_source(&fixture, "mailgun"); /* signs timestamp and token, not the event */
    format(text, sizeof text,
           "{\"signature\":{\"timestamp\":\"1760000000\",\"token\":\"tok\",\"signature\":\"%s\"},\"event-data\":{\"event\":\"opened\"}}",
           hex_mac(key, "1760000000tok", mac));
    const struct bw_judgement out = judge_at(fixture.source, BW_SLICE("content-type: application/json\n"), bw_slice_of(text), NOW_MS, &scratch);
    assert_int_equal(out.verdict, BW_VERIFIED);
    assert_true(bw_slice_is(out.event, "opened") && bw_slice_is(out.delivery_id, "tok"));
    assert_false(out.event_trusted);
    bw_buf_free(&scratch);
    close_source(&fixture);
}

static void test_names_are_made_of_words_and_dots(void **state)
{
    (void)state;
    static const struct {
        const char *header, *action, *event;
    } samples[] = {{"push", "", "push"},
                   {"issues", "\"action\":\"opened\"", "issues.opened"},
                   {"orders/create", "", "orders.create"},
                   {"a b\xc3\xa9", "", "a_b__"},
                   {"issues", "\"action\":17", "issues.17"},
                   {"issues", "\"action\":null", "issues"}};
    struct fixture fixture = {0};
    add_secret(&fixture, "webhook_secret", bw_slice_of(key));
    open_source(&fixture, "github");
    for (size_t i = 0; i < COUNT(samples); i++) {
        struct bw_buf scratch = {0};
        char mac[65], lines[300], body[100];
        format(body, sizeof body, "{%s}", samples[i].action);
        format(lines, sizeof lines, "content-type: application/json\nx-github-event: %s\nx-github-delivery: d-%zu\nx-hub-signature-256: sha256=%s\n",
               samples[i].header, i, hex_mac(key, body, mac));
        const struct bw_judgement out = judge_at(fixture.source, bw_slice_of(lines), bw_slice_of(body), NOW_MS, &scratch);
        assert_int_equal(out.verdict, BW_VERIFIED);
        if (!bw_slice_is(out.event, samples[i].event)) fail_msg("%.*s is not %s", (int)out.event.len, out.event.ptr, samples[i].event);
        assert_int_equal(out.delivery_id.len, 3);
        bw_buf_free(&scratch);
    }
    close_source(&fixture);
}

static void test_signed_body_that_is_no_json_is_malformed_not_refused(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    struct bw_buf scratch = {0};
    const char *body = "{\"a\":1,\n  }";
    char mac[65], lines[200];
    add_secret(&fixture, "webhook_secret", bw_slice_of(key));
    open_source(&fixture, "github");
    format(lines, sizeof lines, "content-type: application/json; charset=utf-8\nx-hub-signature-256: sha256=%s\n", hex_mac(key, body, mac));
    const struct bw_judgement out = judge_at(fixture.source, bw_slice_of(lines), bw_slice_of(body), NOW_MS, &scratch);
    assert_int_equal(out.verdict, BW_MALFORMED);
    assert_int_equal(out.fault.line, 2);
    assert_int_equal(out.fault.column, 3);
    /* The same bytes under another type are nobody's business. */
    format(lines, sizeof lines, "content-type: text/plain\nx-hub-signature-256: sha256=%s\n", mac);
    assert_accepted(&fixture, lines, body);
    /* Whoever cannot sign learns nothing about the parser. */
    assert_refused(&fixture, "content-type: application/json\nx-hub-signature-256: sha256=00\n", body, "bad signature");
    bw_buf_free(&scratch);
    close_source(&fixture);
}

static void test_handshake_is_answered_only_to_whom_the_scheme_says(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    char mac[65], lines[300], message[1500], body[1400], challenge[1200];
    add_secret(&fixture, "signing_secret", bw_slice_of(key));
    open_source(&fixture, "slack");
    for (size_t len = 1024; len <= 1025; len++) {
        struct bw_buf scratch = {0};
        memset(challenge, 'c', len);
        challenge[len] = '\0';
        format(body, sizeof body, "{\"type\":\"url_verification\",\"challenge\":\"%s\"}", challenge);
        hex_mac(key, format(message, sizeof message, "v0:1760000000:%s", body), mac);
        format(lines, sizeof lines, "content-type: application/json\nx-slack-request-timestamp: 1760000000\nx-slack-signature: v0=%s\n", mac);
        const struct bw_judgement out = judge_at(fixture.source, bw_slice_of(lines), bw_slice_of(body), NOW_MS, &scratch);
        if (len == 1025) {
            assert_int_equal(out.verdict, BW_VERIFIED); /* nobody's challenge is that long: no mirror for it */
        } else {
            assert_int_equal(out.verdict, BW_HANDSHAKE);
            assert_int_equal(out.answer_status, 200);
            assert_string_equal(out.answer_type, "application/json");
            assert_int_equal(out.answer_body.len, strlen("{\"challenge\":\"\"}") + len);
        }
        bw_buf_free(&scratch);
    }
    mac[0] = mac[0] == '0' ? '1' : '0';
    format(lines, sizeof lines, "content-type: application/json\nx-slack-request-timestamp: 1760000000\nx-slack-signature: v0=%s\n", mac);
    assert_refused(&fixture, lines, body, "bad signature");
    close_source(&fixture);
}

static void test_id_that_is_too_long_is_no_id(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    char mac[65], id[514], lines[1000];
    add_secret(&fixture, "webhook_secret", bw_slice_of(key));
    open_source(&fixture, "github");
    for (size_t len = 512; len <= 513; len++) {
        struct bw_buf scratch = {0};
        memset(id, 'i', len);
        id[len] = '\0';
        format(lines, sizeof lines, "x-github-delivery: %s\nx-hub-signature-256: sha256=%s\n", id, hex_mac(key, "x", mac));
        const struct bw_judgement out = judge_at(fixture.source, bw_slice_of(lines), BW_SLICE("x"), NOW_MS, &scratch);
        assert_int_equal(out.verdict, BW_VERIFIED);
        assert_int_equal(out.delivery_id.len, len == 512 ? 512 : 0);
        bw_buf_free(&scratch);
    }
    close_source(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unknown_scheme_is_guessed),
        cmocka_unit_test(test_source_without_its_secret_does_not_start),
        cmocka_unit_test(test_secret_that_is_no_key_does_not_start),
        cmocka_unit_test(test_one_empty_value_among_good_ones_does_not_start),
        cmocka_unit_test(test_secret_that_the_scheme_does_not_know_is_an_error),
        cmocka_unit_test(test_unknown_option_is_guessed),
        cmocka_unit_test(test_basic_wants_user_and_password),
        cmocka_unit_test(test_token_must_be_the_same_to_the_byte),
        cmocka_unit_test(test_none_accepts_whoever_comes_and_vouches_for_nobody),
        cmocka_unit_test(test_event_name_is_trusted_only_from_signed_bytes),
        cmocka_unit_test(test_part_of_the_body_that_is_not_signed_is_not_trusted),
        cmocka_unit_test(test_names_are_made_of_words_and_dots),
        cmocka_unit_test(test_signed_body_that_is_no_json_is_malformed_not_refused),
        cmocka_unit_test(test_handshake_is_answered_only_to_whom_the_scheme_says),
        cmocka_unit_test(test_id_that_is_too_long_is_no_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
