/* Handshakes: conditions and answers. */
#include "source/compiler.h"
#include <stdlib.h>

#define HOLES_MAX 8

/* Where the next hole begins: in JSON only inside a string. */
static const char *next_hole(const char *at, const char *end, bool is_json, bool *is_in_string)
{
    for (; at < end; at++) {
        if (is_json && *at == '"')
            *is_in_string = !*is_in_string;
        else if (is_json && *is_in_string && *at == '\\')
            at++;
        else if (*at == '{' && (!is_json || *is_in_string))
            return at;
    }
    return NULL;
}

/* Holes {ref} become one byte each. */
static void compile_template(struct bw_compiler *compiler, const struct bw_yaml_node *at_node, struct bw_slice whole, bool is_json,
                             struct bw_template *out)
{
    struct bw_arena *arena = &compiler->program->arena;
    struct bw_buf text = {0};
    bool is_in_string = false;
    const char *at = whole.ptr, *end = at + whole.len;
    out->is_json = is_json;
    out->refs = bw_arena_alloc(arena, HOLES_MAX * sizeof *out->refs);
    while (at < end && out->refs) {
        const char *open = next_hole(at, end, is_json, &is_in_string), *close = open ? memchr(open, '}', (size_t)(end - open)) : NULL;
        if (!close) break;
        if (out->ref_count == HOLES_MAX) {
            bw_compiler_complain(compiler, at_node, "at most 8", "too many values in one answer, at", open);
            break;
        }
        bw_buf_append(&text, at, (size_t)(open - at));
        bw_buf_append_char(&text, '\1');
        struct bw_ref *ref = &out->refs[out->ref_count++];
        bw_compiler_ref(compiler, at_node, bw_arena_copy(arena, (struct bw_slice){open + 1, (size_t)(close - open) - 1}), ref);
        if (ref->kind == BW_REF_LITERAL)
            bw_compiler_complain(compiler, at_node, "write {json:/challenge}, {query:challenge}, {header:x-challenge}, …",
                                 "this names no part of a request:", ref->name.ptr);
        at = close + 1;
    }
    bw_buf_append(&text, at, (size_t)(end - at));
    out->text = bw_arena_copy(arena, bw_buf_slice(&text));
    bw_buf_free(&text);
}

static void compile_answer(struct bw_compiler *compiler, const struct bw_yaml_node *answer, struct bw_handshake *handshake)
{
    const struct bw_yaml_node *json = bw_yaml_get(answer, "json"), *text = bw_yaml_get(answer, "text"), *headers = bw_yaml_get(answer, "headers"),
                              *status = bw_yaml_get(answer, "status");
    struct bw_buf whole = {0};
    if (json && text) bw_compiler_complain(compiler, text, NULL, "an answer is json or text, not both:", "text");
    handshake->type = json ? "application/json" : "text/plain; charset=utf-8";
    handshake->status = status && status->kind == BW_YAML_INT ? (unsigned)status->integer : 200;
    if (status && (status->kind != BW_YAML_INT || status->integer < 200 || status->integer > 599))
        bw_compiler_complain(compiler, status, "200 to 599", "status is no HTTP status:", status->text.ptr ? status->text.ptr : "");
    if (json)
        bw_yaml_to_json(json, &whole);
    else if (text)
        bw_buf_append_slice(&whole, text->text);
    compile_template(compiler, answer, bw_buf_slice(&whole), json != NULL, &handshake->answer);
    bw_buf_free(&whole);
    for (size_t i = 0; headers && headers->kind == BW_YAML_MAP && i < headers->count; i++) {
        if (i == BW_ANSWER_HEADERS_MAX) {
            bw_compiler_complain(compiler, headers->pairs[i].key, "at most 4", "too many headers, at", headers->pairs[i].key->text.ptr);
            break;
        }
        handshake->header_names[handshake->header_count] = bw_arena_copy(&compiler->program->arena, headers->pairs[i].key->text);
        compile_template(compiler, headers->pairs[i].value, headers->pairs[i].value->text, false, &handshake->headers[handshake->header_count++]);
    }
}

static void compile_condition(struct bw_compiler *compiler, const struct bw_yaml_node *when, const char *key, struct bw_ref *ref)
{
    struct bw_slice text = bw_compiler_text(compiler, when, key, "");
    *ref = (struct bw_ref){.kind = BW_REF_LITERAL};
    if (text.len) bw_compiler_request_ref(compiler, bw_yaml_get(when, key), text, ref);
}

