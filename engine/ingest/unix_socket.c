#include "ingest/unix_socket.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static bool explain(const char *path, int why, struct bw_error *err)
{
    switch (why) {
    case EADDRINUSE:
        bw_error_set(err, "listen.in_use", "another process listens on %s", path);
        bw_error_hint(err, "see which one with: ss -lxp; stop it, or choose another path (listen: in bellwire.yaml)");
        break;
    case EEXIST:
        bw_error_set(err, "listen.in_use", "%s is there and is no socket", path);
        bw_error_hint(err, "only a socket that nobody listens on is replaced: remove the file, or choose another path (listen: in bellwire.yaml)");
        break;
    case EACCES:
    case EPERM:
    case EROFS:
        bw_error_set(err, "listen.denied", "no permission to make the socket %s", path);
        bw_error_hint(err, "its folder must be one that this user may write to; under systemd: RuntimeDirectory=bellwire makes /run/bellwire");
        break;
    case ENOENT:
    case ENOTDIR:
        bw_error_set(err, "listen.path", "the folder of the socket %s is not there", path);
        bw_error_hint(err, "make it first; under systemd: RuntimeDirectory=bellwire makes /run/bellwire");
        break;
    default: bw_error_set(err, "listen.failed", "cannot listen on %s: %s", path, strerror(why));
    }
    return false;
}

/* Between the look at an old file and our listen() no other engine may do the same: both would find it stale, and the second would remove the file of
 * the first. A lock on the folder itself leaves nothing behind. -1 with errno. */
static int lock_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    free(folder);
    if (fd >= 0) (void)!flock(fd, LOCK_EX); /* a file system without locks is no reason not to listen */
    return fd;
}

/* 0: it is gone now; or an errno that says why it stays. */
static int remove_stale(const struct sockaddr_un *address)
{
    struct stat file;
    if (lstat(address->sun_path, &file)) return errno == ENOENT ? 0 : errno;
    if (!S_ISSOCK(file.st_mode)) return EEXIST;
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (probe < 0) return errno;
    int why = connect(probe, (const struct sockaddr *)address, sizeof *address) ? errno : 0;
    close(probe);
    if (why == EACCES) return EACCES;
    if (why != ECONNREFUSED) return EADDRINUSE; /* it answers, has a full backlog, or is of another kind: somebody's in any case */
    return unlink(address->sun_path) && errno != ENOENT ? errno : 0;
}

static int bind_at(int fd, const struct sockaddr_un *address)
{
    if (!bind(fd, (const struct sockaddr *)address, sizeof *address)) return 0;
    if (errno != EADDRINUSE) return errno;
    int why = remove_stale(address);
    return why ? why : bind(fd, (const struct sockaddr *)address, sizeof *address) ? errno : 0;
}

void bw_unix_socket_claim(const char *path, struct bw_unix_socket *out)
{
    struct stat file;
    *out = (struct bw_unix_socket){0};
    if (!lstat(path, &file)) *out = (struct bw_unix_socket){.path = path, .device = file.st_dev, .inode = file.st_ino};
}

int bw_unix_socket_open(const char *path, unsigned mode, int backlog, struct bw_unix_socket *out, struct bw_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = -1, why = 0, folder = lock_folder(path);
    *out = (struct bw_unix_socket){0};
    if (folder < 0 || (fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) < 0) {
        why = errno;
        goto out;
    }
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    if ((why = bind_at(fd, &address))) goto out;
    bw_unix_socket_claim(path, out);
    if (!out->path || chmod(path, mode) || listen(fd, backlog)) { /* until listen() a connect is refused, so the umask of now opens nothing */
        why = errno;
        unlink(path);
        *out = (struct bw_unix_socket){0};
    }
out:
    if (folder >= 0) close(folder);
    if (!why) return fd;
    if (fd >= 0) close(fd);
    explain(path, why, err);
    return -1;
}

void bw_unix_socket_remove(struct bw_unix_socket *socket)
{
    struct stat file;
    if (!socket->path) return;
    int folder = lock_folder(socket->path);
    if (!lstat(socket->path, &file) && file.st_dev == socket->device && file.st_ino == socket->inode) unlink(socket->path);
    if (folder >= 0) close(folder);
    *socket = (struct bw_unix_socket){0};
}
