#include "config/pools.h"
#include "config/sources.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POOLS_MAX 32
#define FIELD(name) offsetof(struct bw_pool_config, name)
static const struct bw_key pool_keys[] = {
    {"workers", BW_KEY_COUNT, FIELD(workers), 1, 256, "1", "run worker processes of this pool"},
};
#define KEY_COUNT (sizeof pool_keys / sizeof *pool_keys)

static void read_pool(const struct bw_key_context *context, const struct bw_yaml_pair *pair, struct bw_config *config)
{
    struct bw_pool_config *pool = &config->pools[config->pool_count++];
    char where[100];
    snprintf(where, sizeof where, "pools.%.64s", pair->key->text.ptr);
    *pool = (struct bw_pool_config){.name = bw_slice_dup(pair->key->text), .workers = 1};
    if (bw_slice_is(pair->key->text, BW_CONFIG_POOL_DEFAULT))
        bw_key_error(context, pair->key, "pool.default", "write it there: workers: 2", "the default pool has as many workers as `workers` says");
    else if (!bw_config_is_name(pair->key->text))
        bw_key_error(context, pair->key, "config.name", NULL, "the pool name '%s' must be of a-z, 0-9 and '-', and begin with a letter",
                     pair->key->text.ptr);
    bw_keys_read(context, pair->value, where, pool_keys, KEY_COUNT, pool);
}

void bw_config_pools_read(const struct bw_key_context *context, const struct bw_yaml_node *map, struct bw_config *config)
{
    if (!map || map->kind == BW_YAML_NULL) return;
    if (map->kind != BW_YAML_MAP) {
        bw_key_error(context, map, "config.type", "write for example pools: {heavy: {workers: 2}}", "pools must be a map of names to {workers}");
        return;
    }
    if (map->count > POOLS_MAX) {
        bw_key_error(context, map, "config.range", "each has processes of its own: workflows may share one", "there are %zu pools, at most %d",
                     map->count, POOLS_MAX);
        return;
    }
    if (!(config->pools = calloc(map->count + 1, sizeof *config->pools))) return;
    for (size_t i = 0; i < map->count; i++) read_pool(context, &map->pairs[i], config);
}

void bw_config_pools_free(struct bw_pool_config *pools, size_t count)
{
    for (size_t i = 0; i < count; i++) free(pools[i].name);
    free(pools);
}

void bw_config_pools_help(struct bw_buf *out)
{
    bw_buf_append_text(out, "\npools.NAME (workflows with `pool: NAME` run in its workers, all others in those of the default pool):\n");
    bw_keys_help(out, pool_keys, KEY_COUNT);
}
