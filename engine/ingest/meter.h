/* meter.h: how much a source may send (`rate`). GCRA: over any time T at most rate x T + burst requests pass.
 *
 * One bucket for the source as a whole, and one for each address that sends to it, in a table of fixed size: memory does not grow with who knocks.
 * Where the table is full the address gives way that owes least, and begins anew when it comes back: with more senders at once than the table has
 * places nobody is wronged, and not everybody is held. Addresses of v6 count by their /64, which is what one sender has.
 *
 * In memory only: a restart grants each bucket its burst once. THREADS: any. OWNERSHIP: counted references, so that a bucket outlives a reload. */
#ifndef BW_INGEST_METER_H
#define BW_INGEST_METER_H
#include "base/net_range.h"
#include "config/config.h"

#define BW_METER_ADDRESSES 4096

struct bw_meter;
struct bw_meter *bw_meter_new(const struct bw_source_config *source); /* NULL without memory. For one that has a rate */
struct bw_meter *bw_meter_ref(struct bw_meter *meter);
void bw_meter_unref(struct bw_meter *meter);                                                          /* NULL is fine */
bool bw_meter_fits(const struct bw_meter *meter, const struct bw_source_config *source);              /* it was made for the same rates */
bool bw_meter_take(struct bw_meter *meter, int64_t now_us);                                           /* of the source; true without such a rate */
bool bw_meter_take_for(struct bw_meter *meter, const struct bw_net_address *address, int64_t now_us); /* of the address; the unknown share one */
#endif
