/* units.h: durations "500ms 30s 5m 2h 3d 1h30m" and sizes "64KiB 1MiB 10GiB 512" as users write them; and digits of a fixed number. */
#ifndef BW_BASE_UNITS_H
#define BW_BASE_UNITS_H
#include "base/buf.h"
#include "base/error.h"
#include <stdint.h>

bool bw_duration_parse(struct bw_slice text, int64_t *out_ms, struct bw_error *err); /* at most 366 d; no sign, units descend, each at most once */
bool bw_size_parse(struct bw_slice text, uint64_t *out_bytes, struct bw_error *err); /* B KiB MiB GiB, or a plain number of bytes */
/* "60/1m": so many, 1 to 10^12, in so much time. */
bool bw_rate_parse(struct bw_slice text, int64_t *out_count, int64_t *out_ms);
/* Exactly `count` digits from byte `at` on, as a number; -1 for anything else: strptime() and sscanf() would take blanks and signs as well. */
int bw_digits_at(struct bw_slice text, size_t at, size_t count);
const char *bw_duration_text(int64_t ms, char out[32]); /* "1h30m", "250ms", "1.25s" */
#endif
