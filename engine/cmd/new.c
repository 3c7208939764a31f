/* bellwire new: files to begin with, that load, run and pass their tests as they are. They are written all or not at all, and never over others. */
#include "base/file.h"
#include "cmd/options.h"
#include "cmd/setup.h"
#include "cmd/skeleton.h"
#include "config/sources.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILES_MAX 4

/* What the marks of a template (engine/cmd/templates) stand for. */
struct names {
    const char *name;   /* @NAME@: as it was given; of an action both parts with a dash between them */
    const char *action; /* @ACTION@: "ns/name", as it was given */
    const char *ident;  /* @IDENT@: the name as C has it */
    const char *dir;    /* @DIR@: where the files of a plugin are */
};

struct kind {
    const char *name;
    struct {
        const char *template, *folder_of; /* "workflows", "actions" or "plugins" of the configuration */
        const char *path;                 /* below it, with marks */
    } files[FILES_MAX];
    const char *next; /* what to do with them, with marks */
};

static const struct kind kinds[] = {
    {"workflow",
     {{"workflow.yaml", "workflows", "@NAME@.yaml"}, {"workflow.test.yaml", "workflows", "@NAME@.test.yaml"}},
     "bellwire test && echo '{\"who\": \"Mona\"}' | bellwire run @NAME@ --data -"},
    {"action",
     {{"action.lua", "actions", "@ACTION@.lua"}, {"action.yaml", "workflows", "@NAME@.yaml"}, {"action.test.yaml", "workflows", "@NAME@.test.yaml"}},
     "bellwire test && bellwire actions show @ACTION@ && echo '{\"text\": \"what a day\"}' | bellwire run @NAME@ --data -"},
    {"plugin",
     {{"plugin.c", "plugins", "@NAME@/@IDENT@.c"},
      {"plugin.test.c", "plugins", "@NAME@/test_@IDENT@.c"},
      {"plugin.CMakeLists.txt", "plugins", "@NAME@/CMakeLists.txt"},
      {"plugin.README.md", "plugins", "@NAME@/README.md"}},
     "cmake -S @DIR@ -B build/@NAME@ && cmake --build build/@NAME@ && ctest --test-dir build/@NAME@ && bellwire actions show @NAME@/greet"},
};

static const char *folder_named(const struct bw_config *config, const char *name)
{
    return !strcmp(name, "workflows") ? config->workflows : !strcmp(name, "actions") ? config->actions : config->plugins;
}

static bool make(const struct kind *kind, const struct names *names, const struct bw_config *config)
{
    const struct bw_skeleton_mark marks[] = {
        {"@NAME@", names->name}, {"@ACTION@", names->action}, {"@IDENT@", names->ident}, {"@DIR@", names->dir}, {NULL, NULL}};
    struct bw_made_file files[FILES_MAX] = {0};
    struct bw_buf next = {0};
    struct bw_error err;
    size_t count = 0;
    for (; count < FILES_MAX && kind->files[count].template; count++) {
        struct bw_buf path = {0};
        bw_skeleton_fill(&path, kind->files[count].path, marks);
        if (!path.failed) files[count].path = bw_file_join(folder_named(config, kind->files[count].folder_of), path.data);
        bw_skeleton_fill(&files[count].text, bw_skeleton_template(kind->files[count].template), marks);
        bw_buf_free(&path);
    }
    bool good = bw_skeleton_write(files, count, &err);
    if (!good) bw_print_error("new", &err);
    for (size_t i = 0; i < count; i++) {
        if (good) printf("%s\n", files[i].path);
        free(files[i].path);
        bw_buf_free(&files[i].text);
    }
    bw_skeleton_fill(&next, kind->next, marks);
    if (good && !next.failed) fprintf(stderr, "next: %s\n", next.data);
    bw_buf_free(&next);
    return good;
}

/* [a-z][a-z0-9_-]{0,63} */
static bool is_good_part(struct bw_slice part)
{
    for (size_t i = 0; i < part.len; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789_-", part.ptr[i])) return false;
    return part.len && part.len <= 64 && part.ptr[0] >= 'a' && part.ptr[0] <= 'z';
}

/* An action's name has two parts, all others have one. */
static bool is_good_name(const struct kind *kind, const char *name)
{
    const char *slash = strchr(name, '/');
    bool is_action = !strcmp(kind->name, "action");
    struct bw_slice first = {name, slash ? (size_t)(slash - name) : strlen(name)};
    if (is_action != (slash != NULL)) return false;
    return is_action ? is_good_part(first) && is_good_part(bw_slice_of(slash + 1)) : bw_config_is_name(first);
}

static int new_main(int argc, char **argv)
{
    const char *config_path = NULL;
    const struct bw_option options[] = {{.name = "config", .value = &config_path}};
    int first, status = bw_options_parse(&bw_command_new, argc, argv, options, 1, &first);
    const struct kind *kind = NULL;
    if (status >= 0) return status;
    if (argc - first != 2) return bw_options_wrong(&bw_command_new, "what is it to be, and how is it called?");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(kinds[i].name, argv[first])) kind = &kinds[i];
    const char *name = argv[first + 1];
    if (!kind) return bw_options_wrong(&bw_command_new, "'%s' is none of workflow, action and plugin", argv[first]);
    if (!is_good_name(kind, name))
        return bw_options_wrong(&bw_command_new, "'%s' is no name of %s %s: small letters, digits and dashes%s", name,
                                *kind->name == 'a' ? "an" : "a", kind->name, *kind->name == 'a' ? ", in two parts such as crm/find" : "");

    struct bw_config *config = bw_setup_config("new", config_path);
    if (!config) return 1;
    char *dashed = strdup(name), *ident = strdup(name), *folder = bw_file_join(config->plugins, name);
    for (char *at = dashed; at && *at; at++)
        if (*at == '/' || *at == '_') *at = '-';
    for (char *at = ident; at && *at; at++)
        if (*at == '-' || *at == '/') *at = '_';
    bool good = dashed && ident && folder;
    if (good) good = make(kind, &(struct names){.name = dashed, .action = name, .ident = ident, .dir = folder}, config);
    free(dashed);
    free(ident);
    free(folder);
    bw_config_free(config);
    return good ? 0 : 1;
}

const struct bw_command bw_command_new = {
    .name = "new",
    .summary = "begin a workflow, an action or a plugin, with tests",
    .usage =
        "usage: bellwire new workflow NAME\n"
        "       bellwire new action NS/NAME\n"
        "       bellwire new plugin NAME\n\n"
        "Writes files to begin with into the folders of this instance. They load, run and pass their tests as they are. Nothing is overwritten:\n"
        "when one of the files exists, none is written.\n\n"
        "  workflow  workflows/NAME.yaml and its tests\n"
        "  action    actions/NS/NAME.lua, a workflow that runs it by hand, and tests\n"
        "  plugin    plugins/NAME/: a compiled plugin in C with a CMake file, a test that needs no Bellwire, and a README\n\n"
        "  --config FILE   whose folders (bellwire.yaml)\n\n"
        "example: bellwire new action text/count && bellwire test\n",
    .run = new_main,
};
