/* Errors of a workflow file, and what is said about keys. */
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
    loader->has_failed = true;
}

struct bw_mark bw_mark_of(const struct bw_yaml_node *node)
{
    return (struct bw_mark){node->line, node->column};
}

bool bw_refuse_hole(struct bw_loader *loader, const struct bw_yaml_node *node, const char *what)
{
    const char *hole = node->kind == BW_YAML_STRING ? memmem(node->text.ptr, node->text.len, "${{", 3) : NULL;
    bool found = hole != NULL;
    if (hole)
        bw_load_error(loader, bw_mark_inside(loader, node, (size_t)(hole - node->text.ptr)), "expr.misplaced",
                      "expressions stand in `if`, `with`, `set` and `outputs`", "%s cannot hold an expression", what);
    for (size_t i = 0; node->kind == BW_YAML_MAP && i < node->count; i++) {
        found |= bw_refuse_hole(loader, node->pairs[i].key, what);
        found |= bw_refuse_hole(loader, node->pairs[i].value, what);
    }
    for (size_t i = 0; node->kind == BW_YAML_LIST && i < node->count; i++) found |= bw_refuse_hole(loader, node->items[i], what);
    return found;
}

struct bw_slice bw_plain_text(struct bw_loader *loader, const struct bw_yaml_node *node, const char *what)
{
    if (node->kind != BW_YAML_STRING)
        bw_load_error(loader, bw_mark_of(node), "workflow.type", node->plain ? "put quotes around it" : "", "%s must be a string, found %s", what,
                      bw_yaml_kind_name(node->kind));
    else
        bw_refuse_hole(loader, node, what);
    return bw_arena_copy(loader->arena, node->text);
}

bool bw_check_keys(struct bw_loader *loader, const struct bw_yaml_node *map, const char *where, const struct bw_load_key *keys, size_t count)
{
    const char *names[48]; /* of this version; the tables are shorter */
    size_t known = 0;
    bool is_later = false;
    for (size_t i = 0; i < count && known < sizeof names / sizeof *names; i++)
        if (keys[i].schema) names[known++] = keys[i].name;
    for (size_t i = 0; i < map->count; i++) {
        const struct bw_yaml_node *key = map->pairs[i].key;
        char hint[100] = "";
        size_t k = 0;
        while (k < count && !bw_slice_is(key->text, keys[k].name)) k++;
        if (k < count && keys[k].schema) continue;
        if (k < count) {
            is_later = true;
            bw_load_error(loader, bw_mark_of(key), "workflow.not_supported", "leave it out, or use a newer version",
                          "'%s' is not supported by this version", keys[k].name);
            continue;
        }
        const char *near = bw_suggest(key->text, names, known);
        if (near) snprintf(hint, sizeof hint, "did you mean '%s'?", near);
        bw_load_error(loader, bw_mark_of(key), "workflow.unknown_key", hint, "unknown key '%s' in %s", key->text.ptr, where);
    }
    return is_later;
}
