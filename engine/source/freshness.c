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

static bool parse_rfc3339(struct bw_slice text, int64_t *ms)
{
    char copy[48];
    struct tm parts = {0};
    int hours = 0, minutes = 0;
    if (text.len < 20 || text.len >= sizeof copy) return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    const char *rest = strptime(copy, "%Y-%m-%dT%H:%M:%S", &parts);
    if (!rest || copy[10] != 'T') return false;
    int64_t fraction = 0, scale = 100;
    if (*rest == '.') {
        size_t digits = strspn(++rest, "0123456789");
        if (!digits) return false;
        for (size_t i = 0; i < digits && scale; i++, scale /= 10) fraction += (rest[i] - '0') * scale;
        rest += digits;
    }
    if (*rest == 'Z' && !rest[1]) {
        *ms = (int64_t)timegm(&parts) * 1000 + fraction;
        return true;
    }
    if ((*rest != '+' && *rest != '-') || strlen(rest) != 6 || rest[3] != ':' || sscanf(rest + 1, "%2d:%2d", &hours, &minutes) != 2) return false;
    *ms = ((int64_t)timegm(&parts) - (*rest == '-' ? -1 : 1) * (hours * 3600 + minutes * 60)) * 1000 + fraction;
    return true;
}

bool bw_time_parse(struct bw_slice text, enum bw_time_unit unit, int64_t *ms)
{
    if (unit == BW_TIME_RFC3339) return parse_rfc3339(text, ms);
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
