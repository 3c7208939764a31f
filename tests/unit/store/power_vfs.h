/* power_vfs.h: a disk in memory whose power can be cut. It is SQLite's default VFS between power_install() and power_remove().
 *
 * What a program wrote is what it reads, but on the platters is only what was synced: since its last sync each file keeps a list of writes and cuts.
 * power_restore() is the morning after: of that list, in its order, each 512-byte sector of each write is there or not, each cut of the file's length
 * happened or not, and a name that was given or taken without a sync is there or not: by seed, any of them, as a disk may write them in any order. A
 * new file's first sync makes all names safe, too, as SQLite's unix VFS syncs the folder then. Writes do not touch bytes beside them
 * (SQLITE_IOCAP_POWERSAFE_OVERWRITE, which the unix VFS claims as well), and a sector is never half of something else.
 *
 * power_cut_after(n): the n-th write, cut, sync (also of the folder) or removal from now does not happen any more, nor does anything after it: all of
 * it fails. power_lies: syncs say that they happened and do not. One thread at a time, one process. Header-only: included once per test. */
#ifndef BW_TEST_POWER_VFS_H
#define BW_TEST_POWER_VFS_H
#include <errno.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { POWER_SECTOR = 512, POWER_NAMES = 4, POWER_LOCKS = SQLITE_SHM_NLOCK, POWER_REGIONS = 64 };

struct power_change {
    sqlite3_int64 offset, len;
    bool is_cut; /* the file ends at offset */
    unsigned char *bytes;
};
struct power_bytes {
    unsigned char *data;
    sqlite3_int64 len, room;
};
struct power_inode {
    struct power_bytes now, safe;
    struct power_change *changes; /* what `now` has and `safe` has not, oldest first */
    size_t change_count, change_room;
    bool is_name_safe;
};
struct power_file { /* what SQLite has open */
    sqlite3_file base;
    struct power_inode *inode;
    struct power_name *name;
    struct power_file *next;
    int lock;
    unsigned shared, exclusive; /* of the shared memory: a bit for each lock */
};
struct power_name {
    char path[160];
    struct power_inode *inode, *lost; /* lost: what was removed and may come back */
    struct power_file *open;
    void *regions[POWER_REGIONS];
};

static struct power_name power_names[POWER_NAMES];
static sqlite3_vfs power_vfs, *power_real;
static uint64_t power_random;
static long power_left; /* operations until the cut */
static bool power_is_off, power_lies;

static uint32_t power_draw(uint32_t below)
{
    power_random = power_random * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(power_random >> 33) % below;
}

/* ---- bytes ---- */

static void *power_need(void *memory)
{
    return memory ? memory : (abort(), NULL);
}

static void power_resize(struct power_bytes *bytes, sqlite3_int64 len)
{
    if (len > bytes->room) {
        bytes->room = 2 * len;
        bytes->data = power_need(realloc(bytes->data, (size_t)bytes->room));
    }
    if (len > bytes->len) memset(bytes->data + bytes->len, 0, (size_t)(len - bytes->len));
    bytes->len = len;
}

static void power_put(struct power_bytes *bytes, const void *from, sqlite3_int64 len, sqlite3_int64 offset)
{
    if (offset + len > bytes->len) power_resize(bytes, offset + len);
    memcpy(bytes->data + offset, from, (size_t)len);
}

static void power_copy(struct power_bytes *to, const struct power_bytes *from)
{
    to->len = 0;
    power_resize(to, from->len);
    if (from->len) memcpy(to->data, from->data, (size_t)from->len);
}

static void power_forget(struct power_inode *inode)
{
    for (size_t i = 0; i < inode->change_count; i++) free(inode->changes[i].bytes);
    inode->change_count = 0;
}

static void power_free(struct power_inode *inode)
{
    if (!inode) return;
    power_forget(inode);
    free(inode->changes);
    free(inode->now.data);
    free(inode->safe.data);
    free(inode);
}

static void power_note(struct power_inode *inode, const void *bytes, sqlite3_int64 len, sqlite3_int64 offset)
{
    if (inode->change_count == inode->change_room) {
        inode->change_room = 2 * inode->change_room + 16;
        inode->changes = power_need(realloc(inode->changes, inode->change_room * sizeof *inode->changes));
    }
    struct power_change *change = &inode->changes[inode->change_count++];
    *change = (struct power_change){.offset = offset, .len = len, .is_cut = bytes == NULL};
    if (!bytes) return;
    change->bytes = power_need(malloc((size_t)len));
    memcpy(change->bytes, bytes, (size_t)len);
}

