/* A form as JSON: what a workflow sees of it. Names in their order, a name that occurs several times as a list. The signature is over the bytes. */
#include "base/codec.h"
#include "base/utf8.h"
#include "source/multipart.h"
#include "source/part.h"
#include <stdlib.h>

#define FIELDS_MAX BW_MULTIPART_PARTS_MAX

struct field {
    struct bw_slice name, value;
    struct bw_slice filename, type; /* of a file */
    bool is_file, is_written;
};

static bool is_text(struct bw_slice text)
{
    for (size_t i = 0, step; i < text.len; i += step)
        if (!text.ptr[i] || !(step = bw_utf8_length(text.ptr + i, text.len - i))) return false;
    return true;
}

/* ---- what is in it ---- */

static bool decode(struct bw_trial *trial, struct bw_slice text, struct bw_slice *out)
{
    size_t before = trial->scratch->len;
    if (!bw_trial_has_room(trial, text.len) || !bw_form_decode_append(trial->scratch, text)) return false;
    *out = bw_trial_since(trial, before);
    return is_text(*out);
}

static bool read_pairs(struct bw_trial *trial, struct field *fields, size_t *count)
{
    struct bw_slice rest = trial->request->body, name, value;
    for (; bw_form_next(&rest, &name, &value); ++*count)
        if (*count == FIELDS_MAX || !decode(trial, name, &fields[*count].name) || !decode(trial, value, &fields[*count].value)) return false;
    return true;
}

static bool unquote(struct bw_trial *trial, struct bw_slice quoted, struct bw_slice *out)
{
    size_t before = trial->scratch->len;
    if (!bw_trial_has_room(trial, quoted.len)) return false;
    bw_multipart_unquote_append(trial->scratch, quoted);
    *out = bw_trial_since(trial, before);
    return is_text(*out);
}

static bool read_parts(struct bw_trial *trial, struct field *fields, size_t *count)
{
    struct bw_multipart multipart;
    struct bw_part_field part;
    enum bw_multipart_end end = BW_MULTIPART_BROKEN;
    if (!bw_multipart_begin(&multipart, bw_request_header(trial->request, "content-type", NULL)->value, trial->request->body)) return false;
    while ((end = bw_multipart_next(&multipart, &part)) == BW_MULTIPART_PART) {
        struct field *field = &fields[(*count)++];
        *field = (struct field){.value = part.data, .type = part.type, .is_file = part.is_file};
        if (!unquote(trial, part.name, &field->name) || !unquote(trial, part.filename, &field->filename)) return false;
        if (!is_text(part.type) || (!part.is_file && !is_text(part.data))) return false;
    }
    return end == BW_MULTIPART_OVER;
}

/* ---- and how it is written ---- */

static void write_value(struct bw_buf *out, const struct field *field)
{
    if (!field->is_file) {
        bw_buf_append_json_string(out, field->value);
        return;
    }
    bw_buf_append_text(out, "{\"filename\":");
    bw_buf_append_json_string(out, field->filename);
    bw_buf_append_text(out, ",\"type\":");
    bw_buf_append_json_string(out, field->type);
    bw_buf_printf(out, ",\"size\":%zu,\"base64\":\"", field->value.len);
    bw_base64_append(out, field->value.ptr, field->value.len);
    bw_buf_append_text(out, "\"}");
}

static void write_field(struct bw_buf *out, struct field *fields, size_t index, size_t count)
{
    size_t same = 0;
    for (size_t i = index; i < count; i++) same += bw_slice_equal(fields[i].name, fields[index].name);
    bw_buf_append_json_string(out, fields[index].name);
    bw_buf_append_text(out, same > 1 ? ":[" : ":");
    for (size_t i = index, written = 0; i < count; i++) {
        if (!bw_slice_equal(fields[i].name, fields[index].name)) continue;
        if (written++) bw_buf_append_char(out, ',');
        write_value(out, &fields[i]);
        fields[i].is_written = true;
    }
    if (same > 1) bw_buf_append_char(out, ']');
}

bool bw_form_to_json(struct bw_trial *trial, struct bw_slice *out)
{
    struct field *fields = calloc(FIELDS_MAX, sizeof *fields);
    struct bw_buf text = {0};
    size_t count = 0;
    bool good = fields && (bw_request_is_multipart(trial->request) ? read_parts : read_pairs)(trial, fields, &count);
    bw_buf_append_char(&text, '{');
    for (size_t i = 0; good && i < count; i++) {
        if (fields[i].is_written) continue;
        if (text.len > 1) bw_buf_append_char(&text, ',');
        write_field(&text, fields, i, count);
    }
    bw_buf_append_char(&text, '}');
    good = good && !text.failed && bw_part_text(trial, bw_buf_slice(&text), out);
    bw_buf_free(&text);
    free(fields);
    return good;
}
