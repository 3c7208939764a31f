/* Which keys a scheme may have, at every level. A key that nobody reads is a check that nobody makes: `time: {form: …}` must not pass in silence. */
#include "source/compiler.h"
#include <stdio.h>

#define COUNT(array) (sizeof array / sizeof *array)

static const char *const scheme_keys[] = {"doc",       "console",    "like",   "alg",     "key",         "parse",   "sig",    "msg", "msg_alt",
                                          "each",      "data",       "batch",  "accepts", "acknowledge", "require", "time",   "id",  "event",
                                          "handshake", "empty_body", "forbid", "send",    "options",     "keys",    "digest", "jwt"};
static const char *const key_keys[] = {"secret", "strip", "decode", "bare"};
static const char *const list_keys[] = {"from", "sep", "eq"};
static const char *const signature_keys[] = {"from", "enc", "prefix", "any_case", "repeated", "paired"};
static const char *const time_keys[] = {"from", "unit", "past", "future"};
static const char *const forbid_keys[] = {"characters", "except"};
static const char *const require_keys[] = {"value", "is", "only", "beyond", "at_least", "at_most"};
static const char *const fetch_keys[] = {"url", "as", "hosts", "ends", "name", "chain", "post", "at"};
static const char *const jwt_keys[] = {"algs", "body_hash", "claims", "needs_exp", "max_age", "leeway"};
static const char *const hash_keys[] = {"claim", "enc"};
static const char *const handshake_keys[] = {"when", "verify_first", "capture", "answer"};
static const char *const batch_keys[] = {"items", "type", "id", "event"};
static const char *const capture_keys[] = {"secret", "from"};
static const char *const when_keys[] = {"method", "has", "value", "is", "only", "beyond", "at_least", "at_most"};
static const char *const answer_keys[] = {"status", "headers", "json", "text"};

static void check_map(struct bw_compiler *compiler, const struct bw_yaml_node *node, const char *name, const char *const *known, size_t count)
{
    char what[64];
    if (!node) return;
    if (node->kind != BW_YAML_MAP) {
        snprintf(what, sizeof what, "%s must be a map, found", name);
        bw_compiler_complain(compiler, node, NULL, what, bw_yaml_kind_name(node->kind));
        return;
    }
    snprintf(what, sizeof what, "unknown key in %s:", name);
    for (size_t i = 0; i < node->count; i++) {
        const struct bw_yaml_node *key = node->pairs[i].key;
        bw_compiler_choose(compiler, key, key->text, known, count, what);
    }
}

/* `options` of the source that the scheme does not have are spelling mistakes. */
static void check_options(struct bw_compiler *compiler)
{
    const struct bw_yaml_node *options = bw_scheme_node(compiler->scheme, "options");
    const char *known[32];
    size_t count = 0;
    for (size_t i = 0; options && options->kind == BW_YAML_MAP && i < options->count && count < COUNT(known); i++)
        known[count++] = options->pairs[i].key->text.ptr;
    for (size_t i = 0; i < compiler->config->option_count; i++) {
        const char *option = compiler->config->options[i], *equals = strchr(option, '=');
        struct bw_slice name =
            bw_arena_copy(&compiler->program->arena, (struct bw_slice){option, equals ? (size_t)(equals - option) : strlen(option)});
        bw_compiler_choose(compiler, NULL, name, known, count, "has no option");
    }
}

static void check_list(struct bw_compiler *compiler, const struct bw_yaml_node *list, const char *name, const char *const *known, size_t count)
{
    char what[64];
    snprintf(what, sizeof what, "%s must be a list, found", name);
    if (list && list->kind != BW_YAML_LIST) bw_compiler_complain(compiler, list, NULL, what, bw_yaml_kind_name(list->kind));
    for (size_t i = 0; list && list->kind == BW_YAML_LIST && i < list->count; i++) check_map(compiler, list->items[i], name, known, count);
}

/* The scheme's own keys: those of the one that it is like were checked there. */
void bw_compiler_check_keys(struct bw_compiler *compiler)
{
    const struct bw_yaml_node *root = compiler->scheme->root, *parse = bw_yaml_get(root, "parse"), *handshakes = bw_yaml_get(root, "handshake"),
                              *forbid = bw_yaml_get(root, "forbid");
    check_map(compiler, root, "a scheme", scheme_keys, COUNT(scheme_keys));
    check_map(compiler, bw_yaml_get(root, "key"), "key", key_keys, COUNT(key_keys));
    check_map(compiler, bw_yaml_get(root, "sig"), "sig", signature_keys, COUNT(signature_keys));
    check_map(compiler, bw_yaml_get(root, "time"), "time", time_keys, COUNT(time_keys));
    if (parse && parse->kind != BW_YAML_MAP) check_map(compiler, parse, "parse", NULL, 0);
    for (size_t i = 0; parse && parse->kind == BW_YAML_MAP && i < parse->count; i++)
        check_map(compiler, parse->pairs[i].value, "parse", list_keys, COUNT(list_keys));
    if (forbid && forbid->kind == BW_YAML_MAP) check_map(compiler, forbid, "forbid", forbid_keys, COUNT(forbid_keys));
    check_map(compiler, bw_yaml_get(root, "batch"), "batch", batch_keys, COUNT(batch_keys));
    check_map(compiler, bw_yaml_get(root, "keys"), "keys", fetch_keys, COUNT(fetch_keys));
    check_map(compiler, bw_yaml_get(root, "jwt"), "jwt", jwt_keys, COUNT(jwt_keys));
    check_map(compiler, bw_yaml_get(bw_yaml_get(root, "jwt"), "body_hash"), "body_hash", hash_keys, COUNT(hash_keys));
    check_list(compiler, bw_yaml_get(root, "require"), "require", require_keys, COUNT(require_keys));
    check_list(compiler, handshakes, "handshake", handshake_keys, COUNT(handshake_keys));
    for (size_t i = 0; handshakes && handshakes->kind == BW_YAML_LIST && i < handshakes->count; i++) {
        const struct bw_yaml_node *item = handshakes->items[i];
        check_map(compiler, bw_yaml_get(item, "when"), "when", when_keys, COUNT(when_keys));
        check_map(compiler, bw_yaml_get(item, "capture"), "capture", capture_keys, COUNT(capture_keys));
        check_map(compiler, bw_yaml_get(item, "answer"), "answer", answer_keys, COUNT(answer_keys));
    }
    const struct bw_yaml_node *send = bw_yaml_get(root, "send");
    if (send && send->kind != BW_YAML_MAP) check_map(compiler, send, "send", NULL, 0);
    check_options(compiler);
}
