/* The hidden roles that the engine starts itself as children: a run worker, and a plugin host where the small program for it cannot be executed
 * (dispatch/host_program.h). Not for people. */
#include "cmd/command.h"
#include "host/host.h"
#include "worker/worker.h"

static int worker_main(int argc, char **argv)
{
    (void)argc, (void)argv;
    return bw_worker_main();
}

static int host_main(int argc, char **argv)
{
    (void)argc, (void)argv;
    return bw_host_main();
}

const struct bw_command bw_command_worker = {
    .name = "worker", .summary = "run worker", .usage = "Started by the engine.\n", .run = worker_main, .hidden = true};
const struct bw_command bw_command_host = {
    .name = "host", .summary = "plugin host", .usage = "Started by the engine.\n", .run = host_main, .hidden = true};
