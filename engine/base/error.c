#include "base/error.h"
#include "base/utf8.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What senders, servers and code have written is repeated in errors, and errors are shown on terminals: control characters would move the cursor, or
 * worse. Line breaks are ours as well. */
static void make_plain(char *text)
{
    for (char *at = text; *at; at++) {
        unsigned char byte = (unsigned char)*at;
        bool is_c1 = byte == 0xc2 && (unsigned char)at[1] >= 0x80 && (unsigned char)at[1] < 0xa0;
        if ((byte < ' ' && byte != '\n' && byte != '\t') || byte == 0x7f) *at = ' ';
        if (is_c1) at[0] = at[1] = ' ';
    }
}

static __attribute__((format(printf, 3, 0))) void fill(char *field, size_t size, const char *format, va_list args)
{
    int len = vsnprintf(field, size, format, args);
    if (len < 0) {
        field[0] = '\0';
    } else if ((size_t)len >= size) { /* was cut: the last character may be half of one */
        size_t end = size - 1, start = end;
        while (start > 0 && end - start < 3 && ((unsigned char)field[start - 1] & 0xc0) == 0x80) start--;
        if (start > 0 && (unsigned char)field[start - 1] >= 0xc0 && bw_utf8_length(field + start - 1, end - start + 1) == 0) field[start - 1] = '\0';
    }
    make_plain(field);
}

static void copy(char *field, size_t size, const char *text)
{
    snprintf(field, size, "%s", text);
}

void bw_error_clear(struct bw_error *err)
{
    if (err) memset(err, 0, sizeof *err);
}

bool bw_error_set(struct bw_error *err, const char *code, const char *format, ...)
{
    if (!err) return false;
    struct bw_error fresh = {0}; /* the arguments may point into *err: wrapping an error in itself must work */
    copy(fresh.code, sizeof fresh.code, code);
    make_plain(fresh.code);
    va_list args;
    va_start(args, format);
    fill(fresh.message, sizeof fresh.message, format, args);
    va_end(args);
    *err = fresh;
    return false;
}

void bw_error_hint(struct bw_error *err, const char *format, ...)
{
    if (!err) return;
    char hint[sizeof err->hint];
    va_list args;
    va_start(args, format);
    fill(hint, sizeof hint, format, args);
    va_end(args);
    memcpy(err->hint, hint, sizeof hint);
}

void bw_error_at(struct bw_error *err, const char *file, int line, int column)
{
    if (!err) return;
    /* A line belongs to its file: never put the line of an outer file behind the name of an inner one. */
    if (err->file[0] && file && strcmp(err->file, file) != 0) return;
    if (!err->file[0] && file) copy(err->file, sizeof err->file, file);
    if (err->line == 0) {
        err->line = line;
        err->column = column;
    }
}

const char *bw_error_text(const struct bw_error *err, char *buf, size_t size)
{
    char place[sizeof err->file + 32] = "";
    if (size == 0) return buf;
    if (err->line > 0 && err->column > 0) {
        snprintf(place, sizeof place, "%s%s%d:%d: ", err->file, err->file[0] ? ":" : "", err->line, err->column);
    } else if (err->line > 0) {
        snprintf(place, sizeof place, "%s%s%d: ", err->file, err->file[0] ? ":" : "", err->line);
    } else if (err->file[0]) {
        snprintf(place, sizeof place, "%s: ", err->file);
    }
    bool hint = err->hint[0], code = err->code[0];
    snprintf(buf, size, "%s%s%s%s%s%s%s%s", place, err->message, hint ? " (" : "", err->hint, hint ? ")" : "", code ? "  [" : "", err->code,
             code ? "]" : "");
    return buf;
}

/* Where the list cannot grow. Nobody reads it again, but callers may add a hint or a place to it. */
static _Thread_local struct bw_error nowhere;
/* Stands in for a list whose very first entry found no memory: a check that failed must never look like one that passed. */
static struct bw_error no_memory = {.code = "no_memory", .message = "out of memory while collecting errors"};

static struct bw_error *grow(struct bw_errors *list)
{
    if (list->count > BW_ERRORS_MAX) {
        struct bw_error *last = &list->items[BW_ERRORS_MAX];
        list->dropped++;
        bw_error_set(last, "too_many_errors", "%zu more errors are not shown", list->dropped);
        bw_error_hint(last, "mend the first ones and check again");
        return NULL;
    }
    if (list->items == &no_memory) return NULL;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 4;
        struct bw_error *items = realloc(list->items, capacity * sizeof *items);
        if (!items && list->count == 0) {
            list->items = &no_memory;
            list->count = 1;
        }
        if (!items) return NULL;
        list->items = items;
        list->capacity = capacity;
    }
    struct bw_error *entry = &list->items[list->count++];
    bw_error_clear(entry);
    if (list->count > BW_ERRORS_MAX) return grow(list); /* this was the place for the summary */
    return entry;
}

struct bw_error *bw_errors_add(struct bw_errors *list, const char *code, const char *format, ...)
{
    struct bw_error fresh = {0};
    copy(fresh.code, sizeof fresh.code, code);
    va_list args;
    va_start(args, format);
    fill(fresh.message, sizeof fresh.message, format, args);
    va_end(args);
    struct bw_error *entry = grow(list);
    if (!entry) entry = &nowhere;
    *entry = fresh;
    return entry;
}

void bw_errors_push(struct bw_errors *list, const struct bw_error *err)
{
    struct bw_error fresh = *err, *entry = grow(list);
    if (entry) *entry = fresh;
}

void bw_errors_free(struct bw_errors *list)
{
    if (list->items != &no_memory) free(list->items);
    *list = (struct bw_errors){0};
}
