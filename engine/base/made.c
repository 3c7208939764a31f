#include "base/made.h"
#include <stdlib.h>
#include <string.h>

struct bw_buf *bw_made_add_file(struct bw_made *made, char *path_take, bool is_secret)
{
    struct bw_made_file *grown = path_take ? realloc(made->files, (made->file_count + 1) * sizeof *grown) : NULL;
    if (!grown) {
        free(path_take);
        made->has_failed = true;
        return NULL;
    }
    made->files = grown;
    grown[made->file_count] = (struct bw_made_file){.path = path_take, .is_secret = is_secret};
    return &grown[made->file_count++].text;
}

void bw_made_add_note(struct bw_made *made, const char *text)
{
    char **grown = realloc(made->notes, (made->note_count + 1) * sizeof *grown);
    if (!grown || !(made->notes = grown, grown[made->note_count] = strdup(text)))
        made->has_failed = true;
    else
        made->note_count++;
}

bool bw_made_is_whole(const struct bw_made *made)
{
    bool has_failed = made->has_failed;
    for (size_t i = 0; i < made->file_count; i++) has_failed |= !made->files[i].path || made->files[i].text.failed;
    return !has_failed;
}

void bw_made_free(struct bw_made *made)
{
    for (size_t i = 0; i < made->file_count; i++) {
        free(made->files[i].path);
        bw_buf_free(&made->files[i].text);
    }
    for (size_t i = 0; i < made->note_count; i++) free(made->notes[i]);
    free(made->files);
    free(made->notes);
    *made = (struct bw_made){0};
}
