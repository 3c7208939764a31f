/* application/x-www-form-urlencoded: pairs of a query or a body. '+' is a space, %XX a byte; a broken %XX is refused (verification.md pitfall 23). */
#include "base/codec.h"
#include "source/part.h"
#include <stdlib.h>

#define PAIRS_MAX 1024

struct pair {
    struct bw_slice name, value;
};

bool bw_form_next(struct bw_slice *rest, struct bw_slice *name, struct bw_slice *value)
{
    while (rest->len) {
        const char *end = memchr(rest->ptr, '&', rest->len);
        struct bw_slice pair = {rest->ptr, end ? (size_t)(end - rest->ptr) : rest->len};
        *rest = end ? (struct bw_slice){end + 1, rest->len - pair.len - 1} : (struct bw_slice){"", 0};
        if (!pair.len) continue;
        const char *equals = memchr(pair.ptr, '=', pair.len);
        *name = (struct bw_slice){pair.ptr, equals ? (size_t)(equals - pair.ptr) : pair.len};
        *value = equals ? (struct bw_slice){equals + 1, pair.len - name->len - 1} : (struct bw_slice){"", 0};
        return true;
    }
    return false;
}

static int compare_slices(struct bw_slice a, struct bw_slice b)
{
    int order = memcmp(a.ptr, b.ptr, a.len < b.len ? a.len : b.len);
    return order ? order : (a.len > b.len) - (a.len < b.len);
}
static int compare_pairs(const void *a, const void *b)
{
    const struct pair *left = a, *right = b;
    int order = compare_slices(left->name, right->name);
    return order ? order : compare_slices(left->value, right->value);
}

static bool decode(struct bw_trial *trial, struct bw_slice text, struct bw_slice *out)
{
    size_t before = trial->scratch->len;
    if (!bw_trial_has_room(trial, text.len) || !bw_form_decode_append(trial->scratch, text)) return false;
    *out = bw_trial_since(trial, before);
    return true;
}

bool bw_form_pairs_append(struct bw_trial *trial)
{
    struct bw_slice rest = trial->request->body, name, value;
    size_t count = 0, before = trial->scratch->len, joined = 0;
    if (!bw_request_is_form(trial->request)) return false;
    struct pair *pairs = malloc(PAIRS_MAX * sizeof *pairs);
    bool good = pairs != NULL;
    while (good && bw_form_next(&rest, &name, &value)) {
        good = count < PAIRS_MAX && decode(trial, name, &pairs[count].name) && decode(trial, value, &pairs[count].value);
        count++;
    }
    size_t decoded = trial->scratch->len - before;
    good = good && bw_trial_has_room(trial, decoded);
    if (good && count) qsort(pairs, count, sizeof *pairs, compare_pairs);
    for (size_t i = 0; good && i < count; i++) {
        if (i && !compare_pairs(&pairs[i - 1], &pairs[i])) continue;
        bw_buf_append_slice(trial->scratch, pairs[i].name);
        bw_buf_append_slice(trial->scratch, pairs[i].value);
        joined += pairs[i].name.len + pairs[i].value.len;
    }
    free(pairs);
    if (good && decoded) { /* the pairs as they came were only needed to sort them */
        memmove(trial->scratch->data + before, trial->scratch->data + before + decoded, joined);
        trial->scratch->len = before + joined;
    }
    return good;
}
