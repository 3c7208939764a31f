/* values.h: `config` of bellwire.yaml: what differs from one instance to the other, for the `with` of steps. */
#ifndef BW_CONFIG_VALUES_H
#define BW_CONFIG_VALUES_H
#include "config/config.h"
#include "config/keys.h"

/* A map of names to whatever YAML can say. *out: compact JSON object, malloc'd; node NULL: {}. */
void bw_values_read(const struct bw_key_context *context, const struct bw_yaml_node *node, char **out);
#endif
