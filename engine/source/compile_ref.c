/* Texts of a scheme, with the source's options in them, and the value references that they name. */
#include "source/compiler.h"
#include <stdio.h>
#include <stdlib.h>

/* {NAME} → the source's option, else the scheme's default. */
static struct bw_slice with_options(struct bw_compiler *compiler, const struct bw_yaml_node *node)
{
    struct bw_buf out = {0};
    const char *at = node->text.ptr, *end = at + node->text.len;
    while (at < end) {
        const char *open = memchr(at, '{', (size_t)(end - at)), *close = open ? memchr(open, '}', (size_t)(end - open)) : NULL;
        if (!close) break;
        struct bw_slice name = {open + 1, (size_t)(close - open) - 1}, value = {0};
        for (size_t i = 0; i < compiler->config->option_count; i++) {
            const char *option = compiler->config->options[i], *equals = strchr(option, '=');
            if (equals && bw_slice_equal((struct bw_slice){option, (size_t)(equals - option)}, name)) value = bw_slice_of(equals + 1);
        }
        const struct bw_yaml_node *options = bw_scheme_node(compiler->scheme, "options");
        for (size_t i = 0; !value.ptr && options && options->kind == BW_YAML_MAP && i < options->count; i++)
            if (bw_slice_equal(options->pairs[i].key->text, name))
                value = options->pairs[i].value->kind == BW_YAML_NULL ? (struct bw_slice){"", 0} : options->pairs[i].value->text;
        bw_buf_append(&out, at, (size_t)(open - at));
        if (value.ptr)
            bw_buf_append_slice(&out, value);
        else
            bw_buf_append(&out, open, (size_t)(close - open) + 1);
        at = close + 1;
    }
    bw_buf_append(&out, at, (size_t)(end - at));
    struct bw_slice copy = bw_arena_copy(&compiler->program->arena, bw_buf_slice(&out));
    bw_buf_free(&out);
    return copy;
}

struct bw_slice bw_compiler_text_of(struct bw_compiler *compiler, const struct bw_yaml_node *node)
{
    if (!node || node->kind == BW_YAML_LIST || node->kind == BW_YAML_MAP || node->kind == BW_YAML_NULL) return BW_SLICE("");
    return with_options(compiler, node);
}

struct bw_slice bw_compiler_text(struct bw_compiler *compiler, const struct bw_yaml_node *map, const char *key, const char *otherwise)
{
    const struct bw_yaml_node *node = bw_yaml_get(map, key);
    if (!node || node->kind == BW_YAML_LIST || node->kind == BW_YAML_MAP) return bw_slice_of(otherwise);
    return bw_compiler_text_of(compiler, node);
}

bool bw_compiler_flag(struct bw_compiler *compiler, const struct bw_yaml_node *map, const char *key, bool otherwise)
{
    static const char *const booleans[] = {"false", "true"};
    char what[64];
    snprintf(what, sizeof what, "%s must be true or false:", key);
    const struct bw_yaml_node *node = bw_yaml_get(map, key);
    return bw_compiler_choose(compiler, node ? node : map, bw_compiler_text(compiler, map, key, booleans[otherwise]), booleans, 2, what);
}

void bw_compiler_secret(struct bw_compiler *compiler, const struct bw_yaml_node *at, struct bw_slice name, bool is_optional)
{
    struct bw_program *program = compiler->program;
    for (size_t i = 0; i < program->secret_count; i++)
        if (bw_slice_equal(program->secrets[i].name, name)) {
            program->secrets[i].is_optional = program->secrets[i].is_optional && is_optional;
            return;
        }
    if (program->secret_count < BW_SECRET_NAMES_MAX)
        program->secrets[program->secret_count++] = (struct bw_secret_name){name, is_optional};
    else
        bw_compiler_complain(compiler, at, "at most 8", "too many secrets, at", name.ptr);
}

static bool has_prefix(struct bw_slice *text, const char *prefix)
{
    size_t len = strlen(prefix);
    if (text->len < len || memcmp(text->ptr, prefix, len) != 0) return false;
    text->ptr += len;
    text->len -= len;
    return true;
}

static struct bw_slice lower(struct bw_compiler *compiler, struct bw_slice text)
{
    struct bw_slice copy = bw_arena_copy(&compiler->program->arena, text);
    for (size_t i = 0; i < copy.len; i++)
        if (copy.ptr[i] >= 'A' && copy.ptr[i] <= 'Z') ((char *)copy.ptr)[i] += 32;
    return copy;
}

