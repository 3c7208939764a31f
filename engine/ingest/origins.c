#include "ingest/origins.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include <pthread.h>
#include <stdlib.h>

#define SAID_EVERY_US 1000000

struct bw_origins {
    const struct bw_config *config;
    pthread_mutex_t lock;
    struct bw_map *counts; /* who → how many, as a pointer that points nowhere */
    int64_t said_us;
    unsigned unsaid;
    struct bw_net_address last; /* the latest that was refused */
};

struct bw_origins *bw_origins_new(const struct bw_config *config)
{
    struct bw_origins *origins = calloc(1, sizeof *origins);
    if (!origins) return NULL;
    origins->config = config;
    pthread_mutex_init(&origins->lock, NULL);
    if ((origins->counts = bw_map_new())) return origins;
    bw_origins_free(origins);
    return NULL;
}

void bw_origins_free(struct bw_origins *origins)
{
    if (!origins) return;
    bw_map_free(origins->counts, NULL);
    pthread_mutex_destroy(&origins->lock);
    free(origins);
}

static bool is_free(const struct bw_config *config, const struct bw_net_address *address)
{
    static const uint8_t loopback[16] = {[15] = 1};
    bool is_loopback = address->family == BW_NET_V4 ? address->bytes[0] == 127 : memcmp(address->bytes, loopback, sizeof loopback) == 0;
    return is_loopback || address->family == BW_NET_UNKNOWN || bw_net_ranges_hold(config->trusted_proxies, config->trusted_proxy_count, address);
}

static struct bw_slice key_of(const struct bw_origin *origin)
{
    return (struct bw_slice){(const char *)origin->who, sizeof origin->who};
}

static void say_locked(struct bw_origins *origins)
{
    int64_t now_us = bw_clock_mono_us();
    struct bw_buf address = {0};
    if (!origins->unsaid || (origins->said_us && now_us - origins->said_us < SAID_EVERY_US)) return;
    bw_net_address_append(&address, &origins->last);
    bw_log(BW_LOG_WARN, "ingest.address_full", BW_SLC("address", bw_buf_slice(&address)), BW_INT("times", origins->unsaid),
           BW_INT("max_connections_per_address", origins->config->max_connections_per_address),
           BW_STR("hint", "connections above it are closed at once; is it a proxy of yours? Then name it in trusted_proxies"));
    bw_buf_free(&address);
    origins->said_us = now_us;
    origins->unsaid = 0;
}

bool bw_origins_enter(struct bw_origins *origins, const struct bw_net_address *address, struct bw_origin *out)
{
    if (is_free(origins->config, address)) return true;
    out->who[0] = (uint8_t)address->family;
    memcpy(out->who + 1, address->bytes, sizeof out->who - 1);
    pthread_mutex_lock(&origins->lock);
    uintptr_t count = (uintptr_t)bw_map_get(origins->counts, key_of(out));
    bool is_in = count < origins->config->max_connections_per_address;
    if (is_in) {
        out->is_counted = bw_map_set(origins->counts, key_of(out), (void *)(count + 1)); /* no memory: it is let in uncounted */
    } else {
        origins->unsaid++;
        origins->last = *address;
        say_locked(origins);
    }
    pthread_mutex_unlock(&origins->lock);
    return is_in;
}

void bw_origins_leave(struct bw_origins *origins, struct bw_origin *origin)
{
    if (!origin->is_counted) return;
    origin->is_counted = false;
    pthread_mutex_lock(&origins->lock);
    uintptr_t count = (uintptr_t)bw_map_get(origins->counts, key_of(origin));
    if (count > 1)
        bw_map_set(origins->counts, key_of(origin), (void *)(count - 1)); /* replaces: needs no memory */
    else
        bw_map_remove(origins->counts, key_of(origin));
    pthread_mutex_unlock(&origins->lock);
}

void bw_origins_say(struct bw_origins *origins)
{
    pthread_mutex_lock(&origins->lock);
    say_locked(origins);
    pthread_mutex_unlock(&origins->lock);
}
