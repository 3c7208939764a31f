/* The registered secrets and the search for them. Every form of every secret is one pattern; a table over the first four
 * bytes makes the search one look-up per byte of text, however many secrets there are. */
#include "base/codec.h"
#include "base/log.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define SECRET_MIN 8 /* shorter values would redact ordinary words */
#define SLOT_BITS 12

struct pattern {
    char *bytes, *name;
    size_t len;
    struct pattern *next; /* same slot; longer ones first */
};
/* Patterns are only ever added: a secret that was rotated out of the configuration is still one. */
static struct pattern *slots[1u << SLOT_BITS];
static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static atomic_bool any;        /* false: nothing is registered, nobody takes the lock */
static atomic_bool incomplete; /* no memory for a pattern: from then on every text is hidden whole */

static unsigned slot_of(const char *at)
{
    uint32_t head;
    memcpy(&head, at, sizeof head);
    return head * 2654435761u >> (32 - SLOT_BITS);
}

static void add_pattern(const char *name, struct bw_slice bytes)
{
    if (bytes.len < SECRET_MIN) return;
    struct pattern **at = &slots[slot_of(bytes.ptr)];
    for (; *at && (*at)->len >= bytes.len; at = &(*at)->next)
        if (bw_slice_equal(bytes, (struct bw_slice){(*at)->bytes, (*at)->len})) return;
    struct pattern *pattern = malloc(sizeof *pattern);
    char *copy = bw_slice_dup(bytes), *label = bw_slice_dup(bw_slice_of(name));
    if (!pattern || !copy || !label) {
        free(pattern);
        free(copy);
        free(label);
        incomplete = true;
        return;
    }
    *pattern = (struct pattern){.bytes = copy, .name = label, .len = bytes.len, .next = *at};
    *at = pattern;
}

static void add_form(const char *name, struct bw_buf *form)
{
    if (form->failed)
        incomplete = true;
    else
        add_pattern(name, bw_buf_slice(form));
    bw_buf_clear(form);
}

static void add_json(const char *name, struct bw_slice value, struct bw_buf *form)
{
    struct bw_buf text = {0};
    bw_buf_append_json_string(&text, value);
    if (!text.failed) bw_buf_append(form, text.data + 1, text.len - 2);
    form->failed |= text.failed;
    add_form(name, form);
    for (size_t i = 1; i + 1 < text.len; i++) { /* many encoders also write '/' as '\/' */
        if (text.data[i] == '/') bw_buf_append_char(form, '\\');
        bw_buf_append_char(form, text.data[i]);
    }
    add_form(name, form);
    bw_buf_free(&text);
}

static void add_url(const char *name, struct bw_slice value, struct bw_buf *form)
{
    struct bw_buf text = {0};
    bw_url_encode_append(&text, value);
    form->failed |= text.failed;
    bw_buf_append_slice(form, bw_buf_slice(&text));
    add_form(name, form);
    for (size_t i = 0; i < text.len; i++) { /* %xx in lower case */
        bool digit = text.data[i] >= 'A' && text.data[i] <= 'F' && ((i > 0 && text.data[i - 1] == '%') || (i > 1 && text.data[i - 2] == '%'));
        bw_buf_append_char(form, (char)(digit ? text.data[i] | 0x20 : text.data[i]));
    }
    add_form(name, form);
    for (size_t i = 0; i < text.len; i++) { /* a form's '+' for the space */
        bool space = strncmp(text.data + i, "%20", 3) == 0;
        bw_buf_append_char(form, space ? '+' : text.data[i]);
        if (space) i += 2;
    }
    add_form(name, form);
    bw_buf_free(&text);
}

/* The secret may stand anywhere inside what was encoded ("user:SECRET" in Basic authorisation), so there are three ways it can fall
 * onto groups of three bytes. Of each, the digits that depend on the secret alone are the pattern. */
static void add_base64(const char *name, struct bw_slice value, struct bw_buf *form, void (*encode)(struct bw_buf *, const void *, size_t))
{
    encode(form, value.ptr, value.len);
    add_form(name, form);
    for (size_t before = 0; before < 3; before++) {
        struct bw_buf shifted = {0}, text = {0};
        bw_buf_append(&shifted, "\0\0", before);
        bw_buf_append_slice(&shifted, value);
        encode(&text, shifted.data, shifted.len);
        size_t first = (before * 8 + 5) / 6, last = shifted.len * 8 / 6;
        form->failed |= shifted.failed || text.failed;
        if (!form->failed && last > first) bw_buf_append(form, text.data + first, last - first);
        add_form(name, form);
        bw_buf_free(&shifted);
        bw_buf_free(&text);
    }
}

void bw_log_redact(const char *name, struct bw_slice value)
{
    struct bw_buf form = {0};
    if (value.len < SECRET_MIN) return;
    pthread_rwlock_wrlock(&lock);
    add_pattern(name, value);
    add_json(name, value, &form);
    add_url(name, value, &form);
    add_base64(name, value, &form, bw_base64_append);
    add_base64(name, value, &form, bw_base64url_append);
    any = true;
    pthread_rwlock_unlock(&lock);
    bw_buf_free(&form);
}

/* A text may have been cut in the middle of a secret: a beginning of at least SECRET_MIN bytes at its end counts as well. */
static const struct pattern *match(const char *at, size_t left, size_t *len)
{
    for (const struct pattern *pattern = slots[slot_of(at)]; pattern; pattern = pattern->next) {
        *len = pattern->len < left ? pattern->len : left;
        if (*len >= SECRET_MIN && memcmp(at, pattern->bytes, *len) == 0) return pattern;
    }
    return NULL;
}

unsigned bw_redact_append(struct bw_buf *out, struct bw_slice text)
{
    unsigned found = 0;
    size_t kept = 0; /* text before this is in `out` */
    if (atomic_load_explicit(&any, memory_order_acquire) && text.len >= SECRET_MIN) {
        if (incomplete) {
            bw_buf_append_text(out, "[secret:?]");
            return 1;
        }
        pthread_rwlock_rdlock(&lock);
        for (size_t at = 0, len; at + SECRET_MIN <= text.len;) {
            const struct pattern *pattern = match(text.ptr + at, text.len - at, &len);
            if (!pattern) {
                at++;
                continue;
            }
            bw_buf_append(out, text.ptr + kept, at - kept);
            bw_buf_append_text(out, "[secret:");
            bw_buf_append_text(out, pattern->name);
            bw_buf_append_char(out, ']');
            found++;
            kept = at += len;
        }
        pthread_rwlock_unlock(&lock);
    }
    bw_buf_append(out, text.ptr + kept, text.len - kept);
    return found;
}
