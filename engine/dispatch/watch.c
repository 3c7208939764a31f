#include "dispatch/watch.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include <errno.h>
#include <fts.h>
#include <libgen.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define SETTLE_US 200000
#define SETTLE_MAX_US 2000000
#define ROOTS_MAX 4
#define DEPTH_MAX 8
#define NAMES_CHANGE (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)
#define ANYTHING (NAMES_CHANGE | IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB)

struct root {
    char *path, *copy;
    const char *name; /* its last part, in `copy` */
    int parent;       /* the watch on the folder that holds it, or -1 */
};
struct bw_watch {
    int fd;
    struct event *readable, *settled;
    struct root roots[ROOTS_MAX];
    size_t root_count;
    int *folders; /* the watches inside the roots */
    size_t folder_count;
    int64_t first_change_us; /* 0 = at rest */
    bool is_incomplete;
    bw_watch_changed *changed;
    void *arg;
};

static bool is_inside(const int *folders, size_t count, int wd)
{
    for (size_t i = 0; i < count; i++)
        if (folders[i] == wd) return true;
    return false;
}

static void complain(struct bw_watch *watch, const char *path, int number)
{
    if (watch->is_incomplete || number == ENOENT || number == ENOTDIR) return; /* gone, or not there yet */
    watch->is_incomplete = true;
    bw_log(BW_LOG_WARN, "watch.incomplete", BW_STR("folder", path), BW_STR("error", strerror(number)),
           BW_STR("message", "changes there are seen at the next reload only (SIGHUP)"));
}

static void add_folder(struct bw_watch *watch, const char *path)
{
    int wd = inotify_add_watch(watch->fd, path, ANYTHING | IN_ONLYDIR | IN_MASK_ADD);
    int *grown = wd < 0 || is_inside(watch->folders, watch->folder_count, wd)
                     ? NULL
                     : realloc(watch->folders, (watch->folder_count + 1) * sizeof *watch->folders);
    if (wd < 0) complain(watch, path, errno);
    if (!grown) return;
    watch->folders = grown;
    watch->folders[watch->folder_count++] = wd;
}

static void add_tree(struct bw_watch *watch, char *root)
{
    char *const paths[] = {root, NULL};
    FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, NULL);
    FTSENT *entry;
    if (!tree) complain(watch, root, errno);
    while (tree && (entry = fts_read(tree))) {
        if (entry->fts_info == FTS_DNR) complain(watch, entry->fts_path, entry->fts_errno);
        if (entry->fts_info != FTS_D) continue;
        if (entry->fts_level > DEPTH_MAX || (entry->fts_level > 0 && entry->fts_name[0] == '.'))
            fts_set(tree, entry, FTS_SKIP);
        else
            add_folder(watch, entry->fts_path);
    }
    if (tree) fts_close(tree);
}

/* Watches what is there now and forgets what is not. A folder that is watched already keeps its watch. */
static void scan(struct bw_watch *watch)
{
    int *before = watch->folders;
    size_t count = watch->folder_count;
    watch->folders = NULL;
    watch->folder_count = 0;
    for (size_t i = 0; i < watch->root_count; i++) {
        struct root *root = &watch->roots[i];
        char *path = bw_slice_dup(bw_slice_of(root->path));
        root->parent = path ? inotify_add_watch(watch->fd, dirname(path), NAMES_CHANGE | IN_ONLYDIR | IN_MASK_ADD) : -1;
        free(path);
        add_tree(watch, root->path);
    }
    for (size_t i = 0; i < count; i++) {
        bool is_needed = is_inside(watch->folders, watch->folder_count, before[i]);
        for (size_t k = 0; k < watch->root_count; k++) is_needed = is_needed || watch->roots[k].parent == before[i];
        if (!is_needed) inotify_rm_watch(watch->fd, before[i]); /* fails for one whose folder is gone: the kernel was first */
    }
    free(before);
}

