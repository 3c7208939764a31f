/* frame: what was encoded is decoded as it was; half a frame is never taken for a whole one, and no length from the peer is believed.
 *
 * Input: a seed, then bytes that are used twice. As bytes of the peer: what is decoded from them and encoded again is the same bytes; a frame lies
 * inside of them; with less of them the answer is never another frame. As payload: cut into a head and parts, they come back from their frame. */
#include "fuzz.h"
#include "wire/frame.h"

#define LIMIT (1u << 20)
#define PARTS_MAX 40

static int64_t decode(struct bw_slice bytes, struct bw_frame *frame)
{
    struct bw_error err = {0};
    int64_t taken = bw_frame_decode(bytes, LIMIT, frame, &err);
    fuzz_check(taken >= -1 && taken <= (int64_t)bytes.len, "%lld of %zu bytes", (long long)taken, bytes.len);
    fuzz_check((taken < 0) == (*err.code != '\0'), "%lld with the code '%s'", (long long)taken, err.code);
    return taken;
}

static void check_from_peer(struct bw_slice bytes, struct fuzz_dice *dice)
{
    static struct bw_frame frame, early;
    struct bw_buf again = {0};
    int64_t taken = decode(bytes, &frame);
    size_t less = bytes.len ? fuzz_roll(dice, (uint32_t)bytes.len) : 0;
    struct bw_slice front = fuzz_copy((struct bw_slice){bytes.ptr, less});
    int64_t taken_early = decode(front, &early);
    fuzz_check(taken_early == 0 || taken_early == taken, "%lld of %zu bytes, but %lld of %zu", (long long)taken_early, less, (long long)taken,
               bytes.len);
    fuzz_check(taken <= (int64_t)less || taken_early == 0, "a frame of %lld bytes was found in %zu", (long long)taken, less);
    if (taken > 0) {
        bw_frame_encode(&again, frame.type, frame.head, frame.parts, frame.part_count);
        fuzz_check(!again.failed && bw_slice_equal(bw_buf_slice(&again), (struct bw_slice){bytes.ptr, (size_t)taken}), "encoded again it is another");
    }
    bw_buf_free(&again);
    free((void *)front.ptr);
}

static void check_payload(struct bw_slice bytes, struct fuzz_dice *dice)
{
    static struct bw_frame frame;
    struct bw_slice parts[PARTS_MAX], rest = bytes, head;
    struct bw_buf text = {0};
    size_t count = fuzz_roll(dice, PARTS_MAX + 1);
    uint16_t type = (uint16_t)fuzz_roll(dice, 0x10000);
    for (size_t i = 0; i <= count; i++) {
        size_t len = fuzz_roll(dice, (uint32_t)rest.len + 1);
        struct bw_slice part = {rest.ptr, len};
        *(i ? &parts[i - 1] : &head) = part;
        rest = (struct bw_slice){rest.ptr + len, rest.len - len};
    }
    bw_frame_encode(&text, type, head, parts, count);
    fuzz_check(!text.failed, "it could not be encoded");
    struct bw_slice exact = fuzz_copy(bw_buf_slice(&text));
    fuzz_check(decode(exact, &frame) == (int64_t)exact.len, "%zu bytes", exact.len);
    fuzz_check(frame.type == type && frame.part_count == count && bw_slice_equal(frame.head, head), "type %u, %zu parts", frame.type,
               frame.part_count);
    for (size_t i = 0; i < count; i++) fuzz_check(bw_slice_equal(frame.parts[i], parts[i]), "part %zu of %zu", i, count);
    free((void *)exact.ptr);
    bw_buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bw_slice input = fuzz_input(data, size);
    struct fuzz_dice dice = fuzz_take_dice(&input);
    check_from_peer(input, &dice);
    check_payload(input, &dice);
    return 0;
}
