/* The checks of one action. */
#include "base/clock.h"
#include "base/schema.h"
#include "plugin/bellwire_plugin.h"
#include "trial/conformance_parts.h"
#include "trial/sample.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CANCEL_MS 10000 /* as long as `serve` waits for a call whose run is cancelled … */
#define OVER_MS 1000    /* … and for one that has had its time */
#define EDGE_MS 1000    /* what takes longer is cancelled */
#define EDGES_GIVEN_UP_MAX 3
#define REPEAT 1000
#define SETTLED 200 /* calls after which nothing should grow any more */
#ifdef BELLWIRE_SANITIZED
#define GROWTH_BYTES_MAX ((int64_t)64 << 20) /* what is freed is kept for a while */
#else
#define GROWTH_BYTES_MAX ((int64_t)1 << 20)
#endif
#define GROWTH_OTHERS_MAX 8 /* descriptors, threads */
#define GO_ON "it has to be able to go on after that: see the first check that fails"

static bool is_done(const void *arg)
{
    return ((const struct bw_plugin_try *)arg)->is_done;
}

static struct bw_plugin_try *begin(struct bw_kit *kit, const struct bw_kit_action *action, const json_t *input, int64_t timeout_ms)
{
    struct bw_error err;
    json_t *whole = json_deep_copy(input);
    struct bw_schema *schema = action->fields ? bw_schema_load(action->fields, &err) : NULL;
    if (schema) bw_schema_check(schema, whole, false, "input", &err); /* fills in the defaults, as the engine does */
    bw_schema_free(schema);
    struct bw_plugin_try *call = bw_session_call(kit->session, action->name, whole, action->secrets, timeout_ms, action->heartbeat_ms);
    json_decref(whole);
    return call;
}

/* For the text of a check: what has become of a call that was not answered. */
static const char *fate(const struct bw_kit *kit, int64_t waited_ms, char *text, size_t size)
{
    if (bw_session_view(kit->session)->state == BW_SESSION_ENDED) {
        snprintf(text, size, "its process has ended: ");
        bw_kit_append_end(kit, text, size);
    } else {
        snprintf(text, size, "no answer within %lld ms", (long long)waited_ms);
    }
    return text;
}

static const char *cure_of(const struct bw_kit *kit)
{
    return bw_session_view(kit->session)->state == BW_SESSION_ENDED
               ? "each such end is one attempt of a step lost: run it under a debugger, with these inputs"
               : "execute() must return at once, and every call must be completed; if it just takes long: slow: true in --calls, or --timeout";
}

/* ---- inputs ---- */

static void check_inputs(struct bw_kit *kit, const struct bw_kit_action *action)
{
    struct bw_conformance_check check =
        bw_kit_check("inputs", action->name, "its schema takes what it is called with, and refuses all else before execute()");
    struct bw_error err;
    size_t index;
    json_t *item;
    if (!action->fields) {
        bw_kit_skip(kit, &check, "it declares no inputs, so anything reaches it");
        return;
    }
    struct bw_schema *schema = bw_schema_load(action->fields, &err);
    json_t *faults = bw_sample_faults(action->fields);
    bool has_failed = !schema;
    json_array_foreach(action->examples, index, item)
    {
        json_t *input = json_deep_copy(json_object_get(item, "with"));
        if (!has_failed && !bw_schema_check(schema, input, false, "input", &err)) {
            has_failed = true;
            bw_kit_fail(kit, &check, "mend the example in --calls, or the inputs of the manifest", "example %zu does not fit: %s", index + 1,
                        err.message);
        }
        json_decref(input);
    }
    json_array_foreach(faults, index, item)
    {
        if (has_failed || !bw_schema_check(schema, json_object_get(item, "input"), false, "input", &err)) continue;
        has_failed = true;
        bw_kit_fail(kit, &check, "give each field its type, and required where it is", "this is let through: %s", bw_json_str(item, "what", ""));
    }
    if (!has_failed) bw_kit_pass(kit, &check, "%zu wrong inputs are refused", json_array_size(faults));
    json_decref(faults);
    bw_schema_free(schema);
}

/* ---- answers ---- */