static bool is_root(const struct bw_watch *watch, const struct inotify_event *event)
{
    for (size_t i = 0; i < watch->root_count; i++)
        if (watch->roots[i].parent == event->wd && event->len && !strcmp(event->name, watch->roots[i].name)) return true;
    return false;
}

/* True when it matters. */
static bool judge(const struct bw_watch *watch, const struct inotify_event *event, bool *are_folders_new)
{
    if (event->mask & IN_Q_OVERFLOW || is_root(watch, event)) {
        *are_folders_new = true;
        return true;
    }
    if (event->mask & IN_IGNORED || !is_inside(watch->folders, watch->folder_count, event->wd)) return false;
    if (event->len && event->name[0] == '.') return false;
    if (event->mask & IN_ISDIR) *are_folders_new = true;
    return true;
}

static void wait_for_rest(struct bw_watch *watch)
{
    int64_t now = bw_clock_mono_us(), delay = SETTLE_US;
    if (!watch->first_change_us) watch->first_change_us = now;
    if (now + delay > watch->first_change_us + SETTLE_MAX_US) delay = watch->first_change_us + SETTLE_MAX_US - now;
    if (delay < 0) delay = 0;
    event_add(watch->settled, &(struct timeval){.tv_sec = delay / 1000000, .tv_usec = delay % 1000000});
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct bw_watch *watch = arg;
    _Alignas(struct inotify_event) char bytes[16384];
    bool are_folders_new = false, is_change = false;
    ssize_t got;
    (void)what;
    while ((got = read(fd, bytes, sizeof bytes)) > 0)
        for (const char *at = bytes; at < bytes + got;) {
            const struct inotify_event *event = (const struct inotify_event *)at;
            is_change |= judge(watch, event, &are_folders_new);
            at += sizeof *event + event->len;
        }
    if (are_folders_new) scan(watch); /* at once: what is written into a new folder must not be missed */
    if (is_change) wait_for_rest(watch);
}

static void on_settled(evutil_socket_t fd, short what, void *arg)
{
    struct bw_watch *watch = arg;
    (void)fd, (void)what;
    watch->first_change_us = 0;
    scan(watch); /* a folder may have been filled with others before it was watched */
    watch->changed(watch->arg);
}

struct bw_watch *bw_watch_new(struct event_base *base, const char *const *folders, size_t count, bw_watch_changed *changed, void *arg)
{
    struct bw_watch *watch = calloc(1, sizeof *watch);
    if (!watch) return NULL;
    watch->changed = changed;
    watch->arg = arg;
    if ((watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) < 0) {
        bw_log(BW_LOG_WARN, "watch.off", BW_STR("error", strerror(errno)),
               BW_STR("message", "changed files are seen at the next reload only (SIGHUP)"));
        goto fail;
    }
    for (; watch->root_count < count && watch->root_count < ROOTS_MAX; watch->root_count++) {
        struct root *root = &watch->roots[watch->root_count];
        root->path = bw_slice_dup(bw_slice_of(folders[watch->root_count]));
        root->copy = bw_slice_dup(bw_slice_of(folders[watch->root_count]));
        root->parent = -1;
        if (root->copy) root->name = basename(root->copy);
        if (!root->path || !root->copy) goto fail;
    }
    watch->readable = event_new(base, watch->fd, EV_READ | EV_PERSIST, on_readable, watch);
    watch->settled = event_new(base, -1, 0, on_settled, watch);
    if (!watch->readable || !watch->settled || event_add(watch->readable, NULL)) goto fail;
    scan(watch);
    return watch;
fail:
    bw_watch_free(watch);
    return NULL;
}

void bw_watch_free(struct bw_watch *watch)
{
    if (!watch) return;
    if (watch->readable) event_free(watch->readable);
    if (watch->settled) event_free(watch->settled);
    if (watch->fd >= 0) close(watch->fd);
    for (size_t i = 0; i < ROOTS_MAX; i++) {
        free(watch->roots[i].path);
        free(watch->roots[i].copy);
    }
    free(watch->folders);
    free(watch);
}
