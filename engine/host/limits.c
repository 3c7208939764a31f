/* How much of the machine one plugin may use. The bounds are hard ones: the plugin cannot raise them again. Those of memory and files are soft ones
 * where it may start programs: these have limits of their own, and could be started in any number anyway.
 *
 * RLIMIT_NPROC is not among them: it counts all that the user runs anywhere, and nothing at all for root. */
#include "host/internal.h"
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define DATA_BYTES ((rlim_t)1 << 30)          /* heap, stacks of threads, other private memory that it may write */
#define ADDRESS_SPACE_BYTES ((rlim_t)8 << 30) /* with libraries, files and shared memory that is mapped */
#define FILE_BYTES ((rlim_t)1 << 30)
#define FILES 16384
#define THREAD_STACK_BYTES ((size_t)1 << 20)
#define MALLOC_ARENAS 4       /* each reserves 64 MiB of addresses; the default is eight a core */
#define OOM_SCORE_ADJ "500\n" /* when memory runs out, a plugin goes before the engine */

static void lower(int resource, rlim_t most, bool may_be_raised)
{
    struct rlimit limit;
    if (getrlimit((__rlimit_resource_t)resource, &limit)) return;
    if (most > limit.rlim_max) most = limit.rlim_max;
    limit.rlim_cur = most;
    if (!may_be_raised) limit.rlim_max = most;
    setrlimit((__rlimit_resource_t)resource, &limit);
}

/* Pages that this process has already: under a sanitizer they are terabytes of addresses, of which next to nothing is used. */
static bool read_pages(rlim_t *all, rlim_t *data)
{
    unsigned long long size, resident, shared, text, lib, data_and_stack;
    char line[256] = "";
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, line, sizeof line - 1);
    if (fd >= 0) close(fd);
    if (len <= 0 || sscanf(line, "%llu %llu %llu %llu %llu %llu", &size, &resident, &shared, &text, &lib, &data_and_stack) != 6) return false;
    *all = (rlim_t)size;
    *data = (rlim_t)data_and_stack;
    return true;
}

static void yield_to_the_engine(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0) return;
    ssize_t ignored = write(fd, OOM_SCORE_ADJ, strlen(OOM_SCORE_ADJ));
    (void)ignored;
    close(fd);
}

void bw_host_limit_size(bool may_be_raised)
{
    rlim_t all, data, page = (rlim_t)sysconf(_SC_PAGESIZE);
    lower(RLIMIT_FSIZE, FILE_BYTES, may_be_raised);
    if (!read_pages(&all, &data)) return;
    lower(RLIMIT_AS, all * page + ADDRESS_SPACE_BYTES, may_be_raised);
    lower(RLIMIT_DATA, data * page + DATA_BYTES, may_be_raised);
}

void bw_host_limit(void)
{
    pthread_attr_t attributes;

    lower(RLIMIT_CORE, 0, false);
    lower(RLIMIT_MSGQUEUE, 0, false);
    lower(RLIMIT_NOFILE, FILES, false);
    signal(SIGXFSZ, SIG_IGN); /* write() says EFBIG then, which a plugin may handle */
    mallopt(M_ARENA_MAX, MALLOC_ARENAS);
    /* The stack of a thread counts as data from its first byte to its last: with the 8 MiB that are the default, 128 threads were all there could be.
     */
    if (!pthread_attr_init(&attributes)) {
        pthread_attr_setstacksize(&attributes, THREAD_STACK_BYTES);
        pthread_setattr_default_np(&attributes);
        pthread_attr_destroy(&attributes);
    }
    yield_to_the_engine();
}
