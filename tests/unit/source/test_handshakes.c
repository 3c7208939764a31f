/* What the built-in schemes answer to a sender who asks before it sends, and forms as events. */
#include "source_fixture.h"

static const struct {
    const char *scheme, *secrets; /* NAME=VALUE, blanks between them */
    const char *method, *query, *headers, *body;
    unsigned status; /* 0: it is no handshake */
    const char *answer;
} rows[] = {
#define JSON "content-type: application/json\n"
#define FORM "content-type: application/x-www-form-urlencoded\n"
    {"meta", "secret=s verify_token=v", "GET", "hub.mode=subscribe&hub.verify_token=v&hub.challenge=11%2b5", "", "", 200, "11+5"},
    {"meta", "secret=s verify_token=v", "GET", "hub.mode=subscribe&hub.verify_token=w&hub.challenge=115", "", "", 403, ""},
    {"meta", "secret=s", "GET", "hub.mode=subscribe&hub.verify_token=&hub.challenge=115", "", "", 403, ""},
    {"dropbox", "secret=s", "GET", "challenge=%3Cb%3E", "", "", 200, "<b>"},
    {"nylas", "webhook_secret=s", "GET", "challenge=abc", "", "", 200, "abc"},
    {"nylas", "webhook_secret=s", "GET", "", "", "", 0, ""},
    {"x-twitter", "secret=key", "GET", "crc_token=challenge_string", "", "", 200,
     "{\"response_token\":\"sha256=7Ilri86FeNN5O70zgyNKoxcUyq4CJYPJL5pA+lZXg60=\"}"},
    {"x-twitter", "secret=key", "GET", "crc_token=%7B%22a%22%3A1%7D", "", "", 0, ""}, /* it would be the signature of this event */
    {"strava", "token=t verify_token=v", "GET", "hub.verify_token=v&hub.challenge=15f7&hub.mode=subscribe", "", "", 200,
     "{\"hub.challenge\":\"15f7\"}"},
    {"strava", "token=t verify_token=v", "GET", "hub.verify_token=w&hub.challenge=15f7&hub.mode=subscribe", "", "", 0, ""},
    {"mailchimp-marketing", "token=t", "GET", "", "", "", 200, ""},
    {"lark-token", "verification_token=t", "POST", "", JSON, "{\"type\":\"url_verification\",\"token\":\"t\",\"challenge\":\"c\"}", 200,
     "{\"challenge\":\"c\"}"},
    {"lark-token", "verification_token=t", "POST", "", JSON, "{\"type\":\"url_verification\",\"token\":\"u\",\"challenge\":\"c\"}", 0, ""},
    {"okta", "token=t", "GET", "", "x-okta-verification-challenge: a\"b\n", "", 200, "{\"verification\":\"a\\\"b\"}"},
    {"trello", "secret=s", "HEAD", "", "", "", 200, ""},
    {"intercom", "secret=s", "HEAD", "", "", "", 200, ""},
    {"mandrill", "webhook_key=s", "HEAD", "", "", "", 200, ""},
    {"woocommerce", "secret=s", "POST", "", FORM, "webhook_id=7", 200, ""},
    {"slack", "signing_secret=s", "POST", "", FORM, "ssl_check=1&token=x", 200, ""},
    {"slack", "signing_secret=s", "POST", "", JSON, "{\"type\":\"url_verification\",\"challenge\":\"c\"}", 0, ""}, /* not signed */
    {"zoom", "secret_token=s", "POST", "", JSON, "{\"event\":\"endpoint.url_validation\",\"payload\":{\"plainToken\":\"p\"}}", 0, ""},
    {"microsoft-graph", "client_state=s", "POST", "validationToken=Validation%3A+Testing", "content-type: text/plain\n", "", 200,
     "Validation: Testing"},
    {"cloudevents", "token=t", "OPTIONS", "", "webhook-request-origin: grid.example\n", "", 0, ""}, /* nobody was allowed */
    {"azure-event-grid", "token=t", "POST", "token=t", JSON "aeg-event-type: SubscriptionValidation\n", "[{\"data\":{\"validationCode\":\"v\"}}]",
     200, "{\"validationResponse\":\"v\"}"},
    {"azure-event-grid", "token=t", "POST", "token=u", JSON "aeg-event-type: SubscriptionValidation\n", "[{\"data\":{\"validationCode\":\"v\"}}]", 0,
     ""},
    {"azure-event-grid", "token=t", "POST", "token=t&token=t", JSON "aeg-event-type: SubscriptionValidation\n",
     "[{\"data\":{\"validationCode\":\"v\"}}]", 0, ""},
};

static void add_secrets(struct fixture *fixture, char *text)
{
    for (char *at = strtok(text, " "); at; at = strtok(NULL, " ")) {
        char *equals = strchr(at, '=');
        *equals = '\0';
        add_secret(fixture, at, bw_slice_of(equals + 1));
    }
}

