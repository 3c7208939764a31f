#include "source/source.h"
#include "base/suggest.h"
#include "source/learnt.h"
#include "source/part.h"
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#define SCRATCH_BYTES 65536
#define SCRATCH_KEPT (4u << 20)
#define FORM_GROWTH 12 /* of a form that becomes JSON: each byte may be an escape of six, behind its decoded self */

struct bw_source {
    const struct bw_source_config *config;
    struct bw_program *program;
    struct bw_keys keys;
};

/* ---- creation ---- */

static const struct bw_scheme *find_scheme(const struct bw_source_config *config, const struct bw_schemes *schemes, struct bw_errors *errs)
{
    const char *names[256];
    size_t count = 0;
    const struct bw_scheme *scheme = bw_schemes_find(schemes, config->verify);
    if (scheme) return scheme;
    for (size_t i = 0; i < bw_schemes_count(schemes) && count < 256; i++) names[count++] = bw_schemes_name(schemes, i);
    const char *near = bw_suggest(bw_slice_of(config->verify), names, count);
    struct bw_error *err = bw_errors_add(errs, "source.unknown_scheme", "the source %s: there is no scheme '%s'", config->name, config->verify);
    if (near)
        bw_error_hint(err, "did you mean '%s'?", near);
    else
        bw_error_hint(err, "see: bellwire schemes");
    return NULL;
}

static const struct bw_secret *find_secret(const struct bw_source_config *config, struct bw_slice name)
{
    for (size_t i = 0; i < config->secret_count; i++)
        if (bw_slice_is(name, config->secrets[i].name) && config->secrets[i].count) return &config->secrets[i];
    return NULL;
}

/* Secrets that the scheme does not know are a spelling mistake, or a secret in the wrong place. */
static void check_secrets(const struct bw_source *source, struct bw_errors *errs)
{
    const struct bw_source_config *config = source->config;
    const struct bw_program *program = source->program;
    for (size_t i = 0; i < config->secret_count; i++) {
        bool is_known = false;
        for (size_t k = 0; k < program->secret_count; k++) is_known = is_known || bw_slice_is(program->secrets[k].name, config->secrets[i].name);
        if (is_known) continue;
        struct bw_error *err = bw_errors_add(errs, "source.unknown_secret", "the source %s: its scheme %s knows no secret '%s'", config->name,
                                             config->verify, config->secrets[i].name);
        bw_error_hint(err, "see: bellwire schemes show %s", config->verify);
    }
    for (size_t k = program->key_secret_count; k < program->secret_count; k++) { /* those of the key were looked at when it was prepared */
        const struct bw_secret *secret = find_secret(config, program->secrets[k].name);
        if (secret && !secret->values[0].len)
            bw_errors_add(errs, "source.empty_secret", "the secret '%s' of the source %s is empty", secret->name, config->name);
        if (!secret && !program->secrets[k].is_optional)
            bw_errors_add(errs, "source.no_secret", "the source %s has no secret '%s', which its scheme %s needs", config->name,
                          program->secrets[k].name.ptr, config->verify);
    }
}

/* What the provider signs is the URL that it knows; what arrives here says nothing of it. */
static void check_url(const struct bw_source *source, struct bw_errors *errs)
{
    const struct bw_source_config *config = source->config;
    if (!source->program->needs_url || config->public_url) return;
    struct bw_error *err =
        bw_errors_add(errs, "source.no_public_url", "the source %s has no public_url, and its scheme %s signs the URL", config->name, config->verify);
    bw_error_hint(err, "public_url: as it is registered with the provider, to the letter: https://hooks.example%s",
                  config->path ? config->path : "/");
}

/* A token for anybody is as good as none: who it is for and from must be said. */
static void check_claims(const struct bw_source *source, struct bw_errors *errs)
{
    const struct bw_jwt_spec *jwt = &source->program->jwt;
    for (size_t i = 0; i < jwt->claim_count; i++) {
        if (jwt->claims[i].expected.len) continue;
        struct bw_error *err = bw_errors_add(errs, "source.no_claim", "the source %s does not say what the claim '%s' of its tokens must be",
                                             source->config->name, jwt->claims[i].name.ptr);
        bw_error_hint(err, "set it in its options; see: bellwire schemes show %s", source->config->verify);
    }
}

struct bw_source *bw_source_new(const struct bw_source_config *config, const struct bw_schemes *schemes, struct bw_errors *errs)
{
    struct bw_source *source = calloc(1, sizeof *source);
    size_t before = errs->count;
    const struct bw_scheme *scheme = find_scheme(config, schemes, errs);
    struct bw_error err;
    if (!source || !scheme) goto fail;
    source->config = config;
    if (!(source->program = bw_program_compile(scheme, config, errs))) {
        /* The scheme by itself has compiled: it is what this source says besides, and not the scheme's file, where something has to change. */
        for (size_t i = before; i < errs->count; i++) *errs->items[i].file = '\0', errs->items[i].line = errs->items[i].column = 0;
        goto fail;
    }
    if (!bw_keys_prepare(&source->keys, source->program, config, &err)) bw_errors_push(errs, &err);
    check_secrets(source, errs);
    check_url(source, errs);
    check_claims(source, errs);
    if (errs->count == before) return source;
fail:
    for (size_t i = before; i < errs->count; i++)
        if (!*errs->items[i].file) bw_error_at(&errs->items[i], config->file, config->line, config->column);
    bw_source_free(source);
    return NULL;
}

