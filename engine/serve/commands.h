/* commands.h: what a command asks of the running engine, over its control socket (admin/control.h). Main thread. */
#ifndef BW_SERVE_COMMANDS_H
#define BW_SERVE_COMMANDS_H
#include "admin/control.h"
#include "serve/handovers_office.h"
#include "serve/letters_office.h"

struct bw_commands { /* all zero: not open */
    struct bw_dispatch *dispatch;
    struct bw_router *const *router; /* what is served now */
    struct bw_letter_office *letters;
    struct bw_handover_office *handovers;
    struct bw_control *control; /* NULL: commands cannot reach the engine */
};
struct bw_commands_of { /* all borrowed */
    struct event_base *base;
    struct bw_store *store;
    const char *folder; /* of the store */
    struct bw_dispatch *dispatch;
    struct bw_router *const *router;
};
bool bw_commands_open(struct bw_commands *commands, const struct bw_commands_of *of, struct bw_error *err);
void bw_commands_listen(struct bw_commands *commands, struct event_base *base, const char *folder); /* a failure is logged: webhooks do not need it */
void bw_commands_hang_up(struct bw_commands *commands); /* whoever has not been answered yet sees it close */
void bw_commands_free(struct bw_commands *commands);    /* after the store is closed */
#endif
