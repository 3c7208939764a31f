#include "url.h"
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool http_url_has_scheme(const char *url)
{
    return !strncasecmp(url, "http://", 7) || !strncasecmp(url, "https://", 8);
}

static CURLU *parse(const char *url)
{
    CURLU *parts = curl_url();
    if (parts && http_url_has_scheme(url) && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK) return parts;
    curl_url_cleanup(parts);
    return NULL;
}

static bool is_equal_part(CURLU *one, CURLU *other, CURLUPart part)
{
    char *a = NULL, *b = NULL;
    bool is_equal = !curl_url_get(one, part, &a, CURLU_DEFAULT_PORT) && !curl_url_get(other, part, &b, CURLU_DEFAULT_PORT) && !strcasecmp(a, b);
    curl_free(a);
    curl_free(b);
    return is_equal;
}

bool http_url_same_origin(const char *url, const char *other)
{
    CURLU *one = parse(url), *two = parse(other);
    bool is_same =
        one && two && is_equal_part(one, two, CURLUPART_SCHEME) && is_equal_part(one, two, CURLUPART_HOST) && is_equal_part(one, two, CURLUPART_PORT);
    curl_url_cleanup(one);
    curl_url_cleanup(two);
    return is_same;
}

bool http_url_has_user(const char *url)
{
    CURLU *parts = parse(url);
    char *user = NULL, *password = NULL;
    bool has = parts && (!curl_url_get(parts, CURLUPART_USER, &user, 0) || !curl_url_get(parts, CURLUPART_PASSWORD, &password, 0));
    curl_free(user);
    curl_free(password);
    curl_url_cleanup(parts);
    return has;
}

static char *text_of(CURLU *parts)
{
    char *url = NULL, *copy = NULL;
    if (!curl_url_get(parts, CURLUPART_URL, &url, 0)) copy = strdup(url);
    curl_free(url);
    return copy;
}

char *http_url_resolve(const char *page, const char *reference)
{
    CURLU *parts = parse(page);
    char *resolved = parts && !curl_url_set(parts, CURLUPART_URL, reference, 0) ? text_of(parts) : NULL;
    curl_url_cleanup(parts);
    if (resolved && http_url_has_scheme(resolved)) return resolved;
    free(resolved);
    return NULL;
}

/* Is this part of a query, up to its '&', the parameter of that (encoded) name? */
static bool is_named(const char *part, size_t part_len, const char *name)
{
    size_t len = strlen(name);
    return part_len >= len && !strncmp(part, name, len) && (part_len == len || part[len] == '=');
}

static char *without(const char *query, const char *name)
{
    char *kept = calloc(1, strlen(query) + 1), *end = kept;
    while (kept && *query) {
        size_t len = strcspn(query, "&");
        if (len && !is_named(query, len, name)) {
            if (end > kept) *end++ = '&';
            memcpy(end, query, len);
            end += len;
        }
        query += len + (query[len] == '&');
    }
    if (kept) *end = '\0';
    return kept;
}

static char *joined(const char *query, const char *name, const char *value)
{
    size_t len = strlen(query) + strlen(name) + strlen(value) + 3;
    char *text = malloc(len);
    if (!text) return NULL;
    strcpy(text, query);
    if (*query) strcat(text, "&");
    return strcat(strcat(strcat(text, name), "="), value);
}

char *http_url_with(const char *url, const char *name, const char *value)
{
    CURLU *parts = parse(url);
    char *query = NULL, *encoded_name = curl_easy_escape(NULL, name, 0), *encoded_value = curl_easy_escape(NULL, value, 0), *made = NULL;
    if (parts && encoded_name && encoded_value) {
        if (curl_url_get(parts, CURLUPART_QUERY, &query, 0)) query = NULL;
        char *kept = without(query ? query : "", encoded_name), *whole = kept ? joined(kept, encoded_name, encoded_value) : NULL;
        if (whole && !curl_url_set(parts, CURLUPART_QUERY, whole, 0)) made = text_of(parts);
        free(kept);
        free(whole);
    }
    curl_free(query);
    curl_free(encoded_name);
    curl_free(encoded_value);
    curl_url_cleanup(parts);
    return made;
}
