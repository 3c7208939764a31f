/* letters.h: `bellwire runs resume|replay|discard`: what a person does about runs that failed. */
#ifndef BW_CMD_LETTERS_H
#define BW_CMD_LETTERS_H
#include "cmd/command.h"
#include "cmd/options.h"
#include "store/letters.h"

/* Filters of runs, the same for the list and for the three verbs. */
struct bw_run_options {
    const char *workflow, *label, *state, *event, *since, *error;
};
#define BW_RUN_OPTIONS(options)                                                                                                                     \
    {.name = "workflow", .value = &(options).workflow}, {.name = "label", .value = &(options).label}, {.name = "state", .value = &(options).state}, \
        {.name = "event", .value = &(options).event}, {.name = "since", .value = &(options).since},                                                 \
    {                                                                                                                                               \
        .name = "error", .value = &(options).error                                                                                                  \
    }
bool bw_run_options_filter(const struct bw_run_options *options, struct bw_reader *reader, struct bw_run_filter *filter, struct bw_error *err);
bool bw_run_options_are_empty(const struct bw_run_options *options);

const char *bw_letters_actor(char out[64]);                           /* who asks, for the audit */
int bw_letters_main(enum bw_letter_verb verb, int argc, char **argv); /* argv[0] is the verb */
#endif
