/* Errors of a workflow file, and the places that they name. */
#include "base/suggest.h"
#include "workflow/internal.h"
#include <stdarg.h>
#include <stdio.h>

void bw_load_error(struct bw_loader *loader, struct bw_mark at, const char *code, const char *hint, const char *format, ...)
{
    struct bw_error err;
    char text[sizeof err.message];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    bw_error_set(&err, code, "%s", text);
    if (hint && *hint) bw_error_hint(&err, "%s", hint);
    bw_error_at(&err, loader->file, at.line, at.column);
    bw_errors_push(loader->errs, &err);
}

struct bw_mark bw_mark_of(const struct bw_yaml_node *node) { return (struct bw_mark){node->line, node->column}; }

static const char *line_start(struct bw_slice text, int line)
{
    const char *at = text.ptr, *end = text.ptr + text.len;
    while (line > 1 && at && at < end) {
        at = memchr(at, '\n', (size_t)(end - at));
        if (at) at++;
        line--;
    }
    return at && at < end ? at : end;
}

struct bw_mark bw_mark_inside(const struct bw_loader *loader, const struct bw_yaml_node *node, size_t offset)
{
    struct bw_mark mark = bw_mark_of(node);
    const char *end = loader->text.ptr + loader->text.len;
    if (offset > node->text.len) offset = node->text.len;
    if (!node->block) {
        mark.column += (int)offset + (node->plain ? 0 : 1);
        return mark;
    }
    /* A block scalar's text begins on the next line, behind the indentation of its first line that is not empty. */
    size_t line_offset = 0;
    mark.line++;
    for (size_t i = 0; i < offset; i++)
        if (node->text.ptr[i] == '\n') {
            mark.line++;
            line_offset = i + 1;
        }
    int indent = 0;
    for (const char *at = line_start(loader->text, node->line + 1); at < end; at = line_start((struct bw_slice){at, (size_t)(end - at)}, 2)) {
        const char *first = at;
        while (first < end && *first == ' ') first++;
        if (first == end || *first == '\n' || *first == '\r') continue;
        indent = (int)(first - at);
        break;
    }
    mark.column = indent + (int)(offset - line_offset) + 1;
    return mark;
}

void bw_check_keys(struct bw_loader *loader, const struct bw_yaml_node *map, const char *where, const struct bw_load_key *keys, size_t count)
{
    const char *names[64];
    size_t known = 0;
    for (size_t i = 0; i < count && known < 64; i++)
        if (keys[i].schema) names[known++] = keys[i].name;
    for (size_t i = 0; i < map->count; i++) {
        const struct bw_yaml_node *key = map->pairs[i].key;
        char hint[100] = "";
        size_t k = 0;
        while (k < count && !bw_slice_is(key->text, keys[k].name)) k++;
        if (k < count && keys[k].schema) continue;
        if (k < count) {
            bw_load_error(loader, bw_mark_of(key), "workflow.not_supported", "leave it out, or use a newer version", "'%s' is not supported by this version", keys[k].name);
            continue;
        }
        const char *near = bw_suggest(key->text, names, known);
        if (near) snprintf(hint, sizeof hint, "did you mean '%s'?", near);
        bw_load_error(loader, bw_mark_of(key), "workflow.unknown_key", hint, "unknown key '%s' in %s", key->text.ptr, where);
    }
}
