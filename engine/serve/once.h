/* once.h: one workflow, here and now: the engine of `serve` without a listener, on a store that lives as long as the run.
 * Same dispatch, same worker and host processes, same records. */
#ifndef BW_SERVE_ONCE_H
#define BW_SERVE_ONCE_H
#include "base/json.h"
#include "config/config.h"
#include "wire/channel.h"

struct bw_once_options {
    const struct bw_config *config;
    const char *workflow;      /* name; NULL with a file: its only workflow */
    const char *workflow_file; /* or NULL: the workflows folder */
    const char *event_name;    /* what `event.name` says; "manual" when it is NULL */
    struct bw_slice body;      /* what `event.data` is made of */
};
struct bw_once_handlers {
    void *arg;
    void (*trace)(void *arg, const struct bw_message *message); /* BW_MSG_TRACE as it happens */
};
enum bw_once_result { BW_ONCE_SUCCEEDED, BW_ONCE_FAILED, BW_ONCE_NOT_STARTED };
/* NOT_STARTED: errs says why. Blocks until the run has ended. */
enum bw_once_result bw_once_run(const struct bw_once_options *options, const struct bw_once_handlers *handlers, struct bw_errors *errs);
#endif
