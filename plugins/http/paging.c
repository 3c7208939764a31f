#include "paging.h"
#include "url.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define COUNT_MAX 1000000000000000 /* of pages and offsets: what every server's numbers hold */

/* ---- JSON pointers (RFC 6901) ---- */

static bool is_pointer(const char *text)
{
    return !*text || *text == '/';
}

static const json_t *at_index(const json_t *array, const char *token)
{
    size_t len = strspn(token, "0123456789");
    return len && !token[len] && (len == 1 || *token != '0') ? json_array_get(array, strtoul(token, NULL, 10)) : NULL;
}

static const json_t *at_pointer(const json_t *value, const char *pointer)
{
    char token[256];
    while (value && *pointer) {
        size_t len = 0;
        for (pointer++; *pointer && *pointer != '/'; pointer++) {
            bool is_escape = *pointer == '~' && (pointer[1] == '0' || pointer[1] == '1');
            if (len + 1 >= sizeof token) return NULL;
            token[len++] = (char)(!is_escape ? *pointer : pointer[1] == '0' ? '~' : '/');
            pointer += is_escape;
        }
        token[len] = '\0';
        value = json_is_array(value) ? at_index(value, token) : json_object_get(value, token);
    }
    return value;
}

/* ---- Link (RFC 8288) ---- */

static const char *skip_blanks(const char *at)
{
    return at + strspn(at, " \t");
}

/* A token or a quoted string behind `at`, its text in `out` as far as there is room. */
static const char *read_value(const char *at, char *out, size_t size)
{
    bool is_quoted = *at == '"';
    size_t len = 0;
    if (is_quoted) at++;
    for (; *at && (is_quoted ? *at != '"' : !strchr(" \t;,", *at)); at++) {
        if (is_quoted && *at == '\\' && at[1]) at++;
        if (len + 1 < size) out[len++] = *at;
    }
    out[len] = '\0';
    return at + (is_quoted && *at == '"');
}

/* rel is a list of relation types. */
static bool names_next(const char *rel)
{
    for (; *(rel = skip_blanks(rel)); rel += strcspn(rel, " \t"))
        if (strcspn(rel, " \t") == 4 && !strncasecmp(rel, "next", 4)) return true;
    return false;
}

/* The parameters of one link, from its first ';' on. Only its first rel counts. */
static const char *read_params(const char *at, bool *is_next)
{
    bool has_rel = false;
    *is_next = false;
    while (*(at = skip_blanks(at)) == ';') {
        char value[256] = "";
        at = skip_blanks(at + 1);
        const char *name = at;
        size_t len = strcspn(at, " \t=;,");
        at = skip_blanks(at + len);
        if (*at == '=') at = read_value(skip_blanks(at + 1), value, sizeof value);
        if (has_rel || len != 3 || strncasecmp(name, "rel", 3) != 0) continue;
        has_rel = true;
        *is_next = names_next(value);
    }
    return at;
}

static char *next_of(const char *at)
{
    bool is_next;
    while (*(at = skip_blanks(at))) {
        const char *end = *at == '<' ? strchr(at, '>') : NULL;
        if (!end) return NULL;
        const char *target = at + 1;
        at = skip_blanks(read_params(end + 1, &is_next));
        if (is_next) return strndup(target, (size_t)(end - target));
        if (*at && *at != ',') return NULL;
        at += *at == ',';
    }
    return NULL;
}

char *http_paging_link(const json_t *values)
{
    size_t index;
    json_t *value;
    json_array_foreach(values, index, value)
    {
        char *next = json_is_string(value) ? next_of(json_string_value(value)) : NULL;
        if (next) return next;
    }
    return NULL;
}

/* ---- pages ---- */

static bool is_counted(const struct http_paging *paging)
{
    return paging->by == HTTP_BY_PAGE || paging->by == HTTP_BY_OFFSET;
}

/* Whole and not negative; -1: it is not. */
static int64_t count_of(const char *text)
{
    size_t len = strspn(text, "0123456789");
    return len && len <= 15 && !text[len] ? strtoll(text, NULL, 10) : -1;
}

static char *number(int64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, value);
    return strdup(text);
}

