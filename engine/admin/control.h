/* control.h: the engine's control socket: FOLDER/control.sock, for whoever owns the data folder (mode 0600), one JSON object a line each way.
 *
 * {"do": "runs.cancel", …} is answered by {"ok": true, …} or {"ok": false, "error": {code, message, hint?}}. A connection has one request at a time:
 * the next line is read when the last one is answered. Bounded: lines of at most 1 MiB, 16 connections, 10 s without a byte. Garbage is answered
 * with an error and ends its own connection, nothing else.
 * Main thread. An open request may outlive its connection and the control itself: it is freed by its answer, which every verb owes exactly once. */
#ifndef BW_ADMIN_CONTROL_H
#define BW_ADMIN_CONTROL_H
#include "base/json.h"
#include <event2/event.h>
#include <sys/types.h>

#define BW_CONTROL_LINE_MAX (1u << 20)
#define BW_CONTROL_CONNECTIONS_MAX 16
#define BW_CONTROL_IDLE_S 10

struct bw_control;
struct bw_control_request;
struct bw_control_verb {
    const char *name;
    void (*run)(void *arg, struct bw_control_request *request, const json_t *body); /* body: borrowed until it returns */
};
/* folder/control.sock. One that is there already is replaced: the lock of the store proves that its engine is gone. `verbs` is borrowed. */
struct bw_control *bw_control_new(struct event_base *base, const char *folder, const struct bw_control_verb *verbs, size_t count, void *arg,
                                  struct bw_error *err);
void bw_control_free(struct bw_control *control);
uid_t bw_control_peer(const struct bw_control_request *request);                          /* who asks: as the kernel says */
const char *bw_control_peer_name(const struct bw_control_request *request, char out[64]); /* its login name, or "uid 1000" */
/* Frees the request. `more`: what the answer says besides "ok" (an object, its reference is taken over), or NULL. */
void bw_control_answer(struct bw_control_request *request, json_t *more);
void bw_control_refuse(struct bw_control_request *request, const struct bw_error *err);
#endif
