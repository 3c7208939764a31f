/* caller.h: who has called a workflow as a tool, from what is kept with the event (ingest/tool_call.h). */
#ifndef BW_CMD_CALLER_H
#define BW_CMD_CALLER_H
#include "base/buf.h"
#include "store/store.h"

/* "the tool NAME, called by MCP through the source SOURCE, by CLIENT"; nothing, when it is no call. */
void bw_caller_text(const struct bw_event *event, struct bw_buf *out);
#endif
