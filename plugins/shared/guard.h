/* guard.h: a program, and whatever it starts, as one tree that can be ended: also when this process is killed.
 *
 * Between the host and the program stands a small process, the guard. The program leads a process group, which nothing of its tree can leave (a
 * seccomp filter refuses setpgid and setsid), and whose orphans come to the guard (it is a subreaper). So the guard can end all of it by one kill,
 * and knows that nothing is left when it has no child any more. It does so when it is told to (guard_end), when the program itself has ended (what it
 * has left behind ends with it), and when the host is gone, however: it holds one end of a pipe, the leash, and the kernel closes the other. Whoever
 * kills the guard finds the program killed by the kernel, and the host kills the group.
 *
 *     guard_start(&program, &guard)           then watch guard.in, .out, .err (the program's; none of them blocks) and guard.report
 *     while (guard_read(&guard, &news)) …     whenever report can be read; after GUARD_GONE nothing of the tree is there
 *     guard_end(&guard, 5000)                 SIGTERM to all of it, SIGKILL after 5 s
 *     guard_free(&guard)                      ends at once what is left
 *
 * One thread, the host's loop, in a process that has no other thread (it forks). The plugin needs "exec" and "groups". Where the kernel has no
 * seccomp, a program can leave its group: it ends when it likes, and GUARD_GONE waits for that. */
#ifndef SHARED_GUARD_H
#define SHARED_GUARD_H
#include <stdbool.h>
#include <sys/types.h>

struct guard_program { /* all of it the caller's */
    const char *path;
    char *const *argv, *const *environment;
    const char *folder; /* NULL: the root */
    bool has_input;     /* false: its standard input is /dev/null */
};
struct guard {
    pid_t pid, group;
    int leash, report;
    int in, out, err; /* the host's to close (guard_close); -1: closed */
};
enum guard_event {
    GUARD_NOTHING,     /* no news yet */
    GUARD_STARTED,     /* value: the program's process */
    GUARD_NOT_STARTED, /* value: errno, at `stage` */
    GUARD_ENDED,       /* value: its wait status. What it has started may still be there */
    GUARD_GONE,        /* nothing of it is there any more */
};
enum guard_stage { GUARD_FORK, GUARD_GROUP, GUARD_FOLDER, GUARD_EXECUTE };
struct guard_news {
    enum guard_event event;
    int value;
    enum guard_stage stage;
};
/* 0, or an errno: then there is nothing to free. */
int guard_start(const struct guard_program *program, struct guard *out);
struct guard_news guard_read(struct guard *guard);
void guard_end(struct guard *guard, int grace_ms); /* again with less: then it is less */
void guard_close(int *fd);
void guard_free(struct guard *guard);
#endif
