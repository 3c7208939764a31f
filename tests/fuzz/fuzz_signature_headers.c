/* signature_headers: what is read out of a header lies inside of it, and reads the same when it is written again; no text of the fuzzer's own signs.
 *
 * Input: a seed that chooses the scheme, then a text that stands in all headers which that scheme reads: lists (t=…,v1=…; v1,…; sha256=…), timestamps
 * in every notation, tokens, hex and base64. */
#include "base/clock.h"
#include "base/codec.h"
#include "fuzz.h"
#include "source_bench.h"
#include <time.h>

#define BODY "{\"id\":\"evt_1\",\"type\":\"order.created\"}"

/* ---- lists ---- */

static struct bw_trial trial_of(const struct bw_source *source, const struct bw_request *request, struct bw_buf *scratch)
{
    return (struct bw_trial){.program = bw_source_program(source),
                             .config = bw_source_settings(source),
                             .keys = bw_source_keys(source),
                             .request = request,
                             .document = request->body,
                             .scratch = scratch};
}

static bool is_inside(struct bw_slice part, struct bw_slice whole)
{
    return part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len;
}

/* KEY=VALUE of each value, joined as the scheme says. */
static void write_list(const struct bw_list_spec *list, struct bw_slice key, const struct bw_slice *values, size_t count, struct bw_buf *out)
{
    for (size_t i = 0; i < count; i++) {
        if (i) bw_buf_append_slice(out, list->separator);
        bw_buf_append_slice(out, key);
        bw_buf_append_slice(out, list->equals);
        bw_buf_append_slice(out, values[i]);
    }
}

static void check_list(const struct bw_source *source, const struct bw_ref *ref, const struct bw_request *request, struct bw_slice text)
{
    const struct bw_program *program = bw_source_program(source);
    struct bw_slice found[BW_CANDIDATES_MAX], again[BW_CANDIDATES_MAX];
    struct bw_buf scratch = {0}, written = {0};
    struct bw_header headers[BENCH_HEADERS_MAX];
    struct bw_request rewritten = *request;
    bw_buf_reserve(&scratch, 65536);
    struct bw_trial trial = trial_of(source, request, &scratch);
    size_t count = bw_ref_candidates(&trial, ref, found, BW_CANDIDATES_MAX);
    for (size_t i = 0; i < count; i++)
        fuzz_check(is_inside(found[i], text), "%s: value %zu of '%.*s' is elsewhere", bench_scheme(source), i, (int)ref->name.len, ref->name.ptr);
    const struct bw_list_spec *list = &program->lists[ref->index];
    if (count && !ref->is_secret_key && (count == 1 || list->separator.len)) {
        write_list(list, ref->name, found, count, &written);
        for (size_t i = 0; i < request->header_count; i++) headers[i] = (struct bw_header){request->headers[i].name, bw_buf_slice(&written)};
        rewritten.headers = headers;
        trial = trial_of(source, &rewritten, &scratch);
        size_t same = bw_ref_candidates(&trial, ref, again, BW_CANDIDATES_MAX);
        fuzz_check(same == count, "%s: %zu values of '%.*s', written again %zu", bench_scheme(source), count, (int)ref->name.len, ref->name.ptr,
                   same);
        for (size_t i = 0; i < count; i++) fuzz_check(bw_slice_equal(found[i], again[i]), "%s: value %zu", bench_scheme(source), i);
    }
    bw_buf_free(&written);
    bw_buf_free(&scratch);
}

static void check_lists(const struct bw_source *source, const struct bw_request *request, struct bw_slice text)
{
    const struct bw_program *program = bw_source_program(source);
    for (size_t i = 0; i < program->signature_count; i++)
        if (program->signatures[i].kind == BW_REF_LIST) check_list(source, &program->signatures[i], request, text);
    if (program->has_time && program->time.kind == BW_REF_LIST) check_list(source, &program->time, request, text);
}

/* ---- texts ---- */

static void write_time(enum bw_time_unit unit, int64_t ms, char out[64])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm parts;
    switch (unit) {
    case BW_TIME_S: snprintf(out, 64, "%lld", (long long)(ms / 1000)); break;
    case BW_TIME_MS: snprintf(out, 64, "%lld", (long long)ms); break;
    case BW_TIME_RFC3339: bw_clock_text(ms, out); break;
    case BW_TIME_RFC1123: strftime(out, 64, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&seconds, &parts)); break;
    }
}

