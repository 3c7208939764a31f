/* watch.h: says when files below some folders have changed, after they have come to rest.
 *
 * By inotify, on the loop's thread. Folders inside are watched too (as deep as bw_file_list() reads), also those that come later, and also the
 * folders themselves when they appear, vanish or are exchanged. `changed` is called once for many changes: some 200 ms after the last one, and
 * at the latest 2 s after the first. Hidden names and what symbolic links lead to are not watched. What cannot be watched is logged
 * (watch.incomplete), nothing else: whoever changes such files can still ask for a reload. */
#ifndef BW_DISPATCH_WATCH_H
#define BW_DISPATCH_WATCH_H
#include <event2/event.h>

struct bw_watch;
typedef void bw_watch_changed(void *arg);
/* folders: at most 4. NULL when this machine cannot watch (logged). */
struct bw_watch *bw_watch_new(struct event_base *base, const char *const *folders, size_t count, bw_watch_changed *changed, void *arg);
void bw_watch_free(struct bw_watch *watch);
#endif
