#include "base/crash_point.h"

#ifdef BELLWIRE_TEST_HOOKS
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define VARIABLE "BELLWIRE_CRASH"
#define DEAD 137

const char *const bw_crash_point_names[BW_CRASH_POINT_COUNT] = {
#define X(name, text) [BW_CRASH_##name] = text,
    BW_CRASH_POINTS(X)
#undef X
};

enum { NONE = -2, ANY = -1 };
static struct {
    int point;
    _Atomic long left;
} wanted = {.point = NONE};
static pthread_once_t is_read = PTHREAD_ONCE_INIT;

static int find(const char *name, size_t len)
{
    if (len == 1 && *name == '*') return ANY;
    for (int i = 0; i < BW_CRASH_POINT_COUNT; i++)
        if (strlen(bw_crash_point_names[i]) == len && !memcmp(bw_crash_point_names[i], name, len)) return i;
    return NONE;
}

static void read_environment(void)
{
    const char *text = getenv(VARIABLE), *colon = text ? strrchr(text, ':') : NULL;
    if (!text || !*text) return;
    wanted.point = find(text, colon ? (size_t)(colon - text) : 0);
    wanted.left = colon ? strtol(colon + 1, NULL, 10) : 0;
    if (wanted.point != NONE && wanted.left > 0) return;
    fprintf(stderr, VARIABLE "=%s: no crash point and number of its hit; bellwire version --json lists the points\n", text);
    _exit(2);
}

void bw_crash_point_read(void)
{
    pthread_once(&is_read, read_environment);
}

bool bw_crash_point_is_armed(void)
{
    bw_crash_point_read();
    return wanted.point != NONE;
}

bool bw_crash_point_is_due(enum bw_crash_point point)
{
    bw_crash_point_read();
    return (wanted.point == (int)point || wanted.point == ANY) && atomic_fetch_sub(&wanted.left, 1) == 1;
}

void bw_crash_point_hit(enum bw_crash_point point)
{
    if (bw_crash_point_is_due(point)) _exit(DEAD);
}

bool bw_crash_point_is_of_worker(void)
{
    bw_crash_point_read();
    return wanted.point >= 0 && !strncmp(bw_crash_point_names[wanted.point], "worker.", 7) && getenv(VARIABLE);
}

void bw_crash_point_child_ended(int status)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == DEAD) unsetenv(VARIABLE);
}

void bw_crash_step_hit(const char *path, const char *when)
{
    const char *text = getenv("BELLWIRE_CRASH_STEP");
    size_t len = strlen(path);
    if (text && !strncmp(text, path, len) && !strcmp(text + len, when)) raise(SIGKILL);
}
#endif