static struct bw_judgement judge(const struct fixture *fixture, const char *method, const char *query, const char *headers, const char *body,
                                 struct bw_buf *scratch)
{
    struct lines lines;
    struct bw_judgement out;
    split_lines(&lines, bw_slice_of(headers));
    const struct bw_request request = {.method = bw_slice_of(method),
                                       .url = BW_SLICE("https://bellwire.example/in/test"),
                                       .query = bw_slice_of(query),
                                       .headers = lines.headers,
                                       .header_count = lines.count,
                                       .body = bw_slice_of(body),
                                       .now_ms = NOW_MS};
    bw_source_judge(fixture->source, &request, scratch, &out);
    return out;
}

static void test_each_handshake_is_answered_as_its_sender_wants(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct fixture fixture = {0};
        struct bw_buf scratch = {0};
        char secrets[100];
        format(secrets, sizeof secrets, "%s", rows[i].secrets);
        add_secrets(&fixture, secrets);
        open_source(&fixture, rows[i].scheme);
        const struct bw_judgement out = judge(&fixture, rows[i].method, rows[i].query, rows[i].headers, rows[i].body, &scratch);
        if (!rows[i].status) {
            if (out.verdict == BW_HANDSHAKE) fail_msg("row %zu: %s answers", i, rows[i].scheme);
        } else if (out.verdict != BW_HANDSHAKE || out.answer_status != rows[i].status || !bw_slice_is(out.answer_body, rows[i].answer)) {
            fail_msg("row %zu: %s answers %u %.*s (%s)", i, rows[i].scheme, out.answer_status, (int)out.answer_body.len, out.answer_body.ptr,
                     out.reason);
        }
        bw_buf_free(&scratch);
        close_source(&fixture);
    }
}

static void test_signed_handshakes(void **state)
{
    (void)state;
    static const struct {
        const char *scheme, *secret, *body, *message, *header;
        const char *answer;
        unsigned status;
    } signed_rows[] = {
        {"slack", "signing_secret", "{\"type\":\"url_verification\",\"challenge\":\"c\"}", "v0:1760000000:%s",
         "x-slack-request-timestamp: 1760000000\nx-slack-signature: v0=%s\n", "{\"challenge\":\"c\"}", 200},
        {"zoom", "secret_token", "{\"event\":\"endpoint.url_validation\",\"payload\":{\"plainToken\":\"p\"}}", "v0:1760000000:%s",
         "x-zm-request-timestamp: 1760000000\nx-zm-signature: v0=%s\n", NULL, 200},
        {"twitch", "secret", "{\"challenge\":\"pogchamp\"}", "m12025-10-09T08:53:20Z%s",
         "twitch-eventsub-message-id: m1\ntwitch-eventsub-message-timestamp: 2025-10-09T08:53:20Z\n"
         "twitch-eventsub-message-type: webhook_callback_verification\ntwitch-eventsub-message-signature: sha256=%s\n",
         "pogchamp", 200},
    };
    for (size_t i = 0; i < COUNT(signed_rows); i++) {
        struct fixture fixture = {0};
        struct bw_buf scratch = {0};
        char message[300], mac[65], headers[500], answer[200];
        const char *hole = strstr(signed_rows[i].message, "%s"), *place = strstr(signed_rows[i].header, "%s");
        add_secret(&fixture, signed_rows[i].secret, BW_SLICE("s"));
        open_source(&fixture, signed_rows[i].scheme);
        format(message, sizeof message, "%.*s%s", (int)(hole - signed_rows[i].message), signed_rows[i].message, signed_rows[i].body);
        hex_mac("s", message, mac);
        format(headers, sizeof headers, JSON "%.*s%s%s", (int)(place - signed_rows[i].header), signed_rows[i].header, mac, place + 2);
        const char *expected = signed_rows[i].answer;
        if (!expected) expected = format(answer, sizeof answer, "{\"plainToken\":\"p\",\"encryptedToken\":\"%s\"}", hex_mac("s", "p", mac));
        const struct bw_judgement out = judge(&fixture, "POST", "", headers, signed_rows[i].body, &scratch);
        if (out.verdict != BW_HANDSHAKE || out.answer_status != signed_rows[i].status || !bw_slice_is(out.answer_body, expected))
            fail_msg("%s answers %u %.*s (%s)", signed_rows[i].scheme, out.answer_status, (int)out.answer_body.len, out.answer_body.ptr, out.reason);
        bw_buf_free(&scratch);
        close_source(&fixture);
    }
}

