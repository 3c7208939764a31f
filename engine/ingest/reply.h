/* reply.h: the answers: a status, a small JSON body, and the headers that belong to the status. A refusal says its kind and no more: why
 * a signature was not believed is for the log and the delivery record alone. Every refusal closes its connection. */
#ifndef BW_INGEST_REPLY_H
#define BW_INGEST_REPLY_H
#include "base/buf.h"
#include "base/json_scan.h"
#include "config/manners.h"
#include <stdbool.h>
#include <stdint.h>

struct bw_reply {
    unsigned status;
    bool closes;
    const char *allow;       /* 405 */
    const char *challenge;   /* 401; NULL = no such header */
    struct bw_slice headers; /* more of them: name, NUL, value, NUL, and so on */
    unsigned retry_after_s;  /* 0 = no such header */
    const char *type;        /* NULL = application/json */
    const char *body;
    size_t body_len;
    char text[256]; /* where the bodies below are built */
};
void bw_reply_accepted(struct bw_reply *reply, const char *event, bool is_duplicate); /* 202 or 200; event: "evt_…", NULL = it is gone */
/* The same as its source wants it said: `acknowledge`, borrowed until it is sent. */
void bw_reply_acknowledge(struct bw_reply *reply, const struct bw_acknowledge *acknowledge);
void bw_reply_malformed(struct bw_reply *reply, const struct bw_json_fault *fault); /* 400 with line and column */
/* Any other refusal: {"error":KIND} by its status; 503 and 429 get Retry-After, 1 to 30 s at random, so that refused senders do not come back as one.
 */
void bw_reply_refuse(struct bw_reply *reply, unsigned status);
void bw_reply_bytes(struct bw_reply *reply, unsigned status, const char *type, struct bw_slice body); /* borrows type and body until sent */

/* What the request says of its answer. is_head: it has no body. keeps: its sender, of HTTP/1.0, has to be told that the connection stays open. */
struct bw_reply_to {
    bool is_head, keeps;
};
/* The reply as it is sent. A header that would not be one line of the answer is left out. Pure; out->failed without memory. */
void bw_reply_append(struct bw_buf *out, const struct bw_reply *reply, const struct bw_reply_to *to, int64_t now_ms);
void bw_reply_crash(int fd); /* the crash points in front of an answer, and in the middle of it; for tests alone */
#endif
