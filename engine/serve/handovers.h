/* handovers.h: the sources that are served, and what their senders have handed over, for `bellwire sources`: as an engine answers it, and as a
 * command finds it in the files and the store when none serves. Main thread. */
#ifndef BW_SERVE_HANDOVERS_H
#define BW_SERVE_HANDOVERS_H
#include "base/json.h"
#include "ingest/router.h"
#include "source/learnt.h"
#include "store/handover.h"

/* What the store has, for the sources of any configuration. */
bool bw_handovers_load(struct bw_reader *reader, struct bw_learnt *learnt, struct bw_error *err);
/* [{source, path, scheme, webhook: bool, secret: "given"|"learnt"|"awaited"|"none", learnt_ms?, open_until_ms?}] in the order of the configuration;
 * open_until_ms only while it is open. Never a secret. New reference; NULL without memory. */
json_t *bw_handovers_list(const struct bw_router *router, struct bw_learnt *learnt, int64_t now_ms);
/* Is there such a source, and does this make sense for it? Else err says what would. */
bool bw_handovers_may(const struct bw_router *router, struct bw_learnt *learnt, enum bw_handover_verb verb, const char *source, struct bw_error *err);
#endif
