/* What is signed, how, with which key, and what else must hold. */
#include "source/compiler.h"
#include <stdlib.h>

#define COUNT(array) (sizeof array / sizeof *array)
#define ALGORITHMS_MAX 32

static void compile_algorithm(struct bw_compiler *compiler)
{
    const char *names[ALGORITHMS_MAX];
    size_t count = bw_algorithm_names(names, ALGORITHMS_MAX);
    const struct bw_yaml_node *node = bw_scheme_node(compiler->scheme, "alg");
    compiler->program->alg = (enum bw_alg)bw_compiler_choose(compiler, node ? node : compiler->scheme->root, bw_compiler_text_of(compiler, node),
                                                             names, count, "unknown alg");
}

static enum bw_key_decode compile_decode(struct bw_compiler *compiler, const struct bw_yaml_node *key, const char *name, const char *otherwise)
{
    static const char *const decodes[] = {"utf8", "base64", "hex", "sha1"};
    return (enum bw_key_decode)bw_compiler_choose(compiler, bw_yaml_get(key, name), bw_compiler_text(compiler, key, name, otherwise), decodes,
                                                  COUNT(decodes), "unknown decoding of the key");
}

static void compile_key(struct bw_compiler *compiler)
{
    static const char *const decode_names[] = {"utf8", "base64", "hex", "sha1"};
    const struct bw_yaml_node *key = bw_scheme_node(compiler->scheme, "key"), *secret = bw_yaml_get(key, "secret");
    struct bw_program *program = compiler->program;
    if (program->alg == BW_ALG_NONE || ((program->alg == BW_ALG_RSA || program->alg == BW_ALG_JWT) && !key)) return;
    size_t count = secret && secret->kind == BW_YAML_LIST ? secret->count : 1;
    if (count > BW_KEY_SECRETS_MAX) {
        bw_compiler_complain(compiler, secret, "at most 2", "too many secrets of the key, at", secret->items[BW_KEY_SECRETS_MAX]->text.ptr);
        count = BW_KEY_SECRETS_MAX;
    }
    for (size_t i = 0; i < count; i++) {
        struct bw_slice name = secret && secret->kind == BW_YAML_LIST ? bw_compiler_text_of(compiler, secret->items[i])
                                                                      : bw_compiler_text(compiler, key, "secret", "secret");
        program->key_secrets[program->key_secret_count++] = name;
        bw_compiler_secret(compiler, secret, name, count > 1);
    }
    if (program->alg == BW_ALG_BASIC) bw_compiler_secret(compiler, key, BW_SLICE("username"), false);
    const struct bw_yaml_node *strip = bw_yaml_get(key, "strip");
    if (strip && strip->kind == BW_YAML_LIST && strip->count > BW_STRIPS_MAX)
        bw_compiler_complain(compiler, strip, "at most 4", "too many prefixes in", "strip");
    for (size_t i = 0; strip && i < (strip->kind == BW_YAML_LIST ? strip->count : 1) && i < BW_STRIPS_MAX; i++) {
        struct bw_slice text = bw_compiler_text_of(compiler, strip->kind == BW_YAML_LIST ? strip->items[i] : strip);
        if (text.len) program->strips[program->strip_count++] = text;
    }
    program->key_decode = compile_decode(compiler, key, "decode", "utf8");
    program->key_bare = compile_decode(compiler, key, "bare", decode_names[program->key_decode]);
}

static void compile_lists(struct bw_compiler *compiler)
{
    const struct bw_yaml_node *parse = bw_scheme_node(compiler->scheme, "parse");
    struct bw_program *program = compiler->program;
    for (size_t i = 0; parse && parse->kind == BW_YAML_MAP && i < parse->count; i++) {
        const struct bw_yaml_node *value = parse->pairs[i].value;
        if (i == BW_LISTS_MAX) {
            bw_compiler_complain(compiler, parse->pairs[i].key, "at most 4", "too many lists to parse, at", parse->pairs[i].key->text.ptr);
            break;
        }
        struct bw_list_spec *list = &program->lists[program->list_count];
        list->name = bw_arena_copy(&program->arena, parse->pairs[i].key->text);
        list->separator = bw_compiler_text(compiler, value, "sep", "");
        list->equals = bw_compiler_text(compiler, value, "eq", "=");
        bw_compiler_request_ref(compiler, value, bw_compiler_text(compiler, value, "from", ""), &list->from);
        program->list_count++; /* from here on it can be named: one that is made of itself would have no end */
    }
}

