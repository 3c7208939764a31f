/* tls.h: the `tls` map of bellwire.yaml: which certificates https addresses show, and which ones clients have to. Only paths are read here; the files
 * are ingest/tls.h's. */
#ifndef BW_CONFIG_TLS_H
#define BW_CONFIG_TLS_H
#include "config/config.h"
#include "config/keys.h"

/* map NULL: nothing is configured. Relative paths are relative to folder. */
void bw_tls_read(const struct bw_key_context *context, const struct bw_yaml_node *map, const char *folder, struct bw_tls_config *out);
void bw_tls_config_free(struct bw_tls_config *config);
void bw_tls_help(struct bw_buf *out);
#endif
