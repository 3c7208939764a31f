#include "text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_CHARS 76
#define WORD_BYTES_MAX 42      /* of an encoded word, which has at most 75 characters */
#define CHARACTER_MAX_CHARS 13 /* of a parameter: %XX of four bytes, and a semicolon */
#define WORD_CHARS 12          /* "=?UTF-8?B?" and "?=" */

void mail_append_text(struct text *text, const char *from)
{
    text_append(text, from, strlen(from));
}

bool mail_is_ascii(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text >= 0x80) return false;
    return true;
}

bool mail_has_control(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (((unsigned char)text[i] < ' ' && text[i] != '\t') || text[i] == 0x7f) return true;
    return false;
}

/* ---- bodies ---- */

/* How many bytes at `at` end a line: CRLF, LF or CR. */
static size_t line_end(const char *at, const char *end)
{
    if (at < end && *at == '\r') return at + 1 < end && at[1] == '\n' ? 2 : 1;
    return at < end && *at == '\n' ? 1 : 0;
}

void mail_append_quoted_printable(struct text *text, const char *from, size_t len)
{
    const char *end = from + len;
    size_t column = 0;
    while (from < end) {
        size_t ends = line_end(from, end);
        char code[4];
        if (ends) {
            text_append(text, "\r\n", 2);
            column = 0;
            from += ends;
            continue;
        }
        /* A blank at the end of a line would be lost on the way. */
        bool is_last = from + 1 == end || line_end(from + 1, end), is_blank = *from == ' ' || *from == '\t';
        bool is_plain = is_blank ? !is_last : *from > ' ' && *from < 0x7f && *from != '=';
        size_t width = is_plain ? 1 : 3;
        if (column + width > LINE_MAX_CHARS - 1) {
            text_append(text, "=\r\n", 3);
            column = 0;
        }
        if (is_plain)
            text_append(text, from, 1);
        else
            text_append(text, code, (size_t)snprintf(code, sizeof code, "=%02X", (unsigned char)*from));
        column += width;
        from++;
    }
}

static bool is_base64_char(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
}

bool mail_append_base64(struct text *text, const char *from, size_t len)
{
    size_t count = 0, padding = 0;
    for (size_t i = 0; i < len; i++) {
        if (from[i] == '\r' || from[i] == '\n') continue;
        if (from[i] == '=')
            padding++;
        else if (padding || !is_base64_char(from[i]))
            return false;
        if (count && count % LINE_MAX_CHARS == 0) text_append(text, "\r\n", 2);
        text_append(text, from + i, 1);
        count++;
    }
    if (count) text_append(text, "\r\n", 2);
    return count % 4 == 0 && padding <= 2;
}

/* ---- headers ---- */

static void append_base64_of(struct text *text, const char *bytes, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < len; i += 3) {
        unsigned a = (unsigned char)bytes[i], b = i + 1 < len ? (unsigned char)bytes[i + 1] : 0, c = i + 2 < len ? (unsigned char)bytes[i + 2] : 0;
        char four[4] = {digits[a >> 2], digits[(a & 3) << 4 | b >> 4], i + 1 < len ? digits[(b & 15) << 2 | c >> 6] : '=',
                        i + 2 < len ? digits[c & 63] : '='};
        text_append(text, four, 4);
    }
}

static bool is_inside(char byte) /* of a character of UTF-8 */
{
    return ((unsigned char)byte & 0xc0) == 0x80;
}

/* As much of it as fits into `room` bytes, and no character in two words (RFC 2047, 5). */
static size_t word_len(const char *value, size_t len, size_t room)
{
    size_t most = len < room ? len : room;
    while (most < len && most > 1 && is_inside(value[most])) most--;
    return most;
}

