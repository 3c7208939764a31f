#include "plugin/file.h"
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define EXECUTABLE 0x10u /* MFD_EXEC, which older headers and kernels do not know */
#define CHUNK_BYTES (256u << 10)

static int open_copy(const char *path)
{
    const char *slash = strrchr(path, '/');
    const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int copy = memfd_create(slash ? slash + 1 : path, flags | EXECUTABLE);
    return copy >= 0 ? copy : memfd_create(slash ? slash + 1 : path, flags);
}

static bool write_all(int fd, const char *bytes, size_t count)
{
    while (count) {
        ssize_t written = write(fd, bytes, count);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        bytes += written;
        count -= (size_t)written;
    }
    return true;
}

/* Hashes what is there, and copies it as far as that is possible. */
static bool read_through(int fd, struct bw_plugin_file *out, uint64_t *bytes)
{
    static _Thread_local char chunk[CHUNK_BYTES];
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    ssize_t got = -1;
    bool good = hash && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1;
    while (good && (got = read(fd, chunk, sizeof chunk)) > 0) {
        good = EVP_DigestUpdate(hash, chunk, (size_t)got) == 1;
        *bytes += (uint64_t)got;
        if (out->copy < 0 || write_all(out->copy, chunk, (size_t)got)) continue;
        close(out->copy);
        out->copy = -1;
    }
    good = good && got == 0 && EVP_DigestFinal_ex(hash, out->hash, NULL) == 1;
    EVP_MD_CTX_free(hash);
    if (out->copy >= 0) fcntl(out->copy, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    return good;
}

/* The start of a shared object can often be loaded, and crashes later: the end, where its section headers are, says whether all of it is there. */
static bool is_whole(int fd, uint64_t bytes, struct bw_error *err)
{
    Elf64_Ehdr head;
    if (pread(fd, &head, sizeof head, 0) != sizeof head || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_ident[EI_CLASS] != ELFCLASS64)
        return true; /* the loader says what is wrong with it */
    uint64_t sections = (uint64_t)head.e_shnum * head.e_shentsize;
    if (!head.e_shoff || (head.e_shoff <= bytes && sections <= bytes - head.e_shoff)) return true;
    bw_error_set(err, "plugin.not_loadable", "the file is cut short: there are %llu bytes of it, and by its header there are more",
                 (unsigned long long)bytes);
    bw_error_hint(err, "copy it again; mv into the plugins folder replaces a file at once");
    return false;
}

bool bw_plugin_file_read(const char *path, struct bw_plugin_file *out, struct bw_error *err)
{
    struct stat info;
    uint64_t bytes = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    *out = BW_PLUGIN_FILE_NONE;
    if (fd < 0 || fstat(fd, &info)) {
        bw_error_set(err, "plugin.unreadable", "cannot read the file: %s", strerror(errno));
        if (fd >= 0) close(fd);
        return false;
    }
    bool good = false;
    if (!S_ISREG(info.st_mode)) {
        bw_error_set(err, "plugin.unreadable", "this is no regular file");
    } else if (info.st_mode & S_IWOTH) {
        bw_error_set(err, "plugin.writable", "everybody may write this file, so anybody could put code into it");
        bw_error_hint(err, "chmod o-w %s", path);
    } else {
        out->device = info.st_dev;
        out->inode = info.st_ino;
        out->size = info.st_size;
        out->changed = info.st_mtim;
        out->copy = open_copy(path);
        good = (read_through(fd, out, &bytes) || bw_error_set(err, "plugin.unreadable", "cannot read the file: %s", strerror(errno))) &&
               is_whole(fd, bytes, err);
    }
    close(fd);
    if (!good) bw_plugin_file_close(out);
    return good;
}

bool bw_plugin_file_is_same(const struct bw_plugin_file *file, const char *path)
{
    struct stat info;
    return !stat(path, &info) && file->inode == info.st_ino && file->device == info.st_dev && file->size == info.st_size &&
           file->changed.tv_sec == info.st_mtim.tv_sec && file->changed.tv_nsec == info.st_mtim.tv_nsec;
}

int64_t bw_plugin_file_rests_us(const char *path)
{
    struct stat info;
    struct timespec now;
    if (stat(path, &info) || clock_gettime(CLOCK_REALTIME, &now)) return INT64_MAX;
    int64_t seconds = (int64_t)now.tv_sec - info.st_ctim.tv_sec;
    if (seconds < -1 || seconds > 1) return INT64_MAX; /* before: the clock was set back since */
    int64_t rests_us = seconds * 1000000 + (now.tv_nsec - info.st_ctim.tv_nsec) / 1000;
    return rests_us < 0 ? 0 : rests_us;
}

bool bw_plugin_file_is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

void bw_plugin_file_close(struct bw_plugin_file *file)
{
    if (file->copy >= 0) close(file->copy);
    *file = BW_PLUGIN_FILE_NONE;
}
