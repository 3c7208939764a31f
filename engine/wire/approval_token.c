#include "wire/approval_token.h"
#include "base/codec.h"
#include "wire/seal.h"
#include <stdio.h>
#include <string.h>

enum { FOR_ANYBODY = 1, FOR_ACTOR = 2 }; /* versions */
#define EXPIRY_BYTES 6
#define FIXED_BYTES (1 + sizeof(struct bw_uid) + EXPIRY_BYTES)
#define TOKEN_BYTES_MAX (FIXED_BYTES + 1 + BW_APPROVAL_STEP_MAX + BW_APPROVAL_ACTOR_MAX + BW_SEAL_BYTES)

static const char approval[] = "bellwire approval", callback[] = "bellwire callback";

static bool append(struct bw_buf *out, const uint8_t key[BW_APPROVAL_KEY_BYTES], const char *label, struct bw_uid run, struct bw_slice step,
                   struct bw_slice actor, int64_t expires_ms)
{
    uint8_t bytes[TOKEN_BYTES_MAX];
    size_t len = 0;
    if (!step.len || step.len > BW_APPROVAL_STEP_MAX || actor.len > BW_APPROVAL_ACTOR_MAX) return false;
    bytes[len++] = actor.len ? FOR_ACTOR : FOR_ANYBODY;
    memcpy(bytes + len, run.bytes, sizeof run.bytes);
    len += sizeof run.bytes;
    for (int shift = 8 * (EXPIRY_BYTES - 1); shift >= 0; shift -= 8) bytes[len++] = (uint8_t)((uint64_t)expires_ms >> shift);
    if (actor.len) bytes[len++] = (uint8_t)step.len;
    memcpy(bytes + len, step.ptr, step.len);
    len += step.len;
    if (actor.len) memcpy(bytes + len, actor.ptr, actor.len);
    len += actor.len;
    if (!bw_seal(key, label, bytes, len, bytes + len)) return false;
    bw_base64url_append(out, bytes, len + BW_SEAL_BYTES);
    return !out->failed;
}

static bool read(struct bw_slice text, const uint8_t key[BW_APPROVAL_KEY_BYTES], const char *label, struct bw_approval_token *out)
{
    uint8_t bytes[TOKEN_BYTES_MAX];
    size_t len = 0;
    if (!bw_base64url_decode(text, bytes, sizeof bytes, &len) || len <= FIXED_BYTES + BW_SEAL_BYTES) return false;
    if (!bw_seal_holds(key, label, bytes, len)) return false;
    len -= BW_SEAL_BYTES;
    *out = (struct bw_approval_token){0};
    memcpy(out->run.bytes, bytes + 1, sizeof out->run.bytes);
    for (size_t i = 0; i < EXPIRY_BYTES; i++) out->expires_ms = out->expires_ms << 8 | bytes[1 + sizeof out->run.bytes + i];
    const uint8_t *step = bytes + FIXED_BYTES;
    size_t step_len = len - FIXED_BYTES, actor_len = 0;
    if (bytes[0] == FOR_ACTOR) {
        size_t rest = step_len - 1;
        step_len = *step++;
        if (!step_len || step_len >= rest) return false;
        actor_len = rest - step_len;
    } else if (bytes[0] != FOR_ANYBODY) {
        return false;
    }
    if (step_len > BW_APPROVAL_STEP_MAX || actor_len > BW_APPROVAL_ACTOR_MAX) return false;
    memcpy(out->step, step, step_len);
    memcpy(out->actor, step + step_len, actor_len);
    return true;
}

bool bw_approval_token_append(struct bw_buf *out, const uint8_t key[BW_APPROVAL_KEY_BYTES], struct bw_uid run, struct bw_slice step,
                              struct bw_slice actor, int64_t expires_ms)
{
    return append(out, key, approval, run, step, actor, expires_ms);
}

bool bw_approval_token_read(struct bw_slice text, const uint8_t key[BW_APPROVAL_KEY_BYTES], struct bw_approval_token *out)
{
    return read(text, key, approval, out);
}

bool bw_callback_token_append(struct bw_buf *out, const uint8_t key[BW_APPROVAL_KEY_BYTES], struct bw_uid run, struct bw_slice step,
                              const struct bw_callback_turn *turn, int64_t expires_ms)
{
    char text[BW_APPROVAL_ACTOR_MAX + 1];
    int len = snprintf(text, sizeof text, "%u.%u.%lld", turn->iteration, turn->attempt, (long long)turn->started_ms);
    return append(out, key, callback, run, step, (struct bw_slice){text, (size_t)len}, expires_ms);
}

bool bw_callback_token_read(struct bw_slice text, const uint8_t key[BW_APPROVAL_KEY_BYTES], struct bw_approval_token *out,
                            struct bw_callback_turn *turn)
{
    long long started_ms;
    if (!read(text, key, callback, out) || sscanf(out->actor, "%u.%u.%lld", &turn->iteration, &turn->attempt, &started_ms) != 3) return false;
    turn->started_ms = started_ms;
    return true;
}
