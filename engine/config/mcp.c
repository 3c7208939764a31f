#include "config/mcp.h"
#include "config/listen.h"
#include <stdlib.h>
#include <string.h>

#define WITHIN_MS 30000
#define WITHIN_MAX_MS 60000

/* Of a source, those that say what events are made of its requests and how their senders are answered: here the protocol says it. */
static const char *const not_here[] = {"event", "dedupe", "batch", "acknowledge", "accepts", "schema"};

static bool is_origin(const struct bw_yaml_node *node)
{
    const char *mark = node->kind == BW_YAML_STRING ? strstr(node->text.ptr, "://") : NULL;
    return mark && mark > node->text.ptr && mark[3] && !strpbrk(mark + 3, "/?# *");
}

static void read_origins(const struct bw_key_context *context, const struct bw_yaml_node *list, struct bw_mcp_config *out)
{
    if (!list) return;
    if (list->kind != BW_YAML_LIST || !(out->origins = calloc(list->count + 1, sizeof *out->origins))) {
        bw_key_error(context, list, "config.type", "write for example [https://agents.example]", "mcp.origins must be a list of origins");
        return;
    }
    for (size_t i = 0; i < list->count; i++) {
        if (is_origin(list->items[i]))
            out->origins[out->origin_count++] = bw_slice_dup(list->items[i]->text);
        else
            bw_key_error(context, list->items[i], "mcp.origin", "write scheme and host, as a browser says it: https://agents.example",
                         "this is no origin of a web page");
    }
}

void bw_mcp_config_read(const struct bw_key_context *context, const struct bw_yaml_node *source, struct bw_mcp_config *out)
{
    static const struct bw_key keys[] = {{"within", BW_KEY_DURATION, offsetof(struct bw_mcp_config, within_ms), 0, 0, "30s", NULL},
                                         {"origins", BW_KEY_SPECIAL, 0, 0, 0, NULL, NULL}};
    const struct bw_yaml_node *node = bw_yaml_get(source, "mcp");
    if (!node) return;
    out->within_ms = WITHIN_MS;
    if (node->kind == BW_YAML_MAP) {
        out->is_on = true;
        bw_keys_read(context, node, "mcp", keys, sizeof keys / sizeof *keys, out);
        read_origins(context, bw_yaml_get(node, "origins"), out);
        if (out->within_ms > WITHIN_MAX_MS)
            bw_key_error(context, bw_yaml_get(node, "within"), "config.range", "what takes longer is told by the tool get_run",
                         "mcp.within says how long a call waits for its run, at most 60s");
    } else if (node->kind == BW_YAML_BOOL) {
        out->is_on = node->boolean;
    } else {
        bw_key_error(context, node, "config.type", "write mcp: true, or mcp: {within: 30s}", "mcp must be true, false or a map");
    }
    for (size_t i = 0; out->is_on && i < sizeof not_here / sizeof *not_here; i++)
        for (size_t k = 0; k < source->count; k++)
            if (bw_slice_is(source->pairs[k].key->text, not_here[i]))
                bw_key_error(context, source->pairs[k].key, "mcp.key", "leave it out, or make another source for events",
                             "`%s` is of sources of events: with mcp the protocol says it", not_here[i]);
}

/* Nobody from elsewhere reaches it, or only who shows a certificate. */
static bool is_guarded(const struct bw_config *config, const struct bw_listen *listen)
{
    return !listen->host || bw_listen_is_loopback(listen->host) || (listen->is_tls && config->tls.client_required);
}

void bw_mcp_config_check(struct bw_errors *errs, const struct bw_config *config)
{
    const struct bw_listen *open = NULL;
    for (size_t i = 0; i < config->listen_count && !open; i++)
        if (!is_guarded(config, &config->listen[i])) open = &config->listen[i];
    for (size_t i = 0; open && i < config->source_count; i++) {
        const struct bw_source_config *source = &config->sources[i];
        if (!source->mcp.is_on || !source->verify || strcmp(source->verify, "none") != 0 || source->allow_count) continue;
        struct bw_error *err =
            bw_errors_add(errs, "mcp.unverified", "anybody who reaches %s could run workflows through the source %s: it has verify: none", open->host,
                          source->name);
        bw_error_hint(err, "give it a token: verify: bearer, secrets: {token: {env: MCP_TOKEN}}; or listen on 127.0.0.1 alone");
        bw_error_at(err, source->file, source->line, source->column);
    }
}
