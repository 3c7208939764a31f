#include "config/config.h"
#include "base/file.h"
#include "base/json.h"
#include "base/yaml.h"
#include "config/budgets.h"
#include "config/configure.h"
#include "config/guards.h"
#include "config/keys.h"
#include "config/limits.h"
#include "config/listen.h"
#include "config/mcp.h"
#include "config/pools.h"
#include "config/secrets.h"
#include "config/sources.h"
#include "config/tls.h"
#include "config/values.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_BYTES_MAX (1u << 20)
#define OUTPUT_BYTES_LEAST 1024u
#define OUTPUT_BYTES_HARD (8u << 20)      /* semantics.md 2.5, as what follows */
#define RUN_OUTPUT_BYTES_HARD (64u << 20) /* a frame to a worker holds it: wire/frame.h */
#define MAX_SIZE_LEAST (16u << 20)
#define MAX_SIZE_MOST (1ULL << 50)
#define DAY_MS (24 * 3600 * 1000LL)
#define DEFAULT_FILE "bellwire.yaml"

#define FIELD(name) offsetof(struct bw_config, name)
static const struct bw_key keys[] = {
    {"listen", BW_KEY_SPECIAL, 0, 0, 0, "http://127.0.0.1:8080",
     "where to listen, one URL or a list; port 0 takes any free port; unix:/run/x.sock?mode=0660 is a Unix socket"},
    {"tls", BW_KEY_SPECIAL, 0, 0, 0, "", "certificates for https:// addresses, see below"},
    {"allow_plaintext", BW_KEY_BOOL, FIELD(allow_plaintext), 0, 0, "false", "plain HTTP on addresses other than loopback"},
    {"public_url", BW_KEY_TEXT, FIELD(public_url), 0, 0, "the first port of listen",
     "how people reach this engine: links to approvals begin with it"},
    {"data", BW_KEY_TEXT, FIELD(data), 0, 0, "./data", "folder of the store"},
    {"workflows", BW_KEY_TEXT, FIELD(workflows), 0, 0, "./workflows", "folder of the workflows (*.yaml)"},
    {"actions", BW_KEY_TEXT, FIELD(actions), 0, 0, "./actions", "folder of the Lua actions (*.lua)"},
    {"plugins", BW_KEY_TEXT, FIELD(plugins), 0, 0, "./plugins", "folder of your own plugins: *.so, and folders with a plugin.yaml"},
    {"schemes", BW_KEY_TEXT, FIELD(schemes), 0, 0, "./schemes", "folder of your own verification schemes (*.yaml)"},
    {"sources", BW_KEY_SPECIAL, 0, 0, 0, "", "who may send, see below"},
    {"secrets", BW_KEY_SPECIAL, 0, 0, 0, "", "what workflows may be granted: {NAME: {env: NAME}}, {file: PATH} or {exec: [PROGRAM, …]}"},
    {"workers", BW_KEY_COUNT, FIELD(workers), 1, 256, "cores - 1, at least 1", "run worker processes"},
    {"pools", BW_KEY_SPECIAL, 0, 0, 0, "", "run worker processes of their own for workflows with `pool: NAME`, see below"},
    {"ingest_threads", BW_KEY_COUNT, FIELD(ingest_threads), 1, 64, "1, above 2 cores half of them, at most 4", "threads that listen"},
    {"max_body", BW_KEY_SIZE, FIELD(max_body_bytes), 1, BW_BODY_BYTES_HARD, "1MiB", "largest request body, at most 16MiB"},
    {"max_output", BW_KEY_SIZE, FIELD(max_output_bytes), OUTPUT_BYTES_LEAST, OUTPUT_BYTES_HARD, "1MiB",
     "largest output of a step, data of an emitted event, answer to a sender; at most 8MiB"},
    {"max_run_outputs", BW_KEY_SIZE, FIELD(max_run_output_bytes), OUTPUT_BYTES_LEAST, RUN_OUTPUT_BYTES_HARD, "16MiB",
     "outputs of all steps of a run together, at most 64MiB"},
    {"max_connections", BW_KEY_COUNT, FIELD(max_connections), 1, 1000000, "10000", "open connections in all"},
    {"max_connections_per_address", BW_KEY_COUNT, FIELD(max_connections_per_address), 1, 1000000, "256",
     "of them from one address (IPv6: one /64); loopback and trusted_proxies may have any number"},
    {"trusted_proxies", BW_KEY_SPECIAL, 0, 0, 0, "none",
     "addresses of your proxies, [10.0.0.0/8], unix for whoever comes over a Unix socket: from them the client is the last one of X-Forwarded-For "
     "that is none of them"},
    {"request_deadline", BW_KEY_DURATION, FIELD(request_deadline_ms), 0, 0, "10s",
     "time for the head of a request to arrive, and until its body has to keep to body_rate"},
    {"body_rate", BW_KEY_SIZE, FIELD(body_rate), 1, 1u << 30, "1KiB", "bytes that a body must come with in each second beyond request_deadline"},
    {"idle", BW_KEY_DURATION, FIELD(idle_ms), 0, 0, "30s", "how long a connection may wait for its next request"},
    {"lua_memory", BW_KEY_SIZE, FIELD(lua_memory_bytes), 1 << 20, 1u << 30, "32MiB", "memory of one run's Lua code"},
    {"stall", BW_KEY_DURATION, FIELD(stall_ms), 0, 0, "2s", "how long one call inside Lua code may hold its worker"},
    {"drain", BW_KEY_DURATION, FIELD(drain_ms), 0, 0, "30s", "how long a stopping engine waits for running work"},
    {"allow_private_network", BW_KEY_BOOL, FIELD(allow_private_network), 0, 0, "false", "outgoing calls to loopback and private addresses"},
    {"retention", BW_KEY_SPECIAL, 0, 0, 0, "", "how long finished things stay in the store, see below"},
    {"budgets", BW_KEY_SPECIAL, 0, 0, 0, "", "what calls that are paid by use may take a day, a run, a workflow, see below; SIGHUP reads them again"},
    {"limits", BW_KEY_SPECIAL, 0, 0, 0, "", "what steps of all workflows share: rates and numbers at once, see below; the same"},
    {"config", BW_KEY_SPECIAL, 0, 0, 0, "", "values of this instance, read as config.NAME in the `with` of steps; SIGHUP reads them again"},
    {"configure", BW_KEY_SPECIAL, 0, 0, 0, "", "what plugins are told: {PLUGIN: {…}}, see below; SIGHUP reads it again"},
    {"plugins_may", BW_KEY_SPECIAL, 0, 0, 0, "", "what compiled plugins may need, whatever their manifests say, see below; the same"},
    {"admin", BW_KEY_LATER, 0, 0, 0, NULL, NULL},
    {"store", BW_KEY_LATER, 0, 0, 0, NULL, NULL},
    {"queue", BW_KEY_LATER, 0, 0, 0, NULL, NULL},
};
#define KEY_COUNT (sizeof keys / sizeof *keys)

