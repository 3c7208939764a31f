/* process.h: child processes of the engine: this same binary in another role (a plugin host: a part of it, host_program.h), with its ends of the
 * socketpairs.
 *
 * A child gets exactly the descriptors it is given (as 3, 4, …), standard error, and a filtered environment: the engine's environment holds secrets
 * that user code must not see. It leads a process group, and whatever it starts ends with it. Owned by the main thread's loop, which learns of the
 * child's end through a pidfd. */
#ifndef BW_DISPATCH_PROCESS_H
#define BW_DISPATCH_PROCESS_H
#include "base/error.h"
#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct bw_process;
#define BW_PROCESS_NOT_STARTED (-1) /* as wait_status: there never was a process, and how is the reason */
/* how: "exit 0", "signal 9 (Killed)". The process object is still valid; free it from here or later. */
typedef void bw_process_ended(struct bw_process *process, int wait_status, const char *how, void *arg);
/* role: the hidden subcommand ("worker", "host"). fds are closed in this process whatever happens. */
struct bw_process *bw_process_spawn(struct event_base *base, const char *role, const int *fds, size_t fd_count, bw_process_ended *ended, void *arg,
                                    struct bw_error *err);
/* The same beside this thread, which does not wait until the new process has got the processor and its program: a few milliseconds on a busy machine.
 * What can only be known then is told by `ended`; until then it can be killed and freed (which waits for it) as any other. */
struct bw_process *bw_process_spawn_beside(struct event_base *base, const char *role, const int *fds, size_t fd_count, bw_process_ended *ended,
                                           void *arg, struct bw_error *err);
pid_t bw_process_pid(const struct bw_process *process);             /* waits until it is started; 0: it could not be */
size_t bw_process_resident_bytes(const struct bw_process *process); /* 0: it is not known */
int64_t bw_process_cpu_us(const struct bw_process *process);        /* processor time it has had, all threads; -1: it is not known */
/* Has it been at something for longer than that? The time for which it was ready, in all its life, and others had the processor does not count: on a
 * crowded machine whoever starts it would be told that it hangs. process: NULL counts none. */
bool bw_process_is_late(const struct bw_process *process, int64_t since_us, int64_t limit_ms);
void bw_process_kill(struct bw_process *process); /* SIGKILL to it and its group; `ended` follows */
void bw_process_free(struct bw_process *process); /* kills and reaps it when it still runs */

#ifdef BELLWIRE_TEST_HOOKS
/* Makes a process of that role, a child of this one, with fds as 3, 4, …; -1 with errno. */
typedef pid_t bw_process_fork(const char *role, const int *fds, size_t fd_count);
/* From now on processes are made like this: starting the program again costs more than all that a short test does. */
void bw_process_fork_with(bw_process_fork *make);
#endif
#endif
