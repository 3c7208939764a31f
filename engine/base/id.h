/* id.h: identities. Events get 16 bytes in UUIDv7 layout (RFC 9562: 48 bits of milliseconds, then random bits), so that
 * indexes grow at their right edge. A run's identity needs no write: it is derived from its event and the workflow's
 * name, so that after a crash the same event under the same workflow is the same run with the same idempotency keys. */
#ifndef BW_BASE_ID_H
#define BW_BASE_ID_H
#include "base/buf.h"
#include <stdbool.h>
#include <stdint.h>

struct bw_uid {
    uint8_t bytes[16];
};
#define BW_UID_TEXT 31                         /* "evt_" + 26 + NUL */
enum bw_uid_kind { BW_UID_EVENT, BW_UID_RUN }; /* text prefixes "evt_" and "run_" */

struct bw_uid bw_uid_new(int64_t wall_ms);
/* The event's 6 time bytes, then the first 10 bytes of SHA-256("bellwire run\0" + event uid + workflow name). */
struct bw_uid bw_uid_of_run(struct bw_uid event, struct bw_slice workflow);
/* A run that a step of another run starts: that one's 6 time bytes, then the first 10 bytes of SHA-256("bellwire child\0" + parent uid + path + "\0"
 * + item in decimal). */
struct bw_uid bw_uid_of_child(struct bw_uid parent, struct bw_slice path, uint32_t item);
bool bw_uid_equal(struct bw_uid a, struct bw_uid b);
bool bw_uid_is_zero(struct bw_uid uid);
/* Prefix and 26 characters of lower-case Crockford base32 (sorts like the bytes); returns out. */
const char *bw_uid_text(struct bw_uid uid, enum bw_uid_kind kind, char out[BW_UID_TEXT]);
bool bw_uid_parse(struct bw_slice text, enum bw_uid_kind kind, struct bw_uid *out);
/* "bw_" + 32 characters of RFC 4648 base32, lower case, of the first 20 bytes of HMAC-SHA256(key = run uid, path + "\0" + iteration in decimal).
 * semantics.md 2.5: the same over attempts, crashes and takeover. out holds 36 bytes. */
#define BW_IDEMPOTENCY_KEY_TEXT 36
const char *bw_idempotency_key(struct bw_uid run, const char *path, uint32_t iteration, char out[BW_IDEMPOTENCY_KEY_TEXT]);
#endif
