/* mailbox.h: messages to one event loop from any thread: an intrusive list and one eventfd, so that a burst costs one wake-up.
 *
 * A message embeds a struct bw_mail and belongs to the receiver once posted. Delivery is in posting order, on the loop's thread. */
#ifndef BW_BASE_MAILBOX_H
#define BW_BASE_MAILBOX_H
#include <event2/event.h>
#include <stdbool.h>

struct bw_mail {
    struct bw_mail *next;
    int kind; /* the receiver's to define: what embeds this mail */
};
struct bw_mailbox;
typedef void bw_mail_receive(struct bw_mail *mail, void *arg);
struct bw_mailbox *bw_mailbox_new(struct event_base *base, bw_mail_receive *receive,
                                  void *arg);                           /* loop's thread; NULL without memory or descriptors */
void bw_mailbox_free(struct bw_mailbox *mailbox);                       /* after the last poster; undelivered mail is delivered first */
void bw_mailbox_post(struct bw_mailbox *mailbox, struct bw_mail *mail); /* any thread */
/* What is at the front and of this kind is delivered now, and need not wait for the loop's turn. For who comes by anyhow, and may see whatever the
 * receiver does; costs a look when there is nothing. Loop's thread; does nothing inside of the receiver. */
void bw_mailbox_take(struct bw_mailbox *mailbox, int kind);
/* Around what may post on the loop's own thread, which nobody need wake for that: what is there is delivered with the release. Does not nest. */
void bw_mailbox_hold(struct bw_mailbox *mailbox);
void bw_mailbox_release(struct bw_mailbox *mailbox);
#endif
