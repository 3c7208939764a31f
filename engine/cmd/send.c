#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "cmd/http_post.h"
#include "cmd/options.h"
#include "cmd/setup.h"
#include "config/listen.h"
#include "serve/inspect.h"
#include "serve/routes.h"
#include "store/handover.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BODY_BYTES_MAX (64u << 20)

struct sending {
    const char *config_path, *url, *ca, *event, *id, *type, *source;
    char *learnt; /* NAME=VALUE of a secret that its sender has handed over; or NULL */
    struct bw_option_list secrets;
    bool only_print, as_json;
};

/* Secrets of the command line replace the configured ones: to see a refusal, for example. */
static struct bw_source_config *with_secrets(const struct bw_source_config *source, const struct bw_option_list *given)
{
    struct bw_source_config *copy = malloc(sizeof *copy);
    if (!copy) return NULL;
    *copy = *source;
    if (!given->count) return copy;
    copy->secrets = calloc(given->count, sizeof *copy->secrets);
    copy->secret_count = 0;
    for (size_t i = 0; copy->secrets && i < given->count; i++) {
        const char *equals = strchr(given->items[i], '=');
        if (!equals) continue;
        struct bw_secret *secret = &copy->secrets[copy->secret_count++];
        secret->name = bw_slice_dup((struct bw_slice){given->items[i], (size_t)(equals - given->items[i])});
        if ((secret->values = malloc(sizeof *secret->values))) *secret->values = bw_slice_of(equals + 1);
        secret->count = secret->values ? 1 : 0;
    }
    return copy;
}

static bool add_learnt(void *arg, const struct bw_learnt_secret *secret)
{
    struct sending *sending = arg;
    struct bw_buf text = {0};
    if (!bw_slice_is(secret->source, sending->source)) return true;
    bw_buf_append_slice(&text, secret->secret);
    bw_buf_append_char(&text, '=');
    bw_buf_append_slice(&text, secret->value);
    if ((sending->learnt = bw_buf_take(&text, NULL))) sending->secrets.items[sending->secrets.count++] = sending->learnt;
    return false;
}

/* What its sender has handed over is in the store, and nowhere else. Without a store the signing says what is missing. */
static void find_learnt(struct sending *sending, const struct bw_config *config, const struct bw_routes *routes)
{
    struct bw_error err;
    bool learns = false;
    for (size_t i = 0; i < bw_routes_count(routes); i++)
        learns |= !strcmp(bw_routes_at(routes, i)->name, sending->source) && bw_routes_learns(routes, i);
    struct bw_reader *reader = learns && !sending->secrets.count ? bw_reader_open(config->data, &err) : NULL;
    if (reader) bw_reader_learnt(reader, add_learnt, sending, &err);
    bw_reader_close(reader);
}

/* The sources of the configuration, and when the one that is asked for is none of them those of the workflows, which have to be loaded for that. */
static struct bw_routes *make_routes(const struct bw_config *config, const struct bw_schemes *schemes, const char *name, struct bw_errors *errs)
{
    struct bw_routes_from from = {.config = config, .schemes = schemes};
    struct bw_routes *routes = bw_routes_new(&from, errs);
    struct bw_error err;
    if (!routes || errs->count || bw_routes_find(routes, name)) return routes;
    json_t *loaded = bw_inspect_catalog(config, NULL, &err);
    if (!loaded) {
        bw_errors_push(errs, &err);
        return routes;
    }
    bw_routes_free(routes);
    from.workflows = json_object_get(loaded, "workflows");
    routes = bw_routes_new(&from, errs);
    json_decref(loaded);
    return routes;
}

static const struct bw_source_config *find_source(const struct bw_routes *routes, const char *name)
{
    const struct bw_source_config *found = bw_routes_find(routes, name);
    if (found) return found;
    fprintf(stderr, "bellwire send: there is no source '%s'; there are:", name);
    for (size_t i = 0; i < bw_routes_count(routes); i++) fprintf(stderr, " %s", bw_routes_at(routes, i)->name);
    fputc('\n', stderr);
    return NULL;
}

static bool read_body(const char *path, struct bw_buf *out, struct bw_error *err)
{
    char chunk[16384];
    size_t count;
    if (path && strcmp(path, "-") != 0) return bw_file_read(path, BODY_BYTES_MAX, out, err);
    if (!path) bw_buf_append_text(out, "{}");
    while (path && (count = fread(chunk, 1, sizeof chunk, stdin)) > 0) bw_buf_append(out, chunk, count);
    return true;
}

