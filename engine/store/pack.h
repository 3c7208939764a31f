/* pack.h: bodies above 4 kB, smaller. One zstd frame (level 1) with nothing around it; how long it is unpacked stands beside it in the database, and
 * no more than that is ever made of it: a damaged or hostile frame yields "damaged", never memory. Packing happens before an operation is submitted,
 * on the submitter's thread: the writer is the bottleneck of all. One packer for each thread. */
#ifndef BW_STORE_PACK_H
#define BW_STORE_PACK_H
#include "base/buf.h"
#include <stdbool.h>
#include <stdint.h>

#define BW_PACK_FROM 4096                /* bytes; smaller ones are not worth a column */
#define BW_UNPACK_MAX (25 * 1024 * 1024) /* the largest body that any configuration allows */

enum bw_enc { /* stored, never renumber */
              BW_ENC_RAW = 0,
              BW_ENC_ZSTD = 1,
};
struct bw_packer; /* works without memory, too: then nothing is packed, and nothing can be unpacked */
struct bw_packer *bw_packer_new(void);
void bw_packer_free(struct bw_packer *packer);
/* Empty: it is small, or would not be a tenth smaller. Valid until the packer is used again. */
struct bw_slice bw_pack(struct bw_packer *packer, struct bw_slice raw);
/* False: it is not a frame of exactly so many bytes. Valid until the packer is used again. */
bool bw_unpack(struct bw_packer *packer, struct bw_slice packed, int64_t raw_bytes, struct bw_slice *raw);
#endif
