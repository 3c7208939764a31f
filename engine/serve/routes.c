#include "serve/routes.h"
#include "base/log.h"
#include "base/yaml_tree.h"
#include "config/sources.h"
#include <stdlib.h>

struct webhook { /* what a workflow has declared */
    char *file;
    struct bw_source_config config;
};
struct bw_routes {
    struct bw_config *config; /* NULL: not ours, as the next */
    struct bw_schemes *schemes;
    struct webhook *webhooks;
    size_t webhook_count;
    struct bw_source **sources; /* those without an error */
    size_t count;
    struct bw_mcp_tools *tools; /* NULL: nobody may call any */
};

void bw_routes_free(struct bw_routes *routes)
{
    if (!routes) return;
    for (size_t i = 0; i < routes->count; i++) bw_source_free(routes->sources[i]);
    for (size_t i = 0; i < routes->webhook_count; i++) {
        bw_source_config_clear(&routes->webhooks[i].config);
        free(routes->webhooks[i].file);
    }
    bw_config_free(routes->config);
    bw_schemes_free(routes->schemes);
    bw_mcp_tools_unref(routes->tools);
    free(routes->webhooks);
    free(routes->sources);
    free(routes);
}

/* Who has the path, or the name, already? Two places are named: the reader has to choose one. */
static bool is_taken(const struct bw_routes *routes, const struct bw_source_config *config, struct bw_errors *errs)
{
    for (size_t i = 0; i < routes->count; i++) {
        const struct bw_source_config *other = bw_source_settings(routes->sources[i]);
        bool same_path = !strcmp(other->path, config->path), same_name = !strcmp(other->name, config->name);
        const char *what = other->is_trigger ? "the webhook of" : "the source";
        struct bw_error *err;
        if (!same_path && !same_name) continue;
        if (same_path) {
            err = bw_errors_add(errs, "source.same_path", "the path %s is that of %s %s already, in %s:%d:%d", config->path, what, other->name,
                                other->file, other->path_line, other->path_column);
            bw_error_hint(err, "each needs a path of its own; where both shall start, let them wait for the events of one: on: [{event: NAME.**}]");
            bw_error_at(err, config->file, config->path_line, config->path_column);
        } else {
            err = bw_errors_add(errs, "source.same_name", "the webhook of %s would cause events of the name %s.…, as the source %s of %s:%d:%d does",
                                config->name, config->name, other->name, other->file, other->line, other->column);
            bw_error_hint(err, "call the workflow or the source something else");
            bw_error_at(err, config->file, config->line, config->column);
        }
        return true;
    }
    return false;
}

static void add(struct bw_routes *routes, const struct bw_source_config *config, const struct bw_schemes *schemes, struct bw_errors *errs)
{
    if (is_taken(routes, config, errs)) return;
    struct bw_source *source = bw_source_new(config, schemes, errs);
    if (source) routes->sources[routes->count++] = source;
}

/* The worker has read it with the same reader, but without the secrets. */
static void add_webhook(struct bw_routes *routes, const json_t *workflow, const struct bw_routes_from *from, struct bw_errors *errs)
{
    const json_t *tree = json_object_get(workflow, "webhook");
    struct webhook *webhook = &routes->webhooks[routes->webhook_count];
    struct bw_arena arena = {0};
    if (!tree) return;
    const struct bw_yaml_node *trigger = bw_yaml_tree_read(tree, &arena);
    webhook->file = bw_slice_dup(bw_slice_of(bw_json_str(workflow, "file", "")));
    const struct bw_key_context context = {
        .file = webhook->file, .errs = errs, .without_secrets = from->without_secrets, .programs = BW_PROGRAMS_REFUSED};
    if (!trigger || !webhook->file) {
        bw_errors_add(errs, "memory", "out of memory, or no webhook is described for %s", bw_json_str(workflow, "name", ""));
        free(webhook->file);
    } else if (bw_webhook_read(&context, bw_slice_of(bw_json_str(workflow, "name", "")), trigger, from->config->folder, &webhook->config)) {
        routes->webhook_count++;
        add(routes, &webhook->config, from->schemes, errs);
    } else {
        free(webhook->file);
    }
    bw_arena_free(&arena);
}

static bool has_mcp(const struct bw_routes *routes)
{
    for (size_t i = 0; i < routes->count; i++)
        if (bw_source_settings(routes->sources[i])->mcp.is_on) return true;
    return false;
}

struct bw_routes *bw_routes_new(const struct bw_routes_from *from, struct bw_errors *errs)
{
    struct bw_routes *routes = calloc(1, sizeof *routes);
    size_t index, most = json_array_size(from->workflows);
    json_t *workflow;
    if (!routes) return NULL;
    routes->webhooks = calloc(most + 1, sizeof *routes->webhooks);
    routes->sources = calloc(from->config->source_count + most + 1, sizeof *routes->sources);
    if (!routes->webhooks || !routes->sources) {
        bw_routes_free(routes);
        return NULL;
    }
    for (size_t i = 0; i < from->config->source_count; i++) add(routes, &from->config->sources[i], from->schemes, errs);
    json_array_foreach(from->workflows, index, workflow) add_webhook(routes, workflow, from, errs);
    if (has_mcp(routes) && !(routes->tools = bw_mcp_tools_new(from->workflows))) {
        bw_routes_free(routes);
        return NULL;
    }
    return routes;
}

void bw_routes_own(struct bw_routes *routes, struct bw_config *config, struct bw_schemes *schemes)
{
    routes->config = config;
    routes->schemes = schemes;
}

void bw_routes_redact(const struct bw_routes *routes)
{
    for (size_t s = 0; s < routes->count; s++) {
        const struct bw_source_config *config = bw_source_settings(routes->sources[s]);
        for (size_t i = 0; i < config->secret_count; i++)
            for (size_t k = 0; k < config->secrets[i].count; k++) bw_log_redact(config->secrets[i].name, config->secrets[i].values[k]);
    }
}

size_t bw_routes_count(const struct bw_routes *routes)
{
    return routes->count;
}

const struct bw_source_config *bw_routes_at(const struct bw_routes *routes, size_t index)
{
    return bw_source_settings(routes->sources[index]);
}

bool bw_routes_names_are_signed(const struct bw_routes *routes, size_t index)
{
    return bw_source_names_are_signed(routes->sources[index]);
}

bool bw_routes_learns(const struct bw_routes *routes, size_t index)
{
    return bw_source_learns(routes->sources[index]) != NULL;
}

const struct bw_mcp_tools *bw_routes_tools(const struct bw_routes *routes)
{
    return routes->tools;
}

const struct bw_source_config *bw_routes_find(const struct bw_routes *routes, const char *name)
{
    for (size_t i = 0; i < routes->count; i++)
        if (!strcmp(bw_source_settings(routes->sources[i])->name, name)) return bw_source_settings(routes->sources[i]);
    return NULL;
}

static void release(void *routes)
{
    bw_routes_free(routes);
}

struct bw_router *bw_routes_router_take(struct bw_routes *routes, const struct bw_router *before, struct bw_error *err)
{
    struct bw_router *router = bw_router_new((const struct bw_source *const *)routes->sources, routes->count, before, release, routes, err);
    if (router && routes->tools) bw_router_set_tools_take(router, bw_mcp_tools_ref(routes->tools));
    return router;
}
