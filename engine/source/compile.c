/* Scheme files → programs. Every fault has the scheme file's line and column. */
#include "base/suggest.h"
#include "source/compiler.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool holds(const struct bw_yaml_node *tree, const struct bw_yaml_node *node)
{
    bool found = tree == node;
    for (size_t i = 0; !found && i < tree->count; i++) {
        if (tree->kind == BW_YAML_LIST) found = holds(tree->items[i], node);
        if (tree->kind == BW_YAML_MAP) found = tree->pairs[i].key == node || holds(tree->pairs[i].value, node);
    }
    return found;
}

/* What was taken from the scheme that this one is like has no place in this file but the line that says so. */
static const struct bw_yaml_node *own_place(const struct bw_scheme *scheme, const struct bw_yaml_node *at)
{
    return scheme->base && holds(scheme->base, at) ? bw_yaml_get(scheme->root, "like") : at;
}

void bw_compiler_complain(struct bw_compiler *compiler, const struct bw_yaml_node *at, const char *hint, const char *what, const char *word)
{
    struct bw_error *err = bw_errors_add(compiler->errs, "scheme.invalid", "scheme %s: %s '%s'", compiler->scheme->name, what, word);
    if (hint) bw_error_hint(err, "%s", hint);
    if (at) at = own_place(compiler->scheme, at);
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

/* A name from unsigned bytes may be read, but workflows are told that nobody vouches for it. Plain text is the operator's own. */
static void mark_signed(const struct bw_program *program, struct bw_ref *refs, size_t count)
{
    for (size_t i = 0; i < count; i++) refs[i].is_signed = refs[i].kind == BW_REF_LITERAL || bw_program_signs(program, &refs[i]);
}

static void compile_names(struct bw_compiler *compiler)
{
    const struct bw_source_config *config = compiler->config;
    const struct bw_yaml_node *id = bw_scheme_node(compiler->scheme, "id");
    struct bw_program *program = compiler->program;
    if (config->dedupe_ref_count)
        program->id_count = bw_compiler_override(compiler, config->dedupe_refs, config->dedupe_ref_count, program->id);
    else
        program->id_count = bw_compiler_refs(compiler, id, program->id);
    if (config->event_ref_count)
        program->event_count = bw_compiler_override(compiler, config->event_refs, config->event_ref_count, program->event);
    else
        program->event_count = bw_compiler_refs(compiler, bw_scheme_node(compiler->scheme, "event"), program->event);
    for (size_t i = 0; i < program->id_count; i++)
        for (const struct bw_ref *ref = &program->id[i]; ref && !config->dedupe_ref_count; ref = ref->otherwise)
            if (ref->kind == BW_REF_LITERAL)
                bw_compiler_complain(compiler, id, "a constant would make every event but the first a duplicate",
                                     "this names no part of a request:", ref->name.ptr);
    mark_signed(program, program->event, program->event_count);
}

static void compile_batch(struct bw_compiler *compiler)
{
    const struct bw_source_config *config = compiler->config;
    const struct bw_yaml_node *node = bw_scheme_node(compiler->scheme, "batch"), *at = bw_yaml_get(node, "items");
    struct bw_batch_spec *batch = &compiler->program->batch;
    struct bw_ref items = {.kind = BW_REF_LITERAL};
    if (!node || config->keeps_batches) return;
    batch->is_there = true;
    bw_compiler_ref(compiler, at ? at : node, bw_compiler_text(compiler, node, "items", ""), &items);
    if (items.kind != BW_REF_JSON || items.otherwise)
        bw_compiler_complain(compiler, at ? at : node, "batch: {items: \"json:/events\", id: [\"item:/id\"], event: [\"item:/type\"]}",
                             "this names no list of the body:", bw_compiler_text(compiler, node, "items", "").ptr);
    batch->items = items.index;
    batch->type = bw_compiler_text(compiler, node, "type", "");
    batch->id_count = config->dedupe_ref_count ? bw_compiler_override(compiler, config->dedupe_refs, config->dedupe_ref_count, batch->id)
                                               : bw_compiler_refs(compiler, bw_yaml_get(node, "id"), batch->id);
    batch->event_count = config->event_ref_count ? bw_compiler_override(compiler, config->event_refs, config->event_ref_count, batch->event)
                                                 : bw_compiler_refs(compiler, bw_yaml_get(node, "event"), batch->event);
    if (!batch->id_count) /* a batch comes again as a whole, for the one event of it that was lost */
        bw_compiler_complain(compiler, node, "id: [\"item:/id\"]; where its items have none, leave `batch` out",
                             "the items of a batch need an id of their own:", compiler->scheme->name);
    mark_signed(compiler->program, batch->event, batch->event_count);
    batch->is_there = !config->keeps_batches;
}

static void compile_manners(struct bw_compiler *compiler)
{
    const char *file = compiler->scheme->file;
    bw_acknowledge_read(file, compiler->errs, bw_scheme_node(compiler->scheme, "acknowledge"), &compiler->program->acknowledge);
    bw_accepts_read(file, compiler->errs, bw_scheme_node(compiler->scheme, "accepts"), &compiler->program->accepts);
}

/* What takes part in the judgement may occur once only: of two, sender and verifier may each believe another one (pitfall 15). */
static void add_key_header(struct bw_compiler *compiler, const struct bw_ref *ref)
{
    struct bw_program *program = compiler->program;
    for (; ref; ref = ref->otherwise) {
        const struct bw_ref *source = ref->kind == BW_REF_LIST ? &program->lists[ref->index].from : ref;
        while (source->kind == BW_REF_PART && source->argument) source = source->argument;
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
    for (; ref; ref = ref->otherwise) {
        if (ref->kind == BW_REF_JSON || (ref->kind == BW_REF_LIST && program->lists[ref->index].from.kind == BW_REF_JSON)) return true;
        if (ref->argument && bw_ref_reads_json(program, ref->argument)) return true;
    }
    return false;
}

/* Bytes of scratch that the message may need for each byte of the body. */
static unsigned growth_of(const struct bw_ref *ref)
{
    unsigned most = 0;
    for (; ref; ref = ref->otherwise) {
        unsigned need = ref->kind == BW_REF_JSON || ref->kind == BW_REF_FORM || ref->kind == BW_REF_ITEM ? 1 : 0;
        if (ref->kind == BW_REF_PART) need = ref->part->growth + (ref->argument ? growth_of(ref->argument) : 0);
        if (need > most) most = need;
    }
    return most;
}

/* What takes part in the judgement, one by one. */
static void finish_ref(struct bw_compiler *compiler, const struct bw_ref *ref, bool is_judged)
{
    struct bw_program *program = compiler->program;
    add_key_header(compiler, ref);
    if (!is_judged) return;
    program->growth += growth_of(ref);
    program->reads_json_first = program->reads_json_first || bw_ref_reads_json(program, ref);
    for (; ref; ref = ref->otherwise)
        program->needs_url = program->needs_url || ref->kind == BW_REF_URL || (ref->kind == BW_REF_PART && ref->part->needs_url);
}

static void make_paths(struct bw_compiler *compiler, const char *const *pointers, size_t count, struct bw_json_paths **out)
{
    struct bw_error err;
    if (!count || (*out = bw_json_paths_new(pointers, count, &err))) return;
    bw_error_at(&err, compiler->scheme->file, 0, 0);
    bw_errors_push(compiler->errs, &err);
}

static void finish(struct bw_compiler *compiler)
{
    struct bw_program *program = compiler->program;
    const struct bw_ref whole = {.kind = BW_REF_BODY}, fields = {.kind = BW_REF_FORM, .name = BW_SLICE("")};
    const struct bw_ref authorization = {.kind = BW_REF_HEADER, .name = BW_SLICE("authorization")};
    for (size_t i = 0; i < program->signature_count; i++) {
        if (!program->is_repeatable) add_key_header(compiler, &program->signatures[i]);
        program->reads_json_first = program->reads_json_first || bw_ref_reads_json(program, &program->signatures[i]);
    }
    if (program->has_time) finish_ref(compiler, &program->time, true);
    for (size_t which = 0; which < BW_MESSAGES_MAX; which++)
        for (size_t i = 0; i < program->message_counts[which]; i++) finish_ref(compiler, &program->messages[which][i], true);
    for (size_t i = 0; i < program->requirement_count; i++) {
        const struct bw_ref *value = &program->requirements[i].value;
        if (value->otherwise && bw_ref_reads_json(program, value))
            program->tries_json = true;
        else
            program->reads_json_first = program->reads_json_first || bw_ref_reads_json(program, value);
        add_key_header(compiler, value);
        program->growth += growth_of(value);
    }
    for (size_t i = 0; i < program->id_count; i++) finish_ref(compiler, &program->id[i], false);
    for (size_t i = 0; i < program->event_count; i++) finish_ref(compiler, &program->event[i], false);
    for (size_t i = 0; i < program->batch.id_count; i++) finish_ref(compiler, &program->batch.id[i], false);
    for (size_t i = 0; i < program->batch.event_count; i++) finish_ref(compiler, &program->batch.event[i], false);
    program->growth += growth_of(&program->document);
    if (program->digest.by.kind != BW_REF_LITERAL) finish_ref(compiler, &program->digest.by, true);
    if (program->fetch.is_there && !program->fetch.url.len) finish_ref(compiler, &program->fetch.url_ref, true);
    if (program->alg == BW_ALG_BASIC) add_key_header(compiler, &authorization);
    if (program->each >= 0) program->reads_json_first = true;
    program->covers_body = bw_program_signs(program, &whole) || bw_program_signs(program, &fields);
    make_paths(compiler, program->pointers, program->pointer_count, &program->paths);
    make_paths(compiler, program->item_pointers, program->item_pointer_count, &program->item_paths);
    if (program->arena.failed) bw_errors_add(compiler->errs, "memory", "out of memory");
}

struct bw_program *bw_program_compile(const struct bw_scheme *scheme, const struct bw_source_config *config, struct bw_errors *errs)
{
    static const char *const empty_bodies[] = {"reject", "accept"};
    struct bw_program *program = calloc(1, sizeof *program);
    struct bw_compiler compiler = {program, scheme, config, errs, false};
    size_t before = errs->count;
    if (!program) {
        bw_errors_add(errs, "memory", "out of memory");
        return NULL;
    }
    bw_compiler_check_keys(&compiler);
    bw_compiler_signature(&compiler);
    compile_names(&compiler);
    compile_batch(&compiler);
    compile_manners(&compiler);
    const struct bw_yaml_node *empty = bw_scheme_node(scheme, "empty_body");
    program->accepts_empty_body = bw_compiler_choose(&compiler, empty, empty ? bw_compiler_text_of(&compiler, empty) : BW_SLICE("reject"),
                                                     empty_bodies, 2, "empty_body must be accept or reject:");
    const struct bw_yaml_node *handshakes = bw_scheme_node(scheme, "handshake");
    compiler.is_in_handshake = true;
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
    bw_acknowledge_clear(&program->acknowledge);
    bw_accepts_clear(&program->accepts);
    bw_json_paths_free(program->paths);
    bw_json_paths_free(program->item_paths);
    bw_json_paths_free(program->jwt.header_paths);
    bw_json_paths_free(program->jwt.claim_paths);
    bw_arena_free(&program->arena);
    free(program);
}
