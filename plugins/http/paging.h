/* paging.h: where the next page of a list is, and what is on a page. Pure; any thread. */
#ifndef HTTP_PAGING_H
#define HTTP_PAGING_H
#include "transfer.h"

struct http_paging {
    enum http_paging_by { HTTP_BY_LINK, HTTP_BY_URL, HTTP_BY_CURSOR, HTTP_BY_PAGE, HTTP_BY_OFFSET } by;
    const char *items, *next, *param; /* JSON pointers; the query parameter. Borrowed from the input, as `hosts` is */
    const json_t *hosts;              /* others that pages may be on; NULL or empty: only that of the first */
    const char *first_url;
    int64_t size; /* 0: not known */
};
/* False: reason. first: what `from` is if there is none; NULL: the first URL as it is. The caller's (free()). */
bool http_paging_read(struct http_paging *paging, const json_t *input, const char *first_url, char **first, char *reason, size_t size);
/* The page's URL. from NULL: the first one. The caller's (free()). NULL: reason */
char *http_paging_url(const struct http_paging *paging, const char *from, char *reason, size_t size);
/* The list on a page, borrowed from its body. NULL: reason */
const json_t *http_paging_items(const struct http_paging *paging, const json_t *body, char *reason, size_t size);
/* Where it goes on behind the page that was at `url`, reached by `from`, with so many items: *next is the caller's (free()), NULL: nowhere. False:
 * reason */
bool http_paging_next(const struct http_paging *paging, const struct http_response *response, const json_t *body, const char *url, const char *from,
                      size_t item_count, char **next, char *reason, size_t size);
/* rel=next of the values of Link headers (RFC 8288). The caller's (free()). NULL: there is none. */
char *http_paging_link(const json_t *values);
#endif
