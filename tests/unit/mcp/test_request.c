/* Messages of the Model Context Protocol: which era they are of, and what each era asks for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mcp/answer.h"
#include <string.h>

#define CAPABLE "\"io.modelcontextprotocol/clientCapabilities\":{}"
#define TODAY "\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\"," CAPABLE "}"

static struct bw_mcp_header header(const char *value)
{
    return (struct bw_mcp_header){bw_slice_of(value ? value : ""), value ? 1 : 0};
}

struct sample {
    const char *body, *version, *method, *name; /* NULL: no such header */
    int code;                                   /* 0: it is good */
    bool is_of_today;
};

static void test_each_era_asks_for_its_own(void **state)
{
    static const struct sample samples[] = {
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}", NULL, NULL, NULL, 0, false},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}", "2025-03-26", NULL, NULL, 0, false},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\"}", "2026-01-01", NULL, NULL, 0, false},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{" TODAY "}}", "2026-07-28", "tools/list", NULL, 0, true},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{" TODAY "}}", NULL, "tools/list", NULL, BW_MCP_HEADER_MISMATCH, true},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{" TODAY "}}", "2026-07-28", "Tools/List", NULL, BW_MCP_HEADER_MISMATCH,
         true},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"größe\"," TODAY "}}", "2026-07-28", "tools/call",
         "=?base64?Z3LDtsOfZQ==?=", 0, true},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"größe\"," TODAY "}}", "2026-07-28", "tools/call", "größe",
         BW_MCP_HEADER_MISMATCH, true}, /* no header holds it plain */
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{" TODAY "}}", "2026-07-28", "initialize", NULL, BW_MCP_UNKNOWN_METHOD,
         true},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}", "2031-01-01", NULL, NULL, BW_MCP_UNSUPPORTED_VERSION, false},
        {"{\"jsonrpc\":\"2.0\",\"result\":{}}", "2026-07-28", NULL, NULL, BW_MCP_INVALID_REQUEST, true},
        {"{\"jsonrpc\":\"2.0\",\"result\":{}}", NULL, NULL, NULL, 0, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        const struct sample *sample = &samples[i];
        const struct bw_mcp_headers headers = {header(sample->version), header(sample->method), header(sample->name)};
        struct bw_mcp_request request = {0};
        struct bw_mcp_fault fault = {0};
        bool good = bw_mcp_request_read(bw_slice_of(sample->body), &headers, &request, &fault);
        if (good != !sample->code || fault.code != (enum bw_mcp_code)sample->code || request.to.is_of_today != sample->is_of_today)
            fail_msg("%s: %d %s", sample->body, fault.code, fault.message);
        bw_mcp_request_clear(&request);
    }
}

static void test_a_header_that_comes_twice_is_none(void **state)
{
    const struct bw_slice body = BW_SLICE("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{" TODAY "}}");
    struct bw_mcp_headers headers = {header("2026-07-28"), header("tools/list"), header(NULL)};
    struct bw_mcp_request request = {0};
    struct bw_mcp_fault fault = {0};
    (void)state;
    headers.method.occurrences = 2;
    assert_false(bw_mcp_request_read(body, &headers, &request, &fault));
    assert_int_equal(fault.code, BW_MCP_HEADER_MISMATCH);
    bw_mcp_request_clear(&request);
}

static void test_a_version_that_is_no_text_is_not_repeated(void **state)
{
    static const char *const versions[][2] = {{"2031-01-01", "2031-01-01"}, {"\xff\xfe", ""}, {"a\x01", ""}, {"\xc3\xa9", ""}};
    const struct bw_slice body = BW_SLICE("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}");
    struct bw_buf out = {0};
    (void)state;
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        const struct bw_mcp_headers headers = {header(versions[i][0]), header(NULL), header(NULL)};
        struct bw_mcp_request request = {0};
        struct bw_mcp_fault fault = {0};
        bw_buf_clear(&out);
        assert_false(bw_mcp_request_read(body, &headers, &request, &fault));
        bw_mcp_say_fault(&request.to, &fault, &out);
        json_t *answer = bw_json_load(bw_buf_slice(&out), NULL);
        assert_string_equal(bw_json_str(json_object_get(json_object_get(answer, "error"), "data"), "requested", "?"), versions[i][1]);
        json_decref(answer);
        bw_mcp_request_clear(&request);
    }
    bw_buf_free(&out);
}

