/* Scheme files → programs. Every fault has the scheme file's line and column. */
#include "base/suggest.h"
#include "source/program.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct compiler {
    struct bw_program *program;
    const struct bw_scheme *scheme;
    const struct bw_source_config *config;
    struct bw_errors *errs;
};

static const char *const scheme_keys[] = {"doc", "console", "alg",       "key",        "parse",  "sig",     "msg", "time",
                                          "id",  "event",   "handshake", "empty_body", "forbid", "options", "once"};
#define COUNT(array) (sizeof array / sizeof *array)

static void complain(struct compiler *compiler, const struct bw_yaml_node *at, const char *hint, const char *format, const char *word)
{
    struct bw_error *err = bw_errors_add(compiler->errs, "scheme.invalid", "scheme %s: %s '%s'", compiler->scheme->name, format, word);
    if (hint) bw_error_hint(err, "%s", hint);
    bw_error_at(err, compiler->scheme->file, at ? at->line : 0, at ? at->column : 0);
}

/* {NAME} → the source's option, else the scheme's default. */
static struct bw_slice with_options(struct compiler *compiler, const struct bw_yaml_node *node)
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

static struct bw_slice text_of(struct compiler *compiler, const struct bw_yaml_node *map, const char *key, const char *otherwise)
{
    const struct bw_yaml_node *node = bw_yaml_get(map, key);
    if (!node || node->kind == BW_YAML_LIST || node->kind == BW_YAML_MAP) return bw_slice_of(otherwise);
    return with_options(compiler, node);
}

static int choose(struct compiler *compiler, const struct bw_yaml_node *at, struct bw_slice word, const char *const *known, size_t count,
                  const char *what)
{
    char hint[100] = "";
    for (size_t i = 0; i < count; i++)
        if (bw_slice_is(word, known[i])) return (int)i;
    const char *near = bw_suggest(word, known, count);
    if (near) snprintf(hint, sizeof hint, "did you mean '%s'?", near);
    complain(compiler, at, hint, what, word.ptr);
    return 0;
}

/* ---- references ---- */

static bool has_prefix(struct bw_slice *text, const char *prefix)
{
    size_t len = strlen(prefix);
    if (text->len < len || memcmp(text->ptr, prefix, len) != 0) return false;
    text->ptr += len;
    text->len -= len;
    return true;
}

static struct bw_slice lower(struct compiler *compiler, struct bw_slice text)
{
    struct bw_slice copy = bw_arena_copy(&compiler->program->arena, text);
    for (size_t i = 0; i < copy.len; i++)
        if (copy.ptr[i] >= 'A' && copy.ptr[i] <= 'Z') ((char *)copy.ptr)[i] += 32;
    return copy;
}

static int pointer_index(struct compiler *compiler, struct bw_slice pointer)
{
    struct bw_program *program = compiler->program;
    for (size_t i = 0; i < program->pointer_count; i++)
        if (bw_slice_is(pointer, program->pointers[i])) return (int)i;
    if (program->pointer_count == BW_JSON_PATHS_MAX) return -1;
    program->pointers[program->pointer_count] = bw_arena_copy(&program->arena, pointer).ptr;
    return (int)program->pointer_count++;
}

static void one_ref(struct compiler *compiler, const struct bw_yaml_node *at, struct bw_slice text, struct bw_ref *ref)
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
        if (ref->index < 0) complain(compiler, at, NULL, "too many JSON paths, at", ref->name.ptr);
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
static void read_ref(struct compiler *compiler, const struct bw_yaml_node *at, struct bw_slice text, struct bw_ref *ref)
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
    read_ref(compiler, at, bw_arena_copy(&compiler->program->arena, (struct bw_slice){bar + 1, text.len - (size_t)(bar - text.ptr) - 1}), otherwise);
    ref->otherwise = otherwise;
}

