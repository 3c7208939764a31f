/* Timestamps: which texts are one, and how far from the clock they may be, on both sides. Every request here is signed rightly. */
#include "source_fixture.h"

static const char body[] = "{\"type\":\"a\"}";
static const char key[] = "its-a-secret";

/* In place: the source borrows the configuration. */
static void open_stripe(struct fixture *fixture)
{
    add_secret(fixture, "signing_secret", bw_slice_of(key));
    open_source(fixture, "stripe");
}

static const char *stripe_lines(const char *time, char out[400])
{
    char message[300], mac[65];
    return format(out, 400, "stripe-signature: t=%s,v1=%s\n", time, hex_mac(key, format(message, sizeof message, "%s.%s", time, body), mac));
}

static void test_tolerance_ends_on_both_sides(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    open_stripe(&fixture);
    char lines[400];
    stripe_lines("1760000000", lines);
    assert_verdict_at(&fixture, lines, body, NOW_MS + 300000, BW_VERIFIED, NULL);
    assert_verdict_at(&fixture, lines, body, NOW_MS + 300001, BW_REFUSED, "stale timestamp");
    assert_verdict_at(&fixture, lines, body, NOW_MS - 300000, BW_VERIFIED, NULL);
    assert_verdict_at(&fixture, lines, body, NOW_MS - 300001, BW_REFUSED, "timestamp in the future");
    close_source(&fixture);
}

static void test_seconds_are_plain_digits(void **state)
{
    (void)state;
    static const char *const odd[] = {
        "+1760000000",        "-1760000000", "01760000000",         "1760000000abc", "1.76e9", "1760000000.0", "0x68e77800", "1 760000000", "",
        "1760000000\xc2\xa0", "1760000000;", "１７６０００００００"};
    struct fixture fixture = {0};
    open_stripe(&fixture);
    char lines[400];
    assert_accepted(&fixture, stripe_lines("1760000000", lines), body);
    for (size_t i = 0; i < COUNT(odd); i++) assert_refused(&fixture, stripe_lines(odd[i], lines), body, "unreadable timestamp");
    assert_refused(&fixture, stripe_lines("999999999999999", lines), body, "timestamp in the future"); /* as long as a number may be */
    assert_refused(&fixture, stripe_lines("1000000000000000", lines), body, "unreadable timestamp");
    assert_refused(&fixture, stripe_lines("0", lines), body, "stale timestamp");
    assert_refused(&fixture, stripe_lines("1760000000000", lines), body, "timestamp in the future"); /* milliseconds are not guessed */
    close_source(&fixture);
}

static void test_missing_or_repeated_timestamp_is_refused(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    open_stripe(&fixture);
    char lines[400], mac[65], message[100];
    hex_mac(key, format(message, sizeof message, "1760000000.%s", body), mac);
    assert_accepted(&fixture, format(lines, sizeof lines, "stripe-signature: t=1760000000,v1=%s\n", mac), body);
    assert_refused(&fixture, format(lines, sizeof lines, "stripe-signature: v1=%s\n", mac), body, "missing timestamp");
    assert_refused(&fixture, format(lines, sizeof lines, "stripe-signature: t=1760000000,t=1760000000,v1=%s\n", mac), body, "repeated timestamp");
    assert_refused(&fixture, format(lines, sizeof lines, "stripe-signature: t=1,t=1760000000,v1=%s\n", mac), body, "repeated timestamp");
    close_source(&fixture);
}

static void test_timestamp_of_another_request_is_refused(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    open_stripe(&fixture);
    char lines[400], mac[65], message[100];
    hex_mac(key, format(message, sizeof message, "1759990000.%s", body), mac); /* a true signature, hours old */
    assert_refused(&fixture, format(lines, sizeof lines, "stripe-signature: t=1759990000,v1=%s\n", mac), body, "stale timestamp");
    assert_refused(&fixture, format(lines, sizeof lines, "stripe-signature: t=1760000000,v1=%s\n", mac), body, "bad signature");
    assert_verdict_at(&fixture, format(lines, sizeof lines, "stripe-signature: t=1759990000,v1=%s\n", mac), body, 1759990000000, BW_VERIFIED, NULL);
    close_source(&fixture);
}

static void test_repeated_timestamp_header_is_refused(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    char lines[400], mac[65], message[100];
    add_secret(&fixture, "signing_secret", bw_slice_of(key));
    open_source(&fixture, "slack");
    hex_mac(key, format(message, sizeof message, "v0:1760000000:%s", body), mac);
    assert_accepted(&fixture, format(lines, sizeof lines, "x-slack-request-timestamp: 1760000000\nx-slack-signature: v0=%s\n", mac), body);
    assert_refused(
        &fixture, format(lines, sizeof lines, "x-slack-request-timestamp: 1760000000\nX-Slack-Request-Timestamp: 1\nx-slack-signature: v0=%s\n", mac),
        body, "duplicate header");
    close_source(&fixture);
}

