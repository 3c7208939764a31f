#include "base/json_view.h"
#include "base/utf8.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static const char *skip_space(const char *at, const char *end)
{
    while (at < end && is_space(*at)) at++;
    return at;
}

/* at is on the opening quote; returns behind the closing one: the first with an even number of backslashes before it. Each byte is looked at twice at
 * most, also in a string that is nothing but escapes. */
static const char *skip_string(const char *at, const char *end)
{
    const char *start = ++at, *quote;
    for (; (quote = memchr(at, '"', (size_t)(end - at))); at = quote + 1) {
        const char *backslash = quote;
        while (backslash > start && backslash[-1] == '\\') backslash--;
        if ((quote - backslash) % 2 == 0) return quote + 1;
    }
    return end;
}

/* Behind the value that begins at `at`. Brackets inside strings do not count. */
static const char *skip_value(const char *at, const char *end)
{
    size_t depth = 0;
    if (at == end) return end;
    if (*at == '"') return skip_string(at, end);
    if (*at != '{' && *at != '[') {
        while (at < end && *at != ',' && *at != '}' && *at != ']' && !is_space(*at)) at++;
        return at;
    }
    while (at < end) {
        char c = *at;
        if (c == '"') {
            at = skip_string(at, end);
            continue;
        }
        at++;
        if (c == '{' || c == '[') depth++;
        if ((c == '}' || c == ']') && --depth == 0) break;
    }
    return at;
}

struct bw_json_view bw_json_view_of(struct bw_slice text)
{
    const char *at = skip_space(text.ptr, text.ptr + text.len), *end = text.ptr + text.len;
    while (end > at && is_space(end[-1])) end--;
    return (struct bw_json_view){{at, (size_t)(end - at)}};
}

enum bw_json_type bw_json_view_type(struct bw_json_view view)
{
    if (!view.raw.len) return BW_JSON_NONE;
    switch (*view.raw.ptr) {
    case '{': return BW_JSON_OBJECT;
    case '[': return BW_JSON_ARRAY;
    case '"': return BW_JSON_STRING;
    case 't': return BW_JSON_TRUE;
    case 'f': return BW_JSON_FALSE;
    case 'n': return BW_JSON_NULL;
    default: return BW_JSON_NUMBER;
    }
}

struct bw_json_iter bw_json_view_iter(struct bw_json_view container)
{
    enum bw_json_type type = bw_json_view_type(container);
    const char *end = container.raw.ptr + container.raw.len;
    if (type != BW_JSON_OBJECT && type != BW_JSON_ARRAY) return (struct bw_json_iter){end, end};
    return (struct bw_json_iter){container.raw.ptr + 1, end};
}

bool bw_json_iter_next(struct bw_json_iter *iter, struct bw_slice *raw_key, struct bw_json_view *value)
{
    const char *end = iter->end, *at = skip_space(iter->next, end);
    struct bw_slice key = {at, 0};
    if (at < end && *at == ',') at = skip_space(at + 1, end);
    if (at == end || *at == '}' || *at == ']') {
        iter->next = end;
        return false;
    }
    /* A string that is followed by a colon is a key: in an array it never is. */
    const char *behind = skip_value(at, end), *colon = skip_space(behind, end);
    if (*at == '"' && colon < end && *colon == ':') {
        key = (struct bw_slice){at, (size_t)(behind - at)};
        at = skip_space(colon + 1, end);
        behind = skip_value(at, end);
    }
    if (raw_key) *raw_key = key;
    *value = (struct bw_json_view){{at, (size_t)(behind - at)}};
    iter->next = behind;
    return behind > at;
}

static bool key_equal(struct bw_slice raw, struct bw_slice key)
{
    struct bw_buf unescaped = {0};
    if (raw.len < 2) return false;
    if (!memchr(raw.ptr, '\\', raw.len)) return raw.len - 2 == key.len && !memcmp(raw.ptr + 1, key.ptr, key.len);
    bw_json_unescape_append(&unescaped, raw);
    bool equal = bw_slice_equal(bw_buf_slice(&unescaped), key);
    bw_buf_free(&unescaped);
    return equal;
}

bool bw_json_view_get(struct bw_json_view object, struct bw_slice key, struct bw_json_view *out)
{
    struct bw_json_iter iter = bw_json_view_iter(object);
    struct bw_slice raw;
    struct bw_json_view value;
    bool found = false;
    if (bw_json_view_type(object) != BW_JSON_OBJECT) return false;
    while (bw_json_iter_next(&iter, &raw, &value))
        if (key_equal(raw, key)) {
            *out = value;
            found = true; /* go on: the last one wins */
        }
    return found;
}

