/* A form as JSON: what a workflow sees of it. Names in their order, a name that occurs several times as a list. The signature is over the bytes. */
#include "base/codec.h"
#include "base/utf8.h"
#include "source/part.h"
#include <stdlib.h>

#define PAIRS_MAX 1024

struct field {
    struct bw_slice name, value;
    bool is_written;
};

static bool is_text(struct bw_slice text)
{
    for (size_t i = 0, step; i < text.len; i += step)
        if (!text.ptr[i] || !(step = bw_utf8_length(text.ptr + i, text.len - i))) return false;
    return true;
}

static bool decode(struct bw_trial *trial, struct bw_slice text, struct bw_slice *out)
{
    size_t before = trial->scratch->len;
    if (!bw_trial_has_room(trial, text.len) || !bw_form_decode_append(trial->scratch, text)) return false;
    *out = bw_trial_since(trial, before);
    return is_text(*out);
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
        bw_buf_append_json_string(out, fields[i].value);
        fields[i].is_written = true;
    }
    if (same > 1) bw_buf_append_char(out, ']');
}

bool bw_form_to_json(struct bw_trial *trial, struct bw_slice *out)
{
    struct bw_slice rest = trial->request->body, name, value;
    struct field *fields = calloc(PAIRS_MAX, sizeof *fields);
    struct bw_buf text = {0};
    size_t count = 0;
    bool good = fields != NULL;
    while (good && bw_form_next(&rest, &name, &value)) {
        good = count < PAIRS_MAX && decode(trial, name, &fields[count].name) && decode(trial, value, &fields[count].value);
        count++;
    }
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
