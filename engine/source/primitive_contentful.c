/* Contentful signs a canonical request: method, path, the headers that it names itself, body; a line each. The path with its query is coded as its
 * toolkit does: the query as one component, then all of it as a URI, so that a '%' becomes %25. */
#include "source/part.h"
#include <ctype.h>
#include <stdlib.h>

#define SIGNATURE "x-contentful-signature"
#define SIGNED_HEADERS "x-contentful-signed-headers"
#define TIMESTAMP "x-contentful-timestamp"
#define HEADERS_MAX 64

/* What stays as it is: in a URI, and in one component of it. */
static const char in_uri[] = ";,/?:@&=+$#-_.!~*'()", in_component[] = "-_.!~*'()";

static void append_coded(struct bw_buf *out, struct bw_slice text, const char *stays)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c && (isalnum(c) || strchr(stays, c)) && c < 0x80)
            bw_buf_append_char(out, (char)c);
        else
            bw_buf_printf(out, "%%%02X", c);
    }
}

static struct bw_slice target_of(struct bw_slice url)
{
    const char *scheme = url.len ? memmem(url.ptr, url.len, "://", 3) : NULL, *end = url.ptr + url.len;
    const char *at = scheme ? scheme + 3 : url.ptr;
    while (scheme && at < end && *at != '/' && *at != '?') at++;
    return (struct bw_slice){at, (size_t)(end - at)};
}

static void append_path(struct bw_buf *out, struct bw_slice url)
{
    struct bw_slice target = target_of(url), query = {0};
    const char *mark = target.len ? memchr(target.ptr, '?', target.len) : NULL;
    struct bw_buf coded = {0};
    if (mark) query = (struct bw_slice){mark + 1, target.len - (size_t)(mark - target.ptr) - 1};
    append_coded(out, (struct bw_slice){target.ptr, target.len - query.len - (mark != NULL)}, in_uri);
    if (query.len) {
        append_coded(&coded, query, in_component);
        bw_buf_append_char(out, '?');
        append_coded(out, bw_buf_slice(&coded), in_uri);
        out->failed = out->failed || coded.failed;
    }
    bw_buf_free(&coded);
}

static int compare(const void *a, const void *b)
{
    const struct bw_slice *left = a, *right = b;
    int order = memcmp(left->ptr, right->ptr, left->len < right->len ? left->len : right->len);
    return order ? order : (left->len > right->len) - (left->len < right->len);
}

/* The names in the list, in order. The list itself and the time must be among them, the signature cannot; none may stand twice. */
static size_t read_names(struct bw_slice list, struct bw_slice *names)
{
    size_t count = 0;
    bool has_list = false, has_time = false;
    while (list.len) {
        const char *comma = memchr(list.ptr, ',', list.len);
        struct bw_slice name = {list.ptr, comma ? (size_t)(comma - list.ptr) : list.len};
        list = comma ? (struct bw_slice){comma + 1, list.len - name.len - 1} : (struct bw_slice){"", 0};
        if (count == HEADERS_MAX || !name.len || bw_slice_is(name, SIGNATURE)) return 0;
        has_list = has_list || bw_slice_is(name, SIGNED_HEADERS);
        has_time = has_time || bw_slice_is(name, TIMESTAMP);
        names[count++] = name;
    }
    if (!has_list || !has_time) return 0;
    qsort(names, count, sizeof *names, compare);
    for (size_t i = 1; i < count; i++)
        if (!compare(&names[i - 1], &names[i])) return 0;
    return count;
}

static struct bw_slice trim(struct bw_slice text)
{
    while (text.len && isspace((unsigned char)*text.ptr)) text.ptr++, text.len--;
    while (text.len && isspace((unsigned char)text.ptr[text.len - 1])) text.len--;
    return text;
}

static bool append_headers(struct bw_buf *out, const struct bw_request *request, const struct bw_slice *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t occurrences;
        char name[128];
        if (names[i].len >= sizeof name) return false;
        memcpy(name, names[i].ptr, names[i].len);
        name[names[i].len] = '\0';
        const struct bw_header *header = bw_request_header(request, name, &occurrences);
        if (occurrences != 1) return false;
        bw_buf_append_text(out, i ? ";" : "");
        bw_buf_append_slice(out, names[i]);
        bw_buf_append_char(out, ':');
        if (!bw_slice_is(names[i], SIGNED_HEADERS)) {
            bw_buf_append_slice(out, trim(header->value));
            continue;
        }
        for (size_t k = 0; k < count; k++) {
            bw_buf_append_text(out, k ? "," : "");
            bw_buf_append_slice(out, names[k]);
        }
    }
    return true;
}

static bool read(struct bw_trial *trial, const struct bw_ref *argument, unsigned form, struct bw_slice *out)
{
    const struct bw_header *list = bw_request_header(trial->request, SIGNED_HEADERS, NULL);
    struct bw_slice names[HEADERS_MAX];
    struct bw_buf text = {0};
    size_t count = list ? read_names(list->value, names) : 0;
    (void)argument, (void)form;
    if (!count) return false;
    bw_buf_append_slice(&text, trial->request->method);
    bw_buf_append_char(&text, '\n');
    append_path(&text, trial->request->url);
    bw_buf_append_char(&text, '\n');
    bool good = append_headers(&text, trial->request, names, count);
    bw_buf_append_char(&text, '\n');
    good = good && !text.failed && bw_part_text(trial, bw_buf_slice(&text), out);
    bw_buf_free(&text);
    return good;
}

/* The body follows it in msg. */
const struct bw_part bw_primitive_contentful = {.name = "contentful", .covers_header = TIMESTAMP, .needs_url = true, .read = read};
