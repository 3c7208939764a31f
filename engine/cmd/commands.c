/* The table of subcommands and the help made from it. */
#include "base/crash_point.h"
#include "base/json.h"
#include "base/suggest.h"
#include "cmd/command.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>

static const struct bw_command *const table[] = {
    &bw_command_serve,  &bw_command_check,   &bw_command_fmt,     &bw_command_run,     &bw_command_test,       &bw_command_send,
    &bw_command_verify, &bw_command_events,  &bw_command_runs,    &bw_command_why,     &bw_command_deliveries, &bw_command_workflows,
    &bw_command_usage,  &bw_command_sources, &bw_command_actions, &bw_command_schemes, &bw_command_new,        &bw_command_import,
    &bw_command_plugin, &bw_command_mcp,     &bw_command_version, &bw_command_worker,  &bw_command_host,
};
#define COUNT (sizeof table / sizeof *table)

const struct bw_command *const *bw_commands(size_t *count)
{
    *count = COUNT;
    return table;
}

static void print_help(FILE *out)
{
    fputs("Bellwire: from a signed webhook to a finished run.\n\nusage: bellwire COMMAND [OPTIONS]\n\n", out);
    for (size_t i = 0; i < COUNT; i++)
        if (!table[i]->hidden) fprintf(out, "  %-11s %s\n", table[i]->name, table[i]->summary);
    fputs("\nEvery command explains itself: bellwire COMMAND --help\n"
          "Start here: bellwire new workflow hello && bellwire test && bellwire serve\n",
          out);
}

int bw_commands_main(int argc, char **argv)
{
    const char *names[COUNT], *name = argc > 1 ? argv[1] : "--help";
    size_t visible = 0;
    signal(SIGPIPE, SIG_IGN);
    bw_json_setup();
#ifdef BELLWIRE_TEST_HOOKS
    bw_crash_point_read();
#endif
    if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help")) {
        print_help(argc > 1 ? stdout : stderr);
        return argc > 1 ? 0 : 2;
    }
    if (!strcmp(name, "--version")) name = "version";
    for (size_t i = 0; i < COUNT; i++) {
        if (!strcmp(table[i]->name, name)) return table[i]->run(argc - 1, argv + 1);
        if (!table[i]->hidden) names[visible++] = table[i]->name;
    }
    const char *near = bw_suggest(bw_slice_of(name), names, visible);
    fprintf(stderr, "bellwire: unknown command '%s'%s%s%s\nsee: bellwire --help\n", name, near ? ", did you mean '" : "", near ? near : "",
            near ? "'?" : "");
    return 2;
}
