#include "mcp/request.h"
#include "base/codec.h"
#include "base/json_view.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define VERSION_BYTES_MAX 64 /* of one that is refused and repeated */
#define META "io.modelcontextprotocol/"

/* Of the era with `initialize`. A client that says no version in its headers is of 2025-03-26, or forgets it. */
static const char *const versions_before[] = {BW_MCP_VERSION_BEFORE, "2025-06-18", "2025-03-26"};

static const struct method {
    const char *name;
    enum bw_mcp_method method;
    bool is_of_today, is_of_before;
} methods[] = {
    {"server/discover", BW_MCP_DISCOVER, true, false}, {"initialize", BW_MCP_INITIALIZE, false, true}, {"ping", BW_MCP_PING, false, true},
    {"tools/list", BW_MCP_LIST_TOOLS, true, true},     {"tools/call", BW_MCP_CALL_TOOL, true, true},
};

const char *bw_mcp_method_name(enum bw_mcp_method method)
{
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (methods[i].method == method) return methods[i].name;
    return "notification";
}

__attribute__((format(printf, 4, 5))) static bool fail(struct bw_mcp_fault *fault, unsigned status, enum bw_mcp_code code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(fault->message, sizeof fault->message, format, args);
    va_end(args);
    fault->status = status;
    fault->code = code;
    return false;
}

static bool is_version_before(struct bw_slice version)
{
    for (size_t i = 0; i < sizeof versions_before / sizeof *versions_before; i++)
        if (bw_slice_is(version, versions_before[i])) return true;
    return false;
}

/* ---- headers ---- */

bool bw_mcp_header_decode(struct bw_slice value, struct bw_buf *out)
{
    static const char open[] = "=?base64?", close[] = "?=";
    size_t opened = sizeof open - 1, closed = sizeof close - 1;
    bw_buf_clear(out);
    for (size_t i = 0; i < value.len; i++)
        if (value.ptr[i] != '\t' && (value.ptr[i] < 0x20 || value.ptr[i] > 0x7e)) return false;
    if (value.len < opened + closed || memcmp(value.ptr, open, opened) != 0 || memcmp(value.ptr + value.len - closed, close, closed) != 0) {
        bw_buf_append_slice(out, value);
        return !out->failed;
    }
    struct bw_slice inner = {value.ptr + opened, value.len - opened - closed};
    size_t len = 0;
    if (!bw_buf_reserve(out, inner.len + 1) || !bw_base64_decode(inner, (uint8_t *)out->data, inner.len + 1, &len)) return false;
    out->len = len;
    return true;
}

/* Once, and the same as in the body. */
static bool mirrors(const struct bw_mcp_header *header, const char *name, struct bw_slice expected, struct bw_mcp_fault *fault)
{
    struct bw_buf value = {0};
    if (header->occurrences != 1)
        return fail(fault, 400, BW_MCP_HEADER_MISMATCH, "Header mismatch: the header %s is %s", name,
                    header->occurrences ? "there more than once" : "missing");
    bool is_readable = bw_mcp_header_decode(header->value, &value), is_same = is_readable && bw_slice_equal(bw_buf_slice(&value), expected);
    bw_buf_free(&value);
    return is_same || fail(fault, 400, BW_MCP_HEADER_MISMATCH, "Header mismatch: the header %s %s", name,
                           is_readable ? "is not what the body says" : "cannot be read");
}

static bool is_loopback_host(struct bw_slice host)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (bw_slice_is_nocase(host, names[i])) return true;
    return false;
}

/* scheme://host[:port] */
static bool split_origin(struct bw_slice origin, struct bw_slice *scheme, struct bw_slice *host)
{
    const char *end = origin.ptr + origin.len, *mark = memmem(origin.ptr, origin.len, "://", 3);
    if (!mark) return false;
    *scheme = (struct bw_slice){origin.ptr, (size_t)(mark - origin.ptr)};
    const char *begin = mark + 3, *port = end, *at = end;
    while (at > begin && at[-1] >= '0' && at[-1] <= '9') at--;
    if (at > begin && at < end && at[-1] == ':') port = at - 1;
    *host = (struct bw_slice){begin, (size_t)(port - begin)};
    return host->len && !memchr(begin, '/', (size_t)(end - begin));
}

