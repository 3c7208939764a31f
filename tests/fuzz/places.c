#include "places.h"
#include "base/utf8.h"
#include "base/yaml.h"

static size_t break_length(struct bw_slice text)
{
    static const char *const breaks[] = {"\r\n", "\n", "\r", "\xc2\x85", "\xe2\x80\xa8", "\xe2\x80\xa9"}; /* those of YAML 1.1, as libyaml counts */
    for (size_t i = 0; i < sizeof breaks / sizeof *breaks; i++) {
        size_t len = strlen(breaks[i]);
        if (text.len >= len && !memcmp(text.ptr, breaks[i], len)) return len;
    }
    return 0;
}

const char *fuzz_find_place(struct bw_slice text, int line, int column)
{
    int at_line = 1, at_column = 1;
    if (text.len >= 3 && !memcmp(text.ptr, "\xef\xbb\xbf", 3)) text = (struct bw_slice){text.ptr + 3, text.len - 3};
    for (;;) {
        if (at_line == line && at_column == column) return text.ptr;
        if (!text.len) return NULL;
        size_t len = break_length(text);
        at_column++;
        if (len) at_line++, at_column = 1;
        if (!len && !(len = bw_utf8_length(text.ptr, text.len))) len = 1;
        text = (struct bw_slice){text.ptr + len, text.len - len};
    }
}

void fuzz_check_error(struct bw_slice text, const char *file, const struct bw_error *err)
{
    if (!strcmp(err->code, "too_many_errors")) return;
    fuzz_check(*err->code && *err->message && !strcmp(err->file, file), "%s: %s in '%s'", err->code, err->message, err->file);
    fuzz_check(fuzz_find_place(text, err->line, err->column), "%s at %d:%d: %s", err->code, err->line, err->column, err->message);
}

void fuzz_check_errors(struct bw_slice text, const char *file, const struct bw_errors *errs)
{
    for (size_t i = 0; i < errs->count; i++) fuzz_check_error(text, file, &errs->items[i]);
}

/* What YAML takes for the end of a line, and JSON for a character like any other: a text with it means two things. */
static bool has_break_of_yaml(struct bw_slice json)
{
    for (; json.len; json.ptr++, json.len--)
        if ((unsigned char)*json.ptr >= 0x80 && break_length(json)) return true;
    return false;
}

struct bw_slice fuzz_as_json(struct bw_slice text)
{
    struct bw_yaml *yaml = bw_yaml_load(text, "", NULL, NULL), *again = NULL;
    struct bw_buf json = {0};
    struct bw_slice copy = {NULL, 0};
    if (yaml) bw_yaml_to_json(bw_yaml_root(yaml, 0), &json);
    if (yaml && !has_break_of_yaml(bw_buf_slice(&json)) && (again = bw_yaml_load(bw_buf_slice(&json), "", NULL, NULL)))
        copy = fuzz_copy(bw_buf_slice(&json));
    bw_yaml_free(again);
    bw_yaml_free(yaml);
    bw_buf_free(&json);
    return copy;
}
