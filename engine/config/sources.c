#include "config/sources.h"
#include "config/secrets.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BODY_BYTES_HARD (25u << 20) /* GitHub sends up to 25 MB */
#define DEDUPE_WINDOW_MS (3LL * 24 * 3600 * 1000)

#define FIELD(name) offsetof(struct bw_source_config, name)
static const struct bw_key source_keys[] = {
    {"path", BW_KEY_TEXT, FIELD(path), 0, 0, "required", "the exact path that the sender posts to, as /in/github"},
    {"verify", BW_KEY_TEXT, FIELD(verify), 0, 0, "required", "the scheme (bellwire schemes), or none"},
    {"secrets", BW_KEY_SPECIAL, 0, 0, 0, "", "the scheme's secrets by name: {env: NAME}, {file: PATH}, or a list of those (rotation)"},
    {"event", BW_KEY_SPECIAL, 0, 0, 0, "the scheme's", "a fixed name, or {refs: [header:x-event, json:/type]}"},
    {"dedupe", BW_KEY_SPECIAL, 0, 0, 0, "the scheme's", "{refs: [header:x-id], window: 3d}"},
    {"max_body", BW_KEY_SIZE, FIELD(max_body_bytes), 1, BODY_BYTES_HARD, "the instance's", "largest body"},
    {"public_url", BW_KEY_TEXT, FIELD(public_url), 0, 0, "", "the URL as the provider knows it, for schemes that sign it"},
    {"options", BW_KEY_SPECIAL, 0, 0, 0, "", "parameters of the generic schemes: {header: x-signature, algorithm: hmac-sha256}"},
    {"schema", BW_KEY_LATER, 0, 0, 0, NULL, NULL},
    {"rate", BW_KEY_LATER, 0, 0, 0, NULL, NULL},
};
#define KEY_COUNT (sizeof source_keys / sizeof *source_keys)

bool bw_config_is_name(struct bw_slice text)
{
    if (!text.len || text.len > 64 || text.ptr[0] < 'a' || text.ptr[0] > 'z') return false;
    for (size_t i = 0; i < text.len; i++)
        if (!((text.ptr[i] >= 'a' && text.ptr[i] <= 'z') || (text.ptr[i] >= '0' && text.ptr[i] <= '9') || text.ptr[i] == '-')) return false;
    return true;
}

static void read_refs(const struct bw_key_context *context, const struct bw_yaml_node *list, const char *what, char ***out, size_t *count)
{
    if (list->kind != BW_YAML_LIST || !list->count) {
        bw_key_error(context, list, "config.type", "write for example [header:x-event, json:/type]", "%s.refs must be a list of value references",
                     what);
        return;
    }
    if (!(*out = calloc(list->count + 1, sizeof **out))) return;
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i]->kind == BW_YAML_LIST || list->items[i]->kind == BW_YAML_MAP)
            bw_key_error(context, list->items[i], "config.type", "write for example header:x-event or json:/type", "%s.refs must hold texts", what);
        else
            (*out)[(*count)++] = bw_slice_dup(list->items[i]->text);
    }
}

static bool is_event_name(struct bw_slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:", text.ptr[i])) return false;
    return text.len > 0 && text.len <= 128;
}

static void read_event(const struct bw_key_context *context, const struct bw_yaml_node *node, struct bw_source_config *source)
{
    if (!node) return;
    if (node->kind == BW_YAML_STRING && node->text.len && !is_event_name(node->text))
        bw_key_error(context, node, "config.event", "write for example push or order.paid",
                     "the event name '%s' must be of letters, digits and _-.: and at most 128 long", node->text.ptr);
    else if (node->kind == BW_YAML_STRING && node->text.len)
        source->event = bw_slice_dup(node->text);
    else if (node->kind == BW_YAML_MAP && node->count == 1 && bw_yaml_get(node, "refs"))
        read_refs(context, bw_yaml_get(node, "refs"), "event", &source->event_refs, &source->event_ref_count);
    else
        bw_key_error(context, node, "config.type", NULL, "event must be a name or {refs: [...]}");
}

static void read_dedupe(const struct bw_key_context *context, const struct bw_yaml_node *node, struct bw_source_config *source)
{
    static const struct bw_key keys[] = {{"refs", BW_KEY_SPECIAL, 0, 0, 0, NULL, NULL},
                                         {"window", BW_KEY_DURATION, FIELD(dedupe_window_ms), 0, 0, "3d", NULL}};
    if (!node) return;
    bw_keys_read(context, node, "dedupe", keys, 2, source);
    if (bw_yaml_get(node, "refs")) read_refs(context, bw_yaml_get(node, "refs"), "dedupe", &source->dedupe_refs, &source->dedupe_ref_count);
}

static void read_options(const struct bw_key_context *context, const struct bw_yaml_node *node, struct bw_source_config *source)
{
    if (!node) return;
    if (node->kind != BW_YAML_MAP || !(source->options = calloc(node->count + 1, sizeof *source->options))) {
        bw_key_error(context, node, "config.type", NULL, "options must be a map of names to values");
        return;
    }
    for (size_t i = 0; i < node->count; i++) {
        const struct bw_yaml_node *key = node->pairs[i].key, *value = node->pairs[i].value;
        struct bw_buf text = {0};
        if (value->kind == BW_YAML_LIST || value->kind == BW_YAML_MAP) {
            bw_key_error(context, value, "config.type", NULL, "the option %s must be text, found %s", key->text.ptr, bw_yaml_kind_name(value->kind));
            continue;
        }
        bw_buf_printf(&text, "%s=%s", key->text.ptr, value->kind == BW_YAML_NULL ? "" : value->text.ptr);
        source->options[source->option_count++] = bw_buf_take(&text, NULL);
    }
}

