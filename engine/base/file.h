/* file.h: whole files and folders. */
#ifndef BW_BASE_FILE_H
#define BW_BASE_FILE_H
#include "base/buf.h"
#include "base/error.h"

/* Reads a whole regular file of at most `limit` bytes. Error codes: file.missing, file.unreadable, file.too_large. */
bool bw_file_read(const char *path, size_t limit, struct bw_buf *out, struct bw_error *err);
/* Puts `text` there as a whole or not at all, on disk when it returns. What is there keeps its permissions; a symbolic link stays one. */
bool bw_file_replace(const char *path, struct bw_slice text, struct bw_error *err);
/* Makes the file; one that is there already stays as it is, and that is an error (file.unwritable). */
bool bw_file_create(const char *path, struct bw_slice text, struct bw_error *err);
bool bw_file_create_private(const char *path, struct bw_slice text, struct bw_error *err); /* for its owner alone */
/* Paths of the regular files below `folder` that end in `suffix`, relative to it, sorted bytewise; hidden names are left out.
 * A missing folder is an empty list. `recursive` looks into subfolders (depth at most 8). Free with bw_file_list_free(). */
bool bw_file_list(const char *folder, const char *suffix, bool recursive, char ***out, size_t *count, struct bw_error *err);
/* Names of the folders in `folder`, and of links to such; otherwise the same. */
bool bw_file_list_folders(const char *folder, char ***out, size_t *count, struct bw_error *err);
void bw_file_list_free(char **list, size_t count);
void bw_file_remove_folder(const char *folder);           /* with the files in it; what cannot be removed stays */
char *bw_file_join(const char *folder, const char *name); /* malloc'd; an absolute name stays as it is */
#endif
