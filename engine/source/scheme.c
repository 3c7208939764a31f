/* The set of schemes: built in and the user's. Those of the user are read at once, for what is wrong with them; a built-in one when somebody asks for
 * it, because an instance has a few sources and there are more than a hundred schemes. */
#include "base/embedded.h"
#include "base/file.h"
#include "base/log.h"
#include "source/program.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_BYTES_MAX 65536

struct bw_schemes {
    struct bw_scheme *items;
    size_t count;
};

static struct bw_scheme *find(const struct bw_schemes *schemes, const char *name)
{
    for (size_t i = 0; i < schemes->count; i++)
        if (!strcmp(schemes->items[i].name, name)) return &schemes->items[i];
    return NULL;
}

const struct bw_yaml_node *bw_scheme_node(const struct bw_scheme *scheme, const char *key)
{
    const struct bw_yaml_node *own = bw_yaml_get(scheme->root, key);
    return own || !scheme->base ? own : bw_yaml_get(scheme->base, key);
}

/* The scheme that this one is like, for all that it does not say itself. Not in a chain: who reads it needs to look at two files only. */
static bool find_base(const struct bw_schemes *schemes, struct bw_scheme *scheme, struct bw_errors *errs)
{
    const struct bw_yaml_node *like = bw_yaml_get(scheme->root, "like");
    if (!like) return true;
    const struct bw_scheme *base = like->text.ptr ? bw_schemes_find(schemes, like->text.ptr) : NULL;
    if (base && !base->base) {
        scheme->base = base->root;
        return true;
    }
    struct bw_error *err =
        bw_errors_add(errs, "scheme.invalid", "scheme %s: it cannot be like '%s'", scheme->name, like->text.ptr ? like->text.ptr : "");
    bw_error_hint(err, base ? "that one is like another one itself" : "name a scheme that is built in; see: bellwire schemes");
    bw_error_at(err, scheme->file, like->line, like->column);
    return false;
}

static void clear(struct bw_scheme *scheme)
{
    bw_yaml_free(scheme->yaml);
    free(scheme->name);
    free(scheme->file);
    *scheme = (struct bw_scheme){0};
}

/* Compiled once with default options: a faulty scheme is found now, not by the first source that uses it. */
static bool is_good(const struct bw_schemes *schemes, struct bw_scheme *scheme, struct bw_errors *errs)
{
    struct bw_source_config nobody = {.name = (char *)"check", .verify = scheme->name};
    size_t before = errs->count;
    struct bw_program *program = find_base(schemes, scheme, errs) ? bw_program_compile(scheme, &nobody, errs) : NULL;
    bw_program_free(program);
    for (size_t i = before; i < errs->count; i++) /* what is missing is missing in the whole */
        bw_error_at(&errs->items[i], scheme->file, scheme->root->line, scheme->root->column);
    return program != NULL;
}

static bool read_scheme(const struct bw_schemes *schemes, struct bw_slice name, const char *file, struct bw_slice text, struct bw_errors *errs,
                        struct bw_scheme *out)
{
    struct bw_error err;
    struct bw_yaml *yaml = bw_yaml_load(text, file, NULL, &err);
    if (!yaml || bw_yaml_root(yaml, 0)->kind != BW_YAML_MAP) {
        if (yaml) {
            bw_error_set(&err, "scheme.invalid", "a scheme must be a map");
            bw_error_at(&err, file, 1, 1);
        }
        bw_errors_push(errs, &err);
        bw_yaml_free(yaml);
        return false;
    }
    *out = (struct bw_scheme){.name = bw_slice_dup(name), .yaml = yaml, .root = bw_yaml_root(yaml, 0), .file = bw_slice_dup(bw_slice_of(file))};
    if (out->name && out->file && is_good(schemes, out, errs)) return true;
    clear(out);
    return false;
}

/* What bw_schemes_load() has left for later. False: it is in the log; the scheme stays as it is. */
static bool read_built_in(const struct bw_schemes *schemes, struct bw_scheme *scheme)
{
    struct bw_errors errs = {0};
    struct bw_scheme whole;
    char path[128];
    if (scheme->root) return true;
    snprintf(path, sizeof path, "(built-in) %s.yaml", scheme->name);
    bool is_read = read_scheme(schemes, bw_slice_of(scheme->name), path, scheme->built_in, &errs, &whole);
    for (size_t i = 0; i < errs.count; i++) bw_log_error(BW_LOG_ERROR, "scheme.built_in", &errs.items[i]);
    bw_errors_free(&errs);
    if (!is_read) return false;
    clear(scheme);
    *scheme = whole;
    return true;
}

