/* What a step does when it fails, how often it may have its effect, and how it can end its run: retry, max_elapsed, timeout, heartbeat, limit,
 * guarantee, effect, on_error, stop, and the defaults of the workflow for them. */
#include "base/units.h"
#include "workflow/internal.h"
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MAX_MS (24LL * 3600 * 1000)
#define CODES_MAX 32

int64_t bw_timeout_load(struct bw_loader *loader, const struct bw_yaml_node *node)
{
    struct bw_error err;
    int64_t timeout_ms = 0;
    if (node->kind == BW_YAML_STRING && bw_duration_parse(node->text, &timeout_ms, &err) && timeout_ms >= 1 && timeout_ms <= TIMEOUT_MAX_MS)
        return timeout_ms;
    bw_load_error(loader, bw_mark_of(node), "step.timeout", "write a duration such as 500ms, 30s, 5m or 1h30m, at most 24h",
                  "timeout is no usable duration");
    return 0;
}

/* Behind the step's timeout, which it has to be shorter than. */
static void load_heartbeat(struct bw_loader *loader, const struct bw_yaml_node *node, struct bw_step *step)
{
    struct bw_error err;
    if (node->kind != BW_YAML_STRING || !bw_duration_parse(node->text, &step->heartbeat_ms, &err) || step->heartbeat_ms < 1 ||
        step->heartbeat_ms > TIMEOUT_MAX_MS)
        bw_load_error(loader, bw_mark_of(node), "step.heartbeat", "write a duration such as 30s or 5m, at most 24h",
                      "heartbeat is no usable duration");
    else if (step->timeout_ms && step->heartbeat_ms >= step->timeout_ms)
        bw_load_error(loader, bw_mark_of(node), "step.heartbeat", "write less than the `timeout`, or give the step a longer one",
                      "the step's timeout is over before its heartbeat could be missed");
}

static void load_codes(struct bw_loader *loader, const struct bw_yaml_node *list, struct bw_retry *retry)
{
    struct bw_slice *codes = bw_arena_alloc(loader->arena, (list->count + 1) * sizeof *codes);
    bool good = list->count > 0 && list->count <= CODES_MAX;
    for (size_t i = 0; codes && i < list->count; i++) {
        good = good && list->items[i]->kind == BW_YAML_STRING && list->items[i]->text.len;
        codes[i] = bw_arena_copy(loader->arena, list->items[i]->text);
    }
    if (!good)
        bw_load_error(loader, bw_mark_of(list), "retry.on", "write for example on: [http.status, crm_busy]", "on must name 1 to %d error codes",
                      CODES_MAX);
    bw_refuse_hole(loader, list, "retry.on");
    retry->on = BW_RETRY_ON_CODES;
    retry->codes = codes;
    retry->code_count = codes ? list->count : 0;
}

static void load_on(struct bw_loader *loader, const struct bw_yaml_node *node, struct bw_retry *retry)
{
    if (node->kind == BW_YAML_LIST)
        load_codes(loader, node, retry);
    else if (node->kind == BW_YAML_STRING && bw_slice_is(node->text, "transient"))
        retry->on = BW_RETRY_ON_TRANSIENT;
    else if (node->kind == BW_YAML_STRING && bw_slice_is(node->text, "any"))
        retry->on = BW_RETRY_ON_ANY;
    else
        bw_load_error(loader, bw_mark_of(node), "retry.on", "write transient, any, or a list of error codes",
                      "on does not say which failures are tried again");
}

/* The rules for values are those of action manifests, which are JSON. */
static void set_field(struct bw_loader *loader, const char *key, const struct bw_yaml_node *node, struct bw_retry *retry)
{
    struct bw_buf text = {0};
    struct bw_error err;
    bw_yaml_to_json(node, &text);
    json_t *value = text.failed ? NULL : bw_json_load(bw_buf_slice(&text), &err);
    if (!value)
        loader->arena->failed |= text.failed;
    else if (!bw_retry_set(retry, key, value, &err))
        bw_load_error(loader, bw_mark_of(node), err.code, err.hint, "%s", err.message);
    json_decref(value);
    bw_buf_free(&text);
}

static void load_retry(struct bw_loader *loader, const struct bw_yaml_node *map, struct bw_retry *retry)
{
    if (map->kind != BW_YAML_MAP) {
        bw_load_error(loader, bw_mark_of(map), "workflow.type", "write for example retry: {attempts: 3, delay: 5s}; {attempts: 1} is no retry",
                      "retry must be a map, found %s", bw_yaml_kind_name(map->kind));
        return;
    }
    bw_check_keys(loader, map, "retry", bw_retry_keys, bw_retry_key_count);
    for (size_t i = 0; i < map->count; i++) {
        struct bw_slice key = map->pairs[i].key->text;
        bool is_known = false;
        for (size_t k = 0; k < bw_retry_key_count; k++) is_known |= bw_slice_is(key, bw_retry_keys[k].name);
        if (!is_known) continue; /* said above */
        if (bw_slice_is(key, "on"))
            load_on(loader, map->pairs[i].value, retry);
        else
            set_field(loader, key.ptr, map->pairs[i].value, retry);
    }
    if (retry->max_delay_ms >= 0 && retry->max_delay_ms < retry->delay_ms && !retry->wait_count)
        bw_load_error(loader, bw_mark_of(bw_yaml_get(map, "max_delay")), "retry.max_delay", "make it longer, or leave it out",
                      "the longest wait is shorter than the first one, `delay`");
}

