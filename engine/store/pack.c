#include "store/pack.h"
#include <stdlib.h>
#include <zstd.h>

#define LEVEL 1
#define KEPT_BYTES (256 * 1024) /* larger buffers are given back before the next use */

struct bw_packer { /* each made when it is first needed */
    ZSTD_CCtx *pack;
    ZSTD_DCtx *unpack;
    char *bytes;
    size_t room;
};

struct bw_packer *bw_packer_new(void)
{
    return calloc(1, sizeof(struct bw_packer));
}

void bw_packer_free(struct bw_packer *packer)
{
    if (!packer) return;
    ZSTD_freeCCtx(packer->pack);
    ZSTD_freeDCtx(packer->unpack);
    free(packer->bytes);
    free(packer);
}

static bool reserve(struct bw_packer *packer, size_t room)
{
    if (packer->room >= room && (packer->room <= KEPT_BYTES || room > KEPT_BYTES)) return true;
    free(packer->bytes);
    packer->room = room > KEPT_BYTES ? room : (room + 16383) / 16384 * 16384;
    packer->bytes = malloc(packer->room);
    if (!packer->bytes) packer->room = 0;
    return packer->bytes != NULL;
}

struct bw_slice bw_pack(struct bw_packer *packer, struct bw_slice raw)
{
    const struct bw_slice none = {"", 0};
    size_t worth = raw.len - raw.len / 10;
    if (!packer || raw.len <= BW_PACK_FROM || raw.len > BW_UNPACK_MAX || !reserve(packer, worth)) return none;
    if (!packer->pack) packer->pack = ZSTD_createCCtx();
    if (!packer->pack) return none;
    size_t len = ZSTD_compressCCtx(packer->pack, packer->bytes, worth, raw.ptr, raw.len, LEVEL);
    return ZSTD_isError(len) ? none : (struct bw_slice){packer->bytes, len}; /* an error is that it does not fit: not worth it */
}

bool bw_unpack(struct bw_packer *packer, struct bw_slice packed, int64_t raw_bytes, struct bw_slice *raw)
{
    *raw = (struct bw_slice){"", 0};
    if (!packer || raw_bytes <= 0 || raw_bytes > BW_UNPACK_MAX) return false;
    /* The frame says how much it holds, too: whatever disagrees is damaged before anything is made of it. */
    if (ZSTD_getFrameContentSize(packed.ptr, packed.len) != (unsigned long long)raw_bytes || !reserve(packer, (size_t)raw_bytes)) return false;
    if (!packer->unpack) packer->unpack = ZSTD_createDCtx();
    if (!packer->unpack) return false;
    size_t len = ZSTD_decompressDCtx(packer->unpack, packer->bytes, (size_t)raw_bytes, packed.ptr, packed.len);
    if (ZSTD_isError(len) || len != (size_t)raw_bytes) return false;
    *raw = (struct bw_slice){packer->bytes, len};
    return true;
}
