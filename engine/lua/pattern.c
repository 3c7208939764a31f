#include "lua/pattern.h"
#include <ctype.h>

enum kind { END, END_OF_SUBJECT, OPEN, CLOSE, POSITION, BALANCE, FRONTIER, BACK_REFERENCE, ANY, BYTE, CLASS, SET };
enum repeat { ONCE, MAYBE, MANY, SOME, FEW }; /* none, ?, *, +, - */

/* ---- compiling ---- */

struct compiler {
    struct bw_pattern *pattern;
    const char *at, *end;
    uint8_t open[BW_PATTERN_CAPTURES_MAX]; /* numbers of the captures that are not closed yet */
    unsigned open_count;
    bool is_closed[BW_PATTERN_CAPTURES_MAX];
};

static void set_add(struct bw_pattern_item *item, unsigned byte)
{
    item->set[byte >> 5] |= 1u << (byte & 31);
}
static bool set_has(const struct bw_pattern_item *item, unsigned byte)
{
    return item->set[byte >> 5] >> (byte & 31) & 1;
}

/* An upper-case letter is the complement; a letter that names no class stands for itself. */
static bool class_has(uint8_t letter, unsigned byte)
{
    bool is_in;
    switch (tolower(letter)) {
    case 'a': is_in = isalpha((int)byte); break;
    case 'c': is_in = iscntrl((int)byte); break;
    case 'd': is_in = isdigit((int)byte); break;
    case 'g': is_in = isgraph((int)byte); break;
    case 'l': is_in = islower((int)byte); break;
    case 'p': is_in = ispunct((int)byte); break;
    case 's': is_in = isspace((int)byte); break;
    case 'u': is_in = isupper((int)byte); break;
    case 'w': is_in = isalnum((int)byte); break;
    case 'x': is_in = isxdigit((int)byte); break;
    case 'z': is_in = byte == 0; break; /* deprecated in Lua, and still there */
    default: return letter == byte;
    }
    return isupper(letter) ? !is_in : is_in;
}

/* `at` is behind the '['. A ']' that comes first is a member, a '-' at either end too. */
static const char *compile_set(struct compiler *compiler, struct bw_pattern_item *item)
{
    bool is_complement = compiler->at < compiler->end && *compiler->at == '^', is_first = true;
    if (is_complement) compiler->at++;
    for (;; is_first = false) {
        if (compiler->at == compiler->end) return "malformed pattern (missing ']')";
        uint8_t byte = (uint8_t)*compiler->at++;
        size_t left = (size_t)(compiler->end - compiler->at);
        if (byte == ']' && !is_first) break;
        if (byte == '%') {
            if (!left) return "malformed pattern (missing ']')";
            uint8_t letter = (uint8_t)*compiler->at++;
            for (unsigned i = 0; i < 256; i++)
                if (class_has(letter, i)) set_add(item, i);
        } else if (left >= 2 && *compiler->at == '-' && compiler->at[1] != ']') {
            for (unsigned i = byte; i <= (uint8_t)compiler->at[1]; i++) set_add(item, i);
            compiler->at += 2;
        } else {
            set_add(item, byte);
        }
    }
    for (unsigned i = 0; is_complement && i < 8; i++) item->set[i] = ~item->set[i];
    return NULL;
}

static const char *compile_open(struct compiler *compiler, struct bw_pattern_item *item)
{
    struct bw_pattern *pattern = compiler->pattern;
    if (pattern->captures == BW_PATTERN_CAPTURES_MAX) return "too many captures";
    item->a = (uint8_t)pattern->captures++;
    item->kind = OPEN;
    if (compiler->at < compiler->end && *compiler->at == ')') {
        compiler->at++;
        compiler->is_closed[item->a] = true;
        item->kind = POSITION;
    } else {
        compiler->open[compiler->open_count++] = item->a;
    }
    return NULL;
}

static const char *compile_close(struct compiler *compiler, struct bw_pattern_item *item)
{
    if (!compiler->open_count) return "invalid pattern capture";
    item->kind = CLOSE;
    item->a = compiler->open[--compiler->open_count];
    compiler->is_closed[item->a] = true;
    return NULL;
}