static const struct bw_key retention_keys[] = {
    {"deliveries", BW_KEY_DURATION_OR_NONE, FIELD(retention.deliveries_ms), 0, 0, "14d", "who rang; none = for ever, here and below"},
    {"events", BW_KEY_DURATION_OR_NONE, FIELD(retention.events_ms), 0, 0, "30d", "events that are done, once no run of theirs is left"},
    {"succeeded", BW_KEY_DURATION_OR_NONE, FIELD(retention.succeeded_ms), 0, 0, "14d", "runs that succeeded, were skipped or cancelled"},
    {"failed", BW_KEY_DURATION_OR_NONE, FIELD(retention.failed_ms), 0, 0, "90d",
     "failed runs, from when they were replayed or discarded; 180d after its end one counts as discarded"},
    {"max_size", BW_KEY_SIZE_OR_NONE, FIELD(retention.max_size_bytes), MAX_SIZE_LEAST, MAX_SIZE_MOST, "none",
     "cap of the database: above it the oldest finished things go first; with none left, new events get 503"},
};
#define RETENTION_KEY_COUNT (sizeof retention_keys / sizeof *retention_keys)

static void set_defaults(struct bw_config *config)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    config->workers = cores > 2 ? (unsigned)cores - 1 : 1;
    config->ingest_threads = cores <= 2 ? 1 : cores / 2 < 4 ? (unsigned)cores / 2 : 4;
    config->max_body_bytes = 1 << 20;
    config->max_output_bytes = 1 << 20;
    config->max_run_output_bytes = 16u << 20;
    config->max_connections = 10000;
    config->max_connections_per_address = 256;
    config->request_deadline_ms = 10000;
    config->body_rate = 1024;
    config->idle_ms = 30000;
    config->lua_memory_bytes = 32u << 20;
    config->stall_ms = 2000;
    config->drain_ms = 30000;
    config->retention =
        (struct bw_retention_config){.deliveries_ms = 14 * DAY_MS, .events_ms = 30 * DAY_MS, .succeeded_ms = 14 * DAY_MS, .failed_ms = 90 * DAY_MS};
}

/* ---- public_url ---- */

