#include "workflow/format.h"
#include "workflow/internal.h"
#include <stdlib.h>
#include <string.h>

struct formatting {
    struct bw_format *format;
    struct bw_errors *errs;
};

static void add(struct formatting *formatting, const struct bw_loader *loader, const struct bw_alias *alias, struct bw_mark mark)
{
    struct bw_format *format = formatting->format;
    const char *at = loader->place.at, *end = loader->text.ptr + loader->text.len;
    if ((size_t)(end - at) < alias->text.len || memcmp(at, alias->text.ptr, alias->text.len) != 0) {
        struct bw_error *err =
            bw_errors_add(formatting->errs, "fmt.escaped", "this %.*s is written with an escape of YAML", (int)alias->text.len, alias->text.ptr);
        bw_error_hint(err, "write it as it is, or as Lua has it");
        bw_error_at(err, loader->file, mark.line, mark.column);
        return;
    }
    struct bw_format_edit *edits = realloc(format->edits, (format->count + 1) * sizeof *edits);
    if (!edits) {
        bw_errors_add(formatting->errs, "memory", "out of memory");
        return;
    }
    format->edits = edits;
    struct bw_format_edit *edit = &edits[format->count++];
    *edit = (struct bw_format_edit){.at = (size_t)(at - loader->text.ptr), .len = alias->text.len, .mark = mark};
    memcpy(edit->lua, alias->lua, sizeof edit->lua);
}

static void on_loaded(void *arg, struct bw_loader *loader)
{
    struct formatting *formatting = arg;
    for (size_t i = 0; i < loader->workflow->expr_count; i++) {
        const struct bw_origin *origin = &loader->origins[i];
        struct bw_aliases aliases = bw_aliases_of(origin->raw);
        struct bw_alias alias;
        while (bw_alias_next(&aliases, &alias)) {
            struct bw_mark mark = bw_mark_inside(loader, origin->node, (size_t)(alias.text.ptr - origin->node->text.ptr));
            add(formatting, loader, &alias, mark);
        }
    }
}

static int compare(const void *a, const void *b)
{
    const struct bw_format_edit *x = a, *y = b;
    return (x->at > y->at) - (x->at < y->at);
}

static void write(struct bw_format *format, struct bw_slice text)
{
    size_t at = 0;
    for (size_t i = 0; i < format->count; i++) {
        const struct bw_format_edit *edit = &format->edits[i];
        bw_buf_append(&format->text, text.ptr + at, edit->at - at);
        bw_buf_append_text(&format->text, edit->lua);
        at = edit->at + edit->len;
    }
    bw_buf_append(&format->text, text.ptr + at, text.len - at);
}

static void free_all(struct bw_workflow **workflows, size_t count)
{
    for (size_t i = 0; i < count; i++) bw_workflow_free(workflows[i]);
    free(workflows);
}

/* Whatever the reason would be: another version is not what was asked for. */
static bool is_same(const struct bw_format *format, const char *file, struct bw_workflow *const *before, size_t count, struct bw_errors *errs)
{
    struct bw_errors found = {0};
    struct bw_workflow **after;
    size_t after_count = bw_workflow_load(bw_buf_slice(&format->text), file, &after, &found);
    bool same = after_count == count && !found.count;
    for (size_t i = 0; same && i < count; i++) same = !memcmp(before[i]->hash, after[i]->hash, sizeof before[i]->hash);
    free_all(after, after_count);
    bw_errors_free(&found);
    if (same) return true;
    struct bw_error *err = bw_errors_add(errs, "fmt.version", "the file would not mean the same any more, so it is left alone");
    bw_error_hint(err, "this is a fault of the program: please report it, with the file");
    bw_error_at(err, file, 0, 0);
    return false;
}

bool bw_workflow_format(struct bw_slice text, const char *file, struct bw_format *format, struct bw_errors *errs)
{
    struct formatting formatting = {format, errs};
    struct bw_workflow **workflows;
    size_t before = errs->count;
    *format = (struct bw_format){.count = 0};
    size_t count = bw_load_documents(text, file, &workflows, errs, &(struct bw_load_visits){.loaded = on_loaded, .arg = &formatting});
    if (format->count) qsort(format->edits, format->count, sizeof *format->edits, compare); /* keys are read in an order of their own */
    write(format, text);
    if (format->text.failed) bw_errors_add(errs, "memory", "out of memory");
    bool good = errs->count == before && is_same(format, file, workflows, count, errs);
    free_all(workflows, count);
    return good;
}

void bw_format_free(struct bw_format *format)
{
    free(format->edits);
    bw_buf_free(&format->text);
}
