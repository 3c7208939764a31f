/* program.h: what another program says: started without a shell, with a small environment, and not for long. Blocks, so it is for the time before the
 * engine serves. Any thread. */
#ifndef BW_CONFIG_PROGRAM_H
#define BW_CONFIG_PROGRAM_H
#include "base/buf.h"
#include "base/error.h"
#include <stdint.h>

struct bw_program {
    char *const *argv;  /* NULL at the end; argv[0] without a slash is looked for in PATH */
    const char *folder; /* where it runs */
    size_t most_bytes;  /* of its output */
    int64_t deadline_ms;
    char *const *environment; /* NULL: the small one (base/environment.h) */
};
/* *out: what it has written to its standard output when it has ended with 0. Codes: program.start, program.exit (with the beginning of what it has
 * written to its standard error, secrets that are registered left out), program.timeout, program.too_large. Its whole process group ends then. */
bool bw_program_read(const struct bw_program *program, struct bw_buf *out, struct bw_error *err);
#endif
