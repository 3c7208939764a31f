/* Lark encrypts the whole event when there is a key to do it with: {"encrypt": base64 of the 16 bytes of the vector and AES-256-CBC of the JSON}, by
 * the SHA-256 of the key. What it signs is the body as it comes, so this is only read here; the address of a new subscription it tries by an
 * encrypted question that nobody has signed. */
#include "base/codec.h"
#include "base/json_scan.h"
#include "source/part.h"
#include <openssl/err.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>

#define BLOCK 16

static struct bw_json_paths *paths;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_paths(void)
{
    struct bw_error err;
    const char *pointers[] = {"/encrypt"};
    paths = bw_json_paths_new(pointers, 1, &err);
}

/* Into the scratch; false: it is not by this key, or what comes out is no JSON. */
static bool decrypt(struct bw_trial *trial, const struct bw_key *key, const uint8_t *bytes, size_t len, struct bw_slice *out)
{
    unsigned char hash[32];
    size_t before = trial->scratch->len, hash_len;
    int filled = 0, rest = 0;
    if (!bw_trial_has_room(trial, len) || !EVP_Q_digest(NULL, "SHA256", NULL, key->bytes.ptr, key->bytes.len, hash, &hash_len)) return false;
    unsigned char *plain = (unsigned char *)trial->scratch->data + before;
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    bool good = context && EVP_DecryptInit_ex2(context, EVP_aes_256_cbc(), hash, bytes, NULL) &&
                EVP_DecryptUpdate(context, plain, &filled, bytes + BLOCK, (int)(len - BLOCK)) && EVP_DecryptFinal_ex(context, plain + filled, &rest);
    EVP_CIPHER_CTX_free(context);
    ERR_clear_error();
    *out = (struct bw_slice){(char *)plain, (size_t)(filled + rest)};
    if (!good || !bw_json_scan(*out, NULL, NULL, NULL)) return false;
    trial->scratch->len += out->len;
    return true;
}

static bool read(struct bw_trial *trial, const struct bw_ref *argument, unsigned form, struct bw_slice *out)
{
    struct bw_slice whole;
    struct bw_json_hit hit;
    size_t len;
    bool good = false;
    (void)form;
    pthread_once(&once, make_paths);
    if (!paths || !bw_ref_read(trial, argument, &whole, NULL) || !bw_json_scan(whole, paths, &hit, NULL) || hit.type != BW_JSON_STRING) return false;
    struct bw_slice text = {hit.raw.ptr + 1, hit.raw.len - 2};
    uint8_t *bytes = malloc(text.len + 1);
    if (bytes && bw_base64_decode(text, bytes, text.len + 1, &len) && len > BLOCK)
        for (size_t i = 0; i < trial->keys->count && !good; i++) good = decrypt(trial, &trial->keys->items[i], bytes, len, out);
    free(bytes);
    return good;
}

const struct bw_part bw_primitive_lark = {.name = "lark-text", .takes_ref = true, .covers_ref = true, .growth = 1, .read = read};
