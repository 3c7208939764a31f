/* What has cost others an event, or let a forged one in: one rule each, at the scheme that shows it best. */
#include "source_fixture.h"

/* "%s" in it: the signature */
static const char *with(const char *text, const char *signature, char out[600])
{
    const char *hole = strstr(text, "%s");
    assert_non_null(hole);
    return format(out, 600, "%.*s%s%s", (int)(hole - text), text, signature, hole + 2);
}

/* The id of the message is empty, and that is what is signed: it would be no id. */
static void test_a_signed_header_says_something(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    char sig[65], lines[600];
    add_secret(&fixture, "signing_secret", BW_SLICE("whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"));
    open_source(&fixture, "standard-webhooks");
    base64_mac("secret-secret-secret-secret", 27, ".1760000000.{}", sig);
    assert_refused(&fixture, with("webhook-id: \nwebhook-timestamp: 1760000000\nwebhook-signature: v1,%s\n", sig, lines), "{}",
                   "a signed part is missing or repeated");
    close_source(&fixture);
}

/* X answers anybody with the MAC of a token: no event is of what a token is made of. */
static void test_the_answer_of_x_signs_no_event(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    char sig[65], lines[600];
    static const char *const bodies[] = {"12345", "true", ""};
    add_secret(&fixture, "secret", BW_SLICE("k"));
    open_source(&fixture, "x-twitter");
    assert_accepted(&fixture, with("x-twitter-webhooks-signature: sha256=%s\n", base64_mac("k", 1, "{}", sig), lines), "{}");
    for (size_t i = 0; i < COUNT(bodies); i++) {
        base64_mac("k", 1, bodies[i], sig);
        assert_refused(&fixture, with("x-twitter-webhooks-signature: sha256=%s\n", sig, lines), bodies[i], NULL);
    }
    close_source(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_signed_header_says_something),
        cmocka_unit_test(test_the_answer_of_x_signs_no_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
