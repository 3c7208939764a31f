/* life.h: one life of an engine for the model tests, in parts: life.c has its time, acts.c what comes from outside, people.c what people do. */
#ifndef BW_MODEL_LIFE_H
#define BW_MODEL_LIFE_H
#include "base/json.h"
#include "dispatch/dispatch.h"
#include <event2/event.h>

struct life {
    const char *folder;
    json_t *plan;
    const json_t *acts;
    size_t next_act, jumps, traces, kill_at;
    int64_t now_ms, horizon_ms;
    struct event_base *base;
    struct bw_store *store;
    struct bw_dispatch *dispatch;
    struct bw_reader *reader; /* opened when it is needed first */
    atomic_uint open_acts;    /* begun and not done */
    uint32_t said_revision;
    bool has_begun;
    int status;
};

/* At once and in one piece: what was said before a crash stays said. Takes over the line. Any thread. */
void life_say(json_t *line);
/* That an act is done: it is not in the plan of the next life. Takes over `more`, what is to be said of it besides; may be NULL. Any thread. */
void life_did(struct life *life, const json_t *act, json_t *more);
struct bw_reader *life_reader(struct life *life);

void acts_begin(struct life *life, const json_t *act); /* life_did() follows, perhaps at once */
void people_vote(struct life *life, const json_t *act);
void people_write(struct life *life, const json_t *act); /* a letter: resume, replay, discard, resolve */
void people_cancel(struct life *life, const json_t *act);

void wraps_begin(void); /* before a store is opened: databases know model_now_ms(), for the triggers that keep what goes (seen.py) */
void wraps_want_pass(struct life *life, const json_t *act); /* of retention; life_did() follows when it is over */
#endif
