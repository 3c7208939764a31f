/* source_bench.h: a source of every built-in scheme, with secrets that nobody else has, and requests from text for them.
 *
 * The secrets are made up here and are in no seed: what is judged as signed has been signed by this process. */
#ifndef BW_FUZZ_SOURCE_BENCH_H
#define BW_FUZZ_SOURCE_BENCH_H
#include "base/buf.h"
#include "source/compiler.h"

#define BENCH_NOW_MS 1760000000000LL /* the time of the vectors */
#define BENCH_HEADERS_MAX 64

void bench_open(void); /* once; aborts when a built-in scheme cannot be used at all */
size_t bench_count(void);
const struct bw_source *bench_at(size_t index);
const struct bw_source *bench_find(struct bw_slice scheme); /* NULL: there is none */
const char *bench_scheme(const struct bw_source *source);

/* "name: value" lines; what is no such line is left out. Returns the number of headers; they are slices of the text. */
size_t bench_headers(struct bw_slice lines, struct bw_header *out, size_t capacity);
/* Judges an exact copy twice: both must say the same, everything that *out points to can be read, and an event has a name and an id as events have
 * them, each one of a batch, too. Slices of *out are good until the next call. */
void bench_judge(const struct bw_source *source, const struct bw_request *request, struct bw_judgement *out);
/* It says that the request was signed: MALFORMED comes behind the proof. */
bool bench_is_proven(const struct bw_judgement *judgement);
#endif
