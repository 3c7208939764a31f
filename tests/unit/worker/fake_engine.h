/* fake_engine.h: the engine's side of the wire for tests of the run worker: a child process that is bw_worker_main(), its flight page, and the
 * messages in plain blocking calls. Whatever a worker should answer with and does not within 20 s fails the test. */
#ifndef FAKE_ENGINE_H
#define FAKE_ENGINE_H
#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "wire/flight.h"
#include "wire/frame.h"
#include "wire/messages.h"
#include "wire/pass.h"
#include "worker/worker.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 20000

struct answer { /* a message of the worker; engine_free() or the next engine_next() ends it */
    int type;
    json_t *head;
    size_t part_count;
    struct bw_slice parts[64];
};
struct engine {
    pid_t worker;
    int fd, lines; /* lines: passes it descriptors (wire/pass.h) */
    struct bw_flight_page *flight;
    struct bw_buf in;
    size_t taken; /* bytes of `in` that the last answer used */
    struct answer answer;
    unsigned logs; /* BW_MSG_LOG messages seen on the way */
    json_t *last_log;
};

static inline void engine_send(struct engine *engine, uint16_t type, const struct bw_slice *parts, size_t part_count, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
static inline void engine_send(struct engine *engine, uint16_t type, const struct bw_slice *parts, size_t part_count, const char *format, ...)
{
    struct bw_buf frame = {0};
    char *head = NULL;
    va_list args;
    va_start(args, format);
    int len = vasprintf(&head, format, args);
    va_end(args);
    assert_true(len > 0);
    bw_frame_encode(&frame, type, (struct bw_slice){head, (size_t)len}, parts, part_count);
    assert_false(frame.failed);
    for (size_t at = 0; at < frame.len;) {
        ssize_t wrote = write(engine->fd, frame.data + at, frame.len - at);
        assert_true(wrote > 0);
        at += (size_t)wrote;
    }
    bw_buf_free(&frame);
    free(head);
}

/* Reads what is there, waiting at most this long for the first byte. False: nothing came. */
static inline bool engine_fill(struct engine *engine, int wait_ms)
{
    struct pollfd ready = {.fd = engine->fd, .events = POLLIN};
    if (poll(&ready, 1, wait_ms) <= 0) return false;
    assert_true(bw_buf_reserve(&engine->in, 1 << 18));
    ssize_t got = read(engine->fd, engine->in.data + engine->in.len, 1 << 18);
    if (got <= 0) fail_msg("the worker is gone");
    engine->in.len += (size_t)got;
    return true;
}

static inline const struct answer *engine_poll(struct engine *engine, int wait_ms)
{
    static struct bw_frame frame;
    struct bw_error err;
    for (;;) {
        if (engine->taken) memmove(engine->in.data, engine->in.data + engine->taken, engine->in.len - engine->taken);
        engine->in.len -= engine->taken;
        engine->taken = 0;
        int64_t whole = engine->in.len ? bw_frame_decode(bw_buf_slice(&engine->in), BW_FRAME_BYTES_MAX, &frame, &err) : 0;
        if (whole < 0) fail_msg("%s", err.message);
        if (!whole) {
            if (!engine_fill(engine, wait_ms)) return NULL;
            continue;
        }
        engine->taken = (size_t)whole;
        json_t *head = bw_json_load(frame.head, &err);
        if (!head) fail_msg("head of message %d: %s", frame.type, err.message);
        if (frame.type == BW_MSG_LOG) {
            json_decref(engine->last_log);
            engine->last_log = head;
            engine->logs++;
            continue;
        }
        if (frame.type == BW_MSG_CALL) { /* what is said for the plugin is looked at as if it were in the head */
            assert_int_equal(bw_json_int(head, "about_part", -1), frame.part_count - 1);
            json_t *about = bw_json_load(frame.parts[--frame.part_count], &err);
            assert_true(json_is_object(about));
            assert_int_equal(json_object_update_missing(head, about), 0);
            json_decref(about);
        }
        json_decref(engine->answer.head);
        engine->answer = (struct answer){.type = frame.type, .head = head, .part_count = frame.part_count};
        assert_true(frame.part_count <= 64);
        memcpy(engine->answer.parts, frame.parts, frame.part_count * sizeof *frame.parts);
        return &engine->answer;
    }
}

/* The next message, which must be of this type. */
static inline const struct answer *engine_next(struct engine *engine, int type)
{
    const struct answer *answer = engine_poll(engine, PATIENCE_MS);
    if (!answer) fail_msg("no message of type %d came", type);
    if (answer->type != type) {
        char *text = json_dumps(answer->head, JSON_COMPACT);
        print_error("%s\n", text);
        free(text);
        fail_msg("message %d instead of %d", answer->type, type);
    }
    return answer;
}

/* more: further fields of the head, each preceded by a comma, or "". */
static inline void engine_start_with(struct engine *engine, const char *more)
{
    int pair[2], lines[2], flight;
    *engine = (struct engine){0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_true(bw_pass_pair(lines));
    assert_int_equal(bw_flight_create(NULL, &engine->flight, &flight), 0);
    fflush(NULL);
    engine->worker = fork();
    assert_true(engine->worker >= 0);
    if (!engine->worker) {
        int channel = fcntl(pair[1], F_DUPFD, 64), page = fcntl(flight, F_DUPFD, 64), passed = fcntl(lines[1], F_DUPFD, 64);
        dup2(channel, 3);
        dup2(page, 4);
        dup2(passed, 5);
        close_range(6, ~0u, 0);
        _exit(bw_worker_main());
    }
    close(pair[1]);
    close(lines[1]);
    close(flight);
    engine->fd = pair[0];
    engine->lines = lines[0];
    engine_send(engine, BW_MSG_CONFIGURE, NULL, 0,
                "{\"worker\":1,\"lua_memory_bytes\":33554432,\"stall_ms\":2000,\"max_output_bytes\":1048576,\"secrets\":{\"KEY\":\"s3cr3t-value-1\","
                "\"PIN\":\"1234567890\"}%s}",
                more);
    assert_int_equal(json_integer_value(json_object_get(engine_next(engine, BW_MSG_READY)->head, "pid")), engine->worker);
}
static inline void engine_start(struct engine *engine)
{
    engine_start_with(engine, "");
}

static inline void engine_release(struct engine *engine)
{
    if (engine->fd >= 0) close(engine->fd);
    close(engine->lines);
    json_decref(engine->answer.head);
    json_decref(engine->last_log);
    bw_buf_free(&engine->in);
    bw_flight_unmap(engine->flight);
}

/* The engine goes away: the worker ends at once, by itself and in good order. */
static inline void engine_stop(struct engine *engine)
{
    int status = 0;
    close(engine->fd);
    engine->fd = -1;
    assert_int_equal(waitpid(engine->worker, &status, 0), engine->worker);
    if (!WIFEXITED(status) || WEXITSTATUS(status)) fail_msg("the worker ended with wait status %d", status);
    engine_release(engine);
}

/* Kinds and texts in turn, ended by NULL: "workflow", text, "action", text, … The files are called f0, f1, …; returns the answer's head. */
static inline const json_t *engine_load_revision(struct engine *engine, unsigned revision, const char *kind, va_list args)
{
    struct bw_slice parts[32];
    struct bw_buf files = {0};
    size_t count = 0;
    for (; kind; kind = va_arg(args, const char *)) {
        assert_true(count < 32);
        bw_buf_printf(&files, "%s{\"kind\":\"%s\",\"path\":\"f%zu\",\"part\":%zu}", count ? "," : "", kind, count, count);
        parts[count++] = bw_slice_of(va_arg(args, const char *));
    }
    engine_send(engine, BW_MSG_CATALOG, parts, count, "{\"revision\":%u,\"files\":[%s]}", revision, count ? files.data : "");
    bw_buf_free(&files);
    const json_t *head = engine_next(engine, BW_MSG_CATALOG_LOADED)->head;
    assert_int_equal(json_integer_value(json_object_get(head, "revision")), revision);
    return head;
}
static inline const json_t *engine_load(struct engine *engine, const char *kind, ...)
{
    va_list args;
    va_start(args, kind);
    const json_t *head = engine_load_revision(engine, 1, kind, args);
    va_end(args);
    return head;
}
/* The same, and nothing may be wrong with the files. */
static inline void engine_load_good(struct engine *engine, const char *kind, ...)
{
    va_list args;
    va_start(args, kind);
    const json_t *errors = json_object_get(engine_load_revision(engine, 1, kind, args), "errors");
    va_end(args);
    if (!json_array_size(errors)) return;
    char *text = json_dumps(errors, JSON_COMPACT);
    print_error("%s\n", text);
    free(text);
    fail_msg("the files have errors");
}

static const struct bw_uid event_uid = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

static inline const char *run_of(const char *workflow)
{
    static char text[BW_UID_TEXT];
    return bw_uid_text(bw_uid_of_run(event_uid, bw_slice_of(workflow)), BW_UID_RUN, text);
}

/* Event 7, "app.ping". more: further fields of the head, each preceded by a comma, or ""; parts: those that it refers to, from 2 on. */
static inline void engine_event_with(struct engine *engine, const char *body, const char *more, const struct bw_slice *parts, size_t part_count)
{
    struct bw_slice all[16] = {bw_slice_of(body), BW_SLICE("{\"x-kind\":\"ping\"}")};
    char uid[BW_UID_TEXT];
    assert_true(part_count <= 14);
    for (size_t i = 0; i < part_count; i++) all[2 + i] = parts[i];
    engine_send(engine, BW_MSG_EVENT, all, 2 + part_count,
                "{\"job\":70,\"event\":7,\"uid\":\"%s\",\"revision\":1,\"name\":\"app.ping\",\"source\":\"app\",\"at_ms\":1700000000000,\"trusted\":"
                "true,\"body_"
                "part\":0,\"headers_part\":1%s}",
                bw_uid_text(event_uid, BW_UID_EVENT, uid), more);
}
static inline void engine_event(struct engine *engine, const char *body)
{
    engine_event_with(engine, body, "", NULL, 0);
}
static inline void engine_commit(struct engine *engine, int64_t report)
{
    engine_send(engine, BW_MSG_COMMITTED, NULL, 0, "{\"report\":%lld}", (long long)report);
}

/* ---- looking at reports ---- */

static inline int64_t number(const json_t *object, const char *key)
{
    return bw_json_int(object, key, -1);
}
static inline const char *text(const json_t *object, const char *key)
{
    return bw_json_str(object, key, "");
}
static inline const json_t *run_at(const struct answer *report, size_t index)
{
    return json_array_get(json_object_get(report->head, "runs"), index);
}
static inline const json_t *step_at(const json_t *run, size_t index)
{
    return json_array_get(json_object_get(run, "steps"), index);
}
static inline size_t step_count(const json_t *run)
{
    return json_array_size(json_object_get(run, "steps"));
}
/* The output of a run or a step, as text ("" without one). */
static inline const char *output(const struct answer *report, const json_t *object)
{
    static char kept[4][4096];
    static unsigned next;
    int64_t part = number(object, "output_part");
    char *out = kept[next++ % 4];
    if (part < 0) return "";
    assert_true((size_t)part < report->part_count);
    snprintf(out, sizeof kept[0], "%.*s", (int)report->parts[part].len, report->parts[part].ptr);
    return out;
}
static inline const char *code_of(const json_t *object)
{
    return text(json_object_get(object, "error"), "code");
}

enum { ACTIVE = 2, RETRYING = 2 /* of a step */, PARKED = 3, SUCCEEDED = 20, FAILED = 21, CANCELLED = 22, SKIPPED = 23 };
/* The next message is the only report of one run of one event. */
static inline const json_t *only_run(struct engine *engine, int state)
{
    const struct answer *report = engine_next(engine, BW_MSG_REPORT);
    const json_t *run = run_at(report, 0);
    assert_true(json_is_true(json_object_get(report->head, "done")));
    assert_int_equal(json_array_size(json_object_get(report->head, "runs")), 1);
    if (number(run, "state") != state) {
        char *dump = json_dumps(run, JSON_COMPACT);
        print_error("%s\n", dump);
        free(dump);
        fail_msg("the run ended in state %d, expected %d", (int)number(run, "state"), state);
    }
    return run;
}
#endif
