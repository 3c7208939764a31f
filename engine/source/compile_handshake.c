/* Handshakes: conditions and answers. */
#include "source/compiler.h"
#include <stdlib.h>

#define HOLES_MAX 8

/* Holes {ref} become one byte each; in a JSON answer the value is written with its quotes. */
static void compile_answer(struct bw_compiler *compiler, const struct bw_yaml_node *answer, struct bw_handshake *handshake)
{
    struct bw_program *program = compiler->program;
    const struct bw_yaml_node *json = bw_yaml_get(answer, "json"), *text = bw_yaml_get(answer, "text");
    struct bw_buf whole = {0}, template_ = {0};
    if (json && text) bw_compiler_complain(compiler, text, NULL, "an answer is json or text, not both:", "text");
    handshake->type = json ? "application/json" : "text/plain; charset=utf-8";
    if (json)
        bw_yaml_to_json(json, &whole);
    else if (text)
        bw_buf_append_slice(&whole, text->text);
    handshake->answer_refs = bw_arena_alloc(&program->arena, HOLES_MAX * sizeof *handshake->answer_refs);
    const char *at = whole.data ? whole.data : "", *end = at + whole.len;
    while (at < end && handshake->answer_refs) {
        const char *open = json ? memmem(at, (size_t)(end - at), "\"{", 2) : memchr(at, '{', (size_t)(end - at)),
                   *close = open ? strstr(open, json ? "}\"" : "}") : NULL;
        if (!close) break;
        if (handshake->answer_ref_count == HOLES_MAX) {
            bw_compiler_complain(compiler, answer, "at most 8", "too many values in one answer, at", open);
            break;
        }
        size_t lead = json ? 2 : 1;
        bw_buf_append(&template_, at, (size_t)(open - at));
        bw_buf_append_char(&template_, '\1');
        bw_compiler_request_ref(compiler, answer, bw_arena_copy(&program->arena, (struct bw_slice){open + lead, (size_t)(close - open) - lead}),
                                &handshake->answer_refs[handshake->answer_ref_count++]);
        at = close + lead;
    }
    bw_buf_append(&template_, at, (size_t)(end - at));
    handshake->answer = bw_arena_copy(&program->arena, bw_buf_slice(&template_));
    bw_buf_free(&whole);
    bw_buf_free(&template_);
}

static void compile_condition(struct bw_compiler *compiler, const struct bw_yaml_node *when, const char *key, struct bw_ref *ref)
{
    struct bw_slice text = bw_compiler_text(compiler, when, key, "");
    *ref = (struct bw_ref){.kind = BW_REF_LITERAL};
    if (text.len) bw_compiler_request_ref(compiler, bw_yaml_get(when, key), text, ref);
}

void bw_compiler_handshake(struct bw_compiler *compiler, const struct bw_yaml_node *node, struct bw_handshake *handshake)
{
    static const char *const booleans[] = {"true", "false"};
    const struct bw_yaml_node *when = bw_yaml_get(node, "when"), *answer = bw_yaml_get(node, "answer"), *status = bw_yaml_get(answer, "status");
    bool reads_json;
    handshake->method = bw_compiler_text(compiler, when, "method", "");
    compile_condition(compiler, when, "has", &handshake->present);
    compile_condition(compiler, when, "value", &handshake->subject);
    handshake->expected = bw_compiler_text(compiler, when, "is", "");
    handshake->verify_first = !bw_compiler_choose(compiler, node, bw_compiler_text(compiler, node, "verify_first", "true"), booleans, 2,
                                                  "verify_first must be true or false:");
    handshake->status = status && status->kind == BW_YAML_INT ? (unsigned)status->integer : 200;
    if (status && (status->kind != BW_YAML_INT || status->integer < 200 || status->integer > 599))
        bw_compiler_complain(compiler, status, "200 to 599", "status is no HTTP status:", status->text.ptr ? status->text.ptr : "");
    /* Without any condition every event would be answered as if it were a handshake, and lost. */
    if (!handshake->method.len && handshake->present.kind == BW_REF_LITERAL && handshake->subject.kind == BW_REF_LITERAL)
        bw_compiler_complain(compiler, node, "when: {value: \"json:/type\", is: ping}",
                             "nothing says when the handshake applies:", compiler->scheme->name);
    compile_answer(compiler, answer, handshake);
    reads_json = bw_ref_reads_json(compiler->program, &handshake->present) || bw_ref_reads_json(compiler->program, &handshake->subject);
    for (size_t i = 0; i < handshake->answer_ref_count; i++)
        reads_json = reads_json || bw_ref_reads_json(compiler->program, &handshake->answer_refs[i]);
    if (reads_json && !handshake->verify_first) compiler->program->scans_before_handshake = true;
}
