/* The host's event loop as a plugin sees it. */
#include "base/net_address.h"
#include "host/internal.h"
#include <stdlib.h>
#include <sys/socket.h>

struct bw_plugin_watch {
    struct bw_host *host;
    struct event *event;
    void (*ready)(void *arg, int fd, int what);
    void *arg;
};
struct bw_plugin_timer {
    struct bw_host *host;
    struct event *event;
    void (*fire)(void *arg);
    void *arg;
};

static struct bw_host *host_of(const struct bw_plugin_host *services)
{
    return services->opaque;
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    const struct bw_plugin_watch *watch = arg;
    struct bw_host *host = watch->host; /* the watch may be gone afterwards */
    bw_mailbox_hold(host->mailbox);
    watch->ready(watch->arg, fd, (what & EV_READ ? BW_PLUGIN_READ : 0) | (what & EV_WRITE ? BW_PLUGIN_WRITE : 0));
    bw_mailbox_release(host->mailbox);
}

static void unwatch(const struct bw_plugin_host *services, struct bw_plugin_watch *watch)
{
    (void)services;
    if (!watch) return;
    if (watch->event) event_free(watch->event);
    free(watch);
}

static struct bw_plugin_watch *watch_fd(const struct bw_plugin_host *services, int fd, int watch_for, void (*ready)(void *arg, int fd, int what),
                                        void *arg)
{
    struct bw_plugin_watch *watch = calloc(1, sizeof *watch);
    short what = EV_PERSIST | (watch_for & BW_PLUGIN_READ ? EV_READ : 0) | (watch_for & BW_PLUGIN_WRITE ? EV_WRITE : 0);
    if (!watch) return NULL;
    watch->host = host_of(services);
    watch->ready = ready;
    watch->arg = arg;
    watch->event = event_new(watch->host->base, fd, what, on_ready, watch);
    if (watch->event && !event_add(watch->event, NULL)) return watch;
    unwatch(services, watch);
    return NULL;
}

static void cancel_timer(const struct bw_plugin_host *services, struct bw_plugin_timer *timer)
{
    (void)services;
    if (!timer) return;
    if (timer->event) event_free(timer->event);
    free(timer);
}

static void on_fire(evutil_socket_t fd, short what, void *arg)
{
    struct bw_plugin_timer *timer = arg;
    struct bw_host *host = timer->host;
    void (*fire)(void *) = timer->fire;
    void *fire_arg = timer->arg;
    (void)fd, (void)what;
    cancel_timer(NULL, timer); /* it is gone when fire is called */
    bw_mailbox_hold(host->mailbox);
    fire(fire_arg);
    bw_mailbox_release(host->mailbox);
}

static struct bw_plugin_timer *start_timer(const struct bw_plugin_host *services, int64_t delay_ms, void (*fire)(void *arg), void *arg)
{
    struct bw_plugin_timer *timer = calloc(1, sizeof *timer);
    if (!timer) return NULL;
    if (delay_ms < 0) delay_ms = 0;
    timer->host = host_of(services);
    timer->fire = fire;
    timer->arg = arg;
    timer->event = event_new(timer->host->base, -1, 0, on_fire, timer);
    if (timer->event && !event_add(timer->event, &(struct timeval){.tv_sec = delay_ms / 1000, .tv_usec = delay_ms % 1000 * 1000})) return timer;
    cancel_timer(services, timer);
    return NULL;
}

static bool may_connect(const struct bw_plugin_host *services, const void *sockaddr, size_t sockaddr_len)
{
    (void)sockaddr_len;
    return host_of(services)->allow_private_network || bw_net_address_is_public(sockaddr);
}

void bw_host_fill_loop_services(struct bw_plugin_host *services)
{
    services->watch_fd = watch_fd;
    services->unwatch = unwatch;
    services->timer = start_timer;
    services->cancel_timer = cancel_timer;
    services->may_connect = may_connect;
}
