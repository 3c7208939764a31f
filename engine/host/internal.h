/* internal.h: what the files of this room share. One process, one loop; what comes from other threads of the plugin is atomic, or mail. */
#ifndef BW_HOST_INTERNAL_H
#define BW_HOST_INTERNAL_H
#include "base/error.h"
#include "base/json.h"
#include "base/mailbox.h"
#include "plugin/bellwire_plugin.h"
#include "wire/channel.h"
#include "wire/messages.h"
#include <event2/event.h>

struct bw_host_line;
struct bw_host {
    struct event_base *base;
    struct bw_channel *channel;
    struct bw_plugin_host services; /* what the plugin sees; services.opaque is this struct */
    const struct bw_plugin *plugin;
    void *instance;
    bool allow_private_network;
    int copy;             /* of the plugin; -1: none */
    int floor, output;    /* our descriptors lie above; the pipe that stdout and stderr write to, whatever the plugin does to those */
    struct event *passed; /* a line has come */
    struct bw_host_call *calls;
    struct bw_mailbox *mailbox; /* completions and log lines of any thread come home through it */
};

/* limits.c: before anything of the plugin is loaded */
void bw_host_limit(void);                    /* descriptors and the like */
void bw_host_limit_size(bool may_be_raised); /* memory, files: for a plugin that starts programs, up to what they were */
/* undertaker.c: before the plugin is confined, for one that may start processes */
void bw_host_call_undertaker(void);
/* crash.c: what ends this process is written to fd, which does not block */
bool bw_host_report_crashes(int fd);
void bw_host_last_words(const char *text);
/* load.c: dlopen (of the copy, if there is one) and every check before the first line of the plugin runs (except its constructors). False: err
 * (plugin.*) says why, with the cure.
 */
bool bw_host_has_health(const struct bw_plugin *plugin); /* it may be of an older header */
const struct bw_plugin *bw_host_load(const char *path, int copy, json_t **manifest, struct bw_error *err);
/* calls.c */
/* line: on which it was called; NULL: by the engine */
void bw_host_take_call(struct bw_host *host, struct bw_host_line *line, const struct bw_message *message); /* a call, or its cancel; else nothing */
void bw_host_execute(struct bw_host *host, struct bw_host_line *line, const struct bw_message *message);
void bw_host_cancel(struct bw_host *host, const struct bw_host_line *line, int64_t call);
void bw_host_cancel_all(struct bw_host *host, const struct bw_host_line *line);
json_t *bw_host_calls_of(const struct bw_host *host, const struct bw_host_line *line); /* their numbers */
void bw_host_receive(struct bw_mail *mail, void *arg);                                 /* the mailbox's receiver */
void bw_host_heartbeat(const struct bw_plugin_host *services, struct bw_plugin_call *call);
bool bw_host_is_cancelled(const struct bw_plugin_host *services, const struct bw_plugin_call *call);
void bw_host_complete(const struct bw_plugin_host *services, struct bw_plugin_call *call, const struct bw_plugin_result *result);
const char *bw_host_secret(const struct bw_plugin_host *services, const struct bw_plugin_call *call, const char *name);
void bw_host_log(const struct bw_plugin_host *services, const struct bw_plugin_call *call, enum bw_plugin_level level, const char *text);
/* lines.c */
bool bw_host_take_lines(struct bw_host *host, int socket); /* those that come there, from now on */
void bw_host_line_begin(struct bw_host_line *line);        /* one more call; NULL: none of its business */
void bw_host_line_done(struct bw_host_line *line);         /* one less: it may be gone afterwards */
int64_t bw_host_line_number(const struct bw_host_line *line);
struct bw_channel *bw_host_line_channel(const struct bw_host_line *line); /* NULL: nobody is there any more */
bool bw_host_has_printed(const struct bw_host *host);                     /* and the engine has not read it yet */
/* loop.c: the event services */
void bw_host_fill_loop_services(struct bw_plugin_host *services);
/* descriptors.c: 0, 1 and 2 become the plugin's, ours are moved up, and all in between are taken until bw_host_free_descriptors() */
struct bw_host_descriptors {
    int floor, engine, report, output, lines;
    int copy; /* of the plugin; -1: none was given */
};
bool bw_host_lift_descriptors(struct bw_host_descriptors *ours);
void bw_host_free_descriptors(const struct bw_host_descriptors *ours);
#endif
