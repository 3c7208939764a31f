#include "base/units.h"
#include <inttypes.h>
#include <stdio.h>

struct unit {
    const char *name;
    uint64_t factor;
};
/* From large to small: a duration names them in this order. */
static const struct unit times[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
static const struct unit sizes[] = {{"GiB", 1ull << 30}, {"MiB", 1ull << 20}, {"KiB", 1ull << 10}, {"B", 1}};
enum { TIMES = sizeof times / sizeof *times, SIZES = sizeof sizes / sizeof *sizes };
static const uint64_t duration_max_ms = 366ull * 86400000;

/* Reads digits from *at; false if there is none or the number does not fit. */
static bool read_number(struct bw_slice text, size_t *at, uint64_t *out)
{
    size_t start = *at;
    *out = 0;
    for (; *at < text.len && text.ptr[*at] >= '0' && text.ptr[*at] <= '9'; ++*at)
        if (__builtin_mul_overflow(*out, 10, out) || __builtin_add_overflow(*out, (uint64_t)(text.ptr[*at] - '0'), out)) return false;
    return *at > start;
}

static struct bw_slice read_unit(struct bw_slice text, size_t *at)
{
    size_t start = *at;
    while (*at < text.len && !(text.ptr[*at] >= '0' && text.ptr[*at] <= '9')) ++*at;
    return (struct bw_slice){text.ptr + start, *at - start};
}

static int show(struct bw_slice text)
{
    return text.len > 64 ? 64 : (int)text.len; /* for %.*s: errors quote, they do not echo a novel */
}

static bool not_duration(struct bw_slice text, struct bw_error *err)
{
    bw_error_set(err, "units.duration", "'%.*s' is not a duration", show(text), text.ptr ? text.ptr : "");
    bw_error_hint(err, "write a number and a unit (ms, s, m, h, d), larger units first: 500ms, 30s, 1h30m");
    return false;
}

bool bw_duration_parse(struct bw_slice text, int64_t *out_ms, struct bw_error *err)
{
    uint64_t total = 0;
    int next = 0; /* the largest unit that may still come */
    if (text.len == 0) return not_duration(text, err);
    for (size_t at = 0; at < text.len;) {
        uint64_t number;
        if (!read_number(text, &at, &number)) return not_duration(text, err);
        struct bw_slice name = read_unit(text, &at);
        int unit = next;
        while (unit < TIMES && !bw_slice_is(name, times[unit].name)) unit++;
        if (unit == TIMES) return not_duration(text, err);
        next = unit + 1;
        if (__builtin_mul_overflow(number, times[unit].factor, &number) || __builtin_add_overflow(total, number, &total) || total > duration_max_ms)
            return bw_error_set(err, "units.duration", "'%.*s' is longer than 366 days", show(text), text.ptr);
    }
    *out_ms = (int64_t)total;
    return true;
}

bool bw_rate_parse(struct bw_slice text, int64_t *out_count, int64_t *out_ms)
{
    static const uint64_t count_max = 1000000000000;
    struct bw_error ignored;
    uint64_t count;
    size_t at = 0;
    if (!read_number(text, &at, &count) || at == text.len || text.ptr[at] != '/' || count < 1 || count > count_max) return false;
    *out_count = (int64_t)count;
    return bw_duration_parse((struct bw_slice){text.ptr + at + 1, text.len - at - 1}, out_ms, &ignored) && *out_ms >= 1;
}

bool bw_size_parse(struct bw_slice text, uint64_t *out_bytes, struct bw_error *err)
{
    uint64_t number;
    size_t at = 0;
    if (read_number(text, &at, &number)) {
        struct bw_slice name = {text.ptr + at, text.len - at};
        uint64_t factor = name.len == 0 ? 1 : 0;
        for (int i = 0; i < SIZES; i++)
            if (bw_slice_is(name, sizes[i].name)) factor = sizes[i].factor;
        if (factor && !__builtin_mul_overflow(number, factor, out_bytes)) return true;
    }
    bw_error_set(err, "units.size", "'%.*s' is not a size", show(text), text.ptr ? text.ptr : "");
    bw_error_hint(err, "write a number of bytes or use B, KiB, MiB, GiB: 64KiB, 1MiB");
    return false;
}

int bw_digits_at(struct bw_slice text, size_t at, size_t count)
{
    int sum = 0;
    if (at + count > text.len) return -1;
    for (size_t i = at; i < at + count; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') return -1;
        sum = sum * 10 + (text.ptr[i] - '0');
    }
    return sum;
}

const char *bw_duration_text(int64_t ms, char out[32])
{
    uint64_t left = ms < 0 ? 0 - (uint64_t)ms : (uint64_t)ms;
    int len = snprintf(out, 32, "%s", ms < 0 ? "-" : "");
    if (left < 1000) {
        snprintf(out + len, 32 - (size_t)len, left ? "%" PRIu64 "ms" : "%" PRIu64 "s", left);
        return out;
    }
    for (int i = 0; i < 3; i++) { /* d, h, m */
        if (left >= times[i].factor) len += snprintf(out + len, 32 - (size_t)len, "%" PRIu64 "%s", left / times[i].factor, times[i].name);
        left %= times[i].factor;
    }
    if (left == 0) return out;
    len += snprintf(out + len, 32 - (size_t)len, "%u", (unsigned)(left / 1000));
    unsigned rest = (unsigned)(left % 1000);
    if (rest) {
        len += snprintf(out + len, 32 - (size_t)len, ".%03u", rest);
        while (out[len - 1] == '0') len--;
    }
    snprintf(out + len, 32 - (size_t)len, "s");
    return out;
}
