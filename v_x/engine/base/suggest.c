#include "base/suggest.h"
#include <limits.h>

#define WORD_MAX 64 /* nobody mistypes longer names into something recognisable */

/* Optimal string alignment: Damerau-Levenshtein in which no part is edited twice; three rows are enough. */
static int distance(struct bw_slice a, struct bw_slice b)
{
    int rows[3][WORD_MAX + 1];
    int *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b.len; j++) above[j] = (int)j;
    for (size_t i = 1; i <= a.len; i++) {
        row[0] = (int)i;
        for (size_t j = 1; j <= b.len; j++) {
            int best = above[j - 1] + (a.ptr[i - 1] != b.ptr[j - 1]);
            if (above[j] + 1 < best) best = above[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            bool swapped = i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] && a.ptr[i - 2] == b.ptr[j - 1];
            if (swapped && before[j - 2] + 1 < best) best = before[j - 2] + 1;
            row[j] = best;
        }
        int *spare = before;
        before = above;
        above = row;
        row = spare;
    }
    return above[b.len];
}

const char *bw_suggest(struct bw_slice word, const char *const *candidates, size_t count)
{
    int best = INT_MAX, limit = word.len < 5 ? 1 : 2;
    const char *nearest = NULL;
    if (word.len > WORD_MAX) return NULL;
    for (size_t i = 0; i < count; i++) {
        struct bw_slice candidate = bw_slice_of(candidates[i]);
        if (candidate.len > WORD_MAX) continue;
        int steps = distance(word, candidate);
        if (steps > limit || steps >= best) continue;
        best = steps;
        nearest = candidates[i];
    }
    return nearest;
}
