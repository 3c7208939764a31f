/* sources.h: the `sources:` map of bellwire.yaml. */
#ifndef BW_CONFIG_SOURCES_H
#define BW_CONFIG_SOURCES_H
#include "config/config.h"
#include "config/keys.h"

void bw_sources_read(const struct bw_key_context *context, const struct bw_yaml_node *map, struct bw_config *config);
void bw_sources_free(struct bw_source_config *sources, size_t count);
void bw_sources_help(struct bw_buf *out);
bool bw_config_is_name(struct bw_slice text); /* [a-z][a-z0-9-]{0,63} */
#endif