static size_t read_refs(struct compiler *compiler, const struct bw_yaml_node *list, struct bw_ref *out)
{
    size_t count = 0;
    if (!list) return 0;
    if (list->kind != BW_YAML_LIST) {
        complain(compiler, list, NULL, "a list of value references is expected, found", bw_yaml_kind_name(list->kind));
        return 0;
    }
    for (size_t i = 0; i < list->count && count < BW_REFS_MAX; i++)
        read_ref(compiler, list->items[i], with_options(compiler, list->items[i]), &out[count++]);
    return count;
}

static size_t override_refs(struct compiler *compiler, char **texts, size_t text_count, struct bw_ref *out)
{
    size_t count = 0;
    for (size_t i = 0; i < text_count && count < BW_REFS_MAX; i++) read_ref(compiler, NULL, bw_slice_of(texts[i]), &out[count++]);
    return count;
}

/* ---- parts ---- */

static void compile_key(struct compiler *compiler)
{
    static const char *const decodes[] = {"utf8", "base64", "hex"};
    const struct bw_yaml_node *key = bw_yaml_get(compiler->scheme->root, "key");
    struct bw_program *program = compiler->program;
    program->secret = text_of(compiler, key, "secret", "secret");
    program->strip = text_of(compiler, key, "strip", "");
    program->key_decode =
        (unsigned)choose(compiler, key, text_of(compiler, key, "decode", "utf8"), decodes, COUNT(decodes), "unknown decoding of the key");
}

static void compile_lists(struct compiler *compiler)
{
    const struct bw_yaml_node *parse = bw_yaml_get(compiler->scheme->root, "parse");
    struct bw_program *program = compiler->program;
    for (size_t i = 0; parse && parse->kind == BW_YAML_MAP && i < parse->count && program->list_count < BW_LISTS_MAX; i++) {
        const struct bw_yaml_node *value = parse->pairs[i].value;
        struct bw_list_spec *list = &program->lists[program->list_count++];
        list->name = bw_arena_copy(&program->arena, parse->pairs[i].key->text);
        list->separator = text_of(compiler, value, "sep", "");
        list->equals = text_of(compiler, value, "eq", "=");
        read_ref(compiler, value, text_of(compiler, value, "from", ""), &list->from);
    }
}

static void compile_signature(struct compiler *compiler)
{
    static const char *const encodings[] = {"hex", "base64", "base64url", "utf8"};
    const struct bw_yaml_node *sig = bw_yaml_get(compiler->scheme->root, "sig");
    struct bw_program *program = compiler->program;
    struct bw_slice from = text_of(compiler, sig, "from", "");
    if (program->alg == BW_ALG_NONE || program->alg == BW_ALG_BASIC) return;
    if (!from.len) {
        complain(compiler, sig ? sig : compiler->scheme->root, "sig: {from: header:x-signature, enc: hex}",
                 "nothing says where the signature is:", compiler->scheme->name);
        return;
    }
    read_ref(compiler, sig, from, &program->signature);
    program->encoding = (enum bw_encoding)choose(compiler, sig, text_of(compiler, sig, "enc", program->alg == BW_ALG_EQUAL ? "utf8" : "hex"),
                                                 encodings, COUNT(encodings), "unknown encoding of the signature");
    program->signature_prefix = text_of(compiler, sig, "prefix", "");
    program->any_case = bw_slice_is(text_of(compiler, sig, "any_case", "false"), "true");
    program->message_count = read_refs(compiler, bw_yaml_get(compiler->scheme->root, "msg"), program->message);
    if (program->alg != BW_ALG_EQUAL && !program->message_count)
        complain(compiler, compiler->scheme->root, "msg: [body]", "nothing says what is signed:", compiler->scheme->name);
}

