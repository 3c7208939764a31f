/* form_model.h: the object that a form must become, made of its fields one after the other, and whether it has. */
#ifndef BW_FUZZ_FORM_MODEL_H
#define BW_FUZZ_FORM_MODEL_H
#include "base/json.h"
#include "base/utf8.h"
#include "fuzz.h"
#include "source_bench.h"

/* Only such bytes can be a name or a value: UTF-8 without NUL. */
static inline bool is_form_text(struct bw_slice text)
{
    for (size_t i = 0, step; i < text.len; i += step)
        if (!text.ptr[i] || !(step = bw_utf8_length(text.ptr + i, text.len - i))) return false;
    return true;
}

/* A name that occurs again makes a list. Takes value. */
static inline void form_add(json_t *form, const char *name, json_t *value)
{
    json_t *there = json_object_get(form, name);
    if (!there) {
        json_object_set_new(form, name, value);
        return;
    }
    if (!json_is_array(there)) { /* no value is a list */
        json_t *list = json_array();
        json_array_append(list, there);
        json_object_set_new(form, name, list);
        there = list;
    }
    json_array_append_new(there, value);
}

static inline void check_form_order(const json_t *expected, const json_t *found)
{
    void *a = json_object_iter((json_t *)expected), *b = json_object_iter((json_t *)found);
    for (; a && b; a = json_object_iter_next((json_t *)expected, a), b = json_object_iter_next((json_t *)found, b))
        fuzz_check(!strcmp(json_object_iter_key(a), json_object_iter_key(b)), "'%s' stands where '%s' was", json_object_iter_key(b),
                   json_object_iter_key(a));
}

/* What the event's data is of this body, which has that type; expected NULL: it is refused. Takes expected. */
static inline void check_form(struct bw_slice type, struct bw_slice body, json_t *expected)
{
    const struct bw_header header = {BW_SLICE("Content-Type"), type};
    const struct bw_request request = {.method = BW_SLICE("POST"),
                                       .url = BW_SLICE("/in/fuzz"),
                                       .query = BW_SLICE(""),
                                       .headers = &header,
                                       .header_count = 1,
                                       .body = body,
                                       .now_ms = BENCH_NOW_MS};
    struct bw_judgement out;
    struct bw_error err = {0};
    bench_judge(bench_find(BW_SLICE("none")), &request, &out);
    fuzz_check(out.verdict == (expected ? BW_VERIFIED : BW_MALFORMED), "'%s'", out.reason);
    if (expected) {
        json_t *found = bw_json_load(out.data, &err);
        fuzz_check(found && json_equal(found, expected), "%.*s: %s", (int)out.data.len, out.data.ptr, err.message);
        check_form_order(expected, found);
        json_decref(found);
    }
    json_decref(expected);
}
#endif
