/* clock.h: the only door to time, so that a simulator can drive it. Any thread. */
#ifndef BW_BASE_CLOCK_H
#define BW_BASE_CLOCK_H
#include "base/buf.h"
#include <stdint.h>

/* Unix time in milliseconds; may jump. With BELLWIRE_TEST_HOOKS, BELLWIRE_CLOCK_AHEAD_MS in the environment is added to it. */
int64_t bw_clock_wall_ms(void);
int64_t bw_clock_mono_us(void); /* CLOCK_MONOTONIC in microseconds; same base in every process of this boot */
int64_t bw_clock_cpu_us(void);  /* of the processor, that this thread has had */

/* For trials (`bellwire test`): from now on the wall clock stands still at this time, until it is set again. Any thread may read it meanwhile. */
void bw_clock_stop_at(int64_t wall_ms);
/* The monotonic clock of this process goes on, this much further ahead; returns by how much it is ahead in all. */
int64_t bw_clock_skip_us(int64_t us);

struct bw_clock {
    int64_t (*wall_ms)(void *arg);
    int64_t (*mono_us)(void *arg);
    void *arg;
};
void bw_clock_override(const struct bw_clock *clock); /* NULL = the real one. Set before threads start. */

/* RFC 3339 in UTC with milliseconds, "2026-11-23T12:00:00.123Z"; buf of at least 32 bytes; returns buf. */
#define BW_CLOCK_TEXT 32
const char *bw_clock_text(int64_t wall_ms, char buf[BW_CLOCK_TEXT]);
/* RFC 3339 with Z or an offset, also with small letters or a blank for the T; milliseconds count, what is smaller does not. False: it is no such
 * time, and *wall_ms is untouched. */
bool bw_clock_parse(struct bw_slice text, int64_t *wall_ms);
#endif