/* Is this an answer? NULL: it is; else what is wrong with it. */
static const char *judge(const struct bw_kit_action *action, const struct bw_plugin_try *call, const json_t *example, char *text, size_t size,
                         const char **cure)
{
    const char *outcome = bw_json_str(call->result, "outcome", ""), *expected = bw_json_str(example, "error", NULL);
    const json_t *error = json_object_get(call->result, "error");
    const char *code = bw_json_str(error, "code", "");
    struct bw_error err;
    bool is_ok = !strcmp(outcome, "ok"), is_failure = !strcmp(outcome, "retry") || !strcmp(outcome, "fail");
    *cure = "the result must be what the example in --calls says";
    if (expected && (!is_failure || strcmp(code, expected) != 0)) {
        snprintf(text, size, "it should fail as %s, and ended as %s %s", expected, outcome, code);
        return text;
    }
    if (is_failure && !expected && !bw_json_bool(example, "is_made", false)) {
        snprintf(text, size, "it has failed as %s: %s", code, bw_json_str(error, "message", ""));
        return text;
    }
    *cure = "say a dotted code for programs and a message for people: what has happened, and what helps";
    if (is_failure && (!strcmp(code, "plugin.failed") || !*code || !strcmp(bw_json_str(error, "message", ""), "the plugin gave no reason")))
        return "a failure without a code or a message";
    *cure = "output is one JSON object in UTF-8; mend it, or the outputs of the manifest";
    if (is_ok && !call->output) {
        snprintf(text, size, "its output is refused: %s", call->fault.message);
        return text;
    }
    struct bw_schema *schema = is_ok && action->outputs ? bw_schema_load(action->outputs, &err) : NULL;
    bool fits = !schema || bw_schema_check(schema, call->output, true, "output", &err);
    bw_schema_free(schema);
    if (fits) return NULL;
    snprintf(text, size, "its output does not fit the manifest: %s", err.message);
    return text;
}

/* False: it does not answer at all, so there is nothing to be found out with more calls. */
static bool check_answers(struct bw_kit *kit, const struct bw_kit_action *action)
{
    struct bw_conformance_check check = bw_kit_check("answer", action->name, "a call is completed in time, with what the manifest promises");
    size_t index;
    json_t *example;
    json_array_foreach(action->examples, index, example)
    {
        char text[640];
        const char *cure, *wrong;
        if (!bw_kit_open(kit, &check, GO_ON)) return false;
        struct bw_plugin_try *call = begin(kit, action, json_object_get(example, "with"), kit->options->answer_ms);
        bool done = call && bw_session_wait(kit->session, is_done, call, kit->options->answer_ms);
        wrong = done ? judge(action, call, example, text, sizeof text, &cure) : fate(kit, kit->options->answer_ms, text, sizeof text);
        if (!done) cure = cure_of(kit);
        if (wrong) bw_kit_fail(kit, &check, cure, "call %zu: %s", index + 1, wrong);
        if (call) bw_session_forget(kit->session, call);
        if (!done) bw_kit_close(kit);
        if (wrong) return done;
    }
    if (index)
        bw_kit_pass(kit, &check, "%zu call%s", index, index == 1 ? "" : "s");
    else
        bw_kit_skip(kit, &check, "it changes something elsewhere, so it is called only with what --calls says");
    return true;
}

/* ---- at the edges ---- */

/* Those that take longer are given up; what the plugin does about that is seen by the check for it. */
static void check_edges(struct bw_kit *kit, struct bw_kit_action *action)
{
    struct bw_conformance_check check = bw_kit_check("edges", action->name, "whatever its schema lets through leaves its process alive");
    json_t *edges = action->is_harmless ? bw_sample_edges(action->fields) : NULL, *input;
    size_t index, given_up = 0;
    char text[640];
    if (!json_array_size(edges)) {
        bw_kit_skip(kit, &check, action->is_harmless ? "it takes nothing that has edges" : "it changes something elsewhere");
        json_decref(edges);
        return;
    }
    json_array_foreach(edges, index, input)
    {
        if (given_up == EDGES_GIVEN_UP_MAX) break;
        if (action->slow && json_equal(input, action->slow)) continue;
        if (!bw_kit_open(kit, &check, GO_ON)) break;
        struct bw_plugin_try *call = begin(kit, action, input, kit->options->answer_ms);
        bool done = call && bw_session_wait(kit->session, is_done, call, EDGE_MS);
        bool has_died = !done && bw_session_view(kit->session)->state == BW_SESSION_ENDED;
        if (has_died) {
            struct bw_buf json = {0};
            bw_json_append(&json, input);
            bw_kit_fail(kit, &check, cure_of(kit), "with %.150s%s: %s", json.data ? json.data : "", json.len > 150 ? "…" : "",
                        fate(kit, EDGE_MS, text, sizeof text));
            bw_buf_free(&json);
        } else if (!done && call) {
            given_up++;
            if (!action->slow) action->slow = json_incref(input);
            bw_session_cancel(kit->session, call);
            done = bw_session_wait(kit->session, is_done, call, OVER_MS);
        }
        if (call) bw_session_forget(kit->session, call);
        if (!done) bw_kit_close(kit);
        if (has_died) break;
    }
    if (given_up == EDGES_GIVEN_UP_MAX || index == json_array_size(edges))
        bw_kit_pass(kit, &check, "%zu inputs, %zu of them given up after %d s", index, given_up, EDGE_MS / 1000);
    json_decref(edges);
}

