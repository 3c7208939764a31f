/* Values of a request that are computed. What one provider alone signs has a file of its own: primitive_*.c. */
#include "source/part.h"
#include "base/codec.h"
#include "base/utf8.h"
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

bool bw_part_text(struct bw_trial *trial, struct bw_slice text, struct bw_slice *out)
{
    size_t before = trial->scratch->len;
    if (!bw_trial_has_room(trial, text.len)) return false;
    bw_buf_append_slice(trial->scratch, text);
    *out = bw_trial_since(trial, before);
    return true;
}

bool bw_part_hex(struct bw_trial *trial, const unsigned char *bytes, size_t len, struct bw_slice *out)
{
    char text[2 * EVP_MAX_MD_SIZE + 1];
    bw_hex_encode(bytes, len, text);
    return bw_part_text(trial, (struct bw_slice){text, 2 * len}, out);
}

static bool sha256_of(struct bw_trial *trial, const struct bw_ref *argument, unsigned char hash[EVP_MAX_MD_SIZE], size_t *len)
{
    struct bw_slice value;
    return bw_ref_read(trial, argument, &value, NULL) && EVP_Q_digest(NULL, "SHA256", NULL, value.ptr, value.len, hash, len);
}

static bool sha256_hex(struct bw_trial *trial, const struct bw_ref *argument, unsigned form, struct bw_slice *out)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    size_t len;
    (void)form;
    return sha256_of(trial, argument, hash, &len) && bw_part_hex(trial, hash, len, out);
}

static bool sha256_raw(struct bw_trial *trial, const struct bw_ref *argument, unsigned form, struct bw_slice *out)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    size_t len;
    (void)form;
    return sha256_of(trial, argument, hash, &len) && bw_part_text(trial, (struct bw_slice){(char *)hash, len}, out);
}

/* CRC-32 as zip and Ethernet have it, in decimal digits. It is no proof of anything: another body with the same sum is made at once. */
static bool crc32_decimal(struct bw_trial *trial, const struct bw_ref *argument, unsigned form, struct bw_slice *out)
{
    uint32_t sum = 0xffffffff;
    char text[16];
    struct bw_slice value;
    (void)form;
    if (!bw_ref_read(trial, argument, &value, NULL)) return false;
    for (size_t i = 0; i < value.len; i++) {
        sum ^= (unsigned char)value.ptr[i];
        for (int bit = 0; bit < 8; bit++) sum = sum >> 1 ^ (sum & 1 ? 0xedb88320 : 0);
    }
    snprintf(text, sizeof text, "%u", ~sum);
    return bw_part_text(trial, bw_slice_of(text), out);
}

/* JSON text with \uXXXX for all that is not ASCII, and \/ for '/': as some senders write it before they sign it. */
static bool ascii_escape(struct bw_trial *trial, const struct bw_ref *argument, unsigned form, struct bw_slice *out)
{
    struct bw_slice value;
    (void)form;
    if (!bw_ref_read(trial, argument, &value, NULL)) return false;
    size_t before = trial->scratch->len;
    for (size_t i = 0, step; i < value.len; i += step) {
        const unsigned char *at = (const unsigned char *)value.ptr + i;
        if (!(step = bw_utf8_length(value.ptr + i, value.len - i)) || !bw_trial_has_room(trial, 12)) return false;
        unsigned point = step == 1   ? at[0]
                         : step == 2 ? (at[0] & 0x1fu) << 6 | (at[1] & 0x3fu)
                         : step == 3 ? (at[0] & 0x0fu) << 12 | (at[1] & 0x3fu) << 6 | (at[2] & 0x3fu)
                                     : (at[0] & 0x07u) << 18 | (at[1] & 0x3fu) << 12 | (at[2] & 0x3fu) << 6 | (at[3] & 0x3fu);
        if (point == '/' && (!i || at[-1] != '\\')) bw_buf_append_char(trial->scratch, '\\');
        if (point < 0x7f)
            bw_buf_append_char(trial->scratch, (char)point);
        else if (point < 0x10000)
            bw_buf_printf(trial->scratch, "\\u%04x", point);
        else
            bw_buf_printf(trial->scratch, "\\u%04x\\u%04x", 0xd800 + ((point - 0x10000) >> 10), 0xdc00 + (point & 0x3ff));
    }
    *out = bw_trial_since(trial, before);
    return true;
}

/* Of a URL, what HubSpot wants decoded before it is signed: these characters and no others. */
static bool readable_url(struct bw_trial *trial, const struct bw_ref *argument, unsigned form, struct bw_slice *out)
{
    static const char decoded[] = ":/?@!$'()*,;";
    struct bw_slice value;
    (void)form;
    if (!bw_ref_read(trial, argument, &value, NULL) || !bw_trial_has_room(trial, value.len)) return false;
    size_t before = trial->scratch->len;
    for (size_t i = 0; i < value.len; i++) {
        uint8_t byte;
        size_t len;
        bool is_coded = value.ptr[i] == '%' && i + 2 < value.len && bw_hex_decode((struct bw_slice){value.ptr + i + 1, 2}, true, &byte, 1, &len) &&
                        byte && strchr(decoded, byte);
        bw_buf_append_char(trial->scratch, is_coded ? (char)byte : value.ptr[i]);
        i += is_coded ? 2 : 0;
    }
    *out = bw_trial_since(trial, before);
    return true;
}

