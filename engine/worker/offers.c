/* What the files of a revision offer: actions in Lua, the modules that they require, plugins in Lua (a folder with plugin.yaml) and compiled ones (by
 * their manifests). What an instance has itself goes before what is bundled with Bellwire: an action of the same name and major version replaces
 * the bundled one, a plugin of the same name all of it. So a new bundled action breaks nobody who has had one of that name. */
#include "base/clock.h"
#include "base/suggest.h"
#include "base/yaml.h"
#include "plugin/settings.h"
#include "worker/internal.h"
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX 1024

static const struct bw_package *package_of(const struct bw_catalog *catalog, const char *file)
{
    for (size_t i = 0; i < catalog->package_count; i++)
        if (!strncmp(file, catalog->packages[i].folder, strlen(catalog->packages[i].folder))) return &catalog->packages[i];
    return NULL;
}

/* ---- actions ---- */

/* Takes it. */
static void add_action(struct bw_catalog *catalog, struct bw_action *action, bool is_bundled, struct bw_errors *errs)
{
    for (size_t i = 0; i < catalog->action_count; i++) {
        const struct bw_action *other = catalog->actions[i];
        if (strcmp(other->name, action->name) != 0 || other->major != action->major) continue;
        struct bw_error *err = is_bundled && !other->is_bundled ? NULL
                                                                : bw_errors_add(errs, "action.twice", "the action %s@%u is offered twice, also by %s",
                                                                                action->name, action->major, other->file);
        bw_error_at(err, action->file, 0, 0);
        bw_action_free(action);
        return;
    }
    struct bw_action **grown = realloc(catalog->actions, (catalog->action_count + 1) * sizeof *grown);
    if (!grown) {
        bw_action_free(action);
        return;
    }
    action->is_bundled = is_bundled;
    catalog->actions = grown;
    catalog->actions[catalog->action_count++] = action;
}

/* That of an action in a plugin begins with the plugin's: so it is found, and nobody takes another one's. */
static bool is_named_rightly(const struct bw_action *action, const struct bw_package *package, struct bw_errors *errs)
{
    size_t len = package ? strlen(package->name) : 0;
    if (!package || (!strncmp(action->name, package->name, len) && action->name[len] == '/')) return true;
    struct bw_error *err = bw_errors_add(errs, "action.foreign", "the plugin %s cannot offer the action %s: its names begin with %s/", package->name,
                                         action->name, package->name);
    bw_error_at(err, action->file, 0, 0);
    return false;
}

static void load_lua_action(struct bw_worker *worker, struct bw_catalog *catalog, const char *path, struct bw_slice text, struct bw_errors *errs)
{
    const struct bw_package *package = package_of(catalog, path);
    struct bw_error err;
    char note[BW_FLIGHT_PATH_MAX];
    snprintf(note, sizeof note, "file:%s", path);
    bw_flight_enter(worker->flight, 0, (struct bw_uid){{0}}, bw_slice_of(note), catalog->revision, bw_clock_mono_us() + worker->stall_ms * 1000);
    struct bw_action *action = bw_action_load(catalog->loader, text, path, catalog->modules, catalog->module_count, &err);
    bw_flight_leave(worker->flight);
    if (action) action->package = package;
    if (action && package) { /* what is said once of the plugin is told with each of its actions */
        json_object_set_new(action->manifest, "plugin", json_string(package->name));
        json_object_set(action->manifest, "config", json_object_get(package->manifest, "config"));
    }
    if (!action)
        bw_errors_push(errs, &err);
    else if (is_named_rightly(action, package, errs))
        add_action(catalog, action, package && package->is_bundled, errs);
    else
        bw_action_free(action);
}

static void load_compiled(struct bw_catalog *catalog, const char *path, struct bw_slice text, bool is_bundled, struct bw_errors *errs)
{
    struct bw_error err;
    json_t *manifest = bw_json_load(text, &err), *entry;
    size_t index;
    if (!manifest) bw_errors_push(errs, &err);
    json_array_foreach(json_object_get(manifest, "actions"), index, entry)
    {
        struct bw_action *action = bw_action_from_manifest(entry, path, &err);
        if (action)
            add_action(catalog, action, is_bundled, errs);
        else
            bw_errors_push(errs, &err);
    }
    json_decref(manifest);
}

/* ---- modules ---- */

