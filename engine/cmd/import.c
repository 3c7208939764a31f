/* bellwire import: what was written for others, as files of this instance. */
#include "base/file.h"
#include "cmd/options.h"
#include "cmd/setup.h"
#include "cmd/skeleton.h"
#include "config/sources.h"
#include "openapi/openapi.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPEC_BYTES_MAX (64u << 20)

static bool write_files(const struct bw_config *config, struct bw_openapi *made, struct bw_error *err)
{
    const struct bw_skeleton_mark marks[] = {{"@NAME@", made->name}, {"@AUTH@", made->auth.data ? made->auth.data : ""}, {NULL, NULL}};
    size_t count = made->file_count + 1;
    struct bw_skeleton_file *files = calloc(count, sizeof *files);
    char *folder = bw_file_join(config->plugins, made->name);
    for (size_t i = 0; files && folder && i < made->file_count; i++)
        files[i] = (struct bw_skeleton_file){bw_file_join(folder, made->files[i].path), made->files[i].text};
    if (files && folder) files[count - 1].path = bw_file_join(folder, "lib/api.lua");
    if (files) bw_skeleton_fill(&files[count - 1].text, bw_skeleton_template("openapi.api.lua"), marks);
    bool good = files && folder ? bw_skeleton_write(files, count, err) : bw_error_set(err, "memory", "out of memory");
    for (size_t i = 0; files && i < count; i++) {
        if (good) printf("%s\n", files[i].path);
        free(files[i].path);
    }
    if (files) bw_buf_free(&files[count - 1].text);
    free(files);
    free(folder);
    return good;
}

static void tell(const struct bw_openapi *made)
{
    for (size_t i = 0; i < made->note_count; i++) fprintf(stderr, "note: %s\n", made->notes[i]);
    fprintf(stderr, "next: bellwire check && bellwire actions show %s/%.*s\n", made->name, (int)strlen(made->files[1].path) - 4, made->files[1].path);
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
    bool good = spec && bw_openapi_convert(spec, options, &made, &err) && write_files(config, &made, &err);
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

static int import_main(int argc, char **argv)
{
    struct bw_openapi_options openapi = {0};
    const char *config_path = NULL;
    const struct bw_option options[] = {{.name = "name", .value = &openapi.name},
                                        {.name = "only", .value = &openapi.only},
                                        {.name = "base-url", .value = &openapi.base_url},
                                        {.name = "config", .value = &config_path}};
    int first, status = bw_options_parse(&bw_command_import, argc, argv, options, sizeof options / sizeof *options, &first);
    if (status >= 0) return status;
    if (argc - first != 2) return bw_options_wrong(&bw_command_import, "what is to be imported, and from which file?");
    if (strcmp(argv[first], "openapi") != 0)
        return bw_options_wrong(&bw_command_import, "'%s' is nothing that can be imported: openapi can", argv[first]);
    if (openapi.name && !bw_config_is_name(bw_slice_of(openapi.name)))
        return bw_options_wrong(&bw_command_import, "'%s' is no name of a plugin: small letters, digits and dashes", openapi.name);
    return import_openapi(argv[first + 1], &openapi, config_path);
}

const struct bw_command bw_command_import = {
    .name = "import",
    .summary = "make actions of an API's OpenAPI description",
    .usage =
        "usage: bellwire import openapi FILE [--name NAME] [--only PATTERN] [--base-url URL]\n\n"
        "Writes a plugin in Lua, plugins/NAME/: an action for each operation of the description (OpenAPI 3.0 or 3.1, JSON or YAML), and\n"
        "lib/api.lua, which all of them share. The files are short, and yours to change. Nothing is overwritten: when one of them exists, none is\n"
        "written. What cannot be sent (multipart bodies, cookies) is said on stderr.\n\n"
        "  --name NAME       of the plugin, whose actions are NAME/…; by itself made of the title\n"
        "  --only PATTERN    only operations whose action has such a name: 'pets_*'\n"
        "  --base-url URL    where the API is, if the description does not say so; bellwire.yaml can change it: configure: {NAME: {base_url: …}}\n"
        "  --config FILE     whose folders (bellwire.yaml)\n\n"
        "example: bellwire import openapi petstore.yaml --name pets && bellwire actions show pets/list_pets\n",
    .run = import_main,
};
