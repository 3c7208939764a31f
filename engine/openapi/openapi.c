#include "base/yaml.h"
#include "openapi/internal.h"
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPEC_BYTES_MAX (64u << 20)
#define SPEC_NODES_MAX 4000000
#define SNAKE_MAX 60
#define DOC_MAX 160

json_t *bw_openapi_load(struct bw_slice text, const char *file, struct bw_error *err)
{
    const struct bw_yaml_limits limits = {.bytes = SPEC_BYTES_MAX, .nodes = SPEC_NODES_MAX};
    struct bw_slice rest = text;
    while (rest.len && isspace((unsigned char)*rest.ptr)) rest.ptr++, rest.len--;
    if (rest.len && *rest.ptr == '{') {
        json_t *spec = bw_json_load(text, err);
        if (!spec) bw_error_at(err, file, err->line, err->column);
        return spec;
    }
    struct bw_yaml *yaml = bw_yaml_load(text, file, &limits, err);
    struct bw_buf json = {0};
    if (!yaml) return NULL;
    bw_yaml_to_json(bw_yaml_root(yaml, 0), &json);
    bw_yaml_free(yaml);
    json_t *spec = bw_json_load(bw_buf_slice(&json), err);
    bw_buf_free(&json);
    return spec;
}

char *bw_openapi_snake(const char *text)
{
    struct bw_buf out = {0};
    bool was_low = false;
    for (; *text && out.len < SNAKE_MAX; text++) {
        unsigned char c = (unsigned char)*text;
        bool is_new_word = isupper(c) && (was_low || (out.len && islower((unsigned char)text[1]) && isupper((unsigned char)text[-1])));
        if (is_new_word && out.len && out.data[out.len - 1] != '_') bw_buf_append_char(&out, '_');
        if (c < 0x80 && isalnum(c))
            bw_buf_append_char(&out, (char)tolower(c));
        else if (out.len && out.data[out.len - 1] != '_')
            bw_buf_append_char(&out, '_');
        was_low = islower(c) || isdigit(c);
    }
    while (out.len && out.data[out.len - 1] == '_') out.len--;
    char *snake = out.len ? bw_slice_dup(bw_buf_slice(&out)) : strdup("unnamed");
    bw_buf_free(&out);
    return snake;
}

json_t *bw_openapi_doc(const char *text)
{
    struct bw_buf out = {0};
    while (isspace((unsigned char)*text)) text++;
    for (; *text && out.len < DOC_MAX; text++) {
        bool is_blank = iscntrl((unsigned char)*text) || *text == ' ';
        if (*text == '\n' && text[1] == '\n') break; /* a paragraph */
        if (*text == '.' && (text[1] == '\n' || text[1] == '\0')) break;
        if (!is_blank) bw_buf_append_char(&out, *text);
        if (is_blank && out.len && out.data[out.len - 1] != ' ') bw_buf_append_char(&out, ' ');
    }
    while (*text && out.len && ((unsigned char)*text & 0xc0) == 0x80) { /* cut in a character: it goes as a whole */
        bool is_first = ((unsigned char)out.data[out.len - 1] & 0xc0) == 0xc0;
        out.len--;
        if (is_first) break;
    }
    while (out.len && out.data[out.len - 1] == ' ') out.len--;
    json_t *doc = json_stringn(out.data ? out.data : "", out.len);
    bw_buf_free(&out);
    return doc;
}

void bw_openapi_note(struct bw_converting *converting, const char *format, ...)
{
    char text[600];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (char *at = text; *at; at++)
        if (iscntrl((unsigned char)*at)) *at = ' ';
    bw_made_add_note(&converting->out->made, text);
}

/* The first server, with its variables filled in; "" if it is none that can be asked. */
static char *find_base(const json_t *spec)
{
    const json_t *server = json_array_get(json_object_get(spec, "servers"), 0);
    const char *url = bw_json_str(server, "url", "");
    struct bw_buf out = {0};
    for (; *url; url++) {
        const char *end = *url == '{' ? strchr(url, '}') : NULL;
        if (!end) {
            bw_buf_append_char(&out, *url);
            continue;
        }
        char *name = bw_slice_dup((struct bw_slice){url + 1, (size_t)(end - url - 1)});
        bw_buf_append_text(&out, bw_json_str(json_object_get(json_object_get(server, "variables"), name ? name : ""), "default", ""));
        free(name);
        url = end;
    }
    while (out.len && out.data[out.len - 1] == '/') out.len--;
    bool is_absolute = out.len > 8 && (!strncmp(out.data, "https://", 8) || !strncmp(out.data, "http://", 7));
    char *base = is_absolute ? bw_slice_dup(bw_buf_slice(&out)) : strdup("");
    bw_buf_free(&out);
    return base;
}

