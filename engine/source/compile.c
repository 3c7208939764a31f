/* Scheme files → programs. Every fault has the scheme file's line and column. */
#include "base/suggest.h"
#include "source/compiler.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof array / sizeof *array)

void bw_compiler_complain(struct bw_compiler *compiler, const struct bw_yaml_node *at, const char *hint, const char *what, const char *word)
{
    struct bw_error *err = bw_errors_add(compiler->errs, "scheme.invalid", "scheme %s: %s '%s'", compiler->scheme->name, what, word);
    if (hint) bw_error_hint(err, "%s", hint);
    if (at) bw_error_at(err, compiler->scheme->file, at->line, at->column); /* else the fault is the source's, whose place is added there */
}

int bw_compiler_choose(struct bw_compiler *compiler, const struct bw_yaml_node *at, struct bw_slice word, const char *const *known, size_t count,
                       const char *what)
{
    char hint[100] = "";
    for (size_t i = 0; i < count; i++)
        if (bw_slice_is(word, known[i])) return (int)i;
    const char *near = bw_suggest(word, known, count);
    if (near) snprintf(hint, sizeof hint, "did you mean '%s'?", near);
    bw_compiler_complain(compiler, at, hint, what, word.ptr);
    return 0;
}

/* ---- parts ---- */

static void compile_key(struct bw_compiler *compiler)
{
    static const char *const decodes[] = {"utf8", "base64", "hex"};
    const struct bw_yaml_node *key = bw_yaml_get(compiler->scheme->root, "key");
    struct bw_program *program = compiler->program;
    program->secret = bw_compiler_text(compiler, key, "secret", "secret");
    program->strip = bw_compiler_text(compiler, key, "strip", "");
    program->key_decode = (unsigned)bw_compiler_choose(compiler, bw_yaml_get(key, "decode"), bw_compiler_text(compiler, key, "decode", "utf8"),
                                                       decodes, COUNT(decodes), "unknown decoding of the key");
}

static void compile_lists(struct bw_compiler *compiler)
{
    const struct bw_yaml_node *parse = bw_yaml_get(compiler->scheme->root, "parse");
    struct bw_program *program = compiler->program;
    for (size_t i = 0; parse && parse->kind == BW_YAML_MAP && i < parse->count; i++) {
        const struct bw_yaml_node *value = parse->pairs[i].value;
        if (i == BW_LISTS_MAX) {
            bw_compiler_complain(compiler, parse->pairs[i].key, "at most 4", "too many lists to parse, at", parse->pairs[i].key->text.ptr);
            break;
        }
        struct bw_list_spec *list = &program->lists[program->list_count++];
        list->name = bw_arena_copy(&program->arena, parse->pairs[i].key->text);
        list->separator = bw_compiler_text(compiler, value, "sep", "");
        list->equals = bw_compiler_text(compiler, value, "eq", "=");
        bw_compiler_request_ref(compiler, value, bw_compiler_text(compiler, value, "from", ""), &list->from);
    }
}

static void compile_signature(struct bw_compiler *compiler)
{
    static const char *const encodings[] = {"hex", "base64", "base64url", "utf8"}, *const booleans[] = {"false", "true"};
    const struct bw_yaml_node *sig = bw_yaml_get(compiler->scheme->root, "sig");
    struct bw_program *program = compiler->program;
    struct bw_slice from = bw_compiler_text(compiler, sig, "from", "");
    if (program->alg == BW_ALG_NONE || program->alg == BW_ALG_BASIC) return;
    if (!from.len) {
        bw_compiler_complain(compiler, sig ? sig : compiler->scheme->root, "sig: {from: header:x-signature, enc: hex}",
                             "nothing says where the signature is:", compiler->scheme->name);
        return;
    }
    bw_compiler_request_ref(compiler, bw_yaml_get(sig, "from"), from, &program->signature);
    program->encoding = (enum bw_encoding)bw_compiler_choose(compiler, bw_yaml_get(sig, "enc"),
                                                             bw_compiler_text(compiler, sig, "enc", program->alg == BW_ALG_EQUAL ? "utf8" : "hex"),
                                                             encodings, COUNT(encodings), "unknown encoding of the signature");
    program->signature_prefix = bw_compiler_text(compiler, sig, "prefix", "");
    program->any_case = bw_compiler_choose(compiler, bw_yaml_get(sig, "any_case"), bw_compiler_text(compiler, sig, "any_case", "false"), booleans, 2,
                                           "any_case must be true or false:");
    program->message_count = bw_compiler_refs(compiler, bw_yaml_get(compiler->scheme->root, "msg"), program->message);
    if (program->alg != BW_ALG_EQUAL && !program->message_count)
        bw_compiler_complain(compiler, compiler->scheme->root, "msg: [body]", "nothing says what is signed:", compiler->scheme->name);
}

