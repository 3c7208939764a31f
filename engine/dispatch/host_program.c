#include "dispatch/host_program.h"
#include "base/file.h"
#include "base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x10u /* which older headers and kernels do not know */
#endif

extern const char bw_host_image[] __attribute__((weak)), bw_host_image_end[] __attribute__((weak)); /* host_image.c */

static bool is_tried, is_refused;
static int program = -1; /* never closed: a start that is under way may be about to use it */

static int open_image(void)
{
    const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int fd = memfd_create("bellwire-host", flags | MFD_EXEC);
    return fd >= 0 || errno != EINVAL ? fd : memfd_create("bellwire-host", flags);
}

static bool fill(int fd)
{
    const char *at = bw_host_image;
    while (at < bw_host_image_end) {
        ssize_t written = write(fd, at, (size_t)(bw_host_image_end - at));
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        at += written;
    }
    return !fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
}

static void give_up(int failure)
{
    if (is_refused) return;
    is_refused = true;
    bw_log(BW_LOG_WARN, "plugin.slow_start", BW_STR("reason", strerror(failure)),
           BW_STR("message", "this system does not execute programs from memory: the process of a plugin takes some milliseconds more to start"));
}

int bw_host_program(void)
{
    if (!is_tried && bw_host_image) {
        is_tried = true;
        if ((program = open_image()) < 0 || !fill(program)) give_up(errno);
    }
    return is_refused ? -1 : program;
}

void bw_host_program_refused(int failure)
{
    if (failure == EACCES || failure == EPERM || failure == ENOENT || failure == ENOEXEC || failure == ENOSYS) give_up(failure);
}
