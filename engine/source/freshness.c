/* Is the signed timestamp near enough to now, on both sides? */
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

/* Exactly `count` digits, as a number; -1 for anything else: strptime() and sscanf() would take blanks and signs as well. */
static int digits_at(struct bw_slice text, size_t at, size_t count)
{
    int sum = 0;
    if (at + count > text.len) return -1;
    for (size_t i = at; i < at + count; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') return -1;
        sum = sum * 10 + (text.ptr[i] - '0');
    }
    return sum;
}

static bool has_shape(struct bw_slice text, const char *separators, const unsigned char *places, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (places[i] >= text.len || text.ptr[places[i]] != separators[i]) return false;
    return true;
}

/* 2006-01-02T15:04:05[.999][Z|+07:00], in capitals (RFC 3339). A second of 60 is a leap second. */
static bool parse_rfc3339(struct bw_slice text, int64_t *ms)
{
    static const unsigned char places[] = {4, 7, 10, 13, 16};
    const int year = digits_at(text, 0, 4), month = digits_at(text, 5, 2), day = digits_at(text, 8, 2);
    const int hour = digits_at(text, 11, 2), minute = digits_at(text, 14, 2), second = digits_at(text, 17, 2);
    int64_t fraction = 0, offset = 0;
    size_t at = 19;
    if (!has_shape(text, "--T::", places, sizeof places) || year < 1 || month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 || hour > 23 ||
        minute < 0 || minute > 59 || second < 0 || second > 60)
        return false;
    if (at < text.len && text.ptr[at] == '.') {
        size_t first = ++at;
        for (int64_t scale = 100; digits_at(text, at, 1) >= 0; at++, scale /= 10) fraction += digits_at(text, at, 1) * scale;
        if (at == first) return false;
    }
    if (at == text.len) return false;
    if (text.ptr[at] != 'Z') {
        const int hours = digits_at(text, at + 1, 2), minutes = digits_at(text, at + 4, 2);
        if ((text.ptr[at] != '+' && text.ptr[at] != '-') || hours < 0 || hours > 23 || minutes < 0 || minutes > 59 || text.ptr[at + 3] != ':')
            return false;
        offset = (text.ptr[at] == '-' ? -60 : 60) * (hours * 60 + minutes);
        at += 5;
    }
    struct tm parts = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = hour, .tm_min = minute, .tm_sec = second};
    *ms = ((int64_t)timegm(&parts) - offset) * 1000 + fraction;
    return at + 1 == text.len;
}

/* Sun, 06 Nov 1994 08:49:37 GMT, to the letter; the day of the week must be that day's. */
static bool parse_rfc1123(struct bw_slice text, int64_t *ms)
{
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    static const unsigned char places[] = {3, 4, 7, 11, 16, 19, 22, 25, 26, 27, 28};
    if (text.len != 29 || !has_shape(text, ",    :: GMT", places, 11)) return false;
    const int day = digits_at(text, 5, 2), year = digits_at(text, 12, 4), hour = digits_at(text, 17, 2), minute = digits_at(text, 20, 2),
              second = digits_at(text, 23, 2);
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
