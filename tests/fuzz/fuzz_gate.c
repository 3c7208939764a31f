/* gate: the verdict on a connection's bytes is the same for every cut into packets, and evhttp sees exactly the requests that have passed.
 *
 * Input: a seed for the cuts, then what a sender sends. The requests that pass are read by three: by the gate, by a naive reader (http_model.c) and
 * by evhttp (http_peer.c). All must find the same number of requests, with the same method, target, fields and body: whatever two of them read
 * differently is how requests are smuggled. evhttp may stop early only behind a request that asks for the end of the connection. */
#include "gate_cuts.h"
#include "http_peer.h"

struct passed {
    struct bw_slice rest; /* what the naive reader has not read yet */
    struct http_request wanted;
    bool may_end; /* evhttp may have ended the connection behind the last one */
};

static bool asks_for_end(const struct http_request *request)
{
    if (bw_slice_is(request->version, "HTTP/1.0")) return true;
    for (size_t i = 0; i < request->field_count; i++)
        if (bw_slice_is_nocase(request->fields[i].name, "Connection") || bw_slice_is_nocase(request->fields[i].name, "Proxy-Connection")) return true;
    return false;
}

static void on_seen(void *arg, size_t number, const struct http_request *seen)
{
    struct passed *passed = arg;
    const struct http_request *wanted = &passed->wanted;
    size_t taken = http_model_read(passed->rest, &passed->wanted);
    fuzz_check(taken > 0, "evhttp sees a request %zu that was not sent: %.*s", number, (int)seen->target.len, seen->target.ptr);
    passed->rest = (struct bw_slice){passed->rest.ptr + taken, passed->rest.len - taken};
    fuzz_check(bw_slice_equal(seen->method, wanted->method) && bw_slice_equal(seen->target, wanted->target) &&
                   bw_slice_equal(seen->version, wanted->version),
               "request %zu", number);
    fuzz_check(seen->field_count == wanted->field_count, "request %zu: %zu fields of %zu", number, seen->field_count, wanted->field_count);
    for (size_t i = 0; i < seen->field_count; i++)
        fuzz_check(bw_slice_equal(seen->fields[i].name, wanted->fields[i].name) && bw_slice_equal(seen->fields[i].value, wanted->fields[i].value),
                   "request %zu: field %zu is '%.*s'", number, i, (int)seen->fields[i].value.len, seen->fields[i].value.ptr);
    fuzz_check(bw_slice_equal(bw_buf_slice(&seen->body), bw_buf_slice(&wanted->body)), "request %zu: a body of %zu bytes, not %zu", number,
               seen->body.len, wanted->body.len);
    passed->may_end = asks_for_end(wanted);
}

/* Reads byte by byte; returns how many bytes make the requests that are complete. */
static size_t read_by_byte(struct reading *reading, struct bw_slice bytes)
{
    size_t end = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        uint64_t before = reading->gate.completed;
        feed(reading, bytes.ptr + i, 1);
        if (reading->gate.completed != before) end = i + 1;
    }
    return end;
}

static void check_requests(struct bw_slice bytes, uint64_t completed)
{
    struct passed passed = {.rest = bytes};
    struct bw_slice rest = bytes;
    uint64_t count = 0;
    for (size_t taken; (taken = http_model_read(rest, &passed.wanted)); count++) rest = (struct bw_slice){rest.ptr + taken, rest.len - taken};
    fuzz_check(count == completed && !rest.len, "the gate counts %llu requests, the naive reader %llu", (unsigned long long)completed,
               (unsigned long long)count);
    size_t seen = http_peer_send(bytes, on_seen, &passed);
    fuzz_check(seen == completed || passed.may_end, "the gate counts %llu requests, evhttp %zu", (unsigned long long)completed, seen);
    http_request_clear(&passed.wanted);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    http_peer_open();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct reading whole, cut, slow;
    struct bw_slice input = fuzz_input(data, size);
    struct fuzz_dice dice = fuzz_take_dice(&input);
    memset(&whole.gate, 0, sizeof whole.gate);
    memset(&cut.gate, 0, sizeof cut.gate);
    memset(&slow.gate, 0, sizeof slow.gate);
    feed(&whole, input.ptr, input.len);
    feed_cut(&cut, input, &dice, 1 + fuzz_roll(&dice, 200));
    size_t end = read_by_byte(&slow, input);
    check_same_gate(&whole.gate, &cut.gate);
    check_same_gate(&whole.gate, &slow.gate);
    if (end) check_requests((struct bw_slice){input.ptr, end}, whole.gate.completed);
    return 0;
}