/* Which of two it would be must not be a matter of rules that nobody knows: no file sees two of one name. */
static bool is_alone(const struct bw_catalog *catalog, const struct bw_module *module, struct bw_errors *errs)
{
    for (size_t i = 0; i < catalog->module_count; i++) {
        const struct bw_module *other = catalog->modules[i];
        if (strcmp(other->name, module->name) != 0) continue;
        if (!bw_module_is_seen_by(other, module->folder) && !bw_module_is_seen_by(module, other->folder)) continue;
        struct bw_error *err =
            bw_errors_add(errs, "module.twice", "the module %s is there twice for the actions here, also as %s", module->name, other->file);
        bw_error_hint(err, "give one of them another name");
        bw_error_at(err, module->file, 0, 0);
        return false;
    }
    return true;
}

static void load_module(struct bw_catalog *catalog, const char *path, struct bw_slice text, struct bw_errors *errs)
{
    struct bw_error err;
    struct bw_module *module = bw_module_load(catalog->loader, text, path, &err), **grown = NULL;
    if (!module)
        bw_errors_push(errs, &err);
    else if (is_alone(catalog, module, errs))
        grown = realloc(catalog->modules, (catalog->module_count + 1) * sizeof *grown);
    if (!grown) {
        bw_module_free(module);
        return;
    }
    catalog->modules = grown;
    catalog->modules[catalog->module_count++] = module;
}

/* ---- plugins in Lua ---- */

static void free_package(struct bw_package *package)
{
    json_decref(package->manifest);
    json_decref(package->secrets);
    bw_buf_free(&package->config);
    free(package->name);
    free(package->version);
    free(package->file);
    free(package->folder);
}

static const struct bw_package *package_named(const struct bw_catalog *catalog, const char *name)
{
    for (size_t i = 0; i < catalog->package_count; i++)
        if (!strcmp(catalog->packages[i].name, name)) return &catalog->packages[i];
    return NULL;
}

/* "…/crm/plugin.yaml" → "crm" */
static struct bw_slice folder_name(const char *file)
{
    const char *end = strrchr(file, '/'), *start = end;
    while (start && start > file && start[-1] != '/') start--;
    return end ? (struct bw_slice){start, (size_t)(end - start)} : (struct bw_slice){"", 0};
}

static void complain(struct bw_errors *errs, const char *file, const struct bw_yaml_node *at, const char *message, const char *hint)
{
    struct bw_error *err = bw_errors_add(errs, "plugin.manifest", "%s", message);
    bw_error_hint(err, "%s", hint);
    bw_error_at(err, file, at ? at->line : 1, at ? at->column : 1);
}

static void check_keys(const struct bw_yaml_node *root, const char *file, struct bw_errors *errs)
{
    static const char *const known[] = {"name", "version", "doc", "config"};
    for (size_t i = 0; i < root->count; i++) {
        const struct bw_yaml_node *key = root->pairs[i].key;
        char message[160], hint[80] = "it has name, version, doc and config";
        size_t k = 0;
        while (k < 4 && !bw_slice_is(key->text, known[k])) k++;
        if (k < 4) continue;
        const char *near = bw_suggest(key->text, known, 4);
        snprintf(message, sizeof message, "unknown key '%.64s' in plugin.yaml", key->text.ptr);
        if (near) snprintf(hint, sizeof hint, "did you mean '%s'?", near);
        complain(errs, file, key, message, hint);
    }
}

static bool is_text(const struct bw_yaml_node *node)
{
    return node && node->kind == BW_YAML_STRING && node->text.len;
}

/* Every fault of it is told; false: there is one. */
static bool check_manifest(const struct bw_yaml_node *root, const char *file, struct bw_errors *errs)
{
    size_t before = errs->count;
    const struct bw_yaml_node *name = bw_yaml_get(root, "name"), *version = bw_yaml_get(root, "version"), *doc = bw_yaml_get(root, "doc"),
                              *config = bw_yaml_get(root, "config");
    char hint[160];
    if (root->kind != BW_YAML_MAP) {
        complain(errs, file, root, "plugin.yaml has to be a map", "such as: {name: crm, version: 1.0.0}");
        return false;
    }
    check_keys(root, file, errs);
    struct bw_slice folder = folder_name(file);
    snprintf(hint, sizeof hint, "name: %.*s", (int)folder.len, folder.ptr);
    if (!is_text(name) || !bw_slice_equal(name->text, folder))
        complain(errs, file, name ? name : root, "a plugin's name is that of its folder", hint);
    if (!is_text(version) || *version->text.ptr < '0' || *version->text.ptr > '9')
        complain(errs, file, version ? version : root, "a plugin needs a version", "version: 1.0.0");
    if (doc && !is_text(doc)) complain(errs, file, doc, "doc must be a text", "one line for people");
    if (config && config->kind != BW_YAML_MAP)
        complain(errs, file, config, "config must be a map of fields", "config: {base_url: {type: string, required: true}}");
    return errs->count == before;
}

