/* Messages and comparison. Both sides are decoded to bytes; equal lengths; constant time. The algorithm is the scheme's, never the message's. */
#include "base/codec.h"
#include "base/json_view.h"
#include "source/program.h"
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <string.h>

#define SIGNATURE_BYTES_MAX 512
#define MAC_ERROR "a signed part is missing or repeated"

/* ---- message ---- */

typedef bool message_sink(void *to, struct bw_slice part);

static bool into_mac(void *to, struct bw_slice part)
{
    return EVP_MAC_update(to, (const unsigned char *)part.ptr, part.len);
}
static bool into_digest(void *to, struct bw_slice part)
{
    return EVP_DigestUpdate(to, part.ptr, part.len);
}
static bool into_buf(void *to, struct bw_slice part)
{
    bw_buf_append_slice(to, part);
    return !((struct bw_buf *)to)->failed;
}

static bool feed(struct bw_trial *trial, message_sink *sink, void *to)
{
    const struct bw_program *program = trial->program;
    unsigned which = trial->form && program->message_counts[1] ? 1 : 0;
    for (size_t i = 0; i < program->message_counts[which]; i++) {
        const struct bw_ref *ref = &program->messages[which][i];
        struct bw_slice part;
        size_t occurrences;
        bool is_there = bw_ref_read(trial, ref, &part, &occurrences) && (part.len || ref->kind != BW_REF_HEADER);
        if (!is_there) {
            if (!ref->is_optional) return false;
            continue;
        }
        if (occurrences > 1 || (part.len && !sink(to, part))) return false;
    }
    return true;
}

static size_t hmac(struct bw_trial *trial, const struct bw_key *key, unsigned char *mac)
{
    /* The keyed context is only read: any number of threads may copy it. */
    EVP_MAC_CTX *context = EVP_MAC_CTX_dup(key->context);
    size_t len = 0;
    if (!context || !feed(trial, into_mac, context) || !EVP_MAC_final(context, mac, &len, EVP_MAX_MD_SIZE)) len = 0;
    EVP_MAC_CTX_free(context);
    return len;
}

static size_t plain_hash(struct bw_trial *trial, unsigned char *out)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    unsigned len = 0;
    if (!context || !EVP_DigestInit_ex(context, EVP_sha256(), NULL) || !feed(trial, into_digest, context) || !EVP_DigestFinal_ex(context, out, &len))
        len = 0;
    EVP_MD_CTX_free(context);
    return len;
}

size_t bw_signature_compute(struct bw_trial *trial, const struct bw_key *key, unsigned char *mac)
{
    size_t before = trial->scratch->len;
    trial->key = key;
    size_t len = trial->program->alg == BW_ALG_SHA256 ? plain_hash(trial, mac) : hmac(trial, key, mac);
    trial->key = NULL;
    trial->scratch->len = before; /* what was computed for the message is not needed any more */
    return len;
}

/* ---- comparison ---- */

static bool decode_signature(const struct bw_program *program, struct bw_slice text, uint8_t *out, size_t *len)
{
    struct bw_slice prefix = program->signature_prefix;
    if (prefix.len && (text.len < prefix.len || memcmp(text.ptr, prefix.ptr, prefix.len) != 0)) return false;
    text = (struct bw_slice){text.ptr + prefix.len, text.len - prefix.len};
    switch (program->encoding) {
    case BW_ENC_HEX: return bw_hex_decode(text, program->any_case, out, SIGNATURE_BYTES_MAX, len);
    case BW_ENC_BASE64: return bw_base64_decode(text, out, SIGNATURE_BYTES_MAX, len);
    case BW_ENC_BASE64URL: return bw_base64url_decode(text, out, SIGNATURE_BYTES_MAX, len);
    case BW_ENC_UTF8: break;
    }
    return false;
}

