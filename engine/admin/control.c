#include "admin/control.h"
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct connection {
    TAILQ_ENTRY(connection) link;
    struct bw_control *control;
    struct bufferevent *stream;
    struct bw_control_request *open; /* the one that is not answered yet */
    uid_t peer;
    bool is_closing; /* when what is to be sent has been */
};
struct bw_control_request {
    struct connection *connection; /* NULL: nobody waits for the answer any more */
    uid_t peer;
};
struct bw_control {
    struct event_base *base;
    struct evconnlistener *listener;
    const struct bw_control_verb *verbs;
    size_t verb_count;
    void *arg;
    struct sockaddr_un address;
    TAILQ_HEAD(, connection) connections;
    size_t connection_count;
};

static void close_connection(struct connection *connection)
{
    struct bw_control *control = connection->control;
    if (connection->open) connection->open->connection = NULL;
    TAILQ_REMOVE(&control->connections, connection, link);
    control->connection_count--;
    bufferevent_free(connection->stream);
    free(connection);
}

/* ---- answers ---- */

static void send_line(struct connection *connection, const json_t *answer)
{
    struct bw_buf line = {0};
    bw_json_append(&line, answer);
    bw_buf_append_char(&line, '\n');
    if (line.failed || bufferevent_write(connection->stream, line.data, line.len)) connection->is_closing = true;
    bw_buf_free(&line);
}

static json_t *refusal(const struct bw_error *err)
{
    json_t *error = json_pack("{s:s,s:s}", "code", err->code, "message", err->message);
    if (*err->hint) json_object_set_new(error, "hint", json_string(err->hint));
    return json_pack("{s:b,s:o}", "ok", 0, "error", error);
}

