/* conformance.h: does a plugin keep the contract of bellwire_plugin.h? It is loaded in the process that `serve` would load it in, and tried: each
 * check says what it wants, what it has found, and, when it fails, what to do. A plugin that crashes or hangs costs the check that it does so in.
 *
 * An action is called only with what is known to be harmless: with the inputs that `calls` names, or, if the plugin needs nothing or the action's
 * effect is none or read, with inputs made of its schema. Blocks until all is done. */
#ifndef BW_TRIAL_CONFORMANCE_H
#define BW_TRIAL_CONFORMANCE_H
#include "base/error.h"
#include "base/json.h"
#include "config/config.h"

enum bw_conformance_state { BW_CHECK_PASSED, BW_CHECK_FAILED, BW_CHECK_SKIPPED };
struct bw_conformance_check {
    const char *name, *action; /* action NULL: it is about the plugin */
    const char *wants;
    enum bw_conformance_state state;
    char found[600]; /* SKIPPED: why; PASSED: with figures, or "" */
    char cure[300];  /* FAILED: what to do */
};
struct bw_conformance_options {
    const char *path;               /* the shared object */
    const struct bw_config *config; /* what it is told, and secrets; borrowed */
    const json_t *calls;            /* of bw_conformance_read_calls(); NULL: none */
    int64_t answer_ms;              /* a call has to be answered within this, unless it is slow */
    unsigned repeat;                /* calls of the check for leaks; 0: 1,000 where that is harmless, else none */
    void (*report)(void *arg, const struct bw_conformance_check *check);
    void *arg;
};
/* False: nothing could be tried, err says why. *failed: how many checks have. */
bool bw_conformance_run(const struct bw_conformance_options *options, size_t *failed, struct bw_error *err);
/* [{action, with, error?, slow?}] of a YAML file `calls: […]`; NULL: errs says with places what is wrong. */
json_t *bw_conformance_read_calls(const char *path, struct bw_errors *errs);
#endif