static void compile_time(struct compiler *compiler)
{
    static const char *const units[] = {"s", "ms", "rfc3339"};
    const struct bw_yaml_node *time = bw_yaml_get(compiler->scheme->root, "time");
    struct bw_program *program = compiler->program;
    struct bw_slice from = time ? text_of(compiler, time, "from", "") : (struct bw_slice){0};
    if (!from.len) return; /* an option that was left empty switches the check off */
    program->has_time = true;
    read_ref(compiler, time, from, &program->time);
    program->time_unit = (enum bw_time_unit)choose(compiler, time, text_of(compiler, time, "unit", "s"), units, COUNT(units), "unknown unit of time");
    program->past_ms = strtoll(text_of(compiler, time, "past", "300").ptr, NULL, 10) * 1000;
    program->future_ms = strtoll(text_of(compiler, time, "future", "300").ptr, NULL, 10) * 1000;
    /* A clock that anybody can set proves nothing (pitfall 5): it must be inside the signed bytes. */
    bool is_signed = false;
    for (size_t i = 0; i < program->message_count; i++) {
        const struct bw_ref *part = &program->message[i];
        is_signed = is_signed ||
                    (part->kind == program->time.kind && part->index == program->time.index && bw_slice_equal(part->name, program->time.name)) ||
                    (part->kind == BW_REF_BODY && program->time.kind == BW_REF_JSON);
    }
    if (!is_signed) complain(compiler, time, "add it to msg, or leave `time` out", "the timestamp is not among the signed parts:", from.ptr);
}

static void compile_handshake(struct compiler *compiler, const struct bw_yaml_node *node, struct bw_handshake *handshake)
{
    struct bw_program *program = compiler->program;
    const struct bw_yaml_node *when = bw_yaml_get(node, "when"), *answer = bw_yaml_get(node, "answer"), *json = bw_yaml_get(answer, "json"),
                              *text = bw_yaml_get(answer, "text");
    handshake->method = text_of(compiler, when, "method", "");
    read_ref(compiler, when, text_of(compiler, when, "has", ""), &handshake->present);
    read_ref(compiler, when, text_of(compiler, when, "value", ""), &handshake->subject);
    handshake->expected = text_of(compiler, when, "is", "");
    handshake->verify_first = !bw_slice_is(text_of(compiler, node, "verify_first", "true"), "false");
    handshake->status = (unsigned)strtoul(text_of(compiler, answer, "status", "200").ptr, NULL, 10);
    handshake->type = json ? "application/json" : "text/plain; charset=utf-8";
    /* Holes {ref} become one byte each; in a JSON answer the value is written with its quotes. */
    struct bw_buf whole = {0}, template_ = {0};
    if (json) bw_yaml_to_json(json, &whole);
    if (text) bw_buf_append_slice(&whole, text->text);
    handshake->answer_refs = bw_arena_alloc(&program->arena, 8 * sizeof *handshake->answer_refs);
    const char *at = whole.data ? whole.data : "", *end = at + whole.len;
    while (at < end && handshake->answer_refs) {
        const char *open = json ? memmem(at, (size_t)(end - at), "\"{", 2) : memchr(at, '{', (size_t)(end - at)),
                   *close = open ? strstr(open, json ? "}\"" : "}") : NULL;
        if (!close || handshake->answer_ref_count == 8) break;
        size_t lead = json ? 2 : 1;
        bw_buf_append(&template_, at, (size_t)(open - at));
        bw_buf_append_char(&template_, '\1');
        read_ref(compiler, node, bw_arena_copy(&program->arena, (struct bw_slice){open + lead, (size_t)(close - open) - lead}),
                 &handshake->answer_refs[handshake->answer_ref_count++]);
        at = close + lead;
    }
    bw_buf_append(&template_, at, (size_t)(end - at));
    handshake->answer = bw_arena_copy(&program->arena, bw_buf_slice(&template_));
    bw_buf_free(&whole);
    bw_buf_free(&template_);
}

static void add_key_header(struct bw_program *program, const struct bw_ref *ref)
{
    for (; ref; ref = ref->otherwise) {
        const struct bw_ref *source = ref->kind == BW_REF_LIST ? &program->lists[ref->index].from : ref;
        if (source->kind == BW_REF_HEADER && program->key_header_count < BW_REFS_MAX)
            program->key_headers[program->key_header_count++] = source->name;
    }
}

static bool reads_json(const struct bw_program *program, const struct bw_ref *ref)
{
    for (; ref; ref = ref->otherwise)
        if (ref->kind == BW_REF_JSON || (ref->kind == BW_REF_LIST && program->lists[ref->index].from.kind == BW_REF_JSON)) return true;
    return false;
}

