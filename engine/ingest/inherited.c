#include "ingest/inherited.h"
#include "base/buf.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST 3
#define COUNT_MAX 1024

/* A whole number that is nothing else; -1. */
static long read_number(const char *text)
{
    size_t digits = text ? strspn(text, "0123456789") : 0;
    return digits && digits <= 10 && !text[digits] ? strtol(text, NULL, 10) : -1;
}

size_t bw_inherited_count(const char *listen_pid, const char *listen_fds, long pid)
{
    long count = read_number(listen_fds);
    return read_number(listen_pid) == pid && count > 0 && count <= COUNT_MAX ? (size_t)count : 0;
}

/* Two spellings of one path, "/run" and "/var/run", are one file. */
static bool is_file(const char *path, const struct sockaddr_un *address, size_t len)
{
    struct stat one, other;
    char name[sizeof address->sun_path + 1] = "";
    if (len > offsetof(struct sockaddr_un, sun_path)) memcpy(name, address->sun_path, len - offsetof(struct sockaddr_un, sun_path));
    if (!*name) return false; /* unnamed, or abstract: the configuration knows none of these */
    return !strcmp(path, name) || (!stat(path, &one) && !stat(name, &other) && one.st_dev == other.st_dev && one.st_ino == other.st_ino);
}

bool bw_inherited_is(const struct bw_listen *listen, const struct sockaddr *address, size_t len)
{
    struct in_addr v4;
    struct in6_addr v6;
    const struct sockaddr_in *as_v4 = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *as_v6 = (const struct sockaddr_in6 *)address;
    if (listen->path) return address->sa_family == AF_UNIX && is_file(listen->path, (const struct sockaddr_un *)address, len);
    if (address->sa_family == AF_INET)
        return inet_pton(AF_INET, listen->host, &v4) == 1 && v4.s_addr == as_v4->sin_addr.s_addr && listen->port == ntohs(as_v4->sin_port);
    return address->sa_family == AF_INET6 && inet_pton(AF_INET6, listen->host, &v6) == 1 && !memcmp(&v6, &as_v6->sin6_addr, sizeof v6) &&
           listen->port == ntohs(as_v6->sin6_port);
}

static void describe(const struct sockaddr_storage *address, size_t len, struct bw_buf *out)
{
    char host[INET6_ADDRSTRLEN] = "?";
    const struct sockaddr_in *as_v4 = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *as_v6 = (const struct sockaddr_in6 *)address;
    size_t path_len = len > offsetof(struct sockaddr_un, sun_path) ? len - offsetof(struct sockaddr_un, sun_path) : 0;
    const char *path = ((const struct sockaddr_un *)address)->sun_path;
    if (address->ss_family == AF_INET)
        bw_buf_printf(out, "%s:%u", inet_ntop(AF_INET, &as_v4->sin_addr, host, sizeof host), ntohs(as_v4->sin_port));
    else if (address->ss_family == AF_INET6)
        bw_buf_printf(out, "[%s]:%u", inet_ntop(AF_INET6, &as_v6->sin6_addr, host, sizeof host), ntohs(as_v6->sin6_port));
    else if (path_len && *path)
        bw_buf_printf(out, "unix:%.*s", (int)path_len, path);
    else
        bw_buf_append_text(out, "without an address");
}

static bool is_listening(int fd)
{
    int type = 0, listens = 0;
    socklen_t len = sizeof type, listens_len = sizeof listens;
    return !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) && type == SOCK_STREAM &&
           !getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &listens_len) && listens;
}

static bool place(const struct bw_config *config, struct bw_inherited *out, int fd, struct bw_error *err)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address;
    struct bw_buf text = {0};
    size_t i = 0;
    if (!is_listening(fd) || getsockname(fd, (struct sockaddr *)&address, &len)) {
        bw_error_set(err, "listen.inherited_kind", "descriptor %d, which the service manager has handed over, is no listening stream socket", fd);
        bw_error_hint(err, "a socket unit of ours has ListenStream= and Accept=no, and nothing else");
        return false;
    }
    while (i < out->count && !(out->fds[i] < 0 && bw_inherited_is(&config->listen[i], (struct sockaddr *)&address, len))) i++;
    if (i < out->count) {
        out->fds[i] = fd;
        return true;
    }
    describe(&address, len, &text);
    bw_error_set(err, "listen.inherited",
                 "the socket %s, which the service manager has handed over, is none of listen:", text.data ? text.data : "of descriptor");
    bw_error_hint(err, "write its address into listen: in bellwire.yaml just as it is here, or take it out of the socket unit (ListenStream=)");
    bw_buf_free(&text);
    return false;
}

bool bw_inherited_take(const struct bw_config *config, struct bw_inherited *out, struct bw_error *err)
{
    size_t count = bw_inherited_count(getenv("LISTEN_PID"), getenv("LISTEN_FDS"), getpid());
    bool good = true;
    *out = (struct bw_inherited){0};
    unsetenv("LISTEN_PID"); /* it is said once, and to us */
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    if (!count) return true;
    if (!(out->fds = malloc((config->listen_count + 1) * sizeof *out->fds))) return bw_error_set(err, "memory", "out of memory");
    out->count = config->listen_count;
    for (size_t i = 0; i < out->count; i++) out->fds[i] = -1;
    for (int fd = FIRST; fd < FIRST + (int)count && good; fd++) {
        int flags = fcntl(fd, F_GETFL);
        good = flags >= 0 && !fcntl(fd, F_SETFD, FD_CLOEXEC) && !fcntl(fd, F_SETFL, flags | O_NONBLOCK);
        if (!good)
            bw_error_set(err, "listen.inherited_kind", "descriptor %d, which LISTEN_FDS promises, is not usable: %s", fd, strerror(errno));
        else
            good = place(config, out, fd, err);
    }
    if (!good) bw_inherited_close(out);
    return good;
}

void bw_inherited_close(struct bw_inherited *inherited)
{
    for (size_t i = 0; i < inherited->count; i++)
        if (inherited->fds[i] >= 0) close(inherited->fds[i]);
    free(inherited->fds);
    *inherited = (struct bw_inherited){0};
}
