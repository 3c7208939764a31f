#include "workflow/wait_key.h"
#include "base/json_view.h"
#include <openssl/sha.h>

static bool spell(struct bw_slice value, struct bw_buf *out)
{
    struct bw_json_view view = bw_json_view_of(value);
    int64_t integer;
    double real;
    bool is_integer;
    switch (bw_json_view_type(view)) {
    case BW_JSON_TRUE: bw_buf_append_text(out, "true"); return true;
    case BW_JSON_FALSE: bw_buf_append_text(out, "false"); return true;
    case BW_JSON_STRING:
        bw_buf_append_char(out, '"');
        bw_json_unescape_append(out, view.raw);
        return true;
    case BW_JSON_NUMBER:
        if (!bw_json_view_number(view, &is_integer, &integer, &real)) return false;
        if (!is_integer && real >= -9007199254740992.0 && real <= 9007199254740992.0 && real == (double)(int64_t)real) {
            is_integer = true; /* 7.0 and 7e0 are 7 */
            integer = (int64_t)real;
        }
        if (is_integer)
            bw_buf_printf(out, "%lld", (long long)integer);
        else
            bw_json_real_append(out, real);
        return true;
    default: return false;
    }
}

bool bw_wait_key(struct bw_slice event, struct bw_slice by, struct bw_slice value, uint64_t *key)
{
    struct bw_buf text = {0};
    uint8_t hash[SHA256_DIGEST_LENGTH];
    bw_buf_append(&text, "bellwire wait", sizeof "bellwire wait");
    bw_buf_append_slice(&text, event);
    bw_buf_append_char(&text, '\0');
    bw_buf_append_slice(&text, by);
    bw_buf_append_char(&text, '\0');
    bool good = (!by.len || spell(value, &text)) && !text.failed;
    SHA256((const unsigned char *)text.data, text.len, hash);
    *key = 0;
    for (size_t i = 0; i < 8; i++) *key = *key << 8 | hash[i];
    bw_buf_free(&text);
    return good;
}

bool bw_wait_equal(struct bw_slice one, struct bw_slice other)
{
    struct bw_buf first = {0}, second = {0};
    bool is_equal =
        spell(one, &first) && spell(other, &second) && !first.failed && !second.failed && bw_slice_equal(bw_buf_slice(&first), bw_buf_slice(&second));
    bw_buf_free(&first);
    bw_buf_free(&second);
    return is_equal;
}

void bw_wait_pointer(struct bw_slice by, struct bw_buf *out)
{
    for (size_t dot = sizeof "data" - 1, end; dot < by.len; dot = end) {
        for (end = dot + 1; end < by.len && by.ptr[end] != '.';) end++;
        bw_buf_append_pointer(out, (struct bw_slice){by.ptr + dot + 1, end - dot - 1});
    }
}
