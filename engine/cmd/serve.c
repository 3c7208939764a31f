#include "serve/serve.h"
#include "base/log.h"
#include "cmd/options.h"
#include "cmd/setup.h"
#include "serve/init.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int serve_main(int argc, char **argv)
{
    const char *config_path = NULL, *level_name = "info", *format = NULL;
    const struct bw_option options[] = {
        {.name = "config", .value = &config_path}, {.name = "log-level", .value = &level_name}, {.name = "log-format", .value = &format}};
    int first, status = bw_options_parse(&bw_command_serve, argc, argv, options, sizeof options / sizeof *options, &first);
    enum bw_log_level level = BW_LOG_OFF;
    struct bw_errors errs = {0};
    struct bw_config *config;

    if (status >= 0) return status;
    if (argc > first) return bw_options_wrong(&bw_command_serve, "unexpected argument '%s'", argv[first]);
    if (strcmp(level_name, "off") && !bw_log_level_named(level_name, &level))
        return bw_options_wrong(&bw_command_serve, "--log-level is debug, info, warn, error or off");
    if (format && strcmp(format, "json") && strcmp(format, "text")) return bw_options_wrong(&bw_command_serve, "--log-format is json or text");
    if (!bw_init_run_if_first()) {
        fprintf(stderr, "bellwire serve: no process for the engine: %s\n", strerror(errno));
        return 1;
    }
    bw_log_setup(level, format && !strcmp(format, "text") ? BW_LOG_TEXT : BW_LOG_JSON, "engine");
    config = bw_config_load(config_path, &errs);
    for (size_t i = 0; i < errs.count; i++) bw_log_error(BW_LOG_ERROR, "config.error", &errs.items[i]);
    status = config ? bw_serve(config, argv) : 1;
    bw_errors_free(&errs);
    bw_config_free(config);
    return status;
}

const struct bw_command bw_command_serve = {
    .name = "serve",
    .summary = "run the engine",
    .usage =
        "usage: bellwire serve [--config FILE] [--log-level LEVEL] [--log-format json|text]\n\n"
        "Listens for webhooks, stores them, runs the workflows that wait for them. Reads bellwire.yaml in this folder, or FILE; without one,\n"
        "serves ./workflows on http://127.0.0.1:8080 with data in ./data. SIGTERM or Ctrl-C: stops accepting, finishes what it has, exits 0.\n\n"
        "Changed workflows, actions, plugins and schemes are taken over while it serves: some 200 ms after the last change of a file, or at once on\n"
        "SIGHUP. All of them are checked first: with an error in any, nothing changes and the log says why (catalog.refused). Runs end with the\n"
        "files with which their event was accepted. So it is with plugins; calls in progress end on the old one. `sources`, `secrets`, `config`,\n"
        "`limits`, `budgets`, `configure` and `plugins_may` of bellwire.yaml and all secrets are read again with them (rotation: change the secret's "
        "file,\n"
        "then SIGHUP); what else bellwire.yaml says is read at the start only, and a change of it is named in the log.\n\n"
        "SIGUSR2: another program takes its place, the one that is then where this one was started from, with all that listens and the same process "
        "id;\n"
        "no connection is refused. It is asked first whether it can read the configuration; if not, nothing changes (upgrade.refused).\n\n"
        "Under systemd: sockets of a socket unit are used where `listen` has their address (LISTEN_FDS), and Type=notify is told when it is ready, "
        "reloads\n"
        "or stops, and that it lives (NOTIFY_SOCKET, WATCHDOG_USEC). The units are in lib/systemd/system.\n\n"
        "  --config FILE       the configuration (./bellwire.yaml)\n"
        "  --log-level LEVEL   debug, info (default), warn, error, off\n"
        "  --log-format FORM   json: one object a line on stderr (default); text: for people\n\n"
        "example: bellwire check && bellwire serve --log-format text\n",
    .run = serve_main,
    .reference = bw_config_help,
};
