/* Texts of a scheme, with the source's options in them, and the value references that they name. */
#include "source/compiler.h"
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
        const struct bw_yaml_node *options = bw_yaml_get(compiler->scheme->root, "options");
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

struct bw_slice bw_compiler_text(struct bw_compiler *compiler, const struct bw_yaml_node *map, const char *key, const char *otherwise)
{
    const struct bw_yaml_node *node = bw_yaml_get(map, key);
    if (!node || node->kind == BW_YAML_LIST || node->kind == BW_YAML_MAP) return bw_slice_of(otherwise);
    return with_options(compiler, node);
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

static int pointer_index(struct bw_compiler *compiler, struct bw_slice pointer)
{
    struct bw_program *program = compiler->program;
    for (size_t i = 0; i < program->pointer_count; i++)
        if (bw_slice_is(pointer, program->pointers[i])) return (int)i;
    if (program->pointer_count == BW_JSON_PATHS_MAX) return -1;
    program->pointers[program->pointer_count] = bw_arena_copy(&program->arena, pointer).ptr;
    return (int)program->pointer_count++;
}

static void one_ref(struct bw_compiler *compiler, const struct bw_yaml_node *at, struct bw_slice text, struct bw_ref *ref)
{
    struct bw_program *program = compiler->program;
    if (text.len > 1 && text.ptr[text.len - 1] == '?' && memchr(text.ptr, ':', text.len)) {
        ref->is_optional = true;
        text.len--;
    }
    struct bw_slice rest = text;
    const char *dot = memchr(text.ptr, '.', text.len);
    ref->name = bw_arena_copy(&program->arena, text);
    if (has_prefix(&rest, "header:")) {
        ref->kind = BW_REF_HEADER;
        ref->name = lower(compiler, rest);
    } else if (has_prefix(&rest, "query:")) {
        ref->kind = BW_REF_QUERY;
        ref->name = bw_arena_copy(&program->arena, rest);
    } else if (has_prefix(&rest, "secret:")) {
        ref->kind = BW_REF_SECRET;
        ref->name = bw_arena_copy(&program->arena, rest);
    } else if (has_prefix(&rest, "json:") || (ref->is_number = has_prefix(&rest, "json-number:"))) {
        ref->kind = BW_REF_JSON;
        ref->index = pointer_index(compiler, bw_arena_copy(&program->arena, rest));
        if (ref->index < 0) bw_compiler_complain(compiler, at, NULL, "too many JSON paths, at", ref->name.ptr);
    } else if (bw_slice_is(text, "body") || bw_slice_is(text, "url") || bw_slice_is(text, "method")) {
        ref->kind = *text.ptr == 'b' ? BW_REF_BODY : *text.ptr == 'u' ? BW_REF_URL : BW_REF_METHOD;
    } else if (dot) {
        for (size_t i = 0; i < program->list_count; i++)
            if (bw_slice_equal(program->lists[i].name, (struct bw_slice){text.ptr, (size_t)(dot - text.ptr)})) {
                ref->kind = BW_REF_LIST;
                ref->index = (int)i;
                ref->name = bw_arena_copy(&program->arena, (struct bw_slice){dot + 1, text.len - (size_t)(dot - text.ptr) - 1});
            }
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
            bw_compiler_complain(compiler, at, "write header:NAME, query:NAME, json:/PATH, json-number:/PATH, body, url, method or LIST.KEY",
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