bool bw_schemes_put(struct bw_schemes *schemes, struct bw_slice name, const char *file, struct bw_slice text, struct bw_errors *errs)
{
    struct bw_scheme scheme, *grown;
    if (!read_scheme(schemes, name, file, text, errs, &scheme)) return false;
    struct bw_scheme *before = find(schemes, scheme.name);
    if (before) {
        clear(before);
        *before = scheme;
        return true;
    }
    if (!(grown = realloc(schemes->items, (schemes->count + 1) * sizeof *grown))) {
        clear(&scheme);
        return false;
    }
    schemes->items = grown;
    schemes->items[schemes->count++] = scheme;
    return true;
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct bw_scheme *)a)->name, ((const struct bw_scheme *)b)->name);
}

static void add_folder(struct bw_schemes *schemes, const char *folder, struct bw_errors *errs)
{
    char **names = NULL;
    size_t count = 0;
    struct bw_error err;
    if (!bw_file_list(folder, ".yaml", false, &names, &count, &err)) bw_errors_push(errs, &err);
    for (size_t i = 0; i < count; i++) {
        char *path = bw_file_join(folder, names[i]);
        struct bw_buf text = {0};
        struct bw_slice name = {names[i], strlen(names[i]) - strlen(".yaml")};
        char *terminated = bw_slice_dup(name);
        if (!path || !terminated || !bw_file_read(path, FILE_BYTES_MAX, &text, &err)) {
            bw_errors_push(errs, &err);
        } else if (find(schemes, terminated)) {
            struct bw_error *taken = bw_errors_add(errs, "scheme.taken", "there is a built-in scheme '%s'", terminated);
            bw_error_hint(taken, "give the file another name");
            bw_error_at(taken, path, 0, 0);
        } else {
            bw_schemes_put(schemes, name, path, bw_buf_slice(&text), errs);
        }
        bw_buf_free(&text);
        free(terminated);
        free(path);
    }
    bw_file_list_free(names, count);
}

struct bw_schemes *bw_schemes_load(const char *user_folder, struct bw_errors *errs)
{
    struct bw_schemes *schemes = calloc(1, sizeof *schemes);
    size_t count = 0;
    while (bw_embedded_schemes[count].name) count++;
    if (!schemes || !(schemes->items = calloc(count, sizeof *schemes->items))) {
        free(schemes);
        return NULL;
    }
    for (const struct bw_embedded *file = bw_embedded_schemes; file->name; file++) {
        struct bw_scheme *scheme = &schemes->items[schemes->count++];
        scheme->built_in = (struct bw_slice){file->data, file->len};
        if (!(scheme->name = bw_slice_dup(bw_slice_of(file->name)))) {
            bw_schemes_free(schemes);
            return NULL;
        }
    }
    if (user_folder) add_folder(schemes, user_folder, errs);
    qsort(schemes->items, schemes->count, sizeof *schemes->items, compare);
    return schemes;
}

void bw_schemes_free(struct bw_schemes *schemes)
{
    if (!schemes) return;
    for (size_t i = 0; i < schemes->count; i++) clear(&schemes->items[i]);
    free(schemes->items);
    free(schemes);
}

const struct bw_scheme *bw_schemes_find(const struct bw_schemes *schemes, const char *name)
{
    struct bw_scheme *scheme = find(schemes, name);
    return scheme && read_built_in(schemes, scheme) ? scheme : NULL;
}

size_t bw_schemes_count(const struct bw_schemes *schemes)
{
    return schemes->count;
}
const struct bw_scheme *bw_schemes_at(const struct bw_schemes *schemes, size_t index)
{
    struct bw_scheme *scheme = &schemes->items[index];
    return read_built_in(schemes, scheme) ? scheme : NULL;
}
const char *bw_schemes_name(const struct bw_schemes *schemes, size_t index)
{
    return schemes->items[index].name;
}
const char *bw_scheme_name(const struct bw_scheme *scheme)
{
    return scheme->name;
}

const char *bw_scheme_doc(const struct bw_scheme *scheme)
{
    const struct bw_yaml_node *doc = bw_yaml_get(scheme->root, "doc");
    return doc && doc->text.ptr && doc->kind != BW_YAML_NULL ? doc->text.ptr : "";
}
