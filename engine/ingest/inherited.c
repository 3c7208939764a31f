#include "ingest/inherited.h"
#include "base/buf.h"
#include "base/log.h"
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

/* LISTEN_FDNAMES of what an engine hands over. systemd's own are names of units, or what FileDescriptorName= says. */
#define NAME_OWN "bellwire-own"
#define NAME_GIVEN "bellwire-given"
enum kind { OF_MANAGER, OWN, GIVEN };

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

bool bw_inherited_is(const struct bw_listen *listen, const struct sockaddr *address, size_t len, bool any_port)
{
    any_port &= !listen->port;
    struct in_addr v4;
    struct in6_addr v6;
    const struct sockaddr_in *as_v4 = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *as_v6 = (const struct sockaddr_in6 *)address;
    if (listen->path) return address->sa_family == AF_UNIX && is_file(listen->path, (const struct sockaddr_un *)address, len);
    if (address->sa_family == AF_INET)
        return inet_pton(AF_INET, listen->host, &v4) == 1 && v4.s_addr == as_v4->sin_addr.s_addr &&
               (any_port || listen->port == ntohs(as_v4->sin_port));
    return address->sa_family == AF_INET6 && inet_pton(AF_INET6, listen->host, &v6) == 1 && !memcmp(&v6, &as_v6->sin6_addr, sizeof v6) &&
           (any_port || listen->port == ntohs(as_v6->sin6_port));
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

static bool is_same(int one, const struct sockaddr_storage *address, socklen_t len)
{
    struct sockaddr_storage other = {0};
    socklen_t other_len = sizeof other;
    return !getsockname(one, (struct sockaddr *)&other, &other_len) && other_len == len && !memcmp(&other, address, len);
}

/* Of several sockets for one address, which an engine has made for its threads, all are the same address. */
static bool is_free(const struct bw_inherited *inherited, size_t listen, enum kind kind, const struct sockaddr_storage *address, socklen_t len)
{
    size_t first = bw_inherited_find(inherited, listen, 0);
    return first == inherited->count || (kind != OF_MANAGER && is_same(inherited->sockets[first].fd, address, len));
}

static bool place(const struct bw_config *config, struct bw_inherited *out, int fd, enum kind kind, struct bw_error *err)
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
    while (i < config->listen_count &&
           !(bw_inherited_is(&config->listen[i], (struct sockaddr *)&address, len, kind != OF_MANAGER) && is_free(out, i, kind, &address, len)))
        i++;
    if (i < config->listen_count) {
        out->sockets[out->count++] = (struct bw_inherited_socket){fd, i, kind != OWN};
        return true;
    }
    describe(&address, len, &text);
    const char *name = text.data ? text.data : "of descriptor";
    if (kind != OF_MANAGER) {
        bw_log(BW_LOG_WARN, "listen.given_up", BW_STR("address", name),
               BW_STR("message", "listen: does not name it any more, so nobody listens there from now on"));
        close(fd);
    } else {
        bw_error_set(err, "listen.inherited", "the socket %s, which the service manager has handed over, is none of listen:", name);
        bw_error_hint(err, "write its address into listen: in bellwire.yaml just as it is here, or take it out of the socket unit (ListenStream=)");
    }
    bw_buf_free(&text);
    return kind != OF_MANAGER;
}

static enum kind read_kind(const char **names)
{
    size_t len = *names ? strcspn(*names, ":") : 0;
    enum kind kind = len == strlen(NAME_OWN) && !strncmp(*names, NAME_OWN, len)       ? OWN
                     : len == strlen(NAME_GIVEN) && !strncmp(*names, NAME_GIVEN, len) ? GIVEN
                                                                                      : OF_MANAGER;
    if (*names) *names += len + ((*names)[len] == ':');
    return kind;
}

bool bw_inherited_take(const struct bw_config *config, struct bw_inherited *out, struct bw_error *err)
{
    size_t count = bw_inherited_count(getenv("LISTEN_PID"), getenv("LISTEN_FDS"), getpid());
    const char *named = getenv("LISTEN_FDNAMES");
    char *copy = named ? strdup(named) : NULL;
    const char *names = copy;
    bool good = true;
    *out = (struct bw_inherited){0};
    unsetenv("LISTEN_PID"); /* it is said once, and to us */
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    if (count && (!(out->sockets = calloc(count, sizeof *out->sockets)) || (named && !copy))) good = bw_error_set(err, "memory", "out of memory");
    for (int fd = FIRST; good && fd < FIRST + (int)count; fd++) {
        int flags = fcntl(fd, F_GETFL);
        good = flags >= 0 && !fcntl(fd, F_SETFD, FD_CLOEXEC) && !fcntl(fd, F_SETFL, flags | O_NONBLOCK);
        if (!good)
            bw_error_set(err, "listen.inherited_kind", "descriptor %d, which LISTEN_FDS promises, is not usable: %s", fd, strerror(errno));
        else
            good = place(config, out, fd, read_kind(&names), err);
    }
    free(copy);
    if (!good) bw_inherited_close(out);
    return good;
}

size_t bw_inherited_find(const struct bw_inherited *inherited, size_t listen, size_t from)
{
    while (from < inherited->count && inherited->sockets[from].listen != listen) from++;
    return from;
}

/* In two steps: a descriptor that is to be moved may be where another one belongs. */
bool bw_inherited_hand_over(struct bw_inherited *inherited, struct bw_error *err)
{
    struct bw_buf names = {0};
    char text[24];
    bool good = true;
    for (size_t i = 0; i < inherited->count && good; i++) {
        int moved = fcntl(inherited->sockets[i].fd, F_DUPFD_CLOEXEC, FIRST + (int)inherited->count);
        if (!(good = moved >= 0)) break;
        close(inherited->sockets[i].fd);
        inherited->sockets[i].fd = moved;
    }
    for (size_t i = 0; i < inherited->count && good; i++) {
        good = dup2(inherited->sockets[i].fd, FIRST + (int)i) >= 0;
        bw_buf_printf(&names, "%s%s", i ? ":" : "", inherited->sockets[i].is_given ? NAME_GIVEN : NAME_OWN);
    }
    snprintf(text, sizeof text, "%zu", inherited->count);
    good = good && !names.failed && !setenv("LISTEN_FDS", text, 1) && !setenv("LISTEN_FDNAMES", names.data ? names.data : "", 1);
    snprintf(text, sizeof text, "%ld", (long)getpid());
    good = good && !setenv("LISTEN_PID", text, 1);
    if (!good) bw_error_set(err, "listen.failed", "the listening sockets cannot be handed over: %s", strerror(errno));
    bw_buf_free(&names);
    return good;
}

void bw_inherited_close(struct bw_inherited *inherited)
{
    for (size_t i = 0; i < inherited->count; i++) close(inherited->sockets[i].fd);
    free(inherited->sockets);
    *inherited = (struct bw_inherited){0};
}
