/* fixture.h: a listener on a free loopback port with a store in memory and sources whose verdict the request itself names (X-Verdict), and a client
 * that speaks raw bytes. The sources' functions are defined here, so nothing of the source room is linked. Included once per test. */
#ifndef BW_TEST_INGEST_FIXTURE_H
#define BW_TEST_INGEST_FIXTURE_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"
#include "ingest/ingest.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

struct bw_source {
    struct bw_source_config config;
};

const char *bw_source_challenge(const struct bw_source *source)
{
    (void)source;
    return NULL;
}

const struct bw_source_config *bw_source_settings(const struct bw_source *source)
{
    return &source->config;
}

const struct bw_header *bw_request_header(const struct bw_request *request, const char *name, size_t *occurrences)
{
    const struct bw_header *first = NULL;
    size_t count = 0;
    for (size_t i = 0; i < request->header_count; i++) {
        if (!bw_slice_is_nocase(request->headers[i].name, name)) continue;
        if (!count++) first = &request->headers[i];
    }
    if (occurrences) *occurrences = count;
    return first;
}

static struct bw_slice header_value(const struct bw_request *request, const char *name, const char *otherwise)
{
    const struct bw_header *header = bw_request_header(request, name, NULL);
    return header ? header->value : bw_slice_of(otherwise);
}

void bw_source_judge(const struct bw_source *source, const struct bw_request *request, struct bw_buf *scratch, struct bw_judgement *out)
{
    struct bw_slice verdict = header_value(request, "X-Verdict", "verified");
    (void)source;
    bw_buf_clear(scratch);
    *out = (struct bw_judgement){.verdict = BW_VERIFIED,
                                 .event_trusted = true,
                                 .data = request->body,
                                 .delivery_id = header_value(request, "X-Id", ""),
                                 .event = header_value(request, "X-Event", "push")};
    if (bw_slice_is(verdict, "refused")) {
        out->verdict = BW_REFUSED;
        out->reason = "bad signature";
    } else if (bw_slice_is(verdict, "malformed")) {
        out->verdict = BW_MALFORMED;
        out->fault = (struct bw_json_fault){.reason = "expected ',' or '}'", .offset = 12, .line = 3, .column = 7};
    } else if (bw_slice_is(verdict, "batch")) {
        out->items = request->body;
    } else if (bw_slice_is(verdict, "handshake")) {
        bw_buf_append_slice(scratch, request->query);
        out->verdict = BW_HANDSHAKE;
        out->answer_status = 200;
        out->answer_type = "text/plain";
        out->answer_body = bw_buf_slice(scratch);
    }
}

const struct bw_acknowledge *bw_source_acknowledge(const struct bw_source *source)
{
    return &source->config.acknowledge;
}

const struct bw_accepts *bw_source_accepts(const struct bw_source *source)
{
    return &source->config.accepts;
}

struct bw_slice bw_request_type(const struct bw_request *request)
{
    return header_value(request, "Content-Type", "");
}

bool bw_request_is_json(const struct bw_request *request)
{
    return bw_slice_is(header_value(request, "Content-Type", ""), "application/json");
}

bool bw_source_item(const struct bw_source *source, const struct bw_request *request, struct bw_slice item, struct bw_buf *scratch,
                    struct bw_item *out)
{
    (void)source, (void)request, (void)scratch;
    *out = (struct bw_item){.data = item, .delivery_id = item, .event = BW_SLICE("push"), .event_trusted = true};
    return *item.ptr == '{';
}

#define COMMITTED_MAX 64
struct server {
    struct bw_config config;
    struct bw_listen listen[1];
    struct bw_source sources[2];
    const struct bw_source *source_list[2];
    struct bw_ingest_options options;
    struct bw_store *store;
    struct bw_ingest *ingest;
    uint16_t port;
    struct bw_accepted *committed[COMMITTED_MAX]; /* the writer thread's until `news` is posted */
    size_t committed_count;
    sem_t news;
};

static void bind_seventh(void *arg, struct bw_slice event_name, struct bw_slice body, struct bw_binding *out)
{
    (void)arg, (void)event_name, (void)body;
    *out = (struct bw_binding){.revision = 7, .is_awaited = true};
}

static void on_committed(void *arg, struct bw_accepted *accepted)
{
    struct server *server = arg;
    if (server->committed_count < COMMITTED_MAX)
        server->committed[server->committed_count++] = accepted;
    else
        bw_accepted_unref(accepted);
    sem_post(&server->news);
}

static struct server *server_new(void)
{
    struct server *server = calloc(1, sizeof *server);
    assert_non_null(server);
    bw_log_setup(BW_LOG_OFF, BW_LOG_JSON, "test");
    server->listen[0] = (struct bw_listen){.host = (char *)"127.0.0.1"};
    server->config = (struct bw_config){.listen = server->listen,
                                        .listen_count = 1,
                                        .ingest_threads = 1,
                                        .max_body_bytes = 1000,
                                        .max_connections = 100,
                                        .max_connections_per_address = 100,
                                        .body_rate = 1024,
                                        .request_deadline_ms = 20000,
                                        .idle_ms = 20000};
    server->sources[0].config = (struct bw_source_config){.name = (char *)"alpha", .path = (char *)"/in/alpha", .dedupe_window_ms = 60000};
    server->sources[1].config = (struct bw_source_config){.name = (char *)"beta", .path = (char *)"/in/beta", .max_body_bytes = 300000};
    server->source_list[0] = &server->sources[0];
    server->source_list[1] = &server->sources[1];
    server->options = (struct bw_ingest_options){.config = &server->config, .arg = server, .bind = bind_seventh, .committed = on_committed};
    assert_int_equal(sem_init(&server->news, 0, 0), 0);
    return server;
}

