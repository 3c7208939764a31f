#include "base/confine.h"
#include "base/log.h"
#include "cmd/options.h"
#include "cmd/setup.h"
#include "cmd/test_files.h"
#include "ingest/tls.h"
#include "plugin/settings.h"
#include "serve/inspect.h"
#include "serve/routes.h"
#include "workflow/model.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void check_certificates(const struct bw_config *config, struct bw_errors *errs)
{
    struct bw_error err;
    struct bw_tls *tls = config->tls.pair_count ? bw_tls_load(&config->tls, &err) : NULL;
    if (config->tls.pair_count && !tls) bw_errors_push(errs, &err);
    bw_tls_unref(tls);
}

static void list_good(const json_t *loaded, const struct bw_routes *routes)
{
    size_t index;
    json_t *workflow;
    for (size_t i = 0; i < bw_routes_count(routes); i++) {
        const struct bw_source_config *source = bw_routes_at(routes, i);
        bool has_names = !source->mcp.is_on && !bw_routes_names_are_signed(routes, i);
        fprintf(stderr, "%-9s %-20s POST %s, verified as %s%s", source->is_trigger ? "webhook" : "source", source->name, source->path, source->verify,
                has_names ? "; the names of its events are not signed (event.trusted is false)" : "");
        if (source->mcp.is_on) fprintf(stderr, "; calls of tools by MCP, %zu and " BW_MCP_GET_RUN, bw_mcp_tools_count(bw_routes_tools(routes)));
        if (bw_routes_learns(routes, i))
            fprintf(stderr, "; its sender hands over the secret, when you let it: bellwire sources open %s", source->name);
        fputc('\n', stderr);
    }
    json_array_foreach(json_object_get(loaded, "workflows"), index, workflow)
    {
        struct bw_buf triggers = {0};
        bw_trigger_text(workflow, &triggers);
        fprintf(stderr, "workflow  %-20s %s\n", bw_json_str(workflow, "name", ""), triggers.len ? triggers.data : "");
        bw_buf_free(&triggers);
    }
}

/* What is started by a plugin is no code of anybody who has read this instance's files: what it may open is told each time. */
static void list_granted(const struct bw_config *config, const json_t *loaded)
{
    json_t *configure = config->configure ? json_loads(config->configure, 0, NULL) : NULL, *told = json_object(), *action, *need;
    size_t index, at;
    json_array_foreach(json_object_get(loaded, "actions"), index, action)
    {
        const char *name = bw_json_str(action, "plugin", "");
        struct bw_needs needs = bw_needs_read(json_object_get(action, "needs"));
        struct bw_settings settings = {0};
        struct bw_errors ignored = {0};
        if (!needs.exec || json_object_get(told, name)) continue;
        json_t *manifest = json_copy(action);
        json_object_set_new(manifest, "name", json_string(name));
        json_object_set_new(told, name, json_true());
        if (bw_settings_make(configure, manifest, &settings, &ignored)) {
            fprintf(stderr, "plugin    %-20s starts programs, with", name);
            json_array_foreach(settings.needs, at, need) fprintf(stderr, "%s %s", at ? "," : "", json_string_value(need));
            fputc('\n', stderr);
        }
        bw_settings_free(&settings);
        bw_errors_free(&ignored);
        json_decref(manifest);
    }
    json_decref(configure);
    json_decref(told);
}

/* Tests are not run here: but do they say what can be read, of what is there? */
static size_t check_tests(const struct bw_config *config, const json_t *loaded, struct bw_errors *errs)
{
    struct bw_test_files files = {0};
    struct bw_error err;
    size_t count = 0;
    if (!access(config->workflows, F_OK)) bw_test_files_add(&files, config->workflows, errs);
    for (size_t i = 0; i < files.count; i++)
        for (size_t k = 0; k < files.items[i]->test_count; k++, count++)
            if (!bw_trial_check_names(&files.items[i]->tests[k], loaded, &err)) bw_errors_push(errs, &err);
    bw_test_files_free(&files);
    return count;
}

