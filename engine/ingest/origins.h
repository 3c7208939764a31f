/* origins.h: from one address only so many connections at once (`max_connections_per_address`), so that nobody alone takes all that there are.
 *
 * Not counted are loopback, Unix sockets and the proxies that the configuration trusts: behind them are many. Addresses of v6 count by their /64,
 * which is what one sender has. The table holds those that have connections now, so it is bounded by max_connections. Who is refused is said in the
 * log, a line a second at most, with how many there were. THREADS: any. */
#ifndef BW_INGEST_ORIGINS_H
#define BW_INGEST_ORIGINS_H
#include "base/net_range.h"
#include "config/config.h"

struct bw_origins;
struct bw_origin { /* of one connection; zero-initialise */
    uint8_t who[9];
    bool is_counted;
};
struct bw_origins *bw_origins_new(const struct bw_config *config); /* borrows config; NULL without memory */
void bw_origins_free(struct bw_origins *origins);                  /* NULL is fine */
/* False: there are as many from that address as may be, and this one is not counted. An unknown address never is. */
bool bw_origins_enter(struct bw_origins *origins, const struct bw_net_address *address, struct bw_origin *out);
void bw_origins_leave(struct bw_origins *origins, struct bw_origin *origin);
void bw_origins_say(struct bw_origins *origins); /* what the log has not been told yet, if its second is over */
#endif
