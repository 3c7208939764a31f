/* The plugin host as a program of its own, with no library but those that a host uses: started again at each crash of a plugin, it costs a seventh of
 * what `bellwire host` does, most of which is spent on linking what a host never calls (libcrypto above all).
 *
 * It is a part of the bellwire binary and never a file: dispatch/host_program.h. */
#include "base/json.h"
#include "host/host.h"
#include <signal.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <unistd.h>

/* It was executed by a descriptor, which is of no more use and must not be taken for one that was given. */
static void close_own_image(void)
{
    const char *name = (const char *)getauxval(AT_EXECFN);
    int fd;
    if (name && sscanf(name, "/proc/self/fd/%d", &fd) == 1) close(fd);
}

int main(void)
{
    close_own_image();
    prctl(PR_SET_NAME, "bellwire-host"); /* else it is the number of that descriptor */
    signal(SIGPIPE, SIG_IGN);
    bw_json_setup();
    return bw_host_main();
}
