/* bellwire sources */
#include "cmd/sources.h"
#include "base/clock.h"
#include "base/log.h"
#include "cmd/control.h"
#include "cmd/options.h"
#include "cmd/setup.h"
#include "serve/inspect.h"
#include "serve/routes.h"
#include <stdio.h>
#include <string.h>

/* ---- without an engine ---- */

static bool make_router(const struct bw_config *config, struct bw_source_files *files, struct bw_errors *errs)
{
    struct bw_error err;
    json_t *loaded = bw_inspect_catalog(config, NULL, &err); /* webhooks of workflows are sources, too */
    struct bw_routes *routes = NULL;
    if (!loaded) return bw_errors_push(errs, &err), false;
    bw_inspect_errors(loaded, errs);
    if ((files->schemes = bw_schemes_load(config->schemes, errs)))
        routes = bw_routes_new(
            &(struct bw_routes_from){.config = config, .schemes = files->schemes, .workflows = json_object_get(loaded, "workflows")}, errs);
    json_decref(loaded);
    if (routes && !(files->router = bw_routes_router_take(routes, NULL, &err))) {
        bw_routes_free(routes);
        bw_errors_push(errs, &err);
    }
    return files->router && !errs->count;
}

static bool load_learnt(const struct bw_config *config, struct bw_source_files *files, struct bw_errors *errs)
{
    struct bw_error err;
    struct bw_reader *reader = bw_reader_open(config->data, &err);
    bw_learnt_free(files->learnt);
    files->learnt = bw_learnt_new();
    bool is_new = !reader && !strcmp(err.code, "store.missing");
    bool good = files->learnt && (is_new || (reader && bw_handovers_load(reader, files->learnt, &err)));
    bw_reader_close(reader);
    if (!good) bw_errors_push(errs, &err);
    return good;
}

bool bw_source_files_load(const struct bw_config *config, struct bw_source_files *files)
{
    struct bw_errors errs = {0};
    bool good = make_router(config, files, &errs) && load_learnt(config, files, &errs);
    bw_print_errors(&errs, false);
    bw_errors_free(&errs);
    return good;
}

void bw_source_files_free(struct bw_source_files *files)
{
    bw_router_unref(files->router);
    bw_schemes_free(files->schemes);
    bw_learnt_free(files->learnt);
}

/* ---- the list ---- */

static void print_text(const json_t *source)
{
    static const struct {
        const char *secret, *text;
    } texts[] = {{"given", ""}, {"none", ""}, {"learnt", "its secret was handed over "}, {"awaited", "its secret is still to be handed over"}};
    const char *secret = bw_json_str(source, "secret", "");
    int64_t until_ms = bw_json_int(source, "open_until_ms", 0);
    char at[32];
    printf("%-20s %-28s %s", bw_json_str(source, "source", ""), bw_json_str(source, "path", ""), bw_json_str(source, "scheme", ""));
    if (bw_json_bool(source, "webhook", false)) printf(", a webhook of the workflow");
    putchar('\n');
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (!strcmp(texts[i].secret, secret) && *texts[i].text)
            printf("  %s%s", texts[i].text, !strcmp(secret, "learnt") ? bw_print_time(bw_json_int(source, "learnt_ms", 0), at) : "");
    if (until_ms) printf("; it may until %s", bw_print_time(until_ms, at));
    if (!strcmp(secret, "awaited") && !until_ms) printf(": bellwire sources open %s", bw_json_str(source, "source", ""));
    if (!strcmp(secret, "awaited") || !strcmp(secret, "learnt")) putchar('\n');
}

static void print_all(const json_t *sources, bool as_json)
{
    size_t index;
    json_t *source;
    json_array_foreach(sources, index, source)
    {
        struct bw_buf line = {0};
        if (!as_json) {
            print_text(source);
            continue;
        }
        bw_json_append(&line, source);
        bw_print_line(&line);
    }
    if (!as_json && !json_array_size(sources)) fprintf(stderr, "no sources\n");
}

static json_t *list_files(const struct bw_config *config)
{
    struct bw_source_files files = {0};
    json_t *sources = NULL;
    if (bw_source_files_load(config, &files)) {
        fprintf(stderr, "no engine serves %s: these are the sources in the files\n", config->data);
        sources = bw_handovers_list(files.router, files.learnt, bw_clock_wall_ms());
    }
    bw_source_files_free(&files);
    return sources;
}

static int list(int argc, char **argv)
{
    const char *config_path = NULL;
    bool as_json = false;
    const struct bw_option options[] = {{.name = "config", .value = &config_path}, {.name = "json", .flag = &as_json}};
    int first, status = bw_options_parse(&bw_command_sources, argc, argv, options, sizeof options / sizeof *options, &first);
    json_t *request = NULL, *answer = NULL, *sources = NULL;
    struct bw_config *config;
    struct bw_error err;
    if (status < 0 && argc > first) status = bw_options_wrong(&bw_command_sources, "'%s' is none of: open, close, forget, reveal", argv[first]);
    if (status >= 0) return status;
    bw_log_setup(BW_LOG_ERROR, BW_LOG_TEXT, "sources");
    if (!(config = bw_setup_config("sources", config_path))) return 1;
    request = json_pack("{s:s}", "do", "sources.list");
    if (bw_control_ask(config->data, request, &answer, &err))
        sources = json_incref(json_object_get(answer, "sources"));
    else if (!strcmp(err.code, "control.not_serving"))
        sources = list_files(config);
    else
        bw_print_error("sources", &err);
    if (sources) print_all(sources, as_json);
    status = sources ? 0 : 1;
    json_decref(sources);
    json_decref(request);
    json_decref(answer);
    bw_config_free(config);
    return status;
}

static int sources_main(int argc, char **argv)
{
    static const char *const verbs[] = {"open", "close", "forget", "reveal"};
    for (size_t i = 0; argc > 1 && i < sizeof verbs / sizeof *verbs; i++)
        if (!strcmp(argv[1], verbs[i])) return bw_sources_verb((enum bw_handover_verb)i, argc - 1, argv + 1);
    return list(argc, argv);
}

const struct bw_command bw_command_sources = {
    .name = "sources",
    .summary = "list who may send; let a sender hand over its secret",
    .usage =
        "usage: bellwire sources [--json] [--config FILE]\n"
        "       bellwire sources open   NAME [--for 10m] [--json]   (bellwire sources open --help)\n"
        "       bellwire sources close  NAME [--json]\n"
        "       bellwire sources forget NAME [--json]\n"
        "       bellwire sources reveal NAME\n\n"
        "Lists the sources that the engine serves: name, path and scheme. Of those whose senders hand over the secret by themselves (Asana, Notion)\n"
        "also whether that has been done, and until when it may be. When no engine serves, these are the sources in the files.\n\n"
        "  --json            one JSON object a line: "
        "{\"source\":…,\"path\":…,\"scheme\":…,\"secret\":\"given\"|\"learnt\"|\"awaited\"|\"none\",…}\n\n"
        "example: bellwire sources open asana --for 10m\n",
    .run = sources_main,
};
