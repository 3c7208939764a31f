#include "serve/init.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void bury(pid_t engine)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        if (pid == engine) _exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status)); /* the kernel ends who is left */
}

__attribute__((noreturn)) static void be_first(pid_t engine, const sigset_t *all)
{
    for (siginfo_t info;;) {
        int number = sigwaitinfo(all, &info);
        if (number == SIGCHLD)
            bury(engine);
        else if (number > 0 && info.si_code != SI_KERNEL) /* the terminal has told the engine as well */
            kill(engine, number);
    }
}

/* These name who they are for. */
static void rename_self(const char *name)
{
    const char *value = getenv(name);
    char text[16];
    if (!value || strcmp(value, "1") != 0) return;
    snprintf(text, sizeof text, "%d", (int)getpid());
    setenv(name, text, 1);
}

bool bw_init_run_if_first(void)
{
    sigset_t all, before;
    if (getpid() != 1) return true;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    pid_t engine = fork();
    if (engine > 0) be_first(engine, &all);
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (engine < 0) return false;
    rename_self("LISTEN_PID");
    rename_self("WATCHDOG_PID");
    return true;
}
