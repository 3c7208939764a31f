#include "base/buf.h"
#include "base/utf8.h"
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

bool bw_slice_equal(struct bw_slice a, struct bw_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool bw_slice_is(struct bw_slice a, const char *text)
{
    return bw_slice_equal(a, bw_slice_of(text));
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c; /* not tolower(): the locale must not decide */
}

bool bw_slice_is_nocase(struct bw_slice a, const char *text)
{
    if (a.len != strlen(text)) return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.ptr[i]) != lower(text[i])) return false;
    return true;
}

struct bw_slice bw_slice_trimmed(struct bw_slice a)
{
    while (a.len && (a.ptr[0] == ' ' || a.ptr[0] == '\t')) a.ptr++, a.len--;
    while (a.len && (a.ptr[a.len - 1] == ' ' || a.ptr[a.len - 1] == '\t')) a.len--;
    return a;
}

char *bw_slice_dup(struct bw_slice a)
{
    char *copy = a.len < SIZE_MAX ? malloc(a.len + 1) : NULL;
    if (!copy) return NULL;
    if (a.len) memcpy(copy, a.ptr, a.len);
    copy[a.len] = '\0';
    return copy;
}

bool bw_buf_reserve(struct bw_buf *buf, size_t more)
{
    if (buf->failed) return false;
    if (more < buf->capacity - buf->len) return true; /* strictly less: one byte is kept for the NUL */
    if (more > SIZE_MAX / 2 - buf->len - 1) {
        buf->failed = true;
        return false;
    }
    size_t need = buf->len + more + 1, capacity = buf->capacity < 32 ? 64 : 2 * buf->capacity;
    if (capacity < need) capacity = need; /* who knows how much will come gets that */
    char *data = realloc(buf->data, capacity);
    if (!data) {
        buf->failed = true;
        return false;
    }
    data[buf->len] = '\0';
    buf->data = data;
    buf->capacity = capacity;
    return true;
}

void bw_buf_append(struct bw_buf *buf, const void *bytes, size_t len)
{
    if (!bw_buf_reserve(buf, len)) return;
    if (len) memcpy(buf->data + buf->len, bytes, len);
    buf->len += len;
    buf->data[buf->len] = '\0';
}

void bw_buf_append_slice(struct bw_buf *buf, struct bw_slice bytes)
{
    bw_buf_append(buf, bytes.ptr, bytes.len);
}

void bw_buf_append_text(struct bw_buf *buf, const char *text)
{
    bw_buf_append(buf, text, strlen(text));
}

void bw_buf_append_char(struct bw_buf *buf, char c)
{
    bw_buf_append(buf, &c, 1);
}

void bw_buf_append_int(struct bw_buf *buf, int64_t number)
{
    char digits[20];
    size_t at = sizeof digits;
    uint64_t left = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do digits[--at] = (char)('0' + left % 10);
    while ((left /= 10));
    if (number < 0) digits[--at] = '-';
    bw_buf_append(buf, digits + at, sizeof digits - at);
}

void bw_buf_printf(struct bw_buf *buf, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    if (bw_buf_reserve(buf, 0)) {
        size_t room = buf->capacity - buf->len;
        int len = vsnprintf(buf->data + buf->len, room, format, args);
        if (len >= 0 && (size_t)len >= room) {
            buf->data[buf->len] = '\0';
            if (bw_buf_reserve(buf, (size_t)len)) vsnprintf(buf->data + buf->len, (size_t)len + 1, format, again);
        }
        if (len < 0) buf->failed = true;
        if (!buf->failed) buf->len += (size_t)len;
    }
    va_end(again);
    va_end(args);
}

/* U+0080 to U+009F: control characters in two bytes of UTF-8 */
static bool is_c1(const char *at)
{
    return (unsigned char)at[0] == 0xc2 && (unsigned char)at[1] < 0xa0;
}

#define ONES 0x0101010101010101ull
#define HIGHS 0x8080808080808080ull

/* Bytes from the start that need no escape: printable ASCII without '"' and '\'. Eight at a time; a set high bit in the mask
 * marks a byte that stops the run (false marks can only follow a true one, so the first is always true). */
