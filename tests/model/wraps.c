/* What the linker puts in front of functions of the engine (--wrap, tests/CMakeLists.txt): to say when retention is at work, to have it work when the
 * plan wants it, and for steps that end their process. */
#include "base/clock.h"
#include "life.h"
#include "store/retention.h"
#include "wire/flight.h"
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <unistd.h>

#define POISON "poison" /* a step whose id begins so kills its worker whenever its code is entered */

/* A pass of retention that somebody waits for. One at a time: who comes meanwhile shares it. */
enum { NOBODY, WANTED, BEGUN };
enum { WAITERS_MOST = 16 };
static struct {
    pthread_mutex_t lock;
    int state;
    struct life *life;
    const json_t *acts[WAITERS_MOST];
    size_t count;
} pass = {.lock = PTHREAD_MUTEX_INITIALIZER};

void wraps_want_pass(struct life *life, const json_t *act)
{
    pthread_mutex_lock(&pass.lock);
    if (pass.count == WAITERS_MOST) _exit(70);
    pass.state = WANTED; /* one that has begun begins anew */
    pass.life = life;
    pass.acts[pass.count++] = act;
    pthread_mutex_unlock(&pass.lock);
}

static int take_state(int was, int becomes)
{
    pthread_mutex_lock(&pass.lock);
    int state = pass.state;
    if (state == was) pass.state = becomes;
    pthread_mutex_unlock(&pass.lock);
    return state;
}

static void end_pass(void)
{
    if (take_state(BEGUN, NOBODY) != BEGUN) return;
    pthread_mutex_lock(&pass.lock);
    while (pass.count) life_did(pass.life, pass.acts[--pass.count], NULL);
    pthread_mutex_unlock(&pass.lock);
}

int64_t __real_bw_retention_wait_us(const struct bw_retention *retention, bool is_idle);
int64_t __wrap_bw_retention_wait_us(const struct bw_retention *retention, bool is_idle);
int64_t __wrap_bw_retention_wait_us(const struct bw_retention *retention, bool is_idle)
{
    return take_state(NOBODY, NOBODY) != NOBODY ? 0 : __real_bw_retention_wait_us(retention, is_idle);
}

bool __real_bw_retention_slice(struct bw_retention *retention, struct bw_error *err);
bool __wrap_bw_retention_slice(struct bw_retention *retention, struct bw_error *err);
bool __wrap_bw_retention_slice(struct bw_retention *retention, struct bw_error *err)
{
    if (take_state(WANTED, BEGUN) == WANTED) retention->walk = NULL;
    if (!retention->walk) retention->began_us = -1; /* each pass is like the first one: all walks are due */
    bool good = __real_bw_retention_slice(retention, err);
    if (good && !retention->walk) end_pass();
    return good;
}

static void now_ms(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count, (void)values;
    sqlite3_result_int64(context, bw_clock_wall_ms());
}

static int on_open(sqlite3 *db, char **error, const struct sqlite3_api_routines *routines)
{
    (void)error, (void)routines;
    return sqlite3_create_function(db, "model_now_ms", 0, SQLITE_UTF8 | SQLITE_INNOCUOUS, NULL, now_ms, NULL, NULL);
}

void wraps_begin(void)
{
    pass.state = NOBODY;
    pass.count = 0;
    sqlite3_auto_extension((void (*)(void))on_open);
}

void __real_bw_flight_enter(struct bw_flight_page *page, int64_t job, struct bw_uid run, struct bw_slice path, uint32_t revision, int64_t deadline_us);
void __wrap_bw_flight_enter(struct bw_flight_page *page, int64_t job, struct bw_uid run, struct bw_slice path, uint32_t revision, int64_t deadline_us);
void __wrap_bw_flight_enter(struct bw_flight_page *page, int64_t job, struct bw_uid run, struct bw_slice path, uint32_t revision, int64_t deadline_us)
{
    __real_bw_flight_enter(page, job, run, path, revision, deadline_us);
    if (path.len < strlen(POISON) || memcmp(path.ptr, POISON, strlen(POISON)) != 0) return;
    char uid[BW_UID_TEXT];
    life_say(json_pack("{s:s,s:s,s:s%}", "say", "poisoned", "run", bw_uid_text(run, BW_UID_RUN, uid), "step", path.ptr, path.len));
    kill(getpid(), SIGKILL);
}
