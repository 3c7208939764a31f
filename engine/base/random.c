#include "base/random.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* From the kernel, and not from OpenSSL's generator, whose first byte costs a process three milliseconds: it loads all of its algorithms for it, and
 * every process draws a hash seed before it does anything.
 *
 * A call costs about a microsecond, so each thread draws a stock. The stock carries the process it was drawn in: a forked child must not hand out its
 * parent's bytes. */
struct stock {
    pid_t owner;
    size_t left; /* the unused bytes are the last ones */
    uint8_t bytes[512];
};
static _Thread_local struct stock stock;

static void (*override_fill)(void *arg, void *out, size_t len);
static void *override_arg;

static void draw(void *out, size_t len)
{
    for (uint8_t *at = out; len;) {
        ssize_t got = getrandom(at, len, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) {
            /* Without randomness identities and hash keys could be guessed: there is no way to go on. */
            fputs("bellwire: the system gives no random bytes\n", stderr);
            abort();
        }
        at += got;
        len -= (size_t)got;
    }
}

void bw_random_bytes(void *out, size_t len)
{
    if (override_fill) {
        override_fill(override_arg, out, len);
        return;
    }
    if (len > sizeof stock.bytes / 2) {
        draw(out, len);
        return;
    }
    pid_t self = getpid();
    if (stock.owner != self || stock.left < len) {
        draw(stock.bytes, sizeof stock.bytes);
        stock.owner = self;
        stock.left = sizeof stock.bytes;
    }
    uint8_t *from = stock.bytes + sizeof stock.bytes - stock.left;
    if (len) memcpy(out, from, len);
    explicit_bzero(from, len); /* what was handed out cannot be read from memory later */
    stock.left -= len;
}

double bw_random_unit(void)
{
    uint64_t bits;
    bw_random_bytes(&bits, sizeof bits);
    return (double)(bits >> 11) * 0x1p-53;
}

void bw_random_override(void (*fill)(void *arg, void *out, size_t len), void *arg)
{
    override_fill = fill;
    override_arg = arg;
}