/* `at` is behind the '%'. Sets *is_single for what may be repeated. */
static const char *compile_escape(struct compiler *compiler, struct bw_pattern_item *item, bool *is_single)
{
    if (compiler->at == compiler->end) return "malformed pattern (ends with '%')";
    uint8_t letter = (uint8_t)*compiler->at++;
    if (letter == 'b') {
        if (compiler->end - compiler->at < 2) return "malformed pattern (missing arguments to '%b')";
        item->kind = BALANCE;
        item->a = (uint8_t)*compiler->at++;
        item->b = (uint8_t)*compiler->at++;
    } else if (letter == 'f') {
        if (compiler->at == compiler->end || *compiler->at != '[') return "missing '[' after '%f' in pattern";
        compiler->at++;
        item->kind = FRONTIER;
        return compile_set(compiler, item);
    } else if (isdigit(letter)) {
        item->kind = BACK_REFERENCE;
        item->a = (uint8_t)(letter - '1');
        if (letter == '0' || item->a >= compiler->pattern->captures || !compiler->is_closed[item->a]) return "invalid capture index in pattern";
    } else {
        item->kind = isalpha(letter) ? CLASS : BYTE;
        item->a = letter;
        *is_single = true;
    }
    return NULL;
}

static const char *compile_item(struct compiler *compiler, struct bw_pattern_item *item)
{
    uint8_t byte = (uint8_t)*compiler->at++;
    bool is_single = false;
    const char *fault = NULL;
    switch (byte) {
    case '(': return compile_open(compiler, item);
    case ')': return compile_close(compiler, item);
    case '%': fault = compile_escape(compiler, item, &is_single); break;
    case '[':
        item->kind = SET;
        is_single = true;
        fault = compile_set(compiler, item);
        break;
    case '.':
        item->kind = ANY;
        is_single = true;
        break;
    case '$':
        if (compiler->at == compiler->end) {
            item->kind = END_OF_SUBJECT;
            break;
        } /* elsewhere it stands for itself */
        /* fall through */
    default:
        item->kind = BYTE;
        item->a = byte;
        is_single = true;
    }
    if (fault || !is_single || compiler->at == compiler->end) return fault;
    switch (*compiler->at) {
    case '?': item->repeat = MAYBE; break;
    case '*': item->repeat = MANY; break;
    case '+': item->repeat = SOME; break;
    case '-': item->repeat = FEW; break;
    default: return NULL;
    }
    compiler->at++;
    return NULL;
}

const char *bw_pattern_compile(struct bw_pattern *pattern, struct bw_slice text, bool anchors)
{
    struct compiler compiler = {.pattern = pattern, .at = text.ptr, .end = text.ptr + text.len};
    pattern->count = pattern->captures = 0;
    pattern->is_anchored = anchors && text.len && *text.ptr == '^';
    if (pattern->is_anchored) compiler.at++;
    while (compiler.at < compiler.end) {
        if (pattern->count == BW_PATTERN_ITEMS_MAX) return "pattern too long";
        struct bw_pattern_item *item = &pattern->items[pattern->count++];
        *item = (struct bw_pattern_item){0};
        const char *fault = compile_item(&compiler, item);
        if (fault) return fault;
    }
    pattern->items[pattern->count] = (struct bw_pattern_item){.kind = END};
    return compiler.open_count ? "unfinished capture" : NULL;
}

bool bw_pattern_is_plain(struct bw_slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] && strchr("^$*+?.([%-", text.ptr[i])) return false;
    return true;
}

/* ---- matching ---- */

struct matcher {
    const struct bw_pattern *pattern;
    struct bw_pattern_match *match;
    const char *start, *end; /* of the subject */
};

/* False: the budget is gone; the whole match is given up then. */
static bool take_step(struct matcher *matcher)
{
    if (!matcher->match->steps_left) return false;
    matcher->match->steps_left--;
    return true;
}

static bool item_has(const struct bw_pattern_item *item, const char *at)
{
    unsigned byte = (unsigned char)*at;
    switch (item->kind) {
    case ANY: return true;
    case BYTE: return item->a == byte;
    case CLASS: return class_has(item->a, byte);
    default: return set_has(item, byte);
    }
}

static const char *match_balance(struct matcher *matcher, const struct bw_pattern_item *item, const char *at)
{
    size_t depth = 1;
    if (at == matcher->end || (uint8_t)*at != item->a) return NULL;
    for (at++; at < matcher->end && take_step(matcher); at++) {
        if ((uint8_t)*at == item->b) { /* the closing byte first: %b'' pairs equal bytes */
            if (--depth == 0) return at + 1;
        } else if ((uint8_t)*at == item->a) {
            depth++;
        }
    }
    return NULL;
}

static bool match_frontier(struct matcher *matcher, const struct bw_pattern_item *item, const char *at)
{
    unsigned before = at == matcher->start ? 0 : (unsigned char)at[-1], here = at == matcher->end ? 0 : (unsigned char)*at;
    return !set_has(item, before) && set_has(item, here);
}

