#include "cmd/options.h"
#include "base/buf.h"
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define OPTIONS_MAX 24
enum { HELP = 1000 };

int bw_options_wrong(const struct bw_command *command, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "bellwire %s: ", command->name);
    vfprintf(stderr, format, args);
    fprintf(stderr, "\nsee: bellwire %s --help\n", command->name);
    va_end(args);
    return 2;
}

static void print_help(const struct bw_command *command)
{
    struct bw_buf reference = {0};
    fputs(command->usage, stdout);
    if (command->reference) command->reference(&reference);
    if (reference.data) printf("\n%s", reference.data);
    bw_buf_free(&reference);
}

int bw_options_parse(const struct bw_command *command, int argc, char **argv, const struct bw_option *options, size_t count, int *first)
{
    struct option known[OPTIONS_MAX + 2] = {{0}};
    int choice;
    for (size_t i = 0; i < count && i < OPTIONS_MAX; i++)
        known[i] = (struct option){options[i].name, options[i].flag ? no_argument : required_argument, NULL, (int)i};
    known[count] = (struct option){"help", no_argument, NULL, HELP};
    optind = 0; /* glibc: start over, for callers that parse twice in one process */
    opterr = 0;
    while ((choice = getopt_long(argc, argv, ":h", known, NULL)) != -1) {
        if (choice == HELP || choice == 'h') {
            print_help(command);
            return 0;
        }
        if (choice == ':') return bw_options_wrong(command, "%s needs a value", argv[optind - 1]);
        if (choice == '?' || (size_t)choice >= count) return bw_options_wrong(command, "unknown option %s", argv[optind - 1]);
        const struct bw_option *option = &options[choice];
        if (option->flag)
            *option->flag = true;
        else if (option->value)
            *option->value = optarg;
        else if (option->list->count < sizeof option->list->items / sizeof *option->list->items)
            option->list->items[option->list->count++] = optarg;
        else
            return bw_options_wrong(command, "--%s is given too often", option->name);
    }
    *first = optind;
    return -1;
}
