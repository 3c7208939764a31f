#include "config/manners.h"
#include "config/keys.h"
#include <stdlib.h>
#include <strings.h>

#define HEADERS_MAX 8
#define TEXT_BYTES_MAX 4096
#define PATTERNS_MAX 16
#define PATTERN_BYTES_MAX 100
#define TEXT_TYPE "text/plain; charset=utf-8"

/* ---- acknowledge ---- */

/* RFC 9110, 5.6.2 */
static bool is_token(struct bw_slice text)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || memchr(others, c, sizeof others - 1))) return false;
    }
    return text.len > 0;
}

static bool is_line(struct bw_slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f) return false;
    return true;
}

/* What the transport says by itself. */
static bool is_ours(struct bw_slice name)
{
    static const char *const names[] = {"content-length", "transfer-encoding", "connection", "date", "upgrade", "trailer"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (bw_slice_is_nocase(name, names[i])) return true;
    return false;
}

bool bw_acknowledge_can_have(struct bw_slice name, struct bw_slice value)
{
    return is_token(name) && !is_ours(name) && value.len <= TEXT_BYTES_MAX && is_line(value);
}

static void read_headers(const struct bw_key_context *context, const struct bw_yaml_node *map, struct bw_acknowledge *out)
{
    if (map->kind != BW_YAML_MAP || map->count > HEADERS_MAX) {
        bw_key_error(context, map, "config.type", NULL, "acknowledge.headers must be a map of at most %d names to texts", HEADERS_MAX);
        return;
    }
    for (size_t i = 0; i < map->count; i++) {
        struct bw_slice name = map->pairs[i].key->text, value = map->pairs[i].value->text;
        bool is_text = value.ptr && map->pairs[i].value->kind != BW_YAML_NULL;
        if (!is_text || !bw_acknowledge_can_have(name, value)) {
            bw_key_error(context, map->pairs[i].key, "config.header", "for example X-Hook: taken", "acknowledge.headers: '%s' cannot be sent",
                         name.ptr ? name.ptr : "");
        } else if (bw_slice_is_nocase(name, "content-type")) {
            free(out->type);
            out->type = bw_slice_dup(value);
        } else {
            bw_buf_append(&out->headers, name.ptr, name.len + 1); /* both are NUL-terminated behind len */
            bw_buf_append(&out->headers, value.ptr, value.len + 1);
        }
    }
}

static void read_body(const struct bw_yaml_node *node, struct bw_acknowledge *out)
{
    bool is_json = node->kind == BW_YAML_MAP || node->kind == BW_YAML_LIST;
    out->has_body = true;
    if (is_json)
        bw_yaml_to_json(node, &out->body);
    else
        bw_buf_append_slice(&out->body, node->text);
    if (!is_json && !out->type && out->body.len) out->type = bw_slice_dup(BW_SLICE(TEXT_TYPE));
}

void bw_acknowledge_read(const char *file, struct bw_errors *errs, const struct bw_yaml_node *map, struct bw_acknowledge *out)
{
    const struct bw_key_context context = {.file = file, .errs = errs};
    static const struct bw_key keys[] = {{"status", BW_KEY_COUNT, offsetof(struct bw_acknowledge, status), 200, 299, NULL, NULL},
                                         {"headers", BW_KEY_SPECIAL, 0, 0, 0, NULL, NULL},
                                         {"body", BW_KEY_SPECIAL, 0, 0, 0, NULL, NULL}};
    const struct bw_yaml_node *headers = bw_yaml_get(map, "headers"), *body = bw_yaml_get(map, "body");
    if (!map) return;
    out->status = 200;
    bw_keys_read(&context, map, "acknowledge", keys, sizeof keys / sizeof *keys, out);
    if (headers) read_headers(&context, headers, out);
    if (body) read_body(body, out);
    if (out->body.len > TEXT_BYTES_MAX || (out->body.len && out->status == 204))
        bw_key_error(&context, body, "config.range", NULL,
                     out->status == 204 ? "acknowledge: a 204 has no body" : "acknowledge: the body has more than %d bytes", TEXT_BYTES_MAX);
}

void bw_acknowledge_clear(struct bw_acknowledge *acknowledge)
{
    free(acknowledge->type);
    bw_buf_free(&acknowledge->body);
    bw_buf_free(&acknowledge->headers);
    *acknowledge = (struct bw_acknowledge){0};
}

/* ---- accepts ---- */

static bool is_pattern(struct bw_slice text)
{
    size_t slashes = 0, stars = 0;
    if (text.len && *text.ptr == '!') text = (struct bw_slice){text.ptr + 1, text.len - 1};
    for (size_t i = 0; i < text.len; i++) {
        slashes += text.ptr[i] == '/';
        stars += text.ptr[i] == '*';
        if ((unsigned char)text.ptr[i] <= ' ' || text.ptr[i] >= 0x7f || memchr(";,\"", text.ptr[i], 3)) return false;
    }
    return text.len <= PATTERN_BYTES_MAX && (bw_slice_is(text, "*/*") || (slashes == 1 && stars <= 1 && text.len > 2));
}

/* What a 415 says. */
static void write_answer(struct bw_accepts *accepts)
{
    const char *comma = "";
    bw_buf_append(&accepts->header, "Accept", sizeof "Accept");
    bw_buf_append_text(&accepts->body, "{\"error\":\"bad_type\",\"accepts\":[");
    for (size_t i = 0; i < accepts->count; i++) {
        if (*accepts->patterns[i] == '!') continue;
        bw_buf_printf(&accepts->header, "%s%s", *comma ? ", " : "", accepts->patterns[i]);
        bw_buf_append_text(&accepts->body, comma);
        bw_buf_append_json_string(&accepts->body, bw_slice_of(accepts->patterns[i]));
        comma = ",";
    }
    bw_buf_append_char(&accepts->header, '\0');
    bw_buf_append_text(&accepts->body, "]}\n");
}

void bw_accepts_read(const char *file, struct bw_errors *errs, const struct bw_yaml_node *list, struct bw_accepts *out)
{
    const struct bw_key_context context = {.file = file, .errs = errs};
    static const char hint[] = "write for example [application/json, \"text/*\"]";
    if (!list) return;
    if (list->kind != BW_YAML_LIST || !list->count || list->count > PATTERNS_MAX) {
        bw_key_error(&context, list, "config.type", hint, "accepts must be a list of 1 to %d content types", PATTERNS_MAX);
        return;
    }
    if (!(out->patterns = calloc(list->count, sizeof *out->patterns))) return;
    for (size_t i = 0; i < list->count; i++) {
        const struct bw_yaml_node *item = list->items[i];
        char *pattern = item->kind == BW_YAML_STRING && is_pattern(item->text) ? bw_slice_dup(item->text) : NULL;
        if (!pattern) {
            bw_key_error(&context, item, "config.content_type", hint, "accepts: '%s' is no content type", item->text.ptr ? item->text.ptr : "");
            continue;
        }
        for (char *c = pattern; *c; c++)
            if (*c >= 'A' && *c <= 'Z') *c += 32;
        out->patterns[out->count++] = pattern;
    }
    write_answer(out);
}

void bw_accepts_clear(struct bw_accepts *accepts)
{
    for (size_t i = 0; i < accepts->count; i++) free(accepts->patterns[i]);
    free(accepts->patterns);
    bw_buf_free(&accepts->header);
    bw_buf_free(&accepts->body);
    *accepts = (struct bw_accepts){0};
}

static bool fits(const char *pattern, struct bw_slice type)
{
    const char *star = strchr(pattern, '*');
    size_t len = strlen(pattern), before = star ? (size_t)(star - pattern) : len, after = star ? len - before - 1 : 0;
    if (!strcmp(pattern, "*/*")) return true;
    if (star ? type.len < before + after : type.len != len) return false;
    return !strncasecmp(type.ptr, pattern, before) && !strncasecmp(type.ptr + type.len - after, pattern + len - after, after);
}

bool bw_accepts_takes(const struct bw_accepts *accepts, struct bw_slice type)
{
    for (size_t i = 0; i < accepts->count; i++) {
        const char *pattern = accepts->patterns[i];
        if (fits(pattern + (*pattern == '!'), type)) return *pattern != '!';
    }
    return !accepts->count;
}
