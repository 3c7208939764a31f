/* bellwire import: what was written for others, as files of this instance. */
#include "base/file.h"
#include "cmd/options.h"
#include "cmd/setup.h"
#include "cmd/skeleton.h"
#include "config/manners.h"
#include "config/sources.h"
#include "hooks/hooks.h"
#include "ingest/request.h"
#include "openapi/openapi.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPEC_BYTES_MAX (64u << 20)
#define HOOKS_BYTES_MAX (4u << 20)

/* Below the folder, which the paths have in front of them afterwards. */
static bool write_made(struct bw_made *made, const char *folder, struct bw_error *err)
{
    for (size_t i = 0; i < made->file_count; i++) {
        char *path = bw_file_join(folder, made->files[i].path);
        free(made->files[i].path);
        made->files[i].path = path;
    }
    if (!bw_skeleton_write(made->files, made->file_count, err)) return false;
    for (size_t i = 0; i < made->file_count; i++) printf("%s\n", made->files[i].path);
    return true;
}

/* With what all of its actions share. */
static bool write_plugin(const struct bw_config *config, struct bw_openapi *made, struct bw_error *err)
{
    const struct bw_skeleton_mark marks[] = {{"@NAME@", made->name}, {"@AUTH@", made->auth.data ? made->auth.data : ""}, {NULL, NULL}};
    struct bw_buf *shared = bw_made_add_file(&made->made, strdup("lib/api.lua"), false);
    char *folder = bw_file_join(config->plugins, made->name);
    if (shared) bw_skeleton_fill(shared, bw_skeleton_template("openapi.api.lua"), marks);
    bool good = shared && folder ? write_made(&made->made, folder, err) : bw_error_set(err, "memory", "out of memory");
    free(folder);
    return good;
}

static void tell(const struct bw_openapi *made)
{
    for (size_t i = 0; i < made->made.note_count; i++) fprintf(stderr, "note: %s\n", made->made.notes[i]);
    const char *action = strrchr(made->made.files[1].path, '/') + 1;
    fprintf(stderr, "next: bellwire check && bellwire actions show %s/%.*s\n", made->name, (int)strlen(action) - 4, action);
    if (made->auth.len || !*made->base_url)
        fprintf(stderr, "      what it has to be told (configure: {%s: {…}} in bellwire.yaml) is said in its plugin.yaml\n", made->name);
}

static int import_openapi(const char *path, const struct bw_openapi_options *options, const char *config_path)
{
    struct bw_openapi made = {0};
    struct bw_buf text = {0};
    struct bw_error err;
    struct bw_config *config = bw_setup_config("import", config_path);
    if (!config) return 1;
    json_t *spec = bw_file_read(path, SPEC_BYTES_MAX, &text, &err) ? bw_openapi_load(bw_buf_slice(&text), path, &err) : NULL;
    bool good = spec && bw_openapi_convert(spec, options, &made, &err) && write_plugin(config, &made, &err);
    if (good)
        tell(&made);
    else
        bw_print_error("import", &err);
    bw_openapi_free(&made);
    json_decref(spec);
    bw_buf_free(&text);
    bw_config_free(config);
    return good ? 0 : 1;
}

static bool is_header_kept(struct bw_slice name)
{
    return bw_header_is_kept(name, &(struct bw_source_config){0});
}

static int import_webhook(const char *path, const char *folder, bool is_template)
{
    const struct bw_hooks_options options = {.is_header_kept = is_header_kept, .is_header_sent = bw_acknowledge_can_have, .is_template = is_template};
    struct bw_hooks made = {0};
    struct bw_buf text = {0};
    struct bw_error err;
    bool good = bw_file_read(path, HOOKS_BYTES_MAX, &text, &err) && bw_hooks_convert(bw_buf_slice(&text), path, &options, &made, &err) &&
                write_made(&made.made, folder, &err);
    if (good) {
        for (size_t i = 0; i < made.made.note_count; i++) fprintf(stderr, "%s\n", made.made.notes[i]);
        fprintf(stderr, "%zu hook%s", made.hook_count, made.hook_count == 1 ? "" : "s");
        if (made.closed_count) fprintf(stderr, ", %zu of them without a path: their workflows say what is left to be done", made.closed_count);
        fprintf(stderr, "\nnext: cd %s && bellwire check\n", folder);
    } else {
        bw_print_error("import", &err);
    }
    bw_hooks_free(&made);
    bw_buf_free(&text);
    return good ? 0 : 1;
}

static int import_main(int argc, char **argv)
{
    struct bw_openapi_options openapi = {0};
    const char *config_path = NULL, *folder = ".";
    bool is_template = false;
    const struct bw_option options[] = {{.name = "name", .value = &openapi.name},         {.name = "only", .value = &openapi.only},
                                        {.name = "base-url", .value = &openapi.base_url}, {.name = "into", .value = &folder},
                                        {.name = "template", .flag = &is_template},       {.name = "config", .value = &config_path}};
    int first, status = bw_options_parse(&bw_command_import, argc, argv, options, sizeof options / sizeof *options, &first);
    if (status >= 0) return status;
    if (argc - first != 2) return bw_options_wrong(&bw_command_import, "what is to be imported, and from which file?");
    if (!strcmp(argv[first], "webhook")) return import_webhook(argv[first + 1], folder, is_template);
    if (strcmp(argv[first], "openapi") != 0)
        return bw_options_wrong(&bw_command_import, "'%s' is nothing that can be imported: openapi and webhook can", argv[first]);
    if (openapi.name && !bw_config_is_name(bw_slice_of(openapi.name)))
        return bw_options_wrong(&bw_command_import, "'%s' is no name of a plugin: small letters, digits and dashes", openapi.name);
    return import_openapi(argv[first + 1], &openapi, config_path);
}

const struct bw_command bw_command_import = {
    .name = "import",
    .summary = "make actions of an API's OpenAPI description, or an instance of the hooks of webhook",
    .usage =
        "usage: bellwire import openapi FILE [--name NAME] [--only PATTERN] [--base-url URL]\n"
        "       bellwire import webhook FILE [--into FOLDER] [--template]\n\n"
        "openapi: writes a plugin in Lua, plugins/NAME/: an action for each operation of the description (OpenAPI 3.0 or 3.1, JSON or YAML), and\n"
        "lib/api.lua, which all of them share. The files are short, and yours to change. Nothing is overwritten: when one of them exists, none is\n"
        "written. What cannot be sent (multipart bodies, cookies) is said on stderr.\n\n"
        "  --name NAME       of the plugin, whose actions are NAME/…; by itself made of the title\n"
        "  --only PATTERN    only operations whose action has such a name: 'pets_*'\n"
        "  --base-url URL    where the API is, if the description does not say so; bellwire.yaml can change it: configure: {NAME: {base_url: …}}\n"
        "  --config FILE     whose folders (bellwire.yaml)\n\n"
        "webhook: writes an instance of hooks.json or hooks.yaml of adnanh/webhook: bellwire.yaml with the programs that may be run, a workflow for\n"
        "each hook, and each secret in a file of its own. Nothing is overwritten. What cannot be taken over is said on stderr, with its place, and "
        "in\n"
        "the workflow; a hook of which something is left to be done has no path, so that nothing gets weaker on the way.\n\n"
        "  --into FOLDER     where to; by itself here\n"
        "  --template        it is one, as webhook takes it with -template: {{ getenv \"A\" }} and the like, as secrets\n\n"
        "example: bellwire import openapi petstore.yaml --name pets && bellwire actions show pets/list_pets\n",
    .run = import_main,
};