bool http_paging_read(struct http_paging *paging, const json_t *input, const char *first_url, char **first, char *reason, size_t size)
{
    static const char *const names[] = {"link", "url", "cursor", "page", "offset"};
    const char *by = json_string_value(json_object_get(input, "by")), *items = json_string_value(json_object_get(input, "items")),
               *from = json_string_value(json_object_get(input, "from"));
    const json_t *begin = json_object_get(input, "first");
    *paging = (struct http_paging){.items = items ? items : "",
                                   .next = json_string_value(json_object_get(input, "next")),
                                   .param = json_string_value(json_object_get(input, "param")),
                                   .hosts = json_object_get(input, "hosts"),
                                   .first_url = first_url,
                                   .size = json_integer_value(json_object_get(input, "size"))};
    *first = NULL;
    for (size_t i = 0; by && i < sizeof names / sizeof *names; i++)
        if (!strcmp(by, names[i])) paging->by = (enum http_paging_by)i;
    if (!paging->param) paging->param = names[paging->by];
    bool needs_next = paging->by == HTTP_BY_URL || paging->by == HTTP_BY_CURSOR;
    if (needs_next != (paging->next != NULL) || (needs_next && !*paging->next))
        snprintf(reason, size, "next belongs to by: url and by: cursor, and says where the next page is named, such as /meta/next");
    else if (!is_pointer(paging->items) || (paging->next && !is_pointer(paging->next)))
        snprintf(reason, size, "items and next are JSON pointers, such as /data/list");
    else if (is_counted(paging) && from && count_of(from) < 0)
        snprintf(reason, size, "from must be a number here: the next of an earlier step");
    else if (json_array_size(paging->hosts) && json_object_get(input, "connection"))
        snprintf(reason, size, "hosts: what a connection holds goes to no other host");
    else {
        snprintf(reason, size, "out of memory");
        if (from) return (*first = strdup(from)) != NULL;
        if (!is_counted(paging)) return true;
        return (*first = number(begin ? json_integer_value(begin) : paging->by == HTTP_BY_PAGE)) != NULL;
    }
    return false;
}

static bool may_be_on(const struct http_paging *paging, const char *url)
{
    size_t index;
    json_t *host;
    if (http_url_has_user(url)) return false;
    if (http_url_same_origin(url, paging->first_url)) return true;
    json_array_foreach(paging->hosts, index, host) if (http_url_same_origin(url, json_string_value(host))) return true;
    return false;
}

char *http_paging_url(const struct http_paging *paging, const char *from, char *reason, size_t size)
{
    char *url;
    snprintf(reason, size, "out of memory");
    if (!from) return strdup(paging->first_url);
    if (paging->by != HTTP_BY_LINK && paging->by != HTTP_BY_URL) {
        if (!(url = http_url_with(paging->first_url, paging->param, from))) snprintf(reason, size, "url is not usable");
        return url;
    }
    if (may_be_on(paging, from)) return strdup(from);
    snprintf(reason, size, "the next page is said to be at '%.200s', which is not on the first one's host, nor on one of hosts", from);
    return NULL;
}

const json_t *http_paging_items(const struct http_paging *paging, const json_t *body, char *reason, size_t size)
{
    const json_t *items = at_pointer(body, paging->items);
    if (json_is_array(items)) return items;
    snprintf(reason, size, "there is no list at '%.100s' of the answer (items)", paging->items);
    return NULL;
}

/* What the answer names: NULL and good: nothing. */
static bool read_named(const struct http_paging *paging, const json_t *body, char **named, char *reason, size_t size)
{
    const json_t *value = at_pointer(body, paging->next);
    *named = NULL;
    if (!value || json_is_null(value) || json_is_false(value)) return true;
    if (json_is_string(value) && !*json_string_value(value)) return true;
    snprintf(reason, size, "out of memory");
    if (json_is_string(value)) return (*named = strdup(json_string_value(value))) != NULL;
    if (json_is_integer(value) && paging->by == HTTP_BY_CURSOR) return (*named = number(json_integer_value(value))) != NULL;
    snprintf(reason, size, "what is at '%.100s' of the answer (next) is no text", paging->next);
    return false;
}

static bool count_on(const struct http_paging *paging, const char *from, size_t item_count, char **next)
{
    int64_t here = count_of(from), step = paging->by == HTTP_BY_PAGE ? 1 : (int64_t)item_count;
    *next = NULL;
    if (!item_count || (int64_t)item_count < paging->size || here + step > COUNT_MAX) return true;
    return (*next = number(here + step)) != NULL;
}

bool http_paging_next(const struct http_paging *paging, const struct http_response *response, const json_t *body, const char *url, const char *from,
                      size_t item_count, char **next, char *reason, size_t size)
{
    char *named = NULL;
    snprintf(reason, size, "out of memory");
    if (is_counted(paging)) return count_on(paging, from, item_count, next);
    *next = NULL;
    if (paging->by == HTTP_BY_LINK)
        named = http_paging_link(response->links);
    else if (!read_named(paging, body, &named, reason, size))
        return false;
    if (named && paging->by != HTTP_BY_CURSOR) {
        char *resolved = http_url_resolve(url, named);
        if (!resolved) snprintf(reason, size, "the next page is said to be at '%.200s', which is no URL", named);
        free(named);
        if (!(named = resolved)) return false;
    }
    bool is_same = named && (!strcmp(named, from ? from : "") || (paging->by != HTTP_BY_CURSOR && !strcmp(named, url)));
    if (is_same) {
        snprintf(reason, size, "the page says that it is itself the next one ('%.200s')", named);
        free(named);
        return false;
    }
    *next = named;
    return true;
}
