#include "config/configure.h"
#include "base/confine.h"
#include "base/json.h"
#include <string.h>

#define CONFIGURE_BYTES_MAX (256u << 10) /* as much as `config`: each worker has it */

/* What the pointer was before it went deeper. */
static void leave(struct bw_buf *pointer, size_t before)
{
    if (pointer->data) pointer->data[pointer->len = before] = '\0';
}

static void note_places(const struct bw_yaml_node *key, const struct bw_yaml_node *value, struct bw_buf *pointer, json_t *places)
{
    json_object_set_new(places, pointer->data ? pointer->data : "", json_pack("[i,i,i,i]", key->line, key->column, value->line, value->column));
    for (size_t i = 0; value->kind == BW_YAML_MAP && i < value->count; i++) {
        size_t before = pointer->len;
        bw_buf_append_pointer(pointer, value->pairs[i].key->text);
        note_places(value->pairs[i].key, value->pairs[i].value, pointer, places);
        leave(pointer, before);
    }
    for (size_t i = 0; value->kind == BW_YAML_LIST && i < value->count; i++) {
        size_t before = pointer->len;
        bw_buf_printf(pointer, "/%zu", i);
        note_places(value->items[i], value->items[i], pointer, places);
        leave(pointer, before);
    }
}

static json_t *read_plugin(const struct bw_key_context *context, const struct bw_yaml_pair *pair)
{
    const struct bw_yaml_node *value = pair->value;
    struct bw_buf json = {0}, pointer = {0};
    json_t *places = json_object();
    if (value->kind != BW_YAML_MAP && value->kind != BW_YAML_NULL)
        bw_key_error(context, value, "config.type", "bellwire actions show says what it takes", "configure.%s must be a map, found %s",
                     pair->key->text.ptr, bw_yaml_kind_name(value->kind));
    if (value->kind == BW_YAML_MAP)
        bw_yaml_to_json(value, &json);
    else
        bw_buf_append_text(&json, "{}");
    if (json.len && memmem(json.data, json.len, "${{", 3))
        bw_key_error(context, value, "config.expression", "what differs from step to step belongs into its `with`",
                     "configure.%s is constant: no expression is evaluated here", pair->key->text.ptr);
    note_places(pair->key, value, &pointer, places);
    json_t *plugin = json_pack("{s:o,s:o}", "config", json.failed ? NULL : bw_json_load(bw_buf_slice(&json), NULL), "places", places);
    bw_buf_free(&json);
    bw_buf_free(&pointer);
    return plugin;
}

static json_t *read_plugins(const struct bw_key_context *context, const struct bw_yaml_node *node)
{
    json_t *plugins = json_object();
    if (!node || node->kind == BW_YAML_NULL) return plugins;
    if (node->kind != BW_YAML_MAP)
        bw_key_error(context, node, "config.type", "write for example configure: {crm: {vendor: hubspot, token: {secret: HUBSPOT_TOKEN}}}",
                     "configure must be a map of plugins to what they are told, found %s", bw_yaml_kind_name(node->kind));
    for (size_t i = 0; node->kind == BW_YAML_MAP && i < node->count; i++)
        json_object_set_new(plugins, node->pairs[i].key->text.ptr, read_plugin(context, &node->pairs[i]));
    return plugins;
}

/* ---- plugins_may ---- */

static json_t *read_needs(const struct bw_key_context *context, const struct bw_yaml_pair *pair)
{
    const struct bw_yaml_node *value = pair->value;
    json_t *needs = json_array();
    if (value->kind != BW_YAML_LIST)
        bw_key_error(context, value, "config.type", "write for example [network], or [] if it may need nothing",
                     "plugins_may.%s must be a list, found %s", pair->key->text.ptr, bw_yaml_kind_name(value->kind));
    for (size_t i = 0; value->kind == BW_YAML_LIST && i < value->count; i++) {
        const struct bw_yaml_node *item = value->items[i];
        if (item->kind == BW_YAML_STRING && bw_need_is_known(item->text.ptr))
            json_array_append_new(needs, json_stringn(item->text.ptr, item->text.len));
        else
            bw_key_error(context, item, "config.need", "it may be network, unix, exec, groups, or files:PATH or reads:PATH with a PATH from the root",
                         "a plugin cannot need this%s%s", item->kind == BW_YAML_STRING ? ": " : "",
                         item->kind == BW_YAML_STRING ? item->text.ptr : "");
    }
    return json_pack("{s:o,s:[i,i]}", "needs", needs, "at", pair->key->line, pair->key->column);
}

static json_t *read_may(const struct bw_key_context *context, const struct bw_yaml_node *node)
{
    json_t *may = json_object();
    if (node->kind != BW_YAML_MAP)
        bw_key_error(context, node, "config.type", "write for example plugins_may: {sql: [network], \"*\": []}",
                     "plugins_may must be a map of plugins to what they may need, found %s", bw_yaml_kind_name(node->kind));
    for (size_t i = 0; node->kind == BW_YAML_MAP && i < node->count; i++)
        json_object_set_new(may, node->pairs[i].key->text.ptr, read_needs(context, &node->pairs[i]));
    return may;
}

/* ---- both ---- */

void bw_configure_read(const struct bw_key_context *context, const struct bw_yaml_node *root, const struct bw_secret *secrets, size_t secret_count,
                       char **out)
{
    const struct bw_yaml_node *node = root ? bw_yaml_get(root, "configure") : NULL, *may = root ? bw_yaml_get(root, "plugins_may") : NULL;
    struct bw_buf text = {0};
    json_t *names = json_array(), *all;
    for (size_t i = 0; i < secret_count; i++) json_array_append_new(names, json_string(secrets[i].name));
    all = json_pack("{s:s*,s:o,s:o}", "file", context->file, "secrets", names, "plugins", read_plugins(context, node));
    if (all && may && may->kind != BW_YAML_NULL) json_object_set_new(all, "may", read_may(context, may));
    if (all) bw_json_append(&text, all);
    if (text.len > CONFIGURE_BYTES_MAX)
        bw_key_error(context, node ? node : may, "config.too_large", "what is that large belongs into a file that the plugin reads",
                     "configure has %zu bytes as JSON, at most %u are taken", text.len, CONFIGURE_BYTES_MAX);
    *out = !all || text.failed ? NULL : bw_slice_dup(bw_buf_slice(&text));
    json_decref(all);
    bw_buf_free(&text);
}

void bw_configure_help(struct bw_buf *out)
{
    bw_buf_append_text(out, "\nconfigure.PLUGIN (fields as `bellwire actions show` says them):\n"
                            "  NAME: VALUE            a field that the plugin's manifest has under `config`; what it leaves out has its default\n"
                            "  NAME: {secret: SECRET} a field that is secret: all of the plugin's actions may read that one of `secrets`\n");
    bw_buf_append_text(out, "\nplugins_may (what compiled plugins may need, whatever their manifests say; without it each has what it needs):\n"
                            "  PLUGIN: [NEED, …]      that one may need network, unix, exec, groups, files:PATH or reads:PATH (and all beneath it);\n"
                            "                         [] = it is off if it needs anything\n"
                            "  \"*\": [NEED, …]         all that are not named\n");
}
