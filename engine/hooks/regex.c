/* Regular expressions of Go's (RE2) that Lua's patterns can say: texts, classes, repetitions of one character, alternatives, groups that are not
 * repeated. Alternatives and groups become several patterns. Whether there is a match is all that is asked, so greedy or not makes no difference.
 * A character is several bytes where it is not ASCII, and a pattern knows bytes: what would see the difference is not taken. */
#include "hooks/internal.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define ALTERNATIVES_MAX 16
#define COPIES_MAX 64
#define PATTERN_BYTES_MAX 150 /* lua/pattern.h has room for 200 items */
#define ANY "[^\n]"
#define ANY_CHARACTER "[^\n\x80-\xBF][\x80-\xBF]*"

struct list {
    char *items[ALTERNATIVES_MAX];
    size_t count;
};

/* Where what begins here ends: an escape, a class, a group, one byte. NULL: it does not end. */
static const char *skip(const char *at)
{
    if (*at == '\\') return at[1] ? at + 2 : NULL;
    if (*at == '[') {
        at += at[1] == '^' ? 2 : 1;
        if (*at == ']') at++; /* as the first one it is a member */
        while (*at && *at != ']') at += *at == '\\' && at[1] ? 2 : 1;
        return *at ? at + 1 : NULL;
    }
    if (*at == '(') {
        for (at++; *at && *at != ')';)
            if (!(at = skip(at))) return NULL;
        return *at ? at + 1 : NULL;
    }
    return at + 1;
}

static bool expand(struct list *list, const char *regex);

/* before + part + after, and that expanded in its turn */
static bool expand_with(struct list *list, struct bw_slice before, struct bw_slice part, const char *after)
{
    struct bw_buf whole = {0};
    bw_buf_append_slice(&whole, before);
    bw_buf_append_slice(&whole, part);
    bw_buf_append_text(&whole, after);
    bool good = !whole.failed && whole.len <= 2 * PATTERN_BYTES_MAX && expand(list, whole.data ? whole.data : "");
    bw_buf_free(&whole);
    return good;
}

/* The alternatives of inner, each between before and after. */
static bool expand_alternatives(struct list *list, struct bw_slice before, struct bw_slice inner, const char *after)
{
    const char *begin = inner.ptr, *at = begin, *end = inner.ptr + inner.len;
    while (at < end) {
        if (*at == '|') {
            if (!expand_with(list, before, (struct bw_slice){begin, (size_t)(at - begin)}, after)) return false;
            begin = ++at;
        } else if (!(at = skip(at))) {
            return false;
        }
    }
    return expand_with(list, before, (struct bw_slice){begin, (size_t)(end - begin)}, after);
}

static bool expand_group(struct list *list, const char *regex, const char *at)
{
    const char *end = skip(at), *inner = at + 1;
    if (!end || strchr("*+?{", *end ? *end : 'x')) return false;
    if (*inner == '?') {
        if (inner[1] != ':') return false; /* flags, names */
        inner += 2;
    }
    return expand_alternatives(list, (struct bw_slice){regex, (size_t)(at - regex)}, (struct bw_slice){inner, (size_t)(end - inner) - 1}, end);
}

static bool expand(struct list *list, const char *regex)
{
    for (const char *at = regex; at && *at;) {
        if (*at == '|') return expand_alternatives(list, BW_SLICE(""), bw_slice_of(regex), "");
        if (!(at = skip(at))) return false;
    }
    for (const char *at = regex; *at; at = skip(at))
        if (*at == '(') return expand_group(list, regex, at);
    if (list->count == ALTERNATIVES_MAX) return false;
    return (list->items[list->count++] = strdup(regex)) != NULL;
}

/* ---- one of them ---- */

static void append_byte(struct bw_buf *out, char c)
{
    if (c && strchr("^$()%.[]*+-?", c)) bw_buf_append_char(out, '%');
    bw_buf_append_char(out, c);
}

/* What a backslash makes of a letter, as it stands within brackets; NULL: another one. */
static const char *shorthand(char c)
{
    return c == 'd' ? "0-9" : c == 'w' ? "0-9A-Za-z_" : c == 's' ? " \t\n\f\r" : c == 'n' ? "\n" : c == 't' ? "\t" : c == 'r' ? "\r" : NULL;
}

static bool append_class(struct bw_buf *out, const char *at, const char *end)
{
    bool is_negated = at[1] == '^';
    bw_buf_append_text(out, is_negated ? "[^" : "[");
    for (at += is_negated ? 2 : 1; at < end - 1; at++) {
        bool is_range = at + 2 < end - 1 && at[1] == '-';
        if (!isascii((unsigned char)*at) || (*at == '[' && at[1] == ':')) return false;
        if (*at == '\\') {
            const char *short_form = shorthand(*++at);
            if (!short_form && isalnum((unsigned char)*at)) return false;
            if (at + 2 < end - 1 && at[1] == '-') return false;
            if (short_form)
                bw_buf_append_text(out, short_form);
            else
                append_byte(out, *at);
        } else if (is_range) {
            if (!isalnum((unsigned char)*at) || !isascii((unsigned char)at[2]) || !isalnum((unsigned char)at[2]) || at[2] < *at) return false;
            bw_buf_printf(out, "%c-%c", *at, at[2]);
            at += 2;
        } else {
            append_byte(out, *at);
        }
    }
    bw_buf_append_char(out, ']');
    return true;
}

