/* http_model.h: requests of a connection, read the naive way: by looking for line ends in text that is all there. What the gate lets through must
 * mean this, and evhttp must see this. It judges nothing; only chunks have a verdict, since their decoding is what is asked for. */
#ifndef BW_FUZZ_HTTP_MODEL_H
#define BW_FUZZ_HTTP_MODEL_H
#include "base/buf.h"
#include <stdint.h>

struct http_request { /* slices of the text, blanks around values taken off; owned: body */
    struct bw_slice method, target, version;
    struct {
        struct bw_slice name, value;
    } fields[100];
    size_t field_count;
    struct bw_buf body;
};
/* The request that `text` begins with, and how many bytes it takes. 0: not a whole one, or nothing that this reader understands. */
size_t http_model_read(struct bw_slice text, struct http_request *out);
void http_request_clear(struct http_request *request);

enum http_chunks { HTTP_CHUNKS_WHOLE, HTTP_CHUNKS_UNFINISHED, HTTP_CHUNKS_FAULTY, HTTP_CHUNKS_TOO_LARGE };
/* RFC 9112 7.1 without extensions and trailers, sizes of at most 8 digits: appends the data of all chunks, at most `limit` bytes; *taken is where the
 * reading ended. */
enum http_chunks http_model_chunks(struct bw_slice text, uint64_t limit, struct bw_buf *data, size_t *taken);
#endif
