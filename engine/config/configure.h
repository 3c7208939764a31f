/* configure.h: `configure` and `plugins_may` of bellwire.yaml: what the plugins of this instance are told, and what they may need. What a plugin may
 * be told is not known here: only its manifest says it (plugin/settings.h, which reads what is made here). */
#ifndef BW_CONFIG_CONFIGURE_H
#define BW_CONFIG_CONFIGURE_H
#include "config/config.h"
#include "config/keys.h"

/* root: of the file; NULL: it has neither. *out: compact JSON, malloc'd, NULL without memory.
 * {file?, secrets: [the names of those that the instance has],
 *  plugins: {NAME: {config: {…as written…}, places: {POINTER: [line and column of the name, line and column of the value]}}},
 *  may?: {NAME or *: {needs: [need], at: [line and column of the name]}}}
 * POINTER is that of RFC 6901 into config, "" being the plugin's name and the whole. */
void bw_configure_read(const struct bw_key_context *context, const struct bw_yaml_node *root, const struct bw_secret *secrets, size_t secret_count,
                       char **out);
void bw_configure_help(struct bw_buf *out);
#endif
