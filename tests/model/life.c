/* One life of an engine for the model tests (driver.py): the real store, dispatch, worker process and timers, without sockets, at a time that stands
 * still while there is something to do and then jumps. What comes in is told by a plan; a crash point (BELLWIRE_CRASH) or the plan ends it early.
 *
 * usage: life --serve   lives of nursery.h
 *        life FOLDER    reads FOLDER/plan.json, keeps its data in FOLDER/data, says what happens on stderr, a JSON object a line
 * plan: {now_ms, horizon_ms: when to stop even if something is left, kill_worker: after so many traces or 0,
 *        events: [{at_ms, key, name, body: {}} in the order of their time], cancels: [{at_ms, event: key}]} */
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "dispatch/dispatch.h"
#include "nursery.h"
#include "worker/worker.h"
#include <curl/curl.h>
#include <event2/event.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { JUMPS_MAX = 100000, KEPT_MS = 86400000 };

struct life {
    json_t *plan;
    const json_t *events;
    size_t next_event, jumps, traces, kill_at;
    int64_t now_ms, horizon_ms;
    struct event_base *base;
    struct bw_store *store;
    struct bw_dispatch *dispatch;
    bool has_begun;
    int status;
};
struct sent {
    struct bw_store_op op;
    struct bw_accepted accepted;
    struct bw_binding binding;
    struct bw_buf body;
    struct life *life;
    const char *key; /* the plan's */
};

static void end(struct life *life, int status)
{
    life->status = status;
    event_base_loopbreak(life->base);
}

/* At once and in one piece: what was said before a crash stays said. */
static void say(json_t *line)
{
    struct bw_buf text = {0};
    bw_json_append(&text, line);
    bw_buf_append_char(&text, '\n');
    if (write(STDERR_FILENO, text.data, text.len) != (ssize_t)text.len) _exit(70);
    bw_buf_free(&text);
    json_decref(line);
}

/* ---- events ---- */

static void sent_free(struct sent *sent)
{
    bw_buf_free(&sent->body);
    free(sent);
}

static void release(struct bw_accepted *accepted)
{
    sent_free((struct sent *)((char *)accepted - offsetof(struct sent, accepted)));
}

static void on_accepted(struct bw_store_op *op)
{
    struct sent *sent = op->owner; /* writer thread */
    char uid[BW_UID_TEXT];
    if (op->failed) {
        sent_free(sent);
        return;
    }
    say(json_pack("{s:s,s:s,s:s,s:b,s:I}", "say", "accepted", "key", sent->key, "event",
                  bw_uid_text(op->is_duplicate ? op->duplicate_of : sent->accepted.uid, BW_UID_EVENT, uid), "duplicate", op->is_duplicate, "at_ms",
                  (json_int_t)sent->accepted.at_ms));
    sent->accepted.event_id = op->event_id;
    if (op->is_duplicate)
        sent_free(sent);
    else
        bw_dispatch_post(sent->life->dispatch, &sent->accepted);
}

static void submit(struct life *life, const json_t *from)
{
    struct sent *sent = calloc(1, sizeof *sent);
    if (!sent) abort();
    struct bw_accepted *event = &sent->accepted;
    sent->life = life;
    sent->key = bw_json_str(from, "key", "");
    bw_json_append(&sent->body, json_object_get(from, "body"));
    atomic_init(&event->references, 1);
    event->release = release;
    event->at_ms = life->now_ms;
    event->uid = bw_uid_new(event->at_ms);
    event->revision = bw_dispatch_revision(life->dispatch);
    event->trusted = true;
    event->source = BW_SLICE("model");
    event->name = bw_slice_of(bw_json_str(from, "name", ""));
    event->headers = BW_SLICE("{}");
    event->body = bw_buf_slice(&sent->body);
    bw_dispatch_bind(life->dispatch, event->name, event->body, &sent->binding);
    sent->op = (struct bw_store_op){
        .kind = BW_OP_ACCEPT,
        .done = on_accepted,
        .owner = sent,
        .delivery = {.at_ms = event->at_ms, .source = event->source, .status = 202, .outcome = BW_OUTCOME_ACCEPTED},
        .event = {.uid = event->uid,
                  .at_ms = event->at_ms,
                  .revision = event->revision,
                  .source = event->source,
                  .name = event->name,
                  .trusted = true,
                  .headers = event->headers,
                  .body = event->body,
                  .dedupe_key = bw_slice_of(sent->key),
                  .dedupe_expire_ms = event->at_ms + KEPT_MS,
                  .keys = sent->binding.keys,
                  .key_count = sent->binding.key_count},
    };
    bw_store_submit(life->store, &sent->op);
}

/* ---- time ---- */

