/* Each case is fed whole and cut at every byte boundary, and then byte by byte: the verdict must not depend on the packets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ingest/gate_reading.h"
#include <stdio.h>
#include <stdlib.h>

static void check_pieces(const char *text, size_t len, size_t first, size_t rest, unsigned status, const char *reason, uint64_t completed)
{
    struct reading *reading = calloc(1, sizeof *reading);
    assert_non_null(reading);
    feed(reading, text, first);
    for (size_t at = first; at < len; at += rest) feed(reading, text + at, len - at < rest ? len - at : rest);
    unsigned got = reading->gate.fault ? reading->gate.fault->status : 0;
    const char *why = reading->gate.fault ? reading->gate.fault->reason : "passed";
    if (got != status || (status && strcmp(why, reason) != 0) || reading->gate.completed != completed)
        fail_msg("'%.60s…' cut at %zu: %u (%s), %llu requests; expected %u (%s), %llu", text, first, got, why,
                 (unsigned long long)reading->gate.completed, status, reason, (unsigned long long)completed);
    free(reading);
}

static void check(const char *text, size_t len, unsigned status, const char *reason, uint64_t completed)
{
    check_pieces(text, len, len, 1, status, reason, completed);
    check_pieces(text, len, 0, 1, status, reason, completed);
    for (size_t cut = 1; cut < len; cut++) check_pieces(text, len, cut, len, status, reason, completed);
}
#define PASSES(text, requests) check(text, sizeof(text) - 1, 0, "", requests)
#define REFUSED(text, status, reason) check(text, sizeof(text) - 1, status, reason, 0)
#define SECOND_REFUSED(text, status, reason) check(text, sizeof(text) - 1, status, reason, 1)
#define HOST "Host: x\r\n"

static void test_honest_requests_pass(void **state)
{
    (void)state;
    PASSES("GET / HTTP/1.1\r\n" HOST "\r\n", 1);
    PASSES("GET / HTTP/1.0\r\n\r\n", 1);
    PASSES("POST /in?a=b HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc", 1);
    PASSES("POST /in HTTP/1.1\r\nhost: [::1]:80\r\nX-Empty:\r\nX-Utf8: \xc3\xa9\r\ncontent-length:\t3 \r\n\r\nabc", 1);
    PASSES("POST /in HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0A\r\n0123456789\r\n0\r\n\r\n", 1);
    PASSES("POST /in HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\nExpect: 100-Continue\r\n\r\n00\r\n\r\n", 1);
    PASSES("OPTIONS * HTTP/1.1\r\n" HOST "\r\n", 1);
}

static void test_pipelined_requests_are_counted(void **state)
{
    (void)state;
    PASSES("POST /a HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nabGET /b HTTP/1.1\r\n" HOST "\r\n"
           "POST /c HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\nGET /d HTTP/1.1\r\n" HOST "\r\n",
           4);
}

static void test_a_body_length_has_one_meaning(void **state)
{
    (void)state;
    REFUSED("POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400, "duplicate Content-Length");
    REFUSED("POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400, "duplicate Content-Length");
    REFUSED("POST / HTTP/1.1\r\n" HOST "Content-Length: 3, 3\r\n\r\nabc", 400, "malformed Content-Length");
    REFUSED("POST / HTTP/1.1\r\n" HOST "Content-Length: +3\r\n\r\nabc", 400, "malformed Content-Length");
    REFUSED("POST / HTTP/1.1\r\n" HOST "Content-Length: -0\r\n\r\n", 400, "malformed Content-Length");
    REFUSED("POST / HTTP/1.1\r\n" HOST "Content-Length: 0x3\r\n\r\nabc", 400, "malformed Content-Length");
    REFUSED("POST / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n", 400, "malformed Content-Length");
    REFUSED("POST / HTTP/1.1\r\n" HOST "Content-Length: 9223372036854775807\r\n\r\n", 400, "malformed Content-Length");
    REFUSED("POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400,
            "both Content-Length and Transfer-Encoding");
    REFUSED("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\n\r\n", 400, "Transfer-Encoding other than chunked");
    REFUSED("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n", 400, "Transfer-Encoding other than chunked");
    REFUSED("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\n\r\n", 400, "Transfer-Encoding other than chunked");
    REFUSED("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n", 400, "Transfer-Encoding other than chunked");
    REFUSED("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked;x\r\n\r\n", 400, "Transfer-Encoding other than chunked");
    REFUSED("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400,
            "Transfer-Encoding other than chunked");
    REFUSED("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: \vchunked\r\n\r\n", 400, "control character in a header");
    REFUSED("POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", 400, "Transfer-Encoding other than chunked");
    REFUSED("HEAD / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc", 400, "body not allowed with this method");
    REFUSED("GET / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc", 400, "body not allowed with this method");
    REFUSED("GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "body not allowed with this method");
}

static void test_header_lines_are_strict(void **state)
{
    (void)state;
    REFUSED("POST / HTTP/1.1\r\n" HOST "Content-Length : 3\r\n\r\nabc", 400, "malformed header name");
    REFUSED("POST / HTTP/1.1\r\n" HOST "X Y: 3\r\n\r\n", 400, "malformed header name");
    REFUSED("POST / HTTP/1.1\r\n" HOST ": 3\r\n\r\n", 400, "malformed header name");
    REFUSED("POST / HTTP/1.1\r\n" HOST "nonsense\r\n\r\n", 400, "malformed header name");
    REFUSED("POST / HTTP/1.1\r\n" HOST "X-A: b\r\n c\r\n\r\n", 400, "folded header line");
    REFUSED("POST / HTTP/1.1\r\n" HOST "X-A: b\rc\r\n\r\n", 400, "control character in a header");
    REFUSED("POST / HTTP/1.1\r\n" HOST "X-A: \x1b[2J\r\n\r\n", 400, "control character in a header");
    REFUSED("POST / HTTP/1.1\r\n" HOST "Content-Length: 3\0"
            "999\r\n\r\n",
            400, "NUL byte in the head");
    REFUSED("POST / HTTP/1.1\r\n" HOST "\0: x\r\n\r\n", 400, "NUL byte in the head");
    REFUSED("POST / HTTP/1.1\n" HOST "\r\n", 400, "line feed without carriage return");
    REFUSED("POST / HTTP/1.1\r\nHost: x\n\r\n", 400, "line feed without carriage return");
    REFUSED("POST / HTTP/1.1\r\n" HOST "\n", 400, "line feed without carriage return");
}

static void test_a_name_that_others_take_for_a_framing_one_is_refused(void **state)
{
    (void)state;
    static const char reason[] = "header name that others read as Content-Length or Transfer-Encoding";
    REFUSED("POST / HTTP/1.1\r\n" HOST "Content_Length: 3\r\n\r\n", 400, reason);
    REFUSED("POST / HTTP/1.1\r\n" HOST "ContentLength: 3\r\n\r\n", 400, reason);
    REFUSED("POST / HTTP/1.1\r\n" HOST "Transfer---Encoding: chunked\r\n\r\n", 400, reason);
    REFUSED("POST / HTTP/1.1\r\n" HOST "_transfer_encoding_: chunked\r\nContent-Length: 3\r\n\r\nabc", 400, reason);
    PASSES("POST / HTTP/1.1\r\n" HOST "Content-Lengths: 3\r\nX-Content-Length: 3\r\n\r\n", 1); /* not these */
}