static void load_package(struct bw_catalog *catalog, const char *path, struct bw_slice text, bool is_bundled, struct bw_errors *errs)
{
    struct bw_error err;
    struct bw_yaml *yaml = bw_yaml_load(text, path, NULL, &err);
    struct bw_buf json = {0};
    struct bw_package package = {.is_bundled = is_bundled};
    if (!yaml) {
        bw_errors_push(errs, &err);
        return;
    }
    const struct bw_yaml_node *root = bw_yaml_root(yaml, 0), *fields = bw_yaml_get(root, "config");
    if (!check_manifest(root, path, errs)) goto out;
    bw_yaml_to_json(root, &json);
    if (!(package.manifest = bw_json_load(bw_buf_slice(&json), &err))) {
        bw_errors_push(errs, &err);
        goto out;
    }
    if (!bw_settings_check_fields(json_object_get(package.manifest, "config"), &err)) {
        bw_error_at(&err, path, fields->line, fields->column);
        bw_errors_push(errs, &err);
        goto out;
    }
    package.name = bw_slice_dup(bw_yaml_get(root, "name")->text);
    package.version = bw_slice_dup(bw_yaml_get(root, "version")->text);
    package.file = bw_slice_dup(bw_slice_of(path));
    package.folder = bw_slice_dup((struct bw_slice){path, strlen(path) - strlen("plugin.yaml")});
    struct bw_package *grown = package.name && package.version && package.file && package.folder
                                   ? realloc(catalog->packages, (catalog->package_count + 1) * sizeof *grown)
                                   : NULL;
    if (!grown) goto out;
    catalog->packages = grown;
    catalog->packages[catalog->package_count++] = package;
    package = (struct bw_package){0};
out:
    free_package(&package);
    bw_buf_free(&json);
    bw_yaml_free(yaml);
}

static void digest(struct bw_package *package)
{
    struct bw_buf text = {0};
    bw_buf_append(&text, package->version, strlen(package->version) + 1);
    bw_buf_append_slice(&text, bw_buf_slice(&package->config));
    if (text.failed) exit(70);
    SHA256((const unsigned char *)text.data, text.len, package->told);
    bw_buf_free(&text);
}

/* A revision of earlier may have a version of the plugin that does not know what the one of today is told. */
static void configure(const struct bw_worker *worker, struct bw_package *package, struct bw_errors *errs)
{
    struct bw_settings settings;
    size_t before = errs->count;
    bw_buf_clear(&package->config);
    json_decref(package->secrets);
    package->secrets = NULL;
    bw_error_clear(&package->fault);
    if (bw_settings_make(worker->configure, package->manifest, &settings, errs)) {
        bw_json_append(&package->config, settings.config);
        package->secrets = json_incref(settings.secrets);
        bw_settings_free(&settings);
        if (package->config.failed) exit(70);
    } else if (errs->count > before) {
        package->fault = errs->items[before];
    } else {
        bw_error_set(&package->fault, "memory", "out of memory");
    }
    digest(package);
}

void bw_offers_configure(const struct bw_worker *worker, struct bw_catalog *catalog, struct bw_errors *errs)
{
    for (size_t i = 0; i < catalog->package_count; i++) configure(worker, &catalog->packages[i], errs);
}

/* ---- all of a revision ---- */

/* A file of a bundled plugin that the instance has replaced by one of its own. */
static bool is_replaced(const struct bw_catalog *catalog, const char *path, const json_t *files)
{
    json_t *file;
    size_t index;
    json_array_foreach(files, index, file)
    {
        const char *manifest = bw_json_str(file, "path", "");
        size_t len = strlen(manifest) - strlen("plugin.yaml");
        char name[64];
        if (strcmp(bw_json_str(file, "kind", ""), BW_FILE_BUNDLED_PACKAGE) != 0 || strncmp(path, manifest, len) != 0) continue;
        struct bw_slice folder = folder_name(manifest);
        snprintf(name, sizeof name, "%.*s", (int)folder.len, folder.ptr);
        const struct bw_package *other = package_named(catalog, name);
        return other && !other->is_bundled;
    }
    return false;
}