int bw_compiler_pointer(struct bw_compiler *compiler, const struct bw_yaml_node *at, struct bw_slice pointer, bool is_of_item)
{
    struct bw_program *program = compiler->program;
    const char **pointers = is_of_item ? program->item_pointers : program->pointers;
    size_t *count = is_of_item ? &program->item_pointer_count : &program->pointer_count;
    for (size_t i = 0; i < *count; i++)
        if (bw_slice_is(pointer, pointers[i])) return (int)i;
    if (pointer.len && *pointer.ptr != '/') {
        bw_compiler_complain(compiler, at, "a JSON pointer begins with '/': json:/data/id", "this is no JSON pointer:", pointer.ptr);
        return 0;
    }
    if (*count == BW_JSON_PATHS_MAX) {
        bw_compiler_complain(compiler, at, NULL, "too many JSON paths, at", pointer.ptr);
        return 0;
    }
    pointers[*count] = bw_arena_copy(&program->arena, pointer).ptr;
    return (int)(*count)++;
}

/* sha256-hex:REF, twilio: a computed value */
static bool part_ref(struct bw_compiler *compiler, const struct bw_yaml_node *at, struct bw_slice text, struct bw_ref *ref)
{
    const char *colon = memchr(text.ptr, ':', text.len);
    struct bw_slice name = {text.ptr, colon ? (size_t)(colon - text.ptr) : text.len};
    const struct bw_part *part = bw_part_find(name);
    if (!part || part->takes_ref != (colon != NULL)) return false;
    ref->kind = BW_REF_PART;
    ref->part = part;
    if (!part->takes_ref) return true;
    struct bw_ref *argument = bw_arena_alloc(&compiler->program->arena, sizeof *argument);
    if (!argument) return true;
    bw_compiler_request_ref(compiler, at, bw_arena_copy(&compiler->program->arena, (struct bw_slice){colon + 1, text.len - name.len - 1}), argument);
    ref->argument = argument;
    return true;
}

/* LIST.KEY, or LIST.secret:NAME where the key is a value that only the source knows. */
static void list_ref(struct bw_compiler *compiler, const struct bw_yaml_node *at, struct bw_slice text, struct bw_ref *ref)
{
    struct bw_program *program = compiler->program;
    const char *dot = memchr(text.ptr, '.', text.len);
    for (size_t i = 0; dot && i < program->list_count; i++) {
        if (!bw_slice_equal(program->lists[i].name, (struct bw_slice){text.ptr, (size_t)(dot - text.ptr)})) continue;
        struct bw_slice key = {dot + 1, text.len - (size_t)(dot - text.ptr) - 1};
        ref->is_secret_key = has_prefix(&key, "secret:");
        ref->kind = BW_REF_LIST;
        ref->index = (int)i;
        ref->name = bw_arena_copy(&program->arena, key);
        if (ref->is_secret_key) bw_compiler_secret(compiler, at, ref->name, compiler->is_in_handshake);
    }
}

static void one_ref(struct bw_compiler *compiler, const struct bw_yaml_node *at, struct bw_slice text, struct bw_ref *ref)
{
    static const struct {
        const char *prefix;
        enum bw_ref_kind kind;
    } named[] = {{"header:", BW_REF_HEADER}, {"query:", BW_REF_QUERY}, {"form:", BW_REF_FORM}, {"secret:", BW_REF_SECRET}};
    struct bw_program *program = compiler->program;
    if (text.len > 1 && text.ptr[text.len - 1] == '?' && memchr(text.ptr, ':', text.len)) {
        ref->is_optional = true;
        text.len--;
    }
    struct bw_slice rest = text;
    ref->name = bw_arena_copy(&program->arena, text);
    for (size_t i = 0; i < sizeof named / sizeof *named; i++)
        if (has_prefix(&rest, named[i].prefix)) {
            ref->kind = named[i].kind;
            ref->name = ref->kind == BW_REF_HEADER ? lower(compiler, rest) : bw_arena_copy(&program->arena, rest);
            if (ref->kind == BW_REF_SECRET) bw_compiler_secret(compiler, at, ref->name, compiler->is_in_handshake);
            return;
        }
    if (has_prefix(&rest, "json:") || (ref->is_number = has_prefix(&rest, "json-number:"))) {
        ref->kind = BW_REF_JSON;
        ref->index = bw_compiler_pointer(compiler, at, bw_arena_copy(&program->arena, rest), false);
    } else if (has_prefix(&rest, "item:")) {
        ref->kind = BW_REF_ITEM;
        ref->index = bw_compiler_pointer(compiler, at, bw_arena_copy(&program->arena, rest), true);
    } else if (bw_slice_is(text, "body") || bw_slice_is(text, "url") || bw_slice_is(text, "method")) {
        ref->kind = *text.ptr == 'b' ? BW_REF_BODY : *text.ptr == 'u' ? BW_REF_URL : BW_REF_METHOD;
    } else if (!part_ref(compiler, at, text, ref)) {
        list_ref(compiler, at, text, ref);
    }
}

