/* init.h: the first process of a container. Whoever has lost his parent becomes its child, and stays a zombie until it asks for him: what a plugin or
 * a program has left behind would fill the table of processes. */
#ifndef BW_SERVE_INIT_H
#define BW_SERVE_INIT_H
#include <stdbool.h>

/* Returns at once unless this process has the id 1. Otherwise it returns in a child, which is the engine; this process buries who has ended, hands on
 * every signal, and ends as the engine does: with its status, or 128 and the signal's number. False: there is no child, errno says why. Before
 * anything else: no threads yet. */
bool bw_init_run_if_first(void);
#endif
