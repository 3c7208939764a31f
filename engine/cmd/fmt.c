/* bellwire fmt */
#include "base/file.h"
#include "cmd/options.h"
#include "cmd/setup.h"
#include "lua/script.h"
#include "workflow/format.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_BYTES_MAX (1u << 20)

struct wish { /* what the command line says */
    bool is_checking, shows_diff;
    size_t files, edits; /* that are, or would be, changed */
    struct bw_errors errs;
};

static struct bw_slice take_line(struct bw_slice *text)
{
    const char *end = memchr(text->ptr, '\n', text->len);
    struct bw_slice line = {text->ptr, end ? (size_t)(end - text->ptr) : text->len};
    size_t taken = line.len + (end != NULL);
    *text = (struct bw_slice){text->ptr + taken, text->len - taken};
    return line;
}

/* No change goes over the end of a line: both texts have the same lines. */
static void print_diff(const char *path, struct bw_slice before, struct bw_slice after)
{
    printf("--- %s\n+++ %s\n", path, path);
    for (size_t number = 1; before.len; number++) {
        struct bw_slice old = take_line(&before), new = take_line(&after);
        if (bw_slice_equal(old, new)) continue;
        printf("@@ -%zu +%zu @@\n-%.*s\n+%.*s\n", number, number, (int)old.len, old.ptr, (int)new.len, new.ptr);
    }
}

static void print_places(const char *path, struct bw_slice text, const struct bw_format *format)
{
    for (size_t i = 0; i < format->count; i++) {
        const struct bw_format_edit *edit = &format->edits[i];
        const char *lua = edit->lua + strspn(edit->lua, " ");
        printf("%s:%d:%d: %.*s is %.*s in Lua\n", path, edit->mark.line, edit->mark.column, (int)edit->len, text.ptr + edit->at,
               (int)strcspn(lua, " "), lua);
    }
}

/* Whether what stands in it is Lua is known only where it is compiled. */
static bool compiles(struct bw_slice text, const char *path, struct bw_errors *errs)
{
    const struct bw_script_limits limits = {.memory_bytes = 64u << 20, .expr_instructions = 1, .slice_us = 1000000}; /* nothing of it is run */
    struct bw_workflow **workflows;
    size_t before = errs->count, count = bw_workflow_load(text, path, &workflows, errs);
    for (size_t i = 0; i < count; i++) {
        bw_script_free(bw_script_new(workflows[i], NULL, &limits, errs));
        bw_workflow_free(workflows[i]);
    }
    if (count) free(workflows);
    return errs->count == before;
}

static void format_file(struct wish *wish, const char *path)
{
    struct bw_buf text = {0};
    struct bw_format format = {.count = 0};
    struct bw_error err;
    if (!bw_file_read(path, FILE_BYTES_MAX, &text, &err)) {
        bw_error_at(&err, path, 0, 0);
        bw_errors_push(&wish->errs, &err);
    } else if (bw_workflow_format(bw_buf_slice(&text), path, &format, &wish->errs) && format.count &&
               compiles(bw_buf_slice(&text), path, &wish->errs)) {
        wish->files++;
        wish->edits += format.count;
        if (wish->shows_diff) print_diff(path, bw_buf_slice(&text), bw_buf_slice(&format.text));
        if (wish->is_checking && !wish->shows_diff) print_places(path, bw_buf_slice(&text), &format);
        if (!wish->is_checking && !wish->shows_diff && !bw_file_replace(path, bw_buf_slice(&format.text), &err)) bw_errors_push(&wish->errs, &err);
    }
    bw_format_free(&format);
    bw_buf_free(&text);
}

static bool ends_in(const char *name, const char *end)
{
    size_t len = strlen(name), end_len = strlen(end);
    return len > end_len && !strcmp(name + len - end_len, end);
}

static void format_folder(struct wish *wish, const char *folder)
{
    static const char *const suffixes[] = {".yaml", ".yml"};
    for (size_t i = 0; i < 2; i++) {
        char **names = NULL;
        size_t count = 0;
        struct bw_error err;
        if (!bw_file_list(folder, suffixes[i], true, &names, &count, &err)) bw_errors_push(&wish->errs, &err);
        for (size_t k = 0; k < count; k++) {
            bool is_test = ends_in(names[k], ".test.yaml") || ends_in(names[k], ".test.yml");
            char *path = is_test ? NULL : bw_file_join(folder, names[k]);
            if (path) format_file(wish, path);
            free(path);
        }
        bw_file_list_free(names, count);
    }
}

static int fmt_main(int argc, char **argv)
{
    struct wish wish = {.files = 0};
    const char *config_path = NULL;
    const struct bw_option options[] = {
        {.name = "config", .value = &config_path}, {.name = "check", .flag = &wish.is_checking}, {.name = "diff", .flag = &wish.shows_diff}};
    int first, status = bw_options_parse(&bw_command_fmt, argc, argv, options, sizeof options / sizeof *options, &first);
    if (status >= 0) return status;
    for (int i = first; i < argc; i++) format_file(&wish, argv[i]);
    if (first == argc) {
        struct bw_config *config = bw_setup_config("fmt", config_path);
        if (!config) return 1;
        format_folder(&wish, config->workflows);
        bw_config_free(config);
    }
    status = wish.errs.count || (wish.is_checking && wish.edits) ? 1 : 0;
    bw_print_errors(&wish.errs, false);
    if (wish.errs.count) fprintf(stderr, "bellwire fmt: a file with errors is left as it is\n");
    bool is_changed = !wish.is_checking && !wish.shows_diff;
    fprintf(stderr, "%zu spelling%s in %zu file%s %s\n", wish.edits, wish.edits == 1 ? "" : "s", wish.files, wish.files == 1 ? "" : "s",
            is_changed ? "changed" : "to change");
    bw_errors_free(&wish.errs);
    return status;
}

const struct bw_command bw_command_fmt = {
    .name = "fmt",
    .summary = "write the expressions of workflows as Lua has them",
    .usage =
        "usage: bellwire fmt [FILE…] [--check] [--diff] [--config FILE]\n\n"
        "In expressions !=, &&, || and ! are taken for ~=, and, or, not. This writes them so, in the FILEs, or in all of the workflows folder.\n"
        "Nothing else is touched: comments, layout, texts inside of expressions stay as they are, and each workflow stays the version that it was.\n"
        "A file that does not load is left as it is (see: bellwire check), and so are its permissions in any case.\n\n"
        "  --check   change nothing; name the places, and exit with 1 if there are any\n"
        "  --diff    change nothing; show what would be changed\n\n"
        "example: bellwire fmt --check workflows/hello.yaml\n",
    .run = fmt_main,
};
