#include "admin/plugins.h"

void bw_admin_plugins(const struct bw_dispatch *dispatch, struct bw_control_request *request)
{
    bw_control_answer(request, json_pack("{s:o}", "plugins", bw_dispatch_plugins(dispatch)));
}
