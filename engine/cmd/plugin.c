#include "base/file.h"
#include "base/log.h"
#include "base/units.h"
#include "cmd/options.h"
#include "cmd/plugin_list.h"
#include "cmd/plugin_lua.h"
#include "cmd/setup.h"
#include "trial/conformance.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REPEAT_MAX 1000000
#define ANSWER_MS 10000

struct testing {
    bool as_json, was_given_up;
    const char *plugin;
    size_t number;
};

/* A line of TAP's comments for each line of the text. */
static void print_comment(const char *title, const char *text)
{
    if (!*text) return;
    printf("  # %s", title);
    for (; *text; text++) {
        if (*text == '\n')
            fputs("\n  #   ", stdout);
        else
            putchar(*text);
    }
    putchar('\n');
}

static void print_tap(struct testing *testing, const struct bw_conformance_check *check)
{
    bool has_failed = check->state == BW_CHECK_FAILED, is_skipped = check->state == BW_CHECK_SKIPPED;
    printf("%s %zu - %s%s%s: %s", has_failed ? "not ok" : "ok", ++testing->number, check->action ? check->action : testing->plugin,
           check->action ? " " : ": ", check->name, check->wants);
    if (is_skipped) printf(" # SKIP %s", check->found);
    if (!has_failed && !is_skipped && *check->found) printf(" (%s)", check->found);
    putchar('\n');
    if (!has_failed) return;
    print_comment("found: ", check->found);
    print_comment("do: ", check->cure);
}

static void print_json(struct testing *testing, const struct bw_conformance_check *check)
{
    static const char *const states[] = {[BW_CHECK_PASSED] = "passed", [BW_CHECK_FAILED] = "failed", [BW_CHECK_SKIPPED] = "skipped"};
    struct bw_buf line = {0};
    json_t *object = json_pack("{s:s,s:s,s:s*,s:s,s:s,s:s,s:s*}", "plugin", testing->plugin, "check", check->name, "action", check->action, "state",
                               states[check->state], "wants", check->wants, "found", check->found, "hint", *check->cure ? check->cure : NULL);
    bw_json_append(&line, object);
    bw_print_line(&line);
    json_decref(object);
}

static void on_check(void *arg, const struct bw_conformance_check *check)
{
    struct testing *testing = arg;
    if (testing->as_json)
        print_json(testing, check);
    else
        print_tap(testing, check);
    fflush(stdout);
}

/* ---- what is tested ---- */

static bool is_folder(const char *path)
{
    struct stat info;
    return !stat(path, &info) && S_ISDIR(info.st_mode);
}

/* The shared objects in the folder of a plugin; else the one of its name beside it, where `bellwire new plugin` has it built. */
static bool list_objects(const char *folder, char ***out, size_t *count, struct bw_error *err)
{
    char whole[PATH_MAX], beside[PATH_MAX + 8];
    if (!bw_file_list(folder, ".so", false, out, count, err)) return false;
    for (size_t i = 0; i < *count; i++) {
        char *path = bw_file_join(folder, (*out)[i]);
        free((*out)[i]);
        (*out)[i] = path;
    }
    if (*count) return true;
    if (realpath(folder, whole)) {
        snprintf(beside, sizeof beside, "%s.so", whole);
        if (!access(beside, R_OK) && (*out || (*out = calloc(1, sizeof **out))) && ((*out)[0] = strdup(beside))) *count = 1;
    }
    if (*count) return true;
    bw_error_set(err, "plugin.none", "there is no shared object in %s", folder);
    bw_error_hint(err, "build the plugin first: cmake -S %s -B build && cmake --build build", folder);
    return false;
}

static char *calls_beside(const char *folder)
{
    char *path = bw_file_join(folder, "calls.yaml");
    if (path && !access(path, R_OK)) return path;
    free(path);
    return NULL;
}

/* Nothing could be found out. */
static int give_up(struct testing *testing, const struct bw_error *err)
{
    bw_print_error("plugin test", err);
    if (!testing->as_json) printf("Bail out! %s\n", err->message);
    testing->was_given_up = true;
    return 1;
}

static int test_object(const char *path, struct bw_conformance_options *options, struct testing *testing)
{
    const char *slash = strrchr(path, '/');
    struct bw_error err;
    size_t failed = 0;
    testing->plugin = slash ? slash + 1 : path;
    options->path = path;
    return bw_conformance_run(options, &failed, &err) ? failed > 0 : give_up(testing, &err);
}

static int test_lua(const char *folder, struct bw_config *config, const struct bw_conformance_options *options, struct testing *testing)
{
    const char *slash = strrchr(folder, '/');
    struct bw_error err;
    size_t failed = 0;
    testing->plugin = slash ? slash + 1 : folder;
    return bw_plugin_test_lua(folder, config, options, &failed, &err) ? failed > 0 : give_up(testing, &err);
}

static int test_all(const char *what, struct bw_config *config, struct bw_conformance_options *options, struct testing *testing)
{
    char **objects = NULL;
    size_t count = 0;
    struct bw_error err;
    int status = 0;
    if (!is_folder(what)) return test_object(what, options, testing);
    if (bw_plugin_is_lua(what)) return test_lua(what, config, options, testing);
    if (!list_objects(what, &objects, &count, &err)) {
        bw_file_list_free(objects, count);
        return give_up(testing, &err);
    }
    for (size_t i = 0; i < count && !testing->was_given_up; i++)
        if (test_object(objects[i], options, testing)) status = 1;
    bw_file_list_free(objects, count);
    return status;
}

