#include "plugin/settings.h"
#include "base/schema.h"
#include "base/suggest.h"
#include <string.h>

#define NAMES_MAX 256

/* ---- fields ---- */

static bool is_secret(const json_t *field)
{
    return json_is_true(json_object_get(field, "secret"));
}

/* A schema that base/schema.h knows: what is secret is an object with a name in it. */
static json_t *plain_fields(const json_t *fields);
static json_t *plain_field(const json_t *field)
{
    json_t *plain = json_copy((json_t *)field);
    if (!json_is_object(plain)) return plain;
    if (is_secret(field)) {
        json_object_del(plain, "secret");
        json_object_set_new(plain, "type", json_string("object"));
        json_object_set_new(plain, "properties", json_pack("{s:{s:s,s:b}}", "secret", "type", "string", "required", true));
        return plain;
    }
    if (json_is_false(json_object_get(plain, "secret"))) json_object_del(plain, "secret");
    if (json_object_get(plain, "properties")) json_object_set_new(plain, "properties", plain_fields(json_object_get(plain, "properties")));
    if (json_object_get(plain, "items")) json_object_set_new(plain, "items", plain_field(json_object_get(plain, "items")));
    return plain;
}

static json_t *plain_fields(const json_t *fields)
{
    json_t *plain = json_copy((json_t *)fields), *field;
    const char *name;
    json_object_foreach((json_t *)fields, name, field) json_object_set_new(plain, name, plain_field(field));
    return plain;
}

static bool check_secret_field(const json_t *field, const char *path, struct bw_error *err)
{
    static const char *const others[] = {"default", "enum", "format", "min", "max", "max_length", "items", "properties"};
    const char *type = bw_json_str(field, "type", "string");
    if (strcmp(type, "string") != 0) return bw_error_set(err, "schema.invalid", "%s: what is secret is of type string, not %s", path, type);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (json_object_get(field, others[i])) return bw_error_set(err, "schema.invalid", "%s: what is secret has no %s", path, others[i]);
    return true;
}

static bool check_secrets(const json_t *fields, const char *path, struct bw_error *err)
{
    const char *name;
    json_t *field;
    json_object_foreach((json_t *)fields, name, field)
    {
        char inner[200];
        snprintf(inner, sizeof inner, "%s%s%s", path, *path ? "." : "", name);
        for (json_t *at = field; json_is_object(at); at = json_object_get(at, "items")) {
            const json_t *secret = json_object_get(at, "secret");
            if (secret && !json_is_boolean(secret)) return bw_error_set(err, "schema.invalid", "%s: secret must be true or false", inner);
            if (is_secret(at) && !check_secret_field(at, inner, err)) return false;
            if (!check_secrets(json_object_get(at, "properties"), inner, err)) return false;
        }
    }
    return true;
}

bool bw_settings_check_fields(const json_t *fields, struct bw_error *err)
{
    if (!fields) return true;
    if (!check_secrets(fields, "", err)) return false;
    json_t *plain = plain_fields(fields);
    struct bw_schema *schema = bw_schema_load(plain, err);
    json_decref(plain);
    bw_schema_free(schema);
    return schema != NULL;
}

/* ---- what is written ---- */

struct reading {
    const json_t *configure;
    const char *plugin;
    const json_t *places; /* NULL: nothing is written about it */
    struct bw_errors *errs;
    struct bw_settings *out;
};

/* Where it is written; of what is not, what it would have to stand in. */
static void set_place(const struct reading *reading, struct bw_error *err, const char *pointer, bool is_name)
{
    char nearest[1024];
    snprintf(nearest, sizeof nearest, "%s", pointer);
    const json_t *place = json_object_get(reading->places, nearest);
    for (char *slash = nearest; !place && (slash = strrchr(nearest, '/')); is_name = true) {
        *slash = '\0';
        place = json_object_get(reading->places, nearest);
    }
    bw_error_at(err, bw_json_str(reading->configure, "file", NULL), (int)json_integer_value(json_array_get(place, is_name ? 0 : 2)),
                (int)json_integer_value(json_array_get(place, is_name ? 1 : 3)));
}

static void add_error(const struct reading *reading, const struct bw_error *why, const char *pointer)
{
    struct bw_error *err = bw_errors_add(reading->errs, why->code, "configure.%s: %s", reading->plugin, why->message);
    if (*why->hint) bw_error_hint(err, "%s", why->hint);
    set_place(reading, err, pointer, !strcmp(why->code, "configure.unknown"));
}

