#include "wire/flight.h"
#include "base/file.h"
#include "base/random.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int open_new(const char *file)
{
    if (!file) return memfd_create("bellwire-flight", MFD_CLOEXEC);
    if (unlink(file) && errno != ENOENT) return -1;
    return open(file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
}

int bw_flight_create(const char *file, struct bw_flight_page **page, int *fd)
{
    struct bw_flight_page fresh = {.format = BW_FLIGHT_FORMAT};
    int memory = open_new(file);
    if (memory < 0) return -1;
    bw_random_bytes(fresh.life.bytes, sizeof fresh.life.bytes);
    ssize_t written = write(memory, &fresh, sizeof fresh);
    if (written >= 0 && (size_t)written < sizeof fresh) errno = ENOSPC;
    void *mapped = written == sizeof fresh ? mmap(NULL, sizeof **page, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0) : MAP_FAILED;
    if (mapped == MAP_FAILED) {
        int reason = errno;
        close(memory);
        errno = reason;
        return -1;
    }
    *page = mapped;
    *fd = memory;
    return 0;
}

struct bw_flight_page *bw_flight_map(int fd)
{
    void *mapped = mmap(NULL, sizeof(struct bw_flight_page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return mapped == MAP_FAILED ? NULL : mapped;
}

void bw_flight_unmap(struct bw_flight_page *page)
{
    munmap(page, sizeof *page);
}

void bw_flight_enter(struct bw_flight_page *page, int64_t job, struct bw_uid run, struct bw_slice path, uint32_t revision, int64_t deadline_us)
{
    size_t len = path.len < BW_FLIGHT_PATH_MAX - 1 ? path.len : BW_FLIGHT_PATH_MAX - 1;
    uint32_t sequence = atomic_load_explicit(&page->sequence, memory_order_relaxed);
    atomic_store_explicit(&page->sequence, sequence + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release); /* odd before anything else is seen to change */
    page->run = run;
    page->job = job;
    memcpy(page->path, path.ptr, len);
    page->path[len] = '\0';
    page->revision = revision;
    atomic_store_explicit(&page->deadline_us, deadline_us, memory_order_release); /* last: a death before this line leaves a page without a note */
    atomic_store_explicit(&page->sequence, sequence + 2, memory_order_release);
}

void bw_flight_leave(struct bw_flight_page *page)
{
    atomic_store_explicit(&page->deadline_us, 0, memory_order_release);
}

void bw_flight_read(const struct bw_flight_page *page, struct bw_flight_note *note)
{
    note->life = page->life;
    for (int tries = 0; tries < 100; tries++) {
        uint32_t before = atomic_load_explicit(&page->sequence, memory_order_acquire);
        note->deadline_us = atomic_load_explicit(&page->deadline_us, memory_order_acquire);
        note->run = page->run;
        note->job = page->job;
        memcpy(note->path, page->path, sizeof note->path);
        note->path[sizeof note->path - 1] = '\0';
        note->revision = page->revision;
        note->active = note->deadline_us != 0;
        atomic_thread_fence(memory_order_acquire);
        if (!(before & 1) && atomic_load_explicit(&page->sequence, memory_order_relaxed) == before) return;
    }
    note->active = false; /* it died while writing, before its code ran, or it goes from note to note */
}

bool bw_flight_load(const char *file, struct bw_flight_note *note, struct bw_error *err)
{
    struct bw_flight_page page;
    struct bw_buf bytes = {0};
    bool good = bw_file_read(file, sizeof page, &bytes, err);
    if (good && bytes.len == sizeof page) memcpy(&page, bytes.data, sizeof page);
    if (good && (bytes.len != sizeof page || page.format != BW_FLIGHT_FORMAT)) {
        good = bw_error_set(err, "flight.unknown", "this is no flight page, or one of another version of this program");
        bw_error_at(err, file, 0, 0);
    }
    bw_buf_free(&bytes);
    if (good) bw_flight_read(&page, note);
    return good;
}
