#include "host/host.h"
#include "base/confine.h"
#include "base/mailbox.h"
#include "host/internal.h"
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

static void refuse(struct bw_host *host, const struct bw_error *err)
{
    json_t *head = json_pack("{s:{s:s,s:s,s:s}}", "error", "code", err->code, "message", err->message, "hint", err->hint);
    bw_channel_send_json(host->channel, BW_MSG_HOST_REFUSED, head, NULL, 0);
    json_decref(head);
}

static void confine(const struct bw_message *message, const json_t *given, char *open, size_t size)
{
    char path[PATH_MAX];
    struct bw_needs needs = bw_needs_read(given);
    bw_host_limit_size(needs.exec);
    if (needs.exec) bw_host_call_undertaker();
    snprintf(path, sizeof path, "%s", bw_json_str(message->head, "path", ""));
    bw_confine_plugin(&needs, dirname(path), open, size);
}

static void load(struct bw_host *host, const struct bw_message *message)
{
    struct bw_error err;
    json_t *manifest = NULL;
    char open[256] = "";

    host->allow_private_network = bw_json_bool(message->head, "allow_private_network", false);
    confine(message, json_object_get(message->head, "needs"), open, sizeof open);
    if (!(host->plugin = bw_host_load(bw_json_str(message->head, "path", ""), bw_json_bool(message->head, "is_copied", false) ? host->copy : -1,
                                      &manifest, &err))) {
        refuse(host, &err);
        return;
    }
    json_t *head = json_pack("{s:o,s:i,s:b}", "manifest", manifest, "abi", (int)host->plugin->abi, "has_health", bw_host_has_health(host->plugin));
    if (*open) json_object_set_new(head, "open", json_string(open));
    bw_channel_send_json(host->channel, BW_MSG_HOST_MANIFEST, head, NULL, 0);
    json_decref(head);
}

static void init(struct bw_host *host, const struct bw_message *message)
{
    char reason[400] = "";
    struct bw_buf config = {0};
    struct bw_error err;

    host->services = (struct bw_plugin_host){.size = sizeof host->services,
                                             .abi = BELLWIRE_PLUGIN_ABI,
                                             .opaque = host,
                                             .complete = bw_host_complete,
                                             .log = bw_host_log,
                                             .secret = bw_host_secret,
                                             .heartbeat = bw_host_heartbeat,
                                             .is_cancelled = bw_host_is_cancelled};
    bw_host_fill_loop_services(&host->services);
    host->instance = &host->services;
    if (host->plugin->init) {
        bw_json_append(&config, json_object_get(message->head, "config"));
        host->instance = config.failed ? NULL : host->plugin->init(&host->services, config.data, reason, sizeof reason);
        bw_buf_free(&config);
    }
    if (host->instance) {
        bw_channel_send(host->channel, BW_MSG_HOST_READY, BW_SLICE("{}"), NULL, 0);
        return;
    }
    bw_error_set(&err, "plugin.init", "init() refused: %s", *reason ? reason : "no reason given");
    refuse(host, &err);
}

static void on_message(struct bw_channel *channel, const struct bw_message *message, void *arg)
{
    struct bw_host *host = arg;
    (void)channel;
    bw_mailbox_hold(host->mailbox); /* most calls are completed before execute() returns */
    if (message->type == BW_MSG_HOST_LOAD && !host->plugin)
        load(host, message);
    else if (message->type == BW_MSG_HOST_INIT && host->plugin && !host->instance)
        init(host, message);
    else
        bw_host_take_call(host, NULL, message);
    bw_mailbox_release(host->mailbox);
}

static void on_closed(struct bw_channel *channel, const char *reason, void *arg)
{
    struct bw_host *host = arg;
    (void)channel, (void)reason;
    event_base_loopbreak(host->base); /* the engine is gone or wants no more */
}

int bw_host_main(void)
{
    static const struct bw_channel_handlers handlers = {on_message, on_closed};
    struct bw_host_descriptors ours;
    struct bw_host host = {0};

    prctl(PR_SET_PDEATHSIG, SIGKILL); /* had the engine died before this line, its end of the socketpair is closed and the loop ends */
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    bw_host_limit();
    if (!bw_host_lift_descriptors(&ours) || !bw_host_report_crashes(ours.report)) return 1;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    if (!(host.base = event_base_new()) || !(host.mailbox = bw_mailbox_new(host.base, bw_host_receive, &host)) ||
        !(host.channel = bw_channel_new(host.base, ours.engine, BW_HOST_FRAME_BYTES_MAX, &handlers, &host)) || !bw_host_take_lines(&host, ours.lines))
        return 1;
    bw_host_free_descriptors(&ours);
    host.copy = ours.copy;
    host.floor = ours.floor;
    host.output = ours.output;
    if (event_base_dispatch(host.base) != 0) {
        bw_host_last_words("the loop of its host has failed: are its descriptors closed?");
        _exit(1);
    }
    if (host.plugin && host.plugin->fini && host.instance) host.plugin->fini(host.instance);
    _exit(0); /* destructors of the plugin's libraries are not our concern; the kernel frees the rest */
}
