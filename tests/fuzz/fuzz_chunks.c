/* chunks: a chunked body means the same to the gate, to a naive decoder and to evhttp, however it is cut; its length is the sum of its chunks.
 *
 * Input: a seed for the cuts, then a chunked body and what comes behind it. The naive decoder (http_model.c) has all of it at once; the gate has it
 * in packets. Whole, unfinished, faulty and too large must be the same for both, and evhttp must decode the same bytes of a whole one. */
#include "gate_cuts.h"
#include "http_peer.h"

#define HEAD "POST /in/chunks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

static void on_seen(void *arg, size_t number, const struct http_request *seen)
{
    const struct bw_buf *data = arg;
    fuzz_check(number == 0, "evhttp sees another request in it: %.*s", (int)seen->target.len, seen->target.ptr);
    fuzz_check(bw_slice_equal(bw_buf_slice(&seen->body), bw_buf_slice(data)), "evhttp decodes %zu bytes, not %zu", seen->body.len, data->len);
}

static void check_verdict(const struct bw_gate *gate, enum http_chunks expected, const struct bw_buf *data)
{
    bool is_too_large = gate->fault == &bw_gate_too_large;
    switch (expected) {
    case HTTP_CHUNKS_WHOLE:
        fuzz_check(gate->state == BW_GATE_IDLE && gate->completed == 1, "state %d: %s", (int)gate->state, verdict_of(gate));
        fuzz_check(gate->body == data->len && gate->arrived <= data->len, "%llu bytes, not %zu", (unsigned long long)gate->body, data->len);
        break;
    case HTTP_CHUNKS_UNFINISHED:
        fuzz_check(bw_gate_is_in_body(gate) && gate->completed == 0, "state %d: %s", (int)gate->state, verdict_of(gate));
        break;
    case HTTP_CHUNKS_FAULTY:
    case HTTP_CHUNKS_TOO_LARGE:
        fuzz_check(gate->state == BW_GATE_FAULTY && is_too_large == (expected == HTTP_CHUNKS_TOO_LARGE), "state %d: %s", (int)gate->state,
                   verdict_of(gate));
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    http_peer_open();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct reading whole, cut;
    static struct bw_buf decoded, request;
    struct bw_slice input = fuzz_input(data, size);
    struct fuzz_dice dice = fuzz_take_dice(&input);
    size_t taken = 0;
    bw_buf_clear(&decoded);
    bw_buf_clear(&request);
    memset(&whole.gate, 0, sizeof whole.gate);
    memset(&cut.gate, 0, sizeof cut.gate);
    enum http_chunks expected = http_model_chunks(input, LIMIT, &decoded, &taken);
    if (expected == HTTP_CHUNKS_WHOLE) input.len = taken; /* what is behind it is another request: fuzz_gate.c */
    bw_buf_append_text(&request, HEAD);
    bw_buf_append_slice(&request, input);
    feed(&whole, request.data, request.len);
    feed_cut(&cut, bw_buf_slice(&request), &dice, 1 + fuzz_roll(&dice, 40));
    check_same_gate(&whole.gate, &cut.gate);
    check_verdict(&whole.gate, expected, &decoded);
    if (expected == HTTP_CHUNKS_WHOLE) {
        size_t seen = http_peer_send(bw_buf_slice(&request), on_seen, &decoded);
        fuzz_check(seen == 1, "evhttp sees %zu requests", seen);
    }
    return 0;
}
