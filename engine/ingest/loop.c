#include "ingest/loop.h"
#include "base/clock.h"
#include "base/log.h"
#include "ingest/asked.h"
#include "ingest/connections.h"
#include "ingest/handshakes.h"
#include "ingest/held.h"
#include "ingest/priorities.h"
#include "ingest/undecided.h"
#include <event2/event.h>
#include <event2/listener.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#define DESCRIPTORS_PAUSE_MS 100
#define WRITE_OUT_MS 2000 /* at the end: how long requests may take to arrive, and answers to leave */

void bw_loop_set_doors(struct bw_loop *loop)
{
    bool is_open = !loop->is_at_cap && !loop->is_out_of_descriptors && !atomic_load(&loop->ingest->is_draining);
    for (size_t i = 0; i < loop->door_count; i++) {
        struct bw_door *door = &loop->doors[i];
        for (size_t k = 0; k < door->listener_count; k++) {
            if (is_open && !(door->is_tls && loop->has_many_handshakes))
                evconnlistener_enable(door->listeners[k]);
            else
                evconnlistener_disable(door->listeners[k]);
        }
    }
}

static void set_https_doors(void *arg, bool is_open)
{
    struct bw_loop *loop = arg;
    loop->has_many_handshakes = !is_open;
    bw_loop_set_doors(loop);
}

/* accept() failed, mostly for want of descriptors. The socket stays readable, so without a pause libevent would spin and log at full speed. */
static void on_accept_error(struct evconnlistener *listener, void *arg)
{
    static _Atomic int64_t said_us;
    const struct bw_door *door = arg;
    struct bw_loop *loop = door->loop;
    int why = evutil_socket_geterror(evconnlistener_get_fd(listener));
    int64_t now_us = bw_clock_mono_us(), before = atomic_load(&said_us);
    const struct timeval pause = {.tv_usec = DESCRIPTORS_PAUSE_MS * 1000};
    (void)listener; /* errno says it on this system */
    loop->is_out_of_descriptors = true;
    bw_loop_set_doors(loop);
    event_add(loop->open_again, &pause);
    if ((before && now_us - before < 1000000) || !atomic_compare_exchange_strong(&said_us, &before, now_us)) return;
    bw_log(BW_LOG_ERROR, "ingest.accept_failed", BW_STR("message", evutil_socket_error_to_string(why)),
           BW_STR("hint", "connections wait; raise the limit of open files (LimitNOFILE, ulimit -n) or lower max_connections"));
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *peer, int len, void *door)
{
    (void)listener, (void)len;
    bw_connection_accept(door, fd, peer);
}

bool bw_door_add(struct bw_door *door, int fd)
{
    struct evconnlistener **grown = realloc(door->listeners, (door->listener_count + 1) * sizeof(struct evconnlistener *)), *added = NULL;
    if (grown) door->listeners = grown;
    /* It listens already: backlog 0 leaves that as it is. */
    if (grown && (added = evconnlistener_new(door->loop->base, on_accept, door, LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_CLOSE_ON_FREE, 0, fd)))
        grown[door->listener_count++] = added;
    if (added)
        evconnlistener_set_error_cb(added, on_accept_error);
    else
        close(fd);
    return added != NULL;
}

static void on_open_again(evutil_socket_t fd, short what, void *arg)
{
    struct bw_loop *loop = arg;
    (void)fd, (void)what;
    loop->is_out_of_descriptors = false;
    bw_loop_set_doors(loop);
}

static void on_mail(struct bw_mail *mail, void *arg)
{
    struct bw_loop_mail *message = (struct bw_loop_mail *)((char *)mail - offsetof(struct bw_loop_mail, mail));
    message->run(arg, message);
}

static void drain(struct bw_loop *loop, struct bw_loop_mail *mail)
{
    (void)mail;
    event_del(loop->open_again);
    bw_connections_drain(loop);
    bw_held_end_all(loop);
    bw_undecided_end_all(loop);
}

static void stop(struct bw_loop *loop, struct bw_loop_mail *mail)
{
    (void)mail;
    loop->is_stopping = true;
    loop->stop_deadline_us = bw_clock_mono_us() + WRITE_OUT_MS * 1000;
    bw_held_end_all(loop);
    bw_undecided_end_all(loop);
    bw_asked_end_all(loop); /* the main thread waits for this one: it answers nobody */
    bw_loop_end_if_done(loop);
}

/* Everything that the writer had is answered, whoever is inside has been, and the answers have left or had their time. Called again by each sweep. */
void bw_loop_end_if_done(struct bw_loop *loop)
{
    if (!loop->is_stopping || loop->parked || loop->held || loop->asked || loop->undecided) return;
    if (bw_connections_are_answered(loop) || bw_clock_mono_us() > loop->stop_deadline_us) event_base_loopexit(loop->base, NULL);
}

static bool set_up_doors(struct bw_loop *loop)
{
    const struct bw_ingest_options *options = &loop->ingest->options;
    if (!(loop->doors = calloc(options->config->listen_count + 1, sizeof *loop->doors))) return false;
    for (; loop->door_count < options->config->listen_count; loop->door_count++) {
        const struct bw_listen *listen = &options->config->listen[loop->door_count];
        loop->doors[loop->door_count] = (struct bw_door){.loop = loop, .is_tls = listen->is_tls, .is_unix = listen->path != NULL};
    }
    if (!options->tls) return true;
    loop->tls = bw_tls_ref(options->tls);
    return (loop->handshakes = bw_handshakes_new(loop->base, set_https_doors, loop));
}

bool bw_loop_open(struct bw_loop *loop, struct bw_ingest *ingest, struct bw_error *err)
{
    loop->ingest = ingest;
    loop->packer = bw_packer_new();
    loop->drain.run = drain;
    loop->stop.run = stop;
    /* No locks in libevent: nobody but this loop's thread calls it, others post to the mailbox. And a list of changes: what a turn
     * begins and ends costs no call of epoll_ctl. It wants that no descriptor of the loop is closed
     * while another one of the same file lives on, unless a turn of the loop lies between (bw_connections_drain). */
    struct event_config *config = event_config_new();
    if (config && !event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST))
        loop->base = event_base_new_with_config(config);
    if (config) event_config_free(config);
    if (loop->base && !event_base_priority_init(loop->base, BW_PRIORITIES)) {
        loop->mailbox = bw_mailbox_new(loop->base, on_mail, loop);
        loop->open_again = event_new(loop->base, -1, 0, on_open_again, loop);
    }
    if (loop->mailbox && loop->open_again && set_up_doors(loop) && bw_connections_open(loop)) return true;
    return bw_error_set(err, "listen.failed", "no memory or descriptors for an ingest thread");
}

void *bw_loop_run(void *arg)
{
    struct bw_loop *loop = arg;
    bw_handshakes_begin(loop->handshakes);
    event_base_dispatch(loop->base);
    return NULL;
}

void bw_loop_close(struct bw_loop *loop)
{
    if (loop->mailbox) bw_mailbox_free(loop->mailbox);
    loop->is_stopping = false;
    bw_connections_close(loop);
    for (size_t i = 0; i < loop->door_count; i++) free(loop->doors[i].listeners);
    bw_handshakes_free(loop->handshakes);
    bw_tls_unref(loop->tls);
    if (loop->open_again) event_free(loop->open_again);
    if (loop->base) event_base_free(loop->base);
    bw_router_unref(loop->router);
    bw_buf_free(&loop->parts.url);
    bw_buf_free(&loop->scratch);
    bw_buf_free(&loop->kept);
    bw_buf_free(&loop->answer);
    bw_packer_free(loop->packer);
    free(loop->doors);
}
