#include "store/sql_texts.h"
#include "base/embedded.h"
#include "store/reader_sql.h"
#include "store/write_sql.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define MARK "-- name: "

struct entry {
    const char *file;
    struct bw_slice name;
    const char *text;
    int line;
};
/* By file and name. To look through a file for each statement would take longer than to prepare it. */
static struct entry entries[BW_WRITE_COUNT + BW_READ_COUNT];
static size_t count;

static int compare(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    int order = strcmp(a->file, b->file);
    if (order) return order;
    order = memcmp(a->name.ptr, b->name.ptr, a->name.len < b->name.len ? a->name.len : b->name.len);
    return order ? order : (a->name.len > b->name.len) - (a->name.len < b->name.len);
}

static void add_file(const struct bw_embedded *file)
{
    int line = 1;
    for (const char *at = file->data, *end; count < sizeof entries / sizeof *entries && (end = strchr(at, '\n')); at = end + 1) {
        line++; /* that of what follows */
        if (strncmp(at, MARK, strlen(MARK)) != 0) continue;
        const char *name = at + strlen(MARK);
        entries[count++] = (struct entry){.file = file->name, .name = {name, (size_t)(end - name)}, .text = end + 1, .line = line};
    }
}

static void make(void)
{
    for (const struct bw_embedded *file = bw_embedded_sql; file->name; file++) add_file(file);
    qsort(entries, count, sizeof *entries, compare);
}

const char *bw_sql_text(const char *file, const char *name, int *line)
{
    static pthread_once_t is_made = PTHREAD_ONCE_INIT;
    pthread_once(&is_made, make);
    const struct entry wanted = {.file = file, .name = bw_slice_of(name)}, *found = bsearch(&wanted, entries, count, sizeof *entries, compare);
    *line = found ? found->line : 0;
    return found ? found->text : NULL;
}
