/* selection.h: the runs that a command is about, named or by a filter. Filters are the same for the list of runs and for what is done about many. */
#ifndef BW_CMD_SELECTION_H
#define BW_CMD_SELECTION_H
#include "cmd/options.h"
#include "store/store.h"

struct bw_run_options {
    const char *workflow, *label, *state, *event, *since, *older, *error;
};
#define BW_RUN_OPTIONS(options)                                                                                                                     \
    {.name = "workflow", .value = &(options).workflow}, {.name = "label", .value = &(options).label}, {.name = "state", .value = &(options).state}, \
        {.name = "event", .value = &(options).event}, {.name = "since", .value = &(options).since},                                                 \
        {.name = "older-than", .value = &(options).older},                                                                                          \
    {                                                                                                                                               \
        .name = "error", .value = &(options).error                                                                                                  \
    }
bool bw_run_options_filter(const struct bw_run_options *options, struct bw_reader *reader, struct bw_run_filter *filter, struct bw_error *err);
bool bw_run_options_are_empty(const struct bw_run_options *options);

#define BW_EACH_MAX 20 /* up to so many runs have a line each; more are counted */
struct bw_selection {  /* zero-initialise */
    struct bw_uid *runs;
    size_t count, room;
};
bool bw_selection_add(struct bw_selection *selection, struct bw_uid run); /* false: no memory */
/* All that the filter takes, behind those that are there, oldest first: what is done about one must not move the next one into the filter or out of
 * it. */
bool bw_selection_find(struct bw_selection *selection, struct bw_run_filter filter, struct bw_reader *reader, struct bw_error *err);
void bw_selection_free(struct bw_selection *selection);
#endif
