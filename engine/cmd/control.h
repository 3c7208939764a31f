/* control.h: asks the engine that serves a data folder to do something, over its control socket (admin/control.h). Blocks, 30 s at most. */
#ifndef BW_CMD_CONTROL_H
#define BW_CMD_CONTROL_H
#include "base/json.h"

/* *answer: the object with "ok": true; new reference. False with the engine's own error; or when nothing serves there: that, and what to do. */
bool bw_control_ask(const char *folder, const json_t *request, json_t **answer, struct bw_error *err);
#endif
