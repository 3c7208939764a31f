/* How a plugin is, as it says itself: asked now and then, for people. What is ill still gets its calls: what it says is old by then, and a step's
 * retry rules know better than we do how long it may be waited for. */
#include "base/clock.h"
#include "base/log.h"
#include "dispatch/hosts.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MS 5000
#define GRACE_MS 10000 /* to give it up: nobody waits for it, and the process may have calls to do */
#define EVERY_US (30 * 1000000LL)
#define EVERY_ILL_US (5 * 1000000LL)
#define APART_US 1000000LL /* however many calls fail */

static void become(struct bw_plugin_host *host, int state, const char *code, const char *said)
{
    struct bw_plugin_health *health = &host->health;
    struct bw_buf text = {0};
    char message[sizeof health->message];
    bw_redact_append(&text, bw_slice_of(said));
    snprintf(message, sizeof message, "%s", text.data && !text.failed ? text.data : "");
    bw_buf_free(&text);
    bool is_news = (int)health->state != state || strcmp(health->code, code) != 0 || strcmp(health->message, message) != 0;
    if ((int)health->state != state) health->since_ms = bw_clock_wall_ms();
    if (is_news && state == BW_HEALTH_ILL)
        bw_log(BW_LOG_WARN, "plugin.ill", BW_STR("plugin", bw_host_name(host)), BW_STR("code", code), BW_STR("message", message));
    if (is_news && state == BW_HEALTH_WELL && health->state == BW_HEALTH_ILL)
        bw_log(BW_LOG_INFO, "plugin.well", BW_STR("plugin", bw_host_name(host)));
    health->state = state;
    snprintf(health->code, sizeof health->code, "%s", code);
    snprintf(health->message, sizeof health->message, "%s", message);
    health->next_us = bw_clock_mono_us() + (state == BW_HEALTH_ILL ? EVERY_ILL_US : EVERY_US);
}

void bw_host_health_begin(struct bw_plugin_host *host)
{
    host->health.next_us = 0;
}

void bw_host_health_doubt(struct bw_plugin_host *host)
{
    int64_t soon_us = host->health.asked_us + APART_US;
    if (soon_us < host->health.next_us) host->health.next_us = soon_us;
}

void bw_host_health_answered(struct bw_plugin_host *host, const struct bw_plugin_call *call, const json_t *head)
{
    const json_t *error = json_object_get(head, "error");
    const char *message = bw_json_str(error, "message", "");
    if (call->id != host->health.call) return; /* of a process before this one, or too late */
    if (!strcmp(bw_json_str(head, "outcome", ""), "ok"))
        become(host, BW_HEALTH_WELL, "", "");
    else
        become(host, BW_HEALTH_ILL, bw_json_str(error, "code", "plugin.health"), *message ? message : "the plugin gave no reason");
}

void bw_host_health_over(struct bw_plugin_host *host, const struct bw_plugin_call *call)
{
    if (call->id == host->health.call) host->health.call = 0;
}

static void ask(struct bw_plugin_host *host, struct bw_plugin_process *process, int64_t now_us)
{
    char about[48];
    snprintf(about, sizeof about, "{\"timeout_ms\":%d}", ANSWER_MS);
    struct bw_plugin_call *call = bw_host_call_new(process, bw_slice_of(about));
    const struct bw_slice parts[] = {BW_SLICE("{}"), bw_slice_of(about)};
    host->health.asked_us = now_us;
    host->health.next_us = now_us + EVERY_US;
    if (!call) return;
    host->health.call = call->id;
    call->is_health = true;
    json_t *execute = json_pack("{s:I,s:b,s:o,s:i,s:i}", "call", (json_int_t)call->id, "health", true, "secrets", bw_host_call_secrets(process, NULL),
                                "input_part", 0, "about_part", 1);
    bw_channel_send_json(process->channel, BW_MSG_HOST_EXECUTE, execute, parts, 2);
    json_decref(execute);
}

/* Like any other call it is given up then, and its process is ended if that does not help. */
static void give_up(struct bw_plugin_host *host)
{
    struct bw_plugin_process *process;
    struct bw_plugin_call *call;
    int64_t id = host->health.call;
    host->health.call = 0;
    become(host, BW_HEALTH_ILL, "plugin.health", "it has not said within 5 s how it is");
    TAILQ_FOREACH(process, &host->processes, link)
    if ((call = bw_host_call_find(process, id))) bw_host_call_cancel(process, call, GRACE_MS);
}

void bw_host_health_watch(struct bw_plugin_host *host, int64_t now_us)
{
    struct bw_plugin_process *process = host->current;
    if (!host->dispatch->options.asks_health || host->state != BW_HOST_READY || !process || !process->channel || !process->is_ready) return;
    if (!process->has_health) {
        host->health = (struct bw_plugin_health){0};
        return;
    }
    if (host->health.call && now_us - host->health.asked_us > ANSWER_MS * 1000LL) give_up(host);
    if (!host->health.call && now_us >= host->health.next_us) ask(host, process, now_us);
}

/* ---- for whoever asks ---- */

static json_t *describe(const struct bw_plugin_host *host)
{
    static const char *const states[] = {
        [BW_HOST_LOADING] = "loading", [BW_HOST_READY] = "ready", [BW_HOST_REFUSED] = "refused", [BW_HOST_RESTING] = "resting"};
    const struct bw_plugin_health *health = &host->health;
    const char *file = bw_host_name(host);
    const struct bw_plugin_process *process;
    const struct bw_plugin_call *call;
    json_int_t calls = 0;
    TAILQ_FOREACH(process, &host->processes, link)
    TAILQ_FOREACH(call, &process->calls, link) calls += !call->is_health;
    json_t *described =
        json_pack("{s:s%,s:s,s:s,s:I}", "plugin", file, (int)strcspn(file, "."), "file", host->path, "state", states[host->state], "calls", calls);
    const char *name = bw_json_str(host->build->manifest, "name", NULL), *version = bw_json_str(host->build->manifest, "version", NULL);
    if (name) json_object_set_new(described, "plugin", json_string(name));
    if (version) json_object_set_new(described, "version", json_string(version));
    if (health->state == BW_HEALTH_UNKNOWN) return described;
    json_object_set_new(described, "health", json_string(health->state == BW_HEALTH_WELL ? "well" : "ill"));
    json_object_set_new(described, "since_ms", json_integer(health->since_ms));
    if (health->state == BW_HEALTH_WELL) return described;
    json_object_set_new(described, "code", json_string(health->code));
    json_object_set_new(described, "message", json_string(health->message));
    return described;
}

json_t *bw_dispatch_plugins(const struct bw_dispatch *dispatch)
{
    const struct bw_plugin_host *host;
    json_t *plugins = json_array();
    TAILQ_FOREACH(host, &dispatch->hosts, link)
    if (bw_host_is_wanted(host, dispatch->configure)) json_array_append_new(plugins, describe(host));
    return plugins;
}