static void compile_places(struct bw_compiler *compiler)
{
    static const char *const encodings[] = {"hex", "base64", "base64url", "utf8"};
    const struct bw_yaml_node *sig = bw_scheme_node(compiler->scheme, "sig"), *from = bw_yaml_get(sig, "from");
    struct bw_program *program = compiler->program;
    if (!from || from->kind == BW_YAML_NULL) {
        bw_compiler_complain(compiler, sig ? sig : compiler->scheme->root, "sig: {from: header:x-signature, enc: hex}",
                             "nothing says where the signature is:", compiler->scheme->name);
        return;
    }
    program->signature_count = bw_compiler_request_refs(compiler, from, program->signatures, BW_SIGNATURES_MAX);
    program->encoding = (enum bw_encoding)bw_compiler_choose(
        compiler, bw_yaml_get(sig, "enc"),
        bw_compiler_text(compiler, sig, "enc", program->alg == BW_ALG_EQUAL || program->alg == BW_ALG_JWT ? "utf8" : "hex"), encodings,
        COUNT(encodings), "unknown encoding of the signature");
    program->signature_prefix = bw_compiler_text(compiler, sig, "prefix", "");
    program->any_case = bw_compiler_flag(compiler, sig, "any_case", false);
    program->is_repeatable = bw_compiler_flag(compiler, sig, "repeated", false);
    program->is_paired = bw_compiler_flag(compiler, sig, "paired", false);
    if (program->key_secret_count > 1 && program->key_secret_count != program->signature_count)
        bw_compiler_complain(compiler, from, "as many as there are secrets: each is for the signature at its place",
                             "several secrets want as many signatures:", compiler->scheme->name);
}

/* The number of forms: msg, msg_alt, or as many as a part of msg has. */
static void compile_message(struct bw_compiler *compiler)
{
    struct bw_program *program = compiler->program;
    const struct bw_yaml_node *other = bw_scheme_node(compiler->scheme, "msg_alt");
    program->message_counts[0] = bw_compiler_refs(compiler, bw_scheme_node(compiler->scheme, "msg"), program->messages[0]);
    program->message_counts[1] = bw_compiler_refs(compiler, other, program->messages[1]);
    program->form_count = program->message_counts[1] ? 2 : 1;
    if (program->is_paired && (program->signature_count != 2 || !other))
        bw_compiler_complain(compiler, bw_scheme_node(compiler->scheme, "sig"), "sig: {from: [s.v0, s.v1], paired: true}, msg: […], msg_alt: […]",
                             "a pair is two signatures, the first of msg and the second of msg_alt:", "paired");
    for (size_t i = 0; i < program->message_counts[0]; i++) {
        const struct bw_part *part = program->messages[0][i].part;
        if (!part || part->forms < 2) continue;
        program->form_count = part->forms;
        if (other) bw_compiler_complain(compiler, other, "leave msg_alt out", "it has forms of its own:", part->name);
    }
    if (program->alg != BW_ALG_EQUAL && program->alg != BW_ALG_JWT && !program->message_counts[0])
        bw_compiler_complain(compiler, compiler->scheme->root, "msg: [body]", "nothing says what is signed:", compiler->scheme->name);
}

static int64_t whole_number(struct bw_compiler *compiler, const struct bw_yaml_node *map, const char *key, const char *otherwise, const char *hint,
                            const char *what)
{
    struct bw_slice text = bw_compiler_text(compiler, map, key, otherwise);
    bool is_number = text.len && text.len <= 9;
    for (size_t i = 0; i < text.len; i++) is_number = is_number && text.ptr[i] >= '0' && text.ptr[i] <= '9';
    if (is_number) return strtoll(text.ptr, NULL, 10);
    bw_compiler_complain(compiler, bw_yaml_get(map, key), hint, what, text.ptr);
    return 0;
}

int64_t bw_compiler_seconds(struct bw_compiler *compiler, const struct bw_yaml_node *map, const char *key, const char *otherwise)
{
    return whole_number(compiler, map, key, otherwise, "write 300 for five minutes", "a whole number of seconds is expected, found");
}