static void check_public_url(const struct bw_key_context *context, const struct bw_yaml_node *node, struct bw_config *config)
{
    char *url = config->public_url;
    size_t scheme = !url ? 0 : !strncmp(url, "https://", 8) ? 8 : !strncmp(url, "http://", 7) ? 7 : 0;
    if (!url) return; /* it is no text: that has been said */
    bool good = scheme && url[scheme] && url[scheme] != '/';
    for (const char *at = url; *at; at++) good = good && *at > ' ' && *at < 0x7f && !strchr("?#\"'<>\\^`{|}", *at);
    if (!good)
        bw_key_error(context, node, "config.public_url", "write for example https://hooks.example.com",
                     "'%s' is no address that links could begin with", url);
    for (size_t len = strlen(url); good && url[len - 1] == '/'; len--) url[len - 1] = '\0';
}

size_t bw_config_first_port(const struct bw_config *config)
{
    size_t index = 0;
    while (index < config->listen_count && config->listen[index].path) index++;
    return index;
}

void bw_config_public_url(const struct bw_config *config, uint16_t port, struct bw_buf *out)
{
    size_t index = bw_config_first_port(config);
    if (config->public_url) {
        bw_buf_append_text(out, config->public_url);
    } else if (index == config->listen_count) {
        bw_buf_append_text(out, "http://localhost");
    } else {
        struct bw_listen first = config->listen[index];
        if (!strcmp(first.host, "0.0.0.0")) first.host = (char *)"127.0.0.1";
        if (!strcmp(first.host, "::")) first.host = (char *)"::1";
        bw_listen_append_url(out, &first, port);
    }
}

/* ---- the file ---- */

/* Workflows name these in `secrets` and expressions: what is no name there could never be granted. */
static void check_secret_names(const struct bw_key_context *context, const struct bw_yaml_node *map)
{
    for (size_t i = 0; map && map->kind == BW_YAML_MAP && i < map->count; i++) {
        const struct bw_yaml_node *key = map->pairs[i].key;
        if (!bw_key_is_expr_name(key->text))
            bw_key_error(context, key, "secret.name", "use letters, digits and _, no digit in front", "'%s' is no name of a secret", key->text.ptr);
    }
}

static void read_secrets(const struct bw_key_context *context, const struct bw_yaml_node *root, const char *folder, struct bw_secret **out,
                         size_t *count)
{
    const struct bw_yaml_node *map = root ? bw_yaml_get(root, "secrets") : NULL;
    check_secret_names(context, map);
    bw_secrets_read(context, map, folder, out, count);
}

/* What stands in a second document would be read by nobody. */
static const struct bw_yaml_node *only_root(const struct bw_key_context *context, const struct bw_yaml *yaml)
{
    if (!yaml) return NULL;
    for (size_t i = 1; i < bw_yaml_count(yaml); i++)
        bw_key_error(context, bw_yaml_root(yaml, i), "config.documents", "put everything above the ---", "the configuration is one document");
    return bw_yaml_root(yaml, 0);
}

/* ---- what only a start reads ---- */

static bool is_read_again(struct bw_slice key)
{
    static const char *const names[] = {"sources", "secrets", "schemes", "config", "budgets", "limits", "configure", "plugins_may"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (bw_slice_is(key, names[i])) return true;
    return false;
}

static char *text_for_start(const struct bw_yaml_node *root)
{
    struct bw_buf out = {0};
    bw_buf_append_char(&out, '{');
    for (size_t i = 0; root && i < root->count; i++) {
        const struct bw_yaml_pair *pair = &root->pairs[i];
        if (is_read_again(pair->key->text)) continue;
        if (out.len > 1) bw_buf_append_char(&out, ',');
        bw_buf_append_json_string(&out, pair->key->text);
        bw_buf_append_char(&out, ':');
        bw_yaml_to_json(pair->value, &out);
    }
    bw_buf_append_char(&out, '}');
    char *text = out.failed ? NULL : bw_slice_dup(bw_buf_slice(&out));
    bw_buf_free(&out);
    return text;
}

void bw_config_append_for_start(const struct bw_config *before, const struct bw_config *now, struct bw_buf *out)
{
    json_t *had = bw_json_load(bw_slice_of(before->for_start), NULL), *has = bw_json_load(bw_slice_of(now->for_start), NULL), *value;
    const char *key;
    json_object_foreach(has, key, value)
    {
        if (!json_equal(value, json_object_get(had, key))) bw_buf_printf(out, "%s%s", out->len ? ", " : "", key);
        json_object_del(had, key);
    }
    json_object_foreach(had, key, value) bw_buf_printf(out, "%s%s", out->len ? ", " : "", key); /* those that are gone */
    json_decref(had);
    json_decref(has);
}

static void place_folder(char **path, const char *otherwise, const char *folder)
{
    char *joined = bw_file_join(folder, *path ? *path : otherwise);
    free(*path);
    *path = joined;
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash) return bw_slice_dup(bw_slice_of("."));
    return bw_slice_dup((struct bw_slice){path, slash == path ? 1 : (size_t)(slash - path)});
}

