/* url.h: what is asked of URLs, answered by libcurl's parser, which is the one that will connect. Pure. Texts that are returned belong to the caller
 * (free()); NULL: no URL, or no memory. */
#ifndef HTTP_URL_H
#define HTTP_URL_H
#include <stdbool.h>

bool http_url_has_scheme(const char *url); /* http:// or https:// */
/* Same scheme, host and port. False also when one of them is none. */
bool http_url_same_origin(const char *url, const char *other);
/* Has it a user or a password in it? */
bool http_url_has_user(const char *url);
/* Where a reference on this page leads (RFC 3986, 5.2). */
char *http_url_resolve(const char *page, const char *reference);
/* The URL with this parameter of its query, and no other of that name. */
char *http_url_with(const char *url, const char *name, const char *value);
#endif
