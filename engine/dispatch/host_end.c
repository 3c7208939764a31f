#include "dispatch/host_ways.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define REPORT_BYTES_MAX 8192
#define FRAMES_TOLD 12
#define COPY "/proc/self/fd/" /* by this name the plugin was loaded, if from a copy */

static void make_printable(char *text)
{
    for (; *text; text++)
        if ((*text < ' ' && *text != '\n') || *text > '~') *text = '?';
}

/* "/usr/lib/libc.so.6(abort+0xd3) [0x7f12]" → "libc.so.6(abort+0xd3)" */
static void add_frame(struct bw_host_end *end, const char *path, char *line)
{
    size_t used = strlen(end->frames);
    char *address = strstr(line, " ["), *paren = strchr(line, '(');
    if (address) *address = '\0';
    if (paren) *paren = '\0';
    const char *of = strncmp(line, COPY, sizeof COPY - 1) ? line : path, *slash = strrchr(of, '/'), *name = slash ? slash + 1 : of;
    const char *offset = paren && of == path ? paren : "";
    if (paren) *paren = '(';
    if (*name && used + strlen(name) + strlen(offset) + 4 < sizeof end->frames)
        snprintf(end->frames + used, sizeof end->frames - used, "%s%s%s", used ? " < " : "", name, offset);
}

static void describe(int status, const char *why, char *how, size_t size)
{
    const char *name = WIFSIGNALED(status) ? sigabbrev_np(WTERMSIG(status)) : NULL;
    if (WIFEXITED(status))
        snprintf(how, size, "it has ended itself with exit status %d", WEXITSTATUS(status));
    else if (WTERMSIG(status) == SIGKILL && *why)
        snprintf(how, size, "ended by the engine: %s", why);
    else if (name)
        snprintf(how, size, "SIG%s", name);
    else
        snprintf(how, size, "signal %d", WTERMSIG(status));
}

void bw_host_end_read(int report, const char *path, int wait_status, const char *why, struct bw_host_end *end)
{
    char text[REPORT_BYTES_MAX + 1], *rest = NULL, *line;
    size_t len = 0;
    ssize_t got;
    while (len < REPORT_BYTES_MAX && (got = read(report, text + len, REPORT_BYTES_MAX - len)) > 0) len += (size_t)got;
    text[len] = '\0';
    make_printable(text);
    *end->frames = '\0';
    describe(wait_status, why, end->how, sizeof end->how);
    if (*why || !(line = strtok_r(text, "\n", &rest))) return;
    snprintf(end->how, sizeof end->how, "%.200s", line);
    for (int i = 0; i < FRAMES_TOLD && (line = strtok_r(NULL, "\n", &rest)); i++) add_frame(end, path, line);
}