bool bw_token_equal(struct bw_slice given, struct bw_slice key)
{
    unsigned char a[32], b[32];
    return EVP_Q_digest(NULL, "SHA256", NULL, given.ptr, given.len, a, NULL) && EVP_Q_digest(NULL, "SHA256", NULL, key.ptr, key.len, b, NULL) &&
           !CRYPTO_memcmp(a, b, 32) && given.len == key.len;
}

static const char *check_basic(struct bw_trial *trial)
{
    const struct bw_header *header = bw_request_header(trial->request, "authorization", NULL);
    const struct bw_secret *user = bw_trial_secret(trial, BW_SLICE("username"));
    uint8_t decoded[SIGNATURE_BYTES_MAX * 2];
    size_t len = 0;
    if (!header) return "missing header";
    struct bw_slice value = header->value;
    if (value.len < 6 || !bw_slice_is_nocase((struct bw_slice){value.ptr, 6}, "basic ")) return "not basic authentication";
    value = (struct bw_slice){value.ptr + 6, value.len - 6};
    while (value.len && *value.ptr == ' ') value.ptr++, value.len--;
    if (!bw_base64_decode(value, decoded, sizeof decoded, &len)) return "unreadable credentials";
    const char *colon = memchr(decoded, ':', len);
    if (!colon || !user) return "unreadable credentials";
    size_t user_len = (size_t)(colon - (char *)decoded);
    bool user_good = bw_token_equal((struct bw_slice){(char *)decoded, user_len}, user->values[0]), password_good = false;
    for (size_t i = 0; i < trial->keys->count; i++)
        password_good |= bw_token_equal((struct bw_slice){colon + 1, len - user_len - 1}, trial->keys->items[i].bytes);
    OPENSSL_cleanse(decoded, sizeof decoded);
    return user_good && password_good ? NULL : "bad credentials";
}

/* One that ends in a space is the name of a kind of authentication, and such names have no case (RFC 9110 11.1). */
static bool take_prefix(struct bw_slice *text, struct bw_slice prefix)
{
    struct bw_slice front = {text->ptr, prefix.len};
    bool is_name = prefix.len && prefix.ptr[prefix.len - 1] == ' ';
    if (text->len < prefix.len || !(is_name ? bw_slice_is_nocase(front, prefix.ptr) : bw_slice_equal(front, prefix))) return false;
    *text = (struct bw_slice){text->ptr + prefix.len, text->len - prefix.len};
    return true;
}

/* In any of its places; a parameter of the URL is the token alone. */
static const char *check_token(struct bw_trial *trial)
{
    const struct bw_program *program = trial->program;
    const char *reason = "missing token";
    for (size_t place = 0; place < program->signature_count; place++) {
        struct bw_slice given;
        size_t occurrences;
        bool good = false;
        if (!bw_ref_read(trial, &program->signatures[place], &given, &occurrences)) continue;
        if (occurrences > 1) return "repeated token";
        reason = "bad token";
        if (program->signatures[place].kind != BW_REF_QUERY && !take_prefix(&given, program->signature_prefix)) continue;
        for (size_t i = 0; i < trial->keys->count; i++) good |= bw_token_equal(given, trial->keys->items[i].bytes);
        if (good) return NULL;
    }
    return reason;
}

/* Signatures of the request, decoded. */
struct candidate {
    uint8_t bytes[SIGNATURE_BYTES_MAX];
    size_t len, place; /* place: which of the scheme's */
};

static size_t read_candidates(struct bw_trial *trial, struct candidate *out, size_t *seen)
{
    const struct bw_program *program = trial->program;
    struct bw_slice texts[BW_CANDIDATES_MAX];
    size_t readable = 0;
    *seen = 0;
    for (size_t place = 0; place < program->signature_count; place++) {
        size_t count = bw_ref_candidates(trial, &program->signatures[place], texts, BW_CANDIDATES_MAX - *seen);
        *seen += count;
        for (size_t i = 0; i < count; i++) {
            if (!decode_signature(program, texts[i], out[readable].bytes, &out[readable].len)) continue;
            out[readable++].place = place;
        }
    }
    return readable;
}

