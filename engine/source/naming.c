/* The dedupe id and the name of an event, from what the scheme refers to. */
#include "source/program.h"

#define ID_BYTES_MAX 512
#define NAME_BYTES_MAX SIZE_MAX /* one that is too long is not cut: who accepts the request refuses it */

/* Parts joined by a separator; a missing one that is not optional: nothing at all. */
static struct bw_slice join(struct bw_trial *trial, const struct bw_ref *refs, size_t count, char separator, size_t limit, bool *is_signed)
{
    struct bw_slice part, single = {0};
    size_t found = 0, start = trial->scratch->len;
    struct bw_slice parts[BW_REFS_MAX];
    *is_signed = count > 0;
    for (size_t i = 0; i < count; i++) {
        if (!bw_ref_read(trial, &refs[i], &part, NULL) || !part.len) {
            if (refs[i].is_optional) continue;
            return (struct bw_slice){0};
        }
        *is_signed = *is_signed && refs[i].is_signed;
        parts[found++] = single = part;
    }
    if (found == 1 && single.len <= limit) return single;
    start = trial->scratch->len;
    for (size_t i = 0; i < found; i++) {
        if (trial->scratch->len + parts[i].len + 1 >= trial->scratch->capacity) return (struct bw_slice){0};
        if (i) bw_buf_append_char(trial->scratch, separator);
        bw_buf_append_slice(trial->scratch, parts[i]);
    }
    struct bw_slice joined = {trial->scratch->data + start, trial->scratch->len - start};
    return found && joined.len <= limit ? joined : (struct bw_slice){0};
}

/* Names are dot-separated words: "orders/create" becomes orders.create, whatever else is odd becomes '_'. */
static struct bw_slice clean_name(struct bw_trial *trial, struct bw_slice name)
{
    bool is_clean = true;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        is_clean =
            is_clean && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.' || c == ':');
    }
    if (is_clean) return name;
    size_t start = trial->scratch->len;
    if (start + name.len >= trial->scratch->capacity) return BW_SLICE("event");
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.' || c == ':';
        bw_buf_append_char(trial->scratch, good ? c : c == '/' ? '.' : '_');
    }
    return (struct bw_slice){trial->scratch->data + start, trial->scratch->len - start};
}

struct bw_slice bw_naming_id(struct bw_trial *trial, const struct bw_ref *refs, size_t count)
{
    bool is_signed;
    return join(trial, refs, count, ':', ID_BYTES_MAX, &is_signed);
}

struct bw_slice bw_naming_event(struct bw_trial *trial, const struct bw_ref *refs, size_t count, bool *is_trusted)
{
    bool is_signed;
    *is_trusted = true;
    if (trial->config->event) return bw_slice_of(trial->config->event);
    struct bw_slice name = clean_name(trial, join(trial, refs, count, '.', NAME_BYTES_MAX, &is_signed));
    *is_trusted = count ? name.len && is_signed : trial->program->covers_body;
    return name.len ? name : BW_SLICE("event");
}
