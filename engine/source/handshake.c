/* Handshakes as data: a request that only wants to see that somebody is at home. No event comes from one. */
#include "base/buf.h"
#include "source/program.h"
#include <string.h>

#define ECHO_BYTES_MAX 1024

static bool applies(struct bw_trial *trial, const struct bw_handshake *handshake)
{
    struct bw_slice value;
    if (handshake->method.len && !bw_slice_equal(handshake->method, trial->request->method)) return false;
    if (handshake->present.kind != BW_REF_LITERAL && !bw_ref_read(trial, &handshake->present, &value, NULL)) return false;
    return handshake->subject.kind == BW_REF_LITERAL ||
           (bw_ref_read(trial, &handshake->subject, &value, NULL) && bw_slice_equal(value, handshake->expected));
}

static bool fill(struct bw_trial *trial, const struct bw_handshake *handshake, struct bw_judgement *out)
{
    struct bw_buf text = {0};
    bool is_json = !strcmp(handshake->type, "application/json");
    const char *at = handshake->answer.ptr, *end = at + handshake->answer.len;
    for (size_t i = 0; at < end; i++) {
        const char *open = i < handshake->answer_ref_count ? memchr(at, '\1', (size_t)(end - at)) : NULL;
        bw_buf_append(&text, at, (size_t)((open ? open : end) - at));
        if (!open) break;
        struct bw_slice value;
        if (!bw_ref_read(trial, &handshake->answer_refs[i], &value, NULL) || value.len > ECHO_BYTES_MAX) {
            bw_buf_free(&text);
            return false;
        }
        if (is_json)
            bw_buf_append_json_string(&text, value);
        else
            bw_buf_append_slice(&text, value);
        at = open + 1;
    }
    size_t before = trial->scratch->len;
    bw_buf_append_slice(trial->scratch, bw_buf_slice(&text));
    bw_buf_free(&text);
    out->verdict = BW_HANDSHAKE;
    out->reason = "handshake";
    out->answer_status = handshake->status;
    out->answer_type = handshake->type;
    out->answer_body = (struct bw_slice){trial->scratch->data ? trial->scratch->data + before : "", trial->scratch->len - before};
    return true;
}

bool bw_handshake_answer(struct bw_trial *trial, bool is_verified, struct bw_judgement *out)
{
    for (size_t i = 0; i < trial->program->handshake_count; i++) {
        const struct bw_handshake *handshake = &trial->program->handshakes[i];
        if (handshake->verify_first == is_verified && applies(trial, handshake)) return fill(trial, handshake, out);
    }
    return false;
}