static void test_cloud_events(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    struct bw_buf scratch = {0};
    add_secret(&fixture, "token", BW_SLICE("t"));
    add_option(&fixture, "origin=grid.example");
    open_source(&fixture, "cloudevents");
    struct bw_judgement out = judge(&fixture, "OPTIONS", "", "webhook-request-origin: grid.example\nwebhook-request-rate: 120\n", "", &scratch);
    assert_int_equal(out.verdict, BW_HANDSHAKE);
    static const char granted[] = "webhook-allowed-origin\0grid.example\0webhook-allowed-rate\0*";
    assert_non_null(memmem(out.answer_headers.ptr, out.answer_headers.len, granted, sizeof granted));
    assert_int_equal(judge(&fixture, "OPTIONS", "", "webhook-request-origin: evil.example\n", "", &scratch).verdict, BW_REFUSED);
    out = judge(&fixture, "POST", "", "authorization: Bearer t\nce-specversion: 1.0\nce-id: 1\nce-source: /s\nce-type: com.example.made\n", "<xml/>",
                &scratch);
    assert_string_equal(out.reason, "verified");
    assert_true(bw_slice_is(out.event, "com.example.made") && bw_slice_is(out.delivery_id, "/s:1") && !out.event_trusted);
    out = judge(&fixture, "POST", "", "authorization: Bearer t\ncontent-type: application/cloudevents+json\n",
                "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"a.b\",\"data\":{}}", &scratch);
    assert_string_equal(out.reason, "verified");
    assert_true(bw_slice_is(out.event, "a.b") && bw_slice_is(out.delivery_id, "/s:1"));
    out = judge(&fixture, "POST", "", "authorization: Bearer t\ncontent-type: application/cloudevents-batch+json\n",
                "[{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"a.b\"}]", &scratch);
    assert_string_equal(out.reason, "verified");
    assert_true(out.items.len && *out.items.ptr == '[');
    out = judge(&fixture, "POST", "", "authorization: Bearer t\ncontent-type: application/cloudevents-batch+json\n",
                "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"a.b\"}", &scratch);
    assert_int_equal(out.verdict, BW_MALFORMED);
    out = judge(&fixture, "POST", "", "authorization: Bearer u\nce-specversion: 1.0\nce-id: 1\nce-source: /s\nce-type: a\n", "{}", &scratch);
    assert_string_equal(out.reason, "bad token");
    bw_buf_free(&scratch);
    close_source(&fixture);
}

static void test_graph_wants_the_state_in_each_item(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    add_secret(&fixture, "client_state", BW_SLICE("s"));
    open_source(&fixture, "microsoft-graph");
    assert_accepted(&fixture, JSON, "{\"value\":[{\"clientState\":\"s\"},{\"clientState\":\"s\"}]}");
    assert_refused(&fixture, JSON, "{\"value\":[{\"clientState\":\"s\"},{\"clientState\":\"t\"}]}", "bad token");
    assert_refused(&fixture, JSON, "{\"value\":[{\"clientState\":\"s\"},{}]}", "missing token");
    assert_refused(&fixture, JSON, "{\"value\":[]}", "no item");
    assert_refused(&fixture, JSON, "{\"value\":[{\"clientState\":\"s\",\"clientState\":\"t\"}]}", "unreadable item");
    close_source(&fixture);
}

static void test_a_form_is_json_for_the_event(void **state)
{
    (void)state;
    static const struct {
        const char *body, *data; /* NULL: malformed */
    } forms[] = {
        {"a=1&b=x+y&a=%22", "{\"a\":[\"1\",\"\\\"\"],\"b\":\"x y\"}"},
        {"a", "{\"a\":\"\"}"},
        {"&&a=&&=b", "{\"a\":\"\",\"\":\"b\"}"},
        {"%C3%BC=%E2%82%AC", "{\"\xc3\xbc\":\"\xe2\x82\xac\"}"},
        {"a=%zz", NULL},
        {"a=%ff", NULL},
        {"a=%00", NULL},
        {"a=%4", NULL},
    };
    struct fixture fixture = {0};
    struct bw_buf scratch = {0};
    open_source(&fixture, "none");
    for (size_t i = 0; i < COUNT(forms); i++) {
        const struct bw_judgement out = judge(&fixture, "POST", "", FORM, forms[i].body, &scratch);
        if (!forms[i].data) {
            assert_int_equal(out.verdict, BW_MALFORMED);
            assert_non_null(out.fault.reason);
        } else if (out.verdict != BW_VERIFIED || !bw_slice_is(out.data, forms[i].data)) {
            fail_msg("%s is %.*s", forms[i].body, (int)out.data.len, out.data.ptr);
        }
    }
    const struct bw_judgement plain = judge(&fixture, "POST", "", "content-type: text/plain\n", "a=1", &scratch);
    assert_true(bw_slice_is(plain.data, "a=1")); /* what is not called a form is none */
    bw_buf_free(&scratch);
    close_source(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_handshake_is_answered_as_its_sender_wants),
        cmocka_unit_test(test_signed_handshakes),
        cmocka_unit_test(test_cloud_events),
        cmocka_unit_test(test_graph_wants_the_state_in_each_item),
        cmocka_unit_test(test_a_form_is_json_for_the_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
