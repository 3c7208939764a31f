/* request.h: one JSON-RPC message of the Model Context Protocol, as it comes by streamable HTTP: read, judged by the rules of its revision, nothing
 * done.
 *
 * Two eras are understood, and each message says which one it belongs to: from revision 2026-07-28 on a request says in its `_meta` and in mirrored
 * headers all there is to know; before (2025-11-25, 2025-06-18) there was `initialize`, which we answer without keeping a session: no answer of ours
 * has an Mcp-Session-Id. Pure; any thread. What is read borrows the body and the headers, and owns a tree: bw_mcp_request_clear(). */
#ifndef BW_MCP_REQUEST_H
#define BW_MCP_REQUEST_H
#include "base/buf.h"
#include "base/json.h"

#define BW_MCP_VERSION "2026-07-28"
#define BW_MCP_VERSION_BEFORE "2025-11-25" /* what `initialize` is answered with, unless the client asks for another one that we know */
#define BW_MCP_KEY_META "bellwire/idempotencyKey"
#define BW_MCP_ID_BYTES_MAX 256

enum bw_mcp_code {
    BW_MCP_PARSE_ERROR = -32700,
    BW_MCP_INVALID_REQUEST = -32600,
    BW_MCP_UNKNOWN_METHOD = -32601,
    BW_MCP_INVALID_PARAMS = -32602,
    BW_MCP_INTERNAL_ERROR = -32603,
    BW_MCP_HEADER_MISMATCH = -32020,
    BW_MCP_UNSUPPORTED_VERSION = -32022,
};
struct bw_mcp_header {
    struct bw_slice value;
    size_t occurrences; /* 0: it is not there */
};
struct bw_mcp_headers {
    struct bw_mcp_header version, method, name; /* MCP-Protocol-Version, Mcp-Method, Mcp-Name */
};
enum bw_mcp_method {
    BW_MCP_DISCOVER,
    BW_MCP_INITIALIZE,
    BW_MCP_PING,
    BW_MCP_LIST_TOOLS,
    BW_MCP_CALL_TOOL,
    BW_MCP_NOTIFICATION /* and what is to be ignored like one: 202 without a body */
};
struct bw_mcp_to {      /* whom an answer is for */
    bool is_of_today;   /* 2026-07-28 or later */
    struct bw_slice id; /* JSON, as it was sent; empty: there is none that could be read */
};
struct bw_mcp_request { /* zero-initialise */
    enum bw_mcp_method method;
    struct bw_mcp_to to;
    struct bw_slice version;     /* INITIALIZE: what is wanted */
    struct bw_slice cursor;      /* LIST_TOOLS: or empty */
    struct bw_slice tool;        /* CALL_TOOL */
    struct bw_slice arguments;   /* CALL_TOOL: JSON object, as it was sent */
    const json_t *given;         /* CALL_TOOL: the same */
    struct bw_slice key;         /* CALL_TOOL: _meta["bellwire/idempotencyKey"], or empty */
    struct bw_slice client_name; /* as it says itself; or empty */
    struct bw_slice client_version;
    json_t *tree;
};
struct bw_mcp_fault {
    unsigned status; /* of HTTP */
    enum bw_mcp_code code;
    char message[200];
    bool has_versions; /* UNSUPPORTED_VERSION: `asked` goes into its data */
    struct bw_slice asked;
};
/* False: `fault` says why, and out->to whom to tell; out is to be cleared all the same. */
bool bw_mcp_request_read(struct bw_slice body, const struct bw_mcp_headers *headers, struct bw_mcp_request *out, struct bw_mcp_fault *fault);
void bw_mcp_request_clear(struct bw_mcp_request *request);
const char *bw_mcp_method_name(enum bw_mcp_method method);
/* A header value as the protocol writes it: plain, or =?base64?…?=. False: it is neither. */
bool bw_mcp_header_decode(struct bw_slice value, struct bw_buf *out);
/* May a web page of this origin send? Those on this machine may, and those that are listed; `own` is the URL of the engine itself, or NULL. This is
 * what keeps other pages from reaching a listener on loopback through a name that leads there (DNS rebinding). */
bool bw_mcp_origin_is_good(struct bw_slice origin, const char *own, char *const *listed, size_t count);
#endif
