/* skeleton.h: files that a command writes for its user to go on with: all or none of them, and never over others. */
#ifndef BW_CMD_SKELETON_H
#define BW_CMD_SKELETON_H
#include "base/error.h"
#include "base/made.h"

struct bw_skeleton_mark { /* "@NAME@" and what it stands for; a list of them ends with NULL */
    const char *mark, *value;
};
const char *bw_skeleton_template(const char *name); /* of engine/cmd/templates, without .in; "" if there is none */
void bw_skeleton_fill(struct bw_buf *out, const char *text, const struct bw_skeleton_mark *marks);
/* Makes the folders that are not there. Codes new.exists, file.unwritable, memory; then no file is there that was not before. */
bool bw_skeleton_write(const struct bw_made_file *files, size_t count, struct bw_error *err);
#endif