static bool share_events(const json_t *a, const json_t *b)
{
    size_t i, k;
    json_t *x, *y;
    json_array_foreach(json_object_get(a, "events"), i, x) json_array_foreach(json_object_get(b, "events"), k, y)
    {
        if (bw_glob_match(bw_json_slice(x), bw_json_slice(y)) || bw_glob_match(bw_json_slice(y), bw_json_slice(x))) return true;
    }
    return false;
}

/* One sender, one answer. It is no error: their triggers may exclude each other. */
static void warn_of_rivals(const json_t *loaded)
{
    const json_t *workflows = json_object_get(loaded, "workflows");
    for (size_t i = 0; i < json_array_size(workflows); i++)
        for (size_t k = i + 1; k < json_array_size(workflows); k++) {
            const json_t *a = json_array_get(workflows, i), *b = json_array_get(workflows, k);
            const char *name = bw_json_str(a, "name", ""), *other = bw_json_str(b, "name", "");
            if (!bw_json_int(a, "respond_ms", 0) || !bw_json_int(b, "respond_ms", 0) || !share_events(a, b)) continue;
            bool is_first = strcmp(name, other) < 0;
            fprintf(stderr, "warning: %s and %s both want to answer the sender of an event: %s does (the first by name) when both are started\n",
                    is_first ? name : other, is_first ? other : name, is_first ? name : other);
        }
}

/* Tools that nobody can call. */
static void warn_of_tools(const json_t *loaded, const struct bw_routes *routes)
{
    size_t index;
    json_t *workflow;
    if (bw_routes_tools(routes)) return;
    json_array_foreach(json_object_get(loaded, "workflows"), index, workflow)
    {
        struct bw_error err;
        char text[1400];
        if (!json_object_get(workflow, "tool")) continue;
        bw_error_set(&err, "expose.nowhere", "%s is exposed as a tool, and no source has mcp: nobody can call it", bw_json_str(workflow, "name", ""));
        bw_error_hint(&err,
                      "add one to bellwire.yaml: sources: {agents: {path: /mcp, mcp: true, verify: bearer, secrets: {token: {env: MCP_TOKEN}}}}");
        bw_error_at(&err, bw_json_str(workflow, "file", ""), (int)bw_json_int(workflow, "line", 0), (int)bw_json_int(workflow, "column", 0));
        fprintf(stderr, "warning: %s\n", bw_error_text(&err, text, sizeof text));
    }
}

/* No error: with the tests of a workflow, or before the secret is handed over, nobody needs it. */
static void warn_of_secrets(const struct bw_config *config, const json_t *loaded)
{
    size_t index, at;
    json_t *workflow, *secret;
    json_array_foreach(json_object_get(loaded, "workflows"), index, workflow) json_array_foreach(json_object_get(workflow, "secrets"), at, secret)
    {
        const char *name = bw_json_str(secret, "name", "");
        struct bw_error err;
        char text[1400];
        if (bw_secret_find(config->secrets, config->secret_count, bw_slice_of(name))) continue;
        bw_error_set(&err, "workflow.secret_missing", "there is no secret %s in bellwire.yaml: a step that reads it fails", name);
        bw_error_hint(&err, "add it there: secrets: {%s: {env: %s}}", name, name);
        bw_error_at(&err, bw_json_str(workflow, "file", ""), (int)bw_json_int(secret, "line", 0), (int)bw_json_int(secret, "column", 0));
        fprintf(stderr, "warning: %s\n", bw_error_text(&err, text, sizeof text));
    }
}

static void warn_of_doubts(const json_t *loaded)
{
    struct bw_errors doubts = {0};
    char text[1400];
    bw_inspect_doubts(loaded, &doubts);
    for (size_t i = 0; i < doubts.count; i++) fprintf(stderr, "warning: %s\n", bw_error_text(&doubts.items[i], text, sizeof text));
    bw_errors_free(&doubts);
}

static int print_schema(void)
{
    struct bw_buf schema = {0};
    bw_workflow_json_schema(&schema);
    bw_buf_append_char(&schema, '\n');
    fwrite(schema.data, 1, schema.len, stdout);
    bw_buf_free(&schema);
    return fflush(stdout) ? 1 : 0;
}

