#include "http_model.h"
#include <ctype.h>
#include <stdlib.h>

static bool take_line(struct bw_slice *rest, struct bw_slice *line)
{
    const char *end = rest->len ? memmem(rest->ptr, rest->len, "\r\n", 2) : NULL;
    if (!end) return false;
    *line = (struct bw_slice){rest->ptr, (size_t)(end - rest->ptr)};
    *rest = (struct bw_slice){end + 2, rest->len - line->len - 2};
    return true;
}

static struct bw_slice trim(struct bw_slice text)
{
    while (text.len && (*text.ptr == ' ' || *text.ptr == '\t')) text = (struct bw_slice){text.ptr + 1, text.len - 1};
    while (text.len && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t')) text.len--;
    return text;
}

static bool split(struct bw_slice text, char at, struct bw_slice *left, struct bw_slice *right)
{
    const char *found = text.len ? memchr(text.ptr, at, text.len) : NULL;
    if (!found) return false;
    *left = (struct bw_slice){text.ptr, (size_t)(found - text.ptr)};
    *right = (struct bw_slice){found + 1, text.len - left->len - 1};
    return true;
}

enum http_chunks http_model_chunks(struct bw_slice text, uint64_t limit, struct bw_buf *data, size_t *taken)
{
    struct bw_slice rest = text;
    for (bool is_last = false; !is_last;) {
        char digits[9] = "";
        size_t count = 0;
        while (count < rest.len && isxdigit((unsigned char)rest.ptr[count])) count++;
        *taken = text.len - rest.len;
        if (count > 8 || (count < rest.len && (!count || rest.ptr[count] != '\r'))) return HTTP_CHUNKS_FAULTY;
        if (count + 1 < rest.len && rest.ptr[count + 1] != '\n') return HTTP_CHUNKS_FAULTY;
        if (count + 1 >= rest.len) return HTTP_CHUNKS_UNFINISHED;
        memcpy(digits, rest.ptr, count);
        uint64_t size = strtoull(digits, NULL, 16);
        rest = (struct bw_slice){rest.ptr + count + 2, rest.len - count - 2};
        if (data->len + size > limit) return HTTP_CHUNKS_TOO_LARGE;
        is_last = size == 0;
        size_t have = size < rest.len ? (size_t)size : rest.len;
        bw_buf_append(data, rest.ptr, have);
        rest = (struct bw_slice){rest.ptr + have, rest.len - have};
        for (int i = 0; i < 2; i++)
            if ((size_t)i < rest.len && rest.ptr[i] != "\r\n"[i]) return HTTP_CHUNKS_FAULTY;
        if (have < size || rest.len < 2) return HTTP_CHUNKS_UNFINISHED;
        rest = (struct bw_slice){rest.ptr + 2, rest.len - 2};
    }
    *taken = text.len - rest.len;
    return HTTP_CHUNKS_WHOLE;
}

size_t http_model_read(struct bw_slice text, struct http_request *out)
{
    struct bw_slice rest = text, line;
    bool is_chunked = false;
    size_t length = 0;
    out->field_count = 0;
    bw_buf_clear(&out->body);
    if (!take_line(&rest, &line) || !split(line, ' ', &out->method, &line) || !split(line, ' ', &out->target, &out->version)) return 0;
    while (take_line(&rest, &line) && line.len) {
        if (out->field_count == sizeof out->fields / sizeof *out->fields) return 0;
        struct bw_slice *name = &out->fields[out->field_count].name, *value = &out->fields[out->field_count].value;
        if (!split(line, ':', name, value)) return 0;
        *value = trim(*value);
        out->field_count++;
        if (bw_slice_is_nocase(*name, "Transfer-Encoding")) is_chunked = true;
        for (size_t i = 0; bw_slice_is_nocase(*name, "Content-Length") && i < value->len; i++) length = length * 10 + (size_t)(value->ptr[i] - '0');
    }
    if (line.len) return 0;
    if (is_chunked) {
        size_t taken;
        if (http_model_chunks(rest, SIZE_MAX, &out->body, &taken) != HTTP_CHUNKS_WHOLE) return 0;
        return text.len - rest.len + taken;
    }
    if (length > rest.len) return 0;
    bw_buf_append(&out->body, rest.ptr, length);
    return text.len - rest.len + length;
}

void http_request_clear(struct http_request *request)
{
    bw_buf_free(&request->body);
}
