/* process_start.h: one start of a child process, at once or beside this thread. For process.c.
 *
 * Whoever starts a process stands still until the new one has got the processor and executed its program: on a busy machine that is several
 * milliseconds, in which the main thread of an engine would serve nobody. So there is one thread that starts processes, made when it is first needed.
 * It lives as long as this process, as a child with PR_SET_PDEATHSIG ends with the thread that has started it. */
#ifndef BW_DISPATCH_PROCESS_START_H
#define BW_DISPATCH_PROCESS_START_H
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define BW_START_FDS_MAX 8
struct bw_start {
    const char *role; /* lives as long as this */
    int fds[BW_START_FDS_MAX];
    size_t fd_count;
    /* what came of it */
    pid_t pid;         /* 0: nothing */
    int pidfd;         /* -1: nothing */
    int failure;       /* an errno; 0: there is a process */
    int image_failure; /* executing the program of hosts gave that errno, and this binary was taken: bw_host_program_refused() */
    /* between the threads */
    struct bw_start *next;
    char **environment;
    int image, done_fd;
    bool is_done;
};
/* Main thread. fds are closed in this process whatever happens. NULL: no memory, or too many of them. */
struct bw_start *bw_start_new(const char *role, const int *fds, size_t fd_count);
void bw_start_now(struct bw_start *start);
/* A descriptor that can be read when it is done, and is closed by bw_start_free(); -1: there is no thread or descriptor for it, and nothing was
 * begun. */
int bw_start_beside(struct bw_start *start);
void bw_start_wait(struct bw_start *start); /* until it is done; once it is, its process is the caller's to reap and its pidfd to close */
void bw_start_free(struct bw_start *start); /* one that is done, or was never begun */
#endif
