#include "serve/certificates.h"
#include "base/clock.h"
#include "base/log.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LOOK_EVERY_S 1
#define TICKET_KEYS_US (12 * 3600 * 1000000LL)
#define DAYS_TO_WARN 14

struct bw_certificates {
    const struct bw_tls_config *config;
    struct bw_tls *tls;
    struct bw_ingest *ingest;
    struct event *look;
    uint64_t loaded, seen; /* what the files were like, then and at the last look */
    int64_t loaded_us;
};

static uint64_t add_file(uint64_t sum, const char *path)
{
    struct stat info;
    if (!path) return sum;
    if (stat(path, &info)) return sum * 31 + 1;
    const uint64_t facts[] = {info.st_ino, (uint64_t)info.st_size, (uint64_t)info.st_mtim.tv_sec, (uint64_t)info.st_mtim.tv_nsec, info.st_mode};
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) sum = (sum ^ facts[i]) * 1099511628211u;
    return sum;
}

/* A change is all that has to be seen: FNV-1a's step will do. */
static uint64_t look_at_files(const struct bw_tls_config *config)
{
    uint64_t sum = 14695981039346656037u;
    for (size_t i = 0; i < config->pair_count; i++) sum = add_file(add_file(sum, config->pairs[i].cert), config->pairs[i].key);
    return add_file(add_file(sum, config->client_ca), config->client_crl);
}

static void say_end(const struct bw_tls *tls)
{
    const char *file;
    int64_t days = bw_tls_days_left(tls, &file);
    if (days < DAYS_TO_WARN)
        bw_log(BW_LOG_WARN, days < 0 ? "tls.expired" : "tls.expires", BW_STR("file", file), BW_INT("days_left", days),
               BW_STR("message", "replace the files: they are read when they have changed"));
}

static bool load(struct bw_certificates *certificates, struct bw_error *err)
{
    certificates->loaded = certificates->seen = look_at_files(certificates->config);
    certificates->loaded_us = bw_clock_mono_us();
    struct bw_tls *tls = bw_tls_load(certificates->config, err);
    if (!tls) return false;
    if (certificates->ingest && !bw_ingest_set_tls(certificates->ingest, tls)) {
        bw_tls_unref(tls);
        return bw_error_set(err, "memory", "out of memory");
    }
    bw_tls_unref(certificates->tls);
    certificates->tls = tls;
    say_end(tls);
    return true;
}

void bw_certificates_reload(struct bw_certificates *certificates)
{
    struct bw_error err;
    if (load(certificates, &err)) {
        bw_log(BW_LOG_INFO, "tls.loaded", BW_INT("certificates", certificates->config->pair_count));
        return;
    }
    bw_log_error(BW_LOG_ERROR, "tls.not_loaded", &err);
    bw_log(BW_LOG_WARN, "tls.kept",
           BW_STR("message", "the certificates that were loaded before stay; they are read again when the files change, or on SIGHUP"));
}

/* Two looks that agree: whoever writes them has come to an end, with both files. */
static void on_look(evutil_socket_t fd, short what, void *arg)
{
    struct bw_certificates *certificates = arg;
    uint64_t now = look_at_files(certificates->config);
    bool is_settled = now == certificates->seen;
    (void)fd, (void)what;
    certificates->seen = now;
    if (is_settled && (now != certificates->loaded || bw_clock_mono_us() - certificates->loaded_us > TICKET_KEYS_US))
        bw_certificates_reload(certificates);
}

struct bw_certificates *bw_certificates_new(struct event_base *base, const struct bw_config *config, struct bw_error *err)
{
    const struct timeval period = {.tv_sec = LOOK_EVERY_S};
    bool is_wanted = false;
    *err = (struct bw_error){0};
    for (size_t i = 0; i < config->listen_count; i++) is_wanted |= config->listen[i].is_tls;
    if (!is_wanted) return NULL;
    struct bw_certificates *certificates = calloc(1, sizeof *certificates);
    bw_error_set(err, "memory", "out of memory");
    if (!certificates) return NULL;
    certificates->config = &config->tls;
    certificates->look = event_new(base, -1, EV_PERSIST, on_look, certificates);
    if (certificates->look && !event_add(certificates->look, &period) && load(certificates, err)) return certificates;
    bw_certificates_free(certificates);
    return NULL;
}

struct bw_tls *bw_certificates_tls(const struct bw_certificates *certificates)
{
    return certificates ? certificates->tls : NULL;
}

void bw_certificates_serve(struct bw_certificates *certificates, struct bw_ingest *ingest)
{
    if (certificates) certificates->ingest = ingest;
}

void bw_certificates_free(struct bw_certificates *certificates)
{
    if (!certificates) return;
    if (certificates->look) event_free(certificates->look);
    bw_tls_unref(certificates->tls);
    free(certificates);
}
