/* The store's thread and its queue. Submitting is one compare-and-swap on a list head; the submitter that finds the list empty also wakes
 * the writer, so a burst costs one wake-up. The list is a stack: the writer takes all of it at once and turns it round. */
#include "store/store.h"
#include "base/log.h"
#include "store/lock.h"
#include "store/writer.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define GROUP_OPS 512
#define GROUP_BYTES (4 * 1024 * 1024)
#define IDLE_AFTER_MS 50
#define BUSY_GROUP 16 /* operations: so many queue up during one commit only under pressure */

struct bw_store {
    _Atomic(struct bw_store_op *) arrived; /* newest first */
    pthread_mutex_t lock;                  /* only for sleeping */
    pthread_cond_t wake;
    bool is_closing; /* under lock */
    pthread_t thread;
    bool has_thread, has_sync;
    int folder_lock;
    atomic_size_t queued;
    atomic_bool is_failed;
    atomic_uint_fast64_t commits;
    _Atomic int64_t next_due_ms;
    atomic_bool is_waking;
    pthread_mutex_t handler_lock; /* held while the handler runs */
    bw_store_wake_handler *on_wake;
    void *on_wake_arg;
    /* the writer thread's */
    struct bw_writer writer;
    struct bw_store_op *waiting, **waiting_end; /* taken but not yet committed, oldest first */
    struct bw_error failure;                    /* once is_failed */
    bool is_full;                               /* the last group found the disk full */
};

static bool fail_store(struct bw_store *store, const struct bw_error *err)
{
    store->failure = *err;
    bw_error_hint(&store->failure, "what is committed is safe; look at the disk and the kernel's log, then start again");
    atomic_store(&store->is_failed, true);
    bw_log_error(BW_LOG_ERROR, "store.failed", &store->failure);
    return false;
}

static bool is_code(const struct bw_error *err, const char *code)
{
    return strcmp(err->code, code) == 0;
}

/* What it costs the writer, and its owner in memory. */
static size_t weight_of(const struct bw_store_op *op)
{
    return op->batch_count ? op->batch_count : 1;
}

/* err NULL = committed */
static void finish(struct bw_store *store, struct bw_store_op *ops, const struct bw_error *err)
{
    while (ops) {
        struct bw_store_op *op = ops;
        ops = op->next;
        op->next = NULL;
        op->failed = err != NULL;
        if (err) op->error = *err;
        atomic_fetch_sub_explicit(&store->queued, weight_of(op), memory_order_relaxed);
        op->done(op); /* the owner's again */
    }
}

static bool try_commit(struct bw_store *store, struct bw_store_op *ops, struct bw_store_op **culprit, struct bw_error *err)
{
    bool ok = bw_writer_commit(&store->writer, ops, culprit, err), is_full = !ok && is_code(err, "store.full");
    if (is_full && !store->is_full) bw_log_error(BW_LOG_WARN, "store.full", err);
    if (ok && store->is_full) bw_log(BW_LOG_INFO, "store.full_no_more", BW_STR("message", "the disk has space again"));
    store->is_full = is_full;
    if (!ok) return false;
    atomic_fetch_add_explicit(&store->commits, 1, memory_order_relaxed);
    atomic_store(&store->next_due_ms, store->writer.parking.committed_due_ms); /* before done(): who fires timers asks for it next */
    if (store->writer.parking.has_wakings || bw_parking_has_news(&store->writer.parking))
        atomic_store(&store->is_waking, true); /* told after done() */
    return true;
}

/* Before done(): whoever waits for its report to be on disk hears first what the report has found. */
static void tell_watched(struct bw_store *store)
{
    struct bw_store_wakes wakes;
    if (!bw_parking_watched(&store->writer.parking, &wakes)) return;
    pthread_mutex_lock(&store->handler_lock);
    if (store->on_wake) store->on_wake(store->on_wake_arg, &wakes);
    pthread_mutex_unlock(&store->handler_lock);
}

/* After done(): a run that was parked and woken in one commit is its owner's until the owner knows that it has given it away. */
static void tell_wakes(struct bw_store *store)
{
    struct bw_store_wakes wakes;
    if (!bw_parking_news(&store->writer.parking, &wakes)) return;
    atomic_store(&store->next_due_ms, wakes.next_due_ms);
    pthread_mutex_lock(&store->handler_lock);
    if (store->on_wake) store->on_wake(store->on_wake_arg, &wakes);
    pthread_mutex_unlock(&store->handler_lock);
}

static void commit_group(struct bw_store *store, struct bw_store_op *ops)
{
    struct bw_store_op *culprit;
    struct bw_error err = {0};
    if (atomic_load(&store->is_failed)) {
        finish(store, ops, &store->failure);
    } else if (try_commit(store, ops, &culprit, &err)) {
        tell_watched(store);
        finish(store, ops, NULL);
    } else if (is_code(&err, "store.failed")) {
        fail_store(store, &err);
        finish(store, ops, &store->failure);
    } else if (is_code(&err, "store.full") || is_code(&err, "store.busy") || !ops->next) {
        finish(store, ops, &err);
        if (store->is_full && !bw_writer_relieve(&store->writer, &err)) fail_store(store, &err);
    } else { /* one of them is to blame: each for itself */
        while (ops) {
            struct bw_store_op *op = ops;
            ops = op->next;
            op->next = NULL;
            commit_group(store, op);
        }
    }
}

