/* What `alg` may be. */
#include "source/program.h"

static const struct bw_algorithm algorithms[] = {
    [BW_ALG_NONE] = {"none", NULL, BW_FAMILY_NONE},
    [BW_ALG_HMAC_SHA1] = {"hmac-sha1", "SHA1", BW_FAMILY_HMAC},
    [BW_ALG_HMAC_SHA256] = {"hmac-sha256", "SHA256", BW_FAMILY_HMAC},
    [BW_ALG_HMAC_SHA512] = {"hmac-sha512", "SHA512", BW_FAMILY_HMAC},
    [BW_ALG_SHA256] = {"sha256", "SHA256", BW_FAMILY_HASH},
    [BW_ALG_EQUAL] = {"equal", NULL, BW_FAMILY_TOKEN},
    [BW_ALG_BASIC] = {"basic", NULL, BW_FAMILY_BASIC},
    [BW_ALG_ED25519] = {"ed25519", NULL, BW_FAMILY_PUBLIC},
    [BW_ALG_ECDSA_P256] = {"ecdsa-p256", "SHA256", BW_FAMILY_PUBLIC},
    [BW_ALG_RSA] = {"rsa", NULL, BW_FAMILY_FETCHED},
    [BW_ALG_JWT] = {"jwt", NULL, BW_FAMILY_JWT},
};
#define COUNT (sizeof algorithms / sizeof *algorithms)

const struct bw_algorithm *bw_algorithm(enum bw_alg alg)
{
    return &algorithms[alg];
}

size_t bw_algorithm_names(const char **names, size_t capacity)
{
    size_t count = 0;
    for (; count < COUNT && count < capacity; count++) names[count] = algorithms[count].name;
    return count;
}

bool bw_alg_signs(enum bw_alg alg)
{
    enum bw_family family = algorithms[alg].family;
    return family != BW_FAMILY_NONE && family != BW_FAMILY_TOKEN && family != BW_FAMILY_BASIC;
}
