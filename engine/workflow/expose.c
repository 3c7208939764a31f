/* `expose`: the workflow is a tool of language models, who call it through a source with `mcp`. No part of the version, like a label: it says who may
 * begin runs, and not what they do. */
#include "mcp/tools.h"
#include "workflow/internal.h"

#define TITLE_BYTES_MAX 100
#define DESCRIPTION_BYTES_MAX 4096
#define PLAIN "\"type\":\"string\",\"not\":{\"pattern\":\"\\\\$\\\\{\\\\{\"}"

const struct bw_load_key bw_expose_keys[] = {
    {"mcp", "{\"anyOf\":[{\"enum\":[true,null]},{\"$ref\":\"#/$defs/tool\"}]}", "as a tool of language models, by the Model Context Protocol"},
};
const size_t bw_expose_key_count = sizeof bw_expose_keys / sizeof *bw_expose_keys;

const struct bw_load_key bw_tool_keys[] = {
    {"name", "{\"type\":\"string\",\"pattern\":\"^[A-Za-z0-9_-]{1,64}$\",\"not\":{\"const\":\"get_run\"}}",
     "what the tool is called (as the workflow is)"},
    {"title", "{" PLAIN ",\"maxLength\":100}", "its name for people"},
    {"description", "{" PLAIN ",\"maxLength\":4096}", "what a model is told about it (the description of the workflow)"},
};
const size_t bw_tool_key_count = sizeof bw_tool_keys / sizeof *bw_tool_keys;

static struct bw_slice load_text(struct bw_loader *loader, const struct bw_yaml_node *map, const char *key, size_t most)
{
    const struct bw_yaml_node *node = bw_yaml_get(map, key);
    struct bw_slice text = node ? bw_plain_text(loader, node, key) : (struct bw_slice){"", 0};
    if (text.len <= most) return text;
    bw_load_error(loader, bw_mark_of(node), "expose.too_long", "a model reads it each time that it looks for a tool: say it in fewer words",
                  "%s has at most %zu bytes", key, most);
    return (struct bw_slice){"", 0};
}

static void load_tool(struct bw_loader *loader, const struct bw_yaml_node *map)
{
    struct bw_expose *expose = &loader->workflow->expose;
    const struct bw_yaml_node *name = bw_yaml_get(map, "name");
    bw_check_keys(loader, map, "mcp", bw_tool_keys, bw_tool_key_count);
    struct bw_slice title = load_text(loader, map, "title", TITLE_BYTES_MAX),
                    description = load_text(loader, map, "description", DESCRIPTION_BYTES_MAX);
    if (title.len) expose->title = title;
    if (description.len) expose->description = description;
    if (!name) return;
    expose->mark = bw_mark_of(name);
    if (name->kind != BW_YAML_STRING || !bw_mcp_is_tool_name(name->text))
        bw_load_error(loader, expose->mark, "expose.name", "write for example lookup_order",
                      "a tool's name is 1 to %d of the letters a-z and A-Z, digits, _ and -", BW_MCP_TOOL_NAME_MAX);
    else if (bw_slice_is(name->text, BW_MCP_GET_RUN))
        bw_load_error(loader, expose->mark, "expose.name", "call it after what it does",
                      "the tool %s is the engine's own: it tells what has become of a run", BW_MCP_GET_RUN);
    else
        expose->name = bw_arena_copy(loader->arena, name->text);
}

void bw_expose_load(struct bw_loader *loader, const struct bw_yaml_node *node)
{
    static const char example[] = "write expose: mcp, or expose: {mcp: {name: lookup_order, description: Finds an order by its number.}}";
    struct bw_workflow *workflow = loader->workflow;
    const struct bw_yaml_node *tool = node->kind == BW_YAML_MAP ? bw_yaml_get(node, "mcp") : NULL;
    workflow->expose = (struct bw_expose){.name = workflow->name, .description = workflow->description, .mark = bw_mark_of(node)};
    if (node->kind == BW_YAML_STRING && bw_slice_is(node->text, "mcp")) return;
    if (node->kind != BW_YAML_MAP) {
        bw_load_error(loader, bw_mark_of(node), "expose.kind", example, "expose says by what the workflow is offered: mcp is all there is");
        return;
    }
    bw_check_keys(loader, node, "expose", bw_expose_keys, bw_expose_key_count);
    if (!tool)
        bw_load_error(loader, bw_mark_of(node), "expose.kind", example, "expose is empty");
    else if (tool->kind == BW_YAML_MAP)
        load_tool(loader, tool);
    else if (tool->kind != BW_YAML_NULL && !(tool->kind == BW_YAML_BOOL && tool->boolean))
        bw_load_error(loader, bw_mark_of(tool), "expose.kind", example, "mcp is true, or a map, found %s", bw_yaml_kind_name(tool->kind));
}
