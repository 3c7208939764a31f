/* format.h: `bellwire fmt`: the spellings !=, &&, || and ! of expressions become Lua's. Nothing else is touched, so comments and layout stay; the
 * result is the same version of each workflow, or there is none. */
#ifndef BW_WORKFLOW_FORMAT_H
#define BW_WORKFLOW_FORMAT_H
#include "base/buf.h"
#include "base/error.h"
#include "workflow/model.h"

struct bw_format_edit {
    size_t at, len; /* in the file */
    char lua[8];
    struct bw_mark mark;
};
struct bw_format {
    struct bw_format_edit *edits; /* in the order of the file */
    size_t count;
    struct bw_buf text; /* with them */
};
/* False: errs says why, and the file is to be left alone; one that does not load is. Free it in any case. */
bool bw_workflow_format(struct bw_slice text, const char *file, struct bw_format *format, struct bw_errors *errs);
void bw_format_free(struct bw_format *format);
#endif