void bw_defaults_load(struct bw_loader *loader, const struct bw_yaml_node *map, struct bw_step_defaults *out)
{
    const struct bw_yaml_node *value;
    if (map->kind != BW_YAML_MAP) {
        bw_load_error(loader, bw_mark_of(map), "workflow.type", "write for example defaults: {timeout: 10s, retry: {attempts: 3}}",
                      "defaults must be a map, found %s", bw_yaml_kind_name(map->kind));
        return;
    }
    bw_check_keys(loader, map, "defaults", bw_defaults_keys, bw_defaults_key_count);
    if ((value = bw_yaml_get(map, "retry"))) load_retry(loader, value, &out->retry);
    if ((value = bw_yaml_get(map, "timeout"))) out->timeout_ms = bw_timeout_load(loader, value);
    if ((value = bw_yaml_get(map, "limit"))) bw_limit_load(loader, value, &out->limit);
}

static void load_on_error(struct bw_loader *loader, const struct bw_yaml_node *node, struct bw_step *step)
{
    step->goes_on = node->kind == BW_YAML_STRING && bw_slice_is(node->text, "continue");
    if (!step->goes_on && !(node->kind == BW_YAML_STRING && bw_slice_is(node->text, "fail")))
        bw_load_error(loader, bw_mark_of(node), "step.on_error", "write fail (the default) or continue",
                      "on_error says what the run does when this step fails");
}

static void load_repeat(struct bw_loader *loader, const struct bw_yaml_node *map, struct bw_repeat *out)
{
    const struct bw_yaml_node *value;
    struct bw_error err;
    *out = (struct bw_repeat){.until = -1, .every_ms = 30000, .max = 100};
    if (map->kind != BW_YAML_MAP) {
        bw_load_error(loader, bw_mark_of(map), "workflow.type", "write for example repeat: {until: \"${{ result.state == 'done' }}\", every: 30s}",
                      "repeat must be a map, found %s", bw_yaml_kind_name(map->kind));
        return;
    }
    bw_check_keys(loader, map, "repeat", bw_repeat_keys, bw_repeat_key_count);
    if ((value = bw_yaml_get(map, "until")))
        out->until = bw_expr_field(loader, value, true);
    else
        bw_load_error(loader, bw_mark_of(map), "step.repeat", "write for example until: ${{ result.state == 'done' }}",
                      "repeat does not say until when");
    if ((value = bw_yaml_get(map, "every")) && !(value->kind == BW_YAML_STRING && bw_duration_parse(value->text, &out->every_ms, &err) &&
                                                 out->every_ms >= 1 && out->every_ms <= BW_WORKFLOW_WAIT_MAX_MS))
        bw_load_error(loader, bw_mark_of(value), "step.repeat", "write a duration such as 30s or 5m", "every is no usable duration");
    if ((value = bw_yaml_get(map, "max")) && value->kind == BW_YAML_INT && value->integer >= 1 && value->integer <= BW_REPEAT_MAX)
        out->max = (uint32_t)value->integer;
    else if (value)
        bw_load_error(loader, bw_mark_of(value), "step.repeat", "leave it out for 100", "max must be a number from 1 to %d", BW_REPEAT_MAX);
}

static int word_of(const struct bw_yaml_node *node, const char *const *words)
{
    for (int i = 0; words[i]; i++)
        if (node->kind == BW_YAML_STRING && bw_slice_is(node->text, words[i])) return i;
    return -1;
}

