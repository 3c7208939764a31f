/* mcp.h: `mcp` of a source: its requests are no events, but messages of language models' clients, who call workflows as tools. */
#ifndef BW_CONFIG_MCP_H
#define BW_CONFIG_MCP_H
#include "config/config.h"
#include "config/keys.h"

void bw_mcp_config_read(const struct bw_key_context *context, const struct bw_yaml_node *source, struct bw_mcp_config *out);
/* Behind `listen` and `sources`: anybody could call what is offered without a secret on an address that others reach. */
void bw_mcp_config_check(struct bw_errors *errs, const struct bw_config *config);
#endif
