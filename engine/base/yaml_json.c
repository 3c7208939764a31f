#include "base/json_view.h"
#include "base/yaml.h"
#include <inttypes.h>

static void append_map(const struct bw_yaml_node *node, struct bw_buf *out)
{
    bw_buf_append_char(out, '{');
    for (size_t i = 0; i < node->count; i++) {
        if (i) bw_buf_append_char(out, ',');
        bw_buf_append_json_string(out, node->pairs[i].key->text);
        bw_buf_append_char(out, ':');
        bw_yaml_to_json(node->pairs[i].value, out);
    }
    bw_buf_append_char(out, '}');
}

static void append_list(const struct bw_yaml_node *node, struct bw_buf *out)
{
    bw_buf_append_char(out, '[');
    for (size_t i = 0; i < node->count; i++) {
        if (i) bw_buf_append_char(out, ',');
        bw_yaml_to_json(node->items[i], out);
    }
    bw_buf_append_char(out, ']');
}

void bw_yaml_to_json(const struct bw_yaml_node *node, struct bw_buf *out)
{
    switch (node->kind) { /* recursion is as deep as the loader's limit */
    case BW_YAML_NULL: bw_buf_append_text(out, "null"); break;
    case BW_YAML_BOOL: bw_buf_append_text(out, node->boolean ? "true" : "false"); break;
    case BW_YAML_INT: bw_buf_printf(out, "%" PRId64, node->integer); break;
    case BW_YAML_REAL: bw_json_real_append(out, node->real); break;
    case BW_YAML_STRING: bw_buf_append_json_string(out, node->text); break;
    case BW_YAML_LIST: append_list(node, out); break;
    case BW_YAML_MAP: append_map(node, out); break;
    }
}