static int post(const struct sending *sending, const struct bw_config *config, const struct bw_source_config *source, struct bw_slice headers,
                struct bw_slice body)
{
    const struct bw_listen *listen = &config->listen[0];
    const char *socket_path = sending->url ? NULL : listen->path;
    struct bw_buf url = {0}, answer = {0};
    struct bw_error err;
    unsigned status = 0;
    int result = 1;
    if (sending->url)
        bw_buf_append_text(&url, sending->url);
    else if (socket_path)
        bw_buf_append_text(&url, "http://localhost");
    else
        bw_listen_append_url(&url, listen, 0);
    if (!sending->url) bw_buf_append_text(&url, source->path);
    const struct bw_http_post request = {.url = url.data, .socket_path = socket_path, .ca_file = sending->ca, .headers = headers, .body = body};
    if (sending->only_print) {
        printf("POST %s\n%.*s\n", url.data, (int)headers.len, headers.ptr);
        fwrite(body.ptr, 1, body.len, stdout);
        putchar('\n');
        result = 0;
    } else if (!bw_http_post(&request, &status, &answer, &err)) {
        bw_print_error("send", &err);
    } else {
        if (sending->as_json)
            printf("{\"status\":%u,\"answer\":%s}\n", status, answer.len ? answer.data : "null");
        else
            printf("%u %s%s", status, answer.len ? answer.data : "", answer.len && answer.data[answer.len - 1] == '\n' ? "" : "\n");
        result = status >= 200 && status < 300 ? 0 : 1;
    }
    bw_buf_free(&url);
    bw_buf_free(&answer);
    return result;
}

static int send_main(int argc, char **argv)
{
    struct sending sending = {.type = "application/json", .event = "", .id = ""};
    const struct bw_option options[] = {{.name = "config", .value = &sending.config_path},
                                        {.name = "url", .value = &sending.url},
                                        {.name = "ca", .value = &sending.ca},
                                        {.name = "event", .value = &sending.event},
                                        {.name = "id", .value = &sending.id},
                                        {.name = "type", .value = &sending.type},
                                        {.name = "secret", .list = &sending.secrets},
                                        {.name = "print", .flag = &sending.only_print},
                                        {.name = "json", .flag = &sending.as_json}};
    int first, status = bw_options_parse(&bw_command_send, argc, argv, options, sizeof options / sizeof *options, &first);
    struct bw_errors errs = {0};
    struct bw_buf body = {0}, headers = {0};
    struct bw_error err;
    struct bw_config *config;

    if (status >= 0) return status;
    if (argc == first || argc - first > 2) return bw_options_wrong(&bw_command_send, "name a source, and a file with the body");
    if (!(config = bw_setup_config_with_secrets("send", sending.config_path))) return 1;
    bw_log_setup(BW_LOG_OFF, BW_LOG_TEXT, "send");
    struct bw_schemes *schemes = bw_schemes_load(config->schemes, &errs);
    struct bw_routes *routes = schemes ? make_routes(config, schemes, argv[first], &errs) : NULL;
    sending.source = argv[first];
    if (routes) find_learnt(&sending, config, routes);
    const struct bw_source_config *found = routes ? find_source(routes, argv[first]) : NULL;
    struct bw_source_config *source_config = found ? with_secrets(found, &sending.secrets) : NULL;
    struct bw_source *source = source_config && schemes ? bw_source_new(source_config, schemes, &errs) : NULL;
    bw_print_errors(&errs, false);
    status = 1;
    if (source) {
        bw_buf_printf(&headers, "content-type: %s\n", sending.type);
        if (!read_body(argc - first == 2 ? argv[first + 1] : NULL, &body, &err) ||
            !bw_source_sign(source, bw_buf_slice(&body), bw_slice_of(sending.id), bw_slice_of(sending.event), bw_clock_wall_ms(), &headers, &err))
            bw_print_error("send", &err);
        else
            status = post(&sending, config, source_config, bw_buf_slice(&headers), bw_buf_slice(&body));
    }
    bw_source_free(source);
    for (size_t i = 0; source_config && sending.secrets.count && i < source_config->secret_count; i++) {
        free(source_config->secrets[i].name);
        free(source_config->secrets[i].values);
    }
    if (source_config && sending.secrets.count) free(source_config->secrets);
    free(source_config);
    free(sending.learnt);
    bw_routes_free(routes);
    bw_schemes_free(schemes);
    bw_buf_free(&headers);
    bw_buf_free(&body);
    bw_errors_free(&errs);
    bw_config_free(config);
    return status;
}

const struct bw_command bw_command_send = {
    .name = "send",
    .summary = "sign a body as the provider does, and post it to the engine",
    .usage =
        "usage: bellwire send SOURCE [FILE] [--event NAME] [--id ID] [--url URL] [--ca FILE] [--secret NAME=VALUE] [--type TYPE] [--print] [--json] "
        "[--config FILE]\n\n"
        "Signs the body of FILE ('-': standard input; without FILE: {}) as the source's provider would, and posts it to the configured address.\n"
        "SOURCE is one of bellwire.yaml, or a workflow with a webhook of its own.\n\n"
        "  --event NAME          what the event header says: push, issues.opened\n"
        "  --id ID               the delivery id (a fresh one); the same id again is a redelivery\n"
        "  --url URL             another address than the configured one\n"
        "  --ca FILE             trust what this authority has signed (PEM), instead of the system's: of scripts/dev-cert, for example\n"
        "  --secret NAME=VALUE   sign with another secret\n"
        "  --type TYPE           content type (application/json)\n"
        "  --print               print the signed request instead of sending it\n"
        "  --json                print status and answer as JSON\n\n"
        "Exit status 0: the answer was 2xx.\n\n"
        "example: bellwire send github push.json --event push\n",
    .run = send_main,
};
