/* handovers_office.h: the verbs of a serving engine's control socket about its sources.
 *
 *   {"do": "sources.list"}                              → {"sources": [as in bw_handovers_list()]}
 *   {"do": "sources.open", "source": NAME, "for_ms": N} → {"changed": true, "open_until_ms": N}
 *   {"do": "sources.close" | "sources.forget" | "sources.reveal", "source": NAME} → {"changed": false: it was so already}
 *
 * Answered when it is on disk, and counts. Who asks says the kernel; it goes into the audit. Main thread. */
#ifndef BW_SERVE_HANDOVERS_OFFICE_H
#define BW_SERVE_HANDOVERS_OFFICE_H
#include "admin/control.h"
#include "serve/handovers.h"

struct bw_handover_office;
/* Reads what the store in `folder` has; `store` is open there. */
struct bw_handover_office *bw_handover_office_new(struct event_base *base, struct bw_store *store, const char *folder, struct bw_error *err);
struct bw_learnt *bw_handover_office_learnt(struct bw_handover_office *office); /* borrowed */
void bw_handover_office_list(struct bw_handover_office *office, const struct bw_router *router, struct bw_control_request *request);
void bw_handover_office_take(struct bw_handover_office *office, enum bw_handover_verb verb, const struct bw_router *router,
                             struct bw_control_request *request, const json_t *body);
void bw_handover_office_free(struct bw_handover_office *office); /* after the store was closed; NULL is fine */
#endif
