#include "config/tls.h"
#include "base/file.h"
#include <stdlib.h>
#include <string.h>

#define CERTIFICATES_MAX 64
#define NAMES_MAX 64

static const struct bw_key tls_keys[] = {
    {"cert", BW_KEY_TEXT, offsetof(struct bw_tls_config, pair.cert), 0, 0, "",
     "PEM file: the certificate, and behind it those that lead to its authority"},
    {"key", BW_KEY_TEXT, offsetof(struct bw_tls_config, pair.key), 0, 0, "", "PEM file of its private key; not readable for everybody"},
    {"certificates", BW_KEY_SPECIAL, 0, 0, 0, "",
     "instead of these two: a list of {cert, key}; chosen by the name that is asked for, else the first"},
    {"clients", BW_KEY_SPECIAL, 0, 0, 0, "", "certificates that clients have to show, see below"},
};
static const struct bw_key pair_keys[] = {
    {"cert", BW_KEY_TEXT, offsetof(struct bw_tls_pair, cert), 0, 0, "", ""},
    {"key", BW_KEY_TEXT, offsetof(struct bw_tls_pair, key), 0, 0, "", ""},
};
static const struct bw_key client_keys[] = {
    {"ca", BW_KEY_TEXT, offsetof(struct bw_tls_config, client_ca), 0, 0, "", "PEM file of the authorities that may have signed them"},
    {"crl", BW_KEY_TEXT, offsetof(struct bw_tls_config, client_crl), 0, 0, "", "PEM file of the lists of those that were revoked"},
    {"names", BW_KEY_SPECIAL, 0, 0, 0, "any", "a list: one of these names must be in the certificate"},
    {"required", BW_KEY_BOOL, offsetof(struct bw_tls_config, client_required), 0, 0, "true", "false: whoever shows none may come in, too"},
};
#define COUNT(table) (sizeof(table) / sizeof *(table))

static void place(char **path, const char *folder)
{
    if (!*path) return;
    char *joined = bw_file_join(folder, *path);
    free(*path);
    *path = joined;
}

/* Takes over what stands in pair. */
static void add_pair(const struct bw_key_context *context, const struct bw_yaml_node *node, const char *where, const char *folder,
                     struct bw_tls_pair *pair, struct bw_tls_config *out)
{
    if (!pair->cert || !pair->key)
        bw_key_error(context, node, "tls.incomplete", "scripts/dev-cert makes a pair to try it with", "%s needs both cert and key", where);
    place(&pair->cert, folder);
    place(&pair->key, folder);
    out->pairs[out->pair_count++] = *pair;
    *pair = (struct bw_tls_pair){0};
}

static void read_pairs(const struct bw_key_context *context, const struct bw_yaml_node *map, const char *folder, struct bw_tls_config *out)
{
    const struct bw_yaml_node *list = bw_yaml_get(map, "certificates");
    size_t count = list && list->kind == BW_YAML_LIST ? list->count : 1;
    if (list && (out->pair.cert || out->pair.key)) {
        bw_key_error(context, list, "tls.certificates", "put all of them into the list", "tls has either cert and key, or certificates");
        return;
    }
    if (list && (list->kind != BW_YAML_LIST || !list->count || list->count > CERTIFICATES_MAX)) {
        bw_key_error(context, list, "config.type", NULL, "tls.certificates must be a list of 1 to %d entries {cert, key}", CERTIFICATES_MAX);
        return;
    }
    if (!(out->pairs = calloc(count, sizeof *out->pairs))) return;
    for (size_t i = 0; list && i < count; i++) {
        bw_keys_read(context, list->items[i], "tls.certificates", pair_keys, COUNT(pair_keys), &out->pair);
        add_pair(context, list->items[i], "tls.certificates", folder, &out->pair, out);
    }
    if (!list) add_pair(context, map, "tls", folder, &out->pair, out);
}

static void read_names(const struct bw_key_context *context, const struct bw_yaml_node *list, struct bw_tls_config *out)
{
    if (list->kind != BW_YAML_LIST || !list->count || list->count > NAMES_MAX) {
        bw_key_error(context, list, "config.type", "write for example [erp.example.com]", "tls.clients.names must be a list of 1 to %d names",
                     NAMES_MAX);
        return;
    }
    if (!(out->client_names = calloc(list->count, sizeof *out->client_names))) return;
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i]->kind != BW_YAML_STRING || !list->items[i]->text.len)
            bw_key_error(context, list->items[i], "config.type", NULL, "a name in tls.clients.names must be text");
        else
            out->client_names[out->client_name_count++] = bw_slice_dup(list->items[i]->text);
    }
}

void bw_tls_read(const struct bw_key_context *context, const struct bw_yaml_node *map, const char *folder, struct bw_tls_config *out)
{
    out->client_required = true;
    if (!map) return;
    out->file = context->file;
    out->line = map->line;
    out->column = map->column;
    bw_keys_read(context, map, "tls", tls_keys, COUNT(tls_keys), out);
    if (map->kind != BW_YAML_MAP) return;
    read_pairs(context, map, folder, out);
    const struct bw_yaml_node *clients = bw_yaml_get(map, "clients");
    if (!clients) return;
    bw_keys_read(context, clients, "tls.clients", client_keys, COUNT(client_keys), out);
    const struct bw_yaml_node *names = bw_yaml_get(clients, "names");
    if (names) read_names(context, names, out);
    if (clients->kind == BW_YAML_MAP && !out->client_ca)
        bw_key_error(context, clients, "tls.incomplete", "name the authority that signs their certificates", "tls.clients needs ca");
    place(&out->client_ca, folder);
    place(&out->client_crl, folder);
}

void bw_tls_config_free(struct bw_tls_config *config)
{
    free(config->pair.cert);
    free(config->pair.key);
    for (size_t i = 0; i < config->pair_count; i++) {
        free(config->pairs[i].cert);
        free(config->pairs[i].key);
    }
    free(config->pairs);
    for (size_t i = 0; i < config->client_name_count; i++) free(config->client_names[i]);
    free(config->client_names);
    free(config->client_ca);
    free(config->client_crl);
}

void bw_tls_help(struct bw_buf *out)
{
    bw_buf_append_text(out, "\ntls, for addresses of listen that begin with https://:\n");
    bw_keys_help(out, tls_keys, COUNT(tls_keys));
    bw_buf_append_text(out, "\ntls.clients:\n");
    bw_keys_help(out, client_keys, COUNT(client_keys));
}