static int64_t seconds_of(struct bw_compiler *compiler, const struct bw_yaml_node *time, const char *key)
{
    struct bw_slice text = bw_compiler_text(compiler, time, key, "300");
    bool is_number = text.len && text.len <= 9;
    for (size_t i = 0; i < text.len; i++) is_number = is_number && text.ptr[i] >= '0' && text.ptr[i] <= '9';
    if (is_number) return strtoll(text.ptr, NULL, 10);
    bw_compiler_complain(compiler, bw_yaml_get(time, key), "write 300 for five minutes", "a whole number of seconds is expected, found", text.ptr);
    return 0;
}

static bool same_ref(const struct bw_ref *a, const struct bw_ref *b)
{
    for (; a && b; a = a->otherwise, b = b->otherwise)
        if (a->kind != b->kind || a->index != b->index || !bw_slice_equal(a->name, b->name)) return false;
    return !a && !b;
}

/* Whatever alternative is read, its bytes are among the signed ones. */
static bool is_signed(const struct bw_program *program, const struct bw_ref *ref)
{
    bool has_body = false, is_json = true;
    if (program->alg == BW_ALG_NONE || program->alg == BW_ALG_EQUAL || program->alg == BW_ALG_BASIC) return false;
    for (size_t i = 0; i < program->message_count; i++) {
        if (same_ref(ref, &program->message[i])) return true;
        has_body = has_body || program->message[i].kind == BW_REF_BODY;
    }
    for (; ref; ref = ref->otherwise) is_json = is_json && (ref->kind == BW_REF_JSON || ref->kind == BW_REF_BODY);
    return has_body && is_json;
}

static void compile_time(struct bw_compiler *compiler)
{
    static const char *const units[] = {"s", "ms", "rfc3339"};
    const struct bw_yaml_node *time = bw_yaml_get(compiler->scheme->root, "time"), *at = bw_yaml_get(time, "from");
    struct bw_program *program = compiler->program;
    struct bw_slice from = bw_compiler_text(compiler, time, "from", "");
    if (time && !at) bw_compiler_complain(compiler, time, "time: {from: header:x-timestamp}", "nothing says where the timestamp is:", "time");
    if (!from.len) return; /* an option that was left empty switches the check off */
    program->has_time = true;
    bw_compiler_request_ref(compiler, at, from, &program->time);
    program->time_unit = (enum bw_time_unit)bw_compiler_choose(compiler, bw_yaml_get(time, "unit"), bw_compiler_text(compiler, time, "unit", "s"),
                                                               units, COUNT(units), "unknown unit of time");
    program->past_ms = seconds_of(compiler, time, "past") * 1000;
    program->future_ms = seconds_of(compiler, time, "future") * 1000;
    /* A clock that anybody can set proves nothing (pitfall 5): it must be inside the signed bytes. */
    if (!is_signed(program, &program->time))
        bw_compiler_complain(compiler, at, "add it to msg, or leave `time` out", "the timestamp is not among the signed parts:", from.ptr);
}

/* A name from unsigned bytes may be read, but workflows are told that nobody vouches for it. Plain text is the operator's own. */
static void mark_signed(const struct bw_program *program, struct bw_ref *refs, size_t count)
{
    for (size_t i = 0; i < count; i++) refs[i].is_signed = refs[i].kind == BW_REF_LITERAL || is_signed(program, &refs[i]);
}

static void compile_names(struct bw_compiler *compiler)
{
    const struct bw_source_config *config = compiler->config;
    const struct bw_yaml_node *id = bw_yaml_get(compiler->scheme->root, "id");
    struct bw_program *program = compiler->program;
    if (config->dedupe_ref_count)
        program->id_count = bw_compiler_override(compiler, config->dedupe_refs, config->dedupe_ref_count, program->id);
    else
        program->id_count = bw_compiler_refs(compiler, id, program->id);
    if (config->event_ref_count)
        program->event_count = bw_compiler_override(compiler, config->event_refs, config->event_ref_count, program->event);
    else
        program->event_count = bw_compiler_refs(compiler, bw_yaml_get(compiler->scheme->root, "event"), program->event);
    for (size_t i = 0; i < program->id_count; i++)
        for (const struct bw_ref *ref = &program->id[i]; ref && !config->dedupe_ref_count; ref = ref->otherwise)
            if (ref->kind == BW_REF_LITERAL)
                bw_compiler_complain(compiler, id, "a constant would make every event but the first a duplicate",
                                     "this names no part of a request:", ref->name.ptr);
    mark_signed(program, program->event, program->event_count);
}