/* The first word stands on the line that is begun, as far as there is room: a reader could take a fold before it for a blank of the text. */
static size_t append_encoded_words(struct text *text, const char *value, size_t used)
{
    size_t len = strlen(value), width = used;
    while (len) {
        size_t room = width + WORD_CHARS + 8 < LINE_MAX_CHARS ? (LINE_MAX_CHARS - WORD_CHARS - width) / 4 * 3 : 0;
        if (!room) {
            mail_append_text(text, "\r\n ");
            width = 1;
            room = WORD_BYTES_MAX;
        }
        size_t take = word_len(value, len, room < WORD_BYTES_MAX ? room : WORD_BYTES_MAX);
        mail_append_text(text, "=?UTF-8?B?");
        append_base64_of(text, value, take);
        mail_append_text(text, "?=");
        width += WORD_CHARS + (take + 2) / 3 * 4;
        value += take;
        if ((len -= take)) width = LINE_MAX_CHARS; /* the next one on a line of its own */
    }
    return width;
}

/* ASCII as it is, folded at blanks. Only where words are between blanks does folding keep the text (RFC 5322, 2.2.3). */
static void append_folded(struct text *text, const char *value, size_t used)
{
    while (*value) {
        size_t blanks = strspn(value, " "), word = strcspn(value + blanks, " ");
        if (used + blanks + word > LINE_MAX_CHARS && blanks && word) {
            mail_append_text(text, "\r\n");
            used = 0;
        }
        text_append(text, value, blanks + word);
        used += blanks + word;
        value += blanks + word;
    }
}

/* Text that cannot stand as it is: not ASCII, a tab, blanks that folding would lose, a word longer than a line may be, or what looks like an encoded
 * word. */
static bool needs_encoding(const char *value)
{
    size_t word = 0;
    if (!mail_is_ascii(value) || strchr(value, '\t') || strstr(value, "=?") || *value == ' ' || (*value && value[strlen(value) - 1] == ' '))
        return true;
    for (; *value; value++)
        if ((word = *value == ' ' ? 0 : word + 1) > 700) return true;
    return false;
}

void mail_append_field(struct text *text, const char *name, const char *value)
{
    mail_append_text(text, name);
    mail_append_text(text, ": ");
    if (needs_encoding(value))
        append_encoded_words(text, value, strlen(name) + 2);
    else
        append_folded(text, value, strlen(name) + 2);
    mail_append_text(text, "\r\n");
}

size_t mail_append_phrase(struct text *text, const char *value, size_t used)
{
    if (needs_encoding(value) || strlen(value) > 60) return append_encoded_words(text, value, used);
    size_t before = text->len;
    text_append(text, "\"", 1);
    for (; *value; value++) {
        if (*value == '"' || *value == '\\') text_append(text, "\\", 1);
        text_append(text, value, 1);
    }
    text_append(text, "\"", 1);
    return used + text->len - before;
}

/* RFC 2231: what is no plain character is %XX; what is long is in parts, and no character in two of them. */
static void append_extended_parameter(struct text *text, const char *name, const char *value)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_";
    unsigned part = 0;
    do {
        char head[80], code[4];
        size_t width = (size_t)snprintf(head, sizeof head, ";\r\n %.40s*%u*=%s", name, part, part ? "" : "UTF-8''");
        mail_append_text(text, head);
        for (; *value && (is_inside(*value) || width + CHARACTER_MAX_CHARS <= LINE_MAX_CHARS); value++) {
            bool is_plain = strchr(plain, *value) != NULL;
            if (is_plain)
                text_append(text, value, 1);
            else
                text_append(text, code, (size_t)snprintf(code, sizeof code, "%%%02X", (unsigned char)*value));
            width += is_plain ? 1 : 3;
        }
        part++;
    } while (*value);
}

void mail_append_parameter(struct text *text, const char *name, const char *value)
{
    if (!mail_is_ascii(value) || strpbrk(value, "\"\\\t") || strstr(value, "=?") || strlen(value) > 60) {
        append_extended_parameter(text, name, value);
        return;
    }
    mail_append_text(text, ";\r\n ");
    mail_append_text(text, name);
    mail_append_text(text, "=\"");
    mail_append_text(text, value);
    mail_append_text(text, "\"");
}
