/* wait_key.h: what an event and a waiting run are matched by: a number made from the event's name pattern, the path of a field and the value in it.
 *
 * The engine makes it from an accepted event for each pattern and path that some workflow declares, a worker from the `equals` of a wait. It is
 * stored, so the formula must not change: the first 8 bytes (big endian) of SHA-256 of "bellwire wait\0" event "\0" by "\0" value. The value is
 * spelled with its type, so that 7 and "7" differ; numbers that are equal are spelled alike. Two values may share a number: whoever is woken
 * compares again. Pure functions, any thread. */
#ifndef BW_WORKFLOW_WAIT_KEY_H
#define BW_WORKFLOW_WAIT_KEY_H
#include "base/buf.h"
#include <stdbool.h>
#include <stdint.h>

/* value: the JSON text of a text, a number, true or false; anything else has no key: false. `by` empty: value is not looked at. */
bool bw_wait_key(struct bw_slice event, struct bw_slice by, struct bw_slice value, uint64_t *key);
bool bw_wait_equal(struct bw_slice one, struct bw_slice other); /* two such values: the same type and value */
/* The dotted path of a wait ("data.order.id") as an RFC 6901 pointer into the body ("/order/id"). */
void bw_wait_pointer(struct bw_slice by, struct bw_buf *out);
#endif
