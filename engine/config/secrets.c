#include "config/secrets.h"
#include "base/file.h"
#include "base/log.h"
#include "config/known.h"
#include "config/program.h"
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SECRET_BYTES_MAX 65536
#define PROGRAM_WORDS_MAX 64
#define PROGRAM_DEADLINE_MS 10000

static bool is_blank(struct bw_slice value)
{
    for (size_t i = 0; i < value.len; i++)
        if (!strchr(" \t\r\n", value.ptr[i])) return false;
    return true;
}

static void add_value(const struct bw_key_context *context, const struct bw_yaml_node *at, struct bw_secret *secret, struct bw_slice value,
                      const char *from)
{
    if (is_blank(value)) {
        bw_key_error(context, at, "secret.empty", "an empty secret would let anybody in: put the value there, then start again",
                     "secret %s: %s is empty", secret->name, from);
        return;
    }
    struct bw_slice *values = realloc(secret->values, (secret->count + 1) * sizeof *values);
    if (!values) return;
    secret->values = values;
    char *copy = bw_slice_dup(value);
    if (copy) values[secret->count++] = (struct bw_slice){copy, value.len};
    if (copy && !context->without_secrets) bw_log_redact(secret->name, value); /* what is said of the next one must not show this one */
}

static void read_env(const struct bw_key_context *context, const struct bw_yaml_node *name, struct bw_secret *secret)
{
    char from[300], hint[300];
    const char *value = getenv(name->text.ptr);
    snprintf(from, sizeof from, "the environment variable %s", name->text.ptr);
    snprintf(hint, sizeof hint, "set it where the engine is started: export %s=…", name->text.ptr);
    if (!value)
        bw_key_error(context, name, "secret.missing", hint, "secret %s: %s is not set", secret->name, from);
    else
        add_value(context, name, secret, bw_slice_of(value), from);
}

/* One line break at the end is the editor's, not the secret's. */
static struct bw_slice without_break(struct bw_slice value)
{
    if (value.len && value.ptr[value.len - 1] == '\n') value.len--;
    if (value.len && value.ptr[value.len - 1] == '\r') value.len--;
    return value;
}

static void read_file(const struct bw_key_context *context, const struct bw_yaml_node *name, const char *folder, struct bw_secret *secret)
{
    struct bw_buf text = {0};
    struct bw_error err;
    struct stat info;
    char *path = bw_file_join(folder, name->text.ptr);
    if (!path || !bw_file_read(path, SECRET_BYTES_MAX, &text, &err)) {
        bw_key_error(context, name, "secret.unreadable", "check the path and that the engine's user may read it", "secret %s: cannot read %s: %s",
                     secret->name, path ? path : "?", path ? err.message : "out of memory");
    } else if (!stat(path, &info) && info.st_mode & S_IROTH) {
        bw_key_error(context, name, "secret.readable", "chmod o-r the file", "secret %s: everybody may read %s", secret->name, path);
    } else {
        add_value(context, name, secret, without_break(bw_buf_slice(&text)), path);
    }
    if (text.data) OPENSSL_cleanse(text.data, text.len);
    bw_buf_free(&text);
    free(path);
}

/* Whoever may change one of these may run what they like as the engine's user. */
static bool is_safe(const struct bw_key_context *context, const struct bw_yaml_node *at, const char *name, const char *path)
{
    struct stat info;
    if (stat(path, &info) || !(info.st_mode & S_IWOTH)) return true; /* one that is not there is refused when it is started */
    bw_key_error(context, at, "secret.writable", "chmod o-w the file", "secret %s: everybody may change %s, so no program is run", name, path);
    return false;
}

static bool may_run(const struct bw_key_context *context, const struct bw_yaml_node *words, const char *folder, const struct bw_secret *secret)
{
    const char *program = words->items[0]->text.ptr;
    char *path = strchr(program, '/') ? bw_file_join(folder, program) : NULL;
    bool good = is_safe(context, words, secret->name, context->file) && (!path || is_safe(context, words->items[0], secret->name, path));
    free(path);
    return good;
}

static void run_program(const struct bw_key_context *context, const struct bw_yaml_node *words, const char *folder, struct bw_secret *secret)
{
    char *argv[PROGRAM_WORDS_MAX + 1] = {NULL};
    struct bw_buf text = {0};
    struct bw_error err = {0};
    for (size_t i = 0; i < words->count; i++) argv[i] = (char *)words->items[i]->text.ptr;
    const struct bw_program program = {.argv = argv, .folder = folder, .most_bytes = SECRET_BYTES_MAX, .deadline_ms = PROGRAM_DEADLINE_MS};
    if (!may_run(context, words, folder, secret)) return;
    bool is_known = context->programs == BW_PROGRAMS_KNOWN;
    if (is_known && !bw_known_get(argv, folder, &text)) {
        bw_key_error(context, words, "secret.not_asked", "send SIGHUP: then it is run", "secret %s: its program was not run yet", secret->name);
    } else if (is_known || bw_program_read(&program, &text, &err)) {
        if (!is_known) bw_known_put(argv, folder, bw_buf_slice(&text));
        add_value(context, words, secret, without_break(bw_buf_slice(&text)), "the output of its program");
    } else {
        bw_key_error(context, words, "secret.program",
                     "run it by hand as the engine's user: no shell, a small environment, 10 s, the value on stdout", "secret %s: %s", secret->name,
                     err.message);
    }
    if (text.data) OPENSSL_cleanse(text.data, text.len);
    bw_buf_free(&text);
}

