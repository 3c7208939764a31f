#include "order.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_IF_NONE "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct making {
    struct exec_order *order;
    const struct bw_plugin_host *host;
    const struct bw_plugin_call *call;
    const json_t *input;
    const char **code;
    char *reason;
    size_t size;
};

static bool refuse(const struct making *making, const char *code, const char *reason)
{
    *making->code = code;
    if (reason) snprintf(making->reason, making->size, "%s", reason);
    return false;
}

/* A value as a program sees it: a text as it is, anything else as JSON has it. malloc'd; NULL: it cannot be said so. */
static char *plain_text(const json_t *value)
{
    if (json_is_string(value)) return strlen(json_string_value(value)) == json_string_length(value) ? strdup(json_string_value(value)) : NULL;
    return json_is_null(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(17));
}

/* ---- arguments ---- */

static bool add_arguments(const struct making *making)
{
    const json_t *first = making->order->program->first, *more = json_object_get(making->input, "args");
    size_t count = json_array_size(first) + json_array_size(more), used = 0;
    char **argv = making->order->argv = calloc(count + 1, sizeof *argv);
    if (!argv) return refuse(making, "exec.memory", "out of memory");
    for (size_t i = 0; i < json_array_size(first); i++) argv[used++] = strdup(json_string_value(json_array_get(first, i)));
    for (size_t i = 0; i < json_array_size(more); i++)
        if (!(argv[used++] = plain_text(json_array_get(more, i)))) {
            snprintf(making->reason, making->size, "args[%zu] is null, or a text with a NUL: neither is an argument", i + 1);
            return refuse(making, "exec.input", NULL);
        }
    return true;
}

/* ---- environment ---- */

static bool is_accepted(const struct exec_program *program, const char *name)
{
    json_t *one;
    size_t index;
    json_array_foreach(program->accepts, index, one) if (!strcmp(json_string_value(one), name)) return true;
    return false;
}

static bool set(json_t *all, const char *name, const char *value)
{
    return !json_object_set_new(all, name, json_string(value));
}

static bool set_basics(const struct making *making, json_t *all)
{
    static const char *const kept[] = {"HOME", "LANG"};
    const char *path = getenv("PATH");
    char attempt[16];
    snprintf(attempt, sizeof attempt, "%u", making->call->attempt);
    bool good = set(all, "PATH", path ? path : PATH_IF_NONE) && set(all, "BELLWIRE_KEY", making->call->idempotency_key) &&
                set(all, "BELLWIRE_RUN", making->call->run) && set(all, "BELLWIRE_ATTEMPT", attempt);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) good = good && (!getenv(kept[i]) || set(all, kept[i], getenv(kept[i])));
    return good;
}

static bool set_secrets(const struct making *making, json_t *all)
{
    json_t *one;
    size_t index;
    json_array_foreach(making->order->program->secrets, index, one)
    {
        const char *secret = json_string_value(json_object_get(json_object_get(one, "value"), "secret"));
        const char *value = secret ? making->host->secret(making->host, making->call, secret) : NULL;
        if (value && set(all, json_string_value(json_object_get(one, "name")), value)) continue;
        snprintf(making->reason, making->size, "the secret %.100s of the program was not handed over", secret ? secret : "");
        return refuse(making, "exec.secret", NULL);
    }
    return true;
}

static bool refuse_variable(const struct making *making, const char *name)
{
    snprintf(making->reason, making->size, "a step may not set %.100s for the program %.100s: its configuration has to name it under `accepts`", name,
             making->order->program->name);
    return refuse(making, "exec.env", NULL);
}

/* Only what the configuration lets a step say: a variable can change which program is run as well as a path can (LD_PRELOAD, PATH, GIT_SSH). */
static bool set_of_step(const struct making *making, json_t *all)
{
    const struct exec_program *program = making->order->program;
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(making->input, "env"), name, value)
    {
        char *text = plain_text(value);
        bool may_be = is_accepted(program, name), is_set = text && may_be && set(all, name, text);
        free(text);
        if (is_set) continue;
        if (!may_be) return refuse_variable(making, name);
        snprintf(making->reason, making->size, "env.%.100s is null, or a text with a NUL: neither is a variable", name);
        return refuse(making, "exec.input", NULL);
    }
    return true;
}

/* ---- files ---- */

static bool write_all(int fd, const char *bytes, size_t len)
{
    while (len) {
        ssize_t put = write(fd, bytes, len);
        if (put < 0 && errno != EINTR) return false;
        if (put > 0) bytes += put, len -= (size_t)put;
    }
    return true;
}

/* For its owner alone. malloc'd path; NULL: errno says why. */
static char *make_file(const json_t *value)
{
    const char *folder = getenv("TMPDIR");
    char *path = NULL, *text = json_is_string(value) ? NULL : plain_text(value);
    const char *bytes = text ? text : json_string_value(value);
    if (!bytes || asprintf(&path, "%s/bellwire-XXXXXX", folder && *folder ? folder : "/tmp") < 0) {
        free(text);
        errno = ENOMEM;
        return NULL;
    }
    int fd = mkostemp(path, O_CLOEXEC);
    bool good = fd >= 0 && write_all(fd, bytes, text ? strlen(text) : json_string_length(value));
    int failure = errno;
    if (fd >= 0) close(fd);
    if (fd >= 0 && !good) unlink(path);
    free(text);
    if (good) return path;
    free(path);
    errno = failure;
    return NULL;
}