/* ---- two at once ---- */

static void check_together(struct bw_kit *kit, const struct bw_kit_action *action)
{
    struct bw_conformance_check check = bw_kit_check("together", action->name, "two calls at once are both completed");
    const json_t *input = json_object_get(json_array_get(action->examples, 0), "with");
    struct bw_plugin_try *calls[2];
    char text[640];
    bool done = true;
    if (!input) {
        bw_kit_skip(kit, &check, "there is no call to make twice: --calls");
        return;
    }
    if (!bw_kit_open(kit, &check, GO_ON)) return;
    for (size_t i = 0; i < 2; i++) calls[i] = begin(kit, action, input, kit->options->answer_ms);
    for (size_t i = 0; i < 2; i++) done = calls[i] && bw_session_wait(kit->session, is_done, calls[i], kit->options->answer_ms) && done;
    if (done)
        bw_kit_pass(kit, &check, "%s", "");
    else
        bw_kit_fail(kit, &check, "keep what belongs to a call with the call (call->data), not in the instance", "%s",
                    fate(kit, kit->options->answer_ms, text, sizeof text));
    for (size_t i = 0; i < 2; i++)
        if (calls[i]) bw_session_forget(kit->session, calls[i]);
    if (!done) bw_kit_close(kit);
}

/* ---- cancel, timeout, heartbeat ---- */

static void check_cancel(struct bw_kit *kit, const struct bw_kit_action *action)
{
    struct bw_conformance_check cancel =
        bw_kit_check("cancel", action->name, "a call that is cancelled ends within 10 s, as done or as step.cancelled");
    struct bw_conformance_check over = bw_kit_check("timeout", action->name, "a call that has had its time ends within 1 s after it is told so");
    char text[640];
    if (!action->slow) {
        bw_kit_skip(kit, &cancel, "no call is known that takes long: name one in --calls, with slow: true");
        bw_kit_skip(kit, &over, "the same");
        return;
    }
    if (!bw_kit_open(kit, &cancel, GO_ON)) return;
    struct bw_plugin_try *call = begin(kit, action, action->slow, kit->options->answer_ms);
    int64_t told_us = bw_clock_mono_us();
    if (call) bw_session_cancel(kit->session, call);
    bool done = call && bw_session_wait(kit->session, is_done, call, CANCEL_MS);
    int64_t took_ms = done ? (call->ended_us - told_us) / 1000 : CANCEL_MS;
    const char *code = done ? bw_json_str(json_object_get(call->result, "error"), "code", "") : "";
    if (!done)
        bw_kit_fail(kit, &cancel, "complete it in cancel(), or let threads ask is_cancelled(): else its process is ended, with all other calls", "%s",
                    fate(kit, CANCEL_MS, text, sizeof text));
    else if (strcmp(bw_json_str(call->result, "outcome", ""), "ok") != 0 && strcmp(code, BELLWIRE_PLUGIN_CANCELLED) != 0)
        bw_kit_fail(kit, &cancel, "say OK if the work is done all the same, else FAIL with BELLWIRE_PLUGIN_CANCELLED", "it has failed as %s", code);
    else
        bw_kit_pass(kit, &cancel, "%lld ms", (long long)took_ms);
    if (took_ms < OVER_MS)
        bw_kit_pass(kit, &over, "%s", "");
    else
        bw_kit_fail(kit, &over, "its process is ended when it takes longer, with all other calls", "it took %lld ms%s", (long long)took_ms,
                    done ? "" : " and more");
    if (call) bw_session_forget(kit->session, call);
    if (!done) bw_kit_close(kit);
}

