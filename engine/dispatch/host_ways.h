/* host_ways.h: a plugin host's process and the ways to it, without anything of a plugin: what dispatch and the kit that tries plugins (trial/) begin
 * with. One thread, the loop's. */
#ifndef BW_DISPATCH_HOST_WAYS_H
#define BW_DISPATCH_HOST_WAYS_H
#include "dispatch/process.h"

struct bw_host_ways { /* the receiver's to close and to free */
    struct bw_process *process;
    int channel; /* speaks frames (wire/channel.h) */
    int report;  /* what it writes here when it crashes is read after its end; does not block */
    int output;  /* the other end is its stdout and stderr; does not block */
    int lines;   /* passes descriptors to it (wire/pass.h) */
};
/* copy: of the plugin (plugin/file.h), which stays the caller's; -1: none. */
bool bw_host_spawn(struct event_base *base, int copy, bw_process_ended *ended, void *arg, struct bw_host_ways *out, struct bw_error *err);

/* How it has ended: what it could still say about that itself (host/crash.c), else what the kernel says. A plugin may write there what it likes: it
 * is text for people, cut and made printable, and decides nothing. */
struct bw_host_end {
    char how[400];
    char frames[1024]; /* where it was then; "": that is not known */
};
/* path: of the plugin. why: whoever has killed it says why; "": nobody has. */
void bw_host_end_read(int report, const char *path, int wait_status, const char *why, struct bw_host_end *out);
#endif
