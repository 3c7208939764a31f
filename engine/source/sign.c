/* Signing as the scheme's sender would: the same message, from headers that are made here instead of read. */
#include "base/clock.h"
#include "base/codec.h"
#include "base/id.h"
#include "source/program.h"
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MADE_MAX 16
#define SCRATCH_BYTES 65536

struct maker {
    const struct bw_program *program;
    struct bw_header headers[MADE_MAX];
    char values[MADE_MAX][1200];
    size_t count;
};

static bool set_header(struct maker *maker, struct bw_slice name, struct bw_slice value)
{
    size_t i = 0;
    while (i < maker->count && !bw_slice_equal(maker->headers[i].name, name)) i++;
    if (i == MADE_MAX || value.len >= sizeof maker->values[0]) return false;
    if (i == maker->count) maker->count++;
    memcpy(maker->values[i], value.ptr, value.len);
    maker->headers[i] = (struct bw_header){name, {maker->values[i], value.len}};
    return true;
}

/* A list header gets one more KEY=VALUE. */
static bool set_value(struct maker *maker, const struct bw_ref *ref, struct bw_slice value)
{
    struct bw_buf text = {0};
    if (ref->kind == BW_REF_HEADER) return set_header(maker, ref->name, value);
    if (ref->kind != BW_REF_LIST || maker->program->lists[ref->index].from.kind != BW_REF_HEADER) return false;
    const struct bw_list_spec *list = &maker->program->lists[ref->index];
    for (size_t i = 0; i < maker->count; i++)
        if (bw_slice_equal(maker->headers[i].name, list->from.name)) {
            bw_buf_append_slice(&text, maker->headers[i].value);
            bw_buf_append_slice(&text, list->separator);
        }
    bw_buf_append_slice(&text, ref->name);
    bw_buf_append_slice(&text, list->equals);
    bw_buf_append_slice(&text, value);
    bool good = !text.failed && set_header(maker, list->from.name, bw_buf_slice(&text));
    bw_buf_free(&text);
    return good;
}

static void encode(const struct bw_program *program, const unsigned char *mac, size_t len, struct bw_buf *out)
{
    char hex[2 * EVP_MAX_MD_SIZE + 1];
    switch (program->encoding) {
    case BW_ENC_BASE64: bw_base64_append(out, mac, len); break;
    case BW_ENC_BASE64URL: bw_base64url_append(out, mac, len); break;
    case BW_ENC_HEX:
    case BW_ENC_UTF8: bw_hex_encode(mac, len, hex); bw_buf_append_text(out, hex);
    }
}

static void set_time(struct maker *maker, int64_t now_ms)
{
    char text[64];
    const struct bw_program *program = maker->program;
    if (!program->has_time) return;
    time_t seconds = (time_t)(now_ms / 1000);
    struct tm parts;
    if (program->time_unit == BW_TIME_RFC3339)
        bw_clock_text(now_ms, text);
    else if (program->time_unit == BW_TIME_RFC1123)
        strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&seconds, &parts));
    else
        snprintf(text, sizeof text, "%lld", (long long)(program->time_unit == BW_TIME_S ? now_ms / 1000 : now_ms));
    set_value(maker, &program->time, bw_slice_of(text));
}

static void set_names(struct maker *maker, struct bw_slice id, struct bw_slice event, int64_t now_ms)
{
    char fresh[BW_UID_TEXT];
    if (!id.len) id = bw_slice_of(bw_uid_text(bw_uid_new(now_ms), BW_UID_EVENT, fresh));
    for (size_t i = 0; i < maker->program->id_count; i++)
        if (maker->program->id[i].kind == BW_REF_HEADER) set_header(maker, maker->program->id[i].name, id);
    for (size_t i = 0; i < maker->program->event_count && event.len; i++)
        if (maker->program->event[i].kind == BW_REF_HEADER) {
            const char *dot = maker->program->event_count > 1 ? memchr(event.ptr, '.', event.len) : NULL; /* the rest comes from the body */
            set_header(maker, maker->program->event[i].name, dot ? (struct bw_slice){event.ptr, (size_t)(dot - event.ptr)} : event);
        }
}

static bool set_credentials(struct maker *maker, const struct bw_source *source)
{
    const struct bw_source_config *config = bw_source_settings(source);
    const struct bw_keys *keys = bw_source_keys(source);
    struct bw_buf plain = {0}, coded = {0};
    if (maker->program->alg == BW_ALG_EQUAL) {
        bw_buf_append_slice(&plain, maker->program->signature_prefix);
        bw_buf_append_slice(&plain, keys->items[0].bytes);
        bool set = set_value(maker, &maker->program->signatures[0], bw_buf_slice(&plain));
        bw_buf_free(&plain);
        return set;
    }
    for (size_t i = 0; i < config->secret_count; i++)
        if (!strcmp(config->secrets[i].name, "username")) bw_buf_append_slice(&plain, config->secrets[i].values[0]);
    bw_buf_append_char(&plain, ':');
    bw_buf_append_slice(&plain, keys->items[0].bytes);
    bw_buf_append_text(&coded, "Basic ");
    bw_base64_append(&coded, plain.data, plain.len);
    bool good = set_header(maker, BW_SLICE("authorization"), bw_buf_slice(&coded));
    bw_buf_free(&plain);
    bw_buf_free(&coded);
    return good;
}

