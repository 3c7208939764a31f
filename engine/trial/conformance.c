/* The order of the checks, those of the plugin as a whole, and the file with calls. */
#include "trial/conformance.h"
#include "base/file.h"
#include "base/units.h"
#include "base/yaml.h"
#include "config/secrets.h"
#include "trial/conformance_parts.h"
#include "trial/internal.h"
#include "trial/sample.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOAD_MS 5000 /* as long as `serve` waits */
#define LEAVE_MS 1000
#define HEALTH_MS 5000
#define NO_REASON "the plugin gave no reason" /* what its process says for it */
#define FILE_BYTES_MAX (1u << 20)
#define DEBUGGER "call it from a small main() under a debugger: a plugin is an ordinary shared object (engine/plugin/README.md)"

/* ---- verdicts ---- */

struct bw_conformance_check bw_kit_check(const char *name, const char *action, const char *wants)
{
    return (struct bw_conformance_check){.name = name, .action = action, .wants = wants};
}

static void report(struct bw_kit *kit, struct bw_conformance_check *check, enum bw_conformance_state state, const char *format, va_list args)
{
    vsnprintf(check->found, sizeof check->found, format, args);
    check->state = state;
    kit->options->report(kit->options->arg, check);
}

void bw_kit_pass(struct bw_kit *kit, struct bw_conformance_check *check, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    report(kit, check, BW_CHECK_PASSED, format, args);
    va_end(args);
}

void bw_kit_skip(struct bw_kit *kit, struct bw_conformance_check *check, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    report(kit, check, BW_CHECK_SKIPPED, format, args);
    va_end(args);
}

void bw_kit_fail(struct bw_kit *kit, struct bw_conformance_check *check, const char *cure, const char *format, ...)
{
    va_list args;
    snprintf(check->cure, sizeof check->cure, "%s", cure);
    kit->failed++;
    va_start(args, format);
    report(kit, check, BW_CHECK_FAILED, format, args);
    va_end(args);
}

/* ---- processes ---- */

static bool has_loaded(const void *arg)
{
    const struct bw_session_view *view = arg;
    return view->state != BW_SESSION_LOADING;
}

static bool has_answered_init(const void *arg)
{
    const struct bw_session_view *view = arg;
    return view->state != BW_SESSION_LOADED;
}

static bool has_ended(const void *arg)
{
    const struct bw_session_view *view = arg;
    return view->state == BW_SESSION_ENDED;
}

void bw_kit_append_end(const struct bw_kit *kit, char *out, size_t size)
{
    const struct bw_session_view *view = bw_session_view(kit->session);
    size_t used = strlen(out);
    snprintf(out + used, size - used, "%s%s%s", view->end.how, *view->end.frames ? " in " : "", view->end.frames);
}

/* Loads it, with what it needs as far as that is known. */
static bool start(struct bw_kit *kit, struct bw_error *err)
{
    const json_t *needs = kit->settings.needs ? kit->settings.needs : json_object_get(kit->manifest, "needs");
    kit->session = bw_session_open(kit->options->path, needs, kit->options->config->allow_private_network, err);
    if (!kit->session) return false;
    const struct bw_session_view *view = bw_session_view(kit->session);
    bw_session_wait(kit->session, has_loaded, view, LOAD_MS);
    return true;
}

void bw_kit_close(struct bw_kit *kit)
{
    if (kit->session) kit->extra_answers += bw_session_view(kit->session)->extra_answers;
    bw_session_free(kit->session);
    kit->session = NULL;
}

static bool open_session(struct bw_kit *kit, struct bw_error *err)
{
    bw_kit_close(kit);
    if (!start(kit, err)) return false;
    const struct bw_session_view *view = bw_session_view(kit->session);
    if (view->state == BW_SESSION_LOADED) bw_session_init(kit->session, kit->settings.config);
    bw_session_wait(kit->session, has_answered_init, view, LOAD_MS);
    if (view->state == BW_SESSION_READY) return true;
    return bw_error_set(err, "plugin.again", "another process of it did not get ready");
}

bool bw_kit_open(struct bw_kit *kit, struct bw_conformance_check *check, const char *cure)
{
    struct bw_error err;
    if (kit->session && bw_session_view(kit->session)->state == BW_SESSION_READY) return true;
    if (open_session(kit, &err)) return true;
    bw_kit_fail(kit, check, cure, "%s", err.message);
    return false;
}

/* ---- the plugin as a whole ---- */

