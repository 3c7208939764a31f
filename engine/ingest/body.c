#include "ingest/body.h"

static bool misfits(struct bw_misfit *misfit, const char *place, const struct bw_error *err, const struct bw_buf *pointer)
{
    struct bw_buf message = {0};
    bw_buf_append_text(&message, place);
    bw_buf_append_text(&message, err->message);
    bw_buf_append_text(&misfit->answer, "{\"error\":\"invalid\",\"message\":");
    bw_buf_append_json_string(&misfit->answer, bw_buf_slice(&message));
    bw_buf_free(&message);
    if (pointer) {
        bw_buf_append_text(&misfit->answer, ",\"at\":");
        bw_buf_append_json_string(&misfit->answer, bw_buf_slice(pointer));
    } else if (err->line) {
        bw_buf_printf(&misfit->answer, ",\"line\":%d,\"column\":%d", err->line, err->column);
    }
    bw_buf_append_text(&misfit->answer, "}\n");
    bw_buf_append_text(&misfit->reason, place);
    bw_buf_append_text(&misfit->reason, pointer && pointer->len ? pointer->data : "the body");
    bw_buf_append_char(&misfit->reason, ' ');
    bw_buf_append_text(&misfit->reason, err->message);
    return false;
}

bool bw_body_fits(const struct bw_schema *schema, struct bw_slice body, const char *place, struct bw_misfit *misfit)
{
    struct bw_buf pointer = {0};
    struct bw_error err = {0};
    json_t *value = bw_json_load(body, &err);
    bool fits = value && bw_schema_check_value(schema, value, "body", &pointer, &err);
    if (!value) {
        /* jansson's words may quote the body. */
        const struct bw_error unreadable = {.message = "is no JSON that can be read exactly", .line = err.line, .column = err.column};
        misfits(misfit, place, &unreadable, NULL);
    } else if (!fits) {
        misfits(misfit, place, &err, &pointer);
    }
    bw_buf_free(&pointer);
    json_decref(value);
    return fits;
}

void bw_misfit_clear(struct bw_misfit *misfit)
{
    bw_buf_free(&misfit->answer);
    bw_buf_free(&misfit->reason);
}
