/* Plugins in Lua, as files of the catalogue. */
#include "base/file.h"
#include "dispatch/internal.h"
#include "plugin/settings.h"
#include <ctype.h>
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

/* ---- those that are part of Bellwire ---- */

static bool is_of_name(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-';
}

/* "crm/" as a word of its own. */
static bool mentions(struct bw_slice text, const char *plugin)
{
    char wanted[128];
    size_t len = (size_t)snprintf(wanted, sizeof wanted, "%s/", plugin);
    const char *end = text.ptr + text.len;
    if (len >= sizeof wanted) return true;
    for (const char *at = text.ptr; at && (at = memmem(at, (size_t)(end - at), wanted, len)); at += len)
        if (at == text.ptr || !is_of_name(at[-1])) return true;
    return false;
}

/* Does a workflow, an action or a plugin of the instance name one of its actions, or bellwire.yaml the plugin? In any place of them, as a step of an
 * agent may get the names of its tools from anywhere. Whoever reads files does not understand them; one too many costs little. */
static bool is_wanted(const struct bw_dispatch *dispatch, const struct bw_revision_file *own, size_t own_count, struct bw_slice values,
                      const json_t *configure, const char *plugin)
{
    if (dispatch->options.shows_all || bw_settings_is_configured(configure, plugin) || mentions(values, plugin)) return true;
    for (size_t i = 0; i < own_count; i++)
        if (mentions(own[i].content, plugin)) return true;
    return false;
}

bool bw_packages_add_bundled(const struct bw_dispatch *dispatch, const json_t *values, const json_t *configure, struct bw_revision *revision,
                             json_t *errors, struct bw_error *err)
{
    const size_t own_count = revision->count; /* the instance's files, which come first */
    char folder[PATH_MAX];
    struct bw_buf text = {0};
    bool added = true;
    bw_json_append(&text, values);
    for (size_t i = 0; added && i < BW_BUNDLED_FOLDERS; i++) {
        char **names = NULL;
        size_t count = 0;
        if (!bw_bundled_folder(i, folder)) continue;
        added = bw_file_list_folders(folder, &names, &count, err);
        for (size_t k = 0; added && k < count; k++) {
            char *path = bw_file_join(folder, names[k]);
            if (!path)
                added = bw_error_set(err, "memory", "out of memory while reading %s", folder);
            else if (is_wanted(dispatch, revision->files, own_count, bw_buf_slice(&text), configure, names[k]))
                added = add(revision, errors, BW_FILE_BUNDLED_PACKAGE, path, err);
            free(path);
        }
        bw_file_list_free(names, count);
    }
    bw_buf_free(&text);
    return added;
}

/* By its files: their names are those of its actions. */
static void list_actions(const char *folder, const char *plugin, json_t *out)
{
    char **files = NULL;
    size_t count = 0;
    char *path = bw_file_join(folder, plugin);
    if (path && bw_file_list(path, ".lua", false, &files, &count, NULL))
        for (size_t i = 0; i < count; i++)
            json_array_append_new(out, json_sprintf("%s/%.*s", plugin, (int)(strlen(files[i]) - strlen(".lua")), files[i]));
    bw_file_list_free(files, count);
    free(path);
}

json_t *bw_packages_unused(const struct bw_revision *revision)
{
    char folder[PATH_MAX];
    json_t *unused = json_array();
    for (size_t i = 0; i < BW_BUNDLED_FOLDERS; i++) {
        char **names = NULL;
        size_t count = 0;
        if (!bw_bundled_folder(i, folder) || !bw_file_list_folders(folder, &names, &count, NULL)) continue;
        for (size_t k = 0; k < count; k++) {
            char manifest[PATH_MAX + 80];
            bool is_there = false;
            snprintf(manifest, sizeof manifest, "%s/%s/" MANIFEST, folder, names[k]);
            for (size_t f = 0; !is_there && f < revision->count; f++) is_there = bw_slice_is(revision->files[f].path, manifest);
            if (!is_there) list_actions(folder, names[k], unused);
        }
        bw_file_list_free(names, count);
    }
    return unused;
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