/* Moves what arrived behind what waits. */
static void gather(struct bw_store *store)
{
    struct bw_store_op *newest = atomic_exchange_explicit(&store->arrived, NULL, memory_order_acquire), *turned = NULL;
    struct bw_store_op *last = newest;
    while (newest) {
        struct bw_store_op *op = newest;
        newest = op->next;
        op->next = turned;
        turned = op;
    }
    if (!turned) return;
    *store->waiting_end = turned;
    store->waiting_end = &last->next;
}

static size_t bytes_of(const struct bw_store_op *op)
{
    size_t bytes = op->event.body.len + op->event.headers.len;
    for (size_t i = 0; i < op->batch_count; i++) bytes += op->batch[i].event.body.len;
    for (size_t i = 0; op->kind == BW_OP_REPORT && i < op->run_count; i++) {
        bytes += op->runs[i].output.len;
        for (size_t k = 0; k < op->runs[i].step_count; k++) bytes += op->runs[i].steps[k].output.len;
    }
    return bytes;
}

static struct bw_store_op *take_group(struct bw_store *store, size_t *count)
{
    struct bw_store_op *first = store->waiting, *last = first;
    size_t bytes = bytes_of(first), weight = weight_of(first);
    for (*count = 1; last->next; ++*count) {
        bytes += bytes_of(last->next);
        weight += weight_of(last->next);
        if (bytes > GROUP_BYTES || weight > GROUP_OPS) break;
        last = last->next;
    }
    store->waiting = last->next;
    if (!store->waiting) store->waiting_end = &store->waiting;
    last->next = NULL;
    return first;
}

/* Above the cap with nothing left that may go, events are refused. All else goes on: reports end what is in the way. */
static struct bw_store_op *refuse_events(struct bw_store *store, struct bw_store_op *ops)
{
    struct bw_store_op *refused = NULL, **refused_end = &refused, *kept = NULL, **kept_end = &kept;
    struct bw_error err;
    if (!bw_retention_refuses(&store->writer.retention, &err)) return ops;
    for (; ops; ops = ops->next) {
        struct bw_store_op ***end = ops->kind == BW_OP_ACCEPT ? &refused_end : &kept_end;
        **end = ops;
        *end = &ops->next;
    }
    *refused_end = *kept_end = NULL;
    finish(store, refused, &err);
    return kept;
}

/* Sleeps until something arrives, the store closes, or (timeout_ms >= 0) the time is over. False = closing and nothing more will come. */
static bool wait_for_work(struct bw_store *store, int timeout_ms, bool *timed_out)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += timeout_ms % 1000 * 1000000L;
    if (until.tv_nsec >= 1000000000L) until.tv_sec++, until.tv_nsec -= 1000000000L;
    *timed_out = false;
    pthread_mutex_lock(&store->lock);
    while (!atomic_load_explicit(&store->arrived, memory_order_relaxed) && !store->is_closing && !*timed_out) {
        if (timeout_ms < 0)
            pthread_cond_wait(&store->wake, &store->lock);
        else
            *timed_out = pthread_cond_timedwait(&store->wake, &store->lock, &until) == ETIMEDOUT;
    }
    bool goes_on = !store->is_closing || atomic_load_explicit(&store->arrived, memory_order_relaxed);
    pthread_mutex_unlock(&store->lock);
    return goes_on;
}

static void *write_loop(void *arg)
{
    struct bw_store *store = arg;
    struct bw_error err;
    int timeout_ms = IDLE_AFTER_MS;
    for (;;) {
        bool timed_out = false;
        int again_ms = -1;
        size_t count;
        gather(store);
        if (store->waiting) {
            struct bw_store_op *group = refuse_events(store, take_group(store, &count));
            if (group) commit_group(store, group);
            tell_wakes(store);
            bool is_busy = count >= BUSY_GROUP || store->waiting || atomic_load_explicit(&store->arrived, memory_order_relaxed);
            if (!atomic_load(&store->is_failed) && !bw_writer_between_groups(&store->writer, is_busy, &err)) fail_store(store, &err);
            tell_wakes(store);
            atomic_store(&store->is_waking, store->writer.parking.has_wakings);
            timeout_ms = store->writer.parking.has_wakings ? 0 : IDLE_AFTER_MS;
            continue;
        }
        if (!wait_for_work(store, timeout_ms, &timed_out)) return NULL;
        if (!timed_out) continue;
        if (!atomic_load(&store->is_failed) && !bw_writer_idle(&store->writer, &again_ms, &err)) fail_store(store, &err);
        tell_wakes(store);
        atomic_store(&store->is_waking, store->writer.parking.has_wakings);
        timeout_ms = again_ms;
    }
}

