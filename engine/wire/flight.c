#include "wire/flight.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int bw_flight_create(struct bw_flight_page **page, int *fd)
{
    int memory = memfd_create("bellwire-flight", MFD_CLOEXEC);
    if (memory < 0) return -1;
    void *mapped = ftruncate(memory, sizeof **page) ? MAP_FAILED : mmap(NULL, sizeof **page, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
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

void bw_flight_enter(struct bw_flight_page *page, struct bw_uid run, struct bw_slice path, uint32_t revision, int64_t deadline_us)
{
    size_t len = path.len < BW_FLIGHT_PATH_MAX - 1 ? path.len : BW_FLIGHT_PATH_MAX - 1;
    uint32_t sequence = atomic_load_explicit(&page->sequence, memory_order_relaxed);
    atomic_store_explicit(&page->sequence, sequence + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release); /* odd before anything else is seen to change */
    memcpy(page->run, run.bytes, sizeof page->run);
    memcpy(page->path, path.ptr, len);
    page->path[len] = '\0';
    page->revision = revision;
    page->entered++;
    atomic_store_explicit(&page->deadline_us, deadline_us, memory_order_release); /* last: a death before this line leaves a page without a note */
    atomic_store_explicit(&page->sequence, sequence + 2, memory_order_release);
}

void bw_flight_leave(struct bw_flight_page *page)
{
    atomic_store_explicit(&page->deadline_us, 0, memory_order_release);
}

void bw_flight_read(const struct bw_flight_page *page, struct bw_flight_note *note)
{
    for (int tries = 0; tries < 100; tries++) {
        uint32_t before = atomic_load_explicit(&page->sequence, memory_order_acquire);
        note->deadline_us = atomic_load_explicit(&page->deadline_us, memory_order_acquire);
        memcpy(note->run.bytes, page->run, sizeof note->run.bytes);
        memcpy(note->path, page->path, sizeof note->path);
        note->path[sizeof note->path - 1] = '\0';
        note->revision = page->revision;
        note->active = note->deadline_us != 0;
        atomic_thread_fence(memory_order_acquire);
        if (!(before & 1) && atomic_load_explicit(&page->sequence, memory_order_relaxed) == before) return;
    }
    note->active = false; /* it died while writing, before its code ran, or it goes from note to note */
}
