#include "openapi/internal.h"
#include <stdio.h>
#include <string.h>

#define LINE_MAX 140

static bool is_word(const char *key)
{
    static const char *const reserved[] = {"and", "break", "do",  "else", "elseif", "end",    "false",  "for",  "function", "goto",  "if",
                                           "in",  "local", "nil", "not",  "or",     "repeat", "return", "then", "true",     "until", "while"};
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
    if (!*key || (*key >= '0' && *key <= '9') || key[strspn(key, letters)]) return false;
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (!strcmp(reserved[i], key)) return false;
    return true;
}

void bw_lua_append_string(struct bw_buf *out, struct bw_slice text)
{
    bw_buf_append_char(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c == '"' || c == '\\')
            bw_buf_printf(out, "\\%c", c);
        else if (c == '\n')
            bw_buf_append_text(out, "\\n");
        else if (c < 0x20 || c == 0x7f)
            bw_buf_printf(out, "\\%03u", c);
        else
            bw_buf_append_char(out, (char)c);
    }
    bw_buf_append_char(out, '"');
}

void bw_lua_append_key(struct bw_buf *out, const char *key)
{
    if (is_word(key)) {
        bw_buf_append_text(out, key);
        return;
    }
    bw_buf_append_char(out, '[');
    bw_lua_append_string(out, bw_slice_of(key));
    bw_buf_append_char(out, ']');
}

void bw_lua_append_index(struct bw_buf *out, const char *table, const char *key)
{
    bw_buf_append_text(out, table);
    if (is_word(key)) bw_buf_append_char(out, '.');
    bw_lua_append_key(out, key);
}

static void append_flat(struct bw_buf *out, const json_t *value)
{
    const char *key, *comma = "";
    size_t index;
    json_t *item;
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        bw_buf_append_char(out, '{');
        json_object_foreach((json_t *)value, key, item)
        {
            bw_buf_append_text(out, comma);
            bw_lua_append_key(out, key);
            bw_buf_append_text(out, " = ");
            append_flat(out, item);
            comma = ", ";
        }
        bw_buf_append_char(out, '}');
        break;
    case JSON_ARRAY:
        bw_buf_append_char(out, '{');
        json_array_foreach(value, index, item)
        {
            bw_buf_append_text(out, comma);
            append_flat(out, item);
            comma = ", ";
        }
        bw_buf_append_char(out, '}');
        break;
    case JSON_STRING: bw_lua_append_string(out, bw_json_slice(value)); break;
    case JSON_NULL: bw_buf_append_text(out, "nil"); break;
    default: bw_json_append(out, value);
    }
}

void bw_lua_append_value(struct bw_buf *out, const json_t *value, int indent)
{
    struct bw_buf flat = {0};
    const char *key;
    json_t *item;
    append_flat(&flat, value);
    if (!json_is_object(value) || flat.len + (size_t)indent < LINE_MAX) {
        bw_buf_append(out, flat.data ? flat.data : "", flat.len);
    } else {
        bw_buf_append_text(out, "{\n");
        json_object_foreach((json_t *)value, key, item)
        {
            bw_buf_printf(out, "%*s", indent + 2, "");
            bw_lua_append_key(out, key);
            bw_buf_append_text(out, " = ");
            bw_lua_append_value(out, item, indent + 2);
            bw_buf_append_text(out, ",\n");
        }
        bw_buf_printf(out, "%*s}", indent, "");
    }
    bw_buf_free(&flat);
}
