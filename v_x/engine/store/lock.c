#include "store/lock.h"
#include "base/clock.h"
#include "base/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static void say_who_holds(int fd, const char *folder, struct bw_error *err)
{
    char holder[128];
    ssize_t len = pread(fd, holder, sizeof holder - 1, 0);
    holder[len > 0 ? len : 0] = '\0';
    holder[strcspn(holder, "\n")] = '\0';
    bw_error_set(err, "store.locked", "the data folder %s is already in use by %s", folder, holder[0] ? holder : "another process");
    bw_error_hint(err, "stop that process, or give this one a folder of its own (data: in bellwire.yaml)");
}

int bw_lock_take(const char *folder, struct bw_error *err)
{
    char *path = bw_file_join(folder, "lock"), text[96], now[BW_CLOCK_TEXT];
    int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd < 0) {
        bw_error_set(err, "store.folder", "cannot open %s: %s", path ? path : folder, strerror(errno));
        bw_error_hint(err, "the data folder must be a folder that this user may write to");
        goto out;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            say_who_holds(fd, folder, err);
        else
            bw_error_set(err, "store.folder", "cannot lock %s: %s", path, strerror(errno));
        close(fd);
        fd = -1;
        goto out;
    }
    /* The text is for people; a lock without it still locks. */
    int len = snprintf(text, sizeof text, "pid %ld since %s\n", (long)getpid(), bw_clock_text(bw_clock_wall_ms(), now));
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)len, 0) != len) (void)!ftruncate(fd, 0);
out:
    free(path);
    return fd;
}

void bw_lock_release(int lock)
{
    if (lock >= 0) close(lock);
}
