/* manifest.h: is this text a plugin's manifest? Checked in the plugin's own host process, before the engine hears of it. */
#ifndef BW_PLUGIN_MANIFEST_H
#define BW_PLUGIN_MANIFEST_H
#include "base/error.h"
#include "base/json.h"

/* The manifest with every action complete (version from the plugin where it has none of its own; the plugin's name, needs and config); new reference.
 * NULL: err (plugin.manifest) names the JSON path, what was expected, and "did you mean". */
json_t *bw_manifest_load(const char *text, struct bw_error *err);
#endif
