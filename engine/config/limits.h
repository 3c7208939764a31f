/* limits.h: the `limits:` map of bellwire.yaml: what steps of all workflows share by name. */
#ifndef BW_CONFIG_LIMITS_H
#define BW_CONFIG_LIMITS_H
#include "config/config.h"
#include "config/keys.h"

void bw_limits_read(const struct bw_key_context *context, const struct bw_yaml_node *map, struct bw_limit_config **limits, size_t *count);
bool bw_limits_equal(const struct bw_limit_config *limits, size_t count, const struct bw_limit_config *others, size_t other_count); /* in any order */
void bw_limits_free(struct bw_limit_config *limits, size_t count);
void bw_limits_help(struct bw_buf *out);
#endif
