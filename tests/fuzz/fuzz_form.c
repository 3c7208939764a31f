/* form: a form is the JSON object that a naive reader makes of it, or it is refused for a reason that the reader sees, too.
 *
 * Input: a body that is called application/x-www-form-urlencoded. The reader below knows pairs, '+' and %XX, nothing of scratch or of JSON text.
 * Names keep their order, one that occurs several times is a list; all texts together are never longer than the body. */
#include "form_model.h"

#define PAIRS_MAX 1024 /* as engine/source/form_json.c has it */

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Text of a name or a value; false: a broken %XX, a NUL byte or no UTF-8. */
static bool decode(const char *at, const char *end, struct bw_buf *out)
{
    bw_buf_clear(out);
    bw_buf_append_text(out, "");
    for (; at < end; at++) {
        if (*at != '%') {
            bw_buf_append_char(out, *at == '+' ? ' ' : *at);
            continue;
        }
        if (end - at < 3 || hex(at[1]) < 0 || hex(at[2]) < 0) return false;
        bw_buf_append_char(out, (char)(hex(at[1]) * 16 + hex(at[2])));
        at += 2;
    }
    return is_form_text(bw_buf_slice(out));
}

/* NULL: it is none. */
static json_t *read_form(struct bw_slice body)
{
    static struct bw_buf name, value;
    json_t *form = json_object();
    const char *at = body.ptr, *end = body.ptr + body.len;
    size_t bytes = 0;
    for (size_t count = 0; at < end;) {
        const char *behind = memchr(at, '&', (size_t)(end - at));
        if (!behind) behind = end;
        const char *equals = memchr(at, '=', (size_t)(behind - at));
        if (behind > at) {
            bool good = ++count <= PAIRS_MAX && decode(at, equals ? equals : behind, &name) && decode(equals ? equals + 1 : behind, behind, &value);
            if (!good) {
                json_decref(form);
                return NULL;
            }
            bytes += name.len + value.len;
            form_add(form, name.data, json_string(value.data));
        }
        at = behind + 1;
    }
    fuzz_check(bytes <= body.len, "%zu bytes of text in a form of %zu", bytes, body.len);
    return form;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    bench_open();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bw_slice body = fuzz_input(data, size);
    if (size) check_form(BW_SLICE("application/x-www-form-urlencoded; charset=utf-8"), body, read_form(body)); /* without a body there is no form */
    return 0;
}