void bw_source_free(struct bw_source *source)
{
    if (!source) return;
    bw_keys_free(&source->keys);
    bw_program_free(source->program);
    free(source);
}

const char *bw_source_challenge(const struct bw_source *source)
{
    const struct bw_program *program = source->program;
    const struct bw_ref *signature = &program->signatures[0];
    if (program->alg == BW_ALG_BASIC) return "Basic realm=\"bellwire\", charset=\"UTF-8\"";
    bool is_bearer = program->signature_count && signature->kind == BW_REF_HEADER && bw_slice_is(signature->name, "authorization") &&
                     bw_slice_is(program->signature_prefix, "Bearer ");
    return is_bearer ? "Bearer realm=\"bellwire\"" : NULL;
}

const struct bw_source_config *bw_source_settings(const struct bw_source *source)
{
    return source->config;
}

const struct bw_acknowledge *bw_source_acknowledge(const struct bw_source *source)
{
    return source->config->acknowledge.status ? &source->config->acknowledge : &source->program->acknowledge;
}

const struct bw_accepts *bw_source_accepts(const struct bw_source *source)
{
    return source->config->accepts.count ? &source->config->accepts : &source->program->accepts;
}

const char *bw_source_learns(const struct bw_source *source)
{
    return source->program->captures_key && !source->keys.count ? source->program->key_secrets[0].ptr : NULL;
}

bool bw_source_names_are_signed(const struct bw_source *source)
{
    const struct bw_program *program = source->program;
    const struct bw_batch_spec *batch = &program->batch;
    bool are_signed = source->config->event || program->event_count || batch->event_count || program->covers_body;
    for (size_t i = 0; i < program->event_count && !source->config->event; i++) are_signed = are_signed && program->event[i].is_signed;
    for (size_t i = 0; i < batch->event_count && !source->config->event; i++) are_signed = are_signed && batch->event[i].is_signed;
    return are_signed;
}

/* ---- judgement ---- */

static void refuse(struct bw_judgement *out, const char *reason)
{
    out->verdict = BW_REFUSED;
    out->reason = reason;
}

static bool has_duplicate_header(const struct bw_trial *trial)
{
    for (size_t i = 0; i < trial->program->key_header_count; i++) {
        size_t occurrences;
        bw_request_header(trial->request, trial->program->key_headers[i].ptr, &occurrences);
        if (occurrences > 1) return true;
    }
    return false;
}

static bool scan(struct bw_trial *trial, struct bw_json_fault *fault)
{
    if (!trial->has_json) trial->has_json = bw_json_scan(trial->document, trial->program->paths, trial->program->paths ? trial->hits : NULL, fault);
    return trial->has_json;
}

/* What else the scheme wants to see. */
static bool holds(struct bw_trial *trial, const struct bw_requirement *requirement)
{
    struct bw_slice value;
    size_t occurrences;
    bool is_one = requirement->is_count == 0;
    if (!bw_ref_read(trial, &requirement->value, &value, &occurrences) || occurrences > 1) return false;
    for (size_t i = 0; i < requirement->is_count; i++) is_one = is_one || bw_slice_equal(value, requirement->is[i]);
    return is_one && bw_shape_fits(&requirement->shape, value);
}

static const char *prove(struct bw_trial *trial)
{
    const char *reason;
    if (!trial->request->body.len && !trial->program->accepts_empty_body && trial->program->alg != BW_ALG_NONE) return "empty body";
    if (has_duplicate_header(trial)) return "duplicate header";
    if (trial->program->reads_json_first && !scan(trial, NULL)) return "unreadable body";
    /* The cheap check first: a replay costs no hash. */
    if ((reason = bw_freshness_check(trial))) return reason;
    if (trial->program->tries_json) scan(trial, NULL);
    for (size_t i = 0; i < trial->program->requirement_count; i++)
        if (!holds(trial, &trial->program->requirements[i])) return "a required value is missing or another one";
    return bw_signature_check(trial);
}

static bool is_called_form(const struct bw_request *request)
{
    return bw_request_header(request, "content-type", NULL) && (bw_request_is_form(request) || bw_request_is_multipart(request));
}

static bool make_room(struct bw_trial *trial)
{
    struct bw_buf *scratch = trial->scratch;
    size_t need = SCRATCH_BYTES + (size_t)(trial->program->growth + (is_called_form(trial->request) ? FORM_GROWTH : 0)) * trial->request->body.len;
    if (scratch->capacity > SCRATCH_KEPT && need <= SCRATCH_KEPT) bw_buf_free(scratch); /* one great form is no reason to keep its memory */
    bw_buf_clear(scratch);
    return bw_buf_reserve(scratch, need);
}

