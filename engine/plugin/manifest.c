#include "plugin/manifest.h"
#include "base/confine.h"
#include "base/schema.h"
#include "base/suggest.h"
#include "plugin/settings.h"
#include "workflow/retry.h"
#include <string.h>

static const char *const plugin_keys[] = {"name", "version", "doc", "actions", "needs", "config"};
static const char *const action_keys[] = {"name",   "version", "doc",       "inputs", "outputs", "secrets",
                                          "effect", "timeout", "heartbeat", "limit",  "retry"};

static bool check_keys(const json_t *object, const char *where, const char *const *known, size_t count, struct bw_error *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        size_t i = 0;
        while (i < count && strcmp(known[i], key)) i++;
        if (i < count) continue;
        const char *near = bw_suggest(bw_slice_of(key), known, count);
        bw_error_set(err, "plugin.manifest", "unknown key '%s' in %s", key, where);
        if (near) bw_error_hint(err, "did you mean '%s'?", near);
        return false;
    }
    return true;
}

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

static bool is_action_name(const char *name)
{
    const char *slash = strchr(name, '/');
    if (!slash || slash == name || !slash[1] || strlen(name) > 128) return false;
    for (const char *c = name; *c; c++)
        if (!is_name_char(*c) && c != slash) return false;
    return true;
}

static bool check_fields(const json_t *action, const char *name, const char *key, struct bw_error *err)
{
    const json_t *fields = json_object_get(action, key);
    struct bw_error inner;
    if (!fields) return true;
    struct bw_schema *schema = bw_schema_load(fields, &inner);
    if (!schema) return bw_error_set(err, "plugin.manifest", "%s of action %s: %s", key, name, inner.message);
    bw_schema_free(schema);
    return true;
}

static bool check_retry(const json_t *action, const char *name, struct bw_error *err)
{
    const json_t *retry = json_object_get(action, "retry");
    struct bw_retry ignored = bw_retry_unset;
    struct bw_error inner;
    const char *key;
    json_t *value;
    if (retry && !json_is_object(retry))
        return bw_error_set(err, "plugin.manifest", "retry of action %s must be an object such as {\"attempts\": 3}", name);
    json_object_foreach((json_t *)retry, key, value)
    {
        if (!bw_retry_set(&ignored, key, value, &inner)) return bw_error_set(err, "plugin.manifest", "retry of action %s: %s", name, inner.message);
    }
    return true;
}

static bool check_action(json_t *action, const char *version, struct bw_error *err)
{
    const char *name = bw_json_str(action, "name", NULL);
    const char *effect = bw_json_str(action, "effect", "write");
    if (!json_is_object(action) || !name || !is_action_name(name))
        return bw_error_set(err, "plugin.manifest", "every action needs a name like \"ns/name\" of [a-z0-9_-], found '%s'", name ? name : "nothing");
    if (!check_keys(action, name, action_keys, sizeof action_keys / sizeof *action_keys, err)) return false;
    if (strcmp(effect, "none") && strcmp(effect, "read") && strcmp(effect, "write"))
        return bw_error_set(err, "plugin.manifest", "effect of action %s must be none, read or write, found '%s'", name, effect);
    if (!check_retry(action, name, err)) return false;
    if (!check_fields(action, name, "inputs", err) || !check_fields(action, name, "outputs", err)) return false;
    if (!json_object_get(action, "version")) json_object_set_new(action, "version", json_string(version));
    return true;
}

static bool is_need(const char *text, const json_t *config)
{
    if (bw_need_is_known(text)) return true;
    if (!strncmp(text, "files:$", 7) || !strncmp(text, "reads:$", 7)) return bw_settings_holds_paths(config, text + 7);
    if (!strncmp(text, "network:$", 9)) return bw_settings_is_choice(config, text + 9);
    return !strncmp(text, "unix:$", 6) && bw_settings_is_choice(config, text + 6);
}

static bool check_needs(const json_t *needs, const json_t *config, struct bw_error *err)
{
    json_t *need;
    size_t index;
    if (needs && !json_is_array(needs)) return bw_error_set(err, "plugin.manifest", "needs must be a list such as [\"network\"]");
    json_array_foreach(needs, index, need)
    {
        const char *text = json_string_value(need);
        if (text && is_need(text, config)) continue;
        bw_error_set(err, "plugin.manifest", "a plugin cannot need '%s'", text ? text : "what is no text");
        bw_error_hint(err, "needs may hold \"network\", \"unix\", \"exec\", \"groups\", \"files:PATH\" and \"reads:PATH\" with a PATH from the root, "
                           "\"files:$FIELD\" with a field of config that holds such a path, or a list of them, and \"network:$FIELD\" with one "
                           "that is true or false");
        return false;
    }
    return true;
}

static bool check_config(const json_t *fields, struct bw_error *err)
{
    struct bw_error inner;
    if (bw_settings_check_fields(fields, &inner)) return true;
    bw_error_set(err, "plugin.manifest", "config: %s", inner.message);
    if (*inner.hint) bw_error_hint(err, "%s", inner.hint);
    return false;
}

/* What is said once of the plugin holds for each of its actions, and is told with them. */
static void hand_down(const json_t *manifest, json_t *action)
{
    json_t *needs = json_object_get(manifest, "needs"), *config = json_object_get(manifest, "config");
    json_object_set(action, "plugin", json_object_get(manifest, "name"));
    if (needs) json_object_set(action, "needs", needs);
    if (config) json_object_set(action, "config", config);
}

json_t *bw_manifest_load(const char *text, struct bw_error *err)
{
    struct bw_error inner;
    json_t *manifest = bw_json_load(bw_slice_of(text), &inner), *actions, *action;
    size_t index;
    const char *version;
    if (!manifest) {
        bw_error_set(err, "plugin.manifest", "the manifest is no JSON: %s at line %d, column %d", inner.message, inner.line, inner.column);
        return NULL;
    }
    if (!json_is_object(manifest)) {
        bw_error_set(err, "plugin.manifest", "the manifest must be a JSON object");
        goto fail;
    }
    if (!check_keys(manifest, "the manifest", plugin_keys, sizeof plugin_keys / sizeof *plugin_keys, err)) goto fail;
    version = bw_json_str(manifest, "version", NULL);
    actions = json_object_get(manifest, "actions");
    if (!*bw_json_str(manifest, "name", "") || !version || *version < '0' || *version > '9') {
        bw_error_set(err, "plugin.manifest", "the manifest needs a \"name\" and a \"version\" like \"1.0.0\"");
        goto fail;
    }
    if (!json_array_size(actions)) {
        bw_error_set(err, "plugin.manifest", "the manifest offers no action: \"actions\" must be a list with at least one");
        goto fail;
    }
    if (!check_needs(json_object_get(manifest, "needs"), json_object_get(manifest, "config"), err) ||
        !check_config(json_object_get(manifest, "config"), err))
        goto fail;
    json_array_foreach(actions, index, action)
    {
        if (!check_action(action, version, err)) goto fail;
        hand_down(manifest, action);
    }
    return manifest;
fail:
    json_decref(manifest);
    return NULL;
}