static void check_heartbeat(struct bw_kit *kit, const struct bw_kit_action *action)
{
    struct bw_conformance_check check = bw_kit_check("heartbeat", action->name, "a call that takes long beats as often as its manifest says");
    if (!action->heartbeat_ms) return;
    if (!action->slow) {
        bw_kit_skip(kit, &check, "no call is known that takes long: name one in --calls, with slow: true");
        return;
    }
    if (!bw_kit_open(kit, &check, GO_ON)) return;
    struct bw_plugin_try *call = begin(kit, action, action->slow, kit->options->answer_ms);
    if (call) bw_session_wait(kit->session, is_done, call, 3 * action->heartbeat_ms);
    int64_t silence_us = !call ? 0 : call->is_done ? call->silence_us : bw_clock_mono_us() - call->heard_us;
    if (call && call->silence_us > silence_us) silence_us = call->silence_us;
    if (call && silence_us <= action->heartbeat_ms * 1000)
        bw_kit_pass(kit, &check, "never silent for more than %lld ms", (long long)(silence_us / 1000));
    else
        bw_kit_fail(kit, &check, "call host->heartbeat() at least that often, as often as you like; or leave heartbeat out of the manifest",
                    "it was silent for %lld ms, %lld are allowed", (long long)(silence_us / 1000), (long long)action->heartbeat_ms);
    bw_kit_close(kit); /* with what is under way */
}

/* ---- reuse ---- */

static int64_t count_entries(const struct bw_kit *kit, const char *what)
{
    char path[64];
    int64_t count = 0;
    snprintf(path, sizeof path, "/proc/%d/%s", (int)bw_session_pid(kit->session), what);
    DIR *folder = opendir(path);
    while (folder && readdir(folder)) count++;
    if (folder) closedir(folder);
    return count;
}

struct size {
    int64_t bytes, descriptors, threads;
};
static struct size size_of(const struct bw_kit *kit)
{
    return (struct size){(int64_t)bw_session_resident_bytes(kit->session), count_entries(kit, "fd"), count_entries(kit, "task")};
}

static void check_reuse(struct bw_kit *kit, const struct bw_kit_action *action)
{
    struct bw_conformance_check check =
        bw_kit_check("reuse", action->name, "many calls of one instance are all completed, and nothing grows with them");
    const json_t *input = json_object_get(json_array_get(action->examples, 0), "with");
    unsigned count = kit->options->repeat ? kit->options->repeat : action->is_harmless ? REPEAT : 0;
    struct size before = {0};
    char text[640];
    if (!input || !count) {
        bw_kit_skip(kit, &check, "it changes something elsewhere: --repeat N makes N calls all the same");
        return;
    }
    bw_kit_close(kit); /* it begins as one that nobody has called */
    if (!bw_kit_open(kit, &check, GO_ON)) return;
    for (unsigned i = 0; i < count; i++) {
        if (i == (count > 2 * SETTLED ? SETTLED : count / 2)) before = size_of(kit);
        struct bw_plugin_try *call = begin(kit, action, input, kit->options->answer_ms);
        bool done = call && bw_session_wait(kit->session, is_done, call, kit->options->answer_ms);
        if (call) bw_session_forget(kit->session, call);
        if (done) continue;
        bw_kit_fail(kit, &check, cure_of(kit), "call %u: %s", i + 1, fate(kit, kit->options->answer_ms, text, sizeof text));
        bw_kit_close(kit);
        return;
    }
    struct size after = size_of(kit);
    int64_t grown = after.bytes - before.bytes, opened = after.descriptors - before.descriptors, started = after.threads - before.threads;
    if (grown > GROWTH_BYTES_MAX)
        bw_kit_fail(kit, &check, "valgrind --leak-check=full on a small main() shows where; until then its process is replaced now and then",
                    "its memory has grown by %lld KiB with %u calls", (long long)(grown >> 10), count);
    else if (opened > GROWTH_OTHERS_MAX)
        bw_kit_fail(kit, &check, "close what each call opens", "%lld descriptors more are open after %u calls", (long long)opened, count);
    else if (started > GROWTH_OTHERS_MAX)
        bw_kit_fail(kit, &check, "threads of a call have to end with it", "%lld threads more run after %u calls", (long long)started, count);
    else
        bw_kit_pass(kit, &check, "%u calls, %lld KiB more", count, (long long)(grown > 0 ? grown >> 10 : 0));
}

void bw_kit_try_action(struct bw_kit *kit, struct bw_kit_action *action)
{
    check_inputs(kit, action);
    if (!check_answers(kit, action)) return;
    check_edges(kit, action);
    check_together(kit, action);
    check_cancel(kit, action);
    check_heartbeat(kit, action);
    check_reuse(kit, action);
}
