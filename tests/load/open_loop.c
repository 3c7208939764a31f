/* open_loop.c: sends requests at a rate that does not depend on how fast the answers come, as the Internet does, and says what came of them.
 *
 * usage: open_loop PORT PATH RATE SECONDS BODY_BYTES CONNECTIONS HEADER…
 *
 * One thread, kept connections. A request is due at its time, is sent within a millisecond of it, and its latency counts from when it was due. If no
 * connection is free then, it waits for one for 50 ms at most, and is given up: the server has as many senders as were asked for already. On stdout
 * one line of JSON. Only for loopback.
 *
 * It sleeps whenever nothing is due: it shares the machine with what it measures. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_BYTES_MAX 4096
#define PATIENCE_US 60000000 /* for answers, at the end */
#define GIVE_UP_US 50000
#define TICK_MS 1
#define BUCKETS 4096 /* of latencies: a 64th of each power of two */

struct peer {
    int fd; /* -1: closed */
    bool is_free;
    int64_t due_us;
    size_t sent;
    char answer[ANSWER_BYTES_MAX];
    size_t len;
};

static struct {
    int epoll;
    uint16_t port;
    char *request;
    size_t request_len;
    struct peer *peers;
    size_t peer_count;
    struct peer **free_peers;
    size_t free_count;
    uint64_t by_status[600], sent, broken, given_up, retry_after_bad;
    uint64_t accepted[BUCKETS], refused[BUCKETS];
} load;

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static size_t bucket_of(int64_t us)
{
    uint64_t value = us < 1 ? 1 : (uint64_t)us;
    unsigned power = 63 - (unsigned)__builtin_clzll(value);
    uint64_t part = power >= 6 ? (value >> (power - 6)) & 63 : (value << (6 - power)) & 63;
    return power * 64 + part;
}

static int64_t of_bucket(size_t bucket)
{
    size_t power = bucket / 64, part = bucket % 64;
    return (int64_t)(((uint64_t)(64 + part) << power) / 64);
}

static int64_t quantile_us(const uint64_t *buckets, double part)
{
    uint64_t all = 0, seen = 0;
    for (size_t i = 0; i < BUCKETS; i++) all += buckets[i];
    for (size_t i = 0; i < BUCKETS; i++)
        if ((seen += buckets[i]) > 0 && (double)seen >= part * (double)all) return of_bucket(i);
    return 0;
}

static void set_free(struct peer *peer)
{
    peer->is_free = true;
    load.free_peers[load.free_count++] = peer;
}

static void drop(struct peer *peer)
{
    if (peer->fd >= 0) close(peer->fd);
    peer->fd = -1;
}

static void watch(struct peer *peer, uint32_t events, int how)
{
    struct epoll_event event = {.events = events, .data.ptr = peer};
    epoll_ctl(load.epoll, how, peer->fd, &event);
}

