/* guards.h: what of a verified or unverified request a source lets in: `schema`, `rate`, `allow`; and lists of addresses. */
#ifndef BW_CONFIG_GUARDS_H
#define BW_CONFIG_GUARDS_H
#include "config/config.h"
#include "config/keys.h"

void bw_guards_read(const struct bw_key_context *context, const struct bw_yaml_node *map, struct bw_source_config *source);
/* Addresses and networks; *out is malloc'd. node NULL: none. */
void bw_ranges_read(const struct bw_key_context *context, const struct bw_yaml_node *node, const char *what, struct bw_net_range **out,
                    size_t *count);
#endif
