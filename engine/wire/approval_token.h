/* approval_token.h: what the link to an approval, or to a step that waits for a callback, carries: which step of which run, until when, and a seal
 * that only this store's key makes (semantics.md 2.5, "Approve"). Run workers make tokens, listeners check them; neither Lua nor a plugin ever sees
 * the key. Whoever has a token may decide, as the one whom it names if it does. Pure; any thread. */
#ifndef BW_WIRE_APPROVAL_TOKEN_H
#define BW_WIRE_APPROVAL_TOKEN_H
#include "base/buf.h"
#include "base/id.h"
#include <stdbool.h>
#include <stdint.h>

#define BW_APPROVAL_PATH "/approve/" /* of the URL, in front of the token */
#define BW_CALLBACK_PATH "/callback/"
#define BW_APPROVAL_KEY_BYTES 32
#define BW_APPROVAL_STEP_MAX 240 /* bytes of a step's path, or of that of a part of it; a byte of the token holds their number */
#define BW_APPROVAL_ACTOR_MAX 100

struct bw_approval_token {
    struct bw_uid run;
    int64_t expires_ms;
    char step[BW_APPROVAL_STEP_MAX + 1];
    char actor[BW_APPROVAL_ACTOR_MAX + 1]; /* whose it is; empty: whoever has it */
};
/* base64url of: version, run, expiry, step (with an actor: its length, the step, the actor), and the first 16 bytes of HMAC-SHA256(key, "bellwire
 * approval" NUL and all of these). False: no such step, or actor. */
bool bw_approval_token_append(struct bw_buf *out, const uint8_t key[BW_APPROVAL_KEY_BYTES], struct bw_uid run, struct bw_slice step,
                              struct bw_slice actor, int64_t expires_ms);
/* False: this key never made it. Whether it has expired is for the caller to say. */
bool bw_approval_token_read(struct bw_slice text, const uint8_t key[BW_APPROVAL_KEY_BYTES], struct bw_approval_token *out);

/* Which attempt has given the link away: each of them is answered once. What it says lies where an approval has its actor; the seal is made under
 * "bellwire callback", so that none of the two kinds passes for the other. */
struct bw_callback_turn {
    uint32_t iteration, attempt;
    int64_t started_ms; /* of the step: after `resume` its attempts are counted from 1 again */
};
bool bw_callback_token_append(struct bw_buf *out, const uint8_t key[BW_APPROVAL_KEY_BYTES], struct bw_uid run, struct bw_slice step,
                              const struct bw_callback_turn *turn, int64_t expires_ms);
bool bw_callback_token_read(struct bw_slice text, const uint8_t key[BW_APPROVAL_KEY_BYTES], struct bw_approval_token *out,
                            struct bw_callback_turn *turn);
#endif
