/* Keys that are fetched, digests that a field chooses, and web tokens. */
#include "source/compiler.h"
#include "source/public_key.h"
#include <stdlib.h>

#define COUNT(array) (sizeof array / sizeof *array)

static void compile_hosts(struct bw_compiler *compiler, const struct bw_yaml_node *keys, struct bw_fetch_spec *fetch)
{
    const struct bw_yaml_node *hosts = bw_yaml_get(keys, "hosts");
    struct bw_slice host, path;
    if (fetch->url.len && bw_url_is_plain(fetch->url, &host, &path)) fetch->hosts[fetch->host_count++] = host;
    for (size_t i = 0; hosts && hosts->kind == BW_YAML_LIST && i < hosts->count; i++) {
        if (fetch->host_count == COUNT(fetch->hosts)) {
            bw_compiler_complain(compiler, hosts->items[i], "at most 8", "too many hosts, at", hosts->items[i]->text.ptr);
            break;
        }
        fetch->hosts[fetch->host_count++] = bw_compiler_text_of(compiler, hosts->items[i]);
    }
    /* Whoever may name any address makes us go there, and signs with a key of their own. */
    if (!fetch->host_count && !(fetch->url.len && memchr(fetch->url.ptr, '{', fetch->url.len)))
        bw_compiler_complain(compiler, keys, "hosts: [keys.provider.example]", "nothing says whose keys are taken:", "keys");
}

static void compile_post(struct bw_compiler *compiler, const struct bw_yaml_node *post, struct bw_fetch_spec *fetch)
{
    for (size_t i = 0; post && post->kind == BW_YAML_MAP && i < post->count && i < COUNT(fetch->post); i++) {
        struct bw_slice text = bw_compiler_text_of(compiler, post->pairs[i].value);
        bool is_secret = text.len > 7 && !memcmp(text.ptr, "secret:", 7);
        if (!is_secret && !bw_slice_is(text, "kid"))
            bw_compiler_complain(compiler, post->pairs[i].value, "write secret:NAME or kid", "this is nothing to ask with:", text.ptr);
        fetch->post[i].name = bw_arena_copy(&compiler->program->arena, post->pairs[i].key->text);
        if (is_secret) {
            fetch->post[i].secret = bw_arena_copy(&compiler->program->arena, (struct bw_slice){text.ptr + 7, text.len - 7});
            bw_compiler_secret(compiler, post, fetch->post[i].secret, false);
        }
        fetch->post_count++;
    }
}

static void compile_fetch(struct bw_compiler *compiler)
{
    static const char *const kinds[] = {"certificate", "jwks"};
    const struct bw_yaml_node *keys = bw_scheme_node(compiler->scheme, "keys");
    struct bw_fetch_spec *fetch = &compiler->program->fetch;
    struct bw_slice url = bw_compiler_text(compiler, keys, "url", ""), host, path;
    if (!keys) return;
    fetch->is_there = true;
    fetch->kind = (enum bw_fetch_kind)bw_compiler_choose(compiler, bw_yaml_get(keys, "as"), bw_compiler_text(compiler, keys, "as", "jwks"), kinds, 2,
                                                         "unknown kind of keys");
    if (!url.len || (url.len > 6 && !memcmp(url.ptr, "https:", 6)))
        fetch->url = url;
    else
        bw_compiler_request_ref(compiler, bw_yaml_get(keys, "url"), url, &fetch->url_ref);
    if (fetch->url.len && !bw_url_is_plain(fetch->url, &host, &path))
        bw_compiler_complain(compiler, bw_yaml_get(keys, "url"), "https://HOST/PATH", "this is no address to fetch keys from:", url.ptr);
    fetch->ends = bw_compiler_text(compiler, keys, "ends", "");
    fetch->name = bw_compiler_text(compiler, keys, "name", "");
    fetch->at = bw_compiler_text(compiler, keys, "at", "");
    fetch->chain = bw_compiler_flag(compiler, keys, "chain", false);
    compile_hosts(compiler, keys, fetch);
    compile_post(compiler, bw_yaml_get(keys, "post"), fetch);
}

static const char *digest_named(struct bw_compiler *compiler, const struct bw_yaml_node *at, struct bw_slice text)
{
    static const char *const known[] = {"sha1", "sha256"}, *const names[] = {"SHA1", "SHA256"};
    return names[bw_compiler_choose(compiler, at, text, known, 2, "unknown digest")];
}

/* digest: sha256, or {from: REF, "1": sha1, "2": sha256} */
static void compile_digest(struct bw_compiler *compiler)
{
    const struct bw_yaml_node *node = bw_scheme_node(compiler->scheme, "digest");
    struct bw_digest_spec *digest = &compiler->program->digest;
    digest->by = (struct bw_ref){.kind = BW_REF_LITERAL};
    digest->names[0] = "SHA256";
    digest->count = 1;
    if (!node || node->kind != BW_YAML_MAP) {
        if (node) digest->names[0] = digest_named(compiler, node, bw_compiler_text_of(compiler, node));
        return;
    }
    digest->count = 0;
    for (size_t i = 0; i < node->count; i++) {
        const struct bw_yaml_pair *pair = &node->pairs[i];
        if (bw_slice_is(pair->key->text, "from")) {
            bw_compiler_request_ref(compiler, pair->value, bw_compiler_text_of(compiler, pair->value), &digest->by);
        } else if (digest->count < BW_DIGESTS_MAX) {
            digest->values[digest->count] = bw_arena_copy(&compiler->program->arena, pair->key->text);
            digest->names[digest->count++] = digest_named(compiler, pair->value, bw_compiler_text_of(compiler, pair->value));
        }
    }
    if (!digest->count || digest->by.kind == BW_REF_LITERAL)
        bw_compiler_complain(compiler, node, "{from: \"json:/version\", \"1\": sha1, \"2\": sha256}", "nothing says which digest when:", "digest");
}