/* What takes part in the judgement may occur once only: of two, sender and verifier may each believe another one (pitfall 15). */
static void add_key_header(struct bw_compiler *compiler, const struct bw_ref *ref)
{
    struct bw_program *program = compiler->program;
    for (; ref; ref = ref->otherwise) {
        const struct bw_ref *source = ref->kind == BW_REF_LIST ? &program->lists[ref->index].from : ref;
        bool is_known = source->kind != BW_REF_HEADER;
        for (size_t i = 0; i < program->key_header_count; i++) is_known = is_known || bw_slice_equal(program->key_headers[i], source->name);
        if (is_known) continue;
        if (program->key_header_count < BW_KEY_HEADERS_MAX)
            program->key_headers[program->key_header_count++] = source->name;
        else
            bw_compiler_complain(compiler, compiler->scheme->root, "at most 32", "too many headers, at", source->name.ptr);
    }
}

bool bw_ref_reads_json(const struct bw_program *program, const struct bw_ref *ref)
{
    for (; ref; ref = ref->otherwise)
        if (ref->kind == BW_REF_JSON || (ref->kind == BW_REF_LIST && program->lists[ref->index].from.kind == BW_REF_JSON)) return true;
    return false;
}

static void finish(struct bw_compiler *compiler)
{
    struct bw_program *program = compiler->program;
    const struct bw_ref authorization = {.kind = BW_REF_HEADER, .name = BW_SLICE("authorization")};
    struct bw_error err;
    add_key_header(compiler, &program->signature);
    if (program->has_time) add_key_header(compiler, &program->time);
    for (size_t i = 0; i < program->message_count; i++) add_key_header(compiler, &program->message[i]);
    for (size_t i = 0; i < program->id_count; i++) add_key_header(compiler, &program->id[i]);
    for (size_t i = 0; i < program->event_count; i++) add_key_header(compiler, &program->event[i]);
    if (program->alg == BW_ALG_BASIC) add_key_header(compiler, &authorization);
    program->reads_json_first = bw_ref_reads_json(program, &program->signature) || (program->has_time && bw_ref_reads_json(program, &program->time));
    for (size_t i = 0; i < program->message_count; i++)
        program->reads_json_first = program->reads_json_first || bw_ref_reads_json(program, &program->message[i]);
    if (program->pointer_count && !(program->paths = bw_json_paths_new(program->pointers, program->pointer_count, &err))) {
        bw_error_at(&err, compiler->scheme->file, 0, 0);
        bw_errors_push(compiler->errs, &err);
    }
    if (program->arena.failed) bw_errors_add(compiler->errs, "memory", "out of memory");
}

struct bw_program *bw_program_compile(const struct bw_scheme *scheme, const struct bw_source_config *config, struct bw_errors *errs)
{
    static const char *const algorithms[] = {"none", "hmac-sha1", "hmac-sha256", "hmac-sha512", "sha256", "equal", "basic"};
    static const char *const empty_bodies[] = {"reject", "accept"};
    struct bw_program *program = calloc(1, sizeof *program);
    struct bw_compiler compiler = {program, scheme, config, errs};
    size_t before = errs->count;
    if (!program) {
        bw_errors_add(errs, "memory", "out of memory");
        return NULL;
    }
    bw_compiler_check_keys(&compiler);
    struct bw_slice alg = bw_compiler_text(&compiler, scheme->root, "alg", "");
    program->alg = (enum bw_alg)bw_compiler_choose(&compiler, bw_yaml_get(scheme->root, "alg") ? bw_yaml_get(scheme->root, "alg") : scheme->root, alg,
                                                   algorithms, COUNT(algorithms), "unknown alg");
    compile_key(&compiler);
    compile_lists(&compiler);
    compile_signature(&compiler);
    compile_time(&compiler);
    compile_names(&compiler);
    program->forbid = bw_compiler_text(&compiler, scheme->root, "forbid", "");
    program->accepts_empty_body =
        bw_compiler_choose(&compiler, bw_yaml_get(scheme->root, "empty_body"), bw_compiler_text(&compiler, scheme->root, "empty_body", "reject"),
                           empty_bodies, 2, "empty_body must be accept or reject:");
    const struct bw_yaml_node *handshakes = bw_yaml_get(scheme->root, "handshake");
    if (handshakes && handshakes->kind == BW_YAML_LIST &&
        (program->handshakes = bw_arena_alloc(&program->arena, handshakes->count * sizeof *program->handshakes)))
        for (size_t i = 0; i < handshakes->count; i++)
            bw_compiler_handshake(&compiler, handshakes->items[i], &program->handshakes[program->handshake_count++]);
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
