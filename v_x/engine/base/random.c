#include "base/random.h"
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* RAND_bytes costs about a microsecond whatever the length, so each thread draws a stock. The stock carries the process it
 * was drawn in: a forked child must not hand out its parent's bytes. */
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
    if (len > 1u << 30 || RAND_bytes(out, (int)len) != 1) {
        /* Without randomness identities and hash keys could be guessed: there is no way to go on. */
        fputs("bellwire: the system gives no random bytes\n", stderr);
        abort();
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
    OPENSSL_cleanse(from, len); /* what was handed out cannot be read from memory later */
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
