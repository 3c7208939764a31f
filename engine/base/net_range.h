/* net_range.h: addresses as they are compared: who is it, and is it one of those? Numeric texts only; names are never looked up. Pure. */
#ifndef BW_BASE_NET_RANGE_H
#define BW_BASE_NET_RANGE_H
#include "base/buf.h"
#include <stdbool.h>
#include <stdint.h>

struct sockaddr;
enum bw_net_family { BW_NET_UNKNOWN, BW_NET_V4, BW_NET_V6, BW_NET_UNIX /* over a Unix socket: all who come so are one */ };
struct bw_net_address { /* all zero: unknown, in no range */
    enum bw_net_family family;
    uint8_t bytes[16]; /* V4: the first four */
};
struct bw_net_range {
    struct bw_net_address network;
    unsigned bits;
};

/* "192.0.2.1", "2001:db8::1"; a zone (%eth0) is left out, and a v4 address that is written as v6 (::ffff:192.0.2.1) is the v4 address: whoever comes
 * over a v6 socket is no other for it. False: *out is unknown. */
bool bw_net_address_parse(struct bw_slice text, struct bw_net_address *out);
void bw_net_address_of(const struct sockaddr *address, struct bw_net_address *out);   /* of IPv4 and IPv6; others are unknown */
void bw_net_address_append(struct bw_buf *out, const struct bw_net_address *address); /* its usual text; "unknown" */
enum bw_net_fault { BW_NET_GOOD, BW_NET_NO_ADDRESS, BW_NET_HOST_BITS };
/* "10.0.0.0/8", "2001:db8::/32", one address, or "unix". HOST_BITS: 10.0.0.1/8 means one host or a network; *out is the network then. */
enum bw_net_fault bw_net_range_parse(struct bw_slice text, struct bw_net_range *out);
void bw_net_range_append(struct bw_buf *out, const struct bw_net_range *range);
bool bw_net_ranges_hold(const struct bw_net_range *ranges, size_t count, const struct bw_net_address *address);
#endif
