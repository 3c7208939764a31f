#include "wire/frame.h"
#include <string.h>

static void put_u32(struct bw_buf *out, uint32_t value)
{
    const unsigned char bytes[4] = {(unsigned char)value, (unsigned char)(value >> 8), (unsigned char)(value >> 16), (unsigned char)(value >> 24)};
    bw_buf_append(out, bytes, sizeof bytes);
}

static uint32_t get_u32(const char *at)
{
    const unsigned char *bytes = (const unsigned char *)at;
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

int64_t bw_frame_decode(struct bw_slice bytes, size_t limit, struct bw_frame *frame, struct bw_error *err)
{
    if (bytes.len < BW_FRAME_HEADER) return 0;
    uint64_t rest = get_u32(bytes.ptr), head_len = get_u32(bytes.ptr + 8);
    uint16_t type = (uint16_t)get_u32(bytes.ptr + 4), part_count = (uint16_t)(get_u32(bytes.ptr + 4) >> 16);
    if (rest + BW_FRAME_HEADER > limit) {
        bw_error_set(err, "frame.too_large", "a frame of %llu bytes is larger than the limit of %zu", (unsigned long long)rest, limit);
        return -1;
    }
    if (part_count > BW_FRAME_PARTS_MAX || head_len + 4ull * part_count > rest) {
        bw_error_set(err, "frame.malformed", "the lengths of a frame do not add up");
        return -1;
    }
    if (bytes.len < BW_FRAME_HEADER + rest) return 0;
    const char *lengths = bytes.ptr + BW_FRAME_HEADER, *at = lengths + 4 * (size_t)part_count, *end = bytes.ptr + BW_FRAME_HEADER + rest;
    frame->type = type;
    frame->head = (struct bw_slice){at, head_len};
    frame->part_count = part_count;
    at += head_len;
    for (size_t i = 0; i < part_count; i++) {
        size_t len = get_u32(lengths + 4 * i);
        if (len > (size_t)(end - at)) {
            bw_error_set(err, "frame.malformed", "a part of a frame is longer than the frame");
            return -1;
        }
        frame->parts[i] = (struct bw_slice){at, len};
        at += len;
    }
    if (at != end) {
        bw_error_set(err, "frame.malformed", "a frame is longer than its parts");
        return -1;
    }
    return (int64_t)(BW_FRAME_HEADER + rest);
}

void bw_frame_encode(struct bw_buf *out, uint16_t type, struct bw_slice head, const struct bw_slice *parts, size_t part_count)
{
    size_t total = head.len + 4 * part_count;
    for (size_t i = 0; i < part_count; i++) total += parts[i].len;
    if (part_count > BW_FRAME_PARTS_MAX || total + BW_FRAME_HEADER > BW_FRAME_BYTES_MAX || !bw_buf_reserve(out, total + BW_FRAME_HEADER)) {
        out->failed = true;
        return;
    }
    put_u32(out, (uint32_t)total);
    put_u32(out, type | (uint32_t)part_count << 16);
    put_u32(out, (uint32_t)head.len);
    for (size_t i = 0; i < part_count; i++) put_u32(out, (uint32_t)parts[i].len);
    bw_buf_append_slice(out, head);
    for (size_t i = 0; i < part_count; i++) bw_buf_append_slice(out, parts[i]);
}
