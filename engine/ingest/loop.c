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

static _Thread_local struct bw_loop *this_loop; /* for the one callback that is told only its evhttp */

void bw_loop_set_doors(struct bw_loop *loop)
{
    bool is_open = !loop->is_at_cap && !loop->is_out_of_descriptors && !atomic_load(&loop->ingest->is_draining);
    for (size_t i = 0; i < loop->door_count; i++) {
        struct bw_door *door = &loop->doors[i];
        for (size_t k = 0; k < door->socket_count; k++) {
            struct evconnlistener *listener = evhttp_bound_socket_get_listener(door->sockets[k]);
            if (is_open && !(door->is_tls && loop->has_many_handshakes))
                evconnlistener_enable(listener);
            else
                evconnlistener_disable(listener);
        }
    }
}

bool bw_door_add(struct bw_door *door, int fd)
{
    struct evhttp_bound_socket **grown = realloc(door->sockets, (door->socket_count + 1) * sizeof(struct evhttp_bound_socket *)), *added = NULL;
    if (grown) door->sockets = grown;
    if (grown && (added = evhttp_accept_socket_with_handle(door->http, fd))) grown[door->socket_count++] = added;
    if (!added) close(fd);
    return added != NULL;
}

static void set_https_doors(void *arg, bool is_open)
{
    struct bw_loop *loop = arg;
    loop->has_many_handshakes = !is_open;
    bw_loop_set_doors(loop);
}

/* accept() failed, mostly for want of descriptors. The socket stays readable, so without a pause libevent would spin and log at full speed. */
static void on_accept_error(struct evconnlistener *listener, void *http)
{
    static _Atomic int64_t said_us;
    int why = evutil_socket_geterror(evconnlistener_get_fd(listener));
    int64_t now_us = bw_clock_mono_us(), before = atomic_load(&said_us);
    const struct timeval pause = {.tv_usec = DESCRIPTORS_PAUSE_MS * 1000};
    (void)http, (void)listener; /* errno says it on this system */
    this_loop->is_out_of_descriptors = true;
    bw_loop_set_doors(this_loop);
    event_add(this_loop->open_again, &pause);
    if ((before && now_us - before < 1000000) || !atomic_compare_exchange_strong(&said_us, &before, now_us)) return;
    bw_log(BW_LOG_ERROR, "ingest.accept_failed", BW_STR("message", evutil_socket_error_to_string(why)),
           BW_STR("hint", "connections wait; raise the limit of open files (LimitNOFILE, ulimit -n) or lower max_connections"));
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

static bool set_up_door(struct bw_loop *loop, const struct bw_listen *listen)
{
    struct bw_door *door = &loop->doors[loop->door_count];
    *door = (struct bw_door){.loop = loop, .http = evhttp_new(loop->base), .is_tls = listen->is_tls, .is_unix = listen->path != NULL};
    if (!door->http) return false;
    loop->door_count++;
    /* The gate answers what is larger; these are the second line, and what a connection past the gate would meet. */
    evhttp_set_max_headers_size(door->http, BW_GATE_HEAD_MAX);
    evhttp_set_max_body_size(door->http, BW_BODY_BYTES_HARD_GITHUB);
    evhttp_set_default_content_type(door->http, NULL);
    evhttp_set_allowed_methods(door->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD | EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE |
                                               EVHTTP_REQ_OPTIONS | EVHTTP_REQ_PATCH);
    evhttp_set_gencb(door->http, bw_accept_request, loop);
    evhttp_set_bevcb(door->http, bw_connection_accept, door);
    return true;
}

static bool set_up_doors(struct bw_loop *loop)
{
    const struct bw_ingest_options *options = &loop->ingest->options;
    if (!(loop->doors = calloc(options->config->listen_count + 1, sizeof *loop->doors))) return false;
    for (size_t i = 0; i < options->config->listen_count; i++)
        if (!set_up_door(loop, &options->config->listen[i])) return false;
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
    /* No locks in libevent: nobody but this loop's thread calls it, others post to the mailbox. And a list of changes: an answer ends most of what
     * its request began with epoll, so two or three calls of epoll_ctl for each are one or none. It wants that no descriptor of the loop is closed
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
    struct bw_loop *loop = this_loop = arg;
    for (size_t i = 0; i < loop->door_count; i++)
        for (size_t k = 0; k < loop->doors[i].socket_count; k++)
            evconnlistener_set_error_cb(evhttp_bound_socket_get_listener(loop->doors[i].sockets[k]), on_accept_error);
    bw_handshakes_begin(loop->handshakes);
    event_base_dispatch(loop->base);
    return NULL;
}

void bw_loop_close(struct bw_loop *loop)
{
    if (loop->mailbox) bw_mailbox_free(loop->mailbox);
    loop->is_stopping = false;
    for (size_t i = 0; i < loop->door_count; i++) {
        evhttp_free(loop->doors[i].http); /* with its connections */
        free(loop->doors[i].sockets);
    }
    bw_connections_close(loop);
    bw_handshakes_free(loop->handshakes);
    bw_tls_unref(loop->tls);
    if (loop->open_again) event_free(loop->open_again);
    if (loop->base) event_base_free(loop->base); /* also ends the bufferevents whose end was put off */
    bw_router_unref(loop->router);
    bw_buf_free(&loop->parts.url);
    bw_buf_free(&loop->scratch);
    bw_buf_free(&loop->kept);
    bw_packer_free(loop->packer);
    free(loop->doors);
}