static bool read_count(const char *text, unsigned *out)
{
    char *end;
    errno = 0;
    unsigned long value = text ? strtoul(text, &end, 10) : 0;
    if (!text) return true;
    if (*text < '0' || *text > '9' || *end || errno || !value || value > REPEAT_MAX) return false;
    *out = (unsigned)value;
    return true;
}

static int list(const char *config_path, bool as_json)
{
    bw_log_setup(BW_LOG_ERROR, BW_LOG_TEXT, "plugin");
    struct bw_config *config = bw_setup_config("plugin", config_path);
    int status = config ? bw_plugin_list(config, as_json) : 1;
    bw_config_free(config);
    return fflush(stdout) ? 1 : status;
}

static int plugin_main(int argc, char **argv)
{
    const char *config_path = NULL, *calls_path = NULL, *timeout = NULL, *repeat = NULL;
    struct testing testing = {0};
    const struct bw_option known[] = {{.name = "config", .value = &config_path},
                                      {.name = "calls", .value = &calls_path},
                                      {.name = "timeout", .value = &timeout},
                                      {.name = "repeat", .value = &repeat},
                                      {.name = "json", .flag = &testing.as_json}};
    struct bw_conformance_options options = {.answer_ms = ANSWER_MS, .report = on_check, .arg = &testing};
    struct bw_errors errs = {0};
    struct bw_error err;
    int first, status = bw_options_parse(&bw_command_plugin, argc, argv, known, sizeof known / sizeof *known, &first);
    json_t *calls = NULL;
    char *beside = NULL;

    if (status >= 0) return status;
    if (argc == first + 1 && !strcmp(argv[first], "list")) return list(config_path, testing.as_json);
    if (argc == first || strcmp(argv[first], "test") != 0)
        return bw_options_wrong(&bw_command_plugin,
                                argc == first ? "what is to be done? `bellwire plugin test FILE`, `bellwire plugin list`" : "there is no 'plugin %s'",
                                argc == first ? "" : argv[first]);
    if (argc != first + 2) return bw_options_wrong(&bw_command_plugin, "name one shared object, or one folder with one");
    if (timeout && (!bw_duration_parse(bw_slice_of(timeout), &options.answer_ms, &err) || options.answer_ms < 1))
        return bw_options_wrong(&bw_command_plugin, "--timeout is a duration such as 10s, not '%s'", timeout);
    if (!read_count(repeat, &options.repeat)) return bw_options_wrong(&bw_command_plugin, "--repeat is a number of calls, not '%s'", repeat);
    bw_log_setup(BW_LOG_ERROR, BW_LOG_TEXT, "plugin");
    const char *what = argv[first + 1];
    struct bw_config *config = bw_setup_config_with_secrets("plugin", config_path);
    if (!config) return 1;
    if (!calls_path && is_folder(what)) calls_path = beside = calls_beside(what);
    if (calls_path && !(calls = bw_conformance_read_calls(calls_path, &errs))) {
        bw_print_errors(&errs, false);
        status = 1;
    } else {
        char *whole = realpath(what, NULL);
        options.config = config;
        options.calls = calls;
        if (!testing.as_json) puts("TAP version 14");
        status = test_all(whole ? whole : what, config, &options, &testing);
        if (!testing.as_json && !testing.was_given_up) printf("1..%zu\n", testing.number);
        free(whole);
    }
    bw_errors_free(&errs);
    bw_config_free(config);
    json_decref(calls);
    free(beside);
    return fflush(stdout) ? 1 : status;
}

const struct bw_command bw_command_plugin = {
    .name = "plugin",
    .summary = "try whether a plugin keeps the contract; list those that are served, and how they are",
    .usage =
        "usage: bellwire plugin test FILE.so|FOLDER [--calls FILE] [--config FILE] [--timeout 10s] [--repeat N] [--json]\n"
        "       bellwire plugin list [--config FILE] [--json]\n\n"
        "Loads a plugin in the process that `serve` would load it in, with what its manifest needs and nothing else, and tries it: manifest, ABI,\n"
        "configuration, init, and for each action its inputs, its answers, values at the edges of its schema, two calls at once, cancelling, time\n"
        "that is over, and a thousand calls of one instance; then fini. Each check says what it wants; one that fails says what was found and what\n"
        "to do (TAP 14). What the plugin prints is on stderr. Exit status 0: none failed; 1: one did; 2: wrong usage.\n\n"
        "Of a plugin in Lua (a folder with plugin.yaml) it is tried whether it loads, what it is told, and its schemas.\n\n"
        "An action whose effect is write, of a plugin that needs something, is called only with what --calls says, and that several times.\n\n"
        "list asks the running engine for its compiled plugins: their calls in progress, and whether they are well, as far as they can say. Exit\n"
        "status 1: one of them is not, or nothing serves.\n\n"
        "  --calls FILE     inputs that are known to be good (FOLDER/calls.yaml, if it is there):\n\n"
        "                     calls:\n"
        "                       - {action: shout/say, with: {text: hello}}\n"
        "                       - {action: shout/say, with: {text: \"\"}, error: shout.empty}   # has to fail with this code\n"
        "                       - {action: shout/wait, with: {seconds: 60}, slow: true}       # works until it is cancelled\n\n"
        "  --config FILE    a bellwire.yaml, for what the plugin is told (configure) and its secrets\n"
        "  --timeout TIME   in which a call has to be answered, unless it is slow (10s)\n"
        "  --repeat N       so many calls of each action in the check for leaks\n"
        "  --json           one object a check\n\n"
        "example: bellwire plugin test plugins/shout.so --calls calls.yaml\n",
    .run = plugin_main,
};
