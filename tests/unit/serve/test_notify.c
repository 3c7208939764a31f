/* Where the service manager wants to be told, and how often. */
#include "serve/notify.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static void test_a_path_and_an_abstract_name_are_addresses(void **state)
{
    (void)state;
    struct sockaddr_un address;
    socklen_t len = 0;
    char text[128];
    assert_true(bw_notify_address("/run/x", &address, &len));
    assert_string_equal(address.sun_path, "/run/x");
    assert_int_equal(len, offsetof(struct sockaddr_un, sun_path) + 6);
    assert_true(bw_notify_address("@x/y", &address, &len));
    assert_memory_equal(address.sun_path, "\0x/y", 4);
    assert_int_equal(len, offsetof(struct sockaddr_un, sun_path) + 4);
    static const char *const bad[] = {"", "/", "@", "x", "vsock:2:1", " /run/x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (bw_notify_address(bad[i], &address, &len)) fail_msg("'%s'", bad[i]);
    memset(text, 'x', sizeof text);
    text[0] = '/';
    text[sizeof address.sun_path - 1] = '\0';
    assert_true(bw_notify_address(text, &address, &len));
    text[sizeof address.sun_path - 1] = 'x';
    text[sizeof address.sun_path] = '\0';
    assert_false(bw_notify_address(text, &address, &len));
}

static void test_the_watchdog_is_for_the_process_that_it_names(void **state)
{
    (void)state;
    assert_int_equal(bw_notify_watchdog_us("30000000", NULL, 42), 30000000);
    assert_int_equal(bw_notify_watchdog_us("30000000", "42", 42), 30000000);
    assert_int_equal(bw_notify_watchdog_us("30000000", "41", 42), 0);
    static const char *const bad[] = {"", "0", "-1", "1s", " 1", "+1", "9999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (bw_notify_watchdog_us(bad[i], NULL, 42)) fail_msg("'%s'", bad[i]);
    assert_int_equal(bw_notify_watchdog_us(NULL, NULL, 42), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_path_and_an_abstract_name_are_addresses),
        cmocka_unit_test(test_the_watchdog_is_for_the_process_that_it_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
