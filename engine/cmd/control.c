#include "cmd/control.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_BYTES_MAX (16u << 20)
#define PATIENCE_S 30

static bool refuse_connect(const char *folder, int why, struct bw_error *err)
{
    if (why == ENOENT || why == ECONNREFUSED) {
        bw_error_set(err, "control.not_serving", "no engine serves %s", folder);
        bw_error_hint(err, "start it: bellwire serve");
    } else if (why == EACCES) {
        bw_error_set(err, "control.denied", "no permission to talk to the engine that serves %s", folder);
        bw_error_hint(err, "run this as the user that the engine runs as");
    } else {
        bw_error_set(err, "control.connect", "cannot connect to %s/control.sock: %s", folder, strerror(why));
    }
    return false;
}

static bool connect_to(const char *folder, int *fd, struct bw_error *err)
{
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if ((size_t)snprintf(address.sun_path, sizeof address.sun_path, "%s/control.sock", folder) >= sizeof address.sun_path) {
        bw_error_set(err, "control.path_too_long", "the path of the data folder is too long for a socket in it: %s", folder);
        bw_error_hint(err, "go nearer to it and name it by a relative path, or choose a shorter one (data: in bellwire.yaml)");
        return false;
    }
    if ((*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0) return refuse_connect(folder, errno, err);
    setsockopt(*fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(*fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    return !connect(*fd, (struct sockaddr *)&address, sizeof address) || refuse_connect(folder, errno, err);
}

static bool send_all(int fd, struct bw_slice line)
{
    while (line.len) {
        ssize_t sent = send(fd, line.ptr, line.len, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) return false;
        line.ptr += sent;
        line.len -= (size_t)sent;
    }
    return true;
}

static bool receive_line(int fd, struct bw_buf *line, struct bw_error *err)
{
    char bytes[4096];
    for (;;) {
        ssize_t got = recv(fd, bytes, sizeof bytes, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return bw_error_set(err, "control.timeout", "the engine has not answered within %d s", PATIENCE_S);
        if (got <= 0 || line->len > ANSWER_BYTES_MAX) return bw_error_set(err, "control.closed", "the engine has ended before it answered");
        const char *end = memchr(bytes, '\n', (size_t)got);
        bw_buf_append(line, bytes, end ? (size_t)(end - bytes) : (size_t)got);
        if (line->failed) return bw_error_set(err, "memory", "out of memory");
        if (end) return true;
    }
}

static void take_error(const json_t *answer, struct bw_error *err)
{
    const json_t *error = json_object_get(answer, "error");
    bw_error_set(err, bw_json_str(error, "code", "control.malformed"), "%s", bw_json_str(error, "message", "the engine's answer is none"));
    bw_error_hint(err, "%s", bw_json_str(error, "hint", ""));
}

bool bw_control_ask(const char *folder, const json_t *request, json_t **answer, struct bw_error *err)
{
    struct bw_buf line = {0};
    int fd = -1;
    bool good = false;
    *answer = NULL;
    if (!connect_to(folder, &fd, err)) goto out;
    bw_json_append(&line, request);
    bw_buf_append_char(&line, '\n');
    /* One that is too busy answers without having read: its answer counts, not our failure to send. */
    (void)send_all(fd, bw_buf_slice(&line));
    bw_buf_clear(&line);
    if (!receive_line(fd, &line, err) || !(*answer = bw_json_load(bw_buf_slice(&line), err))) goto out;
    good = bw_json_bool(*answer, "ok", false);
    if (good) goto out;
    take_error(*answer, err);
    json_decref(*answer);
    *answer = NULL;
out:
    if (fd >= 0) close(fd);
    bw_buf_free(&line);
    return good;
}
