/* post.h: threads that send mails, one each at a time, started as they are needed; and what these may ask the host's loop. */
#ifndef MAIL_POST_H
#define MAIL_POST_H
#include "send.h"

struct mail_post; /* opaque */

/* The loop's thread: */
struct mail_post *mail_post_new(const struct bw_plugin_host *host, int threads); /* NULL without memory */
void mail_post_submit_take(struct mail_post *post, struct mail_transfer *transfer);
void mail_post_cancel(struct mail_post *post, const struct bw_plugin_call *call);
void mail_post_free(struct mail_post *post); /* what is on its way is broken off */
/* A thread of it, for its transfer: */
bool mail_post_may_connect(struct mail_post *post, const struct sockaddr *address, size_t len); /* asks the loop, and waits */
void mail_post_set_socket(struct mail_post *post, struct mail_transfer *transfer, int fd);      /* -1: it is closed now */
#endif
