/* Is the signed timestamp near enough to now, on both sides? */
#include "base/clock.h"
#include "base/units.h"
#include "source/program.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

/* ^[0-9]{1,15}$ without a leading zero: whatever else a sender may mean by it, it is not taken (verification.md pitfall 6). */
static bool parse_decimal(struct bw_slice text, int64_t *value)
{
    int64_t sum = 0;
    if (!text.len || text.len > 15 || (text.len > 1 && *text.ptr == '0')) return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') return false;
        sum = sum * 10 + (text.ptr[i] - '0');
    }
    *value = sum;
    return true;
}

static bool has_shape(struct bw_slice text, const char *separators, const unsigned char *places, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (places[i] >= text.len || text.ptr[places[i]] != separators[i]) return false;
    return true;
}

/* RFC 3339 in capitals: whatever else a reader of dates would take is not what the sender has signed. */
static bool parse_rfc3339(struct bw_slice text, int64_t *ms)
{
    return text.len > 19 && text.ptr[10] == 'T' && text.ptr[text.len - 1] != 'z' && bw_clock_parse(text, ms);
}

/* Sun, 06 Nov 1994 08:49:37 GMT, to the letter; the day of the week must be that day's. */
static bool parse_rfc1123(struct bw_slice text, int64_t *ms)
{
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    static const unsigned char places[] = {3, 4, 7, 11, 16, 19, 22, 25, 26, 27, 28};
    if (text.len != 29 || !has_shape(text, ",    :: GMT", places, 11)) return false;
    const int day = bw_digits_at(text, 5, 2), year = bw_digits_at(text, 12, 4), hour = bw_digits_at(text, 17, 2), minute = bw_digits_at(text, 20, 2),
              second = bw_digits_at(text, 23, 2);
    int month = 0;
    while (month < 12 && memcmp(months + 3 * month, text.ptr + 8, 3) != 0) month++;
    if (month == 12 || year < 1970 || day < 1 || day > 31 || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60)
        return false;
    struct tm parts = {.tm_year = year - 1900, .tm_mon = month, .tm_mday = day, .tm_hour = hour, .tm_min = minute, .tm_sec = second};
    *ms = (int64_t)timegm(&parts) * 1000;
    return parts.tm_mday == day && !memcmp(days + 3 * parts.tm_wday, text.ptr, 3);
}

bool bw_time_parse(struct bw_slice text, enum bw_time_unit unit, int64_t *ms)
{
    if (unit == BW_TIME_RFC3339) return parse_rfc3339(text, ms);
    if (unit == BW_TIME_RFC1123) return parse_rfc1123(text, ms);
    if (!parse_decimal(text, ms)) return false;
    if (unit == BW_TIME_S) *ms *= 1000;
    return true;
}

const char *bw_freshness_check(struct bw_trial *trial)
{
    const struct bw_program *program = trial->program;
    struct bw_slice text;
    size_t occurrences;
    int64_t ms;
    if (!program->has_time) return NULL;
    if (!bw_ref_read(trial, &program->time, &text, &occurrences)) return "missing timestamp";
    if (occurrences > 1) return "repeated timestamp";
    if (!bw_time_parse(text, program->time_unit, &ms)) return "unreadable timestamp";
    if (trial->request->now_ms - ms > program->past_ms) return "stale timestamp";
    if (ms - trial->request->now_ms > program->future_ms) return "timestamp in the future";
    return NULL;
}
