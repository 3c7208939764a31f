/* flight.h: the flight page, memory shared by the engine and one run worker, which survives the worker's death; in a file it survives the engine's,
 * too, but no power cut: nothing is ever synced.
 *
 * Before the worker enters user code (Lua, an expression, loading an action) it notes which run and step it is about to execute and until when it
 * must be back; afterwards it clears the note. The worker is single-threaded, so at any moment at most one step can be the cause of a crash or a
 * hang: the engine reads the note to name the culprit exactly and to kill a worker whose user code does not give way (a C function such as
 * string.find runs without instruction hooks). Written by the worker alone, read by the engine at any time: the sequence is odd while the note
 * changes. Notes do not nest: every enter has its leave before the next. */
#ifndef BW_WIRE_FLIGHT_H
#define BW_WIRE_FLIGHT_H
#include "base/error.h"
#include "base/id.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define BW_FLIGHT_PATH_MAX 1024             /* paths of files come back whole: the engine looks for the file that they name */
#define BW_FLIGHT_FORMAT 0x3174686c66776200 /* of this layout, which another one's pages do not have: change it with the layout */
struct bw_flight_page {
    uint64_t format;
    _Atomic int64_t deadline_us; /* bw_clock_mono_us(); 0 = no user code is running */
    _Atomic uint32_t sequence;
    uint32_t revision;
    struct bw_uid life;            /* random: a page is that of one worker, and that one dies once */
    struct bw_uid run;             /* zero while a file is loaded: then path is "file:PATH" and revision says in which catalogue */
    int64_t job;                   /* the number under which the worker has that run: BW_MSG_EVENT */
    char path[BW_FLIGHT_PATH_MAX]; /* step id, "trigger" (an `if` of a trigger), "outputs" (the workflow's), or "file:…" */
};
struct bw_flight_note {
    bool active;
    int64_t deadline_us;
    struct bw_uid life, run;
    int64_t job;
    char path[BW_FLIGHT_PATH_MAX];
    uint32_t revision;
};
/* Engine: 0 or -1 with errno; close fd after the child has it. file: a new one in place of what is there, all of it allocated, so that a full disk
 * is met here and not by the worker's writing; NULL: in memory alone. */
int bw_flight_create(const char *file, struct bw_flight_page **page, int *fd);
struct bw_flight_page *bw_flight_map(int fd); /* worker; NULL with errno. fd is closed */
void bw_flight_unmap(struct bw_flight_page *page);
void bw_flight_enter(struct bw_flight_page *page, int64_t job, struct bw_uid run, struct bw_slice path, uint32_t revision, int64_t deadline_us);
void bw_flight_leave(struct bw_flight_page *page);
/* Engine. A page that changes all the time is that of a worker which is well: it reads as not active. */
void bw_flight_read(const struct bw_flight_page *page, struct bw_flight_note *note);
/* What is left in the file of a worker whose engine has died. False with err: it is no such page, or one of another version. */
bool bw_flight_load(const char *file, struct bw_flight_note *note, struct bw_error *err);
#endif