struct bw_shape bw_compiler_shape(struct bw_compiler *compiler, const struct bw_yaml_node *map)
{
    static const char what[] = "a whole number of bytes is expected, found";
    return (struct bw_shape){.only = bw_compiler_text(compiler, map, "only", ""),
                             .beyond = bw_compiler_text(compiler, map, "beyond", ""),
                             .at_least = (size_t)whole_number(compiler, map, "at_least", "0", "at_least: 20", what),
                             .at_most = (size_t)whole_number(compiler, map, "at_most", "0", "at_most: 32", what)};
}

static void compile_time(struct bw_compiler *compiler)
{
    static const char *const units[] = {"s", "ms", "rfc3339", "rfc1123"};
    const struct bw_yaml_node *time = bw_scheme_node(compiler->scheme, "time"), *at = bw_yaml_get(time, "from");
    struct bw_program *program = compiler->program;
    struct bw_slice from = bw_compiler_text(compiler, time, "from", "");
    if (time && !at) bw_compiler_complain(compiler, time, "time: {from: header:x-timestamp}", "nothing says where the timestamp is:", "time");
    if (!from.len) return; /* an option that was left empty switches the check off */
    program->has_time = true;
    bw_compiler_request_ref(compiler, at, from, &program->time);
    program->time_unit = (enum bw_time_unit)bw_compiler_choose(compiler, bw_yaml_get(time, "unit"), bw_compiler_text(compiler, time, "unit", "s"),
                                                               units, COUNT(units), "unknown unit of time");
    program->past_ms = bw_compiler_seconds(compiler, time, "past", "300") * 1000;
    program->future_ms = bw_compiler_seconds(compiler, time, "future", "300") * 1000;
    /* A clock that anybody can set proves nothing (pitfall 5): it must be inside the signed bytes. */
    if (!bw_program_signs(program, &program->time))
        bw_compiler_complain(compiler, at, "add it to msg, or leave `time` out", "the timestamp is not among the signed parts:", from.ptr);
}

static void compile_requirement(struct bw_compiler *compiler, const struct bw_yaml_node *node, struct bw_requirement *requirement)
{
    const struct bw_yaml_node *is = bw_yaml_get(node, "is");
    bw_compiler_request_ref(compiler, bw_yaml_get(node, "value") ? bw_yaml_get(node, "value") : node, bw_compiler_text(compiler, node, "value", ""),
                            &requirement->value);
    requirement->shape = bw_compiler_shape(compiler, node);
    size_t count = !is ? 0 : is->kind == BW_YAML_LIST ? is->count : 1;
    if (count > COUNT(requirement->is)) {
        bw_compiler_complain(compiler, is, "at most 4", "too many values in", "is");
        count = COUNT(requirement->is);
    }
    for (size_t i = 0; i < count; i++)
        requirement->is[requirement->is_count++] = bw_compiler_text_of(compiler, is->kind == BW_YAML_LIST ? is->items[i] : is);
    if (!count && bw_shape_is_open(&requirement->shape))
        bw_compiler_complain(compiler, node, "{value: \"header:x-version\", is: \"1\"}", "nothing says what is required:", "require");
}

static void compile_requirements(struct bw_compiler *compiler)
{
    const struct bw_yaml_node *list = bw_scheme_node(compiler->scheme, "require");
    struct bw_program *program = compiler->program;
    for (size_t i = 0; list && list->kind == BW_YAML_LIST && i < list->count; i++) {
        if (i == BW_REQUIREMENTS_MAX) {
            bw_compiler_complain(compiler, list->items[i], "at most 8", "too many requirements in", "require");
            break;
        }
        compile_requirement(compiler, list->items[i], &program->requirements[program->requirement_count++]);
    }
}

