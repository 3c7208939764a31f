/* tool_call.h: who has called a tool and waits for what it says: all that is needed to answer, without the request. One allocation, freed by free().
 */
#ifndef BW_INGEST_TOOL_CALL_H
#define BW_INGEST_TOOL_CALL_H
#include "base/id.h"
#include "ingest/reply.h"
#include "mcp/answer.h"

struct bw_tool_call {
    struct bw_mcp_to to;
    struct bw_slice tool, workflow;
    struct bw_slice client_name, client_version; /* as it calls itself */
    struct bw_uid run;                           /* set when it is known */
    char bytes[];
};
struct bw_tool_call *bw_tool_call_new(const struct bw_mcp_request *request, struct bw_slice workflow); /* NULL: no memory */
/* The answer to it. outcome: without run and tool, which are the call's. text: where the body is built, to be freed when the reply is sent. */
void bw_tool_call_reply(const struct bw_tool_call *call, const struct bw_mcp_outcome *outcome, struct bw_buf *text, struct bw_reply *reply);
/* Adds to a JSON object of kept headers what is said about the call: bellwire-tool, bellwire-tool-client (what it calls itself),
 * bellwire-tool-subject (who it is, by its token: a JSON text; empty: it does not say). No sender can write such headers. */
void bw_tool_call_headers(const struct bw_tool_call *call, struct bw_slice subject, struct bw_buf *kept);
#endif
