#include "admin/pause.h"

static void on_paused(void *arg, const struct bw_store_op *op, const struct bw_error *err)
{
    if (op)
        bw_control_answer(arg, json_pack("{s:b,s:I}", "changed", op->pause.has_changed, "since_ms", (json_int_t)op->pause.since_ms));
    else
        bw_control_refuse(arg, err);
}

void bw_admin_pause(struct bw_dispatch *dispatch, bool resumes, struct bw_control_request *request, const json_t *body)
{
    struct bw_slice reason = bw_json_slice(json_object_get(body, "reason"));
    struct bw_error err;
    char by[64];
    if (reason.len > BW_PAUSE_REASON_BYTES_MAX) {
        bw_error_set(&err, "pause.reason", "a reason has at most %d bytes", BW_PAUSE_REASON_BYTES_MAX);
        bw_control_refuse(request, &err);
        return;
    }
    bw_dispatch_pause(dispatch, bw_json_str(body, "workflow", ""), resumes, reason.len ? reason.ptr : NULL, bw_control_peer_name(request, by),
                      on_paused, request);
}

void bw_admin_workflows(const struct bw_dispatch *dispatch, struct bw_control_request *request)
{
    json_t *workflows = json_incref((json_t *)bw_dispatch_workflows(dispatch));
    bw_control_answer(request, json_pack("{s:o}", "workflows", workflows ? workflows : json_array()));
}
