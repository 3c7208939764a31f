/* SO_REUSEPORT lets every process of the same user join a port and take a share of its connections without anybody noticing. So the first socket is
 * bound without it: that fails if anyone at all listens there. Only then is the option set on it, and the other threads' sockets join. A second
 * engine on the port fails in its own first bind. */
#include "ingest/listener.h"
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 4096
#define UNANSWERED_MS 20000 /* bytes of ours that the peer does not acknowledge */

static bool set_option(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

/* Accepted sockets inherit these. */
static bool set_options(int fd)
{
    return set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1) && set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1) &&
           set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, UNANSWERED_MS);
}

static bool set_address_options(int fd, int family)
{
    return set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) && (family != AF_INET6 || set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0));
}

static bool explain(const struct bw_listen *address, struct bw_error *err)
{
    const char *open = strchr(address->host, ':') ? "[" : "", *close = *open ? "]" : "";
    int why = errno;
    switch (why) {
    case EADDRINUSE:
        bw_error_set(err, "listen.in_use", "%s%s%s:%u is in use by another process", open, address->host, close, address->port);
        bw_error_hint(err, "see which one with: ss -ltnp 'sport = :%u'; stop it, or choose another port (listen: in bellwire.yaml)", address->port);
        break;
    case EACCES:
        bw_error_set(err, "listen.denied", "no permission to listen on %s%s%s:%u", open, address->host, close, address->port);
        bw_error_hint(err, "ports below 1024 need CAP_NET_BIND_SERVICE; choose a higher one (listen: in bellwire.yaml)");
        break;
    case EADDRNOTAVAIL:
        bw_error_set(err, "listen.no_address", "this machine has no address %s", address->host);
        bw_error_hint(err, "0.0.0.0 or [::] listens on all of them");
        break;
    default: bw_error_set(err, "listen.failed", "cannot listen on %s%s%s:%u: %s", open, address->host, close, address->port, strerror(why));
    }
    return false;
}

static bool open_one(const struct sockaddr *address, socklen_t len, bool is_first, bool shares, int *out)
{
    *out = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return *out >= 0 && set_options(*out) && set_address_options(*out, address->sa_family) &&
           (is_first || set_option(*out, SOL_SOCKET, SO_REUSEPORT, 1)) && bind(*out, address, len) == 0 &&
           (!shares || !is_first || set_option(*out, SOL_SOCKET, SO_REUSEPORT, 1)) && listen(*out, BACKLOG) == 0;
}

static bool parse(const struct bw_listen *address, struct sockaddr_storage *out, socklen_t *len, struct bw_error *err)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE};
    struct addrinfo *found = NULL;
    char port[8];
    snprintf(port, sizeof port, "%u", address->port);
    int failure = getaddrinfo(address->host, port, &hints, &found);
    if (failure) return bw_error_set(err, "listen.address", "'%s' is no numeric address: %s", address->host, gai_strerror(failure));
    memcpy(out, found->ai_addr, found->ai_addrlen);
    *len = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

static in_port_t *port_of(struct sockaddr_storage *address)
{
    return address->ss_family == AF_INET6 ? &((struct sockaddr_in6 *)address)->sin6_port : &((struct sockaddr_in *)address)->sin_port;
}

static void close_all(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (fds[i] >= 0) close(fds[i]);
}

static bool open_port(const struct bw_listen *address, int *fds, size_t count, uint16_t *port, struct bw_error *err)
{
    struct sockaddr_storage at = {0}, real = {0};
    socklen_t len = 0, real_len = sizeof real;
    size_t opened = 0;
    if (!parse(address, &at, &len, err)) return false;
    for (; opened < count; opened++) {
        bool good = open_one((struct sockaddr *)&at, len, opened == 0, count > 1, &fds[opened]);
        if (good && opened == 0) good = getsockname(fds[0], (struct sockaddr *)&real, &real_len) == 0;
        if (!good) goto fail;
        *port_of(&at) = *port_of(&real); /* port 0: the others join the one that the first was given */
    }
    *port = ntohs(*port_of(&at));
    return true;
fail:
    explain(address, err);
    close_all(fds, opened + 1);
    return false;
}

/* Few sockets for all: each loop has a descriptor of one that it can close by itself. Whoever comes first takes the connection. */
static bool share(const int *from, size_t from_count, int *fds, size_t count, struct bw_error *err)
{
    for (size_t i = 0; i < count; i++)
        if ((fds[i] = fcntl(from[i % from_count], F_DUPFD_CLOEXEC, 3)) < 0) {
            bw_error_set(err, "listen.failed", "cannot share a listening socket: %s", strerror(errno));
            close_all(fds, i);
            return false;
        }
    return true;
}

bool bw_listener_open(const struct bw_listen *address, int *fds, size_t count, struct bw_listener *out, struct bw_error *err)
{
    *out = (struct bw_listener){0};
    if (!address->path) return open_port(address, fds, count, &out->port, err);
    int fd = bw_unix_socket_open(address->path, address->mode, BACKLOG, &out->file, err);
    if (fd < 0) return false;
    bool good = share(&fd, 1, fds, count, err);
    close(fd);
    if (!good) bw_unix_socket_remove(&out->file);
    return good;
}

bool bw_listener_adopt(const struct bw_listen *address, const int *given, size_t given_count, bool is_given, int *fds, size_t count,
                       struct bw_listener *out, struct bw_error *err)
{
    struct sockaddr_storage at = {0};
    *out = (struct bw_listener){.is_given = is_given};
    for (size_t i = 0; i < given_count; i++) {
        socklen_t len = sizeof at;
        if (getsockname(given[i], (struct sockaddr *)&at, &len) || (at.ss_family != AF_UNIX && !set_options(given[i])))
            return bw_error_set(err, "listen.failed", "cannot use an inherited socket: %s", strerror(errno));
    }
    if (at.ss_family != AF_UNIX) out->port = ntohs(*port_of(&at));
    if (address->path && !is_given) bw_unix_socket_claim(address->path, &out->file);
    return share(given, given_count, fds, count, err);
}

void bw_listener_close(struct bw_listener *listener)
{
    bw_unix_socket_remove(&listener->file);
}
