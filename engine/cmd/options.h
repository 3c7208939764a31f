/* options.h: the options of a subcommand, from a table, over getopt_long. */
#ifndef BW_CMD_OPTIONS_H
#define BW_CMD_OPTIONS_H
#include "cmd/command.h"
#include <stdbool.h>
#include <stddef.h>

struct bw_option { /* exactly one of value, list and flag is set */
    const char *name;
    const char **value;
    struct bw_option_list *list; /* may be given several times */
    bool *flag;
};
struct bw_option_list {
    const char *items[64];
    size_t count;
};
/* Parses argv[1…]; --help is always known. Returns -1 to go on (*first = index of the first argument that is no option, arguments are moved to the
 * end), else the exit status: 0 after --help, 2 after a wrong option. */
int bw_options_parse(const struct bw_command *command, int argc, char **argv, const struct bw_option *options, size_t count, int *first);
int bw_options_wrong(const struct bw_command *command, const char *format, ...) __attribute__((format(printf, 2, 3))); /* prints and returns 2 */
#endif
