/* A token as the sender would make it, with a shared key: for `bellwire send`. */
#include "base/codec.h"
#include "source/program.h"
#include <string.h>

#define LIFE_S 300

static void append_hash(struct bw_buf *out, enum bw_encoding encoding, struct bw_slice body)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    char hex[2 * EVP_MAX_MD_SIZE + 1];
    size_t len = 0;
    if (!EVP_Q_digest(NULL, "SHA256", NULL, body.ptr, body.len, hash, &len)) return;
    bw_hex_encode(hash, len, hex);
    if (encoding == BW_ENC_HEX)
        bw_buf_append_text(out, hex);
    else if (encoding == BW_ENC_BASE64)
        bw_base64_append(out, hash, len);
    else
        bw_base64url_append(out, hash, len);
}

static void write_claims(const struct bw_program *program, const struct bw_source_config *config, struct bw_slice body, int64_t now_ms,
                         struct bw_buf *out)
{
    const struct bw_jwt_spec *spec = &program->jwt;
    struct bw_trial trial = {.program = program, .config = config};
    bw_buf_printf(out, "{\"iat\":%lld,\"exp\":%lld", (long long)now_ms / 1000, (long long)now_ms / 1000 + LIFE_S);
    for (size_t i = 0; i < spec->claim_count; i++) {
        const struct bw_secret *secret = spec->claims[i].is_secret ? bw_trial_secret(&trial, spec->claims[i].expected) : NULL;
        bw_buf_append_char(out, ',');
        bw_buf_append_json_string(out, spec->claims[i].name);
        bw_buf_append_char(out, ':');
        bw_buf_append_json_string(out, secret ? secret->values[0] : spec->claims[i].expected);
    }
    if (spec->has_hash) {
        bw_buf_append_char(out, ',');
        bw_buf_append_json_string(out, spec->hash_claim);
        bw_buf_append_text(out, ":\"");
        append_hash(out, spec->hash_encoding, body);
        bw_buf_append_char(out, '"');
    }
    bw_buf_append_char(out, '}');
}

bool bw_jwt_sign(const struct bw_program *program, const struct bw_keys *keys, const struct bw_source_config *config, struct bw_slice body,
                 int64_t now_ms, struct bw_buf *out)
{
    const enum bw_jwt_alg alg = program->jwt.signs_with;
    unsigned char mac[EVP_MAX_MD_SIZE];
    struct bw_buf header = {0}, claims = {0};
    size_t len = 0, before;
    if (!program->jwt.allowed[alg] || !keys->count) return false;
    bw_buf_printf(&header, "{\"alg\":\"%s\",\"typ\":\"JWT\"}", bw_jwt_algorithm(alg)->name);
    write_claims(program, config, body, now_ms, &claims);
    bw_buf_append_slice(out, program->signature_prefix);
    before = out->len;
    bw_base64url_append(out, header.data, header.len);
    bw_buf_append_char(out, '.');
    bw_base64url_append(out, claims.data, claims.len);
    EVP_MAC_CTX *context = EVP_MAC_CTX_dup(keys->items[0].context);
    bool good = context && !header.failed && !claims.failed && !out->failed &&
                EVP_MAC_update(context, (unsigned char *)out->data + before, out->len - before) && EVP_MAC_final(context, mac, &len, sizeof mac);
    EVP_MAC_CTX_free(context);
    bw_buf_append_char(out, '.');
    bw_base64url_append(out, mac, len);
    bw_buf_free(&header);
    bw_buf_free(&claims);
    return good && !out->failed;
}