static void test_a_call_is_read_as_it_was_sent(void **state)
{
    const struct bw_slice body =
        BW_SLICE("{\"id\":\"a\\u00e9\",\"params\":{\"arguments\": {\"n\": 1.50, \"t\":\"\\u0041\"},\"name\":\"x\",\"_meta\":{\"bellwire/"
                 "idempotencyKey\":\"k\"}},\"method\":\"tools/call\",\"jsonrpc\":\"2.0\"}");
    const struct bw_mcp_headers headers = {header(NULL), header(NULL), header(NULL)};
    struct bw_mcp_request request = {0};
    struct bw_mcp_fault fault = {0};
    (void)state;
    assert_true(bw_mcp_request_read(body, &headers, &request, &fault));
    assert_true(bw_slice_is(request.to.id, "\"a\\u00e9\"") && bw_slice_is(request.arguments, "{\"n\": 1.50, \"t\":\"\\u0041\"}"));
    assert_true(bw_slice_is(request.tool, "x") && bw_slice_is(request.key, "k") && request.method == BW_MCP_CALL_TOOL);
    bw_mcp_request_clear(&request);
}

static void test_a_header_value_is_plain_or_base64(void **state)
{
    static const char *const values[][2] = {{"plain", "plain"},
                                            {"=?base64?aGk=?=", "hi"},
                                            {"=?base64?"
                                             "?=",
                                             ""},
                                            {"=?BASE64?aGk=?=", "=?BASE64?aGk=?="},
                                            {"=?base64?!?=", NULL},
                                            {"bad\x01", NULL},
                                            {"=?base64?", "=?base64?"},
                                            {"", ""}};
    struct bw_buf out = {0};
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        bool good = bw_mcp_header_decode(bw_slice_of(values[i][0]), &out);
        assert_int_equal(good, values[i][1] != NULL);
        if (good) assert_true(bw_slice_is(bw_buf_slice(&out), values[i][1]));
    }
    bw_buf_free(&out);
}

static void test_origins(void **state)
{
    char listed[] = "https://agents.example";
    char *list[] = {listed};
    static const struct {
        const char *origin;
        bool is_good;
    } samples[] = {{"http://localhost", true},
                   {"http://LOCALHOST:1", true},
                   {"https://[::1]:443", true},
                   {"https://agents.example", true},
                   {"https://hooks.example", true},
                   {"https://HOOKS.example", true},
                   {"https://hooks.exampl", false},
                   {"https://hooks.example:8", false},
                   {"http://localhost:", false},
                   {"http://localhost:x", false},
                   {"localhost", false},
                   {"http://", false},
                   {"http://[::1].example", false},
                   {"http://x@localhost", false},
                   {"", false},
                   {"ftp://localhost", false}};
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
        if (bw_mcp_origin_is_good(bw_slice_of(samples[i].origin), "https://hooks.example/base", list, 1) != samples[i].is_good)
            fail_msg("%s", samples[i].origin);
}

static void test_what_could_not_be_read_has_no_id(void **state)
{
    const struct bw_mcp_fault fault = {.code = BW_MCP_PARSE_ERROR, .message = "Parse \"error\""};
    struct bw_buf out = {0};
    (void)state;
    bw_mcp_say_fault(&(struct bw_mcp_to){.is_of_today = true, .id = {"", 0}}, &fault, &out);
    assert_string_equal(out.data, "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32700,\"message\":\"Parse \\\"error\\\"\"}}\n");
    bw_buf_clear(&out);
    bw_mcp_say_fault(&(struct bw_mcp_to){.id = {"", 0}}, &fault, &out);
    assert_string_equal(out.data, "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32700,\"message\":\"Parse \\\"error\\\"\"}}\n");
    bw_buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_era_asks_for_its_own),
        cmocka_unit_test(test_a_header_that_comes_twice_is_none),
        cmocka_unit_test(test_a_version_that_is_no_text_is_not_repeated),
        cmocka_unit_test(test_a_call_is_read_as_it_was_sent),
        cmocka_unit_test(test_a_header_value_is_plain_or_base64),
        cmocka_unit_test(test_origins),
        cmocka_unit_test(test_what_could_not_be_read_has_no_id),
    };
    bw_json_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