static void read_all(const struct bw_key_context *context, const struct bw_yaml_node *root, struct bw_config *config)
{
    if (root) bw_keys_read(context, root, "bellwire.yaml", keys, KEY_COUNT, config);
    if (root && root->kind != BW_YAML_MAP) root = NULL;
    const struct bw_yaml_node *retention = root ? bw_yaml_get(root, "retention") : NULL;
    if (retention) bw_keys_read(context, retention, "retention", retention_keys, RETENTION_KEY_COUNT, config);
    bw_tls_read(context, root ? bw_yaml_get(root, "tls") : NULL, config->folder, &config->tls);
    bw_listen_read(context, root ? bw_yaml_get(root, "listen") : NULL, config);
    check_public_url(context, root ? bw_yaml_get(root, "public_url") : NULL, config);
    if (root)
        bw_ranges_read(context, bw_yaml_get(root, "trusted_proxies"), "trusted_proxies", &config->trusted_proxies, &config->trusted_proxy_count);
    if (root) bw_sources_read(context, bw_yaml_get(root, "sources"), config);
    bw_mcp_config_check(context->errs, config);
    bw_values_read(context, root ? bw_yaml_get(root, "config") : NULL, &config->values);
    if (root) bw_config_pools_read(context, bw_yaml_get(root, "pools"), config);
    bw_budgets_read(context, root ? bw_yaml_get(root, "budgets") : NULL, &config->budgets);
    if (root) bw_limits_read(context, bw_yaml_get(root, "limits"), &config->limits, &config->limit_count);
    config->for_start = text_for_start(root);
    read_secrets(context, root, config->folder, &config->secrets, &config->secret_count);
    bw_configure_read(context, root, config->secrets, config->secret_count, &config->configure);
    place_folder(&config->data, "data", config->folder);
    place_folder(&config->workflows, "workflows", config->folder);
    place_folder(&config->actions, "actions", config->folder);
    place_folder(&config->plugins, "plugins", config->folder);
    place_folder(&config->schemes, "schemes", config->folder);
}

/* file: NULL if there is none. */
static struct bw_config *parse(const char *file, struct bw_slice text, bool without_secrets, enum bw_programs programs, struct bw_errors *errs)
{
    struct bw_config *config = calloc(1, sizeof *config);
    struct bw_yaml *yaml = NULL;
    struct bw_error err;
    size_t before = errs->count;
    if (!config) return NULL;
    set_defaults(config);
    config->without_secrets = without_secrets;
    config->without_programs = programs == BW_PROGRAMS_STAND_IN;
    config->file = file ? bw_slice_dup(bw_slice_of(file)) : NULL;
    config->folder = file && strcmp(file, "/dev/null") ? folder_of(file) : bw_slice_dup(bw_slice_of("."));
    if (text.len && !(yaml = bw_yaml_load(text, file, NULL, &err))) bw_errors_push(errs, &err);
    const struct bw_key_context context = {config->file, errs, without_secrets, programs};
    read_all(&context, only_root(&context, yaml), config);
    bw_yaml_free(yaml);
    if (errs->count == before && !config->for_start) bw_errors_add(errs, "memory", "out of memory");
    if (errs->count == before) return config;
    bw_config_free(config);
    return NULL;
}

static struct bw_config *load(const char *path, bool without_secrets, enum bw_programs programs, struct bw_errors *errs)
{
    struct bw_errors own = {0};
    struct bw_buf text = {0};
    struct bw_error err;
    const char *file = path || access(DEFAULT_FILE, F_OK) ? path : DEFAULT_FILE;
    struct bw_config *config = NULL;
    if (!errs) errs = &own;
    if (!file || !strcmp(file, "/dev/null") || bw_file_read(file, FILE_BYTES_MAX, &text, &err)) {
        config = parse(file, bw_buf_slice(&text), without_secrets, programs, errs);
    } else {
        bw_error_at(&err, file, 0, 0);
        bw_errors_push(errs, &err);
    }
    bw_buf_free(&text);
    bw_errors_free(&own);
    return config;
}

