/* What actions of plugins in Lua keep between attempts (ctx.cache): in this process's memory, for a time, and never on a disk. A place belongs to one
 * version of one plugin with one configuration. While somebody makes a value, the others wait for it. */
#include "base/clock.h"
#include "worker/internal.h"
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES_MAX 64 /* of one plugin; the one that was not used for longest goes */

struct bw_cache_entry {
    TAILQ_ENTRY(bw_cache_entry) link; /* in worker->cache, that used last at the end */
    char *plugin, *name;
    size_t name_len;
    uint8_t told[BW_PACKAGE_TOLD_BYTES]; /* its version and configuration */
    char *value;                         /* NULL: none yet, or not any more */
    size_t len;
    int64_t until_us;
    const struct bw_attempt *maker; /* NULL: nobody makes one */
    struct bw_attempt_list waiting;
};

static const struct bw_package *package_of(const struct bw_attempt *attempt)
{
    const struct bw_action *action = attempt->inner ? attempt->inner->action : bw_attempt_action(attempt);
    return action ? action->package : NULL;
}

static void forget_value(struct bw_cache_entry *entry)
{
    if (entry->value) OPENSSL_cleanse(entry->value, entry->len);
    free(entry->value);
    entry->value = NULL;
    entry->len = 0;
}

static void free_entry(struct bw_worker *worker, struct bw_cache_entry *entry)
{
    TAILQ_REMOVE(&worker->cache, entry, link);
    forget_value(entry);
    free(entry->plugin);
    free(entry->name);
    free(entry);
}

static struct bw_cache_entry *find(struct bw_worker *worker, const struct bw_package *package, struct bw_slice name)
{
    struct bw_cache_entry *entry;
    TAILQ_FOREACH(entry, &worker->cache, link)
    if (entry->name_len == name.len && !memcmp(entry->name, name.ptr, name.len) && !strcmp(entry->plugin, package->name) &&
        !memcmp(entry->told, package->told, sizeof entry->told)) {
        TAILQ_REMOVE(&worker->cache, entry, link);
        TAILQ_INSERT_TAIL(&worker->cache, entry, link);
        return entry;
    }
    return NULL;
}

static bool is_idle(const struct bw_cache_entry *entry)
{
    return !entry->maker && TAILQ_EMPTY(&entry->waiting);
}

/* Room for one more of this plugin. */
static void make_room(struct bw_worker *worker, const char *plugin)
{
    struct bw_cache_entry *entry, *oldest = NULL;
    size_t count = 0;
    TAILQ_FOREACH(entry, &worker->cache, link)
    {
        if (strcmp(entry->plugin, plugin) != 0) continue;
        count++;
        if (!oldest && is_idle(entry)) oldest = entry;
    }
    if (count >= ENTRIES_MAX && oldest) free_entry(worker, oldest);
}

static struct bw_cache_entry *add(struct bw_worker *worker, const struct bw_package *package, struct bw_slice name)
{
    make_room(worker, package->name);
    struct bw_cache_entry *entry = calloc(1, sizeof *entry);
    if (!entry || !(entry->plugin = strdup(package->name)) || !(entry->name = bw_slice_dup(name))) exit(70);
    entry->name_len = name.len;
    memcpy(entry->told, package->told, sizeof entry->told);
    TAILQ_INIT(&entry->waiting);
    TAILQ_INSERT_TAIL(&worker->cache, entry, link);
    return entry;
}

static bool has_value(const struct bw_cache_entry *entry)
{
    return entry->value && bw_clock_mono_us() < entry->until_us;
}

/* Each of them looks again: for the value, or to make one itself. */
static void wake(struct bw_cache_entry *entry)
{
    struct bw_attempt *attempt;
    while ((attempt = TAILQ_FIRST(&entry->waiting))) {
        TAILQ_REMOVE(&entry->waiting, attempt, link);
        attempt->cached = NULL;
        bw_attempt_ready(attempt);
    }
}

static bool makes_something(const struct bw_worker *worker, const struct bw_attempt *attempt)
{
    const struct bw_cache_entry *entry;
    TAILQ_FOREACH(entry, &worker->cache, link)
    if (entry->maker == attempt) return true;
    return false;
}

/* Who makes something waits for nobody else's: two could wait for each other. A test finds nothing that another one has left. */
enum bw_cache_state bw_cache_find(struct bw_attempt *attempt, struct bw_slice name, struct bw_buf *value)
{
    struct bw_worker *worker = bw_attempt_worker(attempt);
    const struct bw_package *package = package_of(attempt);
    if (worker->trial || !package) return BW_CACHE_MAKE;
    struct bw_cache_entry *entry = find(worker, package, name);
    if (!entry) entry = add(worker, package, name);
    if (has_value(entry)) {
        bw_buf_append(value, entry->value, entry->len);
        return BW_CACHE_HAS;
    }
    if (!entry->maker) {
        entry->maker = attempt;
        return BW_CACHE_MAKE;
    }
    return makes_something(worker, attempt) ? BW_CACHE_MAKE : BW_CACHE_WAIT;
}

void bw_cache_wait(struct bw_attempt *attempt, struct bw_slice name)
{
    struct bw_cache_entry *entry = find(bw_attempt_worker(attempt), package_of(attempt), name);
    if (!entry || !entry->maker) { /* not since it was looked for */
        bw_attempt_ready(attempt);
        return;
    }
    attempt->wait = BW_WAIT_CACHE;
    attempt->cached = entry;
    TAILQ_INSERT_TAIL(&entry->waiting, attempt, link);
}

void bw_cache_leave(struct bw_attempt *attempt)
{
    TAILQ_REMOVE(&attempt->cached->waiting, attempt, link);
    attempt->cached = NULL;
}

/* value.ptr NULL: none could be made. */
void bw_cache_put(struct bw_attempt *attempt, struct bw_slice name, struct bw_slice value, int64_t life_ms)
{
    struct bw_worker *worker = bw_attempt_worker(attempt);
    const struct bw_package *package = package_of(attempt);
    struct bw_cache_entry *entry = worker->trial || !package ? NULL : find(worker, package, name);
    if (!entry) return;
    if (value.ptr) {
        forget_value(entry);
        if (!(entry->value = bw_slice_dup(value))) exit(70);
        entry->len = value.len;
        entry->until_us = bw_clock_mono_us() + life_ms * 1000;
    }
    if (entry->maker == attempt) entry->maker = NULL;
    if (!entry->maker) wake(entry);
}

void bw_cache_drop(struct bw_attempt *attempt, struct bw_slice name, struct bw_slice value)
{
    const struct bw_package *package = package_of(attempt);
    struct bw_cache_entry *entry = package ? find(bw_attempt_worker(attempt), package, name) : NULL;
    if (entry && entry->value && bw_slice_equal(value, (struct bw_slice){entry->value, entry->len})) forget_value(entry);
}

void bw_cache_release(struct bw_attempt *attempt)
{
    struct bw_cache_entry *entry;
    TAILQ_FOREACH(entry, &bw_attempt_worker(attempt)->cache, link)
    {
        if (entry->maker != attempt) continue;
        entry->maker = NULL;
        wake(entry);
    }
}

void bw_cache_clear(struct bw_worker *worker)
{
    struct bw_cache_entry *entry, *next;
    for (entry = TAILQ_FIRST(&worker->cache); entry; entry = next) {
        next = TAILQ_NEXT(entry, link);
        if (is_idle(entry))
            free_entry(worker, entry);
        else
            forget_value(entry);
    }
}