/* Its first process: what it can do without anything. */
static bool check_loading(struct bw_kit *kit)
{
    struct bw_conformance_check load =
        bw_kit_check("load", NULL, "the host opens it within 5 s, with nothing of the machine open to it, and finds bellwire_plugin");
    struct bw_conformance_check abi = bw_kit_check("abi", NULL, "it is built for the ABI of this Bellwire");
    struct bw_conformance_check manifest =
        bw_kit_check("manifest", NULL, "its manifest says what it offers, and nothing that Bellwire does not know");
    const struct bw_session_view *view = bw_session_view(kit->session);
    char end[500] = "";
    if (view->state == BW_SESSION_ENDED) {
        bw_kit_append_end(kit, end, sizeof end);
        bw_kit_fail(kit, &load, "constructors run before anything is asked of it, with nothing open to them: " DEBUGGER,
                    "its process has ended while it was loaded: %s", end);
    } else if (view->state == BW_SESSION_LOADING) {
        bw_kit_fail(kit, &load, "constructors must return at once", "loading it did not end within %d ms", LOAD_MS);
    } else if (view->state == BW_SESSION_LOADED) {
        bw_kit_pass(kit, &load, "%s", "");
        bw_kit_pass(kit, &abi, "%s", "");
        bw_kit_pass(kit, &manifest, "%zu actions", json_array_size(json_object_get(view->manifest, "actions")));
        kit->manifest = json_incref(view->manifest);
        return true;
    } else {
        const struct bw_error *err = &view->refusal;
        bool is_abi = !strcmp(err->code, "plugin.abi"), is_manifest = !strcmp(err->code, "plugin.manifest");
        if (is_abi || is_manifest) bw_kit_pass(kit, &load, "%s", "");
        if (is_manifest) bw_kit_pass(kit, &abi, "%s", "");
        bw_kit_fail(kit,
                    is_abi        ? &abi
                    : is_manifest ? &manifest
                                  : &load,
                    *err->hint ? err->hint : "bellwire_plugin.h says what the manifest may hold", "%s", err->message);
    }
    return false;
}

/* With what it needs it must say the same again. */
static bool check_constant(struct bw_kit *kit, struct bw_error *err)
{
    struct bw_conformance_check check = bw_kit_check("constant", NULL, "each time that it is loaded its manifest says the same");
    bw_kit_close(kit);
    if (!start(kit, err)) return false;
    const struct bw_session_view *view = bw_session_view(kit->session);
    char end[500] = "";
    if (view->state == BW_SESSION_LOADED && json_equal(view->manifest, kit->manifest)) {
        bw_kit_pass(kit, &check, "%s", "");
        return true;
    }
    if (view->state == BW_SESSION_ENDED) bw_kit_append_end(kit, end, sizeof end);
    bw_kit_fail(kit, &check, "the manifest must be a constant, and loading it must not depend on what is open to it", "%s%s",
                view->state == BW_SESSION_LOADED    ? "the manifest has changed"
                : view->state == BW_SESSION_REFUSED ? view->refusal.message
                : view->state == BW_SESSION_ENDED   ? "its process has ended: "
                                                    : "loading it did not end",
                end);
    return false;
}

static bool check_settings(struct bw_kit *kit)
{
    struct bw_conformance_check check =
        bw_kit_check("config", NULL, "it may have what it needs, and what it is told fits the `config` of its manifest");
    struct bw_errors errs = {0};
    struct bw_error err;
    char text[1400];
    json_t *configure = bw_json_load(bw_slice_of(kit->options->config->configure), &err);
    enum bw_settings_may may = bw_settings_may(configure, kit->manifest, &err);
    bool good = may == BW_PLUGIN_MAY_BE && bw_settings_make(configure, kit->manifest, &kit->settings, &errs);
    if (may != BW_PLUGIN_MAY_BE)
        bw_kit_fail(kit, &check, "test it with a --config FILE that lets it", "%s",
                    may == BW_PLUGIN_IS_OFF ? "plugins_may of bellwire.yaml has it off" : bw_error_text(&err, text, sizeof text));
    else if (good)
        bw_kit_pass(kit, &check, "%zu fields", json_object_size(kit->settings.config));
    else
        bw_kit_fail(kit, &check, "--config FILE names a bellwire.yaml that says it under configure", "%s",
                    errs.count ? bw_error_text(&errs.items[0], text, sizeof text) : "out of memory");
    bw_errors_free(&errs);
    json_decref(configure);
    return good;
}

static bool check_init(struct bw_kit *kit)
{
    struct bw_conformance_check check = bw_kit_check("init", NULL, "init() returns an instance within 5 s");
    const struct bw_session_view *view = bw_session_view(kit->session);
    char end[500] = "";
    bw_session_init(kit->session, kit->settings.config);
    bw_session_wait(kit->session, has_answered_init, view, LOAD_MS);
    if (view->state == BW_SESSION_READY) {
        bw_kit_pass(kit, &check, "%s", "");
        return true;
    }
    if (view->state == BW_SESSION_ENDED) bw_kit_append_end(kit, end, sizeof end);
    if (view->state == BW_SESSION_REFUSED)
        bw_kit_fail(kit, &check, "tell it what it asks for: --config FILE", "%s", view->refusal.message);
    else if (view->state == BW_SESSION_ENDED)
        bw_kit_fail(kit, &check, DEBUGGER, "its process has ended: %s", end);
    else
        bw_kit_fail(kit, &check, "init() must return at once: move slow work into the first execute()", "init() did not return within %d ms",
                    LOAD_MS);
    return false;
}

