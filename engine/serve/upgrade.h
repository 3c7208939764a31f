/* upgrade.h: another program takes this one's place and its listening sockets (SIGUSR2): no connection is refused meanwhile, and the process id
 * stays.
 *
 * The program is the one that is now where this one was started from, with the same arguments and the same environment. It is asked first whether it
 * can read the configuration (`check`); while it is asked, and if it cannot, everything stays as it is. Main thread. */
#ifndef BW_SERVE_UPGRADE_H
#define BW_SERVE_UPGRADE_H
#include "base/error.h"
#include "ingest/inherited.h"
#include <event2/event.h>

struct bw_upgrade;
/* Before anything is taken out of the environment. argv: the subcommand and its arguments; copied. NULL: no memory, or /proc is not there. */
struct bw_upgrade *bw_upgrade_new(char *const *argv);
/* judged(arg, NULL): the program is good; err: why it is not. One at a time: false, it is being asked already, or (with err) it cannot be asked. */
bool bw_upgrade_ask(struct bw_upgrade *upgrade, struct event_base *base, const char *config_file,
                    void (*judged)(void *arg, const struct bw_error *err), void *arg, struct bw_error *err);
/* What the next program is to have; taken over. */
void bw_upgrade_keep(struct bw_upgrade *upgrade, struct bw_inherited *sockets);
bool bw_upgrade_is_due(const struct bw_upgrade *upgrade); /* it has sockets */
/* When all else is ended and freed: does not return, unless no program can be started. If the new one cannot, the one that runs is started again. */
void bw_upgrade_start(struct bw_upgrade *upgrade, struct bw_error *err);
void bw_upgrade_stop_asking(struct bw_upgrade *upgrade); /* waits for the answer; before the event base goes */
void bw_upgrade_free(struct bw_upgrade *upgrade);        /* NULL is fine */
#endif
