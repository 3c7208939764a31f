/* mcp.h: a source with `mcp`: its requests are messages of the Model Context Protocol (engine/mcp), verified like those of any other source. Lists
 * and refusals are answered at once, and recorded as deliveries. A call is an event of its workflow alone, SOURCE.tools.NAME: it is on disk before
 * anything is answered, and its sender waits for the run's end (held.h) as long as the source says. The tool get_run asks the main thread (asked.h)
 * and is not recorded. No session is kept: each request stands for itself. The loop's thread. */
#ifndef BW_INGEST_MCP_H
#define BW_INGEST_MCP_H
#include "ingest/connections.h"
#include "ingest/tool_call.h"

/* Its Origin header says no web page, or one that may send. Before anything of it is verified or read. */
bool bw_mcp_may_come_from(const struct bw_connection *connection, const struct bw_route *route);
/* loop->parts.request was judged as VERIFIED or MALFORMED. It is answered, or it will be. */
void bw_mcp(struct bw_connection *connection, const struct bw_route *route, const struct bw_judgement *judgement);
/* A call whose key was there already: answered with what has become of the run of then, and waits for it as the first one has. The request is held;
 * everything else is copied. */
void bw_mcp_repeat(struct bw_connection *connection, const struct bw_route *route, const struct bw_tool_call *call, struct bw_slice arguments,
                   struct bw_uid event);
void bw_mcp_say_overloaded(const struct bw_mcp_to *to, struct bw_buf *text, struct bw_reply *reply); /* 503: nothing is stored */
void bw_mcp_say_gone(const struct bw_mcp_to *to, struct bw_buf *text, struct bw_reply *reply);       /* it was, and is not kept any more */
#endif