static void test_there_is_one_host(void **state)
{
    (void)state;
    REFUSED("GET / HTTP/1.1\r\n\r\n", 400, "missing, duplicate or malformed Host");
    REFUSED("GET / HTTP/1.1\r\n" HOST HOST "\r\n", 400, "missing, duplicate or malformed Host");
    REFUSED("GET / HTTP/1.0\r\n" HOST HOST "\r\n", 400, "missing, duplicate or malformed Host");
    REFUSED("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "missing, duplicate or malformed Host");
    REFUSED("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400, "missing, duplicate or malformed Host");
}

static void test_the_request_line_is_strict(void **state)
{
    (void)state;
    REFUSED("\r\nGET / HTTP/1.1\r\n" HOST "\r\n", 400, "malformed request line");
    REFUSED("GET /a b HTTP/1.1\r\n" HOST "\r\n", 400, "malformed request line");
    REFUSED("GET  / HTTP/1.1\r\n" HOST "\r\n", 400, "malformed request target");
    REFUSED("GET /\r\n" HOST "\r\n", 400, "malformed request line");
    REFUSED("GET http://x/ HTTP/1.1\r\n" HOST "\r\n", 400, "malformed request target");
    REFUSED("GET //x/y HTTP/1.1\r\n" HOST "\r\n", 400, "malformed request target");
    REFUSED("GET  HTTP/1.1\r\n" HOST "\r\n", 400, "malformed request target");
    REFUSED("GET /\xc0\xaf HTTP/1.1\r\n" HOST "\r\n", 400, "malformed request target");
    REFUSED("GET / HTTP/1.9\r\n" HOST "\r\n", 505, "HTTP version not supported");
    REFUSED("GET / HTTP/2.0\r\n" HOST "\r\n", 505, "HTTP version not supported");
    REFUSED("GET / http/1.1\r\n" HOST "\r\n", 505, "HTTP version not supported");
    REFUSED("TRACE / HTTP/1.1\r\n" HOST "\r\n", 405, "method not supported");
    REFUSED("CONNECT /x HTTP/1.1\r\n" HOST "\r\n", 405, "method not supported");
    REFUSED("post / HTTP/1.1\r\n" HOST "\r\n", 405, "method not supported");
    REFUSED("PRI * HTTP/2.0\r\n\r\n", 505, "HTTP version not supported");
    REFUSED("POST / HTTP/1.1\r\n" HOST "Expect: miracles\r\n\r\n", 417, "expectation not supported");
}

#define CHUNKED "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
static void test_chunks_are_strict(void **state)
{
    (void)state;
    REFUSED(CHUNKED "0x3\r\nabc\r\n0\r\n\r\n", 400, "malformed chunk size");
    REFUSED(CHUNKED "+3\r\nabc\r\n0\r\n\r\n", 400, "malformed chunk size");
    REFUSED(CHUNKED " 3\r\nabc\r\n0\r\n\r\n", 400, "malformed chunk size");
    REFUSED(CHUNKED "3 \r\nabc\r\n0\r\n\r\n", 400, "malformed chunk size");
    REFUSED(CHUNKED "3;a=b\r\nabc\r\n0\r\n\r\n", 400, "malformed chunk size");
    REFUSED(CHUNKED "3\nabc\r\n0\r\n\r\n", 400, "malformed chunk size");
    REFUSED(CHUNKED "\r\n", 400, "malformed chunk size");
    REFUSED(CHUNKED "000000003\r\nabc\r\n0\r\n\r\n", 400, "malformed chunk size");
    REFUSED(CHUNKED "3\r\nabc0\r\n\r\n", 400, "chunk without its line end");
    REFUSED(CHUNKED "3\r\nabc\n0\r\n\r\n", 400, "chunk without its line end");
    REFUSED(CHUNKED "3\r\nabc\r\n0\r\nX-Trailer: y\r\n\r\n", 400, "trailer fields are not supported");
    REFUSED(CHUNKED "0\r\n\n", 400, "trailer fields are not supported");
}

static void test_the_body_limit_is_exact(void **state)
{
    (void)state;
    PASSES("POST / HTTP/1.1\r\n" HOST "Content-Length: 64\r\n\r\n0123456789012345678901234567890123456789012345678901234567890123", 1);
    REFUSED("POST / HTTP/1.1\r\n" HOST "Content-Length: 65\r\n\r\n", 413, "body too large");
    PASSES(CHUNKED "3f\r\n012345678901234567890123456789012345678901234567890123456789012\r\n1\r\nx\r\n0\r\n\r\n", 1);
    REFUSED(CHUNKED "40\r\n0123456789012345678901234567890123456789012345678901234567890123\r\n1\r\nx\r\n0\r\n\r\n", 413, "body too large");
    REFUSED(CHUNKED "ffffffff\r\n", 413, "body too large");
}

static void test_what_follows_a_fault_is_never_read(void **state)
{
    (void)state;
    REFUSED("GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n", 400, "missing, duplicate or malformed Host");
    SECOND_REFUSED("GET / HTTP/1.1\r\n" HOST "\r\nHEAD / HTTP/1.1\r\n" HOST "Content-Length: 40\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n", 400,
                   "body not allowed with this method");
}

static void test_heads_end_in_time(void **state)
{
    (void)state;
    char *text = malloc(3 * BW_GATE_HEAD_MAX);
    assert_non_null(text);
    int len = sprintf(text, "GET /");
    memset(text + len, 'a', BW_GATE_LINE_MAX);
    check_pieces(text, (size_t)len + BW_GATE_LINE_MAX, 0, 100, 414, "request line too long", 0);
    len = sprintf(text, "GET / HTTP/1.1\r\n" HOST "X: ");
    memset(text + len, 'a', BW_GATE_HEAD_MAX);
    check_pieces(text, (size_t)len + BW_GATE_HEAD_MAX, 0, 100, 431, "header fields too large", 0);
    for (int fields = BW_GATE_FIELDS_MAX; fields <= BW_GATE_FIELDS_MAX + 1; fields++) {
        len = sprintf(text, "GET / HTTP/1.1\r\n" HOST);
        for (int i = 1; i < fields; i++) len += sprintf(text + len, "X-%d: y\r\n", i);
        len += sprintf(text + len, "\r\n");
        bool fits = fields <= BW_GATE_FIELDS_MAX;
        check_pieces(text, (size_t)len, 0, 1, fits ? 0 : 431, "too many header fields", fits);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_honest_requests_pass),
        cmocka_unit_test(test_pipelined_requests_are_counted),
        cmocka_unit_test(test_a_body_length_has_one_meaning),
        cmocka_unit_test(test_header_lines_are_strict),
        cmocka_unit_test(test_a_name_that_others_take_for_a_framing_one_is_refused),
        cmocka_unit_test(test_there_is_one_host),
        cmocka_unit_test(test_the_request_line_is_strict),
        cmocka_unit_test(test_chunks_are_strict),
        cmocka_unit_test(test_the_body_limit_is_exact),
        cmocka_unit_test(test_what_follows_a_fault_is_never_read),
        cmocka_unit_test(test_heads_end_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