static void load_guarantee(struct bw_loader *loader, const struct bw_yaml_node *map, struct bw_step *step, bool may_call)
{
    static const char *const effects[] = {"none", "read", "write", NULL}, *const guarantees[] = {"at_least_once", "at_most_once", NULL};
    const struct bw_yaml_node *effect = bw_yaml_get(map, "effect"), *guarantee = bw_yaml_get(map, "guarantee"), *repeat = bw_yaml_get(map, "repeat");
    int which = effect ? word_of(effect, effects) : -1;
    if (effect && which < 0)
        bw_load_error(loader, bw_mark_of(effect), "step.effect", "write none, read or write", "effect says what the step does outside of its run");
    step->effect = (enum bw_effect)(which + 1);
    if (!guarantee) return;
    if ((which = word_of(guarantee, guarantees)) < 0)
        bw_load_error(loader, bw_mark_of(guarantee), "step.guarantee", "write at_least_once (the default) or at_most_once",
                      "guarantee says how often the step may have its effect");
    step->is_once = which == 1;
    if (!step->is_once) return;
    if (step->effect == BW_EFFECT_NONE || step->effect == BW_EFFECT_READ)
        bw_load_error(loader, bw_mark_of(effect), "step.guarantee", "leave at_most_once out: it may be run again without harm",
                      "a step without an effect of its own needs no at_most_once");
    else if (!may_call)
        bw_load_error(loader, bw_mark_of(guarantee), "step.guarantee", "leave it out: only code that uses `ctx` can have an effect",
                      "this code has no effect that could happen twice");
    if (repeat)
        bw_load_error(loader, bw_mark_of(repeat), "step.guarantee", "let a step of its own do it once, and repeat one that only looks",
                      "what is to happen at most once cannot be repeated");
}

void bw_policy_load(struct bw_loader *loader, const struct bw_yaml_node *map, struct bw_step *step, const struct bw_step_defaults *defaults)
{
    static const char *const attempt_keys[] = {"retry", "max_elapsed", "timeout", "heartbeat", "repeat", "limit", "guarantee", "effect"};
    const struct bw_yaml_node *value;
    bool has_attempts = step->kind == BW_STEP_USES || step->kind == BW_STEP_LUA;
    if ((value = bw_yaml_get(map, "retry"))) load_retry(loader, value, &step->retry);
    if ((value = bw_yaml_get(map, "max_elapsed"))) {
        if (step->retry.max_elapsed_ms >= 0)
            bw_load_error(loader, bw_mark_of(value), "step.max_elapsed", "remove one of them", "max_elapsed is already in this step's retry");
        set_field(loader, "max_elapsed", value, &step->retry);
    }
    if ((value = bw_yaml_get(map, "timeout"))) step->timeout_ms = bw_timeout_load(loader, value);
    if ((value = bw_yaml_get(map, "limit"))) bw_limit_load(loader, value, &step->limit);
    if (has_attempts && (value = bw_yaml_get(map, "repeat"))) load_repeat(loader, value, &step->repeat);
    if ((value = bw_yaml_get(map, "on_error"))) load_on_error(loader, value, step);
    for (size_t i = 0; !has_attempts && i < sizeof attempt_keys / sizeof *attempt_keys; i++)
        if ((value = bw_yaml_get(map, attempt_keys[i])))
            bw_load_error(loader, bw_mark_of(value), "step.no_attempts", "leave it out",
                          "nothing is attempted here that could be tried again, take long or have to wait its turn: `%s` goes with `uses` or `lua`",
                          attempt_keys[i]);
    if (!has_attempts) return;
    bw_retry_fill(&step->retry, &defaults->retry);
    if (!step->timeout_ms) step->timeout_ms = defaults->timeout_ms;
    if ((value = bw_yaml_get(map, "heartbeat"))) load_heartbeat(loader, value, step);
    bool may_call = step->kind == BW_STEP_USES || memmem(step->lua.ptr ? step->lua.ptr : "", step->lua.len, "ctx", 3); /* others: pure code */
    if (!step->limit.name.len && may_call) step->limit = defaults->limit;
    load_guarantee(loader, map, step, may_call);
}

void bw_stop_load(struct bw_loader *loader, const struct bw_yaml_node *node, struct bw_step *step)
{
    static const char *const ends[] = {[BW_STOP_SUCCEEDED] = "succeeded", [BW_STOP_FAILED] = "failed", [BW_STOP_SKIPPED] = "skipped"};
    const struct bw_yaml_node *as;
    if (node->kind != BW_YAML_MAP) {
        bw_load_error(loader, bw_mark_of(node), "workflow.type", "write for example stop: {as: failed, message: no such customer}",
                      "stop must be a map, found %s", bw_yaml_kind_name(node->kind));
        return;
    }
    bw_check_keys(loader, node, "stop", bw_stop_keys, bw_stop_key_count);
    if ((as = bw_yaml_get(node, "as"))) {
        size_t i = 0;
        while (i < 3 && !(as->kind == BW_YAML_STRING && bw_slice_is(as->text, ends[i]))) i++;
        if (i == 3)
            bw_load_error(loader, bw_mark_of(as), "step.stop", "write succeeded, failed or skipped", "as says how the run ends");
        else
            step->stop = (enum bw_stop)i;
    }
    const struct bw_yaml_node *message = bw_yaml_get(node, "message");
    if (message && message->kind != BW_YAML_STRING)
        bw_load_error(loader, bw_mark_of(message), "workflow.type", NULL, "message must be a text, found %s", bw_yaml_kind_name(message->kind));
    else
        step->set = bw_template_load(loader, node);
}
