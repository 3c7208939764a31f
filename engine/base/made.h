/* made.h: what is made of something that was written for others: files below a folder, and notes of what could not be taken over. No thread of its
 * own; whoever makes it frees it. */
#ifndef BW_BASE_MADE_H
#define BW_BASE_MADE_H
#include "base/buf.h"

struct bw_made_file {
    char *path; /* NULL: there was no memory */
    struct bw_buf text;
    bool is_secret; /* for its owner alone */
};
struct bw_made {
    struct bw_made_file *files;
    size_t file_count;
    char **notes;
    size_t note_count;
    bool has_failed; /* there was no memory for one of them */
};
/* Its text, to be written until the next file is added; NULL: no memory. path_take: malloc'd; NULL: there was no memory for it. */
struct bw_buf *bw_made_add_file(struct bw_made *made, char *path_take, bool is_secret);
void bw_made_add_note(struct bw_made *made, const char *text);
bool bw_made_is_whole(const struct bw_made *made); /* false: something is missing, for want of memory */
void bw_made_free(struct bw_made *made);
#endif
