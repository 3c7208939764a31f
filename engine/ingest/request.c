#include "ingest/request.h"
#include <string.h>
#include <strings.h>

#define OURS "bellwire-" /* what the engine itself says of an event */

void bw_target_split(struct bw_slice target, struct bw_slice *path, struct bw_slice *query)
{
    const char *mark = target.len ? memchr(target.ptr, '?', target.len) : NULL;
    *path = (struct bw_slice){target.ptr, mark ? (size_t)(mark - target.ptr) : target.len};
    *query = mark ? (struct bw_slice){mark + 1, target.len - path->len - 1} : (struct bw_slice){target.ptr + target.len, 0};
}

static bool is_own(struct bw_slice slice, const struct bw_buf *buf)
{
    return slice.ptr == buf->data;
}

static bool keep(struct bw_slice *slice, struct bw_buf *own)
{
    if (!slice->len || is_own(*slice, own)) return true;
    bw_buf_clear(own);
    bw_buf_append_slice(own, *slice);
    if (own->failed) return false;
    *slice = bw_buf_slice(own);
    return true;
}

bool bw_inbound_keep(struct bw_inbound *inbound)
{
    return keep(&inbound->head, &inbound->own_head) && keep(&inbound->body, &inbound->own_body);
}

void bw_inbound_let_go(struct bw_inbound *inbound)
{
    const struct bw_slice none = {"", 0};
    if (!is_own(inbound->head, &inbound->own_head)) inbound->head = none;
    if (!is_own(inbound->body, &inbound->own_body)) inbound->body = none;
}

void bw_inbound_drop_body(struct bw_inbound *inbound)
{
    inbound->body = (struct bw_slice){"", 0};
    bw_buf_free(&inbound->own_body);
}

void bw_inbound_clear(struct bw_inbound *inbound)
{
    bw_buf_free(&inbound->own_head);
    bw_buf_free(&inbound->own_body);
    *inbound = (struct bw_inbound){.head = {"", 0}, .body = {"", 0}};
}

/* The gate has seen that each line ends in CRLF, and what is in it. */
static struct bw_slice take_line(struct bw_slice *rest)
{
    const char *end = memchr(rest->ptr, '\r', rest->len);
    struct bw_slice line = {rest->ptr, (size_t)(end - rest->ptr)};
    *rest = (struct bw_slice){end + 2, rest->len - line.len - 2};
    return line;
}

bool bw_request_read(struct bw_request_parts *parts, const struct bw_inbound *from)
{
    struct bw_request *request = &parts->request;
    struct bw_slice rest = from->head, line;
    request->headers = parts->headers;
    request->header_count = 0;
    request->method = request->url = (struct bw_slice){"", 0};
    bw_target_split(request->url, &parts->path, &request->query);
    if (!rest.len) return false;
    line = take_line(&rest); /* METHOD SP target SP version */
    const char *space = memchr(line.ptr, ' ', line.len), *second = memrchr(line.ptr, ' ', line.len);
    request->method = (struct bw_slice){line.ptr, (size_t)(space - line.ptr)};
    request->url = (struct bw_slice){space + 1, (size_t)(second - space - 1)};
    bw_target_split(request->url, &parts->path, &request->query);
    while ((line = take_line(&rest)).len) {
        const char *colon = memchr(line.ptr, ':', line.len);
        struct bw_header *header = &parts->headers[request->header_count++];
        header->name = (struct bw_slice){line.ptr, (size_t)(colon - line.ptr)};
        header->value = bw_slice_trimmed((struct bw_slice){colon + 1, line.len - header->name.len - 1});
    }
    return true;
}

bool bw_request_set_source(struct bw_request_parts *parts, const struct bw_inbound *from, const struct bw_source_config *source, int64_t now_ms)
{
    struct bw_request *request = &parts->request;
    request->now_ms = now_ms;
    request->body = from->body;
    if (!source->public_url) return true;
    bw_buf_clear(&parts->url);
    bw_buf_append_text(&parts->url, source->public_url);
    if (request->query.len) {
        bw_buf_append_char(&parts->url, '?');
        bw_buf_append_slice(&parts->url, request->query);
    }
    request->url = bw_buf_slice(&parts->url);
    return !parts->url.failed;
}

/* word: lower case, beginning with a letter or a hyphen (bit 0x20 is set in both) */
static bool contains_nocase(struct bw_slice text, const char *word)
{
    size_t len = strlen(word);
    for (size_t i = 0; i + len <= text.len; i++)
        if ((text.ptr[i] | 0x20) == word[0] && strncasecmp(text.ptr + i, word, len) == 0) return true;
    return false;
}

bool bw_header_is_kept(struct bw_slice name, const struct bw_source_config *source)
{
    static const char *const words[] = {"authorization", "cookie",  "signature", "hmac",       "token", "secret",
                                        "password",      "api-key", "apikey",    "credential", "-mac"};
    if (name.len >= sizeof OURS - 1 && strncasecmp(name.ptr, OURS, sizeof OURS - 1) == 0) return false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (contains_nocase(name, words[i])) return false;
    for (size_t i = 0; i < source->option_count; i++)
        if (strncmp(source->options[i], "header=", 7) == 0 && bw_slice_is_nocase(name, source->options[i] + 7)) return false;
    return true;
}

static bool came_before(const struct bw_request *request, size_t index)
{
    struct bw_slice name = request->headers[index].name;
    for (size_t i = 0; i < index; i++)
        if (request->headers[i].name.len == name.len && strncasecmp(request->headers[i].name.ptr, name.ptr, name.len) == 0) return true;
    return false;
}

void bw_headers_keep(struct bw_buf *out, const struct bw_request *request, const struct bw_source_config *source, struct bw_slice client)
{
    bw_buf_append_char(out, '{');
    if (client.len) {
        bw_buf_append_text(out, "\"" BW_CLIENT_HEADER "\":");
        bw_buf_append_json_string(out, client);
    }
    for (size_t i = 0; i < request->header_count; i++) {
        struct bw_header header = request->headers[i];
        size_t before = out->len;
        if (!bw_header_is_kept(header.name, source) || came_before(request, i)) continue;
        if (before > 1) bw_buf_append_char(out, ',');
        size_t name = out->len + 1;
        bw_buf_append_char(out, '"'); /* a token: nothing in it needs escaping */
        bw_buf_append_slice(out, header.name);
        bw_buf_append_char(out, '"');
        if (out->failed) return;
        for (size_t k = 0; k < header.name.len; k++)
            if (out->data[name + k] >= 'A' && out->data[name + k] <= 'Z') out->data[name + k] |= 0x20;
        bw_buf_append_char(out, ':');
        bw_buf_append_json_string(out, header.value);
        if (out->len >= BW_KEPT_HEADERS_MAX) out->len = before;
    }
    bw_buf_append_char(out, '}');
}

bool bw_request_is_type(const struct bw_request *request, const char *type)
{
    size_t count, len = strlen(type);
    const struct bw_header *header = bw_request_header(request, "Content-Type", &count);
    if (!header || count > 1 || header->value.len < len || !bw_slice_is_nocase((struct bw_slice){header->value.ptr, len}, type)) return false;
    return header->value.len == len || header->value.ptr[len] == ';' || header->value.ptr[len] == ' ';
}
