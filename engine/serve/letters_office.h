/* letters_office.h: the verbs runs.resume, runs.replay, runs.discard and runs.resolve of a serving engine's control socket.
 *
 *   {"do": "runs.resume", "runs": ["run_…", at most BW_LETTERS_AT_ONCE of them], "latest"?: true}
 *   {"do": "runs.replay", "runs": […], "from"?: step, "same_version"?: true}
 *   {"do": "runs.discard", "runs": […]}
 *   {"do": "runs.resolve", "runs": […], "step": path, "as": "succeeded"|"failed"|"retry", "output"?: {}} each result then has
 *                          "resumed": bool, and "why"?: ERROR when it is not
 *   → {"ok": true, "results": [{"run": "run_…", "replay"?: "run_…", "error"?: {code, message, hint?}}, …]} in the order of
 * the runs, when it is on disk
 *
 * One request is one transaction. Who asks says the kernel; it goes into the audit. Main thread. */
#ifndef BW_SERVE_LETTERS_OFFICE_H
#define BW_SERVE_LETTERS_OFFICE_H
#include "admin/control.h"
#include "dispatch/dispatch.h"
#include "store/letters.h"

struct bw_letter_office;
struct bw_letter_office *bw_letter_office_new(struct event_base *base, struct bw_store *store, const struct bw_dispatch *dispatch);
void bw_letter_office_take(struct bw_letter_office *office, enum bw_letter_verb verb, struct bw_control_request *request, const json_t *body);
void bw_letter_office_free(struct bw_letter_office *office); /* after the store was closed; NULL is fine */
#endif
