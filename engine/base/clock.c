#include "base/clock.h"
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static struct bw_clock override; /* written before threads start, then only read */
static _Atomic int64_t stopped_at_ms = INT64_MIN, skipped_us;

static int64_t read_us(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now); /* cannot fail for these two clocks */
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

#ifdef BELLWIRE_TEST_HOOKS
static int64_t ahead_ms;
__attribute__((constructor)) static void read_ahead(void)
{
    const char *text = getenv("BELLWIRE_CLOCK_AHEAD_MS");
    ahead_ms = text ? strtoll(text, NULL, 10) : 0;
}
#else
enum { ahead_ms = 0 };
#endif

int64_t bw_clock_wall_ms(void)
{
    int64_t stopped_ms = atomic_load_explicit(&stopped_at_ms, memory_order_relaxed);
    if (stopped_ms != INT64_MIN) return stopped_ms;
    return override.wall_ms ? override.wall_ms(override.arg) : read_us(CLOCK_REALTIME) / 1000 + ahead_ms;
}

int64_t bw_clock_mono_us(void)
{
    int64_t ahead_us = atomic_load_explicit(&skipped_us, memory_order_relaxed);
    return (override.mono_us ? override.mono_us(override.arg) : read_us(CLOCK_MONOTONIC)) + ahead_us;
}

void bw_clock_stop_at(int64_t wall_ms)
{
    atomic_store(&stopped_at_ms, wall_ms);
}

int64_t bw_clock_skip_us(int64_t us)
{
    return atomic_fetch_add(&skipped_us, us) + us;
}

void bw_clock_override(const struct bw_clock *clock)
{
    override = clock ? *clock : (struct bw_clock){0};
}

const char *bw_clock_text(int64_t wall_ms, char buf[BW_CLOCK_TEXT])
{
    int64_t seconds = wall_ms / 1000, ms = wall_ms % 1000;
    if (ms < 0) {
        ms += 1000;
        seconds--;
    }
    /* Four-digit years only (RFC 3339): what lies outside is shown at the nearest end. */
    const int64_t first = -62167219200, last = 253402300799;
    if (seconds < first) seconds = first, ms = 0;
    if (seconds > last) seconds = last, ms = 999;
    time_t at = (time_t)seconds;
    struct tm tm;
    gmtime_r(&at, &tm);
    size_t len = strftime(buf, BW_CLOCK_TEXT, "%FT%T", &tm);
    /* %F writes years below 1000 without leading zeros on glibc: such times are no real ones, but the format must hold. */
    if (len != 19)
        len = (size_t)snprintf(buf, BW_CLOCK_TEXT, "%04d-%02d-%02dT%02d:%02d:%02d", (tm.tm_year + 1900) % 10000, (tm.tm_mon + 1) % 100,
                               tm.tm_mday % 100, tm.tm_hour % 100, tm.tm_min % 100, tm.tm_sec % 100);
    snprintf(buf + len, BW_CLOCK_TEXT - len, ".%03dZ", (int)ms);
    return buf;
}