/* Takes over the answer. Reading goes on from the loop, not from here: a peer that sends many lines gets no deeper stack. */
static void answer_with(struct bw_control_request *request, json_t *answer)
{
    struct connection *connection = request->connection;
    if (connection) {
        send_line(connection, answer);
        connection->open = NULL;
        bufferevent_enable(connection->stream, EV_READ);
        bufferevent_trigger(connection->stream, EV_READ, BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
    }
    json_decref(answer);
    free(request);
}

void bw_control_answer(struct bw_control_request *request, json_t *more)
{
    json_t *answer = json_pack("{s:b}", "ok", 1);
    if (more) json_object_update(answer, more);
    json_decref(more);
    answer_with(request, answer);
}

void bw_control_refuse(struct bw_control_request *request, const struct bw_error *err)
{
    answer_with(request, refusal(err));
}

uid_t bw_control_peer(const struct bw_control_request *request)
{
    return request->peer;
}

const char *bw_control_peer_name(const struct bw_control_request *request, char out[64])
{
    const struct passwd *entry = getpwuid(request->peer);
    if (entry)
        snprintf(out, 64, "%s", entry->pw_name);
    else
        snprintf(out, 64, "uid %ld", (long)request->peer);
    return out;
}

/* ---- requests ---- */

/* It does not speak our language: it is told so, and that was all. */
static void give_up(struct connection *connection, const struct bw_error *err)
{
    json_t *answer = refusal(err);
    bufferevent_disable(connection->stream, EV_READ);
    connection->is_closing = true;
    send_line(connection, answer);
    json_decref(answer);
}

static void run_verb(struct connection *connection, const json_t *body)
{
    const struct bw_control *control = connection->control;
    const char *name = bw_json_str(body, "do", "");
    struct bw_control_request *request = malloc(sizeof *request);
    struct bw_error err;
    if (!request) {
        bw_error_set(&err, "memory", "out of memory");
        give_up(connection, &err);
        return;
    }
    *request = (struct bw_control_request){connection, connection->peer};
    connection->open = request;
    bufferevent_disable(connection->stream, EV_READ);
    for (size_t i = 0; i < control->verb_count; i++) {
        if (strcmp(control->verbs[i].name, name) != 0) continue;
        control->verbs[i].run(control->arg, request, body);
        return;
    }
    bw_error_set(&err, "control.unknown", "'%s' is nothing that this engine does", name);
    bw_error_hint(&err, "is the engine that serves older than the command? see: bellwire version");
    bw_control_refuse(request, &err);
}

static void take_line(struct connection *connection, struct bw_slice line)
{
    struct bw_error err;
    json_t *body = bw_json_load(line, &err);
    if (json_is_object(body)) {
        run_verb(connection, body);
    } else {
        bw_error_set(&err, "control.malformed", "a request is one JSON object on one line");
        bw_error_hint(&err, "for example {\"do\":\"runs.cancel\",\"run\":\"run_…\"}");
        give_up(connection, &err);
    }
    json_decref(body);
}

static void on_read(struct bufferevent *stream, void *arg)
{
    struct connection *connection = arg;
    struct evbuffer *input = bufferevent_get_input(stream);
    struct bw_error err;
    size_t len = 0;
    if (connection->open || connection->is_closing) return;
    char *line = evbuffer_readln(input, &len, EVBUFFER_EOL_LF);
    if (line && len <= BW_CONTROL_LINE_MAX) {
        take_line(connection, (struct bw_slice){line, len});
    } else if (line || evbuffer_get_length(input) > BW_CONTROL_LINE_MAX) {
        bw_error_set(&err, "control.too_long", "a request has at most %u bytes", BW_CONTROL_LINE_MAX);
        give_up(connection, &err);
    }
    free(line);
}

static void on_written(struct bufferevent *stream, void *arg)
{
    struct connection *connection = arg;
    (void)stream;
    if (connection->is_closing) close_connection(connection);
}

static void on_end(struct bufferevent *stream, short what, void *arg)
{
    (void)stream, (void)what; /* closed, broken, or idle for too long */
    close_connection(arg);
}

/* ---- connections ---- */

static void refuse_connection(int fd)
{
    static const char busy[] = "{\"ok\":false,\"error\":{\"code\":\"control.busy\",\"message\":\"too many connections to the control socket\","
                               "\"hint\":\"try again when the other commands have ended\"}}\n";
    (void)!send(fd, busy, sizeof busy - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    close(fd);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int len, void *arg)
{
    static const struct timeval idle = {.tv_sec = BW_CONTROL_IDLE_S};
    struct bw_control *control = arg;
    struct connection *connection;
    struct ucred peer = {.uid = (uid_t)-1};
    (void)listener, (void)address, (void)len;
    if (control->connection_count >= BW_CONTROL_CONNECTIONS_MAX || !(connection = calloc(1, sizeof *connection))) {
        refuse_connection(fd);
        return;
    }
    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &(socklen_t){sizeof peer});
    connection->control = control;
    connection->peer = peer.uid;
    if (!(connection->stream = bufferevent_socket_new(control->base, fd, BEV_OPT_CLOSE_ON_FREE))) {
        free(connection);
        refuse_connection(fd);
        return;
    }
    TAILQ_INSERT_TAIL(&control->connections, connection, link);
    control->connection_count++;
    bufferevent_setcb(connection->stream, on_read, on_written, on_end, connection);
    bufferevent_setwatermark(connection->stream, EV_READ, 0, BW_CONTROL_LINE_MAX + 2);
    bufferevent_set_timeouts(connection->stream, &idle, &idle);
    bufferevent_enable(connection->stream, EV_READ | EV_WRITE);
}

/* ---- life ---- */

static bool fail(struct bw_error *err, const struct bw_control *control, const char *what)
{
    return bw_error_set(err, "control.socket", "cannot %s %s: %s", what, control->address.sun_path, strerror(errno));
}

static bool listen_at(struct bw_control *control, const char *folder, struct bw_error *err)
{
    const unsigned flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC;
    size_t room = sizeof control->address.sun_path;
    control->address.sun_family = AF_UNIX;
    if ((size_t)snprintf(control->address.sun_path, room, "%s/control.sock", folder) >= room) {
        bw_error_set(err, "control.path_too_long", "the path of the data folder is too long for a socket in it: %s", folder);
        bw_error_hint(err, "with a shorter one (data: in bellwire.yaml) commands could reach the engine");
        *control->address.sun_path = '\0';
        return false;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return fail(err, control, "make");
    unlink(control->address.sun_path);
    bool good = !bind(fd, (struct sockaddr *)&control->address, sizeof control->address) || fail(err, control, "bind");
    /* Before it listens: nobody else can have connected. */
    good = good && (!chmod(control->address.sun_path, 0600) || fail(err, control, "protect"));
    good = good && (!listen(fd, BW_CONTROL_CONNECTIONS_MAX) || fail(err, control, "listen on"));
    good = good && ((control->listener = evconnlistener_new(control->base, on_accept, control, flags, 0, fd)) != NULL || fail(err, control, "watch"));
    if (!good) close(fd);
    return good;
}

struct bw_control *bw_control_new(struct event_base *base, const char *folder, const struct bw_control_verb *verbs, size_t count, void *arg,
                                  struct bw_error *err)
{
    struct bw_control *control = calloc(1, sizeof *control);
    bw_error_set(err, "memory", "out of memory");
    if (!control) return NULL;
    control->base = base;
    control->verbs = verbs;
    control->verb_count = count;
    control->arg = arg;
    TAILQ_INIT(&control->connections);
    if (listen_at(control, folder, err)) return control;
    bw_control_free(control);
    return NULL;
}

void bw_control_free(struct bw_control *control)
{
    if (!control) return;
    while (!TAILQ_EMPTY(&control->connections)) close_connection(TAILQ_FIRST(&control->connections));
    if (control->listener) {
        evconnlistener_free(control->listener);
        unlink(control->address.sun_path);
    }
    free(control);
}
