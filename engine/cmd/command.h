/* command.h: one file per subcommand; each ends in one struct command; commands.c holds the table.
 * Data goes to stdout, messages for people to stderr. Exit status: 0 done, 1 the thing asked about failed, 2 wrong usage. */
#ifndef BW_CMD_COMMAND_H
#define BW_CMD_COMMAND_H
#include <stdbool.h>
#include <stddef.h>

struct bw_buf;
struct bw_command {
    const char *name, *summary;            /* one line for `bellwire --help` */
    const char *usage;                     /* the whole text of --help: teaches, with an example */
    int (*run)(int argc, char **argv);     /* argv[0] is the subcommand */
    bool hidden;                           /* roles of the engine's own children */
    void (*reference)(struct bw_buf *out); /* appended to `usage`: what is made from tables; NULL: nothing */
};
extern const struct bw_command bw_command_serve, bw_command_check, bw_command_fmt, bw_command_run, bw_command_test, bw_command_send,
    bw_command_verify, bw_command_events, bw_command_runs, bw_command_why, bw_command_deliveries, bw_command_workflows, bw_command_actions,
    bw_command_schemes, bw_command_sources, bw_command_new, bw_command_import, bw_command_plugin, bw_command_version, bw_command_worker,
    bw_command_host, bw_command_usage, bw_command_mcp;
const struct bw_command *const *bw_commands(size_t *count); /* in the order of the help text */
int bw_commands_main(int argc, char **argv);                /* the whole of main() */
#endif
