/* What of a request does the signature cover? */
#include "source/compiler.h"

bool bw_ref_same(const struct bw_ref *a, const struct bw_ref *b)
{
    for (; a && b; a = a->otherwise, b = b->otherwise) {
        if (a->kind != b->kind || a->part != b->part || a->is_secret_key != b->is_secret_key || !bw_slice_equal(a->name, b->name)) return false;
        if ((a->kind == BW_REF_JSON || a->kind == BW_REF_ITEM || a->kind == BW_REF_LIST) && a->index != b->index) return false;
        if ((a->argument || b->argument) && !bw_ref_same(a->argument, b->argument)) return false;
    }
    return !a && !b;
}

/* Is a part of this kind, without an alternative, what is signed, by itself or inside a part that covers it? */
static bool covers_kind(const struct bw_program *program, enum bw_ref_kind kind)
{
    if (program->alg == BW_ALG_JWT) return kind == BW_REF_BODY && program->jwt.has_hash;
    for (size_t i = 0; i < program->message_counts[0]; i++) {
        const struct bw_ref *ref = &program->messages[0][i];
        while (ref->kind == BW_REF_PART && !ref->otherwise && ref->part->takes_ref && ref->part->covers_ref) ref = ref->argument;
        if (ref->otherwise || ref->is_optional) continue;
        if (ref->kind == kind) return true;
        if (ref->kind != BW_REF_PART) continue;
        if (kind == BW_REF_BODY && ref->part->covers_body) return true;
        if (kind == BW_REF_FORM && ref->part->covers_form) return true;
        if (kind == BW_REF_URL && ref->part->needs_url) return true;
    }
    return false;
}

static bool covers_header(const struct bw_program *program, struct bw_slice name)
{
    for (size_t i = 0; i < program->message_counts[0]; i++) {
        const struct bw_part *part = program->messages[0][i].part;
        if (part && part->covers_header && bw_slice_is(name, part->covers_header)) return true;
    }
    return false;
}

/* /items/0/a when `each: json:/items` and item:/a is signed */
static bool is_signed_item(const struct bw_program *program, const char *pointer)
{
    if (program->each < 0) return false;
    const char *array = program->pointers[program->each];
    size_t len = strlen(array), digits;
    if (strncmp(pointer, array, len) != 0 || pointer[len] != '/' || !(digits = strspn(pointer + len + 1, "0123456789"))) return false;
    for (size_t i = 0; i < program->message_counts[0]; i++) {
        const struct bw_ref *ref = &program->messages[0][i];
        if (ref->kind == BW_REF_ITEM && !ref->otherwise && !strcmp(program->item_pointers[ref->index], pointer + len + 1 + digits)) return true;
    }
    return false;
}

static bool signs_one(const struct bw_program *program, const struct bw_ref *ref)
{
    switch (ref->kind) {
    case BW_REF_BODY: return covers_kind(program, BW_REF_BODY);
    case BW_REF_JSON:
        if (is_signed_item(program, program->pointers[ref->index])) return true;
        return program->document.kind == BW_REF_LITERAL ? covers_kind(program, BW_REF_BODY) : bw_program_signs(program, &program->document);
    case BW_REF_ITEM:
        if (!program->batch.is_there) return false;
        return program->document.kind == BW_REF_LITERAL ? covers_kind(program, BW_REF_BODY) : bw_program_signs(program, &program->document);
    case BW_REF_FORM: return covers_kind(program, BW_REF_BODY) || covers_kind(program, BW_REF_FORM);
    case BW_REF_QUERY: return covers_kind(program, BW_REF_URL);
    case BW_REF_HEADER: return covers_header(program, ref->name);
    case BW_REF_PART: return ref->argument && bw_program_signs(program, ref->argument);
    default: return false;
    }
}

bool bw_program_signs(const struct bw_program *program, const struct bw_ref *ref)
{
    if (!bw_alg_signs(program->alg)) return false;
    for (size_t i = 0; i < program->message_counts[0]; i++)
        if (bw_ref_same(ref, &program->messages[0][i])) return true;
    for (; ref; ref = ref->otherwise)
        if (!signs_one(program, ref)) return false;
    return true;
}
