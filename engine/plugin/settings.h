/* settings.h: what a plugin is told by `configure` of bellwire.yaml, checked against the `config` of its manifest. The same for a plugin in C and for
 * one in Lua: the manifest's `config` is a map of fields as in `inputs`, and `configure` is the JSON that config/configure.h makes.
 *
 *     struct bw_settings settings;
 *     if (bw_settings_make(configure, manifest, &settings, &errs)) …   // errs: every fault with file:line:column, and "did you mean"
 *     settings.config    what the plugin gets: as written, defaults filled in. A secret in it is {"secret": NAME}, never its value
 *     settings.needs     as the manifest's, "files:$FIELD" being the path (or each of the paths) that this field of the configuration holds,
 *                        and "network:$FIELD" being "network" if that field is true, and nothing if not
 *     settings.secrets   [NAME…]: what all of the plugin's actions may read because of that, whatever the workflow lists
 *     bw_settings_free(&settings);
 *
 * A field with "secret": true (of type string) is written {secret: NAME}, NAME being one of the instance's secrets. Manifests and configurations that
 * are not as they should be are errors, nothing else. Any thread; nothing is kept. */
#ifndef BW_PLUGIN_SETTINGS_H
#define BW_PLUGIN_SETTINGS_H
#include "base/error.h"
#include "base/json.h"

struct bw_settings {
    json_t *config;  /* object */
    json_t *secrets; /* array of names, each once */
    json_t *needs;   /* what the manifest needs, with the paths that the configuration names */
};
/* Is this field one that "files:$FIELD" can name: a text, or a list of texts? */
bool bw_settings_holds_paths(const json_t *fields, const char *name);
bool bw_settings_is_choice(const json_t *fields, const char *name); /* true or false: what "network:$FIELD" can name */
/* Is this what a manifest may have under `config`? NULL: it has none. err: schema.invalid */
bool bw_settings_check_fields(const json_t *fields, struct bw_error *err);
/* manifest: {name, config?, …}. configure NULL: the plugin is told nothing. False: errs has what is wrong, and `out` is empty. Codes: configure.type,
 * .missing, .unknown, .enum, .range, .format, .secret, .path */
bool bw_settings_make(const json_t *configure, const json_t *manifest, struct bw_settings *out, struct bw_errors *errs);
void bw_settings_free(struct bw_settings *settings);
/* By `plugins_may`. OFF: it may need nothing, by its name, and does: whoever wrote that does not want it. NOT: err says what is not allowed, where it
 * would have to be, and the line to write (configure.needs). */
enum bw_settings_may { BW_PLUGIN_MAY_BE, BW_PLUGIN_IS_OFF, BW_PLUGIN_MAY_NOT_BE };
enum bw_settings_may bw_settings_may(const json_t *configure, const json_t *manifest, struct bw_error *err);
/* An error for each plugin that is told something, or may need something, and is none of `names`, the names of all plugins that there are. */
void bw_settings_check_names(const json_t *configure, const char *const *names, size_t count, struct bw_errors *errs);
/* Is anything written about this plugin? */
bool bw_settings_is_configured(const json_t *configure, const char *plugin);
/* Do both tell every plugin the same, and let it be the same? Where that is written does not matter. */
bool bw_settings_equal(const json_t *configure, const json_t *other);
#endif
