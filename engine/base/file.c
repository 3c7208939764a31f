#include "base/file.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 8

static bool not_read(struct bw_error *err, const char *path, int number)
{
    bool missing = number == ENOENT || number == ENOTDIR;
    bw_error_set(err, missing ? "file.missing" : "file.unreadable", "cannot read: %s", strerror(number));
    bw_error_at(err, path, 0, 0);
    return false;
}

bool bw_file_read(const char *path, size_t limit, struct bw_buf *out, struct bw_error *err)
{
    struct stat info;
    bool done = false;
    size_t start = out->len;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* NONBLOCK: a FIFO must not hang us before fstat() refuses it */
    if (fd < 0) return not_read(err, path, errno);
    if (fstat(fd, &info) != 0) {
        not_read(err, path, errno);
        goto out;
    }
    if (!S_ISREG(info.st_mode)) {
        bw_error_set(err, "file.unreadable", "is %s, not a regular file", S_ISDIR(info.st_mode) ? "a folder" : "a special file");
        bw_error_at(err, path, 0, 0);
        goto out;
    }
    /* The size is only a guess: the file may grow meanwhile, and files in /proc claim to be empty. */
    if (info.st_size > 0 && (uint64_t)info.st_size <= limit) bw_buf_reserve(out, (size_t)info.st_size + 1);
    for (;;) {
        char chunk[16384];
        ssize_t got = read(fd, chunk, sizeof chunk);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            not_read(err, path, errno);
            goto out;
        }
        if (got == 0) break;
        if ((size_t)got > limit - (out->len - start)) {
            bw_error_set(err, "file.too_large", "is larger than %zu bytes", limit);
            bw_error_at(err, path, 0, 0);
            goto out;
        }
        bw_buf_append(out, chunk, (size_t)got);
        if (out->failed) {
            not_read(err, path, ENOMEM);
            goto out;
        }
    }
    done = bw_buf_reserve(out, 0) || not_read(err, path, ENOMEM);
out:
    close(fd);
    return done;
}

struct listing {
    const char *suffix; /* of files; NULL: folders are listed */
    bool recursive;
    char **names;
    size_t count, capacity;
    struct bw_error *err;
};

static bool keep(struct listing *listing, const char *name)
{
    if (listing->count == listing->capacity) {
        size_t capacity = listing->capacity ? listing->capacity * 2 : 16;
        char **names = realloc(listing->names, capacity * sizeof *names);
        if (!names) return not_read(listing->err, name, ENOMEM);
        listing->names = names;
        listing->capacity = capacity;
    }
    char *copy = bw_slice_dup(bw_slice_of(name));
    if (!copy) return not_read(listing->err, name, ENOMEM);
    listing->names[listing->count++] = copy;
    return true;
}

static bool ends_with(const char *name, const char *suffix)
{
    size_t len = strlen(name), end = strlen(suffix);
    return len >= end && strcmp(name + len - end, suffix) == 0;
}

static bool walk(struct listing *listing, const char *folder, const char *prefix, int depth);

static bool visit(struct listing *listing, DIR *dir, const char *folder, const char *prefix, const char *name, int depth)
{
    struct stat info, link;
    bool done = false;
    char *relative = bw_file_join(prefix, name), *path = bw_file_join(folder, name);
    if (!relative || !path) {
        not_read(listing->err, name, ENOMEM);
        goto out;
    }
    if (fstatat(dirfd(dir), name, &info, 0) != 0 || fstatat(dirfd(dir), name, &link, AT_SYMLINK_NOFOLLOW) != 0) {
        /* Gone since readdir, or a link to nowhere: not there. */
        done = errno == ENOENT || not_read(listing->err, path, errno);
    } else if (S_ISREG(info.st_mode)) {
        done = !listing->suffix || !ends_with(name, listing->suffix) || keep(listing, relative);
    } else if (S_ISDIR(info.st_mode) && !listing->suffix) {
        done = keep(listing, relative);
    } else if (S_ISDIR(link.st_mode) && listing->recursive) { /* linked folders are not entered: they may lead in circles */
        done = walk(listing, path, relative, depth + 1);
    } else {
        done = true;
    }
out:
    free(relative);
    free(path);
    return done;
}

