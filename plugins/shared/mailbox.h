/* mailbox.h: how threads of a plugin hand something to the host's loop: a function that is called there, in the order of posting.
 * mailbox_post() from any thread, everything else on the loop's. A letter belongs to the poster; it must stay until it was opened. */
#ifndef SHARED_MAILBOX_H
#define SHARED_MAILBOX_H
#include "bellwire_plugin.h"

struct letter {
    struct letter *next;
    void (*open)(struct letter *letter); /* may free it */
};
struct mailbox; /* opaque */

struct mailbox *mailbox_new(const struct bw_plugin_host *host); /* NULL without memory or descriptors */
void mailbox_post(struct mailbox *mailbox, struct letter *letter);
void mailbox_free(struct mailbox *mailbox); /* nobody posts any more; what was not opened is dropped */
#endif
