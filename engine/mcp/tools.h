/* tools.h: the workflows that are offered as tools (`expose: mcp`), as their clients see them: names, what they take, and the pages of a list.
 *
 * Made once of what a worker has said about the workflows, immutable from then on: any thread. A reload makes another one. References are counted:
 * a source's router holds one, so that a request ends with the tools that it has found. */
#ifndef BW_MCP_TOOLS_H
#define BW_MCP_TOOLS_H
#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"

#define BW_MCP_TOOL_NAME_MAX 64
#define BW_MCP_GET_RUN "get_run" /* the tool that every source offers: what has become of a run */
#define BW_MCP_PAGE 50           /* tools of a page */

/* Letters, digits, _ and -, at most BW_MCP_TOOL_NAME_MAX: what the protocol allows and language models take, too. */
bool bw_mcp_is_tool_name(struct bw_slice name);

struct bw_mcp_tool {
    struct bw_slice name, workflow;
    struct bw_slice definition; /* JSON, as tools/list has it */
    struct bw_schema *inputs;
};
struct bw_mcp_tools;
/* workflows: of BW_MSG_CATALOG_LOADED; those with `tool`: {name, title?, description?, inputs?, read_only?}. NULL: no memory. */
struct bw_mcp_tools *bw_mcp_tools_new(const json_t *workflows);
struct bw_mcp_tools *bw_mcp_tools_ref(struct bw_mcp_tools *tools);
void bw_mcp_tools_unref(struct bw_mcp_tools *tools);                                                 /* NULL is fine */
const struct bw_mcp_tool *bw_mcp_tools_find(const struct bw_mcp_tools *tools, struct bw_slice name); /* NULL: there is none */
size_t bw_mcp_tools_count(const struct bw_mcp_tools *tools);                                         /* without get_run */
/* The arguments are what the tool takes; else err says what to mend, for a model to read. given NULL: none. */
bool bw_mcp_tool_takes(const struct bw_mcp_tool *tool, const json_t *given, struct bw_error *err);
/* Appends "tools":[…] and, if there are more, ,"nextCursor":…. cursor empty: from the first. False: no list of ours ended so. The order is that of
 * the names, and a cursor says behind which name it goes on, so one of before a reload is as good. */
bool bw_mcp_tools_page(const struct bw_mcp_tools *tools, struct bw_slice cursor, struct bw_buf *out);
/* A schema of ours (base/schema.h: a map of fields) as JSON Schema 2020-12. */
void bw_mcp_json_schema(const json_t *fields, struct bw_buf *out);
#endif
