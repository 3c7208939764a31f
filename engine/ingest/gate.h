/* gate.h: are these bytes one honest request? Sees every byte of a connection first, and says where a request begins and ends: a second
 * Content-Length, a space before the colon, a body behind HEAD, NUL bytes, folded lines, bare line feeds, signs and 0x in chunk sizes are what
 * request smuggling is made of, since others read them in another way. Nobody behind the gate frames anything.
 *
 * A pure state machine: no I/O, no allocation, no clock; the same bytes give the same verdict however they are cut into pieces. The first fault
 * is final. One gate belongs to one connection. References: RFC 9112 (framing), RFC 9110 5.1, 5.5 and 5.6.2 (fields, tokens). */
#ifndef BW_INGEST_GATE_H
#define BW_INGEST_GATE_H
#include "base/buf.h"
#include <stdint.h>

#define BW_GATE_LINE_MAX 8192  /* bytes of the request line with its CRLF */
#define BW_GATE_HEAD_MAX 16384 /* bytes of request line and header fields */
#define BW_GATE_FIELDS_MAX 100

struct bw_gate_fault { /* always one of gate.c's constants or the caller's: compare by address */
    unsigned status;   /* HTTP */
    const char *reason;
};

struct bw_gate_head { /* borrowed from the text it was parsed from */
    struct bw_slice method, target;
    bool is_http10, is_chunked, expects_continue;
    bool asks_to_close, asks_to_keep; /* options of Connection (RFC 9112 9.3, 9.6) */
    uint64_t content_length;
};

enum bw_gate_state {
    BW_GATE_IDLE, /* between requests */
    BW_GATE_IN_HEAD,
    BW_GATE_AT_HEAD_END, /* the caller has to parse the head and call bw_gate_body() */
    BW_GATE_IN_BODY,
    BW_GATE_CHUNK_SIZE,
    BW_GATE_CHUNK_DATA,
    BW_GATE_CHUNK_END,
    BW_GATE_LAST_CHUNK, /* the empty line behind the chunk of size 0; trailer fields are refused */
    BW_GATE_FAULTY,
};
struct bw_gate { /* zero-initialise; read by the caller, written by gate.c */
    enum bw_gate_state state;
    enum bw_gate_state faulty_in;
    const struct bw_gate_fault *fault;
    size_t unit;        /* bytes so far of the head, or of the line of a chunk, that is being read: none of them is worth anything after a fault */
    size_t line;        /* bytes of the current line */
    char last;          /* the byte before */
    uint64_t left;      /* bytes still to come of the body or the chunk */
    uint64_t body;      /* body bytes announced so far by this request */
    uint64_t arrived;   /* of them; what is between chunks does not count */
    uint64_t limit;     /* most body bytes; may be lowered and raised between calls */
    uint64_t completed; /* requests */
    unsigned digits;    /* of a chunk size */
};

/* Reads on until the bytes, or a head, or the patience ends; returns how many bytes it took (all, unless AT_HEAD_END or FAULTY). */
size_t bw_gate_feed(struct bw_gate *gate, const char *bytes, size_t len);
/* The whole head, with the empty line: fills out, or returns the fault. */
const struct bw_gate_fault *bw_gate_parse_head(struct bw_slice head, struct bw_gate_head *out);
void bw_gate_body(struct bw_gate *gate, const struct bw_gate_head *head, uint64_t limit); /* leaves AT_HEAD_END; faulty if the body is too large */
void bw_gate_refuse(struct bw_gate *gate, const struct bw_gate_fault *fault);             /* the caller's own reason */
static inline bool bw_gate_is_in_body(const struct bw_gate *gate)
{
    return gate->state >= BW_GATE_IN_BODY && gate->state <= BW_GATE_LAST_CHUNK;
}
static inline bool bw_gate_is_waiting(const struct bw_gate *gate) /* a request has begun and is not complete */
{
    return gate->state != BW_GATE_IDLE && gate->state != BW_GATE_FAULTY;
}
extern const struct bw_gate_fault bw_gate_too_large;
#endif
