#include "base/codec.h"

static const char hex_lower[] = "0123456789abcdef", hex_upper[] = "0123456789ABCDEF";
static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64url_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static int hex_value(char c, bool any_case)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (any_case && c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool bw_hex_decode(struct bw_slice text, bool any_case, uint8_t *out, size_t capacity, size_t *len)
{
    if (text.len % 2 || text.len / 2 > capacity) return false;
    for (size_t i = 0; i < text.len / 2; i++) {
        int high = hex_value(text.ptr[2 * i], any_case), low = hex_value(text.ptr[2 * i + 1], any_case);
        if (high < 0 || low < 0) return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    *len = text.len / 2;
    return true;
}

void bw_hex_encode(const void *bytes, size_t len, char *out)
{
    const uint8_t *from = bytes;
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = hex_lower[from[i] >> 4];
        out[2 * i + 1] = hex_lower[from[i] & 15];
    }
    out[2 * len] = '\0';
}

static int base64_value(char c, const char *digits)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == digits[62] ? 62 : c == digits[63] ? 63 : -1;
}

/* Digits without padding. Canonical: the bits behind the last byte must be zero, so every value has exactly one text. */
static bool decode_digits(struct bw_slice text, const char *digits, uint8_t *out, size_t capacity, size_t *len)
{
    size_t count = text.len / 4 * 3 + (text.len % 4 ? text.len % 4 - 1 : 0), filled = 0;
    uint32_t bits = 0;
    unsigned held = 0;
    if (text.len % 4 == 1 || count > capacity) return false;
    for (size_t i = 0; i < text.len; i++) {
        int value = base64_value(text.ptr[i], digits);
        if (value < 0) return false;
        bits = bits << 6 | (uint32_t)value;
        held += 6;
        if (held >= 8) {
            held -= 8;
            out[filled++] = (uint8_t)(bits >> held);
            bits &= (1u << held) - 1;
        }
    }
    *len = count;
    return bits == 0;
}

bool bw_base64_decode(struct bw_slice text, uint8_t *out, size_t capacity, size_t *len)
{
    if (text.len % 4) return false;
    for (int i = 0; i < 2 && text.len > 0 && text.ptr[text.len - 1] == '='; i++) text.len--;
    return decode_digits(text, base64_digits, out, capacity, len);
}

bool bw_base64url_decode(struct bw_slice text, uint8_t *out, size_t capacity, size_t *len)
{
    return decode_digits(text, base64url_digits, out, capacity, len);
}

static void append_digits(struct bw_buf *out, const uint8_t *from, size_t len, const char *digits, bool padding)
{
    if (!bw_buf_reserve(out, len / 3 * 4 + 4)) return;
    for (size_t i = 0; i < len; i += 3) {
        size_t have = len - i < 3 ? len - i : 3;
        uint32_t bits = (uint32_t)from[i] << 16 | (uint32_t)(have > 1 ? from[i + 1] : 0) << 8 | (have > 2 ? from[i + 2] : 0);
        char quad[4] = {digits[bits >> 18], digits[bits >> 12 & 63], have > 1 ? digits[bits >> 6 & 63] : '=', have > 2 ? digits[bits & 63] : '='};
        bw_buf_append(out, quad, padding ? 4 : have + 1);
    }
}

void bw_base64_append(struct bw_buf *out, const void *bytes, size_t len)
{
    append_digits(out, bytes, len, base64_digits, true);
}

void bw_base64url_append(struct bw_buf *out, const void *bytes, size_t len)
{
    append_digits(out, bytes, len, base64url_digits, false);
}

static bool is_unreserved(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
}

void bw_url_encode_append(struct bw_buf *out, struct bw_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (is_unreserved((char)c))
            bw_buf_append_char(out, (char)c);
        else
            bw_buf_append(out, (char[]){'%', hex_upper[c >> 4], hex_upper[c & 15]}, 3);
    }
}

bool bw_form_decode_append(struct bw_buf *out, struct bw_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%') {
            int high = i + 2 < text.len ? hex_value(text.ptr[i + 1], true) : -1, low = i + 2 < text.len ? hex_value(text.ptr[i + 2], true) : -1;
            if (high < 0 || low < 0) return false;
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+') {
            c = ' ';
        }
        bw_buf_append_char(out, c);
    }
    return true;
}