struct bw_config *bw_config_parse(const char *file, struct bw_slice text, struct bw_errors *errs)
{
    return parse(file, text, true, BW_PROGRAMS_STAND_IN, errs);
}

struct bw_config *bw_config_load(const char *path, struct bw_errors *errs)
{
    return load(path, false, BW_PROGRAMS_RUN, errs);
}

struct bw_config *bw_config_load_without_secrets(const char *path, struct bw_errors *errs)
{
    return load(path, true, BW_PROGRAMS_STAND_IN, errs);
}

struct bw_config *bw_config_load_without_programs(const char *path, struct bw_errors *errs)
{
    return load(path, false, BW_PROGRAMS_STAND_IN, errs);
}

struct bw_config *bw_config_load_again(const char *path, struct bw_errors *errs)
{
    return load(path, false, BW_PROGRAMS_KNOWN, errs);
}

bool bw_config_load_live(const struct bw_config *config, struct bw_config_live *out, struct bw_errors *errs)
{
    const char *file = config->file;
    const struct bw_key_context context = {file, errs, config->without_secrets, config->without_programs ? BW_PROGRAMS_STAND_IN : BW_PROGRAMS_KNOWN};
    size_t before = errs->count;
    struct bw_buf text = {0};
    struct bw_yaml *yaml = NULL;
    struct bw_error err = {0};
    *out = (struct bw_config_live){0};
    if (file && strcmp(file, "/dev/null") != 0 &&
        (!bw_file_read(file, FILE_BYTES_MAX, &text, &err) || (text.len && !(yaml = bw_yaml_load(bw_buf_slice(&text), file, NULL, &err))))) {
        if (!*err.file) bw_error_at(&err, file, 0, 0);
        bw_errors_push(errs, &err);
    }
    const struct bw_yaml_node *root = yaml ? bw_yaml_root(yaml, 0) : NULL;
    if (root && root->kind != BW_YAML_MAP) root = NULL;
    if (errs->count == before) {
        bw_values_read(&context, root ? bw_yaml_get(root, "config") : NULL, &out->values);
        bw_budgets_read(&context, root ? bw_yaml_get(root, "budgets") : NULL, &out->budgets);
        bw_limits_read(&context, root ? bw_yaml_get(root, "limits") : NULL, &out->limits, &out->limit_count);
        read_secrets(&context, root, config->folder, &out->secrets, &out->secret_count);
        bw_configure_read(&context, root, out->secrets, out->secret_count, &out->configure);
    }
    if (errs->count == before && (!out->values || !out->configure)) bw_errors_add(errs, "memory", "out of memory");
    bw_yaml_free(yaml);
    bw_buf_free(&text);
    if (errs->count == before) return true;
    bw_config_live_free(out);
    return false;
}

void bw_config_live_free(struct bw_config_live *live)
{
    free(live->values);
    free(live->configure);
    bw_secrets_free(live->secrets, live->secret_count);
    bw_budgets_free(&live->budgets);
    bw_limits_free(live->limits, live->limit_count);
    *live = (struct bw_config_live){0};
}

void bw_config_free(struct bw_config *config)
{
    if (!config) return;
    bw_listen_free(config->listen, config->listen_count);
    bw_tls_config_free(&config->tls);
    bw_sources_free(config->sources, config->source_count);
    bw_secrets_free(config->secrets, config->secret_count);
    bw_config_pools_free(config->pools, config->pool_count);
    bw_budgets_free(&config->budgets);
    bw_limits_free(config->limits, config->limit_count);
    free(config->trusted_proxies);
    free(config->values);
    free(config->configure);
    free(config->for_start);
    free(config->public_url);
    free(config->data);
    free(config->workflows);
    free(config->actions);
    free(config->plugins);
    free(config->schemes);
    free(config->folder);
    free(config->file);
    free(config);
}

void bw_config_help(struct bw_buf *out)
{
    bw_buf_append_text(out, "bellwire.yaml (every key has a default):\n");
    bw_keys_help(out, keys, KEY_COUNT);
    bw_buf_append_text(out, "\nretention:\n");
    bw_keys_help(out, retention_keys, RETENTION_KEY_COUNT);
    bw_tls_help(out);
    bw_config_pools_help(out);
    bw_limits_help(out);
    bw_configure_help(out);
    bw_budgets_help(out);
    bw_sources_help(out);
}

const struct bw_secret *bw_secret_find(const struct bw_secret *secrets, size_t count, struct bw_slice name)
{
    for (size_t i = 0; i < count; i++)
        if (bw_slice_is(name, secrets[i].name)) return &secrets[i];
    return NULL;
}