static void add_secret_error(const struct reading *reading, const char *path, const char *pointer, const char *name)
{
    const json_t *secrets = json_object_get(reading->configure, "secrets");
    const char *names[NAMES_MAX];
    struct bw_error err;
    size_t index, count = 0;
    json_t *secret;
    if (!name) {
        bw_error_set(&err, "configure.secret", "%s is secret: its value is never written into the configuration", path);
        bw_error_hint(&err, "write {secret: NAME}, with a NAME of `secrets`");
        add_error(reading, &err, pointer);
        return;
    }
    json_array_foreach(secrets, index, secret) if (count < NAMES_MAX) names[count++] = json_string_value(secret);
    const char *near = bw_suggest(bw_slice_of(name), names, count);
    bw_error_set(&err, "configure.secret", "%s: the instance has no secret '%s'", path, name);
    if (near)
        bw_error_hint(&err, "did you mean '%s'?", near);
    else
        bw_error_hint(&err, "add it there: secrets: {%s: {env: %s}}, and start the engine again", name, name);
    add_error(reading, &err, pointer);
}

static bool has_text(const json_t *array, const char *text)
{
    size_t index;
    json_t *item;
    json_array_foreach(array, index, item) if (bw_slice_is(bw_json_slice(item), text)) return true;
    return false;
}

/* The names of secrets below this value. Everything that is secret and no name is an error here, so that the schema never quotes it. */
static void take_secrets(const struct reading *reading, const json_t *field, const json_t *value, const char *path, const char *pointer)
{
    const json_t *items = json_object_get(field, "items"), *properties = json_object_get(field, "properties");
    char inner[200], deeper[1024];
    const char *name;
    size_t index;
    json_t *item;
    if (is_secret(field)) {
        const char *given = json_object_size(value) == 1 ? bw_json_str(value, "secret", NULL) : NULL;
        if (!given || !has_text(json_object_get(reading->configure, "secrets"), given))
            add_secret_error(reading, path, pointer, given);
        else if (!has_text(reading->out->secrets, given))
            json_array_append_new(reading->out->secrets, json_string(given));
        return;
    }
    if (items) json_array_foreach(value, index, item)
        {
            snprintf(inner, sizeof inner, "%s[%zu]", path, index + 1);
            snprintf(deeper, sizeof deeper, "%s/%zu", pointer, index);
            take_secrets(reading, items, item, inner, deeper);
        }
    json_object_foreach((json_t *)value, name, item)
    {
        const json_t *property = json_object_get(properties, name);
        snprintf(inner, sizeof inner, "%s.%s", path, name);
        snprintf(deeper, sizeof deeper, "%s/%s", pointer, name);
        if (property) take_secrets(reading, property, item, inner, deeper);
    }
}

/* Each field by itself: one that is wrong hides no other. */
static void take_field(const struct reading *reading, const char *name, const json_t *field)
{
    json_t *config = reading->out->config, *value = json_object_get(config, name), *fields = json_object(), *alone = json_object();
    struct bw_buf pointer = {0};
    struct bw_error err;
    size_t before = reading->errs->count;
    char place[256];
    snprintf(place, sizeof place, "/%s", name);
    if (value) take_secrets(reading, field, value, name, place);
    json_object_set_new(fields, name, plain_field(field));
    if (value) json_object_set(alone, name, value);
    struct bw_schema *schema = before == reading->errs->count ? bw_schema_load(fields, &err) : NULL;
    if (schema && bw_schema_check_placed(schema, alone, "configure", &pointer, &err))
        json_object_update(config, alone);
    else if (before == reading->errs->count)
        add_error(reading, &err, pointer.data ? pointer.data : "");
    bw_schema_free(schema);
    bw_buf_free(&pointer);
    json_decref(fields);
    json_decref(alone);
}

/* What is there and should not be. */
static void check_unknown(const struct reading *reading, const json_t *fields)
{
    const char *name, *known[NAMES_MAX];
    size_t count = 0;
    json_t *ignored;
    json_object_foreach((json_t *)fields, name, ignored) if (count < NAMES_MAX) known[count++] = name;
    json_object_foreach(reading->out->config, name, ignored)
    {
        struct bw_error err;
        struct bw_buf pointer = {0};
        if (json_object_get(fields, name)) continue;
        const char *near = bw_suggest(bw_slice_of(name), known, count);
        bw_error_set(&err, "configure.unknown", count ? "there is no field '%s'" : "the plugin takes no configuration, '%s' is too much", name);
        if (near) bw_error_hint(&err, "did you mean '%s'?", near);
        bw_buf_append_pointer(&pointer, bw_slice_of(name));
        add_error(reading, &err, pointer.data ? pointer.data : "");
        bw_buf_free(&pointer);
    }
}

