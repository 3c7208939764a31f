/* programs.h: asks the programs of secrets once more (SIGHUP), on a thread of its own: they may take their time, and the engine serves. Main thread.
 */
#ifndef BW_SERVE_PROGRAMS_H
#define BW_SERVE_PROGRAMS_H
#include "config/config.h"
#include <event2/event.h>

struct bw_programs_asked;
/* done(arg): all that bellwire.yaml names have been asked, and what they said is what bw_config_load_again() finds. Not called when one of them
 * failed: that is logged, and everything stays as it is. */
struct bw_programs_asked *bw_programs_new(struct event_base *base, const char *file, void (*done)(void *arg), void *arg);
void bw_programs_ask(struct bw_programs_asked *programs);             /* while they are being asked: once more after that */
bool bw_programs_are_asked(const struct bw_programs_asked *programs); /* just now */
void bw_programs_free(struct bw_programs_asked *programs);            /* waits for the ones that are being asked */
#endif
