#include "mcp/tools.h"
#include "base/codec.h"
#include "base/schema.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct tool {
    struct bw_mcp_tool tool;
    struct bw_buf bytes; /* name, workflow, definition */
};
struct bw_mcp_tools {
    atomic_uint references;
    struct tool *tools; /* by name, get_run among them */
    size_t count;
};

static const char get_run[] =
    "{\"name\":\"" BW_MCP_GET_RUN "\",\"title\":\"State of a run\",\"description\":\"What has become of a run that a tool "
    "of this server has begun: its status, and its outputs or its error when it has ended. Ask again while is_over is "
    "false.\",\"inputSchema\":{\"type\":\"object\",\"properties\":{\"run_id\":{\"type\":\"string\",\"description\":\"as the "
    "tool has said it: run_…\"}},\"required\":[\"run_id\"],\"additionalProperties\":false},\"outputSchema\":{\"type\":"
    "\"object\",\"properties\":{\"run_id\":{\"type\":\"string\"},\"status\":{\"type\":\"string\"},\"is_over\":{\"type\":"
    "\"boolean\"},\"outputs\":{\"type\":\"object\"},\"error\":{\"type\":\"object\"},\"waits_for\":{\"type\":\"array\","
    "\"items\":{\"type\":\"object\"}}},\"required\":[\"run_id\",\"status\",\"is_over\"]},\"annotations\":{\"readOnlyHint\":"
    "true}}";

bool bw_mcp_is_tool_name(struct bw_slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-')) return false;
    }
    return name.len > 0 && name.len <= BW_MCP_TOOL_NAME_MAX;
}

static void append_text(struct bw_buf *out, const char *name, const json_t *value)
{
    if (!json_is_string(value) || !json_string_length(value)) return;
    bw_buf_printf(out, ",\"%s\":", name);
    bw_buf_append_json_string(out, bw_json_slice(value));
}

static void define(const json_t *tool, struct bw_buf *out)
{
    bw_buf_append_text(out, "{\"name\":");
    bw_buf_append_json_string(out, bw_json_slice(json_object_get(tool, "name")));
    append_text(out, "title", json_object_get(tool, "title"));
    append_text(out, "description", json_object_get(tool, "description"));
    bw_buf_append_text(out, ",\"inputSchema\":");
    bw_mcp_json_schema(json_object_get(tool, "inputs"), out);
    if (bw_json_bool(tool, "read_only", false)) bw_buf_append_text(out, ",\"annotations\":{\"readOnlyHint\":true}");
    bw_buf_append_char(out, '}');
}

/* The bytes lie one behind the other: slices are set when all are there. */
static bool finish(struct tool *made, size_t name_len, size_t workflow_len)
{
    if (made->bytes.failed) return false;
    made->tool.name = (struct bw_slice){made->bytes.data, name_len};
    made->tool.workflow = (struct bw_slice){made->bytes.data + name_len, workflow_len};
    made->tool.definition = (struct bw_slice){made->bytes.data + name_len + workflow_len, made->bytes.len - name_len - workflow_len};
    return true;
}

static bool add(struct bw_mcp_tools *tools, const json_t *workflow)
{
    const json_t *tool = json_object_get(workflow, "tool"), *inputs = json_object_get(tool, "inputs");
    struct bw_slice name = bw_json_slice(json_object_get(tool, "name")), of = bw_json_slice(json_object_get(workflow, "name"));
    struct tool *made = &tools->tools[tools->count];
    struct bw_error err;
    if (!tool || bw_mcp_tools_find(tools, name)) return true; /* of two with one name the catalogue has complained */
    bw_buf_append_slice(&made->bytes, name);
    bw_buf_append_slice(&made->bytes, of);
    define(tool, &made->bytes);
    json_t *none = json_object();
    made->tool.inputs = none ? bw_schema_load(inputs ? inputs : none, &err) : NULL;
    json_decref(none);
    if (finish(made, name.len, of.len) && made->tool.inputs) {
        tools->count++;
        return true;
    }
    bw_buf_free(&made->bytes);
    bw_schema_free(made->tool.inputs);
    return false;
}