/* The key, and nothing else: whatever proves requests must not come from a request in any other way. */
static void compile_capture(struct bw_compiler *compiler, const struct bw_yaml_node *capture, struct bw_handshake *handshake)
{
    struct bw_program *program = compiler->program;
    struct bw_slice secret = bw_compiler_text(compiler, capture, "secret", ""), from = bw_compiler_text(compiler, capture, "from", "");
    handshake->captured = (struct bw_ref){.kind = BW_REF_LITERAL};
    if (!capture) return;
    bw_compiler_request_ref(compiler, bw_yaml_get(capture, "from"), from, &handshake->captured);
    if (program->key_secret_count != 1 || !bw_slice_equal(secret, program->key_secrets[0])) {
        bw_compiler_complain(compiler, capture, "capture: {secret: the one of key, from: \"header:x-hook-secret\"}",
                             "only the secret of the key can be handed over, not", secret.ptr);
        return;
    }
    if (handshake->verify_first)
        bw_compiler_complain(compiler, capture, "write verify_first: false",
                             "nothing proves who hands over a secret, so this cannot be verified first:", secret.ptr);
    program->captures_key = true;
    for (size_t i = 0; i < program->secret_count; i++)
        if (bw_slice_equal(program->secrets[i].name, secret)) program->secrets[i].is_optional = true;
}

static bool template_reads_json(const struct bw_program *program, const struct bw_template *template_)
{
    for (size_t i = 0; i < template_->ref_count; i++)
        if (bw_ref_reads_json(program, &template_->refs[i])) return true;
    return false;
}

/* The key that proves requests: whoever may let it sign any text has any request signed, unless no request can look like that text. */
static void check_oracle(struct bw_compiler *compiler, const struct bw_yaml_node *at, const struct bw_handshake *handshake,
                         const struct bw_template *template_)
{
    for (size_t i = 0; i < template_->ref_count && !handshake->verify_first; i++) {
        const struct bw_ref *ref = &template_->refs[i];
        bool signs = ref->kind == BW_REF_PART && ref->part->signs_with_key;
        if (signs && (!handshake->shape.only.len || !bw_ref_same(ref->argument, &handshake->subject)))
            bw_compiler_complain(compiler, at, "when: {value: \"query:challenge\", only: \"0123456789abcdef\"}, or verify_first: true",
                                 "anybody could let this answer sign a request of theirs:", ref->part->name);
    }
}

void bw_compiler_handshake(struct bw_compiler *compiler, const struct bw_yaml_node *node, struct bw_handshake *handshake)
{
    const struct bw_yaml_node *when = bw_yaml_get(node, "when"), *answer = bw_yaml_get(node, "answer");
    struct bw_program *program = compiler->program;
    handshake->method = bw_compiler_text(compiler, when, "method", "");
    compile_condition(compiler, when, "has", &handshake->present);
    compile_condition(compiler, when, "value", &handshake->subject);
    handshake->expected = bw_compiler_text(compiler, when, "is", "");
    handshake->shape = bw_compiler_shape(compiler, when);
    if ((handshake->expects_secret = handshake->expected.len > 7 && !memcmp(handshake->expected.ptr, "secret:", 7))) {
        handshake->expected = bw_arena_copy(&program->arena, (struct bw_slice){handshake->expected.ptr + 7, handshake->expected.len - 7});
        bw_compiler_secret(compiler, when, handshake->expected, true);
    }
    handshake->verify_first = bw_compiler_flag(compiler, node, "verify_first", true);
    /* Without any condition every event would be answered as if it were a handshake, and lost. */
    if (!handshake->method.len && handshake->present.kind == BW_REF_LITERAL && handshake->subject.kind == BW_REF_LITERAL)
        bw_compiler_complain(compiler, node, "when: {value: \"json:/type\", is: ping}",
                             "nothing says when the handshake applies:", compiler->scheme->name);
    compile_capture(compiler, bw_yaml_get(node, "capture"), handshake);
    compile_answer(compiler, answer, handshake);
    check_oracle(compiler, answer, handshake, &handshake->answer);
    for (size_t i = 0; i < handshake->header_count; i++) check_oracle(compiler, answer, handshake, &handshake->headers[i]);
    bool reads_json = bw_ref_reads_json(program, &handshake->present) || bw_ref_reads_json(program, &handshake->subject) ||
                      bw_ref_reads_json(program, &handshake->captured) || template_reads_json(program, &handshake->answer);
    for (size_t i = 0; i < handshake->header_count; i++) reads_json = reads_json || template_reads_json(program, &handshake->headers[i]);
    if (reads_json && !handshake->verify_first) program->scans_before_handshake = true;
}
