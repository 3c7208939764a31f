#include "config/values.h"
#include "base/buf.h"
#include <stdlib.h>
#include <string.h>

#define VALUES_BYTES_MAX (256u << 10) /* each worker has them, and each reload sends them anew */

static void check_value(const struct bw_key_context *context, const struct bw_yaml_pair *pair)
{
    struct bw_buf json = {0};
    if (!bw_key_is_expr_name(pair->key->text))
        bw_key_error(context, pair->key, "config.name", "use letters, digits and _, no digit in front: it is read as config.NAME",
                     "'%s' is no name of a value", pair->key->text.ptr);
    bw_yaml_to_json(pair->value, &json);
    if (json.len && memmem(json.data, json.len, "${{", 3))
        bw_key_error(context, pair->value, "config.expression", "the expression belongs into the `with` of the step that reads config.NAME",
                     "config.%s is a constant: no expression is evaluated here", pair->key->text.ptr);
    bw_buf_free(&json);
}

void bw_values_read(const struct bw_key_context *context, const struct bw_yaml_node *node, char **out)
{
    struct bw_buf json = {0};
    bool is_none = !node || node->kind == BW_YAML_NULL;
    if (!is_none && node->kind != BW_YAML_MAP)
        bw_key_error(context, node, "config.type", "write for example config: {crm_url: https://crm.example}", "config must be a map, found %s",
                     bw_yaml_kind_name(node->kind));
    for (size_t i = 0; !is_none && node->kind == BW_YAML_MAP && i < node->count; i++) check_value(context, &node->pairs[i]);
    if (is_none || node->kind != BW_YAML_MAP)
        bw_buf_append_text(&json, "{}");
    else
        bw_yaml_to_json(node, &json);
    if (json.len > VALUES_BYTES_MAX)
        bw_key_error(context, node, "config.too_large", "what is that large belongs into a file, or into a service",
                     "config has %zu bytes as JSON, at most %u are taken", json.len, VALUES_BYTES_MAX);
    *out = json.failed ? NULL : bw_slice_dup(bw_buf_slice(&json));
    bw_buf_free(&json);
}
