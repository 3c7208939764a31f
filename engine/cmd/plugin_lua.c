#include "cmd/plugin_lua.h"
#include "base/file.h"
#include "base/schema.h"
#include "serve/inspect.h"
#include "trial/sample.h"
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct lua_kit {
    const char *folder, *name;
    const struct bw_conformance_options *options;
    const json_t *loaded;
    size_t failed;
};

bool bw_plugin_is_lua(const char *folder)
{
    char *manifest = bw_file_join(folder, "plugin.yaml");
    bool is_there = manifest && !access(manifest, R_OK);
    free(manifest);
    return is_there;
}

static void report(struct lua_kit *kit, struct bw_conformance_check *check, enum bw_conformance_state state)
{
    check->state = state;
    kit->failed += state == BW_CHECK_FAILED;
    kit->options->report(kit->options->arg, check);
}

static bool lies_in(const struct lua_kit *kit, const char *file)
{
    size_t len = strlen(kit->folder);
    return !strncmp(file, kit->folder, len) && file[len] == '/';
}

/* The first of the errors that are of this plugin; those about what it is told, or the others. */
static const json_t *find_error(const struct lua_kit *kit, bool of_config, size_t *count)
{
    char begin[160];
    const json_t *first = NULL;
    size_t index;
    json_t *error;
    snprintf(begin, sizeof begin, "configure.%s:", kit->name);
    *count = 0;
    json_array_foreach(json_object_get(kit->loaded, "errors"), index, error)
    {
        bool is_config = !strncmp(bw_json_str(error, "message", ""), begin, strlen(begin));
        if (of_config ? !is_config : !lies_in(kit, bw_json_str(error, "file", ""))) continue;
        if (!first) first = error;
        (*count)++;
    }
    return first;
}

static void check_errors(struct lua_kit *kit, const char *name, const char *wants, bool of_config, const char *cure)
{
    struct bw_conformance_check check = {.name = name, .wants = wants};
    size_t count;
    const json_t *error = find_error(kit, of_config, &count);
    const char *file = bw_json_str(error, "file", ""), *hint = bw_json_str(error, "hint", cure);
    if (error) {
        snprintf(check.found, sizeof check.found, "%.200s:%d:%d: %.300s", file, (int)bw_json_int(error, "line", 0),
                 (int)bw_json_int(error, "column", 0), bw_json_str(error, "message", ""));
        snprintf(check.cure, sizeof check.cure, "%s%s", hint, count > 1 ? "; and there are more: bellwire check" : "");
    }
    report(kit, &check, error ? BW_CHECK_FAILED : BW_CHECK_PASSED);
}

/* Is each input that is wrong refused before the action is called? */
static void check_inputs(struct lua_kit *kit, const json_t *action)
{
    const json_t *fields = json_object_get(action, "inputs");
    struct bw_conformance_check check = {
        .name = "inputs", .action = bw_json_str(action, "name", ""), .wants = "its schema refuses what does not fit before it is called"};
    struct bw_error err;
    struct bw_schema *schema = fields ? bw_schema_load(fields, &err) : NULL;
    json_t *faults = bw_sample_faults(fields), *fault;
    const char *passed = NULL;
    size_t index;
    json_array_foreach(faults, index, fault) if (schema && !passed && bw_schema_check(schema, json_object_get(fault, "input"), false, "input", &err))
        passed = bw_json_str(fault, "what", "");
    if (!schema)
        snprintf(check.found, sizeof check.found, "it declares no inputs, so anything reaches it");
    else if (passed)
        snprintf(check.found, sizeof check.found, "this is let through: %s", passed);
    else
        snprintf(check.found, sizeof check.found, "%zu wrong inputs are refused", json_array_size(faults));
    if (passed) snprintf(check.cure, sizeof check.cure, "give each field its type, and required where it is");
    report(kit, &check, !schema ? BW_CHECK_SKIPPED : passed ? BW_CHECK_FAILED : BW_CHECK_PASSED);
    json_decref(faults);
    bw_schema_free(schema);
}

static void check_actions(struct lua_kit *kit)
{
    struct bw_conformance_check check = {.name = "actions", .wants = "it offers actions: the Lua files beside plugin.yaml"};
    size_t index, count = 0;
    json_t *action;
    json_array_foreach(json_object_get(kit->loaded, "actions"), index, action) count += lies_in(kit, bw_json_str(action, "file", ""));
    snprintf(check.found, sizeof check.found, "%zu action%s", count, count == 1 ? "" : "s");
    if (!count) snprintf(check.cure, sizeof check.cure, "bellwire new action %s/NAME writes one to begin with", kit->name);
    report(kit, &check, count ? BW_CHECK_PASSED : BW_CHECK_FAILED);
    json_array_foreach(json_object_get(kit->loaded, "actions"), index, action) if (lies_in(kit, bw_json_str(action, "file", "")))
        check_inputs(kit, action);
    struct bw_conformance_check calls = {.name = "calls", .wants = "its actions do what they say"};
    snprintf(calls.found, sizeof calls.found, "in Lua that is for tests of workflows: bellwire test");
    report(kit, &calls, BW_CHECK_SKIPPED);
}

static bool set(char **target, const char *value)
{
    char *copy = value ? strdup(value) : NULL;
    if (!copy) return false;
    free(*target);
    *target = copy;
    return true;
}

bool bw_plugin_test_lua(const char *folder, struct bw_config *config, const struct bw_conformance_options *options, size_t *failed,
                        struct bw_error *err)
{
    char parent[PATH_MAX], name[PATH_MAX];
    snprintf(parent, sizeof parent, "%s", folder);
    snprintf(name, sizeof name, "%s", folder);
    char *none = bw_file_join(folder, "there-is-no-such-folder");
    struct lua_kit kit = {.folder = folder, .name = basename(name), .options = options};
    json_t *loaded = NULL;
    if (!none || !set(&config->plugins, dirname(parent)) || !set(&config->workflows, none) || !set(&config->actions, none))
        bw_error_set(err, "memory", "out of memory");
    else
        loaded = bw_inspect_catalog(config, NULL, err);
    free(none);
    kit.loaded = loaded;
    if (loaded) {
        check_errors(&kit, "load", "plugin.yaml and its Lua files load as serve loads them", false, "bellwire check says the same");
        check_errors(&kit, "config", "what it is told fits the `config` of its manifest", true, "--config FILE names a bellwire.yaml that says it");
        check_actions(&kit);
    }
    json_decref(loaded);
    *failed = kit.failed;
    return loaded != NULL;
}
