#include "output.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

static void keep_end(struct exec_output *output)
{
    struct text *kept = &output->kept;
    if (kept->len <= output->most) return;
    memmove(kept->bytes, kept->bytes + kept->len - output->most, output->most);
    kept->len = output->most;
    kept->bytes[kept->len] = '\0';
    output->is_cut = true;
}

void exec_output_add(struct exec_output *output, const char *bytes, size_t len)
{
    size_t room = output->most - (output->kept.len < output->most ? output->kept.len : output->most);
    if (!output->is_of_end && len > room) {
        output->is_cut = true;
        len = room;
    }
    if (len) text_append(&output->kept, bytes, len);
    if (output->kept.has_failed) output->is_cut = true;
    if (output->kept.len > 2 * output->most) keep_end(output);
}

void exec_output_finish(struct exec_output *output)
{
    if (output->is_of_end) keep_end(output);
}

void exec_output_free(struct exec_output *output)
{
    text_free(&output->kept);
}

/* How many bytes of a whole character begin here; 0: none does (RFC 3629, 4). */
static size_t character(const unsigned char *at, size_t left)
{
    size_t len = *at < 0x80 ? 1 : *at >= 0xC2 && *at < 0xE0 ? 2 : *at >= 0xE0 && *at < 0xF0 ? 3 : *at >= 0xF0 && *at < 0xF5 ? 4 : 0;
    if (!len || len > left || !*at) return 0;
    for (size_t i = 1; i < len; i++)
        if ((at[i] & 0xC0) != 0x80) return 0;
    bool is_overlong = (*at == 0xE0 && at[1] < 0xA0) || (*at == 0xF0 && at[1] < 0x90);
    bool is_beyond = (*at == 0xED && at[1] > 0x9F) || (*at == 0xF4 && at[1] > 0x8F); /* surrogates; above U+10FFFF */
    return is_overlong || is_beyond ? 0 : len;
}

json_t *exec_text_value(const char *bytes, size_t len)
{
    struct text good = {0};
    size_t at = 0;
    while (at < len) {
        size_t begin = at, one;
        while (at < len && (one = character((const unsigned char *)bytes + at, len - at))) at += one;
        if (at > begin) text_append(&good, bytes + begin, at - begin);
        if (at < len) text_append(&good, REPLACEMENT, strlen(REPLACEMENT));
        if (at < len) at++;
    }
    json_t *value = good.has_failed ? NULL : json_stringn(good.bytes ? good.bytes : "", good.len);
    text_free(&good);
    return value;
}

json_t *exec_base64_value(const char *bytes, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t used = 0;
    char *out = malloc(len / 3 * 4 + 5);
    if (!out) return NULL;
    for (size_t at = 0; at < len; at += 3) {
        size_t left = len - at;
        uint32_t group = (uint32_t)(unsigned char)bytes[at] << 16 | (left > 1 ? (uint32_t)(unsigned char)bytes[at + 1] << 8 : 0) |
                         (left > 2 ? (uint32_t)(unsigned char)bytes[at + 2] : 0);
        out[used++] = digits[group >> 18];
        out[used++] = digits[group >> 12 & 63];
        out[used++] = left > 1 ? digits[group >> 6 & 63] : '=';
        out[used++] = left > 2 ? digits[group & 63] : '=';
    }
    json_t *value = json_stringn(out, used);
    free(out);
    return value;
}

static bool is_space(char byte)
{
    return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

void exec_output_tail(const struct exec_output *output, char *out, size_t size)
{
    const char *bytes = output->kept.bytes;
    size_t end = output->kept.len, begin, most = (size - 1) / 3; /* each byte may become three */
    *out = '\0';
    while (end && is_space(bytes[end - 1])) end--;
    begin = end > most ? end - most : 0;
    const char *line = begin ? memchr(bytes + begin, '\n', end - begin) : NULL;
    if (line) begin = (size_t)(line - bytes) + 1;
    json_t *value = end > begin ? exec_text_value(bytes + begin, end - begin) : NULL;
    if (value) memcpy(out, json_string_value(value), json_string_length(value) + 1);
    json_decref(value);
}

void exec_lines_finish(struct exec_lines *lines, void (*tell)(void *arg, const char *line), void *arg)
{
    json_t *value = lines->len ? exec_text_value(lines->line, lines->len) : NULL;
    if (value) tell(arg, json_string_value(value));
    json_decref(value);
    lines->len = 0;
}

void exec_lines_add(struct exec_lines *lines, const char *bytes, size_t len, void (*tell)(void *arg, const char *line), void *arg)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != '\n') lines->line[lines->len++] = bytes[i];
        if (bytes[i] == '\n' || lines->len == sizeof lines->line) exec_lines_finish(lines, tell, arg);
    }
}
