/* pause.h: "workflows.list", "workflows.pause" and "workflows.resume" of the control socket. Main thread. */
#ifndef BW_ADMIN_PAUSE_H
#define BW_ADMIN_PAUSE_H
#include "admin/control.h"
#include "dispatch/dispatch.h"

#define BW_PAUSE_REASON_BYTES_MAX 1000
/* → {workflows: [as in BW_MSG_CATALOG_LOADED]} those that the engine serves */
void bw_admin_workflows(const struct bw_dispatch *dispatch, struct bw_control_request *request);
/* {workflow, reason?} → {changed: false: it was so already, since_ms: since when it is paused, or was} */
void bw_admin_pause(struct bw_dispatch *dispatch, bool resumes, struct bw_control_request *request, const json_t *body);
#endif
