#include "store/reader_sql.h"
#include <stdlib.h>

static bool copy(struct bw_slice from, struct bw_slice *to)
{
    char *bytes = bw_slice_dup(from);
    *to = (struct bw_slice){bytes, bytes ? from.len : 0};
    return bytes != NULL;
}

static bool add_file(struct bw_revision *revision, size_t *room, sqlite3_stmt *row)
{
    if (revision->count == *room) {
        size_t more = *room ? 2 * *room : 16;
        struct bw_revision_file *bigger = realloc(revision->files, more * sizeof *bigger);
        if (!bigger) return false;
        revision->files = bigger;
        *room = more;
    }
    struct bw_revision_file *file = &revision->files[revision->count++];
    *file = (struct bw_revision_file){0};
    return copy(bw_sql_column(row, 0), &file->kind) && copy(bw_sql_column(row, 1), &file->path) && copy(bw_sql_column(row, 2), &file->content);
}

static bool exists(struct bw_reader *reader, uint32_t id, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_READ(reader, revision);
    bool has_row;
    bw_sql_bind_int(statement, 1, id);
    if (!bw_sql_next(statement, &has_row, err)) return false;
    sqlite3_reset(statement);
    return has_row || bw_error_set(err, "store.no_revision", "the store holds no catalogue revision %u", (unsigned)id);
}

struct bw_revision *bw_reader_revision(struct bw_reader *reader, uint32_t id, struct bw_error *err)
{
    struct bw_revision *revision = NULL;
    sqlite3_stmt *statement = BW_READ(reader, revision_files);
    size_t room = 0;
    bool has_row;
    bw_reader_begin(reader);
    if (!exists(reader, id, err)) return NULL;
    revision = calloc(1, sizeof *revision);
    if (!revision) goto no_memory;
    bw_sql_bind_int(statement, 1, id);
    for (;;) {
        if (!bw_sql_next(statement, &has_row, err)) goto fail;
        if (!has_row) return revision;
        if (!add_file(revision, &room, statement)) goto no_memory;
    }
no_memory:
    bw_error_set(err, "store.refused", "no memory to read a catalogue revision");
fail:
    sqlite3_reset(statement);
    bw_revision_free(revision);
    return NULL;
}

void bw_revision_free(struct bw_revision *revision)
{
    if (!revision) return;
    for (size_t i = 0; i < revision->count; i++) {
        free((char *)revision->files[i].kind.ptr);
        free((char *)revision->files[i].path.ptr);
        free((char *)revision->files[i].content.ptr);
    }
    free(revision->files);
    free(revision);
}
