/* What the bytes alone can tell: characters that YAML forbids, and the likely mistake behind a syntax error. */
#include "base/utf8.h"
#include "base/yaml_parts.h"

size_t bw_yaml_break(const char *at, const char *end)
{
    size_t left = (size_t)(end - at);
    if (left >= 2 && at[0] == '\r' && at[1] == '\n') return 2;
    if (left && (*at == '\n' || *at == '\r')) return 1;
    if (left && (unsigned char)*at < 0x80) return 0;                                               /* nearly all there is: nothing to compare */
    if (left >= 2 && !memcmp(at, "\xc2\x85", 2)) return 2;                                         /* NEL */
    if (left >= 3 && (!memcmp(at, "\xe2\x80\xa8", 3) || !memcmp(at, "\xe2\x80\xa9", 3))) return 3; /* LS, PS */
    return 0;
}

static uint32_t code_point(const char *at, size_t len)
{
    static const unsigned char lead_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t point = (unsigned char)at[0] & lead_bits[len];
    for (size_t i = 1; i < len; i++) point = point << 6 | ((unsigned char)at[i] & 0x3f);
    return point;
}

/* c-printable of the spec, less the byte-order mark inside the text (libyaml refuses that too) */
static bool is_allowed(uint32_t point)
{
    if (point < 0x20) return point == '\t' || point == '\n' || point == '\r';
    if (point < 0xa0) return point < 0x7f || point == 0x85;
    return point != 0xfeff && point != 0xfffe && point != 0xffff;
}

bool bw_yaml_check_bytes(struct bw_slice text, struct bw_yaml_place *place, struct bw_error *err)
{
    const char *end = text.ptr + text.len;
    *place = (struct bw_yaml_place){1, 1};
    for (const char *at = text.ptr; at < end;) {
        size_t len = bw_utf8_length(at, (size_t)(end - at)), line_end = bw_yaml_break(at, end);
        uint32_t point = len ? code_point(at, len) : 0;
        if (line_end) {
            *place = (struct bw_yaml_place){place->line + 1, 1};
            at += line_end;
            continue;
        }
        if (len == 0) {
            bw_error_set(err, "yaml.encoding", "byte 0x%02x is not UTF-8 here", (unsigned)(unsigned char)*at);
            bw_error_hint(err, "save the file as UTF-8");
        } else if (!is_allowed(point)) {
            bw_error_set(err, "yaml.character", "the character U+%04X may not stand in YAML", (unsigned)point);
            bw_error_hint(err, "in double quotes write \\u%04x", (unsigned)point);
        } else {
            place->column++;
            at += len;
            continue;
        }
        bw_error_at(err, NULL, place->line, place->column);
        return false;
    }
    return true;
}

struct bw_slice bw_yaml_line(struct bw_slice text, int line)
{
    const char *at = text.ptr, *end = text.ptr + text.len;
    while (at < end && line > 1) {
        size_t line_end = bw_yaml_break(at, end);
        line -= line_end > 0;
        at += line_end ? line_end : 1;
    }
    if (line != 1) return (struct bw_slice){"", 0};
    const char *stop = at;
    while (stop < end && !bw_yaml_break(stop, end)) stop++;
    return (struct bw_slice){at, (size_t)(stop - at)};
}

static char char_at(struct bw_slice line, int column)
{
    size_t at = 0;
    for (int i = 1; i < column && at < line.len; i++) at += bw_utf8_length(line.ptr + at, line.len - at);
    return at < line.len ? line.ptr[at] : '\0';
}

void bw_yaml_hint_syntax(struct bw_slice text, struct bw_error *err)
{
    static const struct {
        const char *problem, *hint;
    } hints[] = {
        {"while scanning an alias", "a text that begins with * needs quotes, as in cron: \"*/5 * * * *\""},
        {"while scanning an anchor", "a text that begins with & needs quotes"},
        {"found character that cannot start any token", "a text that begins with @, ` or % needs quotes"},
        {"mapping values are not allowed", "quote a text that holds ': ', or check the indentation"},
        {"could not find expected ':'", "a key needs ': ' behind it; a text over several lines needs | or quotes"},
        {"did not find expected key", "check the indentation: the keys of one map begin in the same column"},
        {"did not find expected '-' indicator", "check the indentation: the '-' of one list begin in the same column"},
        {"did not find expected ',' or", "a { or [ is not closed, or a ',' is missing"},
        {"unexpected end of stream", "a quote or bracket is not closed"},
        {"found unexpected document indicator", "a quote or bracket is not closed"},
        {"found unknown escape character", "write the backslash twice, or use single quotes"},
        {"block sequence entries are not allowed", "begin a list on the line after its key"},
        {"found incompatible YAML document", "only %YAML 1.1 and 1.2 are read: remove the line"},
        {"found unknown directive name", "remove the line that begins with %"},
    };
    struct bw_slice line = bw_yaml_line(text, err->line);
    if (char_at(line, err->column) == '\t') {
        bw_error_hint(err, "indent with spaces: YAML allows no tabs here");
    } else if (strstr(err->message, "flow") && memmem(line.ptr, line.len, "${{", 3)) {
        bw_error_hint(err, "inside { } and [ ] an expression needs quotes: \"${{ … }}\"");
    } else {
        for (size_t i = 0; i < sizeof hints / sizeof *hints && !err->hint[0]; i++)
            if (strstr(err->message, hints[i].problem)) bw_error_hint(err, "%s", hints[i].hint);
    }
}
