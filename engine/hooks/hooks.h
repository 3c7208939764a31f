/* hooks.h: hooks.json or hooks.yaml of adnanh/webhook becomes the files of an instance: bellwire.yaml with the programs, a workflow for each hook
 * with a path of its own, and the secrets, each in a file for its owner alone.
 *
 * Nothing gets weaker on the way. What a hook demands of its sender is demanded by the scheme of its path, by `allow`, or by the trigger's `if`; a
 * hook of which anything cannot be taken over has no path: it can be started by hand only, until somebody has done the rest. A note says what it is
 * and where it stands, and the same stands as a comment in its workflow. What does not open anything (another answer, say) is a note alone.
 *
 * Reads the file system only to find programs. Any thread; nothing is kept. */
#ifndef BW_HOOKS_HOOKS_H
#define BW_HOOKS_HOOKS_H
#include "base/error.h"
#include "base/made.h"

struct bw_hooks_options {
    bool (*is_header_kept)(struct bw_slice name);                        /* can a workflow see this header? */
    bool (*is_header_sent)(struct bw_slice name, struct bw_slice value); /* can an answer have it? */
    bool is_template;                                                    /* webhook was started with -template */
};
struct bw_hooks {
    struct bw_made made; /* below the instance's folder, bellwire.yaml first; notes: "hooks.json:12:9: …" */
    size_t hook_count, closed_count;
};
/* file: for messages. False: err (yaml.*, hooks.*) says why, with the place; out is empty then. */
bool bw_hooks_convert(struct bw_slice text, const char *file, const struct bw_hooks_options *options, struct bw_hooks *out, struct bw_error *err);
void bw_hooks_free(struct bw_hooks *out);
#endif
