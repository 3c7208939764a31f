#include "wire/status_token.h"
#include "base/codec.h"
#include <string.h>

enum { VERSION = 1, UID_BYTES = sizeof(struct bw_uid), BODY_BYTES = 1 + 2 * UID_BYTES, TOKEN_BYTES = BODY_BYTES + BW_SEAL_BYTES };
static const char label[] = "bellwire status";

bool bw_status_token_append(struct bw_buf *out, const uint8_t key[BW_SEAL_KEY_BYTES], const struct bw_status_token *token)
{
    uint8_t bytes[TOKEN_BYTES] = {VERSION};
    memcpy(bytes + 1, token->event.bytes, UID_BYTES);
    memcpy(bytes + 1 + UID_BYTES, token->run.bytes, UID_BYTES);
    if (!bw_seal(key, label, bytes, BODY_BYTES, bytes + BODY_BYTES)) return false;
    bw_base64url_append(out, bytes, sizeof bytes);
    return !out->failed;
}

bool bw_status_token_read(struct bw_slice text, const uint8_t key[BW_SEAL_KEY_BYTES], struct bw_status_token *out)
{
    uint8_t bytes[TOKEN_BYTES];
    size_t len = 0;
    if (!bw_base64url_decode(text, bytes, sizeof bytes, &len) || len != sizeof bytes || bytes[0] != VERSION) return false;
    if (!bw_seal_holds(key, label, bytes, len)) return false;
    memcpy(out->event.bytes, bytes + 1, UID_BYTES);
    memcpy(out->run.bytes, bytes + 1 + UID_BYTES, UID_BYTES);
    return true;
}
