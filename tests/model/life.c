/* One life of an engine for the model tests (driver.py): the real store, dispatch, worker process and timers, without sockets, at a time that stands
 * still while there is something to do and then jumps. What comes from outside is told by a plan; a crash point (BELLWIRE_CRASH) or the plan ends it
 * early.
 *
 * usage: life --serve   lives of nursery.h
 *        life FOLDER    reads FOLDER/plan.json, keeps its data in FOLDER/data, says what happens on stderr, a JSON object a line
 * plan: {now_ms, horizon_ms: when to stop even if something is left, kill_worker: after so many traces or 0, approvals: see people.c,
 *        acts: [{number, at_ms, do, …}] in the order of their time; acts.c and people.c say what there is} */
#include "life.h"
#include "base/clock.h"
#include "base/libcurl.h"
#include "base/log.h"
#include "dispatch/internal.h"
#include "nursery.h"
#include "worker/worker.h"
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { JUMPS_MAX = 100000 };

static void end(struct life *life, int status)
{
    life->status = status;
    event_base_loopbreak(life->base);
}

void life_say(json_t *line)
{
    struct bw_buf text = {0};
    bw_json_append(&text, line);
    bw_buf_append_char(&text, '\n');
    if (write(STDERR_FILENO, text.data, text.len) != (ssize_t)text.len) _exit(70);
    bw_buf_free(&text);
    json_decref(line);
}

void life_did(struct life *life, const json_t *act, json_t *more)
{
    json_t *line = json_pack("{s:s,s:I,s:s,s:I}", "say", "did", "number", bw_json_int(act, "number", -1), "do", bw_json_str(act, "do", ""), "at_ms",
                             (json_int_t)bw_clock_wall_ms());
    if (more) json_object_update(line, more);
    json_decref(more);
    life_say(line);
    atomic_fetch_sub(&life->open_acts, 1);
}

struct bw_reader *life_reader(struct life *life)
{
    char data[256];
    struct bw_error err;
    snprintf(data, sizeof data, "%s/data", life->folder);
    if (!life->reader) life->reader = bw_reader_open(data, &err);
    if (!life->reader) _exit(70);
    return life->reader;
}

/* ---- time ---- */

/* Which versions there are from now on: the hash of each workflow, and its first step, by which it is known. */
static void say_revision(struct life *life)
{
    json_t *found = json_object(), *workflow;
    size_t index;
    uint32_t revision = bw_dispatch_revision(life->dispatch);
    if (!bw_dispatch_workflows(life->dispatch) || revision == life->said_revision) {
        json_decref(found);
        return;
    }
    life->said_revision = revision;
    json_array_foreach(bw_dispatch_workflows(life->dispatch), index, workflow)
        json_object_set_new(found, bw_json_str(workflow, "name", ""),
                            json_pack("[O,O]", json_object_get(workflow, "hash"), json_array_get(json_object_get(workflow, "steps"), 0)));
    life_say(json_pack("{s:s,s:I,s:o}", "say", "revision", "revision", (json_int_t)revision, "workflows", found));
}

static void go_on(struct life *life)
{
    bw_dispatch_trial_go_on(life->dispatch, life->now_ms);
    if (life->dispatch->schedules) bw_schedules_watch(life->dispatch->schedules);
}

static void jump_to(struct life *life, int64_t next_ms)
{
    if (next_ms <= life->now_ms) return;
    life->now_ms = next_ms;
    life_say(json_pack("{s:s,s:I}", "say", "time", "at_ms", (json_int_t)life->now_ms));
    bw_clock_stop_at(life->now_ms);
}

