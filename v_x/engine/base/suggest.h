/* suggest.h: "did you mean". */
#ifndef BW_BASE_SUGGEST_H
#define BW_BASE_SUGGEST_H
#include "base/buf.h"
/* The candidate nearest to word (Damerau-Levenshtein distance at most 2, or 1 for words under 5 letters), or NULL. */
const char *bw_suggest(struct bw_slice word, const char *const *candidates, size_t count);
#endif