/* Nothing is left to do at this time, and nothing will be before due_ms. */
static void on_quiet(void *arg, int64_t due_ms)
{
    struct life *life = arg;
    const json_t *event = json_array_get(life->events, life->next_event);
    int64_t event_ms = event ? bw_json_int(event, "at_ms", 0) : INT64_MAX, next_ms = due_ms ? due_ms : INT64_MAX;
    bool is_event = event && event_ms <= next_ms;
    if (is_event) next_ms = event_ms;
    if (next_ms == INT64_MAX || next_ms > life->horizon_ms || ++life->jumps > JUMPS_MAX) {
        say(json_pack("{s:s,s:I,s:I,s:b,s:I}", "say", "quiet", "at_ms", (json_int_t)life->now_ms, "due_ms", (json_int_t)due_ms, "endless",
                      life->jumps > JUMPS_MAX, "repairs", (json_int_t)bw_store_repairs(life->store)));
        end(life, 0);
        return;
    }
    if (next_ms > life->now_ms) {
        life->now_ms = next_ms;
        say(json_pack("{s:s,s:I}", "say", "time", "at_ms", (json_int_t)life->now_ms));
    }
    if (is_event) {
        life->next_event++;
        bw_clock_stop_at(life->now_ms);
        submit(life, event);
    }
    bw_dispatch_trial_go_on(life->dispatch, life->now_ms);
}

static void on_ready(void *arg, uint32_t revision)
{
    struct life *life = arg;
    (void)revision;
    if (life->has_begun) return;
    life->has_begun = true;
    bw_dispatch_trial_go_on(life->dispatch, life->now_ms);
}

/* ---- what is seen ---- */

static void on_catalog(void *arg, const json_t *loaded)
{
    if (!json_array_size(json_object_get(loaded, "errors"))) return;
    say(json_pack("{s:s,s:O}", "say", "errors", "errors", json_object_get(loaded, "errors")));
    end(arg, 65);
}

static void on_trace(void *arg, const struct bw_message *message)
{
    struct life *life = arg;
    pid_t pids[8];
    if (!strcmp(bw_json_str(message->head, "what", ""), "step_input")) return;
    say(json_pack("{s:s,s:O,s:I}", "say", "trace", "trace", message->head, "at_ms", (json_int_t)life->now_ms));
    if (++life->traces == life->kill_at && bw_dispatch_pids(life->dispatch, pids, 8) > 0) {
        say(json_pack("{s:s}", "say", "worker_killed"));
        kill(pids[0], SIGKILL);
    }
}

static void on_fatal(void *arg, const struct bw_error *err)
{
    say(json_pack("{s:s,s:s,s:s}", "say", "fatal", "code", err->code, "message", err->message));
    end(arg, 70);
}

static int live(struct life *life, const char *folder)
{
    char data[256], config_path[256];
    struct bw_errors errs = {0};
    struct bw_error err = {0};
    snprintf(data, sizeof data, "%s/data", folder);
    snprintf(config_path, sizeof config_path, "%s/bellwire.yaml", folder);
    mkdir(data, 0700);
    struct bw_config *config = bw_config_load(config_path, &errs);
    if (!config) return 64;
    life->base = event_base_new();
    bw_clock_stop_at(life->now_ms);
    life->store = bw_store_open(data, &err);
    if (!life->base || !life->store) return 66;
    const struct bw_dispatch_options options = {.config = config, .store = life->store, .store_folder = data, .trace = true, .trial = true};
    const struct bw_dispatch_handlers handlers = {
        .arg = life, .ready = on_ready, .catalog = on_catalog, .trace = on_trace, .quiet = on_quiet, .fatal = on_fatal};
    life->dispatch = bw_dispatch_new(life->base, &options, &handlers, &err);
    if (!life->dispatch) return 67;
    json_t *mocks = json_object();
    bw_dispatch_trial_begin(life->dispatch, life->now_ms, "", mocks); /* before a worker is there: it has the time from its first event on */
    event_base_dispatch(life->base);
    bw_dispatch_stop(life->dispatch);
    bw_store_close(life->store);
    bw_dispatch_free(life->dispatch);
    event_base_free(life->base);
    bw_config_free(config);
    json_decref(mocks);
    return life->status;
}

static int live_in(const char *folder)
{
    char path[256];
    struct life life = {0};
    signal(SIGPIPE, SIG_IGN); /* as `bellwire serve` does */
    bw_log_setup(BW_LOG_INFO, BW_LOG_JSON, "life");
    snprintf(path, sizeof path, "%s/plan.json", folder);
    life.plan = json_load_file(path, 0, NULL);
    if (!life.plan) return 64;
    life.events = json_object_get(life.plan, "events");
    life.now_ms = bw_json_int(life.plan, "now_ms", 0);
    life.horizon_ms = bw_json_int(life.plan, "horizon_ms", INT64_MAX);
    life.kill_at = (size_t)bw_json_int(life.plan, "kill_worker", 0);
    int status = live(&life, folder);
    json_decref(life.plan);
    return status;
}

static int live_with_nursery(const char *folder)
{
    return nursery_open(bw_worker_main) ? 72 : live_in(folder);
}

/* What every process would do first. */
static void warm_up(void)
{
    struct bw_error err;
    uint8_t mac[32];
    curl_global_init(CURL_GLOBAL_DEFAULT);
    bw_uid_new(1);
    HMAC(EVP_sha256(), "", 0, mac, 0, mac, NULL);
    SHA256(mac, 0, mac);
    bw_store_close(bw_store_open(NULL, &err));
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "worker")) return bw_worker_main();
    if (argc == 2 && !strcmp(argv[1], "--serve")) return warm_up(), nursery_serve(live_with_nursery);
    return argc == 2 ? live_in(argv[1]) : 64;
}