/* Nothing is left to do at this time, and nothing will be before due_ms. */
static void on_quiet(void *arg, int64_t due_ms)
{
    struct life *life = arg;
    const json_t *act = json_array_get(life->acts, life->next_act);
    int64_t act_ms = act ? bw_json_int(act, "at_ms", 0) : INT64_MAX, next_ms = due_ms ? due_ms : INT64_MAX;
    say_revision(life);
    if (atomic_load(&life->open_acts)) { /* somebody waits for an answer */
        go_on(life);
        return;
    }
    if (life->dispatch->permits) bw_permits_watch(life->dispatch->permits); /* as it does all the time */
    bool is_act = act && act_ms <= next_ms;
    if (is_act) next_ms = act_ms;
    if (next_ms == INT64_MAX || next_ms > life->horizon_ms || ++life->jumps > JUMPS_MAX) {
        life_say(json_pack("{s:s,s:I,s:I,s:b,s:I}", "say", "quiet", "at_ms", (json_int_t)life->now_ms, "due_ms", (json_int_t)due_ms, "endless",
                           life->jumps > JUMPS_MAX, "repairs", (json_int_t)bw_store_repairs(life->store)));
        end(life, 0);
        return;
    }
    jump_to(life, next_ms);
    while (is_act) { /* those of one time side by side */
        life->next_act++;
        atomic_fetch_add(&life->open_acts, 1);
        if (!strcmp(bw_json_str(act, "do", ""), "stop")) {
            life_did(life, act, NULL);
            end(life, 3);
            return;
        }
        acts_begin(life, act);
        act = json_array_get(life->acts, life->next_act);
        is_act = act && bw_json_int(act, "at_ms", 0) <= life->now_ms;
    }
    go_on(life);
}

static void on_ready(void *arg, uint32_t revision)
{
    struct life *life = arg;
    (void)revision;
    if (life->has_begun) return;
    life->has_begun = true;
    go_on(life);
}

/* ---- what is seen ---- */

static void on_catalog(void *arg, const json_t *loaded)
{
    if (!json_array_size(json_object_get(loaded, "errors"))) return;
    life_say(json_pack("{s:s,s:O}", "say", "errors", "errors", json_object_get(loaded, "errors")));
    end(arg, 65);
}

static void on_trace(void *arg, const struct bw_message *message)
{
    struct life *life = arg;
    pid_t pids[8];
    if (!strcmp(bw_json_str(message->head, "what", ""), "step_input")) return;
    life_say(json_pack("{s:s,s:O,s:I}", "say", "trace", "trace", message->head, "at_ms", (json_int_t)life->now_ms));
    if (++life->traces == life->kill_at && bw_dispatch_pids(life->dispatch, pids, 8) > 0) {
        life_say(json_pack("{s:s}", "say", "worker_killed"));
        kill(pids[0], SIGKILL);
    }
}

static void on_fatal(void *arg, const struct bw_error *err)
{
    life_say(json_pack("{s:s,s:s,s:s}", "say", "fatal", "code", err->code, "message", err->message));
    if (((struct life *)arg)->base) end(arg, 70);
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
    life->store = bw_store_open_keeping(data, &config->retention, &err);
    if (!life->base || !life->store) return on_fatal(life, &err), 66;
    const struct bw_dispatch_options options = {
        .config = config, .store = life->store, .store_folder = data, .trace = true, .trial = true, .trial_limits = true, .with_schedules = true};
    const struct bw_dispatch_handlers handlers = {
        .arg = life, .ready = on_ready, .catalog = on_catalog, .trace = on_trace, .quiet = on_quiet, .fatal = on_fatal};
    life->dispatch = bw_dispatch_new(life->base, &options, &handlers, &err);
    if (!life->dispatch) return 67;
    json_t *mocks = json_object();
    bw_dispatch_trial_begin(life->dispatch, life->now_ms, "", mocks, NULL); /* before a worker is there: it has the time from its first event on */
    event_base_dispatch(life->base);
    bw_dispatch_stop(life->dispatch);
    bw_store_close(life->store);
    bw_dispatch_free(life->dispatch);
    if (life->reader) bw_reader_close(life->reader);
    event_base_free(life->base);
    bw_config_free(config);
    json_decref(mocks);
    return life->status;
}

static int live_in(const char *folder)
{
    char path[256];
    struct life life = {.folder = folder};
    wraps_begin();
    signal(SIGPIPE, SIG_IGN); /* as `bellwire serve` does */
    bw_log_setup(BW_LOG_INFO, BW_LOG_JSON, "life");
    snprintf(path, sizeof path, "%s/plan.json", folder);
    life.plan = json_load_file(path, 0, NULL);
    if (!life.plan) return 64;
    life.acts = json_object_get(life.plan, "acts");
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

/* What every process would do first, and what leaves little behind: children touch again what lies about. */
static void warm_up(void)
{
    uint8_t mac[32];
    bw_libcurl_load();
    bw_uid_new(1);
    HMAC(EVP_sha256(), "", 0, mac, 0, mac, NULL);
    SHA256(mac, 0, mac);
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "worker")) return bw_worker_main();
    if (argc == 2 && !strcmp(argv[1], "--serve")) return warm_up(), nursery_serve(live_with_nursery);
    return argc == 2 ? live_in(argv[1]) : 64;
}
