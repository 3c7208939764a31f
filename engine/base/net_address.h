/* net_address.h: may a connection go there? Decided about the address that is connected to, never about a name (reliability.md 2.4: rebinding, odd
 * spellings). Pure. */
#ifndef BW_BASE_NET_ADDRESS_H
#define BW_BASE_NET_ADDRESS_H
#include <stdbool.h>

struct sockaddr;
/* False for loopback, private, link-local, shared (CGNAT), multicast, documentation, reserved and unspecified addresses, also when a v4 address of
 * that kind is wrapped into IPv6 (mapped, compatible, NAT64, 6to4, Teredo), and for every family but IPv4 and IPv6. Source: IANA special-purpose
 * address registries. */
bool bw_net_address_is_public(const struct sockaddr *address);
#endif