/* What the scheme wants to see besides, and what the sender says of itself. */
static void set_others(struct maker *maker)
{
    const struct bw_program *program = maker->program;
    for (size_t i = 0; i < program->requirement_count; i++)
        if (program->requirements[i].value.kind == BW_REF_HEADER && program->requirements[i].is_count)
            set_header(maker, program->requirements[i].value.name, program->requirements[i].is[0]);
    for (size_t i = 0; i < program->sent_count; i++) set_header(maker, program->sent[i].name, program->sent[i].value);
}

static bool set_signature(struct maker *maker, const struct bw_source *source, const struct bw_request *request)
{
    const struct bw_program *program = maker->program;
    const struct bw_keys *keys = bw_source_keys(source);
    struct bw_buf scratch = {0}, text = {0};
    unsigned char mac[EVP_MAX_MD_SIZE];
    struct bw_trial trial = {
        .program = program, .config = bw_source_settings(source), .keys = keys, .request = request, .document = request->body, .scratch = &scratch};
    bool good = bw_buf_reserve(&scratch, SCRATCH_BYTES + program->growth * request->body.len);
    trial.has_json = good && program->paths && bw_json_scan(request->body, program->paths, trial.hits, NULL);
    size_t len = good ? bw_signature_compute(&trial, &keys->items[0], mac) : 0;
    bw_buf_append_slice(&text, program->signature_prefix);
    encode(program, mac, len, &text);
    good = len &&
           set_value(maker, &program->signatures[keys->items[0].secret < program->signature_count ? keys->items[0].secret : 0], bw_buf_slice(&text));
    bw_buf_free(&scratch);
    bw_buf_free(&text);
    return good;
}

static bool set_token(struct maker *maker, const struct bw_source *source, const struct bw_request *request)
{
    struct bw_buf token = {0};
    bool good = bw_jwt_sign(maker->program, bw_source_keys(source), bw_source_settings(source), request->body, request->now_ms, &token) &&
                set_value(maker, &maker->program->signatures[0], bw_buf_slice(&token));
    bw_buf_free(&token);
    return good;
}

/* The content type that the caller has set already: it decides how a form is signed. */
static void take_type(struct maker *maker, const struct bw_buf *headers)
{
    static const char name[] = "content-type: ";
    const char *end = headers->len ? memchr(headers->data, '\n', headers->len) : NULL;
    if (end && headers->len > sizeof name && !memcmp(headers->data, name, sizeof name - 1))
        set_header(maker, BW_SLICE("content-type"),
                   (struct bw_slice){headers->data + sizeof name - 1, (size_t)(end - headers->data) - sizeof name + 1});
}

static bool refuse(const struct bw_source_config *config, enum bw_family family, struct bw_error *err)
{
    if (family == BW_FAMILY_PUBLIC || family == BW_FAMILY_FETCHED)
        return bw_error_set(err, "sign.unsupported", "the scheme %s signs with a private key that only its sender has: it cannot be sent from here",
                            config->verify);
    return bw_error_set(err, "sign.unsupported", "the scheme %s signs something that is not in a header or in this body: it cannot be sent from here",
                        config->verify);
}

bool bw_source_sign(const struct bw_source *source, struct bw_slice body, struct bw_slice id, struct bw_slice event, int64_t now_ms,
                    struct bw_buf *headers, struct bw_error *err)
{
    const struct bw_program *program = bw_source_program(source);
    const struct bw_source_config *config = bw_source_settings(source);
    const enum bw_family family = bw_algorithm(program->alg)->family;
    if (bw_source_learns(source)) {
        bw_error_set(err, "sign.no_secret", "the source %s has no secret yet: its sender hands it over", config->name);
        bw_error_hint(err, "see: bellwire sources; or give one with --secret %s=VALUE", bw_source_learns(source));
        return false;
    }
    struct maker *maker = calloc(1, sizeof *maker);
    if (!maker) return bw_error_set(err, "memory", "out of memory");
    maker->program = program;
    take_type(maker, headers);
    size_t given = maker->count;
    set_others(maker);
    set_names(maker, id, event, now_ms);
    set_time(maker, now_ms);
    const struct bw_request request = {.method = BW_SLICE("POST"),
                                       .url = bw_slice_of(config->public_url ? config->public_url : config->path),
                                       .query = BW_SLICE(""),
                                       .headers = maker->headers,
                                       .header_count = maker->count,
                                       .body = body,
                                       .now_ms = now_ms};
    bool good = family == BW_FAMILY_TOKEN || family == BW_FAMILY_BASIC ? set_credentials(maker, source)
                : family == BW_FAMILY_HMAC || family == BW_FAMILY_HASH ? set_signature(maker, source, &request)
                : family == BW_FAMILY_JWT                              ? set_token(maker, source, &request)
                                                                       : family == BW_FAMILY_NONE;
    for (size_t i = given; good && i < maker->count; i++) {
        bw_buf_append_slice(headers, maker->headers[i].name);
        bw_buf_append_text(headers, ": ");
        bw_buf_append_slice(headers, maker->headers[i].value);
        bw_buf_append_char(headers, '\n');
    }
    free(maker);
    return good || refuse(config, family, err);
}