/* ---- paths ---- */

bool bw_settings_holds_paths(const json_t *fields, const char *name)
{
    const json_t *field = json_object_get(fields, name);
    bool is_list = !strcmp(bw_json_str(field, "type", ""), "array");
    return !strcmp(bw_json_str(is_list ? json_object_get(field, "items") : field, "type", ""), "string");
}

bool bw_settings_is_choice(const json_t *fields, const char *name)
{
    return !strcmp(bw_json_str(json_object_get(fields, name), "type", ""), "boolean");
}

static void add_path(const struct reading *reading, const char *kind, const char *name, const json_t *value, const char *pointer)
{
    const char *path = json_string_value(value);
    struct bw_error err;
    if (path && *path == '/') {
        json_array_append_new(reading->out->needs, json_sprintf("%.5s:%s", kind, path));
        return;
    }
    bw_error_set(&err, "configure.path", "%s must be a path from the root, as the plugin may open what is there", name);
    add_error(reading, &err, pointer);
}

/* "files:$folder" → "folder"; NULL: the configuration has no say in this need. */
static const char *field_of(const char *need)
{
    const char *field = need ? strchr(need, ':') : NULL;
    return field && field[1] == '$' ? field + 2 : NULL;
}

static void take_needs(const struct reading *reading, const json_t *needs)
{
    json_t *need, *item;
    size_t index, at;
    json_array_foreach(needs, index, need)
    {
        const char *text = json_string_value(need), *name = field_of(text);
        const json_t *value = name ? json_object_get(reading->out->config, name) : NULL;
        char pointer[256];
        if (!name) json_array_append(reading->out->needs, need);
        if (json_is_true(value)) json_array_append_new(reading->out->needs, json_stringn(text, (size_t)(name - text) - 2));
        snprintf(pointer, sizeof pointer, "/%s", name ? name : "");
        if (json_is_string(value)) add_path(reading, text, name, value, pointer);
        json_array_foreach(value, at, item)
        {
            snprintf(pointer, sizeof pointer, "/%s/%zu", name, at);
            add_path(reading, text, name, item, pointer);
        }
    }
}

bool bw_settings_make(const json_t *configure, const json_t *manifest, struct bw_settings *out, struct bw_errors *errs)
{
    const json_t *fields = json_object_get(manifest, "config"), *written;
    struct reading reading = {.configure = configure, .plugin = bw_json_str(manifest, "name", ""), .errs = errs, .out = out};
    size_t before = errs->count;
    const char *name;
    json_t *field;
    written = json_object_get(json_object_get(configure, "plugins"), reading.plugin);
    reading.places = json_object_get(written, "places");
    out->config = json_is_object(json_object_get(written, "config")) ? json_deep_copy(json_object_get(written, "config")) : json_object();
    out->secrets = json_array();
    out->needs = json_array();
    if (!out->config || !out->secrets || !out->needs) {
        bw_errors_add(errs, "memory", "out of memory");
    } else {
        check_unknown(&reading, fields);
        json_object_foreach((json_t *)fields, name, field) take_field(&reading, name, field);
        if (errs->count == before) take_needs(&reading, json_object_get(manifest, "needs"));
    }
    if (errs->count == before) return true;
    bw_settings_free(out);
    return false;
}

void bw_settings_free(struct bw_settings *settings)
{
    json_decref(settings->config);
    json_decref(settings->secrets);
    json_decref(settings->needs);
    *settings = (struct bw_settings){0};
}

/* ---- what it may need ---- */

/* A path that goes up again is nowhere in particular. */
static bool is_beneath(const char *folder, const char *path)
{
    size_t len = strlen(folder), path_len = strlen(path);
    if (strstr(path, "/../") || (path_len > 3 && !strcmp(path + path_len - 3, "/.."))) return false;
    while (len && folder[len - 1] == '/') len--;
    return !strncmp(folder, path, len) && path[len] == '/';
}

/* A folder covers what is beneath it, and whoever may write may read. */
static bool covers(const char *allowed, const char *need)
{
    bool is_read = !strncmp(need, "reads:", 6);
    if (!strcmp(allowed, need)) return true;
    if (!is_read && strncmp(need, "files:", 6) != 0) return false;
    bool is_folder = !strncmp(allowed, "files:", 6) || (is_read && !strncmp(allowed, "reads:", 6));
    return is_folder && (!strcmp(allowed + 6, need + 6) || is_beneath(allowed + 6, need + 6));
}

