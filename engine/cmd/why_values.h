/* why_values.h: what a condition saw. */
#ifndef BW_CMD_WHY_VALUES_H
#define BW_CMD_WHY_VALUES_H
#include "base/buf.h"

/* For each "event.data.a.b" in the text of the condition, its value in the body (JSON; empty: there is none): members of a JSON object between
 * commas, or a line each for people. */
void bw_why_values(struct bw_buf *out, struct bw_slice event_body, struct bw_slice condition, bool as_json);
#endif