static struct bw_slice bytes_of(const struct candidate *candidate)
{
    return (struct bw_slice){(const char *)candidate->bytes, candidate->len};
}

/* May this key have made this signature of this form of the message? Of several secrets, each is for its own place; of paired forms, too. */
static bool belongs(const struct bw_trial *trial, const struct bw_key *key, const struct candidate *candidate)
{
    const struct bw_program *program = trial->program;
    if (program->is_paired && candidate->place != trial->form) return false;
    return program->key_secret_count < 2 || key->secret == candidate->place;
}

static const char *check_mac(struct bw_trial *trial, const struct candidate *candidates, size_t count)
{
    const char *reason = MAC_ERROR;
    for (size_t k = 0; k < trial->keys->count; k++)
        for (trial->form = 0; trial->form < trial->program->form_count; trial->form++) {
            unsigned char mac[EVP_MAX_MD_SIZE];
            size_t len = bw_signature_compute(trial, &trial->keys->items[k], mac);
            if (len) reason = "bad signature";
            for (size_t i = 0; len && i < count; i++)
                if (belongs(trial, &trial->keys->items[k], &candidates[i]) && candidates[i].len == len &&
                    !CRYPTO_memcmp(candidates[i].bytes, mac, len))
                    return NULL;
        }
    return reason;
}

bool bw_public_key_fits(EVP_PKEY *key, const char *digest, struct bw_slice signature, struct bw_slice message)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = context && EVP_DigestVerifyInit_ex(context, NULL, digest, NULL, NULL, key, NULL) == 1 &&
                EVP_DigestVerify(context, (const unsigned char *)signature.ptr, signature.len, (const unsigned char *)message.ptr, message.len) == 1;
    EVP_MD_CTX_free(context);
    if (!good) ERR_clear_error();
    return good;
}

/* The message as a whole: Ed25519 reads it twice. */
static const char *check_public(struct bw_trial *trial, const struct candidate *candidates, size_t count)
{
    const char *digest = bw_algorithm(trial->program->alg)->digest, *reason = MAC_ERROR;
    for (trial->form = 0; trial->form < trial->program->form_count; trial->form++) {
        struct bw_buf message = {0};
        size_t before = trial->scratch->len;
        bool good = feed(trial, into_buf, &message), fits = false;
        trial->scratch->len = before;
        for (size_t k = 0; good && k < trial->keys->count; k++)
            for (size_t i = 0; i < count && !fits; i++)
                fits = belongs(trial, &trial->keys->items[k], &candidates[i]) &&
                       bw_public_key_fits(trial->keys->items[k].public_key, digest, bytes_of(&candidates[i]), bw_buf_slice(&message));
        bw_buf_free(&message);
        if (fits) return NULL;
        if (good) reason = "bad signature";
    }
    return reason;
}

static const char *digest_of(struct bw_trial *trial)
{
    const struct bw_digest_spec *digest = &trial->program->digest;
    struct bw_slice value;
    size_t occurrences;
    if (digest->by.kind == BW_REF_LITERAL) return digest->names[0];
    if (!bw_ref_read(trial, &digest->by, &value, &occurrences) || occurrences > 1) return NULL;
    for (size_t i = 0; i < digest->count; i++)
        if (bw_slice_equal(value, digest->values[i])) return digest->names[i];
    return NULL;
}