/* ---- web tokens ---- */

static void compile_algorithms(struct bw_compiler *compiler, const struct bw_yaml_node *jwt)
{
    const struct bw_yaml_node *list = bw_yaml_get(jwt, "algs");
    struct bw_program *program = compiler->program;
    const char *names[BW_JWT_ALGS];
    bool is_shared = false, is_public = false;
    bw_jwt_algorithm_names(names);
    for (size_t i = 0; list && list->kind == BW_YAML_LIST && i < list->count; i++) {
        int which = bw_compiler_choose(compiler, list->items[i], bw_compiler_text_of(compiler, list->items[i]), names, BW_JWT_ALGS,
                                       "unknown algorithm of a token");
        program->jwt.allowed[which] = true;
        if (which < BW_JWT_SHARED && !is_shared) program->jwt.signs_with = (enum bw_jwt_alg)which;
        is_shared = is_shared || which < BW_JWT_SHARED;
        is_public = is_public || which >= BW_JWT_SHARED;
    }
    if (!is_shared && !is_public) bw_compiler_complain(compiler, jwt, "jwt: {algs: [RS256]}", "nothing says which algorithms are allowed:", "jwt");
    if (is_shared && is_public) /* else a published key could be used as a shared one (pitfall 10) */
        bw_compiler_complain(compiler, list, "allow either those with HS or the others", "shared and public keys do not go together:", "algs");
    if (is_public && !program->fetch.is_there)
        bw_compiler_complain(compiler, jwt, "keys: {url: …, as: jwks}", "nothing says where the public keys are:", "jwt");
}

static bool claim_pointer(struct bw_compiler *compiler, struct bw_slice name, const char **out)
{
    struct bw_buf text = {0};
    bw_buf_append_char(&text, '/');
    bw_buf_append_slice(&text, name);
    *out = bw_arena_copy(&compiler->program->arena, bw_buf_slice(&text)).ptr;
    bw_buf_free(&text);
    return *out != NULL;
}

static void compile_claims(struct bw_compiler *compiler, const struct bw_yaml_node *jwt)
{
    const struct bw_yaml_node *claims = bw_yaml_get(jwt, "claims"), *hash = bw_yaml_get(jwt, "body_hash");
    static const char *const encodings[] = {"hex", "base64", "base64url"}, *const header[] = {"/alg", "/kid", "/crit"};
    struct bw_jwt_spec *spec = &compiler->program->jwt;
    const char *pointers[BW_CLAIM_OTHERS + BW_CLAIMS_MAX] = {"/exp", "/nbf", "/iat", "/ "};
    struct bw_error err;
    if ((spec->has_hash = hash != NULL)) {
        spec->hash_claim = bw_compiler_text(compiler, hash, "claim", "");
        claim_pointer(compiler, spec->hash_claim, &pointers[BW_CLAIM_HASH]);
        spec->hash_encoding = (enum bw_encoding)bw_compiler_choose(compiler, bw_yaml_get(hash, "enc"), bw_compiler_text(compiler, hash, "enc", "hex"),
                                                                   encodings, 3, "unknown encoding of the hash");
    }
    for (size_t i = 0; claims && claims->kind == BW_YAML_MAP && i < claims->count && spec->claim_count < BW_CLAIMS_MAX; i++) {
        struct bw_claim *claim = &spec->claims[spec->claim_count];
        claim->name = bw_arena_copy(&compiler->program->arena, claims->pairs[i].key->text);
        claim_pointer(compiler, claims->pairs[i].key->text, &pointers[BW_CLAIM_OTHERS + spec->claim_count++]);
        claim->expected = bw_compiler_text_of(compiler, claims->pairs[i].value);
        if (!(claim->is_secret = claim->expected.len > 7 && !memcmp(claim->expected.ptr, "secret:", 7))) continue;
        claim->expected = bw_arena_copy(&compiler->program->arena, (struct bw_slice){claim->expected.ptr + 7, claim->expected.len - 7});
        bw_compiler_secret(compiler, claims, claim->expected, false);
    }
    if (!(spec->header_paths = bw_json_paths_new(header, 3, &err)) ||
        !(spec->claim_paths = bw_json_paths_new(pointers, BW_CLAIM_OTHERS + spec->claim_count, &err)))
        bw_errors_push(compiler->errs, &err);
}

void bw_compiler_keys_of_others(struct bw_compiler *compiler)
{
    const struct bw_yaml_node *jwt = bw_scheme_node(compiler->scheme, "jwt");
    struct bw_program *program = compiler->program;
    enum bw_family family = bw_algorithm(program->alg)->family;
    compile_fetch(compiler);
    compile_digest(compiler);
    if (family == BW_FAMILY_FETCHED && !program->fetch.is_there)
        bw_compiler_complain(compiler, compiler->scheme->root, "keys: {url: \"header:x-cert-url\", as: certificate, hosts: […]}",
                             "nothing says where the public key is:", compiler->scheme->name);
    if (family != BW_FAMILY_JWT) return;
    if (!jwt) bw_compiler_complain(compiler, compiler->scheme->root, "jwt: {algs: [RS256]}", "nothing says what the token must be:", "jwt");
    compile_algorithms(compiler, jwt);
    compile_claims(compiler, jwt);
    program->jwt.needs_exp = bw_compiler_flag(compiler, jwt, "needs_exp", false);
    program->jwt.max_age_ms = bw_compiler_seconds(compiler, jwt, "max_age", "0") * 1000;
    program->jwt.leeway_ms = bw_compiler_seconds(compiler, jwt, "leeway", "10") * 1000;
}