static void read_source(const struct bw_key_context *context, const struct bw_yaml_pair *pair, struct bw_config *config)
{
    struct bw_source_config *source = &config->sources[config->source_count++];
    char where[100];
    const struct bw_yaml_node *map = pair->value;
    snprintf(where, sizeof where, "sources.%.64s", pair->key->text.ptr);
    source->name = bw_slice_dup(pair->key->text);
    source->file = config->file;
    source->line = pair->key->line;
    source->column = pair->key->column;
    source->dedupe_window_ms = DEDUPE_WINDOW_MS;
    source->max_body_bytes = config->max_body_bytes;
    if (!bw_config_is_name(pair->key->text))
        bw_key_error(context, pair->key, "config.name", NULL, "the source name '%s' must be of a-z, 0-9 and '-', and begin with a letter",
                     pair->key->text.ptr);
    if (bw_slice_is(pair->key->text, "bellwire"))
        bw_key_error(context, pair->key, "config.name", "call it after who sends",
                     "events below bellwire. are the engine's own: no source can be called so");
    bw_keys_read(context, map, where, source_keys, KEY_COUNT, source);
    if (map->kind != BW_YAML_MAP && map->kind != BW_YAML_NULL) return;
    bw_secrets_read(context, bw_yaml_get(map, "secrets"), config->folder, &source->secrets, &source->secret_count);
    read_event(context, bw_yaml_get(map, "event"), source);
    read_dedupe(context, bw_yaml_get(map, "dedupe"), source);
    read_options(context, bw_yaml_get(map, "options"), source);
    if (!source->verify)
        bw_key_error(context, pair->key, "source.no_verify",
                     "name the provider's scheme (bellwire schemes), or write `verify: none` if really anybody may send here",
                     "source %s does not say how its requests are verified", source->name);
    if (!source->path)
        bw_key_error(context, pair->key, "source.no_path", "write for example path: /in/NAME", "source %s has no path", source->name);
    else if (*source->path != '/' || strpbrk(source->path, "?# %"))
        bw_key_error(context, bw_yaml_get(map, "path"), "source.path", NULL, "the path '%s' must begin with '/' and hold no space, '%%', '?' or '#'",
                     source->path);
    for (size_t i = 0; source->path && i + 1 < config->source_count; i++)
        if (config->sources[i].path && !strcmp(config->sources[i].path, source->path))
            bw_key_error(context, bw_yaml_get(map, "path"), "source.same_path", NULL, "the sources %s and %s have the same path %s",
                         config->sources[i].name, source->name, source->path);
    if (source->public_url && strncmp(source->public_url, "https://", 8) && strncmp(source->public_url, "http://", 7))
        bw_key_error(context, bw_yaml_get(map, "public_url"), "source.public_url", "write it as it is registered: https://hooks.example/in/NAME",
                     "public_url '%s' is no URL", source->public_url);
    if (source->path && !strcmp(source->path, "/healthz"))
        bw_key_error(context, bw_yaml_get(map, "path"), "source.path", NULL, "the path /healthz is the engine's own");
    if (source->path && !strncmp(source->path, "/approve/", 9))
        bw_key_error(context, bw_yaml_get(map, "path"), "source.path", NULL, "paths below /approve/ are the engine's own");
}

void bw_sources_read(const struct bw_key_context *context, const struct bw_yaml_node *map, struct bw_config *config)
{
    if (!map || map->kind == BW_YAML_NULL) return;
    if (map->kind != BW_YAML_MAP) {
        bw_key_error(context, map, "config.type", NULL, "sources must be a map of names to {path, verify, …}");
        return;
    }
    if (!(config->sources = calloc(map->count + 1, sizeof *config->sources))) return;
    for (size_t i = 0; i < map->count; i++) read_source(context, &map->pairs[i], config);
}

static void free_list(char **list, size_t count)
{
    for (size_t i = 0; i < count; i++) free(list[i]);
    free(list);
}

void bw_sources_free(struct bw_source_config *sources, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct bw_source_config *source = &sources[i];
        free(source->name);
        free(source->path);
        free(source->verify);
        free(source->event);
        free(source->public_url);
        bw_secrets_free(source->secrets, source->secret_count);
        free_list(source->event_refs, source->event_ref_count);
        free_list(source->dedupe_refs, source->dedupe_ref_count);
        free_list(source->options, source->option_count);
    }
    free(sources);
}

void bw_sources_help(struct bw_buf *out)
{
    bw_buf_append_text(out, "\nsources.NAME:\n");
    for (size_t i = 0; i < KEY_COUNT; i++)
        if (source_keys[i].help)
            bw_buf_printf(out, "  %-22s %s%s%s%s\n", source_keys[i].name, source_keys[i].help, *source_keys[i].otherwise ? " (" : "",
                          source_keys[i].otherwise, *source_keys[i].otherwise ? ")" : "");
}
