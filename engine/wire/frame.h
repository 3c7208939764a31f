/* frame.h: what travels on a socketpair between engine, workers and plugin hosts.
 *
 * A frame is 12 bytes of header in little-endian order (u32 bytes after the header, u16 type, u16 part count, u32 bytes of the head), then one
 * u32 length per part, the head (compact JSON object, small) and the parts (raw payloads). Nothing is trusted: a length that does
 * not add up, a frame above the limit or a head that is no JSON object closes the channel. Parts are handed on as borrowed bytes. */
#ifndef BW_WIRE_FRAME_H
#define BW_WIRE_FRAME_H
#include "base/buf.h"
#include "base/error.h"
#include <stdint.h>

#define BW_FRAME_HEADER 12
#define BW_FRAME_PARTS_MAX 16384        /* files of a catalogue; outputs of the steps of all runs of one event */
#define BW_FRAME_BYTES_MAX (256u << 20) /* an event and what the runs of it that go on have kept */

struct bw_frame {
    uint16_t type;
    struct bw_slice head;
    struct bw_slice parts[BW_FRAME_PARTS_MAX];
    size_t part_count;
};
/* Looks at the front of `bytes`: returns the bytes that the whole frame takes (then *frame points into `bytes`), 0 when more is needed, or -1 when
 * it can never be a frame (err says why). limit: the largest allowed frame. */
int64_t bw_frame_decode(struct bw_slice bytes, size_t limit, struct bw_frame *frame, struct bw_error *err);
/* Appends one frame; what is larger than BW_FRAME_BYTES_MAX with its header, or has too many parts, sets out->failed instead. */
void bw_frame_encode(struct bw_buf *out, uint16_t type, struct bw_slice head, const struct bw_slice *parts, size_t part_count);
#endif