static const char *match_back_reference(struct matcher *matcher, const struct bw_pattern_item *item, const char *at)
{
    struct bw_slice seen = matcher->match->captures[item->a];
    if (seen.len == BW_CAPTURE_POSITION || (size_t)(matcher->end - at) < seen.len) return NULL;
    uint64_t cost = seen.len / 16;
    matcher->match->steps_left = matcher->match->steps_left > cost ? matcher->match->steps_left - cost : 0;
    return memcmp(at, seen.ptr, seen.len) ? NULL : at + seen.len;
}

static const char *match_items(struct matcher *matcher, const struct bw_pattern_item *item, const char *at);

/* `*` and `+`: as many as there are, then fewer and fewer. */
static const char *match_most(struct matcher *matcher, const struct bw_pattern_item *item, const char *at, size_t least)
{
    size_t count = 0;
    while (at + count < matcher->end && item_has(item, at + count)) {
        if (!take_step(matcher)) return NULL;
        count++;
    }
    for (; count + 1 > least; count--) {
        const char *end = match_items(matcher, item + 1, at + count);
        if (end || !matcher->match->steps_left || !count) return end;
    }
    return NULL;
}

static const char *match_fewest(struct matcher *matcher, const struct bw_pattern_item *item, const char *at)
{
    for (;; at++) {
        const char *end = match_items(matcher, item + 1, at);
        if (end || at == matcher->end || !item_has(item, at) || !take_step(matcher)) return end;
    }
}

/* Every nested call begins at a later item: its depth is at most the number of items. */
static const char *match_items(struct matcher *matcher, const struct bw_pattern_item *item, const char *at)
{
    struct bw_slice *captures = matcher->match->captures, saved;
    for (;; item++) {
        const char *end;
        if (!take_step(matcher)) return NULL;
        switch (item->kind) {
        case END: return at;
        case END_OF_SUBJECT: return at == matcher->end ? at : NULL;
        case OPEN:
        case POSITION: captures[item->a] = (struct bw_slice){at, BW_CAPTURE_POSITION}; break;
        case CLOSE: /* undone when what follows does not match: an earlier item may try again from the same start */
            saved = captures[item->a];
            captures[item->a].len = (size_t)(at - saved.ptr);
            if (!(end = match_items(matcher, item + 1, at))) captures[item->a] = saved;
            return end;
        case BALANCE:
            if (!(at = match_balance(matcher, item, at))) return NULL;
            break;
        case FRONTIER:
            if (!match_frontier(matcher, item, at)) return NULL;
            break;
        case BACK_REFERENCE:
            if (!(at = match_back_reference(matcher, item, at))) return NULL;
            break;
        default:
            if (item->repeat == MANY || item->repeat == SOME) return match_most(matcher, item, at, item->repeat == SOME);
            if (item->repeat == FEW) return match_fewest(matcher, item, at);
            bool is_in = at < matcher->end && item_has(item, at);
            if (item->repeat == MAYBE) {
                if (is_in && (end = match_items(matcher, item + 1, at + 1))) return end;
            } else {
                if (!is_in) return NULL;
                at++;
            }
        }
    }
}

enum bw_pattern_result bw_pattern_match_at(const struct bw_pattern *pattern, struct bw_pattern_match *match, const char *at)
{
    struct matcher matcher = {pattern, match, match->subject.ptr, match->subject.ptr + match->subject.len};
    const char *end = match_items(&matcher, pattern->items, at);
    if (!end) return match->steps_left ? BW_PATTERN_NONE : BW_PATTERN_TOO_COMPLEX;
    match->start = at;
    match->end = end;
    return BW_PATTERN_FOUND;
}

enum bw_pattern_result bw_pattern_search(const struct bw_pattern *pattern, struct bw_pattern_match *match, const char *from)
{
    const char *end = match->subject.ptr + match->subject.len;
    const struct bw_pattern_item *first = pattern->items;
    bool is_byte = first->kind == BYTE && first->repeat == ONCE;
    for (;; from++) {
        if (is_byte && !pattern->is_anchored) { /* no need to begin where the first byte is not */
            from = from < end ? memchr(from, first->a, (size_t)(end - from)) : NULL;
            if (!from) return BW_PATTERN_NONE;
        }
        enum bw_pattern_result result = bw_pattern_match_at(pattern, match, from);
        if (result != BW_PATTERN_NONE || pattern->is_anchored || from == end) return result;
    }
}
