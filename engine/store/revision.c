#include "store/revision.h"
#include "base/clock.h"
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define HASH 32

struct hashed {
    const struct bw_revision_file *file;
    uint8_t content[HASH];
};

static int compare_slices(struct bw_slice a, struct bw_slice b)
{
    size_t least = a.len < b.len ? a.len : b.len;
    int order = least ? memcmp(a.ptr, b.ptr, least) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int by_kind_and_path(const void *left, const void *right)
{
    const struct hashed *a = left, *b = right;
    int order = compare_slices(a->file->kind, b->file->kind);
    return order ? order : compare_slices(a->file->path, b->file->path);
}

static bool sha256(const void *bytes, size_t len, uint8_t out[HASH])
{
    return EVP_Digest(bytes, len, out, NULL, EVP_sha256(), NULL) == 1;
}

/* The hash of all: of each file, in order, the lengths and bytes of kind and path, and its content's hash. */
static bool hash_all(struct hashed *files, size_t count, uint8_t out[HASH])
{
    struct bw_buf text = {0};
    for (size_t i = 0; i < count; i++) {
        const struct bw_revision_file *file = files[i].file;
        bw_buf_printf(&text, "%zu:%zu:", file->kind.len, file->path.len);
        bw_buf_append_slice(&text, file->kind);
        bw_buf_append_slice(&text, file->path);
        bw_buf_append(&text, files[i].content, HASH);
    }
    bool ok = !text.failed && sha256(text.data ? text.data : "", text.len, out);
    bw_buf_free(&text);
    return ok;
}

static bool insert_files(const struct bw_write_statements *sql, int64_t revision, const struct hashed *files, size_t count, struct bw_error *err)
{
    for (size_t i = 0; i < count; i++) {
        const struct bw_revision_file *file = files[i].file;
        bw_sql_bind_blob(BW_WRITE(sql, insert_version), 1, files[i].content, HASH);
        bw_sql_bind_blob(BW_WRITE(sql, insert_version), 2, file->content.ptr, file->content.len);
        bw_sql_bind_int(BW_WRITE(sql, insert_revision_file), 1, revision);
        bw_sql_bind_int(BW_WRITE(sql, insert_revision_file), 2, (int64_t)i);
        bw_sql_bind_text(BW_WRITE(sql, insert_revision_file), 3, file->kind);
        bw_sql_bind_text(BW_WRITE(sql, insert_revision_file), 4, file->path);
        bw_sql_bind_blob(BW_WRITE(sql, insert_revision_file), 5, files[i].content, HASH);
        if (!bw_sql_run(BW_WRITE(sql, insert_version), err) || !bw_sql_run(BW_WRITE(sql, insert_revision_file), err)) return false;
    }
    return true;
}

bool bw_revision_store(const struct bw_write_statements *sql, const struct bw_revision *revision, uint32_t *id, struct bw_error *err)
{
    struct hashed *files = calloc(revision->count + 1, sizeof *files);
    uint8_t hash[HASH];
    int64_t found = 0;
    bool ok = false, has_row;
    if (!files) {
        bw_error_set(err, "store.refused", "no memory to store a catalogue revision");
        goto out;
    }
    for (size_t i = 0; i < revision->count; i++) {
        files[i].file = &revision->files[i];
        if (!sha256(revision->files[i].content.ptr ? revision->files[i].content.ptr : "", revision->files[i].content.len, files[i].content))
            goto digest;
    }
    qsort(files, revision->count, sizeof *files, by_kind_and_path);
    if (!hash_all(files, revision->count, hash)) goto digest;

    bw_sql_bind_blob(BW_WRITE(sql, find_revision), 1, hash, sizeof hash);
    if (!bw_sql_next(BW_WRITE(sql, find_revision), &has_row, err)) goto out;
    if (has_row) {
        found = sqlite3_column_int64(BW_WRITE(sql, find_revision), 0);
        sqlite3_reset(BW_WRITE(sql, find_revision));
    } else {
        bw_sql_bind_blob(BW_WRITE(sql, insert_revision), 1, hash, sizeof hash);
        bw_sql_bind_int(BW_WRITE(sql, insert_revision), 2, bw_clock_wall_ms());
        if (!bw_sql_run(BW_WRITE(sql, insert_revision), err)) goto out;
        found = sqlite3_last_insert_rowid(sql->all.db);
        if (!insert_files(sql, found, files, revision->count, err)) goto out;
    }
    *id = (uint32_t)found;
    ok = true;
    goto out;
digest:
    bw_error_set(err, "store.refused", "no SHA-256 for a catalogue revision");
out:
    free(files);
    return ok;
}
