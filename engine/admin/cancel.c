#include "admin/cancel.h"
#include <stdio.h>

#define REASON_BYTES_MAX 1000

static void on_cancelled(void *arg, const char *state, const struct bw_error *err)
{
    if (err)
        bw_control_refuse(arg, err);
    else
        bw_control_answer(arg, json_pack("{s:s}", "state", state));
}

void bw_admin_cancel(struct bw_dispatch *dispatch, struct bw_control_request *request, const json_t *body)
{
    struct bw_slice reason = bw_json_slice(json_object_get(body, "reason"));
    struct bw_uid run;
    struct bw_error err;
    char by[32];
    if (!bw_uid_parse(bw_json_slice(json_object_get(body, "run")), BW_UID_RUN, &run)) {
        bw_error_set(&err, "run.id", "'%s' is no run id (run_…)", bw_json_str(body, "run", ""));
        bw_control_refuse(request, &err);
        return;
    }
    if (reason.len > REASON_BYTES_MAX) {
        bw_error_set(&err, "cancel.reason", "a reason has at most %d bytes", REASON_BYTES_MAX);
        bw_control_refuse(request, &err);
        return;
    }
    snprintf(by, sizeof by, "uid %u", (unsigned)bw_control_peer(request));
    bw_dispatch_cancel(dispatch, run, reason.len ? reason.ptr : NULL, by, on_cancelled, request);
}