bool bw_mcp_origin_is_good(struct bw_slice origin, const char *own, char *const *listed, size_t count)
{
    struct bw_slice scheme, host;
    for (size_t i = 0; i < count; i++)
        if (bw_slice_is(origin, listed[i])) return true;
    if (own && origin.len <= strlen(own) && !strncasecmp(own, origin.ptr, origin.len) && (own[origin.len] == '\0' || own[origin.len] == '/') &&
        origin.len)
        return true;
    return split_origin(origin, &scheme, &host) && (bw_slice_is(scheme, "http") || bw_slice_is(scheme, "https")) && is_loopback_host(host);
}

/* ---- the message ---- */

static struct bw_slice text_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_string(value) ? bw_json_slice(value) : (struct bw_slice){"", 0};
}

static bool read_id(struct bw_mcp_request *out, struct bw_slice body, struct bw_mcp_fault *fault)
{
    const json_t *id = json_object_get(out->tree, "id");
    struct bw_json_view raw;
    bool is_good = id && (json_is_string(id) || json_is_integer(id)) && bw_json_view_get(bw_json_view_of(body), BW_SLICE("id"), &raw) &&
                   raw.raw.len <= BW_MCP_ID_BYTES_MAX;
    if (id && !is_good)
        return fail(fault, 400, BW_MCP_INVALID_REQUEST, "Invalid request: the id is a text or a whole number, of at most %d bytes",
                    BW_MCP_ID_BYTES_MAX);
    if (id) out->to.id = raw.raw;
    return true;
}

/* It is repeated where it could be one: a header may hold bytes that no text has. */
static bool refuse_version(struct bw_slice version, struct bw_mcp_fault *fault)
{
    bool is_plain = version.len <= VERSION_BYTES_MAX;
    for (size_t i = 0; i < version.len; i++) is_plain &= version.ptr[i] >= 0x20 && version.ptr[i] < 0x7f;
    fault->has_versions = true;
    fault->asked = is_plain ? version : (struct bw_slice){"", 0};
    return fail(fault, 400, BW_MCP_UNSUPPORTED_VERSION, "Unsupported protocol version");
}

/* Which era the request is of, and that it says of itself what that era asks for. */
static bool judge_version(struct bw_mcp_request *out, const struct bw_mcp_headers *headers, struct bw_slice method, const json_t *meta,
                          struct bw_mcp_fault *fault)
{
    struct bw_slice said = text_of(meta, META "protocolVersion"), header = headers->version.value;
    bool has_header = headers->version.occurrences > 0, is_header_of_today = has_header && bw_slice_is(header, BW_MCP_VERSION);
    out->to.is_of_today = said.len ? !is_version_before(said) : is_header_of_today || bw_slice_is(method, "server/discover");
    if (headers->version.occurrences > 1)
        return fail(fault, 400, BW_MCP_HEADER_MISMATCH, "Header mismatch: the header MCP-Protocol-Version is there more than once");
    if (!out->to.is_of_today) {
        if (bw_slice_is(method, "initialize")) return true; /* the version is what it asks for */
        if (has_header && !is_version_before(header)) return refuse_version(header, fault);
        return true;
    }
    if (!said.len && has_header && !is_header_of_today) return refuse_version(header, fault);
    if (!has_header) return mirrors(&headers->version, "MCP-Protocol-Version", said, fault);
    if (!said.len) return fail(fault, 400, BW_MCP_INVALID_PARAMS, "Invalid params: params._meta has no %sprotocolVersion", META);
    if (!mirrors(&headers->version, "MCP-Protocol-Version", said, fault)) return false;
    if (!bw_slice_is(said, BW_MCP_VERSION)) return refuse_version(said, fault);
    if (!json_is_object(json_object_get(meta, META "clientCapabilities")))
        return fail(fault, 400, BW_MCP_INVALID_PARAMS, "Invalid params: params._meta has no %sclientCapabilities", META);
    return mirrors(&headers->method, "Mcp-Method", method, fault);
}