static size_t clean_run(const char *text, size_t len)
{
    size_t i = 0;
    for (; i + 8 <= len; i += 8) {
        uint64_t word, quote, slash, del;
        memcpy(&word, text + i, 8);
        quote = word ^ (ONES * '"');
        slash = word ^ (ONES * '\\');
        del = word ^ (ONES * 0x7f);
        uint64_t stop = (word | (word - ONES * 0x20) | (quote - ONES) | (slash - ONES) | (del - ONES)) & HIGHS;
        if (stop) break;
    }
    while (i < len && (unsigned char)text[i] >= 0x20 && (unsigned char)text[i] < 0x7f && text[i] != '"' && text[i] != '\\') i++;
    return i;
}

/* The same with other characters than ASCII in it. */
static size_t plain_run(const char *text, size_t len)
{
    size_t i = clean_run(text, len);
    while (i < len) {
        size_t bytes = bw_utf8_length(text + i, len - i);
        if (bytes < 2 || is_c1(text + i)) break;
        i += bytes;
        i += clean_run(text + i, len - i);
    }
    return i;
}

/* Appends one character that plain_run() stopped at; returns its bytes. */
static size_t append_special(struct bw_buf *buf, const char *at, size_t left)
{
    static const char shorts[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r', ['"'] = '"', ['\\'] = '\\'};
    unsigned char c = (unsigned char)*at;
    if (c < sizeof shorts && shorts[c]) {
        bw_buf_append(buf, (char[]){'\\', shorts[c]}, 2);
        return 1;
    }
    size_t len = bw_utf8_length(at, left);
    if (len == 0) {
        bw_buf_append(buf, "\xef\xbf\xbd", 3);
        return 1;
    }
    static const char digits[] = "0123456789abcdef"; /* C0, DEL or C1: a terminal would obey them */
    c = (unsigned char)at[len - 1];
    bw_buf_append(buf, (char[]){'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]}, 6);
    return len;
}

size_t bw_json_string_length(struct bw_slice text)
{
    size_t total = 2;
    for (size_t i = 0; i < text.len;) {
        size_t run = plain_run(text.ptr + i, text.len - i);
        total += run;
        i += run;
        if (i == text.len) break;
        size_t len = bw_utf8_length(text.ptr + i, text.len - i);
        total += len ? 6 : 3; /* a short escape is less */
        i += len ? len : 1;
    }
    return total;
}

void bw_buf_append_json_string(struct bw_buf *buf, struct bw_slice text)
{
    if (!bw_buf_reserve(buf, text.len + 2)) return;
    bw_buf_append_char(buf, '"');
    for (size_t i = 0; i < text.len;) {
        size_t run = plain_run(text.ptr + i, text.len - i);
        bw_buf_append(buf, text.ptr + i, run);
        i += run;
        if (i < text.len) i += append_special(buf, text.ptr + i, text.len - i);
    }
    bw_buf_append_char(buf, '"');
}

void bw_buf_clear(struct bw_buf *buf)
{
    buf->len = 0;
    buf->failed = false;
    if (buf->data) buf->data[0] = '\0';
}

void bw_buf_free(struct bw_buf *buf)
{
    free(buf->data);
    *buf = (struct bw_buf){0};
}

char *bw_buf_take(struct bw_buf *buf, size_t *len)
{
    bw_buf_reserve(buf, 0); /* an empty buffer gives "", not NULL */
    char *data = buf->failed ? NULL : buf->data;
    if (len) *len = data ? buf->len : 0;
    if (!data) free(buf->data);
    *buf = (struct bw_buf){0};
    return data;
}

void bw_buf_append_pointer(struct bw_buf *buf, struct bw_slice name)
{
    bw_buf_append_char(buf, '/');
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '~' || name.ptr[i] == '/')
            bw_buf_append_text(buf, name.ptr[i] == '~' ? "~0" : "~1");
        else
            bw_buf_append_char(buf, name.ptr[i]);
    }
}
