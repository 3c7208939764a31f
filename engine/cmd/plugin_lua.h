/* plugin_lua.h: `bellwire plugin test` of a plugin in Lua. */
#ifndef BW_CMD_PLUGIN_LUA_H
#define BW_CMD_PLUGIN_LUA_H
#include "trial/conformance.h"

bool bw_plugin_is_lua(const char *folder); /* it has a plugin.yaml */
/* Loads the folder as `serve` would and reports what it finds; options->path is not looked at. config->plugins, workflows and actions are changed.
 * False: nothing could be tried, err says why. */
bool bw_plugin_test_lua(const char *folder, struct bw_config *config, const struct bw_conformance_options *options, size_t *failed,
                        struct bw_error *err);
#endif