static void check_time(struct bw_slice text)
{
    static const enum bw_time_unit units[] = {BW_TIME_S, BW_TIME_MS, BW_TIME_RFC3339, BW_TIME_RFC1123};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        int64_t ms, again;
        char written[64];
        if (!bw_time_parse(text, units[i], &ms)) continue;
        if (units[i] == BW_TIME_RFC3339 && (ms < -62135596800000 || ms >= 253402300800000))
            continue; /* an offset has led out of the years 1 to 9999 */
        write_time(units[i], ms, written);
        fuzz_check(bw_time_parse(bw_slice_of(written), units[i], &again) && again == ms, "%.*s is written %s", (int)text.len, text.ptr, written);
    }
}

static void check_codecs(struct bw_slice text)
{
    static uint8_t bytes[65536];
    static char hex[2 * sizeof bytes + 1];
    static struct bw_buf written;
    size_t len;
    for (int any_case = 0; any_case < 2; any_case++)
        if (bw_hex_decode(text, any_case, bytes, sizeof bytes, &len)) {
            bw_hex_encode(bytes, len, hex);
            fuzz_check(any_case ? bw_slice_is_nocase(text, hex) : bw_slice_is(text, hex), "%s", hex);
        }
    if (bw_base64_decode(text, bytes, sizeof bytes, &len)) {
        bw_buf_clear(&written);
        bw_base64_append(&written, bytes, len);
        fuzz_check(bw_slice_equal(text, bw_buf_slice(&written)), "base64 is not canonical: %.*s", (int)text.len, text.ptr);
    }
    if (bw_base64url_decode(text, bytes, sizeof bytes, &len)) {
        bw_buf_clear(&written);
        bw_base64url_append(&written, bytes, len);
        fuzz_check(bw_slice_equal(text, bw_buf_slice(&written)), "base64url is not canonical: %.*s", (int)text.len, text.ptr);
    }
}

/* ---- requests ---- */

static void add_header(struct bw_header *headers, size_t *count, struct bw_slice name, struct bw_slice text)
{
    for (size_t i = 0; i < *count; i++)
        if (bw_slice_equal(headers[i].name, name)) return;
    if (*count < BENCH_HEADERS_MAX) headers[(*count)++] = (struct bw_header){name, text};
}

static void add_headers_of(const struct bw_program *program, const struct bw_ref *ref, struct bw_slice text, struct bw_header *headers, size_t *count)
{
    for (; ref; ref = ref->otherwise) {
        if (ref->kind == BW_REF_HEADER) add_header(headers, count, ref->name, text);
        if (ref->kind == BW_REF_LIST) add_headers_of(program, &program->lists[ref->index].from, text, headers, count);
        if (ref->kind == BW_REF_PART) add_headers_of(program, ref->argument, text, headers, count);
    }
}

static size_t fill_headers(const struct bw_program *program, struct bw_slice text, struct bw_header *headers)
{
    size_t count = 0;
    for (size_t i = 0; i < program->list_count; i++) add_headers_of(program, &program->lists[i].from, text, headers, &count);
    for (size_t i = 0; i < program->signature_count; i++) add_headers_of(program, &program->signatures[i], text, headers, &count);
    if (program->has_time) add_headers_of(program, &program->time, text, headers, &count);
    for (size_t i = 0; i < program->message_counts[0]; i++) add_headers_of(program, &program->messages[0][i], text, headers, &count);
    add_header(headers, &count, BW_SLICE("authorization"), text);
    return count;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    bench_open();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bw_slice text = fuzz_input(data, size);
    struct fuzz_dice dice = fuzz_take_dice(&text);
    const struct bw_source *source = bench_at(fuzz_roll(&dice, (uint32_t)bench_count()));
    struct bw_header headers[BENCH_HEADERS_MAX];
    struct bw_judgement out;
    const struct bw_request request = {.method = BW_SLICE("POST"),
                                       .url = bw_slice_of(bw_source_settings(source)->public_url),
                                       .query = BW_SLICE(""),
                                       .headers = headers,
                                       .header_count = fill_headers(bw_source_program(source), text, headers),
                                       .body = BW_SLICE(BODY),
                                       .now_ms = BENCH_NOW_MS};
    check_lists(source, &request, text);
    check_time(text);
    check_codecs(text);
    bench_judge(source, &request, &out);
    fuzz_check(!bench_is_proven(&out) || !bw_alg_signs(bw_source_program(source)->alg), "%s: nobody has signed it", bench_scheme(source));
    return 0;
}
