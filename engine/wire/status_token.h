/* status_token.h: what the link carries that a sender gets whose answer was not there in time (semantics.md 2.5, "Respond"): its event, and the run
 * that would have answered, if that was known; and a seal that only this store's key makes. It shows what the answer would have shown, for as long
 * as the run is kept. Pure; any thread. */
#ifndef BW_WIRE_STATUS_TOKEN_H
#define BW_WIRE_STATUS_TOKEN_H
#include "base/buf.h"
#include "base/id.h"
#include "wire/seal.h"

#define BW_STATUS_PATH "/status/" /* of the URL, in front of the token */

struct bw_status_token {
    struct bw_uid event, run; /* run zero: not known when the link was made */
};
/* base64url of: version, event, run, seal under "bellwire status". */
bool bw_status_token_append(struct bw_buf *out, const uint8_t key[BW_SEAL_KEY_BYTES], const struct bw_status_token *token);
bool bw_status_token_read(struct bw_slice text, const uint8_t key[BW_SEAL_KEY_BYTES],
                          struct bw_status_token *out); /* false: this key never made it */
#endif
