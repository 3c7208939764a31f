#include "config/sources.h"
#include "base/schema.h"
#include "config/guards.h"
#include "config/mcp.h"
#include "config/secrets.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEDUPE_WINDOW_MS (3LL * 24 * 3600 * 1000)

#define FIELD(name) offsetof(struct bw_source_config, name)
/* clang-format off */
#define COMMON_KEYS \
    {"verify", BW_KEY_TEXT, FIELD(verify), 0, 0, "required", "the scheme (bellwire schemes), or none"}, \
    {"secrets", BW_KEY_SPECIAL, 0, 0, 0, "", "the scheme's secrets by name: {env: NAME}, {file: PATH}, {exec: [PROGRAM, …]}, or a list of those (rotation)"}, \
    {"dedupe", BW_KEY_SPECIAL, 0, 0, 0, "the scheme's", "{refs: [header:x-id], window: 3d}"}, \
    {"max_body", BW_KEY_SIZE, FIELD(max_body_bytes), 1, BW_BODY_BYTES_HARD_GITHUB, "the instance's", "largest body, at most 16MiB; 25MiB with verify: github"}, \
    {"public_url", BW_KEY_TEXT, FIELD(public_url), 0, 0, "", "the URL as the provider knows it, for schemes that sign it"}, \
    {"options", BW_KEY_SPECIAL, 0, 0, 0, "", "parameters of the generic schemes: {header: x-signature, algorithm: hmac-sha256}"}, \
    {"batch", BW_KEY_SPECIAL, 0, 0, 0, "split", "of a scheme with batches: split (each event in it is one) or whole (the request is one event)"}, \
    {"acknowledge", BW_KEY_SPECIAL, 0, 0, 0, "the scheme's", "the answer to what was taken: {status: 200, headers: {X-Taken: \"yes\"}, body: ok}"}, \
    {"accepts", BW_KEY_SPECIAL, 0, 0, 0, "the scheme's", "the only content types that are taken: [application/json]"}, \
    {"schema", BW_KEY_SPECIAL, 0, 0, 0, "any", "what a body must be: {type: object, properties: {id: {type: string, required: true}}}"}, \
    {"rate", BW_KEY_SPECIAL, 0, 0, 0, "any", "{limit: 100/1s, burst: 200, by: source or address}, or a list of one of each"}, \
    {"allow", BW_KEY_SPECIAL, 0, 0, 0, "anybody", "the only addresses that may send: [192.0.2.7, 10.0.0.0/8]"}
/* clang-format on */

static const struct bw_key source_keys[] = {
    {"path", BW_KEY_TEXT, FIELD(path), 0, 0, "required", "the exact path that the sender posts to, as /in/github"},
    {"event", BW_KEY_SPECIAL, 0, 0, 0, "the scheme's", "a fixed name, or {refs: [header:x-event, json:/type]}"},
    {"mcp", BW_KEY_SPECIAL, 0, 0, 0, "false", "language models call workflows with expose: mcp here: true, or {within: 30s, origins: [https://…]}"},
    COMMON_KEYS,
};
static const struct bw_key webhook_keys[] = {
    {"webhook", BW_KEY_TEXT, FIELD(path), 0, 0, NULL, NULL},
    {"name", BW_KEY_SPECIAL, 0, 0, 0, NULL, NULL},
    {"if", BW_KEY_SPECIAL, 0, 0, 0, NULL, NULL}, /* the workflow's own */
    COMMON_KEYS,
};
struct form { /* where it is written */
    const struct bw_key *keys;
    size_t count;
    const char *path, *event; /* what these are called there */
    const char *subject;      /* for messages, in front of its name */
    const char *path_hint;
};
static const struct form source_form = {source_keys, sizeof source_keys / sizeof *source_keys, "path", "event",
                                        "source",    "write for example path: /in/NAME"};
static const struct form webhook_form = {webhook_keys,     sizeof webhook_keys / sizeof *webhook_keys, "webhook", "name",
                                         "the webhook of", "write for example webhook: /in/NAME"};

static const struct own_path { /* what the engine answers by itself */
    const char *path;
    bool is_prefix;
} own_paths[] = {{"/healthz", false}, {"/approve/", true}, {"/callback/", true}, {"/status/", true}};

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

