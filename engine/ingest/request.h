/* request.h: a request as it came in, as the schemes see it, and the headers that are kept with an event. Pure. */
#ifndef BW_INGEST_REQUEST_H
#define BW_INGEST_REQUEST_H
#include "ingest/gate.h"
#include "source/source.h"

#define BW_KEPT_HEADERS_MAX 8192 /* bytes of their JSON */
#define BW_CLIENT_HEADER "bellwire-client-subject"

/* Splits a request target at its first '?'; query is empty (ptr at the end) without one. */
void bw_target_split(struct bw_slice target, struct bw_slice *path, struct bw_slice *query);

struct bw_inbound { /* zero-initialise; bw_inbound_clear() to end */
    /* As they were sent, the head with its empty line. Borrowed from whom they were read by, or of the two below. Empty: there is none, or not any
     * more. A head that is no good is empty */
    struct bw_slice head, body;
    struct bw_buf own_head, own_body;
    bool is_head, is_http10;
    bool closes; /* the connection is to be closed behind its answer */
};
bool bw_inbound_keep(struct bw_inbound *inbound);      /* what is borrowed is its own from here on; false without memory: nothing has changed */
void bw_inbound_let_go(struct bw_inbound *inbound);    /* what is borrowed is gone */
void bw_inbound_drop_body(struct bw_inbound *inbound); /* nobody needs it any more */
void bw_inbound_clear(struct bw_inbound *inbound);

struct bw_request_parts { /* room that outlives the struct bw_request: slices point into it and into the inbound one */
    struct bw_request request;
    struct bw_slice path;
    struct bw_header headers[BW_GATE_FIELDS_MAX];
    struct bw_buf url; /* reused; freed by the owner */
};
/* False: there is no head. Body and url: bw_request_set_source(). */
bool bw_request_read(struct bw_request_parts *parts, const struct bw_inbound *from);
/* The body, and the URL as the source's provider knows it. False without memory. */
bool bw_request_set_source(struct bw_request_parts *parts, const struct bw_inbound *from, const struct bw_source_config *source, int64_t now_ms);

/* May this header be stored? Credentials, cookies and signatures may not: a stored event must not be replayable or tell a secret. By the names that
 * senders use, and for generic schemes by the header that the source's options name. */
bool bw_header_is_kept(struct bw_slice name, const struct bw_source_config *source);
/* Compact JSON object with names in lower case, values as received; repeated names: the first one. Headers that do not fit are left out.
 * client: what a certificate says of the sender, kept as BW_CLIENT_HEADER; no sender can write a header of that beginning itself. */
void bw_headers_keep(struct bw_buf *out, const struct bw_request *request, const struct bw_source_config *source, struct bw_slice client);
/* Its one Content-Type is this, whatever parameters it has. */
bool bw_request_is_type(const struct bw_request *request, const char *type);
#endif
