/* sources.h: the `sources:` map of bellwire.yaml, and sources that workflows declare (`webhook` triggers): one reader, so one language. */
#ifndef BW_CONFIG_SOURCES_H
#define BW_CONFIG_SOURCES_H
#include "config/config.h"
#include "config/keys.h"

void bw_sources_read(const struct bw_key_context *context, const struct bw_yaml_node *map, struct bw_config *config);
void bw_sources_free(struct bw_source_config *sources, size_t count);
void bw_sources_help(struct bw_buf *out);
/* trigger: the map of a `webhook` trigger of this workflow, which gives the source its name. Relative paths of secrets are relative to `folder`.
 * False: what is wrong is in the context's errors. max_body_bytes 0: the instance's. `out` borrows the context's file; free it with …_clear(). */
bool bw_webhook_read(const struct bw_key_context *context, struct bw_slice workflow, const struct bw_yaml_node *trigger, const char *folder,
                     struct bw_source_config *out);
void bw_source_config_clear(struct bw_source_config *source);
bool bw_config_is_name(struct bw_slice text); /* [a-z][a-z0-9-]{0,63} */
#endif