/* What json: reads and the event's data is. */
static void find_document(struct bw_trial *trial)
{
    struct bw_slice inner;
    size_t occurrences;
    trial->document = trial->request->body;
    if (trial->program->document.kind != BW_REF_LITERAL && bw_ref_read(trial, &trial->program->document, &inner, &occurrences) && occurrences <= 1)
        trial->document = inner;
}

/* The events in it are looked at one by one, by bw_source_item(). */
static void judge_batch(struct bw_trial *trial, struct bw_judgement *out)
{
    const struct bw_json_hit *items = trial->has_json ? &trial->hits[trial->program->batch.items] : NULL;
    if (items && items->type == BW_JSON_ARRAY) {
        out->items = items->raw;
        out->event = BW_SLICE("batch");
        return;
    }
    out->verdict = BW_MALFORMED;
    out->reason = "malformed batch";
    out->fault = (struct bw_json_fault){.reason = "a batch is a list of events", .line = 1, .column = 1};
}

static void judge(struct bw_trial *trial, struct bw_judgement *out)
{
    const struct bw_program *program = trial->program;
    const struct bw_request *request = trial->request;
    const char *reason;
    *out = (struct bw_judgement){.verdict = BW_VERIFIED, .reason = "verified"};
    if (!make_room(trial)) {
        refuse(out, "out of memory");
        return;
    }
    find_document(trial);
    if (program->scans_before_handshake) scan(trial, NULL);
    if (program->handshake_count && bw_handshake_answer(trial, false, out)) return;
    if (trial->is_learning && !trial->keys->count) {
        refuse(out, "it has handed over no secret yet");
        out->cure = "bellwire sources open";
        return;
    }
    if ((reason = prove(trial)) == BW_REASON_KEY) {
        *out = (struct bw_judgement){.verdict = BW_UNDECIDED,
                                     .reason = reason,
                                     .wish = trial->wish,
                                     .is_mine = trial->key_state == BW_RING_WANTED,
                                     .has_failed = trial->key_state == BW_RING_FAILED};
        return;
    }
    if (reason) {
        refuse(out, reason);
        return;
    }
    bool is_json = trial->document.ptr == request->body.ptr ? bw_request_is_json(request) : true;
    if (is_json && !scan(trial, &out->fault)) {
        out->verdict = BW_MALFORMED;
        out->reason = "malformed JSON";
        return;
    }
    if (!is_json && program->pointer_count) scan(trial, NULL); /* JSON under another name: values by path where it can be read */
    if (program->handshake_count && bw_handshake_answer(trial, true, out)) return;
    out->data = trial->document;
    if (trial->document.ptr == request->body.ptr && request->body.len && is_called_form(request) && !bw_form_to_json(trial, &out->data)) {
        out->verdict = BW_MALFORMED;
        out->reason = "malformed form";
        out->fault =
            (struct bw_json_fault){.reason = bw_request_is_multipart(request) ? "this is no multipart form: its parts, their heads or a text in them"
                                                                              : "this is no form: a broken %XX, no UTF-8, or too many fields",
                                   .line = 1,
                                   .column = 1};
        return;
    }
    if (bw_batch_is_one(trial)) {
        judge_batch(trial, out);
        return;
    }
    out->subject = trial->subject;
    out->delivery_id = bw_naming_id(trial, program->id, program->id_count);
    out->event = bw_naming_event(trial, program->event, program->event_count, &out->event_trusted);
}

/* Its key is what the sender has handed over; it is prepared for each request, so that nothing that is shared has to change. */
static void judge_learning(const struct bw_source *source, struct bw_trial *trial, struct bw_judgement *out)
{
    struct bw_learnt_facts facts;
    struct bw_keys keys = {0};
    struct bw_error err;
    bw_learnt_find(trial->request->learnt, source->config->name, bw_source_learns(source), &facts);
    bool good = !facts.len || bw_keys_add(&keys, source->program, source->config, 0, (struct bw_slice){facts.secret, facts.len}, &err);
    OPENSSL_cleanse(facts.secret, sizeof facts.secret);
    trial->is_learning = true;
    trial->learns_until_ms = facts.open_until_ms;
    trial->keys = &keys;
    if (good) {
        judge(trial, out);
    } else {
        *out = (struct bw_judgement){0};
        refuse(out, "the secret that it has handed over fits its scheme no more");
        out->cure = "bellwire sources forget";
    }
    bw_keys_free(&keys);
}

void bw_source_judge(const struct bw_source *source, const struct bw_request *request, struct bw_buf *scratch, struct bw_judgement *out)
{
    struct bw_trial trial = {.program = source->program, .config = source->config, .keys = &source->keys, .request = request, .scratch = scratch};
    if (bw_source_learns(source))
        judge_learning(source, &trial, out);
    else
        judge(&trial, out);
}

const struct bw_program *bw_source_program(const struct bw_source *source)
{
    return source->program;
}
const struct bw_keys *bw_source_keys(const struct bw_source *source)
{
    return &source->keys;
}