/* One character, or a class of them. is_wide: it may be more than a byte, and can only be repeated at will. */
static bool append_atom(struct bw_buf *out, const char *at, const char *end, bool *is_wide)
{
    *is_wide = *at == '.' || (*at == '[' && at[1] == '^');
    if (*at == '.') return bw_buf_append_text(out, ANY), true;
    if (*at == '[') return append_class(out, at, end);
    if (*at == '\\') {
        const char *short_form = shorthand(at[1]);
        if (short_form) return bw_buf_printf(out, "[%s]", short_form), true;
        if (isalnum((unsigned char)at[1]) || !isascii((unsigned char)at[1])) return false;
        append_byte(out, at[1]);
        return true;
    }
    if (strchr("^$*+?{}()|", *at)) return false;
    append_byte(out, *at);
    return true;
}

static bool append_copies(struct bw_buf *out, const char *atom, const char *counts, const char *end)
{
    char *rest;
    long least = strtol(counts + 1, &rest, 10), most = least;
    if (rest == counts + 1) return false;
    if (*rest == ',') most = rest[1] == '}' ? -1 : strtol(rest + 1, &rest, 10);
    if (most == -1) rest += 1;
    if (rest != end - 1 || least < 0 || least > COPIES_MAX || most > COPIES_MAX || (most >= 0 && most < least)) return false;
    for (long i = 0; i < least; i++) bw_buf_append_text(out, atom);
    for (long i = least; i < most; i++) bw_buf_printf(out, "%s?", atom);
    if (most < 0) bw_buf_printf(out, "%s*", atom);
    return true;
}

/* The atom, as often as what stands behind it says; *at is moved behind that. */
static bool append_repeated(struct bw_buf *out, const char **at, const char *atom, bool is_wide, bool is_plural)
{
    char sign = **at;
    const char *end = sign == '{' ? strchr(*at, '}') : NULL;
    bool good = true;
    if (sign == '?' && is_wide) return false;
    if (sign == '*' || sign == '+' || sign == '?') {
        bw_buf_printf(out, "%s%c", atom, sign);
        (*at)++;
    } else if (sign == '{') {
        good = end && !is_wide && append_copies(out, atom, *at, end + 1);
        if (good) *at = end + 1;
    } else if (is_wide) {
        good = !strcmp(atom, ANY); /* a class of all but some: which bytes are one character, it does not say */
        bw_buf_append_text(out, ANY_CHARACTER);
    } else {
        bw_buf_append_text(out, atom);
        return true;
    }
    bool was_repeated = sign && strchr("*+?{", sign);
    if (was_repeated && is_plural) return false; /* é*: a part of a character would be repeated */
    if (was_repeated && **at == '?') (*at)++;    /* as few as possible: the same question */
    return good && !(was_repeated && **at && strchr("*+?{", **at));
}

static bool translate(struct bw_buf *out, const char *regex)
{
    const char *at = regex;
    if (*at == '^') bw_buf_append_char(out, *at++);
    while (*at && !(*at == '$' && !at[1])) {
        struct bw_buf atom = {0};
        const char *end = skip(at);
        bool is_wide, is_plural = !isascii((unsigned char)*at);
        bool good = end && append_atom(&atom, at, end, &is_wide) && !atom.failed;
        if (good) {
            at = end;
            good = append_repeated(out, &at, atom.data, is_wide, is_plural);
        }
        bw_buf_free(&atom);
        if (!good) return false;
    }
    if (*at == '$') bw_buf_append_char(out, '$');
    return out->len <= PATTERN_BYTES_MAX;
}

bool bw_hooks_append_regex(struct bw_buf *out, const char *value, const char *regex)
{
    struct list list = {0};
    struct bw_buf all = {0};
    bool good = expand(&list, regex);
    for (size_t i = 0; i < list.count; i++) {
        struct bw_buf pattern = {0};
        good = good && translate(&pattern, list.items[i]);
        bw_buf_printf(&all, "%sstring.find(fmt('%%s', %s), ", i ? " or " : "", value);
        bw_hooks_append_lua(&all, bw_buf_slice(&pattern));
        bw_buf_append_char(&all, ')');
        if (pattern.failed) all.failed = true;
        bw_buf_free(&pattern);
        free(list.items[i]);
    }
    if (good) bw_buf_printf(out, "(%s ~= nil and (%s) ~= nil)", value, all.data ? all.data : "");
    if (all.failed) out->failed = true;
    bw_buf_free(&all);
    return good;
}