bool bw_json_view_at(struct bw_json_view array, size_t index, struct bw_json_view *out)
{
    struct bw_json_iter iter = bw_json_view_iter(array);
    if (bw_json_view_type(array) != BW_JSON_ARRAY) return false;
    while (bw_json_iter_next(&iter, NULL, out))
        if (!index--) return true;
    return false;
}

size_t bw_json_view_count(struct bw_json_view container)
{
    struct bw_json_iter iter = bw_json_view_iter(container);
    struct bw_json_view value;
    size_t count = 0;
    while (bw_json_iter_next(&iter, NULL, &value)) count++;
    return count;
}

bool bw_json_view_pointer(struct bw_json_view root, const char *pointer, struct bw_json_view *out)
{
    char key[256];
    *out = root;
    while (*pointer) {
        size_t n = 0;
        if (*pointer++ != '/') return false;
        for (; *pointer && *pointer != '/'; pointer++) {
            if (n == sizeof key) return false;
            if (*pointer == '~' && (pointer[1] == '0' || pointer[1] == '1'))
                key[n++] = *++pointer == '0' ? '~' : '/';
            else
                key[n++] = *pointer;
        }
        if (bw_json_view_type(*out) == BW_JSON_ARRAY) {
            size_t index = 0;
            if (!n || n > 9 || (n > 1 && key[0] == '0')) return false;
            for (size_t i = 0; i < n; i++) {
                if (key[i] < '0' || key[i] > '9') return false;
                index = index * 10 + (size_t)(key[i] - '0');
            }
            if (!bw_json_view_at(*out, index, out)) return false;
        } else if (!bw_json_view_get(*out, (struct bw_slice){key, n}, out)) {
            return false;
        }
    }
    return true;
}

bool bw_json_view_number(struct bw_json_view view, bool *is_integer, int64_t *integer, double *real)
{
    char short_text[64];
    if (bw_json_view_type(view) != BW_JSON_NUMBER) return false;
    bool is_short = view.raw.len < sizeof short_text;
    char *text = is_short ? short_text : bw_slice_dup(view.raw);
    if (!text) return false;
    if (is_short) {
        memcpy(text, view.raw.ptr, view.raw.len);
        text[view.raw.len] = '\0';
    }
    *is_integer = !strpbrk(text, ".eE");
    errno = 0;
    if (*is_integer) {
        *integer = strtoll(text, NULL, 10);
        *is_integer = errno == 0;
    }
    *real = strtod(text, NULL); /* the process never leaves the C locale */
    if (!is_short) free(text);
    return true;
}

static int hex4(const char *at)
{
    int value = 0;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        value = value * 16 + (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return value;
}

void bw_json_unescape_append(struct bw_buf *out, struct bw_slice raw)
{
    const char *at = raw.ptr + 1, *end = raw.ptr + raw.len - 1;
    if (raw.len < 2) return;
    while (at < end) {
        const char *backslash = memchr(at, '\\', (size_t)(end - at));
        if (!backslash || backslash + 1 >= end) {
            bw_buf_append(out, at, (size_t)(end - at));
            return;
        }
        bw_buf_append(out, at, (size_t)(backslash - at));
        at = backslash + 2;
        static const char plain[] = "\"\\/bfnrt", meaning[] = "\"\\/\b\f\n\r\t";
        const char *found = strchr(plain, backslash[1]);
        if (found && backslash[1]) {
            bw_buf_append_char(out, meaning[found - plain]);
        } else if (backslash[1] == 'u' && end - at >= 4) {
            char utf8[4];
            unsigned point = (unsigned)hex4(at);
            at += 4;
            if (point >= 0xd800 && point <= 0xdbff && end - at >= 6) {
                point = 0x10000 + ((point - 0xd800) << 10) + ((unsigned)hex4(at + 2) - 0xdc00);
                at += 6;
            }
            bw_buf_append(out, utf8, bw_utf8_encode(point & 0x1fffff, utf8));
        }
    }
}

struct bw_slice bw_json_view_string(struct bw_json_view view, struct bw_buf *scratch)
{
    if (view.raw.len < 2 || *view.raw.ptr != '"') return (struct bw_slice){"", 0};
    if (!memchr(view.raw.ptr, '\\', view.raw.len)) return (struct bw_slice){view.raw.ptr + 1, view.raw.len - 2};
    bw_buf_clear(scratch);
    bw_json_unescape_append(scratch, view.raw);
    return bw_buf_slice(scratch);
}

void bw_json_real_append(struct bw_buf *out, double value)
{
    char text[40];
    if (!isfinite(value)) {
        bw_buf_append_text(out, "null");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    bw_buf_append_text(out, text);
    if (!strpbrk(text, ".e")) bw_buf_append_text(out, ".0");
}