static bool is_text(const struct bw_yaml_node *node)
{
    return node->kind != BW_YAML_NULL && node->kind != BW_YAML_LIST && node->kind != BW_YAML_MAP;
}

/* The first word names the program. */
static bool are_words(const struct bw_yaml_node *node)
{
    bool good = node->kind == BW_YAML_LIST && node->count && node->count <= PROGRAM_WORDS_MAX;
    for (size_t i = 0; good && i < node->count; i++)
        good = is_text(node->items[i]) && (i || node->items[i]->text.len) && strlen(node->items[i]->text.ptr) == node->items[i]->text.len;
    return good;
}

static void read_reference(const struct bw_key_context *context, const struct bw_yaml_node *node, const char *folder, struct bw_secret *secret)
{
    const struct bw_yaml_node *env = bw_yaml_get(node, "env"), *file = bw_yaml_get(node, "file"), *exec = bw_yaml_get(node, "exec");
    const struct bw_yaml_node *name = env ? env : file ? file : exec;
    bool is_good = node->kind == BW_YAML_MAP && node->count == 1 && name && (exec ? are_words(exec) : is_text(name) && name->text.len);
    char stand_in[300];
    snprintf(stand_in, sizeof stand_in, "secret-%s", secret->name);
    if (!is_good)
        bw_key_error(context, node->count == 1 && name ? name : node, "secret.reference", "secrets are never written into the configuration",
                     "secret %s must be {env: NAME}, {file: PATH} or {exec: [PROGRAM, ARGUMENT…]}, or a list of those", secret->name);
    else if (exec && context->programs == BW_PROGRAMS_REFUSED)
        bw_key_error(context, exec, "secret.program_here", "put the source into bellwire.yaml, or the value into a file or the environment",
                     "secret %s: a workflow runs no programs", secret->name);
    else if (context->without_secrets || (exec && context->programs == BW_PROGRAMS_STAND_IN))
        add_value(context, name, secret, bw_slice_of(stand_in), stand_in);
    else if (exec)
        run_program(context, exec, folder, secret);
    else if (env)
        read_env(context, env, secret);
    else
        read_file(context, file, folder, secret);
}

void bw_secrets_read(const struct bw_key_context *context, const struct bw_yaml_node *map, const char *folder, struct bw_secret **out, size_t *count)
{
    if (!map) return;
    if (map->kind != BW_YAML_MAP) {
        bw_key_error(context, map, "config.type", NULL,
                     "secrets must be a map of names to {env: NAME}, {file: PATH} or {exec: [PROGRAM, ARGUMENT…]}");
        return;
    }
    if (!(*out = calloc(map->count + 1, sizeof **out))) return;
    for (size_t i = 0; i < map->count; i++) {
        const struct bw_yaml_node *value = map->pairs[i].value;
        struct bw_secret *secret = &(*out)[(*count)++];
        secret->name = bw_slice_dup(map->pairs[i].key->text);
        if (value->kind == BW_YAML_LIST)
            for (size_t k = 0; k < value->count; k++) read_reference(context, value->items[k], folder, secret);
        else
            read_reference(context, value, folder, secret);
        if (value->kind == BW_YAML_LIST && !value->count) bw_key_error(context, value, "secret.empty", NULL, "secret %s has no value", secret->name);
    }
}

void bw_secrets_free(struct bw_secret *secrets, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < secrets[i].count; k++) {
            OPENSSL_cleanse((void *)secrets[i].values[k].ptr, secrets[i].values[k].len);
            free((void *)secrets[i].values[k].ptr);
        }
        free(secrets[i].values);
        free(secrets[i].name);
    }
    free(secrets);
}

void bw_secrets_append_named(const struct bw_secret *secrets, size_t count, const json_t *names, json_t *values)
{
    json_t *name;
    size_t index;
    json_array_foreach(names, index, name)
    {
        const struct bw_secret *secret = bw_secret_find(secrets, count, bw_json_slice(name));
        if (secret) json_object_set_new(values, secret->name, json_stringn(secret->values[0].ptr, secret->values[0].len));
    }
}
