/* Loading a plugin: refused with the reason and the cure, never half-loaded. */
#include "host/internal.h"
#include "plugin/manifest.h"
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The fields that ABI 1 began with; a smaller struct was built against something else. */
#define PLUGIN_SIZE_ABI_1 (offsetof(struct bw_plugin, fini) + sizeof(void (*)(void *)))

/* A plugin that finds its libraries by $ORIGIN finds them only from its own path. */
static void *open_library(const char *path, int copy)
{
    char name[32];
    snprintf(name, sizeof name, "/proc/self/fd/%d", copy);
    void *library = copy < 0 ? NULL : dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (copy >= 0) close(copy);
    return library ? library : dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

bool bw_host_has_health(const struct bw_plugin *plugin)
{
    return plugin->size >= offsetof(struct bw_plugin, health) + sizeof plugin->health && plugin->health;
}

const struct bw_plugin *bw_host_load(const char *path, int copy, json_t **manifest, struct bw_error *err)
{
    const struct bw_plugin *plugin;
    void *library = open_library(path, copy);
    if (!library) {
        const char *reason = dlerror();
        bw_error_set(err, "plugin.not_loadable", "%s", reason ? reason : "dlopen failed");
        bw_error_hint(err,
                      "build it as a shared object for this machine: cc -shared -fPIC, with all libraries that it uses; ldd -r says what is missing");
        return NULL;
    }
    if (!(plugin = dlsym(library, "bellwire_plugin"))) {
        bw_error_set(err, "plugin.no_symbol", "it does not export `bellwire_plugin`");
        bw_error_hint(err, "export it: BELLWIRE_PLUGIN_EXPORT const struct bw_plugin bellwire_plugin = {…}");
        return NULL;
    }
    if (plugin->size < PLUGIN_SIZE_ABI_1 || plugin->abi != BELLWIRE_PLUGIN_ABI) {
        bw_error_set(err, "plugin.abi", "it was built for ABI %u (struct of %zu bytes), this Bellwire speaks ABI %d", plugin->abi, plugin->size,
                     BELLWIRE_PLUGIN_ABI);
        bw_error_hint(err, "rebuild it against the bellwire_plugin.h of this version");
        return NULL;
    }
    if (!plugin->manifest || !plugin->execute) {
        bw_error_set(err, "plugin.incomplete", "its struct lacks %s", plugin->manifest ? "execute" : "manifest");
        return NULL;
    }
    return (*manifest = bw_manifest_load(plugin->manifest, err)) ? plugin : NULL;
}