static json_t *secrets_of(const struct bw_kit *kit, const json_t *action)
{
    const struct bw_config *config = kit->options->config;
    json_t *values = json_object();
    bw_secrets_append_named(config->secrets, config->secret_count, json_object_get(action, "secrets"), values);
    bw_secrets_append_named(config->secrets, config->secret_count, kit->settings.secrets, values);
    return values;
}

static bool is_answered(const void *arg)
{
    return ((const struct bw_plugin_try *)arg)->is_done;
}

static bool is_no_reason(const char *message)
{
    return !*message || !strcmp(message, NO_REASON);
}

/* One that has it, well or ill, has to say so, and in time; twice, as `serve` asks again and again. */
static void check_health(struct bw_kit *kit)
{
    struct bw_conformance_check check = bw_kit_check("health", NULL, "health() says within 5 s how it is, and why if it is ill");
    json_t *secrets = secrets_of(kit, NULL);
    char said[300] = "", end[500] = "";
    bool is_open = bw_kit_open(kit, &check, DEBUGGER), is_done = is_open && bw_session_view(kit->session)->has_health;
    for (int i = 0; is_done && i < 2; i++) {
        struct bw_plugin_try *call = bw_session_ask(kit->session, secrets, HEALTH_MS);
        is_done = call && bw_session_wait(kit->session, is_answered, call, HEALTH_MS);
        const json_t *error = call ? json_object_get(call->result, "error") : NULL;
        const char *outcome = call ? bw_json_str(call->result, "outcome", "") : "";
        bool is_ill = !strcmp(outcome, "retry") || !strcmp(outcome, "fail");
        snprintf(said, sizeof said, "%s%.250s", is_ill ? "ill: " : "well", is_ill ? bw_json_str(error, "message", "") : "");
        if (is_done && !is_ill && strcmp(outcome, "ok") != 0) {
            bw_kit_fail(kit, &check, "complete it as OK, RETRY or FAIL", "its health is '%s'", outcome);
            is_done = false;
        } else if (is_done && is_ill && is_no_reason(bw_json_str(error, "message", ""))) {
            bw_kit_fail(kit, &check, "message says what it is ill of, and what helps", "it is ill, and does not say of what");
            is_done = false;
        } else if (!is_done) {
            if (bw_session_view(kit->session)->state == BW_SESSION_ENDED) bw_kit_append_end(kit, end, sizeof end);
            bw_kit_fail(kit, &check, "health() must return at once, and complete its call like execute()", "%s%s",
                        *end ? "its process has ended: " : "it has not said", end);
        }
        if (call) bw_session_forget(kit->session, call);
    }
    if (is_done) bw_kit_pass(kit, &check, "%s", said);
    json_decref(secrets);
}

static void check_once(struct bw_kit *kit)
{
    struct bw_conformance_check check = bw_kit_check("once", NULL, "complete() is called once for each call");
    unsigned extra = kit->extra_answers + (kit->session ? bw_session_view(kit->session)->extra_answers : 0);
    if (extra)
        bw_kit_fail(kit, &check, "a call is gone when it is completed: keep no pointer to it", "complete() was called again %u time%s", extra,
                    extra == 1 ? "" : "s");
    else
        bw_kit_pass(kit, &check, "%s", "");
}

static void check_end(struct bw_kit *kit)
{
    struct bw_conformance_check check = bw_kit_check("fini", NULL, "after fini() its process ends within 1 s, by itself");
    char end[500] = "";
    if (!bw_kit_open(kit, &check, DEBUGGER)) return;
    const struct bw_session_view *view = bw_session_view(kit->session);
    bw_session_leave(kit->session);
    if (!bw_session_wait(kit->session, has_ended, view, LEAVE_MS)) {
        bw_kit_fail(kit, &check, "fini() must return at once, also while threads of the plugin still run", "it has not ended after %d ms", LEAVE_MS);
    } else if (view->exit_status == 0) {
        bw_kit_pass(kit, &check, "%s", "");
    } else {
        bw_kit_append_end(kit, end, sizeof end);
        bw_kit_fail(kit, &check, DEBUGGER, "its process has ended otherwise: %s", end);
    }
}

/* ---- its actions ---- */

