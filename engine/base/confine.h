/* confine.h: what this process may do from now on beyond its own memory, its threads and the descriptors that it has: nothing but what it needs. For
 * processes that run the code of others: plugin hosts (all of it), run workers (the capabilities and the system calls).
 *
 * Called once, while the process has one thread, before anything of others runs in it; it holds for all that follows, and cannot be undone. It needs
 * PR_SET_NO_NEW_PRIVS. What the kernel lacks is told by the answers, and the rest is done all the same. */
#ifndef BW_BASE_CONFINE_H
#define BW_BASE_CONFINE_H
#include "base/json.h"
#include <stdbool.h>
#include <stddef.h>

struct bw_needs {
    bool network; /* sockets of IPv4 and IPv6 */
    bool local;   /* "unix": Unix sockets, behind which the powers of others are */
    bool exec;    /* to start processes */
    bool groups;  /* to put them into process groups of their own, which do not end with this one */
    const json_t
        *texts; /* borrowed; NULL: none. "files:PATH" among them: that and what is beneath may be read and written; "reads:PATH": only read */
};
/* Is this one of those that there are: network, unix, exec, groups, files:/PATH, reads:/PATH? */
bool bw_need_is_known(const char *text);
struct bw_needs bw_needs_read(const json_t *texts); /* a manifest's `needs` */
/* For a plugin in `folder`. open: "" or a text for people: what stays open. */
void bw_confine_plugin(const struct bw_needs *needs, const char *folder, char *open, size_t size);

/* The three means. Of what root may do, reading and writing files of others is kept. */
void bw_confine_capabilities(void);
bool bw_confine_calls(const struct bw_needs *needs);                     /* false: this kernel, or processor, has no seccomp filter */
bool bw_confine_files(const struct bw_needs *needs, const char *folder); /* false: the kernel has no Landlock */
#endif
