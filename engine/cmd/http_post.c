#include "cmd/http_post.h"
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TIMEOUT_S 30
#define ANSWER_BYTES_MAX (1u << 20)

struct target {
    char host[256], port[8];
    const char *path;
};

static bool parse_url(const char *url, struct target *target, struct bw_error *err)
{
    const char *at = url + 7, *slash, *colon;
    if (strncmp(url, "http://", 7) != 0) return bw_error_set(err, "send.url", "'%s' must begin with http://", url);
    slash = strchr(at, '/');
    target->path = slash ? slash : "/";
    size_t len = slash ? (size_t)(slash - at) : strlen(at);
    if (!len || len >= sizeof target->host) return bw_error_set(err, "send.url", "'%s' has no usable host", url);
    memcpy(target->host, at, len);
    target->host[len] = '\0';
    strcpy(target->port, "80");
    colon = strrchr(target->host, ':');
    if (colon && !strchr(colon, ']')) {
        if (strlen(colon + 1) >= sizeof target->port) return bw_error_set(err, "send.url", "'%s' has no usable port", url);
        strcpy(target->port, colon + 1);
        *(char *)colon = '\0';
    }
    if (*target->host == '[') { /* [::1] */
        memmove(target->host, target->host + 1, strlen(target->host));
        target->host[strcspn(target->host, "]")] = '\0';
    }
    return true;
}

static int open_connection(const struct target *target, struct bw_error *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    const struct timeval timeout = {.tv_sec = TIMEOUT_S};
    struct addrinfo *addresses = NULL;
    int failure = getaddrinfo(target->host, target->port, &hints, &addresses), fd = -1;
    if (failure) {
        bw_error_set(err, "send.resolve", "cannot find %s: %s", target->host, gai_strerror(failure));
        return -1;
    }
    for (struct addrinfo *at = addresses; at && fd < 0; at = at->ai_next) {
        fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);
        if (fd < 0) continue;
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
        if (connect(fd, at->ai_addr, at->ai_addrlen)) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(addresses);
    if (fd < 0) {
        bw_error_set(err, "send.connect", "cannot connect to %s:%s: %s", target->host, target->port, strerror(errno));
        bw_error_hint(err, "is the engine running? start it with: bellwire serve");
    }
    return fd;
}

static bool write_all(int fd, struct bw_slice bytes)
{
    while (bytes.len) {
        ssize_t count = send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        if (count <= 0) return false;
        bytes = (struct bw_slice){bytes.ptr + count, bytes.len - (size_t)count};
    }
    return true;
}

bool bw_http_post(const char *url, struct bw_slice headers, struct bw_slice body, unsigned *status, struct bw_buf *answer, struct bw_error *err)
{
    struct target target;
    struct bw_buf request = {0}, whole = {0};
    char chunk[16384];
    ssize_t count;
    int fd;
    bool good = false;
    if (!parse_url(url, &target, err) || (fd = open_connection(&target, err)) < 0) return false;
    bw_buf_printf(&request, "POST %s HTTP/1.1\r\nHost: %s:%s\r\nConnection: close\r\nContent-Length: %zu\r\n", target.path, target.host, target.port,
                  body.len);
    for (size_t i = 0; i < headers.len; i++) {
        if (headers.ptr[i] == '\n') bw_buf_append_char(&request, '\r');
        bw_buf_append_char(&request, headers.ptr[i]);
    }
    bw_buf_append_text(&request, "\r\n");
    write_all(fd, bw_buf_slice(&request)); /* a refusal may come before everything is written: the answer is read in any case */
    write_all(fd, body);
    while (whole.len < ANSWER_BYTES_MAX && (count = recv(fd, chunk, sizeof chunk, 0)) > 0) bw_buf_append(&whole, chunk, (size_t)count);
    close(fd);
    const char *end = whole.data ? strstr(whole.data, "\r\n\r\n") : NULL;
    if (whole.len > 12 && !strncmp(whole.data, "HTTP/1.", 7) && end) {
        *status = (unsigned)strtoul(whole.data + 9, NULL, 10);
        bw_buf_append(answer, end + 4, whole.len - (size_t)(end + 4 - whole.data));
        good = true;
    } else {
        bw_error_set(err, "send.answer", "no HTTP answer came from %s", url);
    }
    bw_buf_free(&request);
    bw_buf_free(&whole);
    return good;
}
