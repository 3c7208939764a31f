#include "base/id.h"
#include "base/hmac.h"
#include "base/random.h"
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

static const char crockford[] = "0123456789abcdefghjkmnpqrstvwxyz";
static const char rfc4648[] = "abcdefghijklmnopqrstuvwxyz234567";
static const char *const prefixes[] = {[BW_UID_EVENT] = "evt_", [BW_UID_RUN] = "run_"};

struct bw_uid bw_uid_new(int64_t wall_ms)
{
    struct bw_uid uid;
    for (int i = 0; i < 6; i++) uid.bytes[i] = (uint8_t)((uint64_t)wall_ms >> (40 - 8 * i));
    bw_random_bytes(uid.bytes + 6, 10);
    uid.bytes[6] = (uint8_t)(0x70 | (uid.bytes[6] & 0x0f)); /* version 7 */
    uid.bytes[8] = (uint8_t)(0x80 | (uid.bytes[8] & 0x3f)); /* RFC 9562 variant */
    return uid;
}

/* SHA-256 of memory fails only when OpenSSL cannot allocate or its provider is broken; a wrong identity would then break
 * exactly-once silently, so the process must not go on. */
static void must(bool done)
{
    if (done) return;
    fputs("bellwire: SHA-256 is not available\n", stderr);
    abort();
}

struct bw_uid bw_uid_of_run(struct bw_uid event, struct bw_slice workflow)
{
    static const char label[] = "bellwire run"; /* its NUL is hashed too */
    uint8_t digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    must(ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 && EVP_DigestUpdate(ctx, label, sizeof label) == 1 &&
         EVP_DigestUpdate(ctx, event.bytes, sizeof event.bytes) == 1 && EVP_DigestUpdate(ctx, workflow.ptr, workflow.len) == 1 &&
         EVP_DigestFinal_ex(ctx, digest, NULL) == 1);
    EVP_MD_CTX_free(ctx);
    struct bw_uid run = event;
    memcpy(run.bytes + 6, digest, 10);
    return run;
}

struct bw_uid bw_uid_of_child(struct bw_uid parent, struct bw_slice path, uint32_t item)
{
    static const char label[] = "bellwire child"; /* its NUL is hashed too */
    uint8_t digest[EVP_MAX_MD_SIZE];
    char number[16];
    int len = snprintf(number, sizeof number, "%c%u", '\0', (unsigned)item);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    must(ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 && EVP_DigestUpdate(ctx, label, sizeof label) == 1 &&
         EVP_DigestUpdate(ctx, parent.bytes, sizeof parent.bytes) == 1 && EVP_DigestUpdate(ctx, path.ptr, path.len) == 1 &&
         EVP_DigestUpdate(ctx, number, (size_t)len) == 1 && EVP_DigestFinal_ex(ctx, digest, NULL) == 1);
    EVP_MD_CTX_free(ctx);
    struct bw_uid run = parent;
    memcpy(run.bytes + 6, digest, 10);
    return run;
}

bool bw_uid_equal(struct bw_uid a, struct bw_uid b)
{
    return memcmp(a.bytes, b.bytes, sizeof a.bytes) == 0;
}

bool bw_uid_is_zero(struct bw_uid uid)
{
    return bw_uid_equal(uid, (struct bw_uid){{0}});
}

/* 128 bits in 26 digits of 5 bits: the first digit has two leading zero bits, so it is at most '7'. */
const char *bw_uid_text(struct bw_uid uid, enum bw_uid_kind kind, char out[BW_UID_TEXT])
{
    memcpy(out, prefixes[kind], 4);
    for (int digit = 0; digit < 26; digit++) {
        unsigned value = 0;
        for (int bit = digit * 5 - 2; bit < digit * 5 + 3; bit++) value = value << 1 | (bit < 0 ? 0 : uid.bytes[bit / 8] >> (7 - bit % 8) & 1);
        out[4 + digit] = crockford[value];
    }
    out[30] = '\0';
    return out;
}

bool bw_uid_parse(struct bw_slice text, enum bw_uid_kind kind, struct bw_uid *out)
{
    if (text.len != 30 || memcmp(text.ptr, prefixes[kind], 4) != 0 || text.ptr[4] > '7') return false;
    struct bw_uid uid = {{0}};
    for (int digit = 0; digit < 26; digit++) {
        const char *found = text.ptr[4 + digit] ? strchr(crockford, text.ptr[4 + digit]) : NULL;
        if (!found) return false; /* one spelling per identity: no upper case, no i l o u */
        unsigned value = (unsigned)(found - crockford);
        for (int i = 0, bit = digit * 5 - 2; i < 5; i++, bit++)
            if (bit >= 0 && (value >> (4 - i) & 1)) uid.bytes[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
    }
    *out = uid;
    return true;
}

const char *bw_idempotency_key(struct bw_uid run, const char *path, uint32_t iteration, char out[BW_IDEMPOTENCY_KEY_TEXT])
{
    uint8_t digest[BW_HMAC_BYTES];
    char number[16];
    size_t len = (size_t)snprintf(number, sizeof number, "%u", (unsigned)iteration);
    const struct bw_slice parts[] = {{path, strlen(path) + 1}, {number, len}};
    must(bw_hmac_sha256((struct bw_slice){(const char *)run.bytes, sizeof run.bytes}, parts, 2, digest));
    memcpy(out, "bw_", 3);
    for (int digit = 0; digit < 32; digit++) { /* 20 bytes are exactly 32 digits */
        unsigned bit = (unsigned)digit * 5, pair = (unsigned)digest[bit / 8] << 8 | digest[bit / 8 + 1];
        out[3 + digit] = rfc4648[pair >> (11 - bit % 8) & 31];
    }
    out[35] = '\0';
    return out;
}
