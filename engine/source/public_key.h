/* public_key.h: keys that others publish: an X.509 certificate, a JSON Web Key. Read in bounds, and refused when they are weak. Pure but for the
 * system's list of trusted roots; any thread. */
#ifndef BW_SOURCE_PUBLIC_KEY_H
#define BW_SOURCE_PUBLIC_KEY_H
#include "base/error.h"
#include "base/json.h"
#include "source/key_ring.h"
#include <openssl/evp.h>
#include <stdint.h>

#define BW_PUBLIC_KEY_DER_MAX 2048

struct bw_certificate_rules {
    struct bw_slice name; /* the common name must be this; "*.x" = ends with ".x"; empty: any */
    bool chain;           /* up to a root that this system trusts */
    int64_t at_s;         /* must be valid then; 0 = not looked at, and neither is the chain */
};
/* The key of the first certificate of a PEM text. NULL: err says why. until_s: how long it is valid. */
EVP_PKEY *bw_certificate_read(struct bw_slice pem, const struct bw_certificate_rules *rules, int64_t *until_s, struct bw_error *err);
/* RSA of 2,048 to 8,192 bits, EC on P-256, P-384 or P-521, OKP Ed25519. NULL for anything else, and for what its maker has given up ("expired_at").
 */
EVP_PKEY *bw_jwk_read(const json_t *jwk);
/* {"keys": [JWK]}, or the one JWK at the pointer `at`; what cannot be read is left out. How many. */
size_t bw_key_set_read(struct bw_slice text, struct bw_slice at, struct bw_ring_key *out, size_t capacity);
/* SubjectPublicKeyInfo: how a key travels. */
size_t bw_public_key_encode(EVP_PKEY *key, uint8_t out[BW_PUBLIC_KEY_DER_MAX]); /* 0: too large */
EVP_PKEY *bw_public_key_decode(struct bw_slice der);
/* "sns.*.amazonaws.com": '*' is one label of three or more letters, digits and hyphens. */
bool bw_host_matches(struct bw_slice host, struct bw_slice pattern);
/* https://HOST/PATH and nothing else: no user, no port, no query, no fragment; the host in lower case. */
bool bw_url_is_plain(struct bw_slice url, struct bw_slice *host, struct bw_slice *path);
#endif
