#include "base/clock.h"
#include "base/units.h"
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

int64_t bw_clock_cpu_us(void)
{
    return read_us(CLOCK_THREAD_CPUTIME_ID);
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

static int days_of(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && is_leap);
}

/* Z, or +07:00, and nothing behind it */
static bool parse_offset(struct bw_slice text, size_t at, int64_t *out_ms)
{
    const int hours = bw_digits_at(text, at + 1, 2), minutes = bw_digits_at(text, at + 4, 2);
    *out_ms = 0;
    if (at + 1 == text.len && (text.ptr[at] == 'Z' || text.ptr[at] == 'z')) return true;
    if (at + 6 != text.len || (text.ptr[at] != '+' && text.ptr[at] != '-') || text.ptr[at + 3] != ':') return false;
    if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) return false;
    *out_ms = (text.ptr[at] == '-' ? -60000 : 60000) * (hours * 60 + minutes);
    return true;
}

bool bw_clock_parse(struct bw_slice text, int64_t *wall_ms)
{
    const int year = bw_digits_at(text, 0, 4), month = bw_digits_at(text, 5, 2), day = bw_digits_at(text, 8, 2);
    const int hour = bw_digits_at(text, 11, 2), minute = bw_digits_at(text, 14, 2), second = bw_digits_at(text, 17, 2);
    int64_t fraction_ms = 0, offset_ms;
    size_t at = 19;
    if (text.len < 20 || text.ptr[4] != '-' || text.ptr[7] != '-' || !memchr("Tt ", text.ptr[10], 3) || text.ptr[13] != ':' || text.ptr[16] != ':')
        return false;
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > days_of(year, month)) return false;
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60) return false; /* 60: a leap second */
    if (text.ptr[at] == '.') {
        int64_t scale = 100;
        for (at++; bw_digits_at(text, at, 1) >= 0; at++, scale /= 10) fraction_ms += bw_digits_at(text, at, 1) * scale;
        if (at == 20 || at == text.len) return false;
    }
    if (!parse_offset(text, at, &offset_ms)) return false;
    struct tm parts = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = hour, .tm_min = minute, .tm_sec = second};
    *wall_ms = (int64_t)timegm(&parts) * 1000 - offset_ms + fraction_ms;
    return true;
}
