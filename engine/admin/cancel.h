/* cancel.h: "runs.cancel" of the control socket. Main thread. */
#ifndef BW_ADMIN_CANCEL_H
#define BW_ADMIN_CANCEL_H
#include "admin/control.h"
#include "dispatch/dispatch.h"

/* {run, reason?} → {state: "cancelling": it will end, whatever happens from here on | "cancelled"} */
void bw_admin_cancel(struct bw_dispatch *dispatch, struct bw_control_request *request, const json_t *body);
#endif