static const char *first_not_allowed(const json_t *allowed, const json_t *needs)
{
    size_t i, k;
    json_t *need, *one;
    json_array_foreach(needs, i, need)
    {
        bool is_covered = field_of(json_string_value(need)) != NULL; /* what stands in the same bellwire.yaml is its author's own */
        json_array_foreach(allowed, k, one) is_covered = is_covered || covers(json_string_value(one), json_string_value(need));
        if (!is_covered) return json_string_value(need);
    }
    return NULL;
}

enum bw_settings_may bw_settings_may(const json_t *configure, const json_t *manifest, struct bw_error *err)
{
    const char *name = bw_json_str(manifest, "name", "");
    const json_t *may = json_object_get(configure, "may"), *own = json_object_get(may, name), *entry = own ? own : json_object_get(may, "*");
    const json_t *allowed = json_object_get(entry, "needs"), *needs = json_object_get(manifest, "needs"), *at = json_object_get(entry, "at");
    const char *missing = entry ? first_not_allowed(allowed, needs) : NULL;
    struct bw_buf line = {0};
    if (!missing) return BW_PLUGIN_MAY_BE;
    if (own && !json_array_size(allowed)) return BW_PLUGIN_IS_OFF;
    bw_json_append(&line, needs);
    bw_error_set(err, "configure.needs", "the plugin %s needs %s, which plugins_may does not let it", name, missing);
    if (line.data) bw_error_hint(err, "write there %s: %.150s; or %s: [] to be without it", name, line.data, name);
    bw_error_at(err, bw_json_str(configure, "file", NULL), (int)json_integer_value(json_array_get(at, 0)),
                (int)json_integer_value(json_array_get(at, 1)));
    bw_buf_free(&line);
    return BW_PLUGIN_MAY_NOT_BE;
}

/* ---- all of it ---- */

static void check_name(const json_t *configure, const char *name, int line, int column, const char *const *names, size_t count,
                       struct bw_errors *errs)
{
    size_t i = 0;
    while (i < count && strcmp(names[i], name) != 0) i++;
    if (i < count) return;
    const char *near = bw_suggest(bw_slice_of(name), names, count);
    struct bw_error *err = bw_errors_add(errs, "configure.plugin", "there is no plugin '%s' to be configured", name);
    if (near)
        bw_error_hint(err, "did you mean '%s'?", near);
    else
        bw_error_hint(err, "a plugin is configured by the name in its manifest: bellwire actions show says it");
    bw_error_at(err, bw_json_str(configure, "file", NULL), line, column);
}

void bw_settings_check_names(const json_t *configure, const char *const *names, size_t count, struct bw_errors *errs)
{
    const char *name;
    json_t *plugin;
    json_object_foreach(json_object_get(configure, "plugins"), name, plugin)
    {
        const json_t *place = json_object_get(json_object_get(plugin, "places"), "");
        check_name(configure, name, (int)json_integer_value(json_array_get(place, 0)), (int)json_integer_value(json_array_get(place, 1)), names,
                   count, errs);
    }
    json_object_foreach(json_object_get(configure, "may"), name, plugin)
    {
        const json_t *place = json_object_get(plugin, "at");
        if (strcmp(name, "*") != 0)
            check_name(configure, name, (int)json_integer_value(json_array_get(place, 0)), (int)json_integer_value(json_array_get(place, 1)), names,
                       count, errs);
    }
}

static bool are_as_free(const json_t *may, const json_t *other)
{
    const char *name;
    json_t *entry;
    json_object_foreach((json_t *)may, name,
                        entry) if (!json_equal(json_object_get(entry, "needs"), json_object_get(json_object_get(other, name), "needs"))) return false;
    return json_object_size(may) == json_object_size(other);
}

static bool is_among(const json_t *plugins, const json_t *others)
{
    const char *name;
    json_t *plugin;
    json_object_foreach((json_t *)plugins, name, plugin)
    {
        const json_t *config = json_object_get(plugin, "config"), *other = json_object_get(json_object_get(others, name), "config");
        if (!other || !json_equal(config, other)) return false;
    }
    return true;
}

bool bw_settings_is_configured(const json_t *configure, const char *plugin)
{
    return json_object_get(json_object_get(configure, "plugins"), plugin) != NULL;
}

bool bw_settings_equal(const json_t *configure, const json_t *other)
{
    const json_t *plugins = json_object_get(configure, "plugins"), *others = json_object_get(other, "plugins");
    return json_object_size(plugins) == json_object_size(others) && is_among(plugins, others) &&
           are_as_free(json_object_get(configure, "may"), json_object_get(other, "may"));
}