/* The values of the headers that a list names, one blank between the names, one dot between the values (Hook0). */
static bool headers_named(struct bw_trial *trial, const struct bw_ref *argument, unsigned form, struct bw_slice *out)
{
    struct bw_slice names;
    (void)form;
    if (!bw_ref_read(trial, argument, &names, NULL)) return false;
    size_t before = trial->scratch->len;
    while (names.len) {
        const char *blank = memchr(names.ptr, ' ', names.len);
        struct bw_slice name = {names.ptr, blank ? (size_t)(blank - names.ptr) : names.len};
        char text[128];
        size_t occurrences;
        if (!name.len || name.len >= sizeof text) return false;
        snprintf(text, sizeof text, "%.*s", (int)name.len, name.ptr);
        const struct bw_header *header = bw_request_header(trial->request, text, &occurrences);
        if (occurrences != 1 || !bw_trial_has_room(trial, header->value.len + 1)) return false;
        if (trial->scratch->len > before) bw_buf_append_char(trial->scratch, '.');
        bw_buf_append_slice(trial->scratch, header->value);
        names = blank ? (struct bw_slice){blank + 1, names.len - name.len - 1} : (struct bw_slice){"", 0};
    }
    *out = bw_trial_since(trial, before);
    return true;
}

/* With the scheme's own algorithm and the first value of its key: what a handshake proves. */
static bool hmac(struct bw_trial *trial, const struct bw_ref *argument, unsigned char *mac, size_t *len)
{
    struct bw_slice value;
    if (!trial->keys->count || !trial->keys->items[0].context || !bw_ref_read(trial, argument, &value, NULL)) return false;
    EVP_MAC_CTX *context = EVP_MAC_CTX_dup(trial->keys->items[0].context);
    bool good = context && EVP_MAC_update(context, (const unsigned char *)value.ptr, value.len) && EVP_MAC_final(context, mac, len, EVP_MAX_MD_SIZE);
    EVP_MAC_CTX_free(context);
    return good;
}
static bool hmac_hex(struct bw_trial *trial, const struct bw_ref *argument, unsigned form, struct bw_slice *out)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    size_t len;
    (void)form;
    return hmac(trial, argument, mac, &len) && bw_part_hex(trial, mac, len, out);
}
static bool hmac_base64(struct bw_trial *trial, const struct bw_ref *argument, unsigned form, struct bw_slice *out)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    size_t len, before;
    (void)form;
    if (!hmac(trial, argument, mac, &len) || !bw_trial_has_room(trial, 2 * len)) return false;
    before = trial->scratch->len;
    bw_base64_append(trial->scratch, mac, len);
    *out = bw_trial_since(trial, before);
    return true;
}

static bool form_pairs(struct bw_trial *trial, const struct bw_ref *argument, unsigned form, struct bw_slice *out)
{
    size_t before = trial->scratch->len;
    (void)argument, (void)form;
    if (!bw_form_pairs_append(trial)) return false;
    *out = bw_trial_since(trial, before);
    return true;
}

static const struct bw_part sha256_part = {.name = "sha256-hex", .takes_ref = true, .covers_ref = true, .read = sha256_hex},
                            raw_part = {.name = "sha256", .takes_ref = true, .covers_ref = true, .read = sha256_raw},
                            crc32_part = {.name = "crc32", .takes_ref = true, .read = crc32_decimal},
                            escape_part = {.name = "ascii-escape", .takes_ref = true, .covers_ref = true, .growth = 6, .read = ascii_escape},
                            hex_part = {.name = "hmac-hex", .takes_ref = true, .signs_with_key = true, .read = hmac_hex},
                            base64_part = {.name = "hmac-base64", .takes_ref = true, .signs_with_key = true, .read = hmac_base64},
                            url_part =
                                {.name = "readable-url", .takes_ref = true, .covers_ref = true, .needs_url = true, .growth = 1, .read = readable_url},
                            named_part = {.name = "headers-named", .takes_ref = true, .read = headers_named},
                            pairs_part = {.name = "form-pairs", .covers_form = true, .growth = 2, .read = form_pairs};
static const struct bw_part *const parts[] = {&sha256_part,
                                              &raw_part,
                                              &crc32_part,
                                              &escape_part,
                                              &hex_part,
                                              &base64_part,
                                              &url_part,
                                              &named_part,
                                              &pairs_part,
                                              &bw_primitive_twilio,
                                              &bw_primitive_contentful,
                                              &bw_primitive_aws_sns,
                                              &bw_primitive_lark};
#define COUNT (sizeof parts / sizeof *parts)

const struct bw_part *bw_part_find(struct bw_slice name)
{
    for (size_t i = 0; i < COUNT; i++)
        if (bw_slice_is(name, parts[i]->name)) return parts[i];
    return NULL;
}
