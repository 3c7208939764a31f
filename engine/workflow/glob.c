/* Names of events are parts between dots, and so are globs over them: a star never leaves its part, so parts match one by one and
 * trying again from the last star is enough. */
#include "workflow/internal.h"

bool bw_is_event_glob(struct bw_slice glob)
{
    for (size_t i = 0; i < glob.len;) {
        const char *part = glob.ptr + i, *dot = memchr(part, '.', glob.len - i);
        size_t len = dot ? (size_t)(dot - part) : glob.len - i;
        bool is_rest = len == 2 && !memcmp(part, "**", 2);
        if (!len || (dot && i + len + 1 == glob.len) || (is_rest ? dot != NULL : memmem(part, len, "**", 2) != NULL)) return false;
        i += len + 1;
    }
    return glob.len > 0;
}

bool bw_glob_match(struct bw_slice glob, struct bw_slice name)
{
    const char *g = glob.ptr, *g_end = g + glob.len, *n = name.ptr, *n_end = n + name.len, *star = NULL, *retry = NULL;
    if (glob.len >= 2 && !memcmp(g_end - 2, "**", 2) && (glob.len == 2 || g_end[-3] == '.')) {
        /* a trailing ** takes the rest, whatever it is: "github.**" matches github.push and github.issues.opened */
        struct bw_slice head = {glob.ptr, glob.len - 2};
        for (size_t len = 0; len < name.len; len++)
            if ((len == 0 || name.ptr[len - 1] == '.') && bw_glob_match(head, (struct bw_slice){name.ptr, len})) return true;
        return false;
    }
    while (n < n_end) {
        if (g < g_end && *g == '*') {
            star = ++g;
            retry = n;
        } else if (g < g_end && *g == *n) {
            g++;
            n++;
        } else if (star && *retry != '.') { /* the star takes one more, but never a dot */
            g = star;
            n = ++retry;
        } else {
            return false;
        }
    }
    while (g < g_end && *g == '*') g++;
    return g == g_end;
}

bool bw_workflow_matches(const struct bw_trigger *trigger, struct bw_slice source, struct bw_slice event_name)
{
    /* A run may cause an event of any name: it does not come in by the webhook for that. */
    if (trigger->kind == BW_TRIGGER_WEBHOOK && !bw_slice_equal(trigger->source, source)) return false;
    return (trigger->kind == BW_TRIGGER_EVENT || trigger->kind == BW_TRIGGER_WEBHOOK) && bw_glob_match(trigger->event, event_name);
}

bool bw_is_event_name(struct bw_slice name)
{
    const struct bw_slice ours = BW_SLICE(BW_ENGINE_EVENTS);
    size_t part = 0;
    if (name.len >= ours.len && !memcmp(name.ptr, ours.ptr, ours.len)) return false;
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        if (c <= ' ' || c == '*' || c == 0x7f || (c == '.' && !part)) return false;
        part = c == '.' ? 0 : part + 1;
    }
    return part > 0 && name.len <= 200;
}
