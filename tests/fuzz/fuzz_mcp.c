/* mcp: whatever a message of the Model Context Protocol and its headers are, there is one answer, it is JSON, and it has the id of the request.
 *
 * Input: a seed for the choices; the values of the three headers, each ended by a line break; the message. What could be read is answered, too. */
#include "fuzz.h"
#include "mcp/answer.h"
#include <string.h>

static const char workflows[] = "[{\"name\":\"w\",\"tool\":{\"name\":\"price_of\",\"inputs\":{\"n\":{\"type\":\"integer\",\"required\":true}}}}]";
static struct bw_mcp_tools *tools;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    bw_json_setup();
    json_t *list = json_loads(workflows, 0, NULL);
    tools = bw_mcp_tools_new(list);
    json_decref(list);
    return 0;
}

static struct bw_mcp_header take_header(struct bw_slice *input, struct fuzz_dice *dice)
{
    const char *end = input->len ? memchr(input->ptr, '\n', input->len) : NULL;
    size_t len = end ? (size_t)(end - input->ptr) : input->len;
    struct bw_mcp_header header = {{input->ptr, len}, len ? 1 + !fuzz_roll(dice, 16) : 0};
    *input = (struct bw_slice){input->ptr + len + (end != NULL), input->len - len - (end != NULL)};
    return header;
}

static void check_answer(const struct bw_mcp_to *to, struct bw_buf *out, const char *what)
{
    json_t *answer = bw_json_load(bw_buf_slice(out), NULL), *id = to->id.len ? json_loadb(to->id.ptr, to->id.len, JSON_DECODE_ANY, NULL) : NULL;
    fuzz_check(json_is_object(answer), "%s: %s", what, out->data);
    fuzz_check(!json_object_get(answer, "result") != !json_object_get(answer, "error"), "%s: %s", what, out->data);
    if (id) fuzz_check(json_equal(json_object_get(answer, "id"), id), "%s: %s", what, out->data);
    if (!id) fuzz_check(!json_object_get(answer, "id") || json_is_null(json_object_get(answer, "id")), "%s: %s", what, out->data);
    json_decref(id);
    json_decref(answer);
    bw_buf_clear(out);
}

static void check_request(const struct bw_mcp_request *request, struct bw_buf *out)
{
    const struct bw_mcp_tool *tool;
    struct bw_error err = {0};
    if (request->method == BW_MCP_NOTIFICATION) return;
    fuzz_check(request->to.id.len > 0 && request->to.id.len <= BW_MCP_ID_BYTES_MAX, "a request without an id");
    if (bw_mcp_say_tools(&request->to, tools, request->cursor, out)) check_answer(&request->to, out, "tools");
    bw_mcp_say_initialize(&request->to, request->version, out);
    check_answer(&request->to, out, "initialize");
    if (request->method != BW_MCP_CALL_TOOL) return;
    json_t *arguments = bw_json_load(request->arguments, NULL);
    fuzz_check(json_is_object(arguments) && (!request->given || json_equal(arguments, request->given)), "the arguments are others");
    json_decref(arguments);
    if (!(tool = bw_mcp_tools_find(tools, request->tool)) || !tool->workflow.len || bw_mcp_tool_takes(tool, request->given, &err)) return;
    bw_mcp_say_refusal(&request->to, err.code, err.message, err.hint, out);
    check_answer(&request->to, out, "refusal");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bw_slice text = fuzz_input(data, size);
    struct fuzz_dice dice = fuzz_take_dice(&text);
    struct bw_mcp_headers headers;
    headers.version = take_header(&text, &dice);
    headers.method = take_header(&text, &dice);
    headers.name = take_header(&text, &dice);
    struct bw_mcp_request request = {0};
    struct bw_mcp_fault fault = {0};
    struct bw_buf out = {0};
    bw_mcp_origin_is_good(text, "https://hooks.example/in", NULL, 0);
    if (bw_mcp_request_read(text, &headers, &request, &fault)) {
        check_request(&request, &out);
    } else {
        fuzz_check(fault.code < 0 && *fault.message && (fault.status == 200 || fault.status == 400 || fault.status == 404), "status %u",
                   fault.status);
        bw_mcp_say_fault(&request.to, &fault, &out);
        check_answer(&request.to, &out, "fault");
    }
    bw_mcp_request_clear(&request);
    bw_buf_free(&out);
    return 0;
}