static bool walk(struct listing *listing, const char *folder, const char *prefix, int depth)
{
    if (depth > DEPTH_MAX) {
        bw_error_set(listing->err, "file.too_deep", "more than %d folders inside each other", DEPTH_MAX);
        bw_error_at(listing->err, folder, 0, 0);
        return false;
    }
    DIR *dir = opendir(folder);
    if (!dir) return errno == ENOENT || not_read(listing->err, folder, errno);
    bool done = true;
    while (done) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (!entry) {
            if (errno) done = not_read(listing->err, folder, errno);
            break;
        }
        if (entry->d_name[0] != '.') done = visit(listing, dir, folder, prefix, entry->d_name, depth);
    }
    closedir(dir);
    return done;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool list(struct listing *listing, const char *folder, char ***out, size_t *count)
{
    *out = NULL;
    *count = 0;
    if (!walk(listing, folder, "", 0)) {
        bw_file_list_free(listing->names, listing->count);
        return false;
    }
    if (listing->count) qsort(listing->names, listing->count, sizeof *listing->names, by_bytes);
    *out = listing->names;
    *count = listing->count;
    return true;
}

bool bw_file_list(const char *folder, const char *suffix, bool recursive, char ***out, size_t *count, struct bw_error *err)
{
    return list(&(struct listing){.suffix = suffix, .recursive = recursive, .err = err}, folder, out, count);
}

bool bw_file_list_folders(const char *folder, char ***out, size_t *count, struct bw_error *err)
{
    return list(&(struct listing){.err = err}, folder, out, count);
}

void bw_file_list_free(char **list, size_t count)
{
    for (size_t i = 0; i < count; i++) free(list[i]);
    free(list);
}

char *bw_file_join(const char *folder, const char *name)
{
    struct bw_buf path = {0};
    if (name[0] != '/' && folder[0]) {
        bw_buf_append_text(&path, folder);
        if (path.len && path.data[path.len - 1] != '/') bw_buf_append_char(&path, '/');
    }
    bw_buf_append_text(&path, name);
    return bw_buf_take(&path, NULL);
}

void bw_file_remove_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..")) unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir) closedir(dir);
    rmdir(folder);
}

static bool write_all(int fd, struct bw_slice text)
{
    while (text.len) {
        ssize_t wrote = write(fd, text.ptr, text.len);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0) return false;
        text.ptr += wrote;
        text.len -= (size_t)wrote;
    }
    return true;
}

static bool create(const char *path, struct bw_slice text, mode_t mode, struct bw_error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    bool good = fd >= 0 && write_all(fd, text);
    if (!good) {
        bw_error_set(err, "file.unwritable", "cannot write %s: %s", path, strerror(errno));
        if (fd >= 0) unlink(path);
    }
    if (fd >= 0) close(fd);
    return good;
}

bool bw_file_create(const char *path, struct bw_slice text, struct bw_error *err)
{
    return create(path, text, 0666, err);
}

bool bw_file_create_private(const char *path, struct bw_slice text, struct bw_error *err)
{
    return create(path, text, 0600, err);
}

bool bw_file_replace(const char *path, struct bw_slice text, struct bw_error *err)
{
    char *real = realpath(path, NULL), *slash = real ? strrchr(real, '/') : NULL;
    struct bw_buf name = {0};
    struct stat info;
    int fd = -1;
    if (slash) bw_buf_printf(&name, "%.*s/.%s.XXXXXX", (int)(slash - real), real, slash + 1); /* hidden: nobody takes it for a workflow */
    bool good = slash && !name.failed && !stat(real, &info) && (fd = mkostemp(name.data, O_CLOEXEC)) >= 0;
    if (good) (void)!fchown(fd, info.st_uid, info.st_gid); /* as far as it may: before the mode, which this may take away from */
    good = good && !fchmod(fd, info.st_mode & 07777) && write_all(fd, text) && !fsync(fd) && !rename(name.data, real);
    if (!good) {
        bw_error_set(err, "file.unwritable", "cannot write %s: %s", path, strerror(errno));
        bw_error_at(err, path, 0, 0);
    }
    if (!good && fd >= 0) unlink(name.data);
    if (fd >= 0) close(fd);
    bw_buf_free(&name);
    free(real);
    return good;
}