/* The key last: nobody shall make us fetch one for a request that is refused anyway. */
static const char *check_fetched(struct bw_trial *trial, const struct candidate *candidates, size_t count)
{
    const char *digest = digest_of(trial), *reason = NULL;
    struct bw_buf message = {0};
    EVP_PKEY *key = NULL;
    bool fits = false;
    if (!digest) return "a version of the signature that is not taken";
    size_t before = trial->scratch->len;
    if (!feed(trial, into_buf, &message)) reason = MAC_ERROR;
    trial->scratch->len = before;
    if (!reason) reason = bw_fetched_key(trial, BW_SLICE(""), &key);
    for (size_t i = 0; key && i < count && !fits; i++) fits = bw_public_key_fits(key, digest, bytes_of(&candidates[i]), bw_buf_slice(&message));
    EVP_PKEY_free(key);
    bw_buf_free(&message);
    return reason || fits ? reason : "bad signature";
}

static const char *check_token_of_web(struct bw_trial *trial)
{
    struct bw_slice token;
    size_t occurrences;
    if (!bw_ref_read(trial, &trial->program->signatures[0], &token, &occurrences)) return "missing token";
    if (occurrences > 1) return "repeated token";
    return take_prefix(&token, trial->program->signature_prefix) ? bw_jwt_check(trial, token) : "unreadable token";
}

static bool holds_any(struct bw_slice text, struct bw_slice characters)
{
    for (size_t i = 0; i < text.len; i++)
        if (memchr(characters.ptr, text.ptr[i], characters.len)) return true;
    return false;
}

/* "a.b" + "." + "c" and "a" + "." + "b.c" are the same signed bytes: the parts must not hold what separates them (pitfall 13). */
static bool is_ambiguous(struct bw_trial *trial)
{
    const struct bw_program *program = trial->program;
    struct bw_slice part;
    for (size_t which = 0; which < BW_MESSAGES_MAX; which++)
        for (size_t i = 0; i < program->message_counts[which]; i++) {
            const struct bw_ref *ref = &program->messages[which][i];
            if (ref->may_hold_any) continue;
            size_t before = trial->scratch->len;
            bool is_bad = bw_ref_read(trial, ref, &part, NULL) && holds_any(part, program->forbid);
            trial->scratch->len = before;
            if (is_bad) return true;
        }
    return false;
}

static const char *check_one(struct bw_trial *trial)
{
    struct candidate candidates[BW_CANDIDATES_MAX];
    enum bw_family family = bw_algorithm(trial->program->alg)->family;
    size_t seen, count;
    if (family == BW_FAMILY_TOKEN) return check_token(trial);
    if (family == BW_FAMILY_JWT) return check_token_of_web(trial);
    if (trial->program->forbid.len && is_ambiguous(trial)) return "ambiguous signed part";
    if (!(count = read_candidates(trial, candidates, &seen))) return seen ? "unreadable signature" : "missing signature";
    if (family == BW_FAMILY_FETCHED) return check_fetched(trial, candidates, count);
    return family == BW_FAMILY_PUBLIC ? check_public(trial, candidates, count) : check_mac(trial, candidates, count);
}

/* Each item of an array carries its own proof. All must hold, and there must be one. */
static const char *check_each(struct bw_trial *trial)
{
    const struct bw_json_hit *array = &trial->hits[trial->program->each];
    struct bw_json_view item;
    const char *reason = "no item";
    if (!trial->has_json || array->type != BW_JSON_ARRAY) return "no items";
    struct bw_json_iter iter = bw_json_view_iter((struct bw_json_view){array->raw});
    while (bw_json_iter_next(&iter, NULL, &item)) {
        size_t before = trial->scratch->len;
        trial->has_item = bw_json_scan(item.raw, trial->program->item_paths, trial->item_hits, NULL);
        if (!trial->has_item) return "unreadable item";
        if ((reason = check_one(trial))) break;
        trial->scratch->len = before;
    }
    trial->has_item = false;
    return reason;
}

const char *bw_signature_check(struct bw_trial *trial)
{
    enum bw_family family = bw_algorithm(trial->program->alg)->family;
    if (family == BW_FAMILY_NONE) return NULL;
    if (family == BW_FAMILY_BASIC) return check_basic(trial);
    return trial->program->each >= 0 ? check_each(trial) : check_one(trial);
}
