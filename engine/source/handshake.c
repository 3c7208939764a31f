/* Handshakes as data: a request that only wants to see that somebody is at home. No event comes from one. */
#include "base/buf.h"
#include "source/learnt.h"
#include "source/program.h"
#include <string.h>

#define ECHO_BYTES_MAX 1024
#define ANSWER_BYTES_MAX 16384

static bool is_expected(const struct bw_trial *trial, const struct bw_handshake *handshake, struct bw_slice value)
{
    if (!handshake->expects_secret) return bw_slice_equal(value, handshake->expected);
    const struct bw_secret *secret = bw_trial_secret(trial, handshake->expected);
    bool good = false;
    for (size_t i = 0; secret && i < secret->count; i++) good |= secret->values[i].len && bw_token_equal(value, secret->values[i]);
    return good;
}

static bool applies(struct bw_trial *trial, const struct bw_handshake *handshake)
{
    struct bw_slice value;
    if (handshake->method.len && !bw_slice_equal(handshake->method, trial->request->method)) return false;
    if (handshake->present.kind != BW_REF_LITERAL && !bw_ref_read(trial, &handshake->present, &value, NULL)) return false;
    if (handshake->subject.kind == BW_REF_LITERAL) return true;
    if (!bw_ref_read(trial, &handshake->subject, &value, NULL)) return false;
    if (!bw_shape_fits(&handshake->shape, value)) return false;
    return (!bw_shape_is_open(&handshake->shape) && !handshake->expected.len) || is_expected(trial, handshake, value);
}

/* Inside a JSON string, or as it is: then a control character would be another line of the head. */
static bool append_value(struct bw_buf *out, struct bw_slice value, bool is_json, bool is_header)
{
    struct bw_buf quoted = {0};
    if (value.len > ECHO_BYTES_MAX) return false;
    for (size_t i = 0; is_header && i < value.len; i++)
        if ((unsigned char)value.ptr[i] < 0x20 || value.ptr[i] == 0x7f) return false;
    if (!is_json) {
        bw_buf_append_slice(out, value);
        return true;
    }
    bw_buf_append_json_string(&quoted, value);
    if (quoted.len >= 2) bw_buf_append(out, quoted.data + 1, quoted.len - 2);
    bw_buf_free(&quoted);
    return true;
}

static bool fill_template(struct bw_trial *trial, const struct bw_template *template_, bool is_header, struct bw_buf *out)
{
    const char *at = template_->text.ptr, *end = at + template_->text.len;
    for (size_t i = 0; at < end; i++) {
        const char *open = i < template_->ref_count ? memchr(at, '\1', (size_t)(end - at)) : NULL;
        struct bw_slice value;
        bw_buf_append(out, at, (size_t)((open ? open : end) - at));
        if (!open) break;
        if (!bw_ref_read(trial, &template_->refs[i], &value, NULL) || !append_value(out, value, template_->is_json, is_header)) return false;
        at = open + 1;
    }
    return !out->failed;
}

static bool fill(struct bw_trial *trial, const struct bw_handshake *handshake, struct bw_judgement *out)
{
    struct bw_buf text = {0}, headers = {0};
    bool good = fill_template(trial, &handshake->answer, false, &text);
    for (size_t i = 0; good && i < handshake->header_count; i++) {
        bw_buf_append_slice(&headers, handshake->header_names[i]);
        bw_buf_append_char(&headers, '\0');
        good = fill_template(trial, &handshake->headers[i], true, &headers);
        bw_buf_append_char(&headers, '\0');
    }
    good = good && text.len + headers.len <= ANSWER_BYTES_MAX && bw_trial_has_room(trial, text.len + headers.len);
    if (good) {
        size_t before = trial->scratch->len;
        bw_buf_append_slice(trial->scratch, bw_buf_slice(&text));
        out->answer_body = bw_trial_since(trial, before);
        before = trial->scratch->len;
        bw_buf_append_slice(trial->scratch, bw_buf_slice(&headers));
        out->answer_headers = bw_trial_since(trial, before);
        out->verdict = BW_HANDSHAKE;
        out->reason = "handshake";
        out->answer_status = handshake->status;
        out->answer_type = handshake->type;
    }
    bw_buf_free(&text);
    bw_buf_free(&headers);
    return good;
}

static void refuse(struct bw_judgement *out, const char *reason, const char *cure)
{
    out->verdict = BW_REFUSED;
    out->reason = reason;
    out->cure = cure;
}

/* Anybody can say a secret. It is taken while the operator's window is open, and only the first one; the very one that is there already is answered
 * as it was: its sender may not have heard the answer. */
static bool take_secret(struct bw_trial *trial, const struct bw_handshake *handshake, struct bw_judgement *out)
{
    struct bw_keys offered = {0};
    struct bw_error err;
    struct bw_slice value;
    size_t occurrences;
    bool is_known = false, is_good = bw_ref_read(trial, &handshake->captured, &value, &occurrences) && occurrences == 1 &&
                                     value.len <= BW_LEARNT_BYTES_MAX && bw_keys_add(&offered, trial->program, trial->config, 0, value, &err);
    for (size_t i = 0; is_good && i < trial->keys->count; i++) is_known |= bw_token_equal(offered.items[0].bytes, trial->keys->items[i].bytes);
    bw_keys_free(&offered);
    if (!is_good)
        refuse(out, "what it hands over can be no secret", NULL);
    else if (is_known)
        return true;
    else if (!trial->is_learning)
        refuse(out, "it hands over a secret, and its secret is in the configuration", NULL);
    else if (trial->keys->count)
        refuse(out, "it has handed over another secret before", "bellwire sources forget");
    else if (trial->request->now_ms >= trial->learns_until_ms)
        refuse(out, "it may not hand over its secret now", "bellwire sources open");
    else {
        out->captured = value;
        out->captured_name = trial->program->key_secrets[0].ptr;
    }
    return out->captured.len > 0;
}

bool bw_handshake_answer(struct bw_trial *trial, bool is_verified, struct bw_judgement *out)
{
    for (size_t i = 0; i < trial->program->handshake_count; i++) {
        const struct bw_handshake *handshake = &trial->program->handshakes[i];
        if (handshake->verify_first != is_verified || !applies(trial, handshake)) continue;
        if (handshake->captured.kind != BW_REF_LITERAL && !take_secret(trial, handshake, out)) return true;
        return fill(trial, handshake, out);
    }
    return false;
}