/* "2.1" → "2.1.0", "2023-01-31" and other things that are no version → "1.0.0" */
static void read_version(const json_t *spec, char version[32])
{
    const char *text = bw_json_str(json_object_get(spec, "info"), "version", "");
    unsigned major, minor = 0, patch = 0;
    int used = 0;
    if (*text == 'v') text++;
    bool is_version =
        (sscanf(text, "%3u.%5u.%5u%n", &major, &minor, &patch, &used) == 3 || (patch = 0, sscanf(text, "%3u.%5u%n", &major, &minor, &used) == 2) ||
         (minor = 0, sscanf(text, "%3u%n", &major, &used) == 1)) &&
        !text[used];
    if (!is_version) major = 1, minor = patch = 0;
    snprintf(version, 32, "%u.%u.%u", major, minor, patch);
}

static void convert_paths(struct bw_converting *converting, const char *only)
{
    static const char *const methods[] = {"get", "put", "post", "delete", "options", "head", "patch"};
    const char *path;
    json_t *item;
    json_object_foreach(json_object_get(converting->spec, "paths"), path, item)
    {
        const json_t *resolved = bw_openapi_resolve(converting->spec, item);
        for (size_t i = 0; *path == '/' && i < sizeof methods / sizeof *methods; i++) {
            const json_t *operation = json_object_get(resolved, methods[i]);
            if (json_is_object(operation)) bw_openapi_operation(converting, methods[i], path, resolved, operation, only);
        }
    }
}

/* JSON is YAML, so the values are written as such. */
static void write_manifest(struct bw_converting *converting, struct bw_buf *out)
{
    const struct bw_openapi *made = converting->out;
    const char *name;
    json_t *field;
    bw_buf_printf(out, "name: %s\nversion: %s\ndoc: ", made->name, converting->version);
    bw_buf_append_json_string(out, bw_slice_of(made->title));
    bw_buf_append_text(out, "\nconfig:\n");
    json_object_foreach(converting->config, name, field)
    {
        bw_buf_printf(out, "  %s: ", name);
        bw_json_append(out, field);
        bw_buf_append_char(out, '\n');
    }
}

static bool begin(struct bw_converting *converting, const struct bw_openapi_options *options, struct bw_error *err)
{
    const json_t *spec = converting->spec;
    struct bw_openapi *out = converting->out;
    const char *version = bw_json_str(spec, "openapi", "");
    json_t *title = bw_openapi_doc(bw_json_str(json_object_get(spec, "info"), "title", "an API"));
    if (strncmp(version, "3.0", 3) != 0 && strncmp(version, "3.1", 3) != 0) {
        json_decref(title);
        bool is_old = json_object_get(spec, "swagger") != NULL;
        bw_error_set(err, "openapi.version",
                     *version ? "this is OpenAPI %.20s"
                     : is_old ? "this is Swagger 2%.0s"
                              : "this is no OpenAPI description: it has no `openapi`%.0s",
                     version);
        bw_error_hint(err, *version || is_old ? "3.0 and 3.1 are read: convert it first"
                                              : "it begins with openapi: 3.1.0, or as JSON with {\"openapi\": \"3.1.0\"");
        return false;
    }
    out->title = bw_slice_dup(bw_json_slice(title));
    out->name = options->name ? strdup(options->name) : bw_openapi_snake(out->title ? out->title : "");
    out->base_url = options->base_url ? strdup(options->base_url) : find_base(spec);
    json_decref(title);
    read_version(spec, converting->version);
    if (!out->title || !out->name || !out->base_url || !bw_made_add_file(&out->made, strdup("plugin.yaml"), false))
        return bw_error_set(err, "memory", "out of memory");
    json_object_set_new(converting->config, "base_url",
                        *out->base_url ? json_pack("{s:s,s:s,s:s}", "type", "string", "default", out->base_url, "doc", "where the API is")
                                       : json_pack("{s:s,s:b,s:s}", "type", "string", "required", true, "doc", "where the API is"));
    return true;
}

bool bw_openapi_convert(const json_t *spec, const struct bw_openapi_options *options, struct bw_openapi *out, struct bw_error *err)
{
    struct bw_converting converting = {.spec = spec, .out = out, .config = json_object(), .schemes = json_object(), .names = json_object()};
    *out = (struct bw_openapi){0};
    bool good = begin(&converting, options, err);
    if (good) {
        convert_paths(&converting, options->only);
        write_manifest(&converting, &out->made.files[0].text);
        good =
            out->made.file_count > 1 ||
            bw_error_set(err, "openapi.empty", options->only ? "no operation has a name like %.100s" : "it has no operation that can be called%.0s",
                         options->only ? options->only : "");
    }
    if (good && (converting.is_out_of_memory || !bw_made_is_whole(&out->made) || out->auth.failed))
        good = bw_error_set(err, "memory", "out of memory");
    json_decref(converting.config);
    json_decref(converting.schemes);
    json_decref(converting.names);
    if (!good) bw_openapi_free(out);
    return good;
}

void bw_openapi_free(struct bw_openapi *out)
{
    bw_made_free(&out->made);
    free(out->name);
    free(out->title);
    free(out->base_url);
    bw_buf_free(&out->auth);
    *out = (struct bw_openapi){0};
}
