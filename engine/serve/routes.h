/* routes.h: who may send, now: the sources of bellwire.yaml, and those that the `webhook` triggers of a catalogue declare, with their secrets.
 *
 * Made as a whole from the configuration and from what a worker has said about the workflows; the secrets are read here, in the engine, and never go
 * to a worker. What is made is immutable; the listener's router takes it over and frees it when no request needs it any more. */
#ifndef BW_SERVE_ROUTES_H
#define BW_SERVE_ROUTES_H
#include "base/json.h"
#include "ingest/router.h"

struct bw_routes;
struct bw_routes_from {
    const struct bw_config *config; /* sources, and the folder that secrets' files are relative to */
    const struct bw_schemes *schemes;
    const json_t *workflows; /* of BW_MSG_CATALOG_LOADED; NULL: none */
    bool without_secrets;    /* their values are not looked for (config.h) */
};
/* Everything that is wrong is added to errs, each with its place; a source with an error is left out, the others are there. config is borrowed, and
 * so are the schemes. NULL: no memory. */
struct bw_routes *bw_routes_new(const struct bw_routes_from *from, struct bw_errors *errs);
void bw_routes_free(struct bw_routes *routes);
/* What it was made from is freed with it. Each may be NULL: it is not ours. */
void bw_routes_own(struct bw_routes *routes, struct bw_config *config, struct bw_schemes *schemes);
void bw_routes_redact(const struct bw_routes *routes); /* no log shows its secrets from now on */
size_t bw_routes_count(const struct bw_routes *routes);
const struct bw_source_config *bw_routes_at(const struct bw_routes *routes, size_t index);
bool bw_routes_names_are_signed(const struct bw_routes *routes, size_t index); /* of its events */
bool bw_routes_learns(const struct bw_routes *routes, size_t index);           /* its sender hands over the secret */
const struct bw_mcp_tools *bw_routes_tools(const struct bw_routes *routes);    /* NULL: no source has mcp */
const struct bw_source_config *bw_routes_find(const struct bw_routes *routes, const char *name);
/* before: as in bw_router_new(). Takes the routes over, unless there is no memory: then NULL. */
struct bw_router *bw_routes_router_take(struct bw_routes *routes, const struct bw_router *before, struct bw_error *err);
#endif