static void test_milliseconds_are_counted_as_such(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    char lines[400], mac[65], message[100];
    add_secret(&fixture, "secret", bw_slice_of(key));
    add_option(&fixture, "timestamp=header:x-time");
    add_option(&fixture, "unit=ms");
    add_option(&fixture, "tolerance=1");
    open_source(&fixture, "hmac");
    hex_mac(key, format(message, sizeof message, "1760000000500%s", body), mac);
    format(lines, sizeof lines, "x-time: 1760000000500\nx-signature: %s\n", mac);
    assert_verdict_at(&fixture, lines, body, NOW_MS + 1500, BW_VERIFIED, NULL);
    assert_verdict_at(&fixture, lines, body, NOW_MS + 1501, BW_REFUSED, "stale timestamp");
    assert_verdict_at(&fixture, lines, body, NOW_MS - 500, BW_VERIFIED, NULL);
    assert_verdict_at(&fixture, lines, body, NOW_MS - 501, BW_REFUSED, "timestamp in the future");
    close_source(&fixture);
}

static void test_dates_are_rfc_3339_to_the_letter(void **state)
{
    (void)state;
    static const char *const now[] = {"2025-10-09T08:53:20Z", "2025-10-09T08:53:20.0Z", "2025-10-09T08:53:20.000000000Z", "2025-10-09T10:53:20+02:00",
                                      "2025-10-09T03:23:20-05:30"};
    static const char *const odd[] = {"2025-10-09T08:53:20",
                                      "2025-10-09t08:53:20z",
                                      "2025-10-09 08:53:20Z",
                                      "  25-10-09T08:53:20Z",
                                      "2025-10- 9T08:53:20Z",
                                      "2025-10-09T08:53:20.Z",
                                      "2025-10-09T08:53:20ZZ",
                                      "2025-10-09T08:53:20+0200",
                                      "2025-10-09T08:53:20+-1:-1",
                                      "2025-10-09T08:53:20+02:00Z",
                                      "2025-13-09T08:53:20Z",
                                      "2025-10-09T24:53:20Z",
                                      "2025-10-09T08:61:20Z",
                                      "20251009T085320Z",
                                      "2025-10-09",
                                      "1760000000",
                                      "2025-10-09T08:53:20,000Z",
                                      "+025-10-09T08:53:20Z",
                                      "2025-10-09T08:53:20+02:0",
                                      ""};
    struct fixture fixture = {0};
    char lines[400], mac[64], message[100];
    add_secret(&fixture, "signing_secret", bw_slice_of(key));
    open_source(&fixture, "zendesk");
    for (size_t i = 0; i < COUNT(now) + COUNT(odd); i++) {
        const char *time = i < COUNT(now) ? now[i] : odd[i - COUNT(now)];
        base64_mac(key, strlen(key), format(message, sizeof message, "%s%s", time, body), mac);
        format(lines, sizeof lines, "x-zendesk-webhook-signature-timestamp: %s\nx-zendesk-webhook-signature: %s\n", time, mac);
        assert_verdict_at(&fixture, lines, body, NOW_MS, i < COUNT(now) ? BW_VERIFIED : BW_REFUSED, i < COUNT(now) ? NULL : "unreadable timestamp");
    }
    /* The fraction and the offset count. */
    base64_mac(key, strlen(key), format(message, sizeof message, "2025-10-09T08:53:20.25Z%s", body), mac);
    format(lines, sizeof lines, "x-zendesk-webhook-signature-timestamp: 2025-10-09T08:53:20.25Z\nx-zendesk-webhook-signature: %s\n", mac);
    assert_verdict_at(&fixture, lines, body, NOW_MS + 300250, BW_VERIFIED, NULL);
    assert_verdict_at(&fixture, lines, body, NOW_MS + 300251, BW_REFUSED, "stale timestamp");
    close_source(&fixture);
}

/* json-number: a sender that writes a number is not taken at a string's word. */
static void test_signed_json_number_is_a_clock(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        const char *reason;
    } samples[] = {{"{\"webhookTimestamp\":1760000000000}", NULL},
                   {"{\"webhookTimestamp\":1759999939999}", "stale timestamp"},
                   {"{\"webhookTimestamp\":1760000060001}", "timestamp in the future"},
                   {"{\"webhookTimestamp\":\"1760000000000\"}", "missing timestamp"},
                   {"{\"webhookTimestamp\":1.76e12}", "unreadable timestamp"},
                   {"{\"webhookTimestamp\":1760000000000.0}", "unreadable timestamp"},
                   {"{\"webhookTimestamp\":1760000000000,\"webhookTimestamp\":1760000000000}", "unreadable body"},
                   {"{\"other\":{\"webhookTimestamp\":1760000000000}}", "missing timestamp"}};
    struct fixture fixture = {0};
    char lines[200], mac[65];
    add_secret(&fixture, "signing_secret", bw_slice_of(key));
    open_source(&fixture, "linear");
    for (size_t i = 0; i < COUNT(samples); i++)
        assert_verdict_at(&fixture, format(lines, sizeof lines, "linear-signature: %s\n", hex_mac(key, samples[i].body, mac)), samples[i].body,
                          NOW_MS, samples[i].reason ? BW_REFUSED : BW_VERIFIED, samples[i].reason);
    close_source(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tolerance_ends_on_both_sides),
        cmocka_unit_test(test_seconds_are_plain_digits),
        cmocka_unit_test(test_missing_or_repeated_timestamp_is_refused),
        cmocka_unit_test(test_timestamp_of_another_request_is_refused),
        cmocka_unit_test(test_repeated_timestamp_header_is_refused),
        cmocka_unit_test(test_milliseconds_are_counted_as_such),
        cmocka_unit_test(test_dates_are_rfc_3339_to_the_letter),
        cmocka_unit_test(test_signed_json_number_is_a_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
