#include "cmd/why_values.h"
#include "base/json.h"
#include <ctype.h>
#include <string.h>

#define VALUES_MAX 8
#define VALUE_TEXT_MAX 120

void bw_why_values(struct bw_buf *out, struct bw_slice event_body, struct bw_slice condition, bool as_json)
{
    static const char prefix[] = "event.data.";
    json_t *body = event_body.len ? bw_json_load(event_body, NULL) : NULL;
    const char *at = condition.ptr, *end = condition.ptr + condition.len;
    for (size_t count = 0; body && count < VALUES_MAX && (at = memmem(at, (size_t)(end - at), prefix, sizeof prefix - 1)); count++) {
        const char *stop = at + sizeof prefix - 1;
        const json_t *value = body;
        while (stop < end && value) {
            char key[128];
            size_t len = 0;
            while (stop + len < end && (isalnum((unsigned char)stop[len]) || stop[len] == '_') && len < sizeof key - 1) len++;
            if (!len) break;
            memcpy(key, stop, len);
            key[len] = '\0';
            value = json_object_get(value, key);
            stop += len;
            if (stop + 1 >= end || *stop != '.') break;
            stop++;
        }
        struct bw_buf text = {0};
        if (value) bw_json_append(&text, value);
        struct bw_slice shown = value ? bw_buf_slice(&text) : BW_SLICE("nil");
        if (as_json) {
            if (count) bw_buf_append_char(out, ',');
            bw_buf_append_json_string(out, (struct bw_slice){at, (size_t)(stop - at)});
            bw_buf_append_char(out, ':');
            bw_buf_append_slice(out, value ? shown : BW_SLICE("null"));
        } else {
            bw_buf_printf(out, "%*s%.*s = %.*s%s\n", 26, "", (int)(stop - at), at, shown.len > VALUE_TEXT_MAX ? VALUE_TEXT_MAX : (int)shown.len,
                          shown.ptr, shown.len > VALUE_TEXT_MAX ? "…" : "");
        }
        bw_buf_free(&text);
        at = stop;
    }
    json_decref(body);
}