static int check_main(int argc, char **argv)
{
    const char *config_path = NULL;
    bool as_json = false, is_schema_wanted = false;
    const struct bw_option options[] = {
        {.name = "config", .value = &config_path}, {.name = "json", .flag = &as_json}, {.name = "print-schema", .flag = &is_schema_wanted}};
    int first, status = bw_options_parse(&bw_command_check, argc, argv, options, sizeof options / sizeof *options, &first);
    struct bw_errors errs = {0};
    struct bw_config *config;
    struct bw_error err;
    json_t *loaded = NULL;
    size_t tests = 0;

    if (status >= 0) return status;
    if (argc > first) return bw_options_wrong(&bw_command_check, "unexpected argument '%s'", argv[first]);
    if (is_schema_wanted) return print_schema();
    bw_log_setup(BW_LOG_OFF, BW_LOG_TEXT, "check"); /* what is wrong is printed once, as the list below */
    /* With a broken configuration the workflows are still checked, under what is good of it, or the default folders beside it: every error in one go.
     */
    struct bw_config *fallback = NULL;
    struct bw_schemes *schemes = NULL;
    struct bw_routes *routes = NULL;
    if ((config = bw_config_load(config_path, &errs))) {
        schemes = bw_schemes_load(config->schemes, &errs);
        check_certificates(config, &errs);
    } else if (!(fallback = bw_config_load_without_secrets(config_path, NULL)))
        fallback = bw_config_load("/dev/null", NULL);
    if (config || fallback) {
        if ((loaded = bw_inspect_catalog(config ? config : fallback, NULL, &err)))
            bw_inspect_errors(loaded, &errs);
        else
            bw_errors_push(&errs, &err);
        if (schemes) /* sources can only be judged with the schemes that loaded */
            routes = bw_routes_new(&(struct bw_routes_from){.config = config, .schemes = schemes, .workflows = json_object_get(loaded, "workflows")},
                                   &errs);
        if (loaded) tests = check_tests(config ? config : fallback, loaded, &errs);
    }
    bw_print_errors(&errs, as_json);
    if (errs.count) {
        fprintf(stderr, "%zu error%s\n", errs.count, errs.count == 1 ? "" : "s");
        status = 1;
    } else {
        if (!as_json) list_good(loaded, routes);
        if (!as_json) list_granted(config, loaded);
        if (!as_json) warn_of_rivals(loaded);
        if (!as_json) warn_of_doubts(loaded);
        if (!as_json) warn_of_secrets(config, loaded);
        if (!as_json) warn_of_tools(loaded, routes);
        fprintf(stderr, "all good: %zu source%s, %zu workflow%s, %zu action%s, %zu test%s\n", bw_routes_count(routes),
                bw_routes_count(routes) == 1 ? "" : "s", json_array_size(json_object_get(loaded, "workflows")),
                json_array_size(json_object_get(loaded, "workflows")) == 1 ? "" : "s", json_array_size(json_object_get(loaded, "actions")),
                json_array_size(json_object_get(loaded, "actions")) == 1 ? "" : "s", tests, tests == 1 ? "" : "s");
        status = 0;
    }
    json_decref(loaded);
    bw_errors_free(&errs);
    bw_routes_free(routes);
    bw_schemes_free(schemes);
    bw_config_free(config);
    bw_config_free(fallback);
    return status;
}

const struct bw_command bw_command_check = {
    .name = "check",
    .summary = "find every error of configuration, schemes, workflows, actions and plugins",
    .usage =
        "usage: bellwire check [--json] [--config FILE]\n"
        "       bellwire check --print-schema\n\n"
        "Loads everything that `serve` would load, in the same processes, and prints every error it finds, each with its place and a next step.\n"
        "Exit status 0: all good; 1: there are errors (they are on stderr, or with --json one object a line on stdout).\n\n"
        "  --print-schema  the JSON Schema of workflow files, for editors\n\n"
        "example: bellwire check && bellwire serve\n",
    .run = check_main,
};
