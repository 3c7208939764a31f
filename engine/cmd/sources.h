/* sources.h: what `bellwire sources` and its verbs share. */
#ifndef BW_CMD_SOURCES_H
#define BW_CMD_SOURCES_H
#include "config/config.h"
#include "serve/handovers.h"

struct bw_source_files { /* the sources without an engine: those of the files, and what the store has of them */
    struct bw_schemes *schemes;
    struct bw_router *router;
    struct bw_learnt *learnt;
};
/* False: what is wrong was printed. Free it in any case. */
bool bw_source_files_load(const struct bw_config *config, struct bw_source_files *files);
void bw_source_files_free(struct bw_source_files *files);
int bw_sources_verb(enum bw_handover_verb verb, int argc, char **argv); /* handover.c; argv[0] is the verb */
#endif
