/* workflows.h: what `bellwire workflows` and its verbs share. */
#ifndef BW_CMD_WORKFLOWS_H
#define BW_CMD_WORKFLOWS_H
#include "base/json.h"
#include "config/config.h"

int bw_workflows_pause(bool resumes, int argc, char **argv);
/* Those that the engine serves, as in BW_MSG_CATALOG_LOADED; without one (*is_served false) those of the files. New reference; NULL with err. */
json_t *bw_workflows_load(const struct bw_config *config, bool *is_served, struct bw_error *err);
#endif
