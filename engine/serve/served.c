#include "serve/served.h"
#include "base/log.h"
#include "dispatch/dispatch.h"
#include "source/source.h"
#include <stdio.h>
#include <unistd.h>

static void log_errors(const struct bw_errors *errs)
{
    for (size_t i = 0; i < errs->count; i++) bw_log_error(BW_LOG_ERROR, "config.error", &errs->items[i]);
}

bool bw_served_check(const struct bw_config *config)
{
    struct bw_errors errs = {0};
    struct bw_schemes *schemes = bw_schemes_load(config->schemes, &errs);
    struct bw_routes *routes = schemes ? bw_routes_new(&(struct bw_routes_from){.config = config, .schemes = schemes}, &errs) : NULL;
    bool good = routes && !errs.count;
    log_errors(&errs);
    bw_routes_free(routes);
    bw_schemes_free(schemes);
    bw_errors_free(&errs);
    return good;
}

/* NULL: no memory, or what is wrong is in errs. */
static struct bw_routes *make_routes(const struct bw_served *served, const json_t *workflows, struct bw_buf *keys, struct bw_errors *errs)
{
    struct bw_config *config = served->current ? bw_config_load_again(served->config->file, errs) : NULL;
    const struct bw_config *now = served->current ? config : served->config;
    struct bw_schemes *schemes = now ? bw_schemes_load(now->schemes, errs) : NULL;
    struct bw_routes *routes =
        schemes ? bw_routes_new(&(struct bw_routes_from){.config = now, .schemes = schemes, .workflows = workflows}, errs) : NULL;
    if (routes) {
        bw_config_append_for_start(served->config, now, keys);
        bw_routes_own(routes, config, schemes);
        return routes;
    }
    bw_schemes_free(schemes);
    bw_config_free(config);
    return NULL;
}

bool bw_served_prepare(struct bw_served *served, const json_t *workflows, json_t *errors)
{
    struct bw_errors errs = {0};
    struct bw_error err;
    bw_served_forget(served);
    struct bw_routes *routes = make_routes(served, workflows, &served->prepared_keys, &errs);
    bw_error_set(&err, "memory", "out of memory");
    if (routes) bw_routes_redact(routes);
    if (routes && !(served->prepared = bw_routes_router_take(routes, served->current, &err))) bw_routes_free(routes);
    if (!served->prepared && !errs.count) bw_errors_push(&errs, &err);
    for (size_t i = 0; i < errs.count; i++) json_array_append_new(errors, bw_dispatch_error_json(&errs.items[i], NULL));
    bool good = !errs.count;
    bw_errors_free(&errs);
    return good;
}

/* Once for each change of them: whoever saves a workflow is not reminded each time. */
static void tell_keys(struct bw_served *served)
{
    char message[200];
    bool is_told = bw_slice_equal(bw_buf_slice(&served->prepared_keys), bw_buf_slice(&served->told_keys));
    bw_buf_free(&served->told_keys);
    served->told_keys = served->prepared_keys;
    served->prepared_keys = (struct bw_buf){0};
    if (is_told || !served->told_keys.len) return;
    snprintf(message, sizeof message,
             "these keys of bellwire.yaml have changed, and are read at the start only: kill -USR2 %ld starts anew, and refuses no connection",
             (long)getpid());
    bw_log(BW_LOG_WARN, "config.needs_start", BW_SLC("keys", bw_buf_slice(&served->told_keys)), BW_STR("message", message));
}

struct bw_router *bw_served_take(struct bw_served *served)
{
    bw_router_unref(served->current);
    served->current = served->prepared;
    served->prepared = NULL;
    tell_keys(served);
    return bw_router_ref(served->current);
}

void bw_served_forget(struct bw_served *served)
{
    bw_router_unref(served->prepared);
    served->prepared = NULL;
    bw_buf_free(&served->prepared_keys);
}

void bw_served_free(struct bw_served *served)
{
    bw_served_forget(served);
    bw_router_unref(served->current);
    bw_buf_free(&served->told_keys);
}
