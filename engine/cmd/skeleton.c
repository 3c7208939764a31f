#include "cmd/skeleton.h"
#include "base/embedded.h"
#include "base/file.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void bw_skeleton_fill(struct bw_buf *out, const char *text, const struct bw_skeleton_mark *marks)
{
    while (*text) {
        const struct bw_skeleton_mark *mark = marks;
        size_t len = strcspn(text, "@");
        bw_buf_append(out, text, len);
        if (!*(text += len)) break;
        while (mark->mark && strncmp(text, mark->mark, strlen(mark->mark)) != 0) mark++;
        if (mark->mark) {
            bw_buf_append_text(out, mark->value);
            text += strlen(mark->mark);
        } else {
            bw_buf_append_char(out, *text++);
        }
    }
}

const char *bw_skeleton_template(const char *name)
{
    for (const struct bw_embedded *template = bw_embedded_templates; template->name; template ++)
        if (!strcmp(template->name, name)) return template->data;
    return "";
}

/* The folders that lead to it. */
static bool make_folders(const char *path, struct bw_error *err)
{
    char *copy = strdup(path);
    bool good = copy != NULL;
    for (char *slash = good ? strchr(copy + 1, '/') : NULL; good && slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        good = !mkdir(copy, 0777) || errno == EEXIST;
        if (!good) bw_error_set(err, "file.unwritable", "cannot make the folder %s: %s", copy, strerror(errno));
        *slash = '/';
    }
    if (!copy) bw_error_set(err, "memory", "out of memory");
    free(copy);
    return good;
}

static bool write_new(const struct bw_made_file *file, struct bw_error *err)
{
    return make_folders(file->path, err) && (file->is_secret ? bw_file_create_private : bw_file_create)(file->path, bw_buf_slice(&file->text), err);
}

bool bw_skeleton_write(const struct bw_made_file *files, size_t count, struct bw_error *err)
{
    struct stat info;
    for (size_t i = 0; i < count; i++) {
        if (!files[i].path || files[i].text.failed) return bw_error_set(err, "memory", "out of memory");
        if (lstat(files[i].path, &info)) continue;
        bw_error_set(err, "new.exists", "%s exists, and is left as it is", files[i].path);
        bw_error_hint(err, "choose another name, or move it away");
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (write_new(&files[i], err)) continue;
        while (i--) unlink(files[i].path);
        return false;
    }
    return true;
}
