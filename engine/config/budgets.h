/* budgets.h: the `budgets:` map of bellwire.yaml: what metered calls (store/usage.h) may use. */
#ifndef BW_CONFIG_BUDGETS_H
#define BW_CONFIG_BUDGETS_H
#include "config/config.h"
#include "config/keys.h"

void bw_budgets_read(const struct bw_key_context *context, const struct bw_yaml_node *map, struct bw_budgets_config *budgets);
void bw_budgets_free(struct bw_budgets_config *budgets);
void bw_budgets_help(struct bw_buf *out);
#endif
