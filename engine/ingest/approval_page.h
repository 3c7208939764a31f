/* approval_page.h: answers to who looks at an approval or decides, as a page for people or as JSON. The page has no script and loads nothing; all
 * that comes from elsewhere is escaped. Pure. */
#ifndef BW_INGEST_APPROVAL_PAGE_H
#define BW_INGEST_APPROVAL_PAGE_H
#include "dispatch/approval.h"

extern const struct bw_slice bw_approval_headers; /* of every such answer: NAME NUL VALUE NUL … */
unsigned bw_approval_status(const struct bw_approval_query *query);
void bw_approval_page(const struct bw_approval_query *query, struct bw_buf *out);
void bw_approval_json(const struct bw_approval_query *query, struct bw_buf *out);
void bw_html_append(struct bw_buf *out, struct bw_slice text); /* also inside of a quoted attribute */
#endif
