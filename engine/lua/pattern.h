/* pattern.h: Lua's patterns with a step counter, so that `("a"):rep(300):find(".-.-.-.-b")` ends softly: no hook of Lua runs inside C.
 *
 * A pattern is compiled into a flat list of items first (every fault of the pattern is found there), then matched by backtracking. A nested
 * call always goes to a later item, so the C stack is bounded by BW_PATTERN_ITEMS_MAX whatever the subject is. Semantics are those of the Lua 5.4
 * reference manual, section 6.4.1. Pure: no Lua state, no allocation, any thread. */
#ifndef BW_LUA_PATTERN_H
#define BW_LUA_PATTERN_H
#include "base/buf.h"
#include <stdbool.h>
#include <stdint.h>

#define BW_PATTERN_ITEMS_MAX 200
#define BW_PATTERN_CAPTURES_MAX 32

struct bw_pattern_item {
    uint8_t kind, repeat; /* enums of pattern.c */
    uint8_t a, b;         /* a byte, a class letter, the number of a capture or the two ends of %b */
    uint32_t set[8];      /* 256 bits; [sets] and %f only */
};
struct bw_pattern {
    unsigned count, captures;
    bool is_anchored;
    struct bw_pattern_item items[BW_PATTERN_ITEMS_MAX + 1]; /* last: a copy need only hold the `count` + 1 that are used */
};
/* NULL, or what is wrong with the pattern (static text). With anchors a leading '^' binds to the start, without (gmatch) it is a plain byte. */
const char *bw_pattern_compile(struct bw_pattern *pattern, struct bw_slice text, bool anchors);

#define BW_CAPTURE_POSITION ((size_t)-1) /* len of a `()` capture */
struct bw_pattern_match {
    struct bw_slice subject;
    uint64_t steps_left; /* counts down; 0 = given up */
    const char *start, *end;
    struct bw_slice captures[BW_PATTERN_CAPTURES_MAX];
};
enum bw_pattern_result { BW_PATTERN_NONE, BW_PATTERN_FOUND, BW_PATTERN_TOO_COMPLEX };
/* Exactly at `at`, which lies inside subject or at its end. */
enum bw_pattern_result bw_pattern_match_at(const struct bw_pattern *pattern, struct bw_pattern_match *match, const char *at);
/* The first match at or behind `from`; only at `from` when anchored. */
enum bw_pattern_result bw_pattern_search(const struct bw_pattern *pattern, struct bw_pattern_match *match, const char *from);
/* Has no special characters: a plain search will do. */
bool bw_pattern_is_plain(struct bw_slice text);
#endif
