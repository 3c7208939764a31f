/* Who is it, and is it one of those? What is no plain address is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/net_range.h"
#include <stdio.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static bool holds(const char *range, const char *address)
{
    struct bw_net_range parsed;
    struct bw_net_address who;
    assert_int_equal(bw_net_range_parse(bw_slice_of(range), &parsed), BW_NET_GOOD);
    assert_true(bw_net_address_parse(bw_slice_of(address), &who));
    return bw_net_ranges_hold(&parsed, 1, &who);
}

static void test_a_network_holds_its_addresses_and_no_other(void **state)
{
    (void)state;
    static const struct {
        const char *range, *address;
        bool is_in;
    } cases[] = {
        {"10.0.0.0/8", "10.255.255.255", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"192.0.2.7", "192.0.2.7", true},
        {"192.0.2.7", "192.0.2.6", false},
        {"192.0.2.128/25", "192.0.2.128", true},
        {"192.0.2.128/25", "192.0.2.127", false},
        {"0.0.0.0/0", "203.0.113.1", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"::/0", "2001:db8::1", true},
        {"::/0", "203.0.113.1", false},
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false},
        {"10.0.0.0/8", "::ffff:10.1.2.3", true}, /* over a v6 socket it is the same host */
        {"::ffff:10.0.0.0/104", "10.1.2.3", true},
        {"fe80::/10", "fe80::1%eth0", true},
        {"::1", "::1", true},
        {"127.0.0.1", "::1", false},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        if (holds(cases[i].range, cases[i].address) != cases[i].is_in) fail_msg("%s in %s", cases[i].address, cases[i].range);
}

static void test_unix_is_a_range_and_no_address(void **state)
{
    (void)state;
    struct bw_net_range range;
    struct bw_net_address who;
    struct bw_buf text = {0};
    assert_int_equal(bw_net_range_parse(BW_SLICE("unix"), &range), BW_NET_GOOD);
    assert_false(bw_net_address_parse(BW_SLICE("unix"), &who)); /* a header cannot say it */
    assert_false(bw_net_ranges_hold(&range, 1, &who));
    assert_true(bw_net_address_parse(BW_SLICE("0.0.0.0"), &who));
    assert_false(bw_net_ranges_hold(&range, 1, &who));
    who = (struct bw_net_address){.family = BW_NET_UNIX};
    assert_true(bw_net_ranges_hold(&range, 1, &who));
    assert_int_equal(bw_net_range_parse(BW_SLICE("0.0.0.0/0"), &range), BW_NET_GOOD);
    assert_false(bw_net_ranges_hold(&range, 1, &who));
    bw_net_address_append(&text, &who);
    assert_string_equal(text.data, "unix");
    bw_buf_free(&text);
}

static void test_what_is_no_network_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "x",
                                      "10.0.0.0/",
                                      "10.0.0.0/33",
                                      "10.0.0.0/08",
                                      "10.0.0.0/-1",
                                      "10.0.0.0/8 ",
                                      " 10.0.0.0/8",
                                      "10.0.0",
                                      "010.0.0.0/8",
                                      "10.0.0.0/8/8",
                                      "::1/129",
                                      "::ffff:10.0.0.0/95",
                                      "fe80::%eth0/10",
                                      "localhost",
                                      "[::1]",
                                      "unix/0",
                                      "Unix",
                                      "1.2.3.4:80",
                                      "0x7f.1",
                                      "::1/1x"};
    struct bw_net_range range;
    for (size_t i = 0; i < COUNT(bad); i++)
        if (bw_net_range_parse(bw_slice_of(bad[i]), &range) != BW_NET_NO_ADDRESS) fail_msg("'%s' is taken", bad[i]);
    assert_int_equal(bw_net_range_parse(BW_SLICE("10.0\0.0.0"), &range), BW_NET_NO_ADDRESS);
}

static void test_an_address_inside_its_network_is_named_with_the_network(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"10.0.0.1/8", "10.0.0.0/8"}, {"192.0.2.255/25", "192.0.2.128/25"}, {"2001:db8::1/32", "2001:db8::/32"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bw_net_range range;
        struct bw_buf text = {0};
        assert_int_equal(bw_net_range_parse(bw_slice_of(cases[i][0]), &range), BW_NET_HOST_BITS);
        bw_net_range_append(&text, &range);
        assert_string_equal(text.data, cases[i][1]);
        bw_buf_free(&text);
    }
}

static void test_an_unknown_address_is_in_no_network(void **state)
{
    (void)state;
    struct bw_net_range ranges[2];
    struct bw_net_address who;
    bw_net_range_parse(BW_SLICE("0.0.0.0/0"), &ranges[0]);
    bw_net_range_parse(BW_SLICE("::/0"), &ranges[1]);
    assert_false(bw_net_address_parse(BW_SLICE("unknown"), &who));
    assert_int_equal(who.family, BW_NET_UNKNOWN);
    assert_false(bw_net_ranges_hold(ranges, 2, &who));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_network_holds_its_addresses_and_no_other),
        cmocka_unit_test(test_unix_is_a_range_and_no_address),
        cmocka_unit_test(test_what_is_no_network_is_refused),
        cmocka_unit_test(test_an_address_inside_its_network_is_named_with_the_network),
        cmocka_unit_test(test_an_unknown_address_is_in_no_network),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