/* A variable with the path of each. */
static bool set_files(const struct making *making, json_t *all)
{
    json_t *files = json_object_get(making->input, "files"), *value;
    char **paths = making->order->files = json_object_size(files) ? calloc(json_object_size(files) + 1, sizeof *paths) : NULL;
    const char *name;
    size_t used = 0;
    if (json_object_size(files) && !paths) return refuse(making, "exec.memory", "out of memory");
    json_object_foreach(files, name, value)
    {
        if (json_is_null(value)) continue;
        if (!is_accepted(making->order->program, name)) return refuse_variable(making, name);
        if (!(paths[used] = make_file(value))) {
            snprintf(making->reason, making->size,
                     "the file for %.100s cannot be made: %s; the folder $TMPDIR, or /tmp, has to be one of configure.exec.files", name,
                     strerror(errno));
            return refuse(making, "exec.files", NULL);
        }
        if (!set(all, name, paths[used++])) return refuse(making, "exec.memory", "out of memory");
    }
    return true;
}

static bool add_environment(const struct making *making)
{
    json_t *all = json_object(), *value;
    const char *name;
    size_t used = 0;
    bool good = all && set_basics(making, all) &&
                (!making->order->program->environment || !json_object_update(all, (json_t *)making->order->program->environment));
    if (!good) refuse(making, "exec.memory", "out of memory");
    good = good && set_secrets(making, all) && set_of_step(making, all) && set_files(making, all);
    char **environment = making->order->environment = good ? calloc(json_object_size(all) + 1, sizeof *environment) : NULL;
    json_object_foreach(all, name, value)
    {
        if (environment && asprintf(&environment[used++], "%s=%s", name, json_string_value(value)) < 0) environment[--used] = NULL;
    }
    json_decref(all);
    return environment || (good && refuse(making, "exec.memory", "out of memory"));
}

/* ---- input and the rest ---- */

static bool add_input(const struct making *making)
{
    const json_t *given = json_object_get(making->input, "stdin");
    struct exec_order *order = making->order;
    if (!given || json_is_null(given)) return true;
    order->input_len = json_is_string(given) ? json_string_length(given) : 0;
    if (!json_is_string(given))
        order->input = json_dumps(given, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(17));
    else if ((order->input = malloc(order->input_len + 1)))
        memcpy(order->input, json_string_value(given), order->input_len + 1);
    if (order->input && !json_is_string(given)) order->input_len = strlen(order->input);
    return order->input || refuse(making, "exec.memory", "out of memory");
}

static enum exec_as read_as(const char *text)
{
    return text && !strcmp(text, "json") ? EXEC_JSON : text && !strcmp(text, "base64") ? EXEC_BASE64 : EXEC_TEXT;
}

bool exec_order_make(struct exec_order *order, const struct exec_config *config, const struct bw_plugin_host *host, const struct bw_plugin_call *call,
                     const char **code, char *reason, size_t size)
{
    char known[300];
    json_t *input = json_loadb(call->input, call->input_len, JSON_ALLOW_NUL, NULL);
    const char *name = json_string_value(json_object_get(input, "program"));
    struct making making = {.order = order, .host = host, .call = call, .input = input, .code = code, .reason = reason, .size = size};
    *order = (struct exec_order){.as = read_as(json_string_value(json_object_get(input, "as")))};
    order->ok_codes = json_incref(json_object_get(input, "ok_codes"));
    if (!strcmp(call->action, "exec/rpc")) order->messages = json_incref(json_object_get(input, "messages"));
    order->program = name ? exec_config_find(config, name, known, sizeof known) : NULL;
    if (!input)
        refuse(&making, "exec.memory", "out of memory");
    else if (!order->program) {
        snprintf(reason, size, "no program '%.100s' may be run; configure.exec.programs has %s", name ? name : "", *known ? known : "none");
        refuse(&making, "exec.not_allowed", NULL);
    }
    bool good = order->program && add_arguments(&making) && add_environment(&making) && add_input(&making);
    json_decref(input);
    if (!good) exec_order_free(order);
    return good;
}

bool exec_order_is_ok(const struct exec_order *order, int exit_status)
{
    json_t *one;
    size_t index;
    json_array_foreach(order->ok_codes, index, one) if (json_integer_value(one) == exit_status) return true;
    return false;
}

/* Variables may be secrets. */
static void free_list(char **list)
{
    for (char **at = list; at && *at; at++) {
        explicit_bzero(*at, strlen(*at));
        free(*at);
    }
    free(list);
}

void exec_order_free(struct exec_order *order)
{
    for (char **path = order->files; path && *path; path++) unlink(*path);
    free_list(order->files);
    free_list(order->argv);
    free_list(order->environment);
    free(order->input);
    json_decref(order->ok_codes);
    json_decref(order->messages);
    *order = (struct exec_order){0};
}
