#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ingest/request.h"
#include <stdlib.h>
#include <string.h>

static void check_split(const char *target, const char *path, const char *query)
{
    struct bw_slice got_path, got_query;
    bw_target_split(bw_slice_of(target), &got_path, &got_query);
    assert_true(bw_slice_is(got_path, path));
    assert_true(bw_slice_is(got_query, query));
}

static void test_the_query_begins_at_the_first_question_mark(void **state)
{
    (void)state;
    check_split("/in", "/in", "");
    check_split("/in?", "/in", "");
    check_split("/in?a=b?c", "/in", "a=b?c");
    check_split("/in%3Fa", "/in%3Fa", "");
    check_split("", "", "");
}

static void test_credentials_and_signatures_are_not_kept(void **state)
{
    (void)state;
    char *options[] = {(char *)"algorithm=sha256", (char *)"header=X-Seal"};
    const struct bw_source_config source = {.options = options, .option_count = 2};
    static const char *const dropped[] = {"Authorization",
                                          "Proxy-Authorization",
                                          "Cookie",
                                          "X-Hub-Signature-256",
                                          "X-Hub-Signature",
                                          "Stripe-Signature",
                                          "webhook-signature",
                                          "svix-signature",
                                          "X-Shopify-Hmac-Sha256",
                                          "X-Gitlab-Token",
                                          "X-Slack-Signature",
                                          "X-API-Key",
                                          "x-telegram-bot-api-secret-token",
                                          "X-SEAL",
                                          "x-airtable-content-mac"};
    static const char *const kept[] = {"Host",           "X-GitHub-Event", "X-GitHub-Delivery", "webhook-id",
                                       "svix-timestamp", "User-Agent",     "X-Sealed",          "Cook"};
    for (size_t i = 0; i < sizeof dropped / sizeof *dropped; i++)
        if (bw_header_is_kept(bw_slice_of(dropped[i]), &source)) fail_msg("%s is kept", dropped[i]);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (!bw_header_is_kept(bw_slice_of(kept[i]), &source)) fail_msg("%s is dropped", kept[i]);
}

static void test_kept_headers_are_one_json_object(void **state)
{
    (void)state;
    const struct bw_source_config source = {0};
    const struct bw_header headers[] = {{BW_SLICE("X-One"), BW_SLICE("a\\b\t")},
                                        {BW_SLICE("Cookie"), BW_SLICE("s")},
                                        {BW_SLICE("x-ONE"), BW_SLICE("again")},
                                        {BW_SLICE("Two"), BW_SLICE("")}};
    const struct bw_request request = {.headers = headers, .header_count = 4};
    struct bw_buf out = {0};
    bw_headers_keep(&out, &request, &source, BW_SLICE(""));
    assert_true(bw_slice_is(bw_buf_slice(&out), "{\"x-one\":\"a\\\\b\\t\",\"two\":\"\"}"));
    bw_buf_free(&out);
}

static void test_kept_headers_are_bounded_and_still_json(void **state)
{
    (void)state;
    const struct bw_source_config source = {0};
    static char large[5000];
    memset(large, 'x', sizeof large);
    const struct bw_header headers[] = {
        {BW_SLICE("One"), {large, sizeof large}}, {BW_SLICE("Two"), {large, sizeof large}}, {BW_SLICE("Three"), BW_SLICE("3")}};
    const struct bw_request request = {.headers = headers, .header_count = 3};
    struct bw_buf out = {0};
    bw_headers_keep(&out, &request, &source, BW_SLICE(""));
    assert_in_range(out.len, 5000, BW_KEPT_HEADERS_MAX);
    assert_true(bw_json_scan(bw_buf_slice(&out), NULL, NULL, NULL));
    assert_memory_equal(out.data + out.len - 14, "\",\"three\":\"3\"}", 14);
    bw_buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_query_begins_at_the_first_question_mark),
        cmocka_unit_test(test_credentials_and_signatures_are_not_kept),
        cmocka_unit_test(test_kept_headers_are_one_json_object),
        cmocka_unit_test(test_kept_headers_are_bounded_and_still_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
