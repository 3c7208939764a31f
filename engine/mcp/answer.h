/* answer.h: what a client of the Model Context Protocol hears, in the words of its era. Everything is appended to `out`, one JSON-RPC message with a
 * line end behind it. Pure; any thread. */
#ifndef BW_MCP_ANSWER_H
#define BW_MCP_ANSWER_H
#include "mcp/request.h"
#include "mcp/tools.h"

#define BW_MCP_TTL_MS 60000 /* so long a client may take a list for the one of now */

void bw_mcp_say_fault(const struct bw_mcp_to *to, const struct bw_mcp_fault *fault, struct bw_buf *out);
void bw_mcp_say_discover(const struct bw_mcp_to *to, struct bw_buf *out);
void bw_mcp_say_initialize(const struct bw_mcp_to *to, struct bw_slice wanted, struct bw_buf *out);
void bw_mcp_say_pong(const struct bw_mcp_to *to, struct bw_buf *out);
bool bw_mcp_say_tools(const struct bw_mcp_to *to, const struct bw_mcp_tools *tools, struct bw_slice cursor,
                      struct bw_buf *out); /* false: the cursor is none of ours */

struct bw_mcp_outcome {   /* of a run, as far as it is known */
    struct bw_slice run;  /* run_…; empty: none was begun */
    struct bw_slice tool; /* for messages */
    const char *status;   /* of the run: active, parked, succeeded, … */
    bool is_over, is_good;
    struct bw_slice output;    /* JSON object; of a good one */
    struct bw_slice error;     /* JSON object {code, message, step?}; of one that has failed; or empty */
    struct bw_slice waits_for; /* JSON list of what steps wait for; or empty */
};
/* Of the call that began it: the outputs, what has failed, or that it goes on and how to ask for it. */
void bw_mcp_say_call(const struct bw_mcp_to *to, const struct bw_mcp_outcome *outcome, struct bw_buf *out);
void bw_mcp_say_run(const struct bw_mcp_to *to, const struct bw_mcp_outcome *outcome, struct bw_buf *out); /* of get_run */
/* A refusal that a model can read, and mend what it has asked for. hint NULL or empty: there is none. */
void bw_mcp_say_refusal(const struct bw_mcp_to *to, const char *code, const char *message, const char *hint, struct bw_buf *out);
#endif
