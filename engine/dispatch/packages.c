/* Plugins in Lua, as files of the catalogue. */
#include "base/file.h"
#include "dispatch/internal.h"
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MANIFEST "plugin.yaml"

/* Actions without plugin.yaml: whoever wrote them would look for them in vain. */
static void refuse_nameless(json_t *errors, const char *folder)
{
    struct bw_error err;
    const char *slash = strrchr(folder, '/');
    bw_error_set(&err, "plugin.no_manifest", "this folder has files in Lua and no " MANIFEST);
    bw_error_hint(&err, "write " MANIFEST " beside them: {name: %s, version: 1.0.0}", slash ? slash + 1 : folder);
    bw_error_at(&err, folder, 0, 0);
    json_array_append_new(errors, bw_dispatch_error_json(&err, NULL));
}

static bool add(struct bw_revision *revision, json_t *errors, const char *kind, const char *folder, struct bw_error *err)
{
    char *manifest = bw_file_join(folder, MANIFEST), *lib = bw_file_join(folder, "lib"), **names = NULL;
    size_t count = 0;
    bool added = false;
    if (!manifest || !lib) {
        bw_error_set(err, "memory", "out of memory while reading %s", folder);
    } else if (access(manifest, F_OK) == 0) {
        added = bw_catalog_add_path(revision, errors, kind, manifest) &&
                bw_catalog_add_folder(revision, errors, BW_FILE_ACTION, folder, ".lua", false, err) &&
                bw_catalog_add_folder(revision, errors, BW_FILE_MODULE, lib, ".lua", true, err);
    } else {
        added = bw_file_list(folder, ".lua", false, &names, &count, err);
        if (count) refuse_nameless(errors, folder);
        bw_file_list_free(names, count);
    }
    free(manifest);
    free(lib);
    return added;
}

bool bw_packages_add(struct bw_revision *revision, json_t *errors, const char *kind, const char *folder, struct bw_error *err)
{
    char **names = NULL;
    size_t count = 0;
    bool added = bw_file_list_folders(folder, &names, &count, err);
    for (size_t i = 0; added && i < count; i++) {
        char *path = bw_file_join(folder, names[i]);
        added = path ? add(revision, errors, kind, path, err) : bw_error_set(err, "memory", "out of memory while reading %s", folder);
        free(path);
    }
    bw_file_list_free(names, count);
    return added;
}

bool bw_packages_add_bundled(struct bw_revision *revision, json_t *errors, struct bw_error *err)
{
    char folder[PATH_MAX];
    for (size_t i = 0; i < BW_BUNDLED_FOLDERS; i++)
        if (bw_bundled_folder(i, folder) && !bw_packages_add(revision, errors, BW_FILE_BUNDLED_PACKAGE, folder, err)) return false;
    return true;
}

bool bw_bundled_folder(size_t index, char out[PATH_MAX])
{
    static const char *const below[BW_BUNDLED_FOLDERS] = {"plugins", "../lib/bellwire/plugins"};
    char binary[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", binary, sizeof binary - 1);
    if (len <= 0) return false;
    binary[len] = '\0';
    int made = snprintf(out, PATH_MAX, "%s/%s", dirname(binary), below[index]);
    return made > 0 && made < PATH_MAX;
}
