#include "ingest/handshakes.h"
#include "base/clock.h"
#include "base/log.h"
#include "ingest/priorities.h"
#include <stdlib.h>
#include <string.h>

#define WINDOW_MS 50
#define SHARE_US (WINDOW_MS * 1000 / 2)
#define SAID_EVERY_US 1000000

struct bw_handshakes {
    struct event *window, *idle;
    void (*set_open)(void *arg, bool is_open);
    void *arg;
    bool is_closed;
    int64_t entered_us; /* 0: no handshake has the thread */
    int64_t spent_us;   /* in this window */
    int64_t said_us;
    unsigned unsaid;
};

static _Thread_local struct bw_handshakes *this_thread; /* OpenSSL's callback is told of a connection only */

static void set_open(struct bw_handshakes *handshakes, bool is_open)
{
    if (handshakes->is_closed == !is_open) return;
    handshakes->is_closed = !is_open;
    handshakes->set_open(handshakes->arg, is_open);
}

/* Nobody else wants the thread. */
static void on_idle(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    set_open(arg, true);
}

static void on_window(evutil_socket_t fd, short what, void *arg)
{
    struct bw_handshakes *handshakes = arg;
    bool is_over = handshakes->spent_us > SHARE_US;
    (void)fd, (void)what;
    handshakes->spent_us = 0;
    set_open(handshakes, !is_over);
    if (is_over) event_active(handshakes->idle, EV_TIMEOUT, 0);
}

struct bw_handshakes *bw_handshakes_new(struct event_base *base, void (*open_or_close)(void *arg, bool is_open), void *arg)
{
    const struct timeval window = {.tv_usec = WINDOW_MS * 1000};
    struct bw_handshakes *handshakes = calloc(1, sizeof *handshakes);
    if (!handshakes) return NULL;
    handshakes->set_open = open_or_close;
    handshakes->arg = arg;
    handshakes->window = event_new(base, -1, EV_PERSIST, on_window, handshakes);
    handshakes->idle = event_new(base, -1, 0, on_idle, handshakes);
    if (handshakes->window && handshakes->idle && !event_priority_set(handshakes->idle, BW_PRIORITY_IDLE) && !event_add(handshakes->window, &window))
        return handshakes;
    bw_handshakes_free(handshakes);
    return NULL;
}

void bw_handshakes_begin(struct bw_handshakes *handshakes)
{
    this_thread = handshakes;
}

void bw_handshakes_free(struct bw_handshakes *handshakes)
{
    if (!handshakes) return;
    if (handshakes->window) event_free(handshakes->window);
    if (handshakes->idle) event_free(handshakes->idle);
    free(handshakes);
}

/* Scanners fail all day long: a line a second is enough. */
static void say_failure(struct bw_handshakes *handshakes, const SSL *ssl, int where, int alert)
{
    int64_t now_us = bw_clock_mono_us();
    handshakes->unsaid++;
    if (handshakes->said_us && now_us - handshakes->said_us < SAID_EVERY_US) return;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    bw_log(BW_LOG_INFO, "tls.handshake_failed", BW_STR("alert", SSL_alert_desc_string_long(alert)),
           BW_STR("said_by", where & SSL_CB_READ ? "the client" : "us"), BW_STR("name", name), BW_INT("times", handshakes->unsaid));
    handshakes->said_us = now_us;
    handshakes->unsaid = 0;
}

void bw_handshakes_watch(const SSL *ssl, int where, int result)
{
    struct bw_handshakes *handshakes = this_thread;
    if (!handshakes) return;
    if (where & SSL_CB_ALERT) {
        bool is_goodbye = (result & 0xff) == SSL_AD_CLOSE_NOTIFY || (result & 0xff) == SSL_AD_USER_CANCELLED;
        /* When we complain OpenSSL has left the state that it was in: an open connection that ends without a goodbye is no failed handshake. */
        bool is_handshake = where & SSL_CB_READ ? !SSL_is_init_finished(ssl) : handshakes->entered_us != 0;
        if (!is_goodbye && is_handshake) say_failure(handshakes, ssl, where, result);
    } else if (where & SSL_CB_EXIT) {
        if (handshakes->entered_us) handshakes->spent_us += bw_clock_mono_us() - handshakes->entered_us;
        handshakes->entered_us = 0;
    } else if (!handshakes->entered_us) {
        handshakes->entered_us = bw_clock_mono_us();
    }
}
