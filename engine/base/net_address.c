#include "base/net_address.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

struct range_v4 {
    uint32_t network;
    unsigned bits;
};
struct range_v6 {
    uint8_t network[16];
    unsigned bits;
    int embedded; /* byte offset of a v4 address inside that decides instead, or -1: never public */
};

static const struct range_v4 special_v4[] = {
    {0x00000000, 8},  {0x0a000000, 8},  {0x64400000, 10}, {0x7f000000, 8},  {0xa9fe0000, 16}, {0xac100000, 12}, {0xc0000000, 24}, {0xc0000200, 24},
    {0xc0586300, 24}, {0xc0a80000, 16}, {0xc6120000, 15}, {0xc6336400, 24}, {0xcb007100, 24}, {0xe0000000, 4},  {0xf0000000, 4},
};
static const struct range_v6 special_v6[] = {
    {{0}, 128, -1},                                              /* :: */
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 128, -1}, /* ::1 */
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96, 12},        /* ::ffff:0:0/96 mapped */
    {{0}, 96, 12},                                               /* ::/96 compatible */
    {{0x00, 0x64, 0xff, 0x9b}, 96, 12},                          /* 64:ff9b::/96 NAT64 */
    {{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48, -1},              /* 64:ff9b:1::/48 */
    {{0x01, 0x00}, 64, -1},                                      /* 100::/64 discard */
    {{0x20, 0x01, 0x00, 0x00}, 32, -1},                          /* Teredo */
    {{0x20, 0x01, 0x0d, 0xb8}, 32, -1},                          /* documentation */
    {{0x20, 0x02}, 16, 2},                                       /* 6to4 */
    {{0xfc, 0x00}, 7, -1},                                       /* unique local */
    {{0xfe, 0x80}, 10, -1},                                      /* link-local */
    {{0xfe, 0xc0}, 10, -1},                                      /* site-local */
    {{0xff, 0x00}, 8, -1},                                       /* multicast */
};

static bool is_public_v4(uint32_t address)
{
    for (size_t i = 0; i < sizeof special_v4 / sizeof *special_v4; i++)
        if ((address ^ special_v4[i].network) >> (32 - special_v4[i].bits) == 0) return false;
    return true;
}

static bool is_in(const uint8_t *address, const struct range_v6 *range)
{
    unsigned whole = range->bits / 8, rest = range->bits % 8;
    if (memcmp(address, range->network, whole)) return false;
    return !rest || (address[whole] ^ range->network[whole]) >> (8 - rest) == 0;
}

bool bw_net_address_is_public(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        return is_public_v4(ntohl(v4.sin_addr.s_addr));
    }
    if (address->sa_family != AF_INET6) return false;
    struct sockaddr_in6 v6;
    memcpy(&v6, address, sizeof v6);
    const uint8_t *bytes = v6.sin6_addr.s6_addr;
    for (size_t i = 0; i < sizeof special_v6 / sizeof *special_v6; i++) {
        if (!is_in(bytes, &special_v6[i])) continue;
        if (special_v6[i].embedded < 0) return false;
        uint32_t inner;
        memcpy(&inner, bytes + special_v6[i].embedded, sizeof inner);
        return is_public_v4(ntohl(inner));
    }
    return true;
}
