#include "base/net_range.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#define TEXT_MAX 64

static unsigned bits_of(enum bw_net_family family)
{
    return family == BW_NET_V4 ? 32 : 128;
}

static void unmap(struct bw_net_address *address)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (memcmp(address->bytes, mapped, sizeof mapped) != 0) return;
    memmove(address->bytes, address->bytes + 12, 4);
    memset(address->bytes + 4, 0, 12);
    address->family = BW_NET_V4;
}

void bw_net_address_of(const struct sockaddr *address, struct bw_net_address *out)
{
    *out = (struct bw_net_address){0};
    if (address->sa_family == AF_INET) {
        out->family = BW_NET_V4;
        memcpy(out->bytes, &((const struct sockaddr_in *)address)->sin_addr, 4);
    } else if (address->sa_family == AF_INET6) {
        out->family = BW_NET_V6;
        memcpy(out->bytes, &((const struct sockaddr_in6 *)address)->sin6_addr, 16);
        unmap(out);
    }
}

bool bw_net_address_parse(struct bw_slice text, struct bw_net_address *out)
{
    char copy[TEXT_MAX];
    const char *zone = text.len ? memchr(text.ptr, '%', text.len) : NULL;
    size_t len = zone ? (size_t)(zone - text.ptr) : text.len;
    *out = (struct bw_net_address){0};
    if (!len || len >= sizeof copy || memchr(text.ptr, '\0', len)) return false;
    memcpy(copy, text.ptr, len);
    copy[len] = '\0';
    if (!zone && inet_pton(AF_INET, copy, out->bytes) == 1) {
        out->family = BW_NET_V4;
        return true;
    }
    if (inet_pton(AF_INET6, copy, out->bytes) != 1) return false;
    out->family = BW_NET_V6;
    unmap(out);
    return true;
}

void bw_net_address_append(struct bw_buf *out, const struct bw_net_address *address)
{
    char text[INET6_ADDRSTRLEN];
    int family = address->family == BW_NET_V4 ? AF_INET : AF_INET6;
    bw_buf_append_text(out, address->family == BW_NET_UNIX                                            ? "unix"
                            : address->family && inet_ntop(family, address->bytes, text, sizeof text) ? text
                                                                                                      : "unknown");
}

static bool read_bits(struct bw_slice digits, unsigned most, unsigned *out)
{
    *out = 0;
    if (!digits.len || digits.len > 3 || (digits.len > 1 && *digits.ptr == '0')) return false;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9') return false;
        *out = *out * 10 + (unsigned)(digits.ptr[i] - '0');
    }
    return *out <= most;
}

/* Clears what is behind the first `bits`; true when something was there. */
static bool clear_host(uint8_t *bytes, unsigned bits)
{
    bool was_set = false;
    for (unsigned i = 0; i < 16; i++) {
        unsigned kept = bits > i * 8 ? bits - i * 8 : 0;
        uint8_t mask = kept >= 8 ? 0xff : (uint8_t)(0xff00u >> kept);
        was_set |= (bytes[i] & ~mask) != 0;
        bytes[i] &= mask;
    }
    return was_set;
}

enum bw_net_fault bw_net_range_parse(struct bw_slice text, struct bw_net_range *out)
{
    const char *slash = text.len ? memchr(text.ptr, '/', text.len) : NULL;
    struct bw_slice address = {text.ptr, slash ? (size_t)(slash - text.ptr) : text.len};
    struct bw_net_address written;
    bool is_mapped = address.len && memchr(address.ptr, ':', address.len);
    *out = (struct bw_net_range){0};
    if (bw_slice_is(text, "unix")) {
        out->network.family = BW_NET_UNIX;
        return BW_NET_GOOD;
    }
    if (!bw_net_address_parse(address, &written) || memchr(address.ptr, '%', address.len)) return BW_NET_NO_ADDRESS;
    is_mapped = is_mapped && written.family == BW_NET_V4;
    unsigned most = bits_of(written.family), bits = most;
    if (slash && !read_bits((struct bw_slice){slash + 1, text.len - address.len - 1}, is_mapped ? 128 : most, &bits)) return BW_NET_NO_ADDRESS;
    if (slash && is_mapped) {
        if (bits < 96) return BW_NET_NO_ADDRESS; /* v4 and more: nobody means that */
        bits -= 96;
    }
    *out = (struct bw_net_range){.network = written, .bits = bits};
    return clear_host(out->network.bytes, bits) ? BW_NET_HOST_BITS : BW_NET_GOOD;
}

void bw_net_range_append(struct bw_buf *out, const struct bw_net_range *range)
{
    bw_net_address_append(out, &range->network);
    bw_buf_printf(out, "/%u", range->bits);
}

bool bw_net_ranges_hold(const struct bw_net_range *ranges, size_t count, const struct bw_net_address *address)
{
    for (size_t i = 0; address->family && i < count; i++) {
        struct bw_net_address network = *address;
        if (network.family != ranges[i].network.family) continue;
        clear_host(network.bytes, ranges[i].bits);
        if (memcmp(network.bytes, ranges[i].network.bytes, sizeof network.bytes) == 0) return true;
    }
    return false;
}