/* The listener takes a reference over each time. */
static struct bw_ingest *listen_to_sources(struct server *server, struct bw_error *err)
{
    server->options.router = bw_router_new(server->source_list, 2, NULL, NULL, NULL, err);
    assert_non_null(server->options.router);
    return bw_ingest_start(&server->options, err);
}

static void server_start(struct server *server)
{
    struct bw_error err = {0};
    server->options.store = server->store = bw_store_open(NULL, &err);
    if (!server->store) fail_msg("%s", err.message);
    server->ingest = listen_to_sources(server, &err);
    if (!server->ingest) fail_msg("%s", err.message);
    server->port = bw_ingest_port(server->ingest, 0);
}

static void server_end(struct server *server)
{
    if (server->ingest) bw_ingest_stop(server->ingest);
    if (server->store) bw_store_close(server->store);
    for (size_t i = 0; i < server->committed_count; i++) bw_accepted_unref(server->committed[i]);
    sem_destroy(&server->news);
    free(server);
}

/* Holds the writer thread until it is let go, so that what is submitted meanwhile is parked. */
struct hold {
    struct bw_store_op op;
    sem_t holds, go, over;
};

static bool wait_for_go(struct bw_store_op *op)
{
    struct hold *hold = op->owner;
    sem_post(&hold->holds);
    sem_wait(&hold->go);
    return true;
}

static void hold_is_over(struct bw_store_op *op)
{
    sem_post(&((struct hold *)op->owner)->over);
}

__attribute__((unused)) static void hold_writer(struct server *server, struct hold *hold)
{
    hold->op = (struct bw_store_op){.kind = BW_OP_CALL, .call = wait_for_go, .done = hold_is_over, .owner = hold};
    sem_init(&hold->holds, 0, 0);
    sem_init(&hold->go, 0, 0);
    sem_init(&hold->over, 0, 0);
    bw_store_submit(server->store, &hold->op);
    sem_wait(&hold->holds);
}

__attribute__((unused)) static void let_writer_go(struct hold *hold)
{
    sem_post(&hold->go);
    sem_wait(&hold->over);
}

/* ---- client ---- */

static int make_socket(void)
{
    const struct timeval patience = {.tv_sec = 30}; /* only so that a broken listener fails the test instead of hanging it */
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    return fd;
}

static void join(const struct server *server, int fd)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(server->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (connect(fd, (struct sockaddr *)&at, sizeof at)) fail_msg("connect: %s", strerror(errno));
}

static int dial(const struct server *server)
{
    int fd = make_socket();
    join(server, fd);
    return fd;
}

__attribute__((unused)) static void say_bytes(int fd, const char *bytes, size_t len)
{
    while (len) {
        ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);
        if (sent <= 0) fail_msg("send: %s", strerror(errno));
        bytes += sent;
        len -= (size_t)sent;
    }
}

__attribute__((unused)) static void say(int fd, const char *text)
{
    say_bytes(fd, text, strlen(text));
}

struct response {
    char text[4096]; /* head and body */
    int status;
    const char *body;
    bool closes;
};

/* One whole response; status 0 when the connection ends first. */
__attribute__((unused)) static struct response hear(int fd)
{
    struct response response = {0};
    size_t len = 0, want = 0;
    while (!want || len < want) {
        /* Byte by byte: what follows belongs to the next response. */
        ssize_t got = recv(fd, response.text + len, 1, 0);
        if (got < 0 && errno == EAGAIN) fail_msg("no answer in time");
        if (got <= 0) return (struct response){0};
        len += (size_t)got;
        assert_true(len < sizeof response.text);
        if (want || len < 4 || memcmp(response.text + len - 4, "\r\n\r\n", 4) != 0) continue;
        const char *length = strcasestr(response.text, "\r\nContent-Length:");
        want = len + (length ? strtoul(length + 17, NULL, 10) : 0);
        response.body = NULL;
        response.closes = strcasestr(response.text, "\r\nConnection: close") != NULL;
    }
    response.status = atoi(response.text + 9);
    return response;
}

__attribute__((unused)) static const char *body_of(const struct response *response)
{
    const char *end = strstr(response->text, "\r\n\r\n");
    return end ? end + 4 : "";
}

__attribute__((unused)) static bool is_closed(int fd)
{
    char byte;
    ssize_t got = recv(fd, &byte, 1, 0);
    if (got < 0 && errno == EAGAIN) fail_msg("the connection stays open");
    return got == 0 || (got < 0 && errno == ECONNRESET);
}

__attribute__((unused)) static struct response ask(const struct server *server, const char *text)
{
    int fd = dial(server);
    say(fd, text);
    struct response response = hear(fd);
    close(fd);
    return response;
}

#define HOST "Host: x\r\n"
#define POST(headers, body_len, body) "POST /in/alpha HTTP/1.1\r\n" HOST headers "Content-Length: " #body_len "\r\n\r\n" body
#endif
