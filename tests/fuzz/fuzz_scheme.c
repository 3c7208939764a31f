/* scheme: nothing passes that was not signed: no request of the fuzzer's own, and no signed one of which a bit has changed.
 *
 * Input: a seed; a line with the name of a scheme, a method and a query; lines "name: value"; an empty line; a body. It is judged
 * - as it is: by a scheme that signs, it is never proven;
 * - signed by us as its sender signs (source/sign.c): then it is never a bad signature;
 * - that again, with one bit of the body changed, where the scheme signs the body, or with one byte of the signature's header changed: not proven.
 * Known, and no fault: who signs the fields of a form signs each of them once (Twilio), so how often the same one occurs may change. */
#include "base/codec.h"
#include "fuzz.h"
#include "source_bench.h"
#include <ctype.h>

struct wanted {
    const struct bw_source *source;
    struct bw_slice method, query, lines, body;
};

static struct bw_slice take_until(struct bw_slice *rest, char end)
{
    const char *found = rest->len ? memchr(rest->ptr, end, rest->len) : NULL;
    struct bw_slice taken = {rest->ptr, found ? (size_t)(found - rest->ptr) : rest->len};
    *rest = found ? (struct bw_slice){found + 1, rest->len - taken.len - 1} : (struct bw_slice){rest->ptr + rest->len, 0};
    return taken;
}

static bool read_input(struct bw_slice input, struct wanted *out)
{
    struct bw_slice first = take_until(&input, '\n');
    const char *end = input.len ? memmem(input.ptr, input.len, "\n\n", 2) : NULL;
    out->source = bench_find(take_until(&first, ' '));
    out->method = take_until(&first, ' ');
    if (!out->method.len) out->method = BW_SLICE("POST");
    out->query = first;
    out->lines = end ? (struct bw_slice){input.ptr, (size_t)(end - input.ptr)} : (struct bw_slice){"", 0};
    out->body = end ? (struct bw_slice){end + 2, input.len - out->lines.len - 2} : input;
    return out->source != NULL;
}

static struct bw_request request_of(const struct wanted *wanted, const struct bw_header *headers, size_t count)
{
    return (struct bw_request){.method = wanted->method,
                               .url = bw_slice_of(bw_source_settings(wanted->source)->public_url),
                               .query = wanted->query,
                               .headers = headers,
                               .header_count = count,
                               .body = wanted->body,
                               .now_ms = BENCH_NOW_MS};
}

static void check_unsigned(const struct wanted *wanted)
{
    struct bw_header headers[BENCH_HEADERS_MAX];
    struct bw_judgement out;
    const struct bw_request request = request_of(wanted, headers, bench_headers(wanted->lines, headers, BENCH_HEADERS_MAX));
    bench_judge(wanted->source, &request, &out);
    fuzz_check(!bench_is_proven(&out) || !bw_alg_signs(bw_source_program(wanted->source)->alg), "%s: nobody has signed it",
               bench_scheme(wanted->source));
}

/* ---- what we have signed ---- */

static bool is_signature_header(const struct bw_program *program, struct bw_slice name)
{
    for (size_t i = 0; i < program->signature_count; i++)
        for (const struct bw_ref *ref = &program->signatures[i]; ref; ref = ref->otherwise) {
            const struct bw_ref *from = ref->kind == BW_REF_LIST ? &program->lists[ref->index].from : ref;
            for (; from; from = from->otherwise)
                if (from->kind == BW_REF_HEADER && bw_slice_is_nocase(name, from->name.ptr)) return true;
        }
    return false;
}

static bool signs_body(const struct bw_program *program)
{
    const struct bw_ref body = {.kind = BW_REF_BODY};
    return bw_program_signs(program, &body);
}

/* A request that only wants to know that somebody is there needs no signature in many schemes. */
static bool may_be_greeted(const struct bw_program *program)
{
    for (size_t i = 0; i < program->handshake_count; i++)
        if (!program->handshakes[i].verify_first) return true;
    return false;
}

static void check_refused(const struct wanted *wanted, const struct bw_request *request, const char *what)
{
    struct bw_judgement out;
    bench_judge(wanted->source, request, &out);
    bool is_greeting = out.verdict == BW_HANDSHAKE && may_be_greeted(bw_source_program(wanted->source));
    fuzz_check(out.verdict == BW_REFUSED || is_greeting, "%s: %s, and it is %s", bench_scheme(wanted->source), what, out.reason);
}

