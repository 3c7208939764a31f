#include "base/json_build.h"
#include "base/json_view.h"
#include <math.h>

#define DIGITS 18 /* so many fit into an integer, whichever they are */

struct builder {
    const char *at, *end; /* of text that is known to be JSON: behind what has begun there is what must follow */
    struct bw_buf scratch;
};

static void skip_space(struct builder *builder)
{
    while (builder->at < builder->end && (*builder->at == ' ' || *builder->at == '\n' || *builder->at == '\r' || *builder->at == '\t')) builder->at++;
}

/* From the opening quote to behind the closing one. Borrowed from the text, or from scratch. */
static struct bw_slice read_string(struct builder *builder, struct bw_buf *scratch)
{
    const char *start = builder->at++;
    bool has_escape = false;
    for (; *builder->at != '"'; builder->at++)
        if (*builder->at == '\\') {
            has_escape = true;
            builder->at++;
        }
    builder->at++;
    const struct bw_slice raw = {start, (size_t)(builder->at - start)};
    if (!has_escape) return (struct bw_slice){raw.ptr + 1, raw.len - 2};
    bw_buf_clear(scratch);
    bw_json_unescape_append(scratch, raw);
    return scratch->failed ? (struct bw_slice){0} : bw_buf_slice(scratch);
}

static json_t *read_text(struct builder *builder)
{
    struct bw_slice text = read_string(builder, &builder->scratch);
    return text.ptr ? json_stringn_nocheck(text.ptr, text.len) : NULL;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static json_t *read_number(struct builder *builder)
{
    const char *start = builder->at, *at = start + (*start == '-');
    bool is_integer = false, is_negative = *start == '-';
    int64_t integer = 0;
    double real = 0;
    for (; at < builder->end && is_digit(*at) && at - start < DIGITS; at++) integer = 10 * integer + (*at - '0');
    if (at == builder->end || !strchr(".eE0123456789", *at)) { /* nearly always */
        builder->at = at;
        return json_integer(is_negative ? -integer : integer);
    }
    while (at < builder->end && strchr("+-.eE0123456789", *at)) at++;
    builder->at = at;
    const struct bw_slice raw = {start, (size_t)(at - start)};
    if (!bw_json_view_number((struct bw_json_view){raw}, &is_integer, &integer, &real)) return NULL;
    if (is_integer) return json_integer(integer);
    bool is_real = memchr(raw.ptr, '.', raw.len) || memchr(raw.ptr, 'e', raw.len) || memchr(raw.ptr, 'E', raw.len);
    return is_real && isfinite(real) ? json_real(real) : NULL;
}

static json_t *read_value(struct builder *builder);

static bool read_members(struct builder *builder, json_t *object)
{
    struct bw_buf scratch = {0}; /* for keys: there are values behind them */
    bool good = true;
    for (size_t count = 1; good && *builder->at != '}'; count++) {
        struct bw_slice key = read_string(builder, &scratch);
        skip_space(builder);
        builder->at++;
        json_t *value = read_value(builder);
        good = value && key.ptr && !json_object_setn_new_nocheck(object, key.ptr, key.len, value) && json_object_size(object) == count;
        if (value && !key.ptr) json_decref(value);
        if (good && *builder->at == ',') {
            builder->at++;
            skip_space(builder);
        }
    }
    bw_buf_free(&scratch);
    return good;
}

static bool read_items(struct builder *builder, json_t *array)
{
    while (*builder->at != ']') {
        json_t *value = read_value(builder);
        if (!value || json_array_append_new(array, value)) return false;
        if (*builder->at == ',') builder->at++;
    }
    return true;
}

static json_t *read_container(struct builder *builder, json_t *container, bool (*read)(struct builder *builder, json_t *container))
{
    builder->at++;
    skip_space(builder);
    if (!container || !read(builder, container)) {
        json_decref(container);
        return NULL;
    }
    builder->at++;
    return container;
}

static json_t *read_word(struct builder *builder, size_t len, json_t *word)
{
    builder->at += len;
    return word;
}

/* With the space around it. */
static json_t *read_value(struct builder *builder)
{
    json_t *value;
    skip_space(builder);
    switch (*builder->at) {
    case '{': value = read_container(builder, json_object(), read_members); break;
    case '[': value = read_container(builder, json_array(), read_items); break;
    case '"': value = read_text(builder); break;
    case 't': value = read_word(builder, 4, json_true()); break;
    case 'f': value = read_word(builder, 5, json_false()); break;
    case 'n': value = read_word(builder, 4, json_null()); break;
    default: value = read_number(builder);
    }
    if (value) skip_space(builder);
    return value;
}

json_t *bw_json_build(struct bw_slice text)
{
    struct builder builder = {.at = text.ptr, .end = text.ptr + text.len};
    json_t *value = read_value(&builder);
    bw_buf_free(&builder.scratch);
    return value;
}
