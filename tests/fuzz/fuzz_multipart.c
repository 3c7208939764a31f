/* multipart: parts lie inside of the body, and written again they are the same parts; what was made of parts comes back; data are the JSON of the
 * parts.
 *
 * Input: a seed, a line with a content type, a body. The body is read as it is. And as payload: it is cut into names, file names, types and data,
 * which are written as browsers write them and must come back from that. */
#include "base/codec.h"
#include "form_model.h"
#include "source/multipart.h"

#define MADE_MAX 12

struct parts {
    struct bw_part_field items[BW_MULTIPART_PARTS_MAX];
    size_t count;
};

static bool read_parts(struct bw_slice type, struct bw_slice body, struct bw_multipart *multipart, struct parts *out)
{
    enum bw_multipart_end end = BW_MULTIPART_BROKEN;
    struct bw_part_field part;
    out->count = 0;
    if (!bw_multipart_begin(multipart, type, body)) return false;
    while ((end = bw_multipart_next(multipart, &part)) == BW_MULTIPART_PART) {
        fuzz_check(out->count < BW_MULTIPART_PARTS_MAX, "more than %d parts", BW_MULTIPART_PARTS_MAX);
        out->items[out->count++] = part;
    }
    return end == BW_MULTIPART_OVER;
}

static bool is_inside(struct bw_slice part, struct bw_slice whole)
{
    return !part.len || (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}

static void check_parts(const struct parts *parts, struct bw_slice body, const struct bw_multipart *multipart)
{
    size_t bytes = 0;
    for (size_t i = 0; i < parts->count; i++) {
        const struct bw_part_field *part = &parts->items[i];
        fuzz_check(part->name.ptr, "part %zu has no name", i);
        fuzz_check(is_inside(part->name, body) && is_inside(part->filename, body) && is_inside(part->type, body) && is_inside(part->data, body),
                   "part %zu is elsewhere", i);
        fuzz_check(!part->data.len || !memmem(part->data.ptr, part->data.len, multipart->delimiter, multipart->delimiter_len),
                   "a boundary in the data of part %zu", i);
        bytes += part->name.len + part->filename.len + part->type.len + part->data.len;
    }
    fuzz_check(bytes <= body.len, "%zu bytes in the parts of %zu", bytes, body.len);
}

/* ---- writing ---- */

static void write_parts(const struct parts *parts, struct bw_slice boundary, struct bw_buf *out)
{
    bw_buf_clear(out);
    for (size_t i = 0; i < parts->count; i++) {
        const struct bw_part_field *part = &parts->items[i];
        bw_buf_printf(out, "--%.*s\r\nContent-Disposition: form-data; name=\"", (int)boundary.len, boundary.ptr);
        bw_buf_append_slice(out, part->name);
        if (part->is_file) {
            bw_buf_append_text(out, "\"; filename=\"");
            bw_buf_append_slice(out, part->filename);
        }
        bw_buf_append_text(out, "\"\r\n");
        if (part->type.ptr) {
            bw_buf_append_text(out, "Content-Type: ");
            bw_buf_append_slice(out, part->type);
            bw_buf_append_text(out, "\r\n");
        }
        bw_buf_append_text(out, "\r\n");
        bw_buf_append_slice(out, part->data);
        bw_buf_append_text(out, "\r\n");
    }
    bw_buf_printf(out, "--%.*s--\r\n", (int)boundary.len, boundary.ptr);
}

static void check_same(const struct parts *a, const struct parts *b)
{
    fuzz_check(a->count == b->count, "%zu parts, and then %zu", a->count, b->count);
    for (size_t i = 0; i < a->count; i++)
        fuzz_check(bw_slice_equal(a->items[i].name, b->items[i].name) && bw_slice_equal(a->items[i].filename, b->items[i].filename) &&
                       bw_slice_equal(a->items[i].type, b->items[i].type) && bw_slice_equal(a->items[i].data, b->items[i].data) &&
                       a->items[i].is_file == b->items[i].is_file,
                   "part %zu is another one", i);
}

/* They are read from what is written of them, with this boundary. */
static void check_written(const struct parts *parts, struct bw_slice boundary)
{
    static struct parts again;
    static struct bw_buf text, type;
    struct bw_multipart multipart;
    size_t longest = 0;
    for (size_t i = 0; i < parts->count; i++) {
        size_t head = parts->items[i].name.len + parts->items[i].filename.len + parts->items[i].type.len;
        if (head > longest) longest = head;
    }
    if (longest > BW_MULTIPART_HEAD_MAX - 200) return; /* shorter as it was written before */
    write_parts(parts, boundary, &text);
    bw_buf_clear(&type);
    bw_buf_printf(&type, "multipart/form-data; boundary=\"%.*s\"", (int)boundary.len, boundary.ptr);
    struct bw_slice exact = fuzz_copy(bw_buf_slice(&text));
    fuzz_check(read_parts(bw_buf_slice(&type), exact, &multipart, &again), "not read again: %s\n%.*s", type.data, (int)text.len, text.data);
    check_same(parts, &again);
    free((void *)exact.ptr);
}

/* ---- what a workflow sees ---- */

static bool unquote(struct bw_slice quoted, struct bw_buf *out)
{
    bw_buf_clear(out);
    bw_buf_append_text(out, "");
    bw_multipart_unquote_append(out, quoted);
    return is_form_text(bw_buf_slice(out));
}

static json_t *file_of(const struct bw_part_field *part, const char *filename)
{
    static struct bw_buf coded;
    bw_buf_clear(&coded);
    bw_buf_append_text(&coded, "");
    bw_base64_append(&coded, part->data.ptr, part->data.len);
    return json_pack("{s:s, s:s%, s:I, s:s}", "filename", filename, "type", part->type.len ? part->type.ptr : "", part->type.len, "size",
                     (json_int_t)part->data.len, "base64", coded.data);
}

/* NULL: something in it is no text. */
static json_t *form_of(const struct parts *parts)
{
    static struct bw_buf name, filename;
    json_t *form = json_object();
    bool good = true;
    for (size_t i = 0; good && i < parts->count; i++) {
        const struct bw_part_field *part = &parts->items[i];
        good = unquote(part->name, &name) && unquote(part->filename, &filename) && is_form_text(part->type) &&
               (part->is_file || is_form_text(part->data));
        if (good)
            form_add(form, name.data,
                     part->is_file ? file_of(part, filename.data) : json_stringn(part->data.len ? part->data.ptr : "", part->data.len));
    }
    if (good) return form;
    json_decref(form);
    return NULL;
}

static void check_body(struct bw_slice type, struct bw_slice body)
{
    static struct parts parts;
    struct bw_multipart multipart;
    bool is_whole = read_parts(type, body, &multipart, &parts);
    check_parts(&parts, body, &multipart);
    if (is_whole) check_written(&parts, (struct bw_slice){multipart.delimiter + 4, multipart.delimiter_len - 4});
    const struct bw_header header = {BW_SLICE("Content-Type"), type};
    const struct bw_request request = {.headers = &header, .header_count = 1};
    if (body.len && bw_request_is_multipart(&request)) check_form(type, body, is_whole ? form_of(&parts) : NULL);
}

/* ---- payload ---- */

/* Text that may stand between quotes in a header: what may not is replaced. */
static struct bw_slice quoted_text(struct bw_slice bytes, struct bw_buf *out)
{
    size_t before = out->len;
    for (size_t i = 0; i < bytes.len; i++) {
        char c = bytes.ptr[i];
        if (c == '"' || c == '\\') bw_buf_append_char(out, '\\');
        bw_buf_append_char(out, (unsigned char)c < 0x20 || c == 0x7f ? '_' : c);
    }
    return (struct bw_slice){out->data + before, out->len - before};
}

static struct bw_slice cut(struct bw_slice *rest, struct fuzz_dice *dice, uint32_t most)
{
    size_t len = fuzz_roll(dice, most + 1);
    if (len > rest->len) len = rest->len;
    struct bw_slice taken = {rest->ptr, len};
    *rest = (struct bw_slice){rest->ptr + len, rest->len - len};
    return taken;
}

static void check_payload(struct bw_slice bytes, struct fuzz_dice *dice)
{
    static struct parts parts;
    static struct bw_buf texts;
    struct bw_slice boundary = BW_SLICE("a boundary that is in no input: 5f1e03a1");
    if (bytes.len && memmem(bytes.ptr, bytes.len, boundary.ptr, boundary.len)) return;
    bw_buf_clear(&texts);
    bw_buf_reserve(&texts, 2 * bytes.len + 1); /* slices point into it */
    parts.count = 0;
    for (size_t count = fuzz_roll(dice, MADE_MAX); parts.count < count;) {
        struct bw_part_field *part = &parts.items[parts.count++];
        *part = (struct bw_part_field){.is_file = fuzz_roll(dice, 2) == 0};
        part->name = quoted_text(cut(&bytes, dice, 20), &texts);
        if (part->is_file) part->filename = quoted_text(cut(&bytes, dice, 20), &texts);
        if (fuzz_roll(dice, 2)) part->type = BW_SLICE("text/plain; charset=\"x\"");
        part->data = cut(&bytes, dice, 200);
    }
    check_written(&parts, boundary);
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
    struct fuzz_dice dice = fuzz_take_dice(&body);
    const char *end = body.len ? memchr(body.ptr, '\n', body.len) : NULL;
    struct bw_slice type = {body.ptr, end ? (size_t)(end - body.ptr) : 0};
    if (end) body = (struct bw_slice){end + 1, body.len - type.len - 1};
    struct bw_slice exact_type = fuzz_copy(type), exact_body = fuzz_copy(body);
    check_body(exact_type, exact_body);
    check_payload(exact_body, &dice);
    free((void *)exact_type.ptr);
    free((void *)exact_body.ptr);
    return 0;
}
