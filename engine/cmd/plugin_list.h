/* plugin_list.h: `bellwire plugin list`: the compiled plugins of the engine that serves this instance, and how they are. */
#ifndef BW_CMD_PLUGIN_LIST_H
#define BW_CMD_PLUGIN_LIST_H
#include "config/config.h"

int bw_plugin_list(const struct bw_config *config, bool as_json); /* the exit status: 1 = one of them is not well, or nothing serves */
#endif
