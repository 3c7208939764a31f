/* response.h: an answer of a run to the sender of its event, when what it says is on disk. */
#ifndef BW_DISPATCH_RESPONSE_H
#define BW_DISPATCH_RESPONSE_H
#include "base/buf.h"
#include "base/id.h"
#include "base/json.h"
#include <stdbool.h>

struct bw_response {
    struct bw_uid event, run;
    unsigned status;
    struct bw_slice type;  /* Content-Type, unless a header says another one */
    const json_t *headers; /* texts by name, or NULL */
    struct bw_slice body;
    /* For who has called the run as a tool, and hears of nothing but its end. */
    bool is_end;
    const char *state;     /* of the run then; static */
    struct bw_slice error; /* of a bad end: {code, message, step?}; else empty */
};
/* Who holds senders that wait. Main thread. */
struct bw_responders {
    void *arg;
    void (*choose)(void *arg, struct bw_uid event, struct bw_uid run, int64_t within_ms); /* run zero: nobody answers, the sender need not wait */
    bool (*is_awaited)(void *arg, struct bw_uid event, struct bw_uid run);                /* cheap: asked for each run that ends */
    void (*respond)(void *arg, const struct bw_response *response);                       /* the first one counts */
};
#endif