static bool dial(struct peer *peer)
{
    const struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(load.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (peer->fd < 0) return false;
    setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(peer->fd, (const struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS) return drop(peer), false;
    watch(peer, EPOLLIN | EPOLLOUT, EPOLL_CTL_ADD);
    return true;
}

static void broken(struct peer *peer)
{
    load.broken++;
    drop(peer);
    set_free(peer);
}

static void say(struct peer *peer)
{
    while (peer->sent < load.request_len) {
        ssize_t len = send(peer->fd, load.request + peer->sent, load.request_len - peer->sent, MSG_NOSIGNAL);
        if (len < 0 && (errno == EAGAIN || errno == ENOTCONN)) return;
        if (len < 0) {
            peer->sent = load.request_len; /* it takes no more: perhaps it has said why */
            break;
        }
        peer->sent += (size_t)len;
    }
    watch(peer, EPOLLIN, EPOLL_CTL_MOD);
}

static void begin(struct peer *peer, int64_t due_us)
{
    peer->is_free = false;
    peer->due_us = due_us;
    peer->sent = peer->len = 0;
    load.sent++;
    if (peer->fd < 0 && !dial(peer))
        broken(peer);
    else
        say(peer);
    if (!peer->is_free && peer->sent < load.request_len) watch(peer, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
}

/* An answer of the engine has a Content-Length, or the connection ends behind it. */
static bool is_whole(struct peer *peer, bool is_at_end)
{
    peer->answer[peer->len] = '\0';
    const char *end = strstr(peer->answer, "\r\n\r\n"), *length = strcasestr(peer->answer, "\r\ncontent-length:");
    if (!end) return false;
    if (!length || length > end) return is_at_end;
    return peer->len >= (size_t)(end + 4 - peer->answer) + strtoul(length + 17, NULL, 10);
}

static void count(struct peer *peer)
{
    unsigned status = (unsigned)strtoul(peer->answer + 9, NULL, 10);
    const char *again = strcasestr(peer->answer, "\r\nretry-after:");
    unsigned long seconds = again ? strtoul(again + 14, NULL, 10) : 0;
    load.by_status[status < 600 ? status : 0]++;
    (status < 300 ? load.accepted : load.refused)[bucket_of(now_us() - peer->due_us)]++;
    if ((status == 503 || status == 429) && (seconds < 1 || seconds > 30)) load.retry_after_bad++;
    if (strcasestr(peer->answer, "\r\nconnection: close")) drop(peer);
    set_free(peer);
}

static void hear(struct peer *peer)
{
    ssize_t len = recv(peer->fd, peer->answer + peer->len, ANSWER_BYTES_MAX - 1 - peer->len, 0);
    if (len < 0 && errno == EAGAIN) return;
    if (peer->is_free) {
        drop(peer); /* kept for nothing: it was idle for too long */
        return;
    }
    if (len > 0) peer->len += (size_t)len;
    if (is_whole(peer, len <= 0))
        count(peer);
    else if (len <= 0 || peer->len == ANSWER_BYTES_MAX - 1)
        broken(peer);
}

static void turn(int wait_ms)
{
    struct epoll_event events[256];
    int ready = epoll_wait(load.epoll, events, 256, wait_ms);
    for (int i = 0; i < ready; i++) {
        struct peer *peer = events[i].data.ptr;
        if (peer->fd >= 0 && !peer->is_free && peer->sent < load.request_len && events[i].events & EPOLLOUT) say(peer);
        if (peer->fd >= 0 && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) hear(peer);
    }
}

static void run(double rate, double seconds)
{
    int64_t began_us = now_us(), end_us = began_us + (int64_t)(seconds * 1e6);
    uint64_t due = 0, all = (uint64_t)(rate * seconds);
    for (int64_t now = began_us; now < end_us || due < all; now = now_us()) {
        for (; due < all; due++) {
            int64_t due_us = began_us + (int64_t)((double)due * 1e6 / rate);
            if (due_us <= now && load.free_count)
                begin(load.free_peers[--load.free_count], due_us);
            else if (now - due_us > GIVE_UP_US)
                load.given_up++;
            else
                break;
        }
        turn(TICK_MS);
    }
    for (int64_t until_us = now_us() + PATIENCE_US; load.free_count < load.peer_count && now_us() < until_us;) turn(10);
}

static void prepare(const char *path, size_t body_bytes, char *const *headers, int header_count)
{
    size_t room = body_bytes + 4096;
    load.request = malloc(room);
    if (!load.request) exit(2);
    int len = snprintf(load.request, room, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n", path,
                       body_bytes);
    for (int i = 0; i < header_count; i++) len += snprintf(load.request + len, room - (size_t)len, "%s\r\n", headers[i]);
    len += snprintf(load.request + len, room - (size_t)len, "\r\n{\"pad\":\"");
    memset(load.request + len, 'x', body_bytes - 10);
    memcpy(load.request + (size_t)len + body_bytes - 10, "\"}", 2);
    load.request_len = (size_t)len - 8 + body_bytes;
}

int main(int argc, char **argv)
{
    if (argc < 7 || strtoul(argv[5], NULL, 10) < 10) {
        fprintf(stderr, "usage: open_loop PORT PATH RATE SECONDS BODY_BYTES(>=10) CONNECTIONS [HEADER…]\n");
        return 2;
    }
    load.port = (uint16_t)strtoul(argv[1], NULL, 10);
    load.peer_count = strtoul(argv[6], NULL, 10);
    load.peers = calloc(load.peer_count, sizeof *load.peers);
    load.free_peers = calloc(load.peer_count, sizeof(struct peer *));
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!load.peers || !load.free_peers || load.epoll < 0) return 2;
    prepare(argv[2], strtoul(argv[5], NULL, 10), argv + 7, argc - 7);
    for (size_t i = load.peer_count; i-- > 0;) {
        load.peers[i].fd = -1;
        set_free(&load.peers[i]);
    }
    run(strtod(argv[3], NULL), strtod(argv[4], NULL));
    printf("{\"sent\":%llu,\"given_up\":%llu,\"broken\":%llu,\"unanswered\":%zu,\"retry_after_bad\":%llu,\"status\":{", (unsigned long long)load.sent,
           (unsigned long long)load.given_up, (unsigned long long)load.broken, load.peer_count - load.free_count,
           (unsigned long long)load.retry_after_bad);
    const char *comma = "";
    for (unsigned i = 0; i < 600; i++)
        if (load.by_status[i]) printf("%s\"%u\":%llu", comma, i, (unsigned long long)load.by_status[i]), comma = ",";
    printf("},\"accepted_us\":{\"p50\":%lld,\"p99\":%lld,\"p999\":%lld},\"refused_us\":{\"p50\":%lld,\"p99\":%lld}}\n",
           (long long)quantile_us(load.accepted, .5), (long long)quantile_us(load.accepted, .99), (long long)quantile_us(load.accepted, .999),
           (long long)quantile_us(load.refused, .5), (long long)quantile_us(load.refused, .99));
    return 0;
}
