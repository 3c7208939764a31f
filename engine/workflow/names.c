#include "workflow/names.h"

const char *const bw_expr_names[] = {"event", "events", "steps",    "vars",     "inputs",   "workflow", "run",     "secrets", "config",   "result",
                                     "error", "step",   "approval", "ok",       "status",   "err",      "len",     "map",     "filter",   "flat",
                                     "join",  "split",  "keys",     "has",      "contains", "lower",    "upper",   "trim",    "truncate", "default",
                                     "json",  "parse",  "date",     "fmt",      "sum",      "sort_by",  "product", "list",    "null",     "string",
                                     "table", "math",   "utf8",     "tonumber", "tostring", "type",     "pairs",   "ipairs",  "select",   NULL};
const size_t bw_expr_name_count = sizeof bw_expr_names / sizeof *bw_expr_names - 1;

bool bw_expr_knows(struct bw_slice name)
{
    for (size_t i = 0; i < bw_expr_name_count; i++)
        if (bw_slice_is(name, bw_expr_names[i])) return true;
    return false;
}
