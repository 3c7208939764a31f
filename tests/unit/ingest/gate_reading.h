/* gate_reading.h: a gate as a connection uses it: what it has taken of a head is kept until the head is whole. Included once per test. */
#ifndef BW_TEST_GATE_READING_H
#define BW_TEST_GATE_READING_H
#include "ingest/gate.h"
#include <string.h>

#define LIMIT 64 /* of a body */

struct reading {
    struct bw_gate gate;
    char head[BW_GATE_HEAD_MAX + 1];
    size_t head_len;
};

static void feed(struct reading *reading, const char *bytes, size_t len)
{
    struct bw_gate *gate = &reading->gate;
    for (size_t at = 0; at < len && gate->state != BW_GATE_FAULTY;) {
        bool in_head = gate->state == BW_GATE_IN_HEAD;
        size_t used = bw_gate_feed(gate, bytes + at, len - at);
        if (in_head || gate->state == BW_GATE_IN_HEAD || gate->state == BW_GATE_AT_HEAD_END) {
            size_t mine = gate->unit - (in_head ? reading->head_len : 0);
            if (!in_head) reading->head_len = 0;
            memcpy(reading->head + reading->head_len, bytes + at + used - mine, mine);
            reading->head_len += mine;
        }
        at += used;
        if (gate->state != BW_GATE_AT_HEAD_END) continue;
        struct bw_gate_head head;
        const struct bw_gate_fault *fault = bw_gate_parse_head((struct bw_slice){reading->head, reading->head_len}, &head);
        if (fault)
            bw_gate_refuse(gate, fault);
        else
            bw_gate_body(gate, &head, LIMIT);
    }
}
#endif