static void finish(struct compiler *compiler)
{
    struct bw_program *program = compiler->program;
    struct bw_error err;
    add_key_header(program, &program->signature);
    if (program->has_time) add_key_header(program, &program->time);
    for (size_t i = 0; i < program->message_count; i++) add_key_header(program, &program->message[i]);
    for (size_t i = 0; i < program->id_count; i++) add_key_header(program, &program->id[i]);
    for (size_t i = 0; i < program->event_count; i++) add_key_header(program, &program->event[i]);
    if (program->alg == BW_ALG_BASIC && program->key_header_count < BW_REFS_MAX)
        program->key_headers[program->key_header_count++] = BW_SLICE("authorization");
    program->reads_json_first = reads_json(program, &program->signature) || (program->has_time && reads_json(program, &program->time));
    for (size_t i = 0; i < program->message_count; i++)
        program->reads_json_first = program->reads_json_first || reads_json(program, &program->message[i]);
    if (program->pointer_count && !(program->paths = bw_json_paths_new(program->pointers, program->pointer_count, &err))) {
        bw_error_at(&err, compiler->scheme->file, 0, 0);
        bw_errors_push(compiler->errs, &err);
    }
    if (program->arena.failed) bw_errors_add(compiler->errs, "memory", "out of memory");
}

static void check_keys(struct compiler *compiler)
{
    const struct bw_yaml_node *root = compiler->scheme->root;
    for (size_t i = 0; i < root->count; i++) {
        const struct bw_yaml_node *key = root->pairs[i].key;
        choose(compiler, key, key->text, scheme_keys, COUNT(scheme_keys), "unknown key");
    }
}

struct bw_program *bw_program_compile(const struct bw_scheme *scheme, const struct bw_source_config *config, struct bw_errors *errs)
{
    static const char *const algorithms[] = {"none", "hmac-sha1", "hmac-sha256", "hmac-sha512", "sha256", "equal", "basic"};
    struct bw_program *program = calloc(1, sizeof *program);
    struct compiler compiler = {program, scheme, config, errs};
    size_t before = errs->count;
    if (!program) {
        bw_errors_add(errs, "memory", "out of memory");
        return NULL;
    }
    check_keys(&compiler);
    struct bw_slice alg = text_of(&compiler, scheme->root, "alg", "");
    program->alg = (enum bw_alg)choose(&compiler, bw_yaml_get(scheme->root, "alg") ? bw_yaml_get(scheme->root, "alg") : scheme->root, alg, algorithms,
                                       COUNT(algorithms), "unknown alg");
    compile_key(&compiler);
    compile_lists(&compiler);
    compile_signature(&compiler);
    compile_time(&compiler);
    program->id_count = config->dedupe_ref_count ? override_refs(&compiler, config->dedupe_refs, config->dedupe_ref_count, program->id)
                                                 : read_refs(&compiler, bw_yaml_get(scheme->root, "id"), program->id);
    program->event_count = config->event_ref_count ? override_refs(&compiler, config->event_refs, config->event_ref_count, program->event)
                                                   : read_refs(&compiler, bw_yaml_get(scheme->root, "event"), program->event);
    program->forbid = text_of(&compiler, scheme->root, "forbid", "");
    program->accepts_empty_body = bw_slice_is(text_of(&compiler, scheme->root, "empty_body", "reject"), "accept");
    const struct bw_yaml_node *handshakes = bw_yaml_get(scheme->root, "handshake");
    if (handshakes && handshakes->kind == BW_YAML_LIST &&
        (program->handshakes = bw_arena_alloc(&program->arena, handshakes->count * sizeof *program->handshakes)))
        for (size_t i = 0; i < handshakes->count; i++)
            compile_handshake(&compiler, handshakes->items[i], &program->handshakes[program->handshake_count++]);
    finish(&compiler);
    if (errs->count == before) return program;
    bw_program_free(program);
    return NULL;
}

void bw_program_free(struct bw_program *program)
{
    if (!program) return;
    bw_json_paths_free(program->paths);
    bw_arena_free(&program->arena);
    free(program);
}