static void load_kind(struct bw_worker *worker, struct bw_catalog *catalog, const struct bw_message *message, const char *wanted,
                      struct bw_errors *errs)
{
    const json_t *files = json_object_get(message->head, "files");
    json_t *file;
    size_t index;
    json_array_foreach(files, index, file)
    {
        const char *kind = bw_json_str(file, "kind", ""), *path = bw_json_str(file, "path", "");
        struct bw_slice text = bw_message_part_or(message, file, "part", BW_SLICE(""));
        if (strcmp(kind, wanted) != 0 || is_replaced(catalog, path, files)) continue;
        if (!strcmp(kind, BW_FILE_PACKAGE) || !strcmp(kind, BW_FILE_BUNDLED_PACKAGE))
            load_package(catalog, path, text, !strcmp(kind, BW_FILE_BUNDLED_PACKAGE), errs);
        else if (!strcmp(kind, BW_FILE_MODULE))
            load_module(catalog, path, text, errs);
        else if (!strcmp(kind, BW_FILE_ACTION))
            load_lua_action(worker, catalog, path, text, errs);
        else
            load_compiled(catalog, path, text, !strcmp(kind, BW_FILE_BUNDLED_PLUGIN), errs);
    }
}

/* Is there each plugin that is configured? Of a compiled one that was refused nobody may know the name: it may be that one. */
static void check_configured(const struct bw_worker *worker, const struct bw_catalog *catalog, const json_t *others, struct bw_errors *errs)
{
    const char *names[NAMES_MAX];
    size_t count = 0, index;
    json_t *other;
    if (bw_json_bool(others, "unknown", false)) return;
    json_array_foreach(json_object_get(others, "plugins"), index, other) if (count < NAMES_MAX) names[count++] = json_string_value(other);
    for (size_t i = 0; i < catalog->package_count && count < NAMES_MAX; i++) names[count++] = catalog->packages[i].name;
    for (size_t i = 0; i < catalog->action_count && count < NAMES_MAX; i++) {
        const char *name = bw_json_str(catalog->actions[i]->manifest, "plugin", NULL);
        if (name && (!count || strcmp(name, names[count - 1]) != 0)) names[count++] = name;
    }
    size_t there = count;
    count = bw_offers_unused(catalog, names, count, NAMES_MAX);
    json_t *plugins = json_array(); /* "crm/find" → "crm" */
    for (size_t i = there; i < count; i++) {
        json_array_append_new(plugins, json_stringn(names[i], strcspn(names[i], "/")));
        names[i] = json_string_value(json_array_get(plugins, i - there));
    }
    bw_settings_check_names(worker->configure, names, count, errs);
    json_decref(plugins);
}

size_t bw_offers_unused(const struct bw_catalog *catalog, const char **names, size_t count, size_t most)
{
    size_t index;
    json_t *name;
    json_array_foreach(catalog->unused, index, name) if (count < most) names[count++] = json_string_value(name);
    return count;
}

/* In an order in which each finds what it refers to, and the instance's own comes before what is bundled: the reader lists it first. */
void bw_offers_load(struct bw_worker *worker, struct bw_catalog *catalog, const struct bw_message *message, struct bw_errors *errs)
{
    static const char *const kinds[] = {BW_FILE_PACKAGE, BW_FILE_BUNDLED_PACKAGE, BW_FILE_MODULE,
                                        BW_FILE_PLUGIN,  BW_FILE_ACTION,          BW_FILE_BUNDLED_PLUGIN};
    if (!(catalog->loader = bw_loader_new(&worker->limits))) exit(70);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) load_kind(worker, catalog, message, kinds[i], errs);
    bw_loader_free(catalog->loader);
    catalog->loader = NULL;
    bw_offers_configure(worker, catalog, errs);
    check_configured(worker, catalog, json_object_get(message->head, "others"), errs);
}

void bw_offers_free(struct bw_catalog *catalog)
{
    for (size_t i = 0; i < catalog->action_count; i++) bw_action_free(catalog->actions[i]);
    for (size_t i = 0; i < catalog->module_count; i++) bw_module_free(catalog->modules[i]);
    for (size_t i = 0; i < catalog->package_count; i++) free_package(&catalog->packages[i]);
    free(catalog->actions);
    free(catalog->modules);
    free(catalog->packages);
}