static bool read_call(struct bw_mcp_request *out, struct bw_slice body, const json_t *params, const json_t *meta,
                      const struct bw_mcp_headers *headers, struct bw_mcp_fault *fault)
{
    const json_t *name = json_object_get(params, "name"), *arguments = json_object_get(params, "arguments"),
                 *key = json_object_get(meta, BW_MCP_KEY_META);
    struct bw_json_view view;
    if (!json_is_string(name) || !json_string_length(name))
        return fail(fault, 200, BW_MCP_INVALID_PARAMS, "Invalid params: params.name is the name of a tool");
    out->tool = bw_json_slice(name);
    if (out->to.is_of_today && !mirrors(&headers->name, "Mcp-Name", out->tool, fault)) return false;
    if (arguments && !json_is_object(arguments))
        return fail(fault, 200, BW_MCP_INVALID_PARAMS, "Invalid params: params.arguments is an object, or left out");
    if (key && (!json_is_string(key) || !json_string_length(key)))
        return fail(fault, 200, BW_MCP_INVALID_PARAMS, "Invalid params: params._meta[\"%s\"] is a text", BW_MCP_KEY_META);
    out->key = key ? bw_json_slice(key) : (struct bw_slice){"", 0};
    out->given = arguments;
    out->arguments = BW_SLICE("{}");
    if (arguments && bw_json_view_pointer(bw_json_view_of(body), "/params/arguments", &view)) out->arguments = view.raw;
    return true;
}

static bool read_method(struct bw_mcp_request *out, struct bw_slice body, struct bw_slice name, const struct bw_mcp_headers *headers,
                        struct bw_mcp_fault *fault)
{
    const json_t *params = json_object_get(out->tree, "params"), *meta = json_object_get(params, "_meta"), *client;
    const struct method *method = NULL;
    if (params && !json_is_object(params)) return fail(fault, 400, BW_MCP_INVALID_PARAMS, "Invalid params: params is an object");
    if (meta && !json_is_object(meta)) return fail(fault, 400, BW_MCP_INVALID_PARAMS, "Invalid params: params._meta is an object");
    if (!judge_version(out, headers, name, meta, fault)) return false;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (bw_slice_is(name, methods[i].name) && (out->to.is_of_today ? methods[i].is_of_today : methods[i].is_of_before)) method = &methods[i];
    if (!method) return fail(fault, out->to.is_of_today ? 404 : 200, BW_MCP_UNKNOWN_METHOD, "Method not found");
    out->method = method->method;
    client = out->method == BW_MCP_INITIALIZE ? json_object_get(params, "clientInfo") : json_object_get(meta, META "clientInfo");
    out->client_name = text_of(client, "name");
    out->client_version = text_of(client, "version");
    out->version = text_of(params, "protocolVersion");
    if (json_object_get(params, "cursor") && !json_is_string(json_object_get(params, "cursor")))
        return fail(fault, 200, BW_MCP_INVALID_PARAMS, "Invalid params: params.cursor is a text");
    out->cursor = text_of(params, "cursor");
    return out->method != BW_MCP_CALL_TOOL || read_call(out, body, params, meta, headers, fault);
}

bool bw_mcp_request_read(struct bw_slice body, const struct bw_mcp_headers *headers, struct bw_mcp_request *out, struct bw_mcp_fault *fault)
{
    struct bw_error err = {0};
    /* Of what cannot be read: the header is all that there is to go by. */
    out->to = (struct bw_mcp_to){.is_of_today = bw_slice_is(headers->version.value, BW_MCP_VERSION), .id = {"", 0}};
    if (!(out->tree = bw_json_load(body, &err)))
        return fail(fault, 400, BW_MCP_PARSE_ERROR, "Parse error: no JSON that can be read exactly, line %d, column %d", err.line, err.column);
    if (json_is_array(out->tree)) return fail(fault, 400, BW_MCP_INVALID_REQUEST, "Invalid request: one message a request, no batch");
    if (!json_is_object(out->tree)) return fail(fault, 400, BW_MCP_INVALID_REQUEST, "Invalid request: a message is an object");
    if (!read_id(out, body, fault)) return false;
    if (!bw_slice_is(text_of(out->tree, "jsonrpc"), "2.0")) return fail(fault, 400, BW_MCP_INVALID_REQUEST, "Invalid request: jsonrpc is \"2.0\"");
    const json_t *method = json_object_get(out->tree, "method");
    bool is_answer = !method && (json_object_get(out->tree, "result") || json_object_get(out->tree, "error"));
    if (is_answer && !out->to.is_of_today) { /* to something that we never ask: clients of before may send any */
        out->method = BW_MCP_NOTIFICATION;
        return true;
    }
    if (!json_is_string(method) || !json_string_length(method)) return fail(fault, 400, BW_MCP_INVALID_REQUEST, "Invalid request: method is a text");
    if (!out->to.id.len) {
        out->method = BW_MCP_NOTIFICATION;
        return true;
    }
    return read_method(out, body, bw_json_slice(method), headers, fault);
}

void bw_mcp_request_clear(struct bw_mcp_request *request)
{
    json_decref(request->tree);
    *request = (struct bw_mcp_request){0};
}
