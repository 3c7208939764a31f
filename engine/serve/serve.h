/* serve.h: the engine process: wires listener, store and dispatch together, handles signals, stops gracefully. */
#ifndef BW_SERVE_SERVE_H
#define BW_SERVE_SERVE_H
#include "config/config.h"

/* Runs until SIGTERM or SIGINT. Returns the exit status: 0 after a graceful stop, 1 when it could not start or had to stop (the log says why).
 * A second signal while it stops ends it at once; nothing acknowledged is lost by that. argv: `serve` and its arguments, for the one that takes its
 * place on SIGUSR2 (upgrade.h); then it does not return. */
int bw_serve(const struct bw_config *config, char *const *argv);
#endif
