#include "ingest/meter.h"
#include "base/random.h"
#include "base/siphash.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define WAYS 8 /* places that an address may have */
#define SETS (BW_METER_ADDRESSES / WAYS)
#define LONGEST_NS (366LL * 24 * 3600 * 1000000000)

struct pace {
    int64_t interval_ns;  /* from one request to the next */
    int64_t tolerance_ns; /* so much earlier than that one may come */
};
struct place {
    uint8_t who[9];  /* family, and the address or the first half of it */
    int64_t free_ns; /* the theoretical arrival time; 0 = nobody has been here */
};
struct bw_meter {
    atomic_uint references;
    struct bw_rate_config source_rate, address_rate;
    struct pace source, address;
    _Atomic int64_t free_ns; /* of the source: its theoretical arrival time */
    uint8_t key[16];
    pthread_mutex_t lock; /* over the places */
    struct place *places; /* NULL: no rate by address */
};

static struct pace pace_of(const struct bw_rate_config *rate)
{
    struct pace pace = {0};
    if (!rate->count) return pace;
    double interval = (double)rate->period_ms * 1e6 / (double)rate->count, tolerance = interval * (double)(rate->burst - 1);
    pace.interval_ns = interval < 1 ? 1 : (int64_t)interval;
    pace.tolerance_ns = tolerance > (double)LONGEST_NS ? LONGEST_NS : (int64_t)tolerance;
    return pace;
}

struct bw_meter *bw_meter_new(const struct bw_source_config *source)
{
    struct bw_meter *meter = calloc(1, sizeof *meter);
    if (!meter) return NULL;
    atomic_init(&meter->references, 1);
    meter->source_rate = source->rate;
    meter->address_rate = source->address_rate;
    meter->source = pace_of(&source->rate);
    meter->address = pace_of(&source->address_rate);
    pthread_mutex_init(&meter->lock, NULL);
    bw_random_bytes(meter->key, sizeof meter->key);
    if (!source->address_rate.count || (meter->places = calloc(BW_METER_ADDRESSES, sizeof *meter->places))) return meter;
    bw_meter_unref(meter);
    return NULL;
}

struct bw_meter *bw_meter_ref(struct bw_meter *meter)
{
    atomic_fetch_add(&meter->references, 1);
    return meter;
}

void bw_meter_unref(struct bw_meter *meter)
{
    if (!meter || atomic_fetch_sub(&meter->references, 1) > 1) return;
    pthread_mutex_destroy(&meter->lock);
    free(meter->places);
    free(meter);
}

static bool is_same(const struct bw_rate_config *one, const struct bw_rate_config *other)
{
    return one->count == other->count && one->period_ms == other->period_ms && one->burst == other->burst;
}

bool bw_meter_fits(const struct bw_meter *meter, const struct bw_source_config *source)
{
    return is_same(&meter->source_rate, &source->rate) && is_same(&meter->address_rate, &source->address_rate);
}

/* What a request at now_ns makes of the theoretical arrival time; false: it comes too early, and changes nothing. */
static bool step(const struct pace *pace, int64_t now_ns, int64_t *free_ns)
{
    int64_t from = *free_ns > now_ns ? *free_ns : now_ns;
    if (from - now_ns > pace->tolerance_ns) return false;
    *free_ns = from + pace->interval_ns;
    return true;
}

bool bw_meter_take(struct bw_meter *meter, int64_t now_us)
{
    int64_t seen = atomic_load_explicit(&meter->free_ns, memory_order_relaxed), next;
    if (!meter->source_rate.count) return true;
    do {
        next = seen;
        if (!step(&meter->source, now_us * 1000, &next)) return false;
    } while (!atomic_compare_exchange_weak_explicit(&meter->free_ns, &seen, next, memory_order_relaxed, memory_order_relaxed));
    return true;
}

static struct place *find_place(struct bw_meter *meter, const uint8_t who[9])
{
    struct place *set = meter->places + bw_siphash13(meter->key, who, 9) % SETS * WAYS, *least = set;
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].free_ns && memcmp(set[i].who, who, 9) == 0) return &set[i];
        if (set[i].free_ns < least->free_ns) least = &set[i];
    }
    memcpy(least->who, who, 9);
    least->free_ns = 0;
    return least;
}

bool bw_meter_take_for(struct bw_meter *meter, const struct bw_net_address *address, int64_t now_us)
{
    uint8_t who[9] = {(uint8_t)address->family};
    if (!meter->address_rate.count) return true;
    memcpy(who + 1, address->bytes, 8);
    pthread_mutex_lock(&meter->lock);
    bool is_taken = step(&meter->address, now_us * 1000, &find_place(meter, who)->free_ns);
    pthread_mutex_unlock(&meter->lock);
    return is_taken;
}
