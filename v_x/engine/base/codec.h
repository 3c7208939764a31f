/* codec.h: hex, base64 and URL coding. Decoders are strict (verification.md pitfall 17): hex in lower case unless any_case,
 * base64 canonical with padding, base64url without padding; everything else is refused. No allocation; any thread. */
#ifndef BW_BASE_CODEC_H
#define BW_BASE_CODEC_H
#include "base/buf.h"
#include <stdbool.h>
#include <stdint.h>

bool bw_hex_decode(struct bw_slice text, bool any_case, uint8_t *out, size_t capacity, size_t *len);
void bw_hex_encode(const void *bytes, size_t len, char *out); /* 2·len + 1 bytes */
bool bw_base64_decode(struct bw_slice text, uint8_t *out, size_t capacity, size_t *len);
bool bw_base64url_decode(struct bw_slice text, uint8_t *out, size_t capacity, size_t *len);
void bw_base64_append(struct bw_buf *out, const void *bytes, size_t len);
void bw_base64url_append(struct bw_buf *out, const void *bytes, size_t len);
void bw_url_encode_append(struct bw_buf *out, struct bw_slice text); /* RFC 3986 unreserved stay, the rest %XX in upper case */
/* application/x-www-form-urlencoded: '+' is a space; false on a broken %XX. Appends the decoded bytes. */
bool bw_form_decode_append(struct bw_buf *out, struct bw_slice text);
#endif