static void read_event(const struct bw_key_context *context, const struct bw_yaml_node *node, const char *key, struct bw_source_config *source)
{
    if (!node) return;
    if (node->kind == BW_YAML_STRING && node->text.len && !is_event_name(node->text))
        bw_key_error(context, node, "config.event", "write for example push or order.paid",
                     "the event name '%s' must be of letters, digits and _-.: and at most 128 long", node->text.ptr);
    else if (node->kind == BW_YAML_STRING && node->text.len)
        source->event = bw_slice_dup(node->text);
    else if (node->kind == BW_YAML_MAP && node->count == 1 && bw_yaml_get(node, "refs"))
        read_refs(context, bw_yaml_get(node, "refs"), key, &source->event_refs, &source->event_ref_count);
    else
        bw_key_error(context, node, "config.type", NULL, "%s must be a name or {refs: [...]}", key);
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

static void read_batch(const struct bw_key_context *context, const struct bw_yaml_node *node, struct bw_source_config *source)
{
    source->keeps_batches = node && bw_slice_is(node->text, "whole");
    if (node && !source->keeps_batches && !bw_slice_is(node->text, "split"))
        bw_key_error(context, node, "config.type", NULL, "batch must be split or whole");
}

static void check_path(const struct bw_key_context *context, const struct bw_yaml_node *at, struct bw_source_config *source)
{
    const char *path = source->path;
    source->path_line = at ? at->line : source->line;
    source->path_column = at ? at->column : source->column;
    if (*path != '/' || strpbrk(path, "?# %"))
        bw_key_error(context, at, "source.path", NULL, "the path '%s' must begin with '/' and hold no space, '%%', '?' or '#'", path);
    for (size_t i = 0; i < sizeof own_paths / sizeof *own_paths; i++) {
        const struct own_path *own = &own_paths[i];
        if (own->is_prefix ? strncmp(path, own->path, strlen(own->path)) != 0 : strcmp(path, own->path) != 0) continue;
        bw_key_error(context, at, "source.path", "take another one, such as /in/NAME",
                     own->is_prefix ? "paths below %s are the engine's own" : "the path %s is the engine's own", own->path);
    }
}

/* at: its name, or what stands for it. */
static void read_source(const struct bw_key_context *context, const struct form *form, const struct bw_yaml_node *at, const char *where,
                        const struct bw_yaml_node *map, const char *folder, struct bw_source_config *source)
{
    source->file = context->file;
    source->line = at->line;
    source->column = at->column;
    source->dedupe_window_ms = DEDUPE_WINDOW_MS;
    if (bw_slice_is(bw_slice_of(source->name), "bellwire"))
        bw_key_error(context, at, "config.name", "call it after who sends",
                     "events below bellwire. are the engine's own: no source can be called so");
    bw_keys_read(context, map, where, form->keys, form->count, source);
    if (map->kind != BW_YAML_MAP && map->kind != BW_YAML_NULL) return;
    bw_secrets_read(context, bw_yaml_get(map, "secrets"), folder, &source->secrets, &source->secret_count);
    read_event(context, bw_yaml_get(map, form->event), form->event, source);
    read_dedupe(context, bw_yaml_get(map, "dedupe"), source);
    read_options(context, bw_yaml_get(map, "options"), source);
    read_batch(context, bw_yaml_get(map, "batch"), source);
    bw_acknowledge_read(context->file, context->errs, bw_yaml_get(map, "acknowledge"), &source->acknowledge);
    bw_accepts_read(context->file, context->errs, bw_yaml_get(map, "accepts"), &source->accepts);
    bw_guards_read(context, map, source);
    if (form == &source_form) bw_mcp_config_read(context, map, &source->mcp);
    if (source->max_body_bytes > BW_BODY_BYTES_HARD && (!source->verify || strcmp(source->verify, "github")))
        bw_key_error(context, bw_yaml_get(map, "max_body"), "config.range", "GitHub alone sends more: 25MiB with verify: github",
                     "max_body must be from 1 to %u bytes", BW_BODY_BYTES_HARD);
    if (!bw_yaml_get(map, "verify"))
        bw_key_error(context, at, "source.no_verify",
                     "name the provider's scheme (bellwire schemes), or write `verify: none` if really anybody may send here",
                     "%s %s does not say how its requests are verified", form->subject, source->name);
    if (source->path)
        check_path(context, bw_yaml_get(map, form->path), source);
    else if (!bw_yaml_get(map, form->path))
        bw_key_error(context, at, "source.no_path", form->path_hint, "%s %s has no path", form->subject, source->name);
    if (source->public_url && strncmp(source->public_url, "https://", 8) && strncmp(source->public_url, "http://", 7))
        bw_key_error(context, bw_yaml_get(map, "public_url"), "source.public_url", "write it as it is registered: https://hooks.example/in/NAME",
                     "public_url '%s' is no URL", source->public_url);
}

static void read_named(const struct bw_key_context *context, const struct bw_yaml_pair *pair, struct bw_config *config)
{
    struct bw_source_config *source = &config->sources[config->source_count++];
    char where[100];
    snprintf(where, sizeof where, "sources.%.64s", pair->key->text.ptr);
    source->name = bw_slice_dup(pair->key->text);
    source->max_body_bytes = config->max_body_bytes;
    if (!source->name) return;
    if (!bw_config_is_name(pair->key->text))
        bw_key_error(context, pair->key, "config.name", NULL, "the source name '%s' must be of a-z, 0-9 and '-', and begin with a letter",
                     pair->key->text.ptr);
    read_source(context, &source_form, pair->key, where, pair->value, config->folder, source);
    for (size_t i = 0; source->path && i + 1 < config->source_count; i++)
        if (config->sources[i].path && !strcmp(config->sources[i].path, source->path))
            bw_key_error(context, bw_yaml_get(pair->value, "path"), "source.same_path", NULL, "the sources %s and %s have the same path %s",
                         config->sources[i].name, source->name, source->path);
}

bool bw_webhook_read(const struct bw_key_context *context, struct bw_slice workflow, const struct bw_yaml_node *trigger, const char *folder,
                     struct bw_source_config *out)
{
    size_t before = context->errs->count + context->errs->dropped;
    *out = (struct bw_source_config){.name = bw_slice_dup(workflow), .is_trigger = true};
    if (out->name) read_source(context, &webhook_form, trigger, "a webhook trigger", trigger, folder, out);
    if (out->name && context->errs->count + context->errs->dropped == before) return true;
    if (!out->name) bw_errors_add(context->errs, "memory", "out of memory");
    bw_source_config_clear(out);
    return false;
}

void bw_sources_read(const struct bw_key_context *context, const struct bw_yaml_node *map, struct bw_config *config)
{
    if (!map || map->kind == BW_YAML_NULL) return;
    if (map->kind != BW_YAML_MAP) {
        bw_key_error(context, map, "config.type", NULL, "sources must be a map of names to {path, verify, …}");
        return;
    }
    if (!(config->sources = calloc(map->count + 1, sizeof *config->sources))) return;
    for (size_t i = 0; i < map->count; i++) read_named(context, &map->pairs[i], config);
}

static void free_list(char **list, size_t count)
{
    for (size_t i = 0; i < count; i++) free(list[i]);
    free(list);
}

void bw_source_config_clear(struct bw_source_config *source)
{
    free(source->name);
    free(source->path);
    free(source->verify);
    free(source->event);
    free(source->public_url);
    free(source->allow);
    free_list(source->mcp.origins, source->mcp.origin_count);
    bw_acknowledge_clear(&source->acknowledge);
    bw_accepts_clear(&source->accepts);
    bw_schema_free(source->schema);
    bw_secrets_free(source->secrets, source->secret_count);
    free_list(source->event_refs, source->event_ref_count);
    free_list(source->dedupe_refs, source->dedupe_ref_count);
    free_list(source->options, source->option_count);
    *source = (struct bw_source_config){0};
}

void bw_sources_free(struct bw_source_config *sources, size_t count)
{
    for (size_t i = 0; i < count; i++) bw_source_config_clear(&sources[i]);
    free(sources);
}

void bw_sources_help(struct bw_buf *out)
{
    bw_buf_append_text(out, "\nsources.NAME:\n");
    for (size_t i = 0; i < source_form.count; i++)
        if (source_keys[i].help)
            bw_buf_printf(out, "  %-22s %s%s%s%s\n", source_keys[i].name, source_keys[i].help, *source_keys[i].otherwise ? " (" : "",
                          source_keys[i].otherwise, *source_keys[i].otherwise ? ")" : "");
}