static void try_action(struct bw_kit *kit, const json_t *manifest)
{
    const char *effect = bw_json_str(manifest, "effect", "write"), *beat = bw_json_str(manifest, "heartbeat", NULL);
    struct bw_kit_action action = {.manifest = manifest,
                                   .name = bw_json_str(manifest, "name", ""),
                                   .fields = json_object_get(manifest, "inputs"),
                                   .outputs = json_object_get(manifest, "outputs"),
                                   .examples = json_array(),
                                   .secrets = secrets_of(kit, manifest)};
    size_t index;
    json_t *call;
    action.is_harmless = !json_array_size(json_object_get(kit->manifest, "needs")) || strcmp(effect, "write") != 0;
    if (beat) bw_duration_parse(bw_slice_of(beat), &action.heartbeat_ms, NULL);
    json_array_foreach(kit->options->calls, index, call)
    {
        if (strcmp(bw_json_str(call, "action", ""), action.name) != 0) continue;
        if (bw_json_bool(call, "slow", false))
            action.slow = json_incref(json_object_get(call, "with"));
        else
            json_array_append(action.examples, call);
    }
    if (!json_array_size(action.examples) && action.is_harmless)
        json_array_append_new(action.examples, json_pack("{s:o,s:b}", "with", bw_sample_input(action.fields), "is_made", true));
    bw_kit_try_action(kit, &action);
    json_decref(action.examples);
    json_decref(action.slow);
    json_decref(action.secrets);
}

bool bw_conformance_run(const struct bw_conformance_options *options, size_t *failed, struct bw_error *err)
{
    struct bw_kit kit = {.options = options};
    size_t index;
    json_t *action;
    bool is_tried = start(&kit, err);
    if (is_tried && check_loading(&kit) && check_settings(&kit) && (is_tried = check_constant(&kit, err) || kit.failed) && !kit.failed &&
        check_init(&kit)) {
        json_array_foreach(json_object_get(kit.manifest, "actions"), index, action) try_action(&kit, action);
        check_health(&kit);
        check_once(&kit);
        check_end(&kit);
    }
    bw_kit_close(&kit);
    bw_settings_free(&kit.settings);
    json_decref(kit.manifest);
    *failed = kit.failed;
    return is_tried;
}

/* ---- the file ---- */

static void read_call(const struct bw_trial_reader *reader, const struct bw_yaml_node *node, json_t *calls)
{
    if (!bw_trial_check_map(reader, node, "a call", "action with error slow")) return;
    const struct bw_yaml_node *action = bw_yaml_get(node, "action"), *with = bw_yaml_get(node, "with"), *error = bw_yaml_get(node, "error"),
                              *slow = bw_yaml_get(node, "slow");
    if (!action || action->kind != BW_YAML_STRING)
        bw_trial_error(reader, node, "calls.action", "write for example {action: shout/say, with: {text: hello}}", "a call names its action");
    else if (with && with->kind != BW_YAML_MAP)
        bw_trial_error(reader, with, "calls.with", NULL, "with must be a map, this is %s", bw_yaml_kind_name(with->kind));
    else if (error && error->kind != BW_YAML_STRING)
        bw_trial_error(reader, error, "calls.error", NULL, "error is the code that the call fails with, such as shout.empty");
    else if (slow && slow->kind != BW_YAML_BOOL)
        bw_trial_error(reader, slow, "calls.slow", NULL, "slow must be true or false");
    else
        json_array_append_new(calls, json_pack("{s:s,s:o,s:s*,s:b}", "action", action->text.ptr, "with", with ? bw_trial_value(with) : json_object(),
                                               "error", error ? error->text.ptr : NULL, "slow", slow && slow->boolean));
}

json_t *bw_conformance_read_calls(const char *path, struct bw_errors *errs)
{
    const struct bw_trial_reader reader = {path, errs};
    struct bw_buf text = {0};
    struct bw_error err;
    struct bw_yaml *yaml = NULL;
    json_t *calls = json_array();
    size_t before = errs->count;
    if (!bw_file_read(path, FILE_BYTES_MAX, &text, &err) || !(yaml = bw_yaml_load(bw_buf_slice(&text), path, NULL, &err))) {
        if (!*err.file) bw_error_at(&err, path, 0, 0);
        bw_errors_push(errs, &err);
    } else if (bw_trial_check_map(&reader, bw_yaml_root(yaml, 0), "a file of calls", "calls")) {
        const struct bw_yaml_node *list = bw_yaml_get(bw_yaml_root(yaml, 0), "calls");
        if (!list || list->kind != BW_YAML_LIST)
            bw_trial_error(&reader, list, "calls.type", NULL, "calls must be a list");
        else
            for (size_t i = 0; i < list->count; i++) read_call(&reader, list->items[i], calls);
    }
    bw_yaml_free(yaml);
    bw_buf_free(&text);
    if (errs->count == before) return calls;
    json_decref(calls);
    return NULL;
}
