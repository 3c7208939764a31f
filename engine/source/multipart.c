#include "source/multipart.h"

#define BOUNDARY_MAX 70 /* RFC 2046, 5.1.1 */

static bool is_of(char c, const char *others)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr(others, c));
}

static struct bw_slice from(struct bw_slice text, size_t at)
{
    return (struct bw_slice){text.ptr + at, text.len - at};
}

static struct bw_slice skip_blanks(struct bw_slice text)
{
    while (text.len && (*text.ptr == ' ' || *text.ptr == '\t')) text = from(text, 1);
    return text;
}

static bool take(struct bw_slice *text, const char *prefix)
{
    size_t len = strlen(prefix);
    if (text->len < len || memcmp(text->ptr, prefix, len) != 0) return false;
    *text = from(*text, len);
    return true;
}

/* The text up to a closing quote; what is behind a backslash closes nothing. */
static bool take_quoted(struct bw_slice *text, struct bw_slice *out)
{
    size_t at = 1;
    while (at < text->len && text->ptr[at] != '"') at += text->ptr[at] == '\\' ? 2 : 1;
    if (at >= text->len) return false;
    *out = (struct bw_slice){text->ptr + 1, at - 1};
    *text = from(*text, at + 1);
    return true;
}

static bool take_token(struct bw_slice *text, struct bw_slice *out)
{
    size_t len = 0;
    while (len < text->len && is_of(text->ptr[len], "!#$%&'*+-.^_`|~")) len++;
    *out = (struct bw_slice){text->ptr, len};
    *text = from(*text, len);
    return len > 0;
}

/* "; name=value" or "; name="value""; false: there is none any more, or *is_broken. */
static bool next_parameter(struct bw_slice *text, struct bw_slice *name, struct bw_slice *value, bool *is_broken)
{
    *text = skip_blanks(*text);
    *is_broken = text->len > 0;
    if (!take(text, ";")) return false;
    *text = skip_blanks(*text);
    if (!take_token(text, name) || !take(text, "=")) return false;
    bool good = text->len && *text->ptr == '"' ? take_quoted(text, value) : take_token(text, value);
    *is_broken = !good;
    return good;
}

static bool find_boundary(struct bw_slice content_type, struct bw_slice *boundary)
{
    const char *semicolon = content_type.len ? memchr(content_type.ptr, ';', content_type.len) : NULL;
    struct bw_slice rest = semicolon ? from(content_type, (size_t)(semicolon - content_type.ptr)) : (struct bw_slice){0}, name, value;
    size_t found = 0;
    bool is_broken = false;
    while (next_parameter(&rest, &name, &value, &is_broken))
        if (bw_slice_is_nocase(name, "boundary") && !found++) *boundary = value;
    if (is_broken || found != 1 || !boundary->len || boundary->len > BOUNDARY_MAX || boundary->ptr[boundary->len - 1] == ' ') return false;
    for (size_t i = 0; i < boundary->len; i++)
        if (!is_of(boundary->ptr[i], "'()+_,-./:=? ")) return false;
    return true;
}

bool bw_multipart_begin(struct bw_multipart *multipart, struct bw_slice content_type, struct bw_slice body)
{
    struct bw_slice boundary = {0};
    *multipart = (struct bw_multipart){.rest = body};
    if (!find_boundary(content_type, &boundary)) return false;
    memcpy(multipart->delimiter, "\r\n--", 4);
    memcpy(multipart->delimiter + 4, boundary.ptr, boundary.len);
    multipart->delimiter_len = 4 + boundary.len;
    return take(&multipart->rest, multipart->delimiter + 2); /* NUL-terminated: the rest of it is zero */
}

/* One line of a head, without its end. */
static bool next_line(struct bw_slice *head, struct bw_slice *line)
{
    const char *end = memmem(head->ptr, head->len, "\r\n", 2);
    if (!end) return false;
    *line = (struct bw_slice){head->ptr, (size_t)(end - head->ptr)};
    *head = from(*head, line->len + 2);
    return true;
}

static bool read_disposition(struct bw_slice value, struct bw_part_field *out)
{
    struct bw_slice kind, name, text;
    bool is_broken, has_name = false;
    if (!take_token(&value, &kind) || !bw_slice_is_nocase(kind, "form-data")) return false;
    while (next_parameter(&value, &name, &text, &is_broken)) {
        bool is_name = bw_slice_is_nocase(name, "name"), is_filename = bw_slice_is_nocase(name, "filename");
        if ((is_name && has_name) || (is_filename && out->is_file)) return false;
        if (is_name) out->name = text;
        if (is_filename) out->filename = text;
        has_name |= is_name;
        out->is_file |= is_filename;
    }
    return has_name && !is_broken;
}

static bool is_plain_encoding(struct bw_slice value)
{
    return bw_slice_is_nocase(value, "binary") || bw_slice_is_nocase(value, "8bit") || bw_slice_is_nocase(value, "7bit");
}

static bool read_head(struct bw_slice head, struct bw_part_field *out)
{
    struct bw_slice line, name;
    size_t dispositions = 0, types = 0;
    while (head.len) {
        if (!next_line(&head, &line) || !take_token(&line, &name) || !take(&line, ":")) return false;
        struct bw_slice value = skip_blanks(line);
        for (size_t i = 0; i < value.len; i++)
            if (((unsigned char)value.ptr[i] < 0x20 && value.ptr[i] != '\t') || value.ptr[i] == 0x7f) return false;
        if (bw_slice_is_nocase(name, "content-disposition") && (dispositions++ || !read_disposition(value, out))) return false;
        if (bw_slice_is_nocase(name, "content-transfer-encoding") && !is_plain_encoding(value)) return false;
        if (!bw_slice_is_nocase(name, "content-type")) continue;
        if (types++) return false;
        out->type = value;
    }
    return dispositions == 1;
}

enum bw_multipart_end bw_multipart_next(struct bw_multipart *multipart, struct bw_part_field *out)
{
    struct bw_slice *rest = &multipart->rest;
    *out = (struct bw_part_field){0};
    if (take(rest, "--")) return !rest->len || (take(rest, "\r\n") && !rest->len) ? BW_MULTIPART_OVER : BW_MULTIPART_BROKEN;
    if (!take(rest, "\r\n") || ++multipart->parts > BW_MULTIPART_PARTS_MAX) return BW_MULTIPART_BROKEN;
    size_t most = rest->len < BW_MULTIPART_HEAD_MAX ? rest->len : BW_MULTIPART_HEAD_MAX;
    const char *end = memmem(rest->ptr, most, "\r\n\r\n", 4);
    if (!end || !read_head((struct bw_slice){rest->ptr, (size_t)(end - rest->ptr) + 2}, out)) return BW_MULTIPART_BROKEN;
    *rest = from(*rest, (size_t)(end - rest->ptr) + 4);
    const char *next = memmem(rest->ptr, rest->len, multipart->delimiter, multipart->delimiter_len);
    if (!next) return BW_MULTIPART_BROKEN;
    out->data = (struct bw_slice){rest->ptr, (size_t)(next - rest->ptr)};
    *rest = from(*rest, out->data.len + multipart->delimiter_len);
    return BW_MULTIPART_PART;
}

void bw_multipart_unquote_append(struct bw_buf *out, struct bw_slice quoted)
{
    for (size_t i = 0; i < quoted.len; i++) {
        bool is_escape = quoted.ptr[i] == '\\' && i + 1 < quoted.len && (quoted.ptr[i + 1] == '"' || quoted.ptr[i + 1] == '\\');
        bw_buf_append_char(out, quoted.ptr[i += is_escape]);
    }
}
