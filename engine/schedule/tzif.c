/* TZif files, RFC 8536. Version 1 has one block with 32-bit times; later versions repeat everything in a second block with
 * 64-bit times and end with a POSIX rule between two newlines. Each count is checked against the bytes that are there before
 * anything is read, in 64 bits, so that no product of counts can wrap. */
#include "schedule/zone_parts.h"

enum { HEADER_BYTES = 44, TYPE_BYTES = 6, TYPES_MAX = 256 };

struct header {
    uint64_t ut_count, std_count, leap_count, time_count, type_count, char_count;
    int version;
};

struct block { /* where things are, as offsets into the file */
    struct header header;
    uint64_t times, indices, types, end;
    int time_bytes;
};

static bool corrupt(struct bw_error *err, uint64_t at, const char *what)
{
    bw_error_set(err, "zone.corrupt", "is no usable time zone file: %s (byte %llu)", what, (unsigned long long)at);
    bw_error_hint(err, "install the package tzdata anew");
    return false;
}

static uint64_t read_big_endian(const char *bytes, int count)
{
    uint64_t value = 0;
    for (int i = 0; i < count; i++) value = value << 8 | (unsigned char)bytes[i];
    return value;
}

static int64_t read_time(const char *bytes, int count)
{
    uint64_t value = read_big_endian(bytes, count);
    return count == 4 ? (int32_t)(uint32_t)value : (int64_t)value;
}

static bool read_block(struct bw_slice file, uint64_t start, int time_bytes, struct block *block, struct bw_error *err)
{
    if (file.len < start || file.len - start < HEADER_BYTES) return corrupt(err, start, "it ends inside of a header");
    const char *at = file.ptr + start;
    if (memcmp(at, "TZif", 4) != 0) return corrupt(err, start, "expected 'TZif'");
    struct header *header = &block->header;
    header->version = at[4] == 0 ? 1 : at[4] - '0';
    if (header->version < 1 || header->version > 9 || at[4] == '1') return corrupt(err, start + 4, "unknown version");
    uint64_t *counts[] = {&header->ut_count, &header->std_count, &header->leap_count, &header->time_count, &header->type_count, &header->char_count};
    for (size_t i = 0; i < 6; i++) *counts[i] = read_big_endian(at + 20 + 4 * i, 4);
    block->time_bytes = time_bytes;
    block->times = start + HEADER_BYTES;
    block->indices = block->times + header->time_count * (uint64_t)time_bytes;
    block->types = block->indices + header->time_count;
    block->end = block->types + header->type_count * TYPE_BYTES + header->char_count + header->leap_count * (uint64_t)(time_bytes + 4) +
                 header->std_count + header->ut_count;
    return block->end <= file.len || corrupt(err, file.len, "it ends before what its header announces");
}

static bool read_type(struct bw_slice file, const struct block *block, uint64_t index, struct zone_change *out, struct bw_error *err)
{
    uint64_t at = block->types + index * TYPE_BYTES;
    const char *type = file.ptr + at;
    out->offset_s = (int32_t)read_time(type, 4);
    out->is_dst = type[4] == 1;
    if (out->offset_s < BW_ZONE_OFFSET_MIN_S || out->offset_s > BW_ZONE_OFFSET_MAX_S) return corrupt(err, at, "an offset of more than a day");
    if (type[4] != 0 && type[4] != 1) return corrupt(err, at + 4, "expected 0 or 1");
    if ((unsigned char)type[5] >= block->header.char_count) return corrupt(err, at + 5, "an abbreviation that is not there");
    return true;
}

static bool read_changes(struct bw_zone *zone, struct bw_slice file, const struct block *block, struct bw_error *err)
{
    const struct header *header = &block->header;
    struct zone_change types[TYPES_MAX];
    if (header->type_count == 0 || header->type_count > TYPES_MAX) return corrupt(err, block->types, "expected 1 to 256 kinds of local time");
    if (header->leap_count) return corrupt(err, block->types, "it counts leap seconds, Unix time does not");
    for (uint64_t i = 0; i < header->type_count; i++)
        if (!read_type(file, block, i, &types[i], err)) return false;
    /* RFC 8536, 3.2: what is before the first change is of type 0. */
    if (!bw_zone_add_change(zone, INT64_MIN, types[0].offset_s, types[0].is_dst)) return bw_error_set(err, "memory", "no memory for a time zone");
    for (uint64_t i = 0; i < header->time_count; i++) {
        uint64_t at = block->times + i * (uint64_t)block->time_bytes;
        int64_t time = read_time(file.ptr + at, block->time_bytes);
        unsigned index = (unsigned char)file.ptr[block->indices + i];
        /* The first may stand at the beginning of time itself, where it only replaces type 0. */
        bool ascends = i == 0 || time > zone->changes[zone->count - 1].at_s;
        if (!ascends) return corrupt(err, at, "times that do not ascend");
        if (index >= header->type_count) return corrupt(err, block->indices + i, "a kind of local time that is not there");
        if (!bw_zone_add_change(zone, time, types[index].offset_s, types[index].is_dst))
            return bw_error_set(err, "memory", "no memory for a time zone");
    }
    return true;
}

bool bw_zone_read_tzif(struct bw_zone *zone, struct bw_slice bytes, struct bw_error *err)
{
    struct block block;
    if (!read_block(bytes, 0, 4, &block, err)) return false;
    if (block.header.version == 1) return read_changes(zone, bytes, &block, err); /* after its last change all stays as it is */
    if (!read_block(bytes, block.end, 8, &block, err) || !read_changes(zone, bytes, &block, err)) return false;
    struct bw_slice footer = {bytes.ptr + block.end, bytes.len - block.end};
    if (footer.len < 2 || footer.ptr[0] != '\n') return corrupt(err, block.end, "expected the line of the rule");
    const char *end = memchr(footer.ptr + 1, '\n', footer.len - 1);
    if (!end) return corrupt(err, bytes.len, "it ends inside of the rule");
    struct bw_slice rule = {footer.ptr + 1, (size_t)(end - footer.ptr) - 1};
    return rule.len == 0 || bw_zone_add_rule(zone, rule, err);
}
