#include "schedule/cron.h"
#include "base/suggest.h"
#include "schedule/civil.h"

enum { FIELDS = 5, MINUTE = 0, HOUR, DAY, MONTH, WEEKDAY };
enum { FREE = 1, STEPPED = 2 }; /* what a field's text looked like: begins with '*'; has '*' or a step somewhere */

static const struct field {
    const char *name;
    int min, max;
    const char *const *names; /* for min, min + 1, … */
    int name_count;
    const char *expected;
} fields[FIELDS] = {
    {"minute", 0, 59, NULL, 0, "0 to 59"},
    {"hour", 0, 23, NULL, 0, "0 to 23"},
    {"day of month", 1, 31, NULL, 0, "1 to 31"},
    {"month", 1, 12, (const char *const[]){"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}, 12,
     "1 to 12 or JAN to DEC"},
    {"day of week", 0, 7, (const char *const[]){"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}, 7, "0 to 7 or SUN to SAT"},
};

static const struct macro {
    const char *name, *rule;
} macros[] = {
    {"@hourly", "0 * * * *"},  {"@daily", "0 0 * * *"},  {"@midnight", "0 0 * * *"}, {"@weekly", "0 0 * * 0"},
    {"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"},
};
enum { MACROS = sizeof macros / sizeof *macros };

struct parser {
    struct bw_slice text;
    size_t at, end;            /* of the field that is read */
    const struct field *field; /* NULL before the first */
    int marks;                 /* FREE, STEPPED */
    struct bw_error *err;
};

/* "…: minute (character 4): '99'" with what stands there, and what was expected. */
static bool wrong(struct parser *parser, size_t at, const char *expected, const char *hint)
{
    size_t end = at;
    while (end < parser->end && end - at < 24 && !strchr(",-/", parser->text.ptr[end])) end++;
    if (end == at && end < parser->end) end++;
    const char *quote = end > at ? "'" : "";
    bw_error_set(parser->err, "cron.syntax", "the %s of a cron rule, character %zu: found %s%.*s%s, expected %s", parser->field->name, at + 1, quote,
                 end > at ? (int)(end - at) : 7, end > at ? parser->text.ptr + at : "nothing", quote, expected);
    if (hint) bw_error_hint(parser->err, "%s", hint);
    return false;
}

static const char *hint_for(const struct parser *parser, char c)
{
    if (c == '?') return "write * for any day";
    if (c == 'L' || c == 'l' || c == 'W' || c == 'w' || c == '#') return "L, W and # of other schedulers are not supported";
    return parser->field->names ? "names have three letters: JAN, MON" : NULL;
}

static bool take(struct parser *parser, char c)
{
    if (parser->at == parser->end || parser->text.ptr[parser->at] != c) return false;
    parser->at++;
    return true;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* A number or a name of the field. A word is taken as a whole, so that neither "5x" nor "MONDAY" is half understood. */
static bool take_value(struct parser *parser, int *out)
{
    const struct field *field = parser->field;
    size_t start = parser->at;
    while (parser->at < parser->end && is_word(parser->text.ptr[parser->at])) parser->at++;
    struct bw_slice word = {parser->text.ptr + start, parser->at - start};
    for (int i = 0; i < field->name_count; i++) {
        if (!bw_slice_is_nocase(word, field->names[i])) continue;
        *out = field->min + i;
        return true;
    }
    int value = 0;
    bool good = word.len > 0 && word.len <= 4;
    for (size_t i = 0; good && i < word.len; i++) {
        good = is_digit(word.ptr[i]);
        value = value * 10 + (word.ptr[i] - '0');
    }
    *out = value;
    if (good && value >= field->min && value <= field->max) return true;
    return wrong(parser, start, field->expected, start < parser->end && !good ? hint_for(parser, parser->text.ptr[start]) : NULL);
}

static bool take_step(struct parser *parser, bool is_range, int width, int *out)
{
    size_t start = parser->at;
    int step = 0;
    if (!is_range) return wrong(parser, start - 1, "a step behind * or a range only", "write the range's end: 5-59/10 instead of 5/10");
    while (parser->at < parser->end && is_digit(parser->text.ptr[parser->at]) && parser->at - start < 4)
        step = step * 10 + (parser->text.ptr[parser->at++] - '0');
    *out = step;
    if (step < 1) return wrong(parser, start, "a step of 1 or more", NULL);
    /* Vixie's cron takes "*" with "/90" as "at minute 0": nobody means that. */
    if (step > width)
        return wrong(parser, start, "a step within the field", "a step counts inside of its field and begins anew in the next hour, day or month");
    return true;
}

/* `*`, a value or a range, with an optional step. */
static bool take_part(struct parser *parser, uint64_t *bits)
{
    const struct field *field = parser->field;
    size_t start = parser->at;
    int first = field->min, last = field->max, step = 1;
    bool is_range = true;
    if (take(parser, '*')) {
        if (field == &fields[WEEKDAY]) last = 6; /* each day once: 7 is Sunday again */
        if (start == 0 || is_space(parser->text.ptr[start - 1])) parser->marks |= FREE;
        parser->marks |= STEPPED;
    } else {
        if (!take_value(parser, &first)) return false;
        last = first;
        is_range = take(parser, '-');
        size_t second = parser->at;
        if (is_range && !take_value(parser, &last)) return false;
        if (is_range && field == &fields[WEEKDAY] && last == 0) last = 7; /* FRI-SUN */
        if (last < first) return wrong(parser, second, "a range that does not end before it begins", "write two ranges: 22-23,0-6");
    }
    if (take(parser, '/')) {
        if (!take_step(parser, is_range, last > first ? last - first : 1, &step)) return false;
        parser->marks |= STEPPED;
    }
    for (int value = first; value <= last; value += step) *bits |= UINT64_C(1) << value;
    return true;
}

static bool take_field(struct parser *parser, uint64_t *bits)
{
    *bits = 0;
    parser->marks = 0;
    do {
        if (!take_part(parser, bits)) return false;
    } while (take(parser, ','));
    if (parser->at == parser->end) return true;
    return wrong(parser, parser->at, "',', '-', '/' or the next field", hint_for(parser, parser->text.ptr[parser->at]));
}

/* Moves to the next field; false at the end of the text. */
static bool next_field(struct parser *parser)
{
    parser->at = parser->end;
    while (parser->at < parser->text.len && is_space(parser->text.ptr[parser->at])) parser->at++;
    parser->end = parser->at;
    while (parser->end < parser->text.len && !is_space(parser->text.ptr[parser->end])) parser->end++;
    return parser->at < parser->end;
}

static bool check_field_count(struct bw_slice text, struct bw_error *err)
{
    static const char usage[] = "write: minute hour day-of-month month day-of-week, such as 30 2 * * MON-FRI";
    struct parser parser = {.text = text};
    int count = 0;
    while (next_field(&parser)) count++;
    if (count == FIELDS) return true;
    if (count == FIELDS + 1) {
        bw_error_set(err, "cron.syntax", "a cron rule has five fields, this one has six: a field for seconds (or years) is not supported");
        bw_error_hint(err, "leave the seconds out; %s", usage);
        return false;
    }
    bw_error_set(err, "cron.syntax", "a cron rule has five fields, this one has %d", count);
    bw_error_hint(err, "%s", usage);
    return false;
}

static const char *macro_rule(struct bw_slice text, struct bw_error *err)
{
    const char *names[MACROS];
    for (int i = 0; i < MACROS; i++) {
        names[i] = macros[i].name;
        if (bw_slice_is_nocase(text, names[i])) return macros[i].rule;
    }
    bw_error_set(err, "cron.syntax", "'%.*s' is no cron rule", (int)(text.len > 32 ? 32 : text.len), text.ptr);
    const char *near = bw_suggest(text, names, MACROS);
    if (near)
        bw_error_hint(err, "did you mean '%s'?", near);
    else
        bw_error_hint(err, "there are @hourly, @daily, @weekly, @monthly and @yearly");
    return NULL;
}

/* With both days restricted some weekday always comes; and each weekday is a 29 February at some time in 400 years. */
static bool can_fire(const struct bw_cron *cron)
{
    if (cron->either_day) return true;
    for (int month = 1; month <= 12; month++)
        if (cron->months >> month & 1 && cron->days & ((UINT32_C(2) << bw_civil_days_in_month(2000, month)) - 1)) return true;
    return false;
}

static struct bw_slice trim(struct bw_slice text)
{
    while (text.len && is_space(*text.ptr)) text.ptr++, text.len--;
    while (text.len && is_space(text.ptr[text.len - 1])) text.len--;
    return text;
}

bool bw_cron_parse(struct bw_slice text, struct bw_cron *out, struct bw_error *err)
{
    const uint64_t every_minute = (UINT64_C(1) << 60) - 1, every_hour = (1 << 24) - 1;
    uint64_t bits[FIELDS];
    int marks[FIELDS];
    if (text.len > BW_CRON_TEXT_BYTES) return bw_error_set(err, "cron.syntax", "a cron rule of more than %d characters", BW_CRON_TEXT_BYTES);
    struct bw_slice word = trim(text);
    if (word.len && *word.ptr == '@') {
        const char *rule = macro_rule(word, err);
        if (!rule) return false;
        text = bw_slice_of(rule);
    }
    if (!check_field_count(text, err)) return false;
    struct parser parser = {.text = text, .err = err};
    for (int i = 0; i < FIELDS; i++) {
        parser.field = &fields[i];
        (void)next_field(&parser); /* there are five */
        if (!take_field(&parser, &bits[i])) return false;
        marks[i] = parser.marks;
    }
    if (bits[WEEKDAY] >> 7 & 1) bits[WEEKDAY] |= 1;
    struct bw_cron cron = {
        .minutes = bits[MINUTE],
        .hours = (uint32_t)bits[HOUR],
        .days = (uint32_t)bits[DAY],
        .months = (uint32_t)bits[MONTH],
        .weekdays = bits[WEEKDAY] & 0x7f,
        .either_day = !(marks[DAY] & FREE) && !(marks[WEEKDAY] & FREE),
        .elapsed_time = (marks[MINUTE] & STEPPED || bits[MINUTE] == every_minute) && bits[HOUR] == every_hour,
    };
    if (!can_fire(&cron)) {
        bw_error_set(err, "cron.never", "the cron rule '%.*s' never fires: no such month has such a day", (int)(word.len > 64 ? 64 : word.len),
                     word.ptr);
        bw_error_hint(err, "check the day of month and the month");
        return false;
    }
    *out = cron;
    return true;
}
