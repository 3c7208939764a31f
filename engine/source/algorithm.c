/* What `alg` may be, and the algorithm of a token. */
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

static const struct bw_jwt_algorithm jwt_algorithms[] = {
    [BW_JWT_HS256] = {.name = "HS256", .digest = "SHA256"},
    [BW_JWT_HS384] = {.name = "HS384", .digest = "SHA384"},
    [BW_JWT_HS512] = {.name = "HS512", .digest = "SHA512"},
    [BW_JWT_RS256] = {.name = "RS256", .digest = "SHA256", .type = EVP_PKEY_RSA},
    [BW_JWT_RS384] = {.name = "RS384", .digest = "SHA384", .type = EVP_PKEY_RSA},
    [BW_JWT_RS512] = {.name = "RS512", .digest = "SHA512", .type = EVP_PKEY_RSA},
    [BW_JWT_ES256] = {"ES256", "SHA256", EVP_PKEY_EC, "prime256v1", 32},
    [BW_JWT_ES384] = {"ES384", "SHA384", EVP_PKEY_EC, "secp384r1", 48},
    [BW_JWT_ES512] = {"ES512", "SHA512", EVP_PKEY_EC, "secp521r1", 66},
    [BW_JWT_EDDSA] = {.name = "EdDSA", .type = EVP_PKEY_ED25519},
};

const struct bw_jwt_algorithm *bw_jwt_algorithm(enum bw_jwt_alg alg)
{
    return &jwt_algorithms[alg];
}

void bw_jwt_algorithm_names(const char *names[BW_JWT_ALGS])
{
    for (size_t i = 0; i < BW_JWT_ALGS; i++) names[i] = jwt_algorithms[i].name;
}

bool bw_alg_signs(enum bw_alg alg)
{
    enum bw_family family = algorithms[alg].family;
    return family != BW_FAMILY_NONE && family != BW_FAMILY_TOKEN && family != BW_FAMILY_BASIC;
}
