#include "base/crash_point.h"

#ifdef BELLWIRE_TEST_HOOKS
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    char name[64]; /* empty = none */
    _Atomic long left;
} wanted;
static pthread_once_t is_read = PTHREAD_ONCE_INIT;

static void read_environment(void)
{
    const char *text = getenv("BELLWIRE_CRASH"), *colon = text ? strrchr(text, ':') : NULL;
    size_t len = colon ? (size_t)(colon - text) : 0;
    if (len == 0 || len >= sizeof wanted.name) return;
    memcpy(wanted.name, text, len);
    wanted.left = strtol(colon + 1, NULL, 10);
}

void bw_crash_point_hit(const char *name)
{
    pthread_once(&is_read, read_environment);
    if ((strcmp(name, wanted.name) == 0 || strcmp(wanted.name, "*") == 0) && wanted.name[0] && atomic_fetch_sub(&wanted.left, 1) == 1) _exit(137);
}

void bw_crash_step_hit(const char *path, const char *when)
{
    const char *text = getenv("BELLWIRE_CRASH_STEP");
    size_t len = strlen(path);
    if (text && !strncmp(text, path, len) && !strcmp(text + len, when)) raise(SIGKILL);
}
#endif
