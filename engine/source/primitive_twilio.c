/* Twilio signs the URL as it has it and, of a form, every field: name and value in order, nothing between them. Of any other body it puts the hash
 * into the query of the URL (bodySHA256), so that is the body's proof. Whether the port stands in the URL that it signs is not certain: all forms of
 * the configured one are tried. */
#include "source/part.h"
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>

#define HASH_NAME "bodySHA256"

/* "https://host:443/path": the authority, and the port with its colon if one is written. */
static bool split(struct bw_slice url, struct bw_slice *authority, struct bw_slice *port)
{
    const char *scheme = url.len ? memmem(url.ptr, url.len, "://", 3) : NULL;
    if (!scheme) return false;
    const char *start = scheme + 3, *end = url.ptr + url.len, *at = start;
    while (at < end && *at != '/' && *at != '?' && *at != '#') at++;
    *authority = (struct bw_slice){start, (size_t)(at - start)};
    *port = (struct bw_slice){at, 0};
    for (const char *c = at; c > start && c[-1] != ']' && c[-1] != '@'; c--)
        if (c[-1] == ':') {
            *port = (struct bw_slice){c - 1, (size_t)(at - c) + 1};
            authority->len -= port->len;
            break;
        }
    return true;
}

/* form 0: as configured; 1: without a port; 2: with the standard one. */
static bool append_url(struct bw_trial *trial, unsigned form)
{
    struct bw_slice url = trial->request->url, authority, port;
    if (!split(url, &authority, &port) || !bw_trial_has_room(trial, url.len + 4)) return false;
    if (form == 0 || (form == 1) == (port.len == 0)) { /* nothing to change: the other forms are this one */
        if (form == 0) bw_buf_append_slice(trial->scratch, url);
        return form == 0;
    }
    const char *rest = port.ptr + port.len;
    bw_buf_append(trial->scratch, url.ptr, (size_t)(port.ptr - url.ptr));
    if (form == 2) bw_buf_append_text(trial->scratch, url.len > 5 && !memcmp(url.ptr, "https", 5) ? ":443" : ":80");
    bw_buf_append(trial->scratch, rest, url.len - (size_t)(rest - url.ptr));
    return true;
}

/* Is the hash in the query that of the body? */
static bool hash_fits(const struct bw_trial *trial, struct bw_slice given)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    char text[2 * EVP_MAX_MD_SIZE + 1];
    size_t len = 0;
    if (!EVP_Q_digest(NULL, "SHA256", NULL, trial->request->body.ptr, trial->request->body.len, hash, &len)) return false;
    for (size_t i = 0; i < len; i++) snprintf(text + 2 * i, 3, "%02x", hash[i]);
    return given.len == 2 * len && !CRYPTO_memcmp(given.ptr, text, given.len);
}

static bool read(struct bw_trial *trial, const struct bw_ref *argument, unsigned form, struct bw_slice *out)
{
    struct bw_slice rest = trial->request->query, name, value, hash = {0};
    size_t before = trial->scratch->len, count = 0;
    (void)argument;
    if (!append_url(trial, form)) return false;
    while (bw_form_next(&rest, &name, &value))
        if (bw_slice_is(name, HASH_NAME)) hash = value, count++;
    if (count > 1 || (count == 1 && !hash_fits(trial, hash))) return false;
    if (!count && trial->request->body.len && !bw_form_pairs_append(trial)) return false; /* a body that nothing vouches for */
    *out = bw_trial_since(trial, before);
    return true;
}

const struct bw_part bw_primitive_twilio = {
    .name = "twilio", .covers_body = true, .covers_form = true, .needs_url = true, .forms = 3, .growth = 3, .read = read};
