#include "host/host.h"
#include "base/mailbox.h"
#include "host/internal.h"
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define ENGINE_FD 3
#define FRAME_BYTES_MAX (16u << 20)

static void refuse(struct bw_host *host, const struct bw_error *err)
{
    json_t *head = json_pack("{s:{s:s,s:s,s:s}}", "error", "code", err->code, "message", err->message, "hint", err->hint);
    bw_channel_send_json(host->channel, BW_MSG_HOST_REFUSED, head, NULL, 0);
    json_decref(head);
}

static void load(struct bw_host *host, const struct bw_message *message)
{
    struct bw_error err;
    json_t *manifest = NULL;
    char reason[400] = "";
    struct bw_buf config = {0};

    host->allow_private_network = bw_json_bool(message->head, "allow_private_network", false);
    if (!(host->plugin = bw_host_load(bw_json_str(message->head, "path", ""), &manifest, &err))) {
        refuse(host, &err);
        return;
    }
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
        json_t *settings = json_object_get(message->head, "config");
        if (settings)
            bw_json_append(&config, settings);
        else
            bw_buf_append_text(&config, "{}");
        host->instance = host->plugin->init(&host->services, config.data, reason, sizeof reason);
        bw_buf_free(&config);
    }
    if (!host->instance) {
        bw_error_set(&err, "plugin.init", "init() refused: %s", *reason ? reason : "no reason given");
        refuse(host, &err);
        json_decref(manifest);
        return;
    }
    json_t *head = json_pack("{s:o,s:i}", "manifest", manifest, "abi", (int)host->plugin->abi);
    bw_channel_send_json(host->channel, BW_MSG_HOST_MANIFEST, head, NULL, 0);
    json_decref(head);
}

static void on_message(struct bw_channel *channel, const struct bw_message *message, void *arg)
{
    struct bw_host *host = arg;
    (void)channel;
    if (message->type == BW_MSG_HOST_LOAD && !host->plugin)
        load(host, message);
    else if (message->type == BW_MSG_HOST_EXECUTE && host->instance)
        bw_host_execute(host, message);
    else if (message->type == BW_MSG_HOST_CANCEL && host->instance)
        bw_host_cancel(host, bw_json_int(message->head, "call", 0));
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
    struct bw_host host = {0};

    prctl(PR_SET_PDEATHSIG, SIGKILL); /* had the engine died before this line, its end of the socketpair is closed and the loop ends */
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    if (!(host.base = event_base_new()) || !(host.mailbox = bw_mailbox_new(host.base, bw_host_receive, &host)) ||
        !(host.channel = bw_channel_new(host.base, ENGINE_FD, FRAME_BYTES_MAX, &handlers, &host)) || !bw_host_capture_output(&host))
        return 1;
    event_base_dispatch(host.base);
    if (host.plugin && host.plugin->fini && host.instance) host.plugin->fini(host.instance);
    _exit(0); /* destructors of the plugin's libraries are not our concern; the kernel frees the rest */
}
