/* buf.h: a growing byte buffer and borrowed byte ranges.
 *
 * Zero-initialise a struct bw_buf to begin, bw_buf_free() to end. One thread at a time. When memory runs out the buffer
 * keeps what it had, sets `failed` and ignores later appends: check `failed` once at the end. `data` is always
 * NUL-terminated when not NULL (the NUL is not counted in len). */
#ifndef BW_BASE_BUF_H
#define BW_BASE_BUF_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bw_slice { /* borrowed bytes, not NUL-terminated */
    const char *ptr;
    size_t len;
};
#define BW_SLICE(literal) ((struct bw_slice){literal, sizeof(literal) - 1})
static inline struct bw_slice bw_slice_of(const char *text)
{
    return (struct bw_slice){text, text ? strlen(text) : 0};
}
bool bw_slice_equal(struct bw_slice a, struct bw_slice b);
bool bw_slice_is(struct bw_slice a, const char *text);
bool bw_slice_is_nocase(struct bw_slice a, const char *text); /* ASCII case only */
struct bw_slice bw_slice_trimmed(struct bw_slice a);          /* without blanks and tabs at its ends */
char *bw_slice_dup(struct bw_slice a);                        /* malloc'd, NUL-terminated; NULL without memory */

struct bw_buf {
    char *data;
    size_t len, capacity;
    bool failed;
};
void bw_buf_append(struct bw_buf *buf, const void *bytes, size_t len);
void bw_buf_append_slice(struct bw_buf *buf, struct bw_slice bytes);
void bw_buf_append_text(struct bw_buf *buf, const char *text);
void bw_buf_append_char(struct bw_buf *buf, char c);
void bw_buf_append_int(struct bw_buf *buf, int64_t number); /* in decimal digits */
void bw_buf_printf(struct bw_buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Appends a JSON string with its quotes; bytes that are no valid UTF-8 become U+FFFD, control characters are escaped. */
void bw_buf_append_json_string(struct bw_buf *buf, struct bw_slice text);
size_t bw_json_string_length(struct bw_slice text);                   /* what that may append, or a little more: \n counts as six bytes */
void bw_buf_append_pointer(struct bw_buf *buf, struct bw_slice name); /* "/name", a step of a JSON pointer (RFC 6901) */
bool bw_buf_reserve(struct bw_buf *buf, size_t more);
void bw_buf_clear(struct bw_buf *buf); /* len = 0, keeps the memory, clears `failed` */
void bw_buf_free(struct bw_buf *buf);
char *bw_buf_take(struct bw_buf *buf, size_t *len); /* hands the malloc'd bytes to the caller and empties buf; NULL if failed */
static inline struct bw_slice bw_buf_slice(const struct bw_buf *buf)
{
    return (struct bw_slice){buf->data ? buf->data : "", buf->len};
}
#endif
