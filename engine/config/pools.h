/* pools.h: the `pools:` map of bellwire.yaml: run workers beside those of the default pool, for workflows that ask for them. */
#ifndef BW_CONFIG_POOLS_H
#define BW_CONFIG_POOLS_H
#include "config/config.h"
#include "config/keys.h"

void bw_config_pools_read(const struct bw_key_context *context, const struct bw_yaml_node *map, struct bw_config *config);
void bw_config_pools_free(struct bw_pool_config *pools, size_t count);
void bw_config_pools_help(struct bw_buf *out);
#endif
