/* body.h: is a body what its source's schema wants? The one place of the accept path where a tree is built, and only for sources with a schema. Pure.
 */
#ifndef BW_INGEST_BODY_H
#define BW_INGEST_BODY_H
#include "base/buf.h"
#include "base/schema.h"

struct bw_misfit {        /* zero-initialise; bw_misfit_clear() */
    struct bw_buf answer; /* {"error":"invalid","message":…,"at":JSON pointer} or, of what is no JSON, line and column */
    struct bw_buf reason; /* for the log and the record: "/amount must be at least 0" */
};
/* place: in front of what is wrong, or "". Whatever the content type says, the body must be JSON: strict, no name twice in an object, no number that
 * would be another one when it is read. */
bool bw_body_fits(const struct bw_schema *schema, struct bw_slice body, const char *place, struct bw_misfit *misfit);
void bw_misfit_clear(struct bw_misfit *misfit);
#endif