/* Parts that may hold a forbidden character: whole bodies and URLs, and what the scheme excepts. */
static void compile_forbid(struct bw_compiler *compiler)
{
    const struct bw_yaml_node *forbid = bw_scheme_node(compiler->scheme, "forbid");
    struct bw_program *program = compiler->program;
    struct bw_ref excepted[BW_REFS_MAX];
    bool is_map = forbid && forbid->kind == BW_YAML_MAP;
    program->forbid = is_map ? bw_compiler_text(compiler, forbid, "characters", "") : bw_compiler_text_of(compiler, forbid);
    size_t count = is_map ? bw_compiler_request_refs(compiler, bw_yaml_get(forbid, "except"), excepted, BW_REFS_MAX) : 0;
    for (size_t which = 0; which < BW_MESSAGES_MAX; which++)
        for (size_t i = 0; i < program->message_counts[which]; i++) {
            struct bw_ref *ref = &program->messages[which][i];
            ref->may_hold_any = ref->kind == BW_REF_LITERAL || ref->kind == BW_REF_SECRET || ref->kind == BW_REF_BODY || ref->kind == BW_REF_URL ||
                                ref->kind == BW_REF_PART;
            for (size_t k = 0; k < count; k++) ref->may_hold_any = ref->may_hold_any || bw_ref_same(ref, &excepted[k]);
        }
}

/* Headers that `bellwire send` adds, because the sender does. */
static void compile_sent(struct bw_compiler *compiler)
{
    const struct bw_yaml_node *map = bw_scheme_node(compiler->scheme, "send");
    struct bw_program *program = compiler->program;
    for (size_t i = 0; map && map->kind == BW_YAML_MAP && i < map->count; i++) {
        if (i == BW_SENT_MAX) {
            bw_compiler_complain(compiler, map->pairs[i].key, "at most 4", "too many headers to send, at", map->pairs[i].key->text.ptr);
            break;
        }
        program->sent[program->sent_count++] =
            (struct bw_header){bw_arena_copy(&program->arena, map->pairs[i].key->text), bw_compiler_text_of(compiler, map->pairs[i].value)};
    }
}

static void compile_each(struct bw_compiler *compiler)
{
    const struct bw_yaml_node *node = bw_scheme_node(compiler->scheme, "each");
    struct bw_slice text = bw_compiler_text_of(compiler, node);
    compiler->program->each = -1;
    if (!node) return;
    if (text.len < 5 || memcmp(text.ptr, "json:", 5) != 0) {
        bw_compiler_complain(compiler, node, "each: \"json:/items\"", "each wants the JSON pointer of an array, found", text.ptr);
        return;
    }
    compiler->program->each =
        bw_compiler_pointer(compiler, node, bw_arena_copy(&compiler->program->arena, (struct bw_slice){text.ptr + 5, text.len - 5}), false);
}

static bool reads_document(const struct bw_program *program, const struct bw_ref *ref)
{
    for (; ref; ref = ref->otherwise) {
        if (ref->kind == BW_REF_JSON || ref->kind == BW_REF_ITEM) return true;
        if (ref->kind == BW_REF_LIST && reads_document(program, &program->lists[ref->index].from)) return true;
        if (ref->kind == BW_REF_PART && ref->argument && reads_document(program, ref->argument)) return true;
    }
    return false;
}

static void compile_data(struct bw_compiler *compiler)
{
    const struct bw_yaml_node *data = bw_scheme_node(compiler->scheme, "data");
    struct bw_program *program = compiler->program;
    struct bw_slice text = bw_compiler_text_of(compiler, data);
    program->document = (struct bw_ref){.kind = BW_REF_LITERAL};
    if (!data) return;
    bw_compiler_request_ref(compiler, data, text, &program->document);
    if (!reads_document(program, &program->document)) return;
    bw_compiler_complain(compiler, data, "name where in the request it is: form:NAME, query:NAME, header:NAME or body",
                         "json: and item: read what `data` is, it cannot be one of them:", text.ptr);
    program->document = (struct bw_ref){.kind = BW_REF_LITERAL};
}

void bw_compiler_signature(struct bw_compiler *compiler)
{
    struct bw_program *program = compiler->program;
    compile_algorithm(compiler);
    compile_key(compiler);
    compile_lists(compiler);
    compile_each(compiler);
    compile_data(compiler);
    if (program->alg != BW_ALG_NONE && program->alg != BW_ALG_BASIC) {
        compile_places(compiler);
        compile_message(compiler);
    }
    bw_compiler_keys_of_others(compiler);
    compile_requirements(compiler);
    compile_forbid(compiler);
    compile_sent(compiler);
    compile_time(compiler);
}