/* Is each field of form `a` one of `b`? */
static bool has_fields_of(struct bw_slice a, struct bw_slice b)
{
    static struct bw_buf names[2], values[2];
    struct bw_slice rest_a = a, name, value;
    bool has_all = true;
    while (has_all && bw_form_next(&rest_a, &name, &value)) {
        struct bw_slice rest_b = b;
        bw_buf_clear(&names[0]), bw_buf_clear(&values[0]);
        has_all = bw_form_decode_append(&names[0], name) && bw_form_decode_append(&values[0], value);
        for (bool is_there = false; has_all && !is_there;) {
            if (!(has_all = bw_form_next(&rest_b, &name, &value))) break;
            bw_buf_clear(&names[1]), bw_buf_clear(&values[1]);
            is_there = bw_form_decode_append(&names[1], name) && bw_form_decode_append(&values[1], value) &&
                       bw_slice_equal(bw_buf_slice(&names[0]), bw_buf_slice(&names[1])) &&
                       bw_slice_equal(bw_buf_slice(&values[0]), bw_buf_slice(&values[1]));
        }
    }
    return has_all;
}

static bool signs_fields(const struct bw_program *program)
{
    for (size_t i = 0; i < program->message_counts[0]; i++)
        if (program->messages[0][i].kind == BW_REF_PART && program->messages[0][i].part->covers_form) return true;
    return false;
}

static void check_changed_body(const struct wanted *wanted, struct bw_request request, struct fuzz_dice *dice)
{
    if (!request.body.len || !signs_body(bw_source_program(wanted->source))) return;
    struct bw_slice changed = fuzz_copy(request.body);
    ((char *)(uintptr_t)changed.ptr)[fuzz_roll(dice, (uint32_t)changed.len)] ^= (char)(1 << fuzz_roll(dice, 8));
    request.body = changed;
    bool is_same_form = signs_fields(bw_source_program(wanted->source)) && bw_request_is_form(&request) && has_fields_of(wanted->body, changed) &&
                        has_fields_of(changed, wanted->body);
    if (!is_same_form) check_refused(wanted, &request, "a bit of the body has changed");
    free((void *)changed.ptr);
}

static void check_changed_signature(const struct wanted *wanted, struct bw_request request, struct fuzz_dice *dice)
{
    struct bw_header headers[BENCH_HEADERS_MAX];
    size_t which = request.header_count ? fuzz_roll(dice, (uint32_t)request.header_count) : 0;
    if (!request.header_count || !request.headers[which].value.len) return;
    if (!is_signature_header(bw_source_program(wanted->source), request.headers[which].name)) return;
    struct bw_slice changed = fuzz_copy(request.headers[which].value);
    char *at = (char *)(uintptr_t)changed.ptr + fuzz_roll(dice, (uint32_t)changed.len), was = *at;
    *at ^= (char)(1 << fuzz_roll(dice, 8));
    bool is_other = tolower((unsigned char)*at) != tolower((unsigned char)was) || !bw_source_program(wanted->source)->any_case;
    memcpy(headers, request.headers, request.header_count * sizeof *headers);
    headers[which].value = changed;
    request.headers = headers;
    if (is_other) check_refused(wanted, &request, "a bit of the signature has changed");
    free((void *)changed.ptr);
}

static void check_signed(const struct wanted *wanted, struct fuzz_dice *dice)
{
    struct bw_header headers[BENCH_HEADERS_MAX];
    struct bw_slice id = {"evt_1", fuzz_roll(dice, 6)}, event = {"push.opened", fuzz_roll(dice, 12)};
    struct bw_buf lines = {0};
    struct bw_judgement out;
    bool is_form = fuzz_roll(dice, 3) == 0;
    bw_buf_append_text(&lines, is_form ? "content-type: application/x-www-form-urlencoded\n" : "content-type: application/json\n");
    if (bw_source_sign(wanted->source, wanted->body, id, event, BENCH_NOW_MS, &lines, NULL)) {
        struct bw_request request = request_of(wanted, headers, bench_headers(bw_buf_slice(&lines), headers, BENCH_HEADERS_MAX));
        request.method = BW_SLICE("POST");
        request.query = BW_SLICE("");
        bench_judge(wanted->source, &request, &out);
        bool is_bad = out.verdict == BW_REFUSED && !strncmp(out.reason, "bad ", 4);
        fuzz_check(!is_bad, "%s: what was signed here is refused here: %s", bench_scheme(wanted->source), out.reason);
        if (bench_is_proven(&out) && bw_alg_signs(bw_source_program(wanted->source)->alg)) {
            check_changed_body(wanted, request, dice);
            check_changed_signature(wanted, request, dice);
        }
    }
    bw_buf_free(&lines);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    bench_open();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bw_slice input = fuzz_input(data, size);
    struct fuzz_dice dice = fuzz_take_dice(&input);
    struct wanted wanted;
    if (!read_input(input, &wanted)) return -1; /* no scheme: libFuzzer need not keep it */
    check_unsigned(&wanted);
    check_signed(&wanted, &dice);
    return 0;
}