static int compare(struct bw_slice a, struct bw_slice b)
{
    int order = memcmp(a.ptr, b.ptr, a.len < b.len ? a.len : b.len);
    return order ? order : a.len < b.len ? -1 : a.len > b.len;
}

static int by_name(const void *a, const void *b)
{
    return compare(((const struct tool *)a)->tool.name, ((const struct tool *)b)->tool.name);
}

struct bw_mcp_tools *bw_mcp_tools_new(const json_t *workflows)
{
    struct bw_mcp_tools *tools = calloc(1, sizeof *tools);
    size_t index;
    json_t *workflow;
    bool good = tools && (tools->tools = calloc(json_array_size(workflows) + 1, sizeof *tools->tools));
    if (tools) atomic_init(&tools->references, 1);
    if (good) {
        struct tool *last = &tools->tools[tools->count++];
        bw_buf_append_text(&last->bytes, BW_MCP_GET_RUN);
        bw_buf_append_text(&last->bytes, get_run);
        good = finish(last, sizeof BW_MCP_GET_RUN - 1, 0);
    }
    json_array_foreach(workflows, index, workflow) good = good && add(tools, workflow);
    if (!good) {
        bw_mcp_tools_unref(tools);
        return NULL;
    }
    qsort(tools->tools, tools->count, sizeof *tools->tools, by_name);
    return tools;
}

struct bw_mcp_tools *bw_mcp_tools_ref(struct bw_mcp_tools *tools)
{
    atomic_fetch_add(&tools->references, 1);
    return tools;
}

void bw_mcp_tools_unref(struct bw_mcp_tools *tools)
{
    if (!tools || atomic_fetch_sub(&tools->references, 1) > 1) return;
    for (size_t i = 0; tools->tools && i < tools->count; i++) {
        bw_buf_free(&tools->tools[i].bytes);
        bw_schema_free(tools->tools[i].tool.inputs);
    }
    free(tools->tools);
    free(tools);
}

const struct bw_mcp_tool *bw_mcp_tools_find(const struct bw_mcp_tools *tools, struct bw_slice name)
{
    for (size_t i = 0; i < tools->count; i++)
        if (bw_slice_equal(tools->tools[i].tool.name, name)) return &tools->tools[i].tool;
    return NULL;
}

size_t bw_mcp_tools_count(const struct bw_mcp_tools *tools)
{
    return tools->count - 1;
}

bool bw_mcp_tool_takes(const struct bw_mcp_tool *tool, const json_t *given, struct bw_error *err)
{
    json_t *copy = given ? json_deep_copy(given) : json_object(); /* defaults are set in it */
    bool good = copy ? bw_schema_check(tool->inputs, copy, false, "input", err) : bw_error_set(err, "memory", "out of memory");
    json_decref(copy);
    return good;
}

bool bw_mcp_tools_page(const struct bw_mcp_tools *tools, struct bw_slice cursor, struct bw_buf *out)
{
    uint8_t after[BW_MCP_TOOL_NAME_MAX + 8];
    size_t len = 0, from = 0;
    if (cursor.len) {
        if (!bw_base64url_decode(cursor, after, sizeof after, &len) || !bw_mcp_is_tool_name((struct bw_slice){(char *)after, len})) return false;
        while (from < tools->count && compare(tools->tools[from].tool.name, (struct bw_slice){(char *)after, len}) <= 0) from++;
    }
    size_t end = tools->count - from > BW_MCP_PAGE ? from + BW_MCP_PAGE : tools->count;
    bw_buf_append_text(out, "\"tools\":[");
    for (size_t i = from; i < end; i++) {
        if (i > from) bw_buf_append_char(out, ',');
        bw_buf_append_slice(out, tools->tools[i].tool.definition);
    }
    bw_buf_append_char(out, ']');
    if (end == tools->count) return true;
    struct bw_slice last = tools->tools[end - 1].tool.name;
    bw_buf_append_text(out, ",\"nextCursor\":\"");
    bw_base64url_append(out, last.ptr, last.len);
    bw_buf_append_char(out, '"');
    return true;
}