/* "a|b": the first that is there. A literal is never split. */
void bw_compiler_ref(struct bw_compiler *compiler, const struct bw_yaml_node *at, struct bw_slice text, struct bw_ref *ref)
{
    const char *bar = memchr(text.ptr, ':', text.len) ? memchr(text.ptr, '|', text.len) : NULL;
    *ref = (struct bw_ref){.kind = BW_REF_LITERAL};
    if (!bar) {
        one_ref(compiler, at, text, ref);
        return;
    }
    one_ref(compiler, at, bw_arena_copy(&compiler->program->arena, (struct bw_slice){text.ptr, (size_t)(bar - text.ptr)}), ref);
    struct bw_ref *otherwise = bw_arena_alloc(&compiler->program->arena, sizeof *otherwise);
    if (!otherwise) return;
    bw_compiler_ref(compiler, at, bw_arena_copy(&compiler->program->arena, (struct bw_slice){bar + 1, text.len - (size_t)(bar - text.ptr) - 1}),
                    otherwise);
    ref->otherwise = otherwise;
}

/* In every alternative: plain text where a part of the request is meant would be a constant, and a constant id makes all but one event a duplicate.
 */
void bw_compiler_request_ref(struct bw_compiler *compiler, const struct bw_yaml_node *at, struct bw_slice text, struct bw_ref *ref)
{
    bw_compiler_ref(compiler, at, text, ref);
    for (const struct bw_ref *each = ref; each; each = each->otherwise)
        if (each->kind == BW_REF_LITERAL) {
            bw_compiler_complain(compiler, at,
                                 "write header:NAME, query:NAME, form:NAME, json:/PATH, json-number:/PATH, body, url, method or LIST.KEY",
                                 "this names no part of a request:", each->name.ptr);
            return;
        }
}

size_t bw_compiler_refs(struct bw_compiler *compiler, const struct bw_yaml_node *list, struct bw_ref *out)
{
    size_t count = 0;
    if (!list) return 0;
    if (list->kind != BW_YAML_LIST) {
        bw_compiler_complain(compiler, list, NULL, "a list of value references is expected, found", bw_yaml_kind_name(list->kind));
        return 0;
    }
    for (size_t i = 0; i < list->count; i++) {
        const struct bw_yaml_node *item = list->items[i];
        if (i == BW_REFS_MAX) {
            bw_compiler_complain(compiler, item, "at most 16", "too many value references, at", item->text.ptr ? item->text.ptr : "");
            break;
        }
        if (item->kind == BW_YAML_LIST || item->kind == BW_YAML_MAP)
            bw_compiler_complain(compiler, item, NULL, "a value reference is expected, found", bw_yaml_kind_name(item->kind));
        else
            bw_compiler_ref(compiler, item, with_options(compiler, item), &out[count++]);
    }
    return count;
}

size_t bw_compiler_request_refs(struct bw_compiler *compiler, const struct bw_yaml_node *node, struct bw_ref *out, size_t capacity)
{
    size_t count = 0;
    if (!node) return 0;
    if (node->kind != BW_YAML_LIST) {
        bw_compiler_request_ref(compiler, node, bw_compiler_text_of(compiler, node), out);
        return 1;
    }
    for (size_t i = 0; i < node->count; i++) {
        if (count == capacity) {
            bw_compiler_complain(compiler, node->items[i], NULL, "too many value references, at",
                                 node->items[i]->text.ptr ? node->items[i]->text.ptr : "");
            break;
        }
        bw_compiler_request_ref(compiler, node->items[i], bw_compiler_text_of(compiler, node->items[i]), &out[count++]);
    }
    return count;
}

size_t bw_compiler_override(struct bw_compiler *compiler, char **texts, size_t text_count, struct bw_ref *out)
{
    size_t count = 0;
    for (size_t i = 0; i < text_count; i++) {
        if (i == BW_REFS_MAX) {
            bw_compiler_complain(compiler, NULL, "at most 16", "too many value references, at", texts[i]);
            break;
        }
        bw_compiler_request_ref(compiler, NULL, bw_slice_of(texts[i]), &out[count++]);
    }
    return count;
}
