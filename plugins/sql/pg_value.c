/* JSON ⇄ PostgreSQL's text form. Exactness before convenience: what JSON's numbers may lose is text. */
#include "pg_internal.h"
#include "shared/text.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Numbers of types in pg_type.dat, which never change. */
enum {
    BOOL = 16,
    INT8 = 20,
    INT2 = 21,
    INT4 = 23,
    TEXT = 25,
    OID = 26,
    JSON = 114,
    FLOAT4 = 700,
    FLOAT8 = 701,
    TIMESTAMP = 1114,
    TIMESTAMPTZ = 1184,
    JSONB = 3802,
};
static const struct {
    Oid array, element;
} arrays[] = {
    {1000, BOOL},
    {1005, INT2},
    {1007, INT4},
    {1016, INT8},
    {1021, FLOAT4},
    {1022, FLOAT8},
    {1009, TEXT},
    {1014, TEXT},
    {1015, TEXT},
    {1231, TEXT /* numeric */},
    {2951, TEXT /* uuid */},
    {1182, TEXT /* date */},
    {1115, TIMESTAMP},
    {1185, TIMESTAMPTZ},
    {199, JSON},
    {3807, JSONB},
};

/* ---- parameters ---- */

bool pg_params_need_types(const json_t *params)
{
    json_t *value;
    size_t index;
    json_array_foreach(params, index, value)
    {
        if (json_is_array(value)) return true;
    }
    return false;
}

bool pg_param_has_nul(const json_t *value)
{
    json_t *element;
    size_t index;
    if (json_is_string(value)) return strlen(json_string_value(value)) != json_string_length(value);
    json_array_foreach(value, index, element)
    {
        if (pg_param_has_nul(element)) return true;
    }
    return false;
}

static char *scalar_text(const json_t *value)
{
    char number[64];
    if (json_is_string(value)) return strndup(json_string_value(value), json_string_length(value));
    if (json_is_boolean(value)) return strdup(json_is_true(value) ? "true" : "false");
    if (json_is_integer(value)) {
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
        return strdup(number);
    }
    if (json_is_real(value)) { /* the shortest text that means this number: a column of type numeric keeps each digit */
        for (int digits = 15; digits <= 17; digits++) {
            snprintf(number, sizeof number, "%.*g", digits, json_real_value(value));
            if (strtod(number, NULL) == json_real_value(value)) break;
        }
        return strdup(number);
    }
    return json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
}

static void append_quoted(struct text *text, const char *from)
{
    text_append(text, "\"", 1);
    for (; *from; from++) {
        if (*from == '"' || *from == '\\') text_append(text, "\\", 1);
        text_append(text, from, 1);
    }
    text_append(text, "\"", 1);
}

static void append_array(struct text *text, const json_t *array)
{
    json_t *value;
    size_t index;
    text_append(text, "{", 1);
    json_array_foreach(array, index, value)
    {
        if (index) text_append(text, ",", 1);
        if (json_is_array(value)) {
            append_array(text, value);
        } else if (json_is_null(value)) {
            text_append(text, "NULL", 4);
        } else {
            char *element = scalar_text(value);
            if (element)
                append_quoted(text, element);
            else
                text->has_failed = true;
            free(element);
        }
    }
    text_append(text, "}", 1);
}

char *pg_param_text(const json_t *value, Oid type, bool *is_null)
{
    struct text text = {0};
    *is_null = json_is_null(value);
    if (*is_null) return NULL;
    if (!json_is_array(value) || type == JSON || type == JSONB) return scalar_text(value);
    append_array(&text, value);
    if (!text.has_failed) return text.bytes;
    free(text.bytes);
    return NULL;
}

/* ---- values ---- */

static json_t *float_value(const char *text)
{
    double number = strtod(text, NULL);
    return isfinite(number) ? json_real(number) : json_string(text); /* NaN, Infinity: JSON has no number for them */
}

/* 2026-11-29 16:30:00.5+01 → 2026-11-29T16:30:00.5+01:00 (RFC 3339). "infinity" and years before Christ stay as they are. */
static json_t *timestamp_value(const char *text, size_t len, bool has_zone)
{
    char out[64];
    if (len < 19 || len > 40 || text[10] != ' ' || text[len - 1] == 'C') return json_stringn(text, len);
    memcpy(out, text, len + 1);
    out[10] = 'T';
    if (has_zone && len >= 22 && (out[len - 3] == '+' || out[len - 3] == '-')) memcpy(out + len, ":00", 4);
    return json_string(out);
}

static json_t *array_value(Oid element, const char **at);

static json_t *element_value(Oid element, const char **at)
{
    struct text text = {0};
    bool is_quoted = **at == '"';
    if (**at == '{') return array_value(element, at);
    if (is_quoted) (*at)++;
    text_append(&text, "", 0);
    while (**at && (is_quoted ? **at != '"' : **at != ',' && **at != '}')) {
        if (**at == '\\' && (*at)[1]) (*at)++;
        text_append(&text, (*at)++, 1);
    }
    if (is_quoted && **at) (*at)++;
    json_t *value = NULL;
    if (!text.has_failed) value = !is_quoted && !strcmp(text.bytes, "NULL") ? json_null() : pg_value(element, text.bytes, text.len);
    free(text.bytes);
    return value;
}

/* {1,"a b",NULL,{…}}: the server has written it, so it is well-formed. */
static json_t *array_value(Oid element, const char **at)
{
    json_t *array = json_array();
    (*at)++;
    while (array && **at && **at != '}') {
        json_t *value = element_value(element, at);
        if (!value || json_array_append_new(array, value)) {
            json_decref(array);
            return NULL;
        }
        if (**at == ',') (*at)++;
    }
    if (**at) (*at)++;
    return array;
}

json_t *pg_value(Oid type, const char *text, size_t len)
{
    json_t *parsed;
    switch (type) {
    case BOOL: return json_boolean(*text == 't');
    case INT2:
    case INT4:
    case INT8:
    case OID: return json_integer(strtoll(text, NULL, 10));
    case FLOAT4:
    case FLOAT8: return float_value(text);
    case JSON:
    case JSONB:
        parsed = json_loadb(text, len, JSON_DECODE_ANY, NULL);
        return parsed ? parsed : json_stringn(text, len); /* a number that is too large, say */
    case TIMESTAMP:
    case TIMESTAMPTZ: return timestamp_value(text, len, type == TIMESTAMPTZ);
    default: break;
    }
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        if (arrays[i].array == type && *text == '{') return array_value(arrays[i].element, &(const char *){text});
    return json_stringn(text, len);
}
