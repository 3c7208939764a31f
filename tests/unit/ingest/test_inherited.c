/* Sockets of the service manager: for whom they are, and which address of the configuration each one is. */
#include "ingest/inherited.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static void test_only_this_process_takes_them_and_only_a_number_counts(void **state)
{
    (void)state;
    assert_int_equal(bw_inherited_count("42", "2", 42), 2);
    assert_int_equal(bw_inherited_count("42", "1024", 42), 1024);
    static const struct {
        const char *pid, *fds;
    } none[] = {{NULL, NULL}, {"42", NULL}, {NULL, "1"},    {"41", "1"},  {"42", "0"},   {"42", "-1"},        {"42", "+1"},
                {"42", " 1"}, {"42", "1x"}, {"42", ""},     {"", "1"},    {"42x", "1"},  {"42", "1025"},      {"42", "99999999999"},
                {"-42", "1"}, {"0", "1"},   {"42", "0x10"}, {"42", "1 "}, {"\t42", "1"}, {"42", "4294967297"}};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        if (bw_inherited_count(none[i].pid, none[i].fds, 42)) fail_msg("LISTEN_PID=%s LISTEN_FDS=%s", none[i].pid, none[i].fds);
}

static bool is(const struct bw_listen *listen, int family, const char *host, uint16_t port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    assert_int_equal(inet_pton(family, host, family == AF_INET ? (void *)&v4.sin_addr : (void *)&v6.sin6_addr), 1);
    return family == AF_INET ? bw_inherited_is(listen, (struct sockaddr *)&v4, sizeof v4, false)
                             : bw_inherited_is(listen, (struct sockaddr *)&v6, sizeof v6, false);
}

static void test_a_port_is_the_same_address_and_the_same_port(void **state)
{
    (void)state;
    const struct bw_listen v4 = {.host = (char *)"127.0.0.1", .port = 80}, v6 = {.host = (char *)"::1", .port = 80},
                           all = {.host = (char *)"::", .port = 80}, all_v4 = {.host = (char *)"0.0.0.0", .port = 80},
                           file = {.path = (char *)"/run/x"}, any_port = {.host = (char *)"127.0.0.1"};
    assert_true(is(&v4, AF_INET, "127.0.0.1", 80));
    assert_false(is(&v4, AF_INET, "127.0.0.1", 81));
    assert_false(is(&v4, AF_INET, "127.0.0.2", 80));
    assert_false(is(&v4, AF_INET6, "::1", 80));
    assert_true(is(&v6, AF_INET6, "::1", 80));
    assert_false(is(&v6, AF_INET6, "::", 80));
    assert_false(is(&v6, AF_INET6, "::1", 8080));
    assert_true(is(&all, AF_INET6, "::", 80));
    assert_false(is(&all, AF_INET, "0.0.0.0", 80)); /* [::] takes v4 as well, 0.0.0.0 does not take v6: they are two addresses */
    assert_false(is(&all_v4, AF_INET6, "::", 80));
    assert_true(is(&all_v4, AF_INET, "0.0.0.0", 80));
    assert_false(is(&file, AF_INET, "127.0.0.1", 80));
    assert_false(is(&any_port, AF_INET, "127.0.0.1", 80));
    /* an engine's own socket is the one that it was given for port 0 */
    const struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons(4711), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_true(bw_inherited_is(&any_port, (const struct sockaddr *)&own, sizeof own, true));
    assert_false(bw_inherited_is(&v4, (const struct sockaddr *)&own, sizeof own, true));
    assert_false(bw_inherited_is(&v6, (const struct sockaddr *)&own, sizeof own, true));
}

static bool is_path(const struct bw_listen *listen, const char *bytes, size_t count)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, bytes, count);
    return bw_inherited_is(listen, (struct sockaddr *)&address, offsetof(struct sockaddr_un, sun_path) + count, false);
}

static void test_a_unix_socket_is_the_same_file(void **state)
{
    (void)state;
    char longest[108];
    memset(longest, 'x', sizeof longest);
    longest[0] = '/';
    const struct bw_listen file = {.path = (char *)"/run/nowhere/x.sock"}, folder = {.path = (char *)"/tmp"}, port = {.host = (char *)"127.0.0.1"};
    assert_true(is_path(&file, "/run/nowhere/x.sock", sizeof "/run/nowhere/x.sock")); /* the kernel counts the NUL */
    assert_true(is_path(&file, "/run/nowhere/x.sock", sizeof "/run/nowhere/x.sock" - 1));
    assert_true(is_path(&folder, "/tmp/.", sizeof "/tmp/."));
    assert_false(is_path(&file, "/run/nowhere/y.sock", sizeof "/run/nowhere/y.sock"));
    assert_false(is_path(&file, "\0/run/nowhere/x.sock", sizeof "/run/nowhere/x.sock")); /* abstract */
    assert_false(is_path(&file, "", 0));                                                 /* without a name */
    assert_false(is_path(&file, longest, sizeof longest));                               /* full, without a NUL */
    assert_false(is_path(&port, "/run/nowhere/x.sock", sizeof "/run/nowhere/x.sock"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_this_process_takes_them_and_only_a_number_counts),
        cmocka_unit_test(test_a_port_is_the_same_address_and_the_same_port),
        cmocka_unit_test(test_a_unix_socket_is_the_same_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
