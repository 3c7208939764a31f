/* workflow_fixture.h: YAML text in, workflows and errors out. */
#ifndef WORKFLOW_FIXTURE_H
#define WORKFLOW_FIXTURE_H
#include "workflow/model.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

struct loaded {
    struct bw_workflow **workflows;
    size_t count;
    struct bw_errors errs;
};

static inline struct loaded load_text(const char *yaml)
{
    struct loaded loaded = {0};
    loaded.count = bw_workflow_load(bw_slice_of(yaml), "test.yaml", &loaded.workflows, &loaded.errs);
    return loaded;
}

static inline void unload(struct loaded *loaded)
{
    for (size_t i = 0; i < loaded->count; i++) bw_workflow_free(loaded->workflows[i]);
    free(loaded->workflows);
    bw_errors_free(&loaded->errs);
}

static inline void print_errors(const struct bw_errors *errs)
{
    char text[1400];
    for (size_t i = 0; i < errs->count; i++) print_error("%s\n", bw_error_text(&errs->items[i], text, sizeof text));
}

/* A file that must load: its one workflow. */
static inline const struct bw_workflow *only(const struct loaded *loaded)
{
    print_errors(&loaded->errs);
    assert_int_equal(loaded->errs.count, 0);
    assert_int_equal(loaded->count, 1);
    return loaded->workflows[0];
}

static inline void assert_slice(struct bw_slice slice, const char *text)
{
    if (!bw_slice_is(slice, text)) fail_msg("'%.*s' is not '%s'", (int)slice.len, slice.ptr, text);
}

static inline void assert_mark(struct bw_mark mark, int line, int column)
{
    if (mark.line != line || mark.column != column) fail_msg("%d:%d is not %d:%d", mark.line, mark.column, line, column);
}

static inline void assert_error(const struct bw_errors *errs, size_t index, const char *code, int line, int column)
{
    if (index >= errs->count) fail_msg("there is no error %zu (%s expected)", index, code);
    const struct bw_error *err = &errs->items[index];
    if (strcmp(err->code, code) || err->line != line || err->column != column)
        fail_msg("error %zu is %s at %d:%d, not %s at %d:%d", index, err->code, err->line, err->column, code, line, column);
    assert_string_equal(err->file, "test.yaml");
}
#endif