static bool make_folder(const char *folder, struct bw_error *err)
{
    if (mkdir(folder, 0700) == 0 || errno == EEXIST) return true;
    bw_error_set(err, "store.folder", "cannot create the data folder %s: %s", folder, strerror(errno));
    bw_error_hint(err, "create it, or name another one (data: in bellwire.yaml)");
    return false;
}

static bool start(struct bw_store *store, struct bw_error *err)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&store->lock, NULL);
    pthread_mutex_init(&store->handler_lock, NULL);
    pthread_cond_init(&store->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    store->has_sync = true;
    int failure = pthread_create(&store->thread, NULL, write_loop, store);
    store->has_thread = failure == 0;
    return store->has_thread || bw_error_set(err, "store.refused", "cannot start the writer thread: %s", strerror(failure));
}

struct bw_store *bw_store_open(const char *folder, struct bw_error *err)
{
    return bw_store_open_keeping(folder, NULL, err);
}

struct bw_store *bw_store_open_keeping(const char *folder, const struct bw_retention_config *keep, struct bw_error *err)
{
    struct bw_store *store = calloc(1, sizeof *store);
    if (!store) {
        bw_error_set(err, "store.refused", "no memory to open the store");
        return NULL;
    }
    store->folder_lock = store->writer.reserve = -1;
    store->waiting_end = &store->waiting;
    if (keep)
        store->writer.retention.keep = *keep;
    else
        store->writer.retention.is_off = true;
    if (folder && !make_folder(folder, err)) goto fail;
    if (folder && (store->folder_lock = bw_lock_take(folder, err)) < 0) goto fail;
    if (!bw_writer_open(&store->writer, folder, err)) goto fail;
    store->next_due_ms = store->writer.parking.committed_due_ms;
    if (!start(store, err)) goto fail;
    return store;
fail:
    bw_store_close(store);
    return NULL;
}

void bw_store_submit(struct bw_store *store, struct bw_store_op *op)
{
    atomic_fetch_add_explicit(&store->queued, weight_of(op), memory_order_relaxed);
    struct bw_store_op *newest = atomic_load_explicit(&store->arrived, memory_order_relaxed);
    do {
        op->next = newest;
    } while (!atomic_compare_exchange_weak_explicit(&store->arrived, &newest, op, memory_order_release, memory_order_relaxed));
    if (newest) return; /* whoever found it empty wakes the writer */
    pthread_mutex_lock(&store->lock);
    pthread_cond_signal(&store->wake);
    pthread_mutex_unlock(&store->lock);
}

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool is_done;
};

static void wake_waiter(struct bw_store_op *op)
{
    struct waiter *waiter = op->owner;
    pthread_mutex_lock(&waiter->lock);
    waiter->is_done = true;
    pthread_cond_signal(&waiter->wake);
    pthread_mutex_unlock(&waiter->lock);
}

bool bw_store_submit_wait(struct bw_store *store, struct bw_store_op *op, struct bw_error *err)
{
    struct waiter waiter = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};
    void *owner = op->owner;
    op->owner = &waiter;
    op->done = wake_waiter;
    bw_store_submit(store, op);
    pthread_mutex_lock(&waiter.lock);
    while (!waiter.is_done) pthread_cond_wait(&waiter.wake, &waiter.lock);
    pthread_mutex_unlock(&waiter.lock);
    pthread_cond_destroy(&waiter.wake);
    pthread_mutex_destroy(&waiter.lock);
    op->owner = owner;
    if (op->failed && err) *err = op->error;
    return !op->failed;
}

bool bw_store_is_waking(const struct bw_store *store)
{
    return atomic_load(&store->is_waking);
}

size_t bw_store_queued(const struct bw_store *store)
{
    return atomic_load_explicit(&store->queued, memory_order_relaxed);
}

bool bw_store_is_failed(const struct bw_store *store)
{
    return atomic_load(&store->is_failed);
}

uint64_t bw_store_commits(const struct bw_store *store)
{
    return atomic_load_explicit(&store->commits, memory_order_relaxed);
}

uint64_t bw_store_repairs(const struct bw_store *store)
{
    return atomic_load_explicit(&store->writer.sweep.repairs, memory_order_relaxed);
}

void bw_store_on_wake(struct bw_store *store, bw_store_wake_handler *handler, void *arg)
{
    pthread_mutex_lock(&store->handler_lock);
    store->on_wake = handler;
    store->on_wake_arg = arg;
    pthread_mutex_unlock(&store->handler_lock);
}

int64_t bw_store_next_due(const struct bw_store *store)
{
    return atomic_load(&store->next_due_ms);
}

void bw_store_close(struct bw_store *store)
{
    if (!store) return;
    if (store->has_thread) {
        pthread_mutex_lock(&store->lock);
        store->is_closing = true;
        pthread_cond_signal(&store->wake);
        pthread_mutex_unlock(&store->lock);
        pthread_join(store->thread, NULL);
    }
    bw_writer_close(&store->writer, !atomic_load(&store->is_failed));
    bw_lock_release(store->folder_lock);
    if (store->has_sync) {
        pthread_cond_destroy(&store->wake);
        pthread_mutex_destroy(&store->lock);
        pthread_mutex_destroy(&store->handler_lock);
    }
    free(store);
}
