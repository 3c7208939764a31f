/* asked.h: requests whose answer the main thread finds: links to approvals and to the state of a run. A loop keeps each of them until it is told, or
 * has to end; at most BW_ASKED_MAX at a time in the whole process, so that whoever has a link cannot keep the main thread from its work. */
#ifndef BW_INGEST_ASKED_H
#define BW_INGEST_ASKED_H
#include "ingest/loop.h"
#include "ingest/reply.h"

#define BW_ASKED_MAX 64

struct bw_asked_kind {
    /* The loop's thread. asked NULL: it was not told; the answer is to come again. */
    void (*answer)(struct bw_connection *connection, const struct bw_asked *asked, bool wants_json);
    void (*free)(struct bw_asked *asked);
};
struct bw_asked { /* the first member of what a kind keeps; zeroed, then filled to the blank line */
    const struct bw_asked_kind *kind;
    struct bw_connection *connection;
    bool wants_json;

    struct bw_loop_mail mail;
    _Atomic int state;
    struct bw_asked *previous, *next;
};
bool bw_asked_enter(struct bw_loop *loop);  /* false: too many ask, or the engine stops: 503 */
void bw_asked_leave(struct bw_loop *loop);  /* nobody is asked after all */
void bw_asked_wait(struct bw_asked *asked); /* in front of asking; from then on it is the list's */
void bw_asked_told(struct bw_asked *asked); /* main thread: what was asked for is there, or never will be */
void bw_asked_end_all(struct bw_loop *loop);
#endif
