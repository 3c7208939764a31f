#include "base/json.h"
#include "base/json_build.h"
#include "base/json_scan.h"
#include "base/json_view.h"
#include "base/log.h"
#include "base/random.h"

void bw_json_setup(void)
{
    uint32_t seed;
    bw_random_bytes(&seed, sizeof seed);
    json_object_seed(seed | 1); /* 0 would mean: choose one yourself */
}

json_t *bw_json_load(struct bw_slice text, struct bw_error *err)
{
    struct bw_json_fault fault;
    json_error_t native;
    /* Our own scanner first: it is stricter and knows the exact place. */
    if (!bw_json_scan(text, NULL, NULL, &fault)) {
        bw_error_set(err, "json.syntax", "%s", fault.reason);
        bw_error_at(err, NULL, (int)fault.line, (int)fault.column);
        return NULL;
    }
    json_t *value = bw_json_build(text);
    if (!value && !(value = json_loadb(text.ptr, text.len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &native))) {
        bw_error_set(err, strstr(native.text, "too big") || strstr(native.text, "overflow") ? "json.number" : "json.syntax", "%s", native.text);
        bw_error_at(err, NULL, native.line, native.column);
    }
    return value;
}

void bw_json_append(struct bw_buf *out, const json_t *value)
{
    const char *key;
    json_t *member;
    size_t index;
    bool is_first = true;
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        bw_buf_append_char(out, '{');
        json_object_foreach((json_t *)value, key, member)
        {
            if (!is_first) bw_buf_append_char(out, ',');
            is_first = false;
            bw_buf_append_json_string(out, bw_slice_of(key));
            bw_buf_append_char(out, ':');
            bw_json_append(out, member);
        }
        bw_buf_append_char(out, '}');
        break;
    case JSON_ARRAY:
        bw_buf_append_char(out, '[');
        json_array_foreach((json_t *)value, index, member)
        {
            if (index) bw_buf_append_char(out, ',');
            bw_json_append(out, member);
        }
        bw_buf_append_char(out, ']');
        break;
    case JSON_STRING: bw_buf_append_json_string(out, bw_json_slice(value)); break;
    case JSON_INTEGER: bw_buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value)); break;
    case JSON_REAL: bw_json_real_append(out, json_real_value(value)); break;
    case JSON_TRUE: bw_buf_append_text(out, "true"); break;
    case JSON_FALSE: bw_buf_append_text(out, "false"); break;
    case JSON_NULL: bw_buf_append_text(out, "null"); break;
    }
}

json_t *bw_json_load_head(struct bw_slice text)
{
    json_t *head = bw_json_scan(text, NULL, NULL, NULL) ? bw_json_build(text) : NULL;
    if (!head) head = json_loadb(text.ptr, text.len, JSON_ALLOW_NUL, NULL);
    if (json_is_object(head)) return head;
    json_decref(head);
    return NULL;
}

static void append_member(struct bw_buf *out, const char *name, struct bw_slice text)
{
    if (!text.len) return;
    bw_buf_printf(out, ",\"%s\":", name);
    bw_buf_append_json_string(out, text);
}

void bw_json_append_error(struct bw_buf *out, const struct bw_error *err, const char *class, struct bw_slice step)
{
    struct bw_buf message = {0};
    bw_redact_append(&message, bw_slice_of(err->message));
    bw_buf_append_text(out, "{\"code\":");
    bw_buf_append_json_string(out, bw_slice_of(err->code));
    bw_buf_append_text(out, ",\"message\":");
    bw_buf_append_json_string(out, bw_buf_slice(&message));
    append_member(out, "class", bw_slice_of(class ? class : ""));
    append_member(out, "hint", bw_slice_of(err->hint));
    append_member(out, "file", bw_slice_of(err->file));
    if (err->line) bw_buf_printf(out, ",\"line\":%d", err->line);
    if (err->column) bw_buf_printf(out, ",\"column\":%d", err->column);
    append_member(out, "step", step);
    bw_buf_append_char(out, '}');
    bw_buf_free(&message);
}

struct bw_error bw_json_error(const json_t *error)
{
    struct bw_error err;
    bw_error_set(&err, bw_json_str(error, "code", "error"), "%s", bw_json_str(error, "message", ""));
    bw_error_hint(&err, "%s", bw_json_str(error, "hint", ""));
    bw_error_at(&err, bw_json_str(error, "file", ""), (int)bw_json_int(error, "line", 0), (int)bw_json_int(error, "column", 0));
    return err;
}

const char *bw_json_str(const json_t *object, const char *key, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : otherwise;
}

int64_t bw_json_int(const json_t *object, const char *key, int64_t otherwise)
{
    const json_t *value = json_object_get(object, key);
    return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

bool bw_json_bool(const json_t *object, const char *key, bool otherwise)
{
    const json_t *value = json_object_get(object, key);
    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

struct bw_slice bw_json_slice(const json_t *string)
{
    return (struct bw_slice){json_string_value(string), json_string_length(string)};
}
