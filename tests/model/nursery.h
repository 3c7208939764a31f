/* nursery.h: processes for the model tests that have everything loaded before they begin. Linking and starting libraries costs a life more than all
 * that it does, so one process does it once and forks itself: each life, and each life's workers. */
#ifndef BW_MODEL_NURSERY_H
#define BW_MODEL_NURSERY_H
#include <sys/types.h>

/* For each line of standard input, "FOLDER CRASH LOG", a life: standard error goes into LOG, CRASH is its BELLWIRE_CRASH, and live(FOLDER) is called.
 * One with a CRASH has a process of its own; those without ("-") share one, and must leave it as they found it. Writes what live() returned, or what
 * it died of, to standard output, a number a line. Returns at the end of input. */
int nursery_serve(int (*live)(const char *folder));
/* In a process that has no threads yet: from here on bw_process_spawn() forks workers from it, as it is now. Again: nothing more happens. */
int nursery_open(int (*work)(void));
#endif