/* Any of its sectors; `all` of them after a sync. */
static void power_apply(struct power_bytes *to, const struct power_change *change, bool all)
{
    if (change->is_cut) {
        if (all || power_draw(2)) power_resize(to, change->offset);
        return;
    }
    uint32_t fate = all ? 1 : power_draw(3); /* none of it, all of it, torn */
    sqlite3_int64 end = change->offset + change->len;
    for (sqlite3_int64 at = change->offset; at < end;) {
        sqlite3_int64 behind = (at / POWER_SECTOR + 1) * POWER_SECTOR;
        if (behind > end) behind = end;
        if (fate == 1 || (fate == 2 && power_draw(2))) power_put(to, change->bytes + (at - change->offset), behind - at, at);
        at = behind;
    }
}

/* ---- a file's methods ---- */

static bool power_works(void)
{
    if (!power_is_off && --power_left < 0) power_is_off = true;
    return !power_is_off;
}

static int power_close(sqlite3_file *file)
{
    struct power_file *it = (struct power_file *)file, **at = &it->name->open;
    while (*at != it) at = &(*at)->next;
    *at = it->next;
    return SQLITE_OK;
}

static int power_read(sqlite3_file *file, void *out, int len, sqlite3_int64 offset)
{
    const struct power_bytes *bytes = &((struct power_file *)file)->inode->now;
    if (power_is_off) return SQLITE_IOERR_READ;
    sqlite3_int64 there = offset >= bytes->len ? 0 : bytes->len - offset < len ? bytes->len - offset : len;
    if (there) memcpy(out, bytes->data + offset, (size_t)there);
    memset((char *)out + there, 0, (size_t)(len - there));
    return there == len ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

static int power_write(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 offset)
{
    struct power_inode *inode = ((struct power_file *)file)->inode;
    if (!power_works()) return SQLITE_IOERR_WRITE;
    power_put(&inode->now, bytes, len, offset);
    power_note(inode, bytes, len, offset);
    return SQLITE_OK;
}

static int power_truncate(sqlite3_file *file, sqlite3_int64 len)
{
    struct power_inode *inode = ((struct power_file *)file)->inode;
    if (!power_works()) return SQLITE_IOERR_TRUNCATE;
    power_resize(&inode->now, len);
    power_note(inode, NULL, 0, len);
    return SQLITE_OK;
}

static void power_sync_folder(void)
{
    for (size_t i = 0; i < POWER_NAMES; i++) {
        if (power_names[i].inode) power_names[i].inode->is_name_safe = true;
        power_free(power_names[i].lost);
        power_names[i].lost = NULL;
    }
}

static int power_sync(sqlite3_file *file, int flags)
{
    struct power_inode *inode = ((struct power_file *)file)->inode;
    (void)flags;
    if (!power_works()) return SQLITE_IOERR_FSYNC;
    if (power_lies) return SQLITE_OK;
    for (size_t i = 0; i < inode->change_count; i++) power_apply(&inode->safe, &inode->changes[i], true);
    power_forget(inode);
    if (!inode->is_name_safe) power_sync_folder();
    return SQLITE_OK;
}

/* The store's own, of this program: it syncs nothing but the folder and files that are new and empty. SQLite's is another one. */
int fsync(int fd)
{
    struct stat about;
    errno = EIO;
    if (!power_works()) return -1;
    if (fstat(fd, &about) == 0 && S_ISDIR(about.st_mode) && !power_lies) power_sync_folder();
    return 0;
}

static int power_size(sqlite3_file *file, sqlite3_int64 *len)
{
    *len = ((struct power_file *)file)->inode->now.len;
    return power_is_off ? SQLITE_IOERR_FSTAT : SQLITE_OK;
}

static int power_lock(sqlite3_file *file, int level)
{
    struct power_file *it = (struct power_file *)file;
    if (it->lock >= level) return SQLITE_OK;
    for (const struct power_file *other = it->name->open; other; other = other->next) {
        if (other == it) continue;
        bool in_the_way = level == SQLITE_LOCK_SHARED     ? other->lock >= SQLITE_LOCK_PENDING
                          : level == SQLITE_LOCK_RESERVED ? other->lock >= SQLITE_LOCK_RESERVED
                                                          : other->lock >= SQLITE_LOCK_SHARED;
        if (in_the_way) return SQLITE_BUSY;
    }
    it->lock = level;
    return SQLITE_OK;
}

static int power_unlock(sqlite3_file *file, int level)
{
    struct power_file *it = (struct power_file *)file;
    if (it->lock > level) it->lock = level;
    return SQLITE_OK;
}

static int power_check_lock(sqlite3_file *file, int *is_reserved)
{
    *is_reserved = 0;
    for (const struct power_file *other = ((struct power_file *)file)->name->open; other; other = other->next)
        if (other->lock >= SQLITE_LOCK_RESERVED) *is_reserved = 1;
    return SQLITE_OK;
}

static int power_control(sqlite3_file *file, int what, void *arg)
{
    return (void)file, (void)what, (void)arg, SQLITE_NOTFOUND;
}

static int power_sector(sqlite3_file *file)
{
    return (void)file, 4096; /* as the unix VFS says, whatever the disk has */
}

static int power_traits(sqlite3_file *file)
{
    return (void)file, SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static int power_map(sqlite3_file *file, int region, int len, int extend, void volatile **out)
{
    struct power_name *name = ((struct power_file *)file)->name;
    if (power_is_off || region >= POWER_REGIONS) return SQLITE_IOERR_SHMMAP;
    if (!name->regions[region] && extend) name->regions[region] = power_need(calloc(1, (size_t)len));
    *out = name->regions[region];
    return SQLITE_OK;
}

static int power_shm_lock(sqlite3_file *file, int first, int count, int flags)
{
    struct power_file *it = (struct power_file *)file;
    unsigned mask = (1u << (first + count)) - (1u << first);
    if (flags & SQLITE_SHM_UNLOCK) {
        it->shared &= ~mask;
        it->exclusive &= ~mask;
        return SQLITE_OK;
    }
    for (const struct power_file *other = it->name->open; other; other = other->next) {
        if (other == it) continue;
        if (other->exclusive & mask) return SQLITE_BUSY;
        if ((flags & SQLITE_SHM_EXCLUSIVE) && (other->shared & mask)) return SQLITE_BUSY;
    }
    if (flags & SQLITE_SHM_EXCLUSIVE)
        it->exclusive |= mask;
    else
        it->shared |= mask;
    return SQLITE_OK;
}

static void power_barrier(sqlite3_file *file)
{
    (void)file;
}

static void power_drop_regions(struct power_name *name)
{
    for (size_t i = 0; i < POWER_REGIONS; i++) {
        free(name->regions[i]);
        name->regions[i] = NULL;
    }
}

static int power_unmap(sqlite3_file *file, int is_removed)
{
    struct power_file *it = (struct power_file *)file;
    it->shared = it->exclusive = 0;
    if (is_removed) power_drop_regions(it->name);
    return SQLITE_OK;
}

/* ---- the disk ---- */

static struct power_name *power_name_of(const char *path)
{
    for (size_t i = 0; i < POWER_NAMES; i++) {
        struct power_name *name = &power_names[i];
        if (!name->path[0] && strlen(path) < sizeof name->path) strcpy(name->path, path);
        if (strcmp(name->path, path) == 0) return name;
    }
    return NULL;
}

static int power_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *out_flags)
{
    static const sqlite3_io_methods methods = {2,
                                               power_close,
                                               power_read,
                                               power_write,
                                               power_truncate,
                                               power_sync,
                                               power_size,
                                               power_lock,
                                               power_unlock,
                                               power_check_lock,
                                               power_control,
                                               power_sector,
                                               power_traits,
                                               power_map,
                                               power_shm_lock,
                                               power_barrier,
                                               power_unmap,
                                               NULL,
                                               NULL};
    struct power_file *it = (struct power_file *)file;
    struct power_name *name = path ? power_name_of(path) : NULL;
    (void)vfs;
    file->pMethods = NULL;
    if (power_is_off || !name) return SQLITE_CANTOPEN;
    if (!name->inode && !(flags & (SQLITE_OPEN_CREATE | SQLITE_OPEN_MAIN_DB))) return SQLITE_CANTOPEN;
    if (!name->inode) { /* the database's own name is made safe by the store before SQLite sees it */
        name->inode = power_need(calloc(1, sizeof *name->inode));
        name->inode->is_name_safe = (flags & SQLITE_OPEN_MAIN_DB) != 0;
    }
    *it = (struct power_file){.base.pMethods = &methods, .inode = name->inode, .name = name, .next = name->open};
    name->open = it;
    if (out_flags) *out_flags = flags;
    return SQLITE_OK;
}

static int power_delete(sqlite3_vfs *vfs, const char *path, int is_synced)
{
    struct power_name *name = power_name_of(path);
    (void)vfs;
    if (!power_works() || !name) return SQLITE_IOERR_DELETE;
    if (!name->inode) return SQLITE_IOERR_DELETE_NOENT;
    if (name->inode->is_name_safe) {
        power_free(name->lost);
        name->lost = name->inode;
    } else {
        power_free(name->inode);
    }
    name->inode = NULL;
    if (is_synced && !power_lies) power_sync_folder();
    return SQLITE_OK;
}

static int power_access(sqlite3_vfs *vfs, const char *path, int flags, int *out)
{
    const struct power_name *name = power_name_of(path);
    (void)vfs, (void)flags;
    *out = name && name->inode && name->inode->now.len > 0;
    return power_is_off ? SQLITE_IOERR_ACCESS : SQLITE_OK;
}

static int power_full_path(sqlite3_vfs *vfs, const char *path, int room, char *out)
{
    return (void)vfs, snprintf(out, (size_t)room, "%s", path) < room ? SQLITE_OK : SQLITE_CANTOPEN;
}

static int power_randomness(sqlite3_vfs *vfs, int len, char *out)
{
    (void)vfs;
    for (int i = 0; i < len; i++) out[i] = (char)power_draw(256);
    return len;
}

__attribute__((unused)) static void power_cut_after(long operations)
{
    power_left = operations;
}

/* The morning after. Nothing may be open. */
__attribute__((unused)) static void power_restore(void)
{
    power_is_off = false;
    power_left = INT32_MAX;
    for (size_t i = 0; i < POWER_NAMES; i++) {
        struct power_name *name = &power_names[i];
        struct power_inode *inode = name->inode;
        if (name->open) abort();
        power_drop_regions(name);
        bool comes_back = name->lost && !(inode && inode->is_name_safe) && power_draw(2);
        if (comes_back || (inode && !inode->is_name_safe && power_draw(2))) {
            power_free(inode);
            inode = comes_back ? name->lost : NULL;
            if (comes_back) name->lost = NULL;
        }
        power_free(name->lost);
        name->lost = NULL;
        name->inode = inode;
        if (!inode) continue;
        for (size_t k = 0; k < inode->change_count; k++) power_apply(&inode->safe, &inode->changes[k], false);
        power_forget(inode);
        power_copy(&inode->now, &inode->safe);
        inode->is_name_safe = true;
    }
}

__attribute__((unused)) static void power_erase(void)
{
    for (size_t i = 0; i < POWER_NAMES; i++) {
        if (power_names[i].open) abort();
        power_drop_regions(&power_names[i]);
        power_free(power_names[i].inode);
        power_free(power_names[i].lost);
        power_names[i] = (struct power_name){0};
    }
    power_is_off = power_lies = false;
    power_left = INT32_MAX;
}

/* Copies of a disk at rest: to[], from[] have POWER_NAMES files. */
__attribute__((unused)) static void power_save(struct power_bytes *to)
{
    for (size_t i = 0; i < POWER_NAMES; i++) {
        const struct power_inode *inode = power_names[i].inode;
        to[i].len = -1;
        if (inode) power_copy(&to[i], &inode->now);
    }
}

__attribute__((unused)) static void power_load(const struct power_bytes *from)
{
    char paths[POWER_NAMES][sizeof power_names[0].path];
    bool lies = power_lies;
    for (size_t i = 0; i < POWER_NAMES; i++) strcpy(paths[i], power_names[i].path);
    power_erase();
    power_lies = lies;
    for (size_t i = 0; i < POWER_NAMES; i++) {
        strcpy(power_names[i].path, paths[i]);
        if (from[i].len < 0) continue;
        struct power_inode *inode = power_names[i].inode = power_need(calloc(1, sizeof *inode));
        power_copy(&inode->now, &from[i]);
        power_copy(&inode->safe, &from[i]);
        inode->is_name_safe = true;
    }
}

__attribute__((unused)) static void power_install(void)
{
    power_real = sqlite3_vfs_find(NULL);
    power_vfs = *power_real;
    power_vfs.zName = "power";
    power_vfs.szOsFile = sizeof(struct power_file);
    power_vfs.mxPathname = sizeof power_names[0].path;
    power_vfs.xOpen = power_open;
    power_vfs.xDelete = power_delete;
    power_vfs.xAccess = power_access;
    power_vfs.xFullPathname = power_full_path;
    power_vfs.xRandomness = power_randomness;
    power_erase();
    if (sqlite3_vfs_register(&power_vfs, 1) != SQLITE_OK) abort();
}

__attribute__((unused)) static void power_remove(void)
{
    power_erase();
    sqlite3_vfs_register(power_real, 1);
    sqlite3_vfs_unregister(&power_vfs);
}
#endif
