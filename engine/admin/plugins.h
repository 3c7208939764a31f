/* plugins.h: "plugins.list" of the control socket: {} → {plugins: [as bw_dispatch_plugins() says]}. Main thread. */
#ifndef BW_ADMIN_PLUGINS_H
#define BW_ADMIN_PLUGINS_H
#include "admin/control.h"
#include "dispatch/dispatch.h"

void bw_admin_plugins(const struct bw_dispatch *dispatch, struct bw_control_request *request);
#endif
