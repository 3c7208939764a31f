/* The rule at the end of a TZif file: POSIX TZ as in "CET-1CEST,M3.5.0,M10.5.0/3", with the hours -167 to 167 of RFC 8536, 3.3.1.
 * Offsets are written the POSIX way round: what is added to local time to get UTC. */
#include "schedule/civil.h"
#include "schedule/zone_parts.h"

struct cursor {
    const char *at, *end;
};

struct day_rule {
    char form;            /* 'M': weekday of a week of a month, 'J': 1-365 without 29 February, 'n': 0-365 with it */
    int month, week, day; /* J and n use day alone; week 5 is the last one */
    int32_t time_s;       /* local time before the change, from that day's midnight */
};

struct rule {
    int32_t standard_s, daylight_s; /* offsets east of UTC */
    bool has_daylight;
    struct day_rule begin, end;
};

static bool take(struct cursor *text, char c)
{
    if (text->at == text->end || *text->at != c) return false;
    text->at++;
    return true;
}

static bool take_number(struct cursor *text, int min, int max, int *out)
{
    const char *start = text->at;
    int value = 0;
    while (text->at < text->end && *text->at >= '0' && *text->at <= '9' && text->at - start < 3) value = value * 10 + (*text->at++ - '0');
    *out = value;
    return text->at > start && value >= min && value <= max;
}

/* [+-]h[:mm[:ss]] */
static bool take_time(struct cursor *text, int hours_max, int32_t *out)
{
    bool negative = take(text, '-');
    int hours, minutes = 0, seconds = 0;
    if (!negative) (void)take(text, '+');
    if (!take_number(text, 0, hours_max, &hours)) return false;
    if (take(text, ':') && !take_number(text, 0, 59, &minutes)) return false;
    if (take(text, ':') && !take_number(text, 0, 59, &seconds)) return false; /* without minutes there is no colon left to take */
    int32_t total = hours * 3600 + minutes * 60 + seconds;
    *out = negative ? -total : total;
    return true;
}

/* Three letters or more, or <anything of letters, digits, + and ->. Nobody needs them here, but they must be well-formed. */
static bool take_abbreviation(struct cursor *text)
{
    bool quoted = take(text, '<');
    const char *start = text->at;
    for (; text->at < text->end; text->at++) {
        char c = *text->at;
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(quoted && ((c >= '0' && c <= '9') || c == '+' || c == '-'))) break;
    }
    return text->at - start >= 3 && (!quoted || take(text, '>'));
}

static bool take_day_rule(struct cursor *text, struct day_rule *out)
{
    *out = (struct day_rule){.form = 'n', .time_s = 2 * 3600};
    bool good;
    if (take(text, 'M')) {
        out->form = 'M';
        good = take_number(text, 1, 12, &out->month) && take(text, '.') && take_number(text, 1, 5, &out->week) && take(text, '.') &&
               take_number(text, 0, 6, &out->day);
    } else if (take(text, 'J')) {
        out->form = 'J';
        good = take_number(text, 1, 365, &out->day);
    } else {
        good = take_number(text, 0, 365, &out->day);
    }
    return good && (!take(text, '/') || take_time(text, 167, &out->time_s));
}

static bool parse(struct bw_slice bytes, struct rule *out)
{
    struct cursor text = {bytes.ptr, bytes.ptr + bytes.len};
    *out = (struct rule){0};
    if (!take_abbreviation(&text) || !take_time(&text, 24, &out->standard_s)) return false;
    out->standard_s = -out->standard_s;
    if (text.at == text.end) return true;
    out->has_daylight = true;
    out->daylight_s = out->standard_s + 3600;
    if (!take_abbreviation(&text) || text.at == text.end) return false;
    if (*text.at != ',') {
        if (!take_time(&text, 24, &out->daylight_s)) return false;
        out->daylight_s = -out->daylight_s;
    }
    /* POSIX lets the dates be left out and means those of the United States; no file does that. */
    return take(&text, ',') && take_day_rule(&text, &out->begin) && take(&text, ',') && take_day_rule(&text, &out->end) && text.at == text.end;
}

/* When the clocks change in that year, as a Unix time; they show `offset_s` until then. */
static int64_t change_time(const struct day_rule *rule, int64_t year, int32_t offset_s)
{
    int64_t day;
    if (rule->form == 'M') {
        int64_t first = bw_civil_days(year, rule->month, 1);
        int days = bw_civil_days_in_month(year, rule->month);
        int in_month = (rule->day - bw_civil_weekday(first) + 7) % 7 + (rule->week - 1) * 7;
        if (in_month >= days) in_month -= 7; /* week 5 of a month with four of that weekday */
        day = first + in_month;
    } else if (rule->form == 'J') {
        day = bw_civil_days(year, 1, 1) + rule->day - 1 + (bw_civil_is_leap(year) && rule->day >= 60);
    } else {
        day = bw_civil_days(year, 1, 1) + rule->day;
    }
    return day * BW_CIVIL_DAY_S + rule->time_s - offset_s;
}

static bool add_rule_change(struct bw_zone *zone, int64_t at_s, int32_t offset_s, bool is_dst)
{
    const struct zone_change *last = &zone->changes[zone->count - 1];
    if (at_s < last->at_s) return true; /* the file knows this time itself */
    /* A time at which a rule ends and begins again at once (daylight time all year) is no change: the later one replaces it. */
    return bw_zone_add_change(zone, at_s, offset_s, is_dst);
}

bool bw_zone_add_rule(struct bw_zone *zone, struct bw_slice text, struct bw_error *err)
{
    struct rule rule;
    if (!parse(text, &rule)) {
        bw_error_set(err, "zone.corrupt", "is no usable time zone file: the rule '%.*s'", (int)(text.len > 64 ? 64 : text.len), text.ptr);
        bw_error_hint(err, "install the package tzdata anew");
        return false;
    }
    size_t from_file = zone->count;
    const struct zone_change *last = &zone->changes[from_file - 1];
    if (!rule.has_daylight) {
        /* The file's last change has led to this already; only a file without any change has it from the rule alone. */
        if (from_file == 1) *zone->changes = (struct zone_change){INT64_MIN, rule.standard_s, false};
        return true;
    }
    /* A file without any change: the rule is used from 1900 on. No real file is made so. */
    int64_t first = bw_civil_days(1900, 1, 1) * BW_CIVIL_DAY_S, limit = bw_civil_days(BW_CIVIL_YEAR_MAX, 1, 1) * BW_CIVIL_DAY_S;
    if (last->at_s > limit) return true; /* it speaks of a time that nobody asks for */
    if (last->at_s > first) first = last->at_s;
    int64_t year = bw_civil_of(first).year - 1;
    /* 400 years, and two at each end: a change may lie in the year before or after its own. */
    for (int i = 0; i < 404; i++, year++) {
        int64_t begin = change_time(&rule.begin, year, rule.standard_s), end = change_time(&rule.end, year, rule.daylight_s);
        bool begin_first = begin < end;
        bool added = (begin_first || add_rule_change(zone, end, rule.standard_s, false)) && add_rule_change(zone, begin, rule.daylight_s, true) &&
                     (!begin_first || add_rule_change(zone, end, rule.standard_s, false));
        if (!added) return bw_error_set(err, "memory", "no memory for a time zone");
    }
    /* From the last of them on, each question is one cycle back, where the rule speaks as well. */
    int64_t repeats = zone->changes[zone->count - 1].at_s;
    if (zone->count > from_file && repeats - ZONE_CYCLE_S > zone->changes[from_file - 1].at_s) zone->repeats_s = repeats;
    return true;
}
