/* Whose address is it? Only what a trusted proxy says counts, and what it does not say readably counts as nobody's. */
#include "ingest/client.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

static const struct {
    const char *peer, *headers[3], *text;
    bool is_known;
} cases[] = {
    {"203.0.113.5", {NULL}, "203.0.113.5", true},
    {"203.0.113.5", {"10.0.0.9"}, "203.0.113.5", true}, /* it is no proxy of ours: what it says is its own affair */
    {"10.0.0.1", {NULL}, "10.0.0.1", true},             /* the proxy itself asks */
    {"10.0.0.1", {"203.0.113.5"}, "203.0.113.5", true},
    {"::ffff:10.0.0.1", {"203.0.113.5"}, "203.0.113.5", true},
    {"10.0.0.1", {"198.51.100.1, 203.0.113.5"}, "203.0.113.5", true},   /* what the client has written in front is not believed */
    {"10.0.0.1", {"198.51.100.1", "203.0.113.5"}, "203.0.113.5", true}, /* two fields are one list */
    {"10.0.0.1", {"203.0.113.5,10.0.0.7", "10.0.0.8"}, "203.0.113.5", true},
    {"10.0.0.1", {"10.0.0.3, 10.0.0.2"}, "10.0.0.3", true}, /* proxies all the way: the first */
    {"10.0.0.1", {" \t203.0.113.5 \t"}, "203.0.113.5", true},
    {"10.0.0.1", {"203.0.113.5:4711"}, "203.0.113.5", true},
    {"10.0.0.1", {"[2001:db8::1]:4711"}, "2001:db8::1", true},
    {"10.0.0.1", {"2001:db8::1"}, "2001:db8::1", true},
    {"10.0.0.1", {"unknown"}, "10.0.0.1", false},
    {"10.0.0.1", {"198.51.100.1, unknown"}, "10.0.0.1", false},
    {"10.0.0.1", {"198.51.100.1,"}, "10.0.0.1", false},
    {"10.0.0.1", {"[2001:db8::1"}, "10.0.0.1", false},
    {"10.0.0.1", {"unknown, 203.0.113.5"}, "203.0.113.5", true}, /* nobody looks that far */
    {"2001:db8:ff::1", {"203.0.113.5"}, "203.0.113.5", true},
    {"unix", {NULL}, "unix", true},
    {"unix", {"203.0.113.5"}, "unix", true},   /* it is not in the list */
    {"10.0.0.1", {"unix"}, "10.0.0.1", false}, /* only a socket says that */
    {"10.0.0.1", {"203.0.113.9, unix"}, "10.0.0.1", false},
    {"", {NULL}, "", false},
};

static void test_the_client_is_the_last_that_no_trusted_proxy_is(void **state)
{
    (void)state;
    struct bw_net_range trusted[2];
    bw_net_range_parse(BW_SLICE("10.0.0.0/8"), &trusted[0]);
    bw_net_range_parse(BW_SLICE("2001:db8:ff::/48"), &trusted[1]);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bw_header headers[4] = {{BW_SLICE("Host"), BW_SLICE("203.0.113.77")}};
        struct bw_request request = {.headers = headers, .header_count = 1};
        struct bw_client client;
        for (size_t k = 0; cases[i].headers[k]; k++)
            headers[request.header_count++] = (struct bw_header){BW_SLICE("x-Forwarded-For"), bw_slice_of(cases[i].headers[k])};
        bw_client_of(bw_slice_of(cases[i].peer), &request, trusted, 2, &client);
        if (strcmp(client.text, cases[i].text) || (client.address.family != BW_NET_UNKNOWN) != cases[i].is_known)
            fail_msg("%s, %s: %s, %s", cases[i].peer, cases[i].headers[0], client.text, client.address.family ? "known" : "unknown");
        struct bw_net_address same;
        if (cases[i].is_known && bw_net_address_parse(bw_slice_of(cases[i].text), &same)) assert_memory_equal(&same, &client.address, sizeof same);
    }
}

static void test_without_trusted_proxies_nobody_is_believed(void **state)
{
    (void)state;
    struct bw_header header = {BW_SLICE("X-Forwarded-For"), BW_SLICE("203.0.113.5")};
    const struct bw_request request = {.headers = &header, .header_count = 1};
    struct bw_client client;
    bw_client_of(BW_SLICE("127.0.0.1"), &request, NULL, 0, &client);
    assert_string_equal(client.text, "127.0.0.1");
}

static void test_a_proxy_on_a_unix_socket_is_believed_when_the_list_says_unix(void **state)
{
    (void)state;
    struct bw_header header = {BW_SLICE("X-Forwarded-For"), BW_SLICE("198.51.100.1, 203.0.113.5")};
    const struct bw_request request = {.headers = &header, .header_count = 1};
    struct bw_net_range trusted;
    struct bw_client client;
    bw_net_range_parse(BW_SLICE("unix"), &trusted);
    bw_client_of(BW_SLICE("unix"), &request, &trusted, 1, &client);
    assert_string_equal(client.text, "203.0.113.5");
    assert_int_equal(client.address.family, BW_NET_V4);
    bw_client_of(BW_SLICE("127.0.0.1"), &request, &trusted, 1, &client);
    assert_string_equal(client.text, "127.0.0.1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_client_is_the_last_that_no_trusted_proxy_is),
        cmocka_unit_test(test_a_proxy_on_a_unix_socket_is_believed_when_the_list_says_unix),
        cmocka_unit_test(test_without_trusted_proxies_nobody_is_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
