#include "base/log.h"
#include "cmd/options.h"
#include "cmd/setup.h"
#include "serve/inspect.h"
#include <stdio.h>
#include <string.h>

static void print_fields(const char *title, const json_t *fields)
{
    const char *name;
    json_t *field;
    if (!json_object_size(fields)) return;
    printf("  %s\n", title);
    json_object_foreach((json_t *)fields, name, field)
    {
        struct bw_buf otherwise = {0};
        if (json_object_get(field, "default")) bw_json_append(&otherwise, json_object_get(field, "default"));
        printf("    %-18s %-8s %s%s%s%s%s\n", name, bw_json_str(field, "type", "any"), bw_json_bool(field, "secret", false) ? "secret  " : "",
               bw_json_bool(field, "required", false) ? "required  " : "", otherwise.len ? "default " : "", otherwise.len ? otherwise.data : "",
               otherwise.len ? "  " : "");
        if (*bw_json_str(field, "doc", "")) printf("%29s%s\n", "", bw_json_str(field, "doc", ""));
        bw_buf_free(&otherwise);
    }
}

static void print_whole(const json_t *action)
{
    size_t index;
    json_t *secret, *need;
    printf("%s  (%s, version %s)\n  %s\n", bw_json_str(action, "name", ""), bw_json_str(action, "kind", ""), bw_json_str(action, "version", ""),
           bw_json_str(action, "doc", ""));
    print_fields("inputs", json_object_get(action, "inputs"));
    print_fields("outputs", json_object_get(action, "outputs"));
    if (json_object_size(json_object_get(action, "config"))) {
        char title[160];
        snprintf(title, sizeof title, "configure.%s in bellwire.yaml, for all actions of the plugin", bw_json_str(action, "plugin", ""));
        print_fields(title, json_object_get(action, "config"));
    }
    json_array_foreach(json_object_get(action, "secrets"), index, secret)
        printf("  %s%s\n", index ? "           " : "secrets    ", json_string_value(secret));
    json_array_foreach(json_object_get(action, "needs"), index, need)
        printf("  %s%s\n", index ? "           " : "needs      ", json_string_value(need));
    if (json_object_get(action, "plugin")) printf("  plugin     %s\n", bw_json_str(action, "plugin", ""));
    printf("  effect     %s\n  file       %s\n", bw_json_str(action, "effect", "write"), bw_json_str(action, "file", ""));
}

static int actions_main(int argc, char **argv)
{
    const char *config_path = NULL;
    bool as_json = false, is_found = false;
    const struct bw_option options[] = {{.name = "config", .value = &config_path}, {.name = "json", .flag = &as_json}};
    int first, status = bw_options_parse(&bw_command_actions, argc, argv, options, 2, &first);
    struct bw_config *config;
    struct bw_error err;
    json_t *loaded, *action;
    size_t index;

    if (status >= 0) return status;
    if (argc > first && !strcmp(argv[first], "show")) first++;
    bw_log_setup(BW_LOG_ERROR, BW_LOG_TEXT, "actions");
    if (!(config = bw_setup_config("actions", config_path))) return 1;
    if (!(loaded = bw_inspect_all(config, &err))) {
        bw_print_error("actions", &err);
        bw_config_free(config);
        return 1;
    }
    json_array_foreach(json_object_get(loaded, "actions"), index, action)
    {
        const char *name = bw_json_str(action, "name", "");
        if (argc > first && strncmp(name, argv[first], strlen(argv[first]))) continue;
        is_found = true;
        if (as_json) {
            struct bw_buf line = {0};
            bw_json_append(&line, action);
            bw_print_line(&line);
        } else if (argc > first) {
            print_whole(action);
        } else {
            printf("%-24s %-7s %s\n", name, bw_json_str(action, "kind", ""), bw_json_str(action, "doc", ""));
        }
    }
    if (!is_found && argc > first) fprintf(stderr, "bellwire actions: there is no action '%s'; see: bellwire actions\n", argv[first]);
    json_decref(loaded);
    bw_config_free(config);
    return is_found || argc == first ? 0 : 1;
}

const struct bw_command bw_command_actions = {
    .name = "actions",
    .summary = "list the actions that steps can use, or show one with its inputs and outputs",
    .usage = "usage: bellwire actions [--json] [--config FILE]\n"
             "       bellwire actions show NAME\n\n"
             "Lists what a step's `uses:` can name: Lua actions of the actions folder and actions of compiled plugins.\n"
             "Bundled plugins that have to be configured are listed as well when they are not: show says what to write.\n\n"
             "example: bellwire actions show http/request\n",
    .run = actions_main,
};
