/* Catalogue revisions: files → workflows with their actions resolved. A broken file is left out and named; the others work. */
#include "base/clock.h"
#include "base/codec.h"
#include "base/suggest.h"
#include "worker/internal.h"
#include <malloc.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX 1024

static void free_workflow(struct bw_catalog_workflow *entry)
{
    bw_workflow_free(entry->workflow);
    free(entry->actions);
    free(entry->own_actions);
    free(entry->limits);
    bw_schema_free(entry->inputs);
}

static void free_catalog(struct bw_worker *worker, struct bw_catalog *catalog)
{
    for (size_t i = 0; i < catalog->workflow_count; i++) {
        bw_scripts_drop(worker, &catalog->workflows[i]);
        free_workflow(&catalog->workflows[i]);
    }
    for (size_t i = 0; i < catalog->package_count; i++) bw_shared_scripts_drop(worker, &catalog->packages[i]);
    bw_offers_free(catalog);
    bw_refusals_free(catalog);
    json_decref(catalog->unconfigured);
    json_decref(catalog->unused);
    bw_matching_free(catalog->matching);
    free(catalog->workflows);
    free(catalog);
}

struct bw_catalog *bw_catalog_find(struct bw_worker *worker, uint32_t revision)
{
    struct bw_catalog *catalog;
    TAILQ_FOREACH(catalog, &worker->catalogs, link)
    if (catalog->revision == revision) return catalog;
    return NULL;
}

void bw_catalog_drop(struct bw_worker *worker, uint32_t revision)
{
    struct bw_catalog *catalog = bw_catalog_find(worker, revision);
    if (!catalog || catalog->events) return; /* in use: it goes with the worker */
    TAILQ_REMOVE(&worker->catalogs, catalog, link);
    free_catalog(worker, catalog);
}

/* ---- workflows ---- */

static void place(struct bw_error *err, const struct bw_workflow *workflow, struct bw_mark mark)
{
    if (err) bw_error_at(err, workflow->file.ptr, mark.line, mark.column);
}

/* "sql/query" → "sql", if that is a bundled plugin without a configuration */
static const char *unconfigured_plugin(const struct bw_catalog *catalog, struct bw_slice action)
{
    const char *slash = memchr(action.ptr, '/', action.len);
    json_t *name;
    size_t index;
    json_array_foreach(catalog->unconfigured, index, name)
    {
        if (slash && bw_slice_equal(bw_json_slice(name), (struct bw_slice){action.ptr, (size_t)(slash - action.ptr)})) return json_string_value(name);
    }
    return NULL;
}

static const struct bw_action *find_action(const struct bw_catalog *catalog, const struct bw_workflow *workflow, const struct bw_step *step,
                                           struct bw_errors *errs)
{
    const char *names[NAMES_MAX];
    const struct bw_action *other = NULL; /* of the same name */
    size_t count = 0;
    for (size_t i = 0; i < catalog->action_count; i++) {
        const struct bw_action *action = catalog->actions[i];
        bool is_named = bw_slice_is(step->action, action->name);
        if (is_named && action->major == step->major) return action;
        if (is_named && (!other || action->major > other->major)) other = action;
        if (!is_named && count < NAMES_MAX) names[count++] = action->name;
    }
    count = bw_offers_unused(catalog, names, count, NAMES_MAX);
    const char *near = other ? NULL : bw_suggest(step->action, names, count);
    struct bw_error *err = other ? bw_errors_add(errs, "action.version", "there is %s@%u, but not version %u", other->name, other->major, step->major)
                                 : bw_errors_add(errs, "action.unknown", "there is no action %.*s", (int)step->uses.len, step->uses.ptr);
    const char *plugin = other ? NULL : unconfigured_plugin(catalog, step->action);
    struct bw_error why;
    if (err && !other && bw_refusals_of_action(catalog, step->action, &why))
        bw_error_hint(err, "its file is refused: %s%s%s", why.file, *why.file ? ": " : "", why.message);
    else if (err && plugin)
        bw_error_hint(err, "the plugin %s is there as soon as bellwire.yaml configures it: bellwire actions show %s/", plugin, plugin);
    else if (err && near)
        bw_error_hint(err, "did you mean '%s'?", near);
    else if (err)
        bw_error_hint(err, "see: bellwire actions");
    place(err, workflow, step->mark);
    return NULL;
}

static void check_secrets(const struct bw_workflow *workflow, const struct bw_step *step, const struct bw_action *action, struct bw_errors *errs)
{
    for (size_t i = 0; i < action->secret_count; i++) {
        bool is_granted = false;
        for (size_t k = 0; k < workflow->secret_count; k++) is_granted = is_granted || bw_slice_is(workflow->secrets[k], action->secrets[i]);
        if (is_granted) continue;
        struct bw_error *err =
            bw_errors_add(errs, "action.secret_not_granted", "the action %s needs the secret %s, which this workflow does not grant", action->name,
                          action->secrets[i]);
        if (err) bw_error_hint(err, "add it to the workflow: secrets: [%s]", action->secrets[i]);
        place(err, workflow, step->mark);
    }
}

static void check_guarantee(const struct bw_workflow *workflow, const struct bw_step *step, const struct bw_action *action, struct bw_errors *errs)
{
    if (!step->is_once || step->effect == BW_EFFECT_WRITE || action->has_effect) return;
    struct bw_error *err = bw_errors_add(errs, "step.guarantee", "the action %s says that it has no effect (%s): at_most_once is pointless here",
                                         action->name, bw_json_str(action->manifest, "effect", ""));
    if (err) bw_error_hint(err, "leave `guarantee` out, or say that it has one here: effect: write");
    place(err, workflow, step->mark);
}

/* A cost that is written as a number and is more than the burst: its turn would never come. */
static void check_cost(const struct bw_workflow *workflow, const struct bw_step *step, double most, struct bw_errors *errs)
{
    const struct bw_template *cost = step->limit.has_cost ? step->limit.measures : NULL;
    for (size_t i = 0; cost && cost->kind == BW_TEMPLATE_MAP && i < cost->count; i++)
        if (bw_slice_is(cost->keys[i], "cost")) cost = cost->items[i];
    if (!cost || cost->kind != BW_TEMPLATE_CONST || most <= 0) return;
    json_t *value = bw_json_load(cost->json, NULL), *number = json_is_object(value) ? json_object_get(value, "cost") : value;
    if (json_is_number(number) && json_number_value(number) > most) {
        struct bw_error *err = bw_errors_add(errs, "limit.cost", "the cost %.14g is more than the limit %s lets begin at once, which is %.14g",
                                             json_number_value(number), step->limit.name.ptr, most);
        if (err) bw_error_hint(err, "give the limit a greater burst in bellwire.yaml, or do less in one step");
        place(err, workflow, cost->mark.line ? cost->mark : step->limit.mark);
    }
    json_decref(value);
}

/* What the step says, or the workflow, or its action: that is a suggestion, which counts if there is such a limit. A limit that the workflow wants
 * and that is not there is an error, but the workflow stays: bellwire.yaml is no part of a revision, and runs that are parked need theirs. They fail
 * at that step, with a name, and can be resumed. */
static const char *find_limit(const struct bw_worker *worker, const struct bw_workflow *workflow, const struct bw_step *step,
                              const struct bw_action *action, struct bw_errors *errs)
{
    const char *names[NAMES_MAX], *wanted = action ? bw_json_str(action->manifest, "limit", NULL) : NULL;
    size_t count = 0, position = 0;
    struct bw_slice name;
    void *most;
    if (!step->limit.name.len) return wanted && bw_map_get(worker->shared, bw_slice_of(wanted)) ? wanted : NULL;
    if (bw_slice_is(step->limit.name, "none")) return NULL;
    if ((most = bw_map_get(worker->shared, step->limit.name))) {
        check_cost(workflow, step, *(double *)most, errs);
        return step->limit.name.ptr;
    }
    while (count < NAMES_MAX && bw_map_next(worker->shared, &position, &name, &most)) names[count++] = name.ptr;
    const char *near = bw_suggest(step->limit.name, names, count);
    const struct bw_error *last = errs->count ? &errs->items[errs->count - 1] : NULL;
    bool is_said = last && !strcmp(last->code, "limit.unknown") && !strcmp(last->file, workflow->file.ptr) && last->line == step->limit.mark.line &&
                   last->column == step->limit.mark.column;
    if (is_said) return step->limit.name.ptr; /* it stands in `defaults`, for many steps */
    struct bw_error *err = bw_errors_add(errs, "limit.unknown", "there is no limit %s in bellwire.yaml", step->limit.name.ptr);
    if (err && near) bw_error_hint(err, "did you mean '%s'?", near);
    if (err && !near) bw_error_hint(err, "add it there: limits: {%s: {rate: 20/1s, concurrency: 10}}", step->limit.name.ptr);
    place(err, workflow, step->limit.mark);
    return step->limit.name.ptr;
}

/* As with a limit the workflow stays: bellwire.yaml is no part of a revision. Its runs are executed by the default pool. */
static void check_pool(const struct bw_worker *worker, const struct bw_workflow *workflow, struct bw_errors *errs)
{
    const char *names[NAMES_MAX] = {BW_POOL_DEFAULT};
    size_t count = 1, position = 0;
    struct bw_slice name;
    void *self;
    if (!workflow->pool.len || bw_map_get(worker->pools, workflow->pool)) return;
    while (count < NAMES_MAX && bw_map_next(worker->pools, &position, &name, &self)) names[count++] = name.ptr;
    const char *near = bw_suggest(workflow->pool, names, count);
    struct bw_error *err = bw_errors_add(errs, "pool.unknown", "there is no pool %s in bellwire.yaml", workflow->pool.ptr);
    if (err && near) bw_error_hint(err, "did you mean '%s'?", near);
    if (err && !near) bw_error_hint(err, "add it there: pools: {%s: {workers: 1}}", workflow->pool.ptr);
    place(err, workflow, workflow->pool_mark);
}

/* The version: the definition, and what its actions are, with the modules that they may use. */
static void make_version(struct bw_catalog_workflow *entry)
{
    struct bw_buf text = {0};
    const struct bw_workflow *workflow = entry->workflow;
    bw_buf_append(&text, workflow->hash, sizeof workflow->hash);
    for (size_t i = 0; i < workflow->step_count; i++) {
        const struct bw_action *action = entry->actions[i];
        if (!action) continue;
        bw_buf_printf(&text, "|%s@%u|", action->name, action->major);
        bw_buf_append_slice(&text, action->source);
        for (size_t k = 0; k < action->module_count; k++) {
            bw_buf_printf(&text, "|%s|", action->modules[k]->name);
            bw_buf_append_slice(&text, action->modules[k]->source);
        }
    }
    SHA256((const unsigned char *)text.data, text.len, entry->version);
    bw_buf_free(&text);
}

/* The loader has tried each of them alone. */
static void load_inputs(struct bw_catalog_workflow *entry, struct bw_errors *errs)
{
    struct bw_error err;
    if (!entry->workflow->inputs.len) return;
    json_t *fields = bw_json_load(entry->workflow->inputs, &err);
    entry->inputs = fields ? bw_schema_load(fields, &err) : NULL;
    json_decref(fields);
    if (entry->inputs) return;
    bw_error_at(&err, entry->workflow->file.ptr, entry->workflow->mark.line, entry->workflow->mark.column);
    bw_errors_push(errs, &err);
}

static bool is_callable(const struct bw_workflow *workflow)
{
    for (size_t i = 0; i < workflow->trigger_count; i++)
        if (workflow->triggers[i].kind == BW_TRIGGER_CALL) return true;
    return false;
}

struct bw_catalog_workflow *bw_catalog_callee(const struct bw_catalog *catalog, struct bw_slice name, struct bw_error *err)
{
    const char *names[NAMES_MAX];
    struct bw_catalog_workflow *callee = NULL;
    size_t count = 0;
    for (size_t i = 0; i < catalog->workflow_count; i++) {
        const struct bw_workflow *other = catalog->workflows[i].workflow;
        if (bw_slice_equal(other->name, name)) callee = &catalog->workflows[i];
        if (count < NAMES_MAX && is_callable(other)) names[count++] = other->name.ptr;
    }
    if (callee && is_callable(callee->workflow)) return callee;
    const char *near = callee ? NULL : bw_suggest(name, names, count);
    if (callee)
        bw_error_set(err, "call.not_callable", "the workflow %.*s cannot be run by others", (int)name.len, name.ptr);
    else
        bw_error_set(err, "call.unknown", "there is no workflow %.*s that loads without errors", (int)name.len, name.ptr);
    if (near) bw_error_hint(err, "did you mean '%s'?", near);
    if (callee) bw_error_hint(err, "add a trigger to it: on: [{call: true}]");
    return NULL;
}

/* The workflows that it runs are there and want to be called; else it is said. */
static bool check_calls(struct bw_catalog *catalog, const struct bw_workflow *workflow, struct bw_errors *errs)
{
    struct bw_error err;
    bool good = true;
    for (size_t i = 0; i < workflow->step_count; i++) {
        const struct bw_step *step = &workflow->steps[i];
        if (step->kind != BW_STEP_CALL || bw_catalog_callee(catalog, step->callee, &err)) continue;
        bw_error_at(&err, workflow->file.ptr, step->mark.line, step->mark.column);
        bw_errors_push(errs, &err);
        if (good) bw_refusals_add(catalog, workflow->name, &err);
        good = false;
    }
    return good;
}

/* One that calls what is not there is left out, and then who calls that one. */
static void drop_broken_callers(struct bw_catalog *catalog, struct bw_errors *errs)
{
    for (size_t i = 0; i < catalog->workflow_count;) {
        if (check_calls(catalog, catalog->workflows[i].workflow, errs)) {
            i++;
            continue;
        }
        free_workflow(&catalog->workflows[i]);
        catalog->workflow_count--;
        memmove(&catalog->workflows[i], &catalog->workflows[i + 1], (catalog->workflow_count - i) * sizeof *catalog->workflows);
        i = 0;
    }
}

/* Code with ctx.part can call a workflow whose name is only known then. */
static bool may_call_any(const struct bw_catalog_workflow *entry, size_t step)
{
    const struct bw_action *action = entry->actions[step];
    const char *code = action ? action->source.ptr : entry->workflow->steps[step].lua.ptr;
    return code && strstr(code, "ctx.part.");
}

/* Whoever starts a run says by what it is admitted. */
static void note_calls(struct bw_catalog *catalog)
{
    for (size_t i = 0; i < catalog->workflow_count; i++) {
        struct bw_catalog_workflow *entry = &catalog->workflows[i];
        for (size_t k = 0; k < entry->workflow->step_count; k++) {
            const struct bw_step *step = &entry->workflow->steps[k];
            const struct bw_catalog_workflow *callee = step->kind == BW_STEP_CALL ? bw_catalog_workflow_named(catalog, step->callee) : NULL;
            if (callee) entry->calls_need_event |= callee->workflow->reads_event && bw_admission_has_expressions(callee->workflow);
            entry->calls_need_event |= may_call_any(entry, k);
        }
    }
}

/* errs: empty, for this workflow alone. */
static void add_workflow(struct bw_worker *worker, struct bw_catalog *catalog, struct bw_workflow *workflow, struct bw_errors *errs)
{
    for (size_t i = 0; i < catalog->workflow_count; i++)
        if (bw_slice_equal(catalog->workflows[i].workflow->name, workflow->name))
            place(bw_errors_add(errs, "workflow.same_name", "the workflow name '%s' is used twice, also in %s:%d", workflow->name.ptr,
                                catalog->workflows[i].workflow->file.ptr, catalog->workflows[i].workflow->mark.line),
                  workflow, workflow->mark);
    struct bw_catalog_workflow entry = {.workflow = workflow};
    entry.actions = calloc(workflow->step_count + 1, sizeof *entry.actions);
    entry.own_actions = calloc(workflow->step_count + 1, sizeof *entry.own_actions);
    entry.limits = calloc(workflow->step_count + 1, sizeof *entry.limits);
    for (size_t i = 0; entry.actions && entry.own_actions && i < workflow->step_count; i++) {
        const struct bw_step *step = &workflow->steps[i];
        if (step->kind != BW_STEP_USES || !(entry.actions[i] = find_action(catalog, workflow, step, errs))) continue;
        if (entry.actions[i]->source.len && !bw_package_is_shared(entry.actions[i]->package)) entry.own_actions[i] = entry.actions[i];
        check_secrets(workflow, step, entry.actions[i], errs);
        check_guarantee(workflow, step, entry.actions[i], errs);
    }
    load_inputs(&entry, errs);
    /* Compiling finds the errors of expressions and code now, not at the first event. It is not kept: most workflows are idle. */
    struct bw_script *script = !errs->count && entry.limits ? bw_script_new(workflow, entry.own_actions, &worker->limits, errs) : NULL;
    struct bw_catalog_workflow *grown = script ? realloc(catalog->workflows, (catalog->workflow_count + 1) * sizeof *grown) : NULL;
    bw_script_free(script);
    if (!grown) {
        if (!errs->count) exit(70); /* no memory: another worker takes over */
        bw_refusals_add(catalog, workflow->name, &errs->items[0]);
        free_workflow(&entry);
        return;
    }
    for (size_t i = 0; entry.limits && i < workflow->step_count; i++) {
        entry.limits[i] = find_limit(worker, workflow, &workflow->steps[i], entry.actions[i], errs);
        if (entry.actions[i]) bw_given_check(workflow, &workflow->steps[i], entry.actions[i], errs); /* as with a limit the workflow stays */
    }
    bw_values_check(worker, workflow, errs);
    check_pool(worker, workflow, errs);
    make_version(&entry);
    catalog->workflows = grown;
    catalog->workflows[catalog->workflow_count++] = entry;
    if (entry.workflow->respond_ms) catalog->may_respond = true;
}

/* ---- the answer ---- */

static json_t *describe_workflow(const struct bw_catalog_workflow *entry)
{
    const struct bw_workflow *workflow = entry->workflow;
    json_t *events = json_array(), *steps = json_array(), *inner = json_array(), *waits = json_array(), *schedules = json_array();
    json_t *fixed = json_array(); /* what no test can mock */
    int32_t mark = workflow->endings.mark >= 0 ? workflow->endings.mark : workflow->cancel_on;
    bool is_manual = false;
    char version[65];
    bw_hex_encode(entry->version, sizeof entry->version, version);
    for (size_t i = 0; i < workflow->trigger_count; i++) {
        const struct bw_trigger *trigger = &workflow->triggers[i];
        if (trigger->kind == BW_TRIGGER_MANUAL)
            is_manual = true;
        else if (trigger->kind == BW_TRIGGER_SCHEDULE)
            json_array_append_new(schedules, json_pack("{s:s%,s:s%,s:i,s:I}", "cron", trigger->cron.ptr, trigger->cron.len, "tz", trigger->zone.ptr,
                                                       trigger->zone.len, "missed", trigger->missed, "max_age_ms", (json_int_t)trigger->max_age_ms));
        else if (trigger->kind == BW_TRIGGER_EVENT || trigger->kind == BW_TRIGGER_WEBHOOK)
            json_array_append_new(events, json_stringn(workflow->triggers[i].event.ptr, workflow->triggers[i].event.len));
    }
    for (size_t i = 0; i < workflow->step_count; i++)
        if (!bw_step_is_block(&workflow->steps[i]))
            json_array_append_new(workflow->steps[i].body < 0 && (mark < 0 || (int32_t)i < mark) ? steps : inner,
                                  json_stringn(workflow->steps[i].path.ptr, workflow->steps[i].path.len));
    for (size_t i = 0; i < workflow->step_count; i++)
        if (!bw_step_is_block(&workflow->steps[i]) && !bw_trial_can_mock(&workflow->steps[i]))
            json_array_append_new(fixed, json_stringn(workflow->steps[i].path.ptr, workflow->steps[i].path.len));
    for (size_t i = 0; i < workflow->step_count; i++)
        for (size_t k = 0; k < workflow->steps[i].arm_count; k++) {
            const struct bw_step_arm *arm = &workflow->steps[i].arms[k];
            json_array_append_new(
                waits, json_pack("{s:s%,s:s%}", "event", arm->event.ptr, arm->event.len, "by", arm->by.len ? arm->by.ptr : "", arm->by.len));
        }
    json_t *described =
        json_pack("{s:s%,s:s%,s:s%,s:s,s:b,s:b,s:b,s:b,s:o,s:o,s:o,s:o,s:o,s:o,s:I,s:i,s:i}", "name", workflow->name.ptr, workflow->name.len,
                  "description", workflow->description.ptr ? workflow->description.ptr : "", workflow->description.len, "file", workflow->file.ptr,
                  workflow->file.len, "hash", version, "manual", is_manual, "ordered",
                  workflow->concurrency.limit || workflow->rate.count || workflow->collect.max_events, "collects", workflow->collect.max_events > 0,
                  "callable", is_callable(workflow), "events", events, "steps", steps, "inner", inner, "fixed", fixed, "waits", waits, "schedules",
                  schedules, "respond_ms", (json_int_t)workflow->respond_ms, "line", workflow->mark.line, "column", workflow->mark.column);
    for (size_t i = 0; i < workflow->trigger_count; i++)
        if (workflow->triggers[i].kind == BW_TRIGGER_WEBHOOK)
            json_object_set_new(described, "webhook", bw_json_load(workflow->triggers[i].webhook, NULL));
    json_t *secrets = workflow->secret_count ? json_array() : NULL;
    for (size_t i = 0; i < workflow->secret_count; i++)
        json_array_append_new(secrets, json_pack("{s:s%,s:i,s:i}", "name", workflow->secrets[i].ptr, workflow->secrets[i].len, "line",
                                                 workflow->secret_marks[i].line, "column", workflow->secret_marks[i].column));
    if (secrets) json_object_set_new(described, "secrets", secrets);
    json_t *tool = bw_exposed_describe(entry);
    if (tool) json_object_set_new(described, "tool", tool);
    if (workflow->pool.len) json_object_set_new(described, "pool", json_stringn(workflow->pool.ptr, workflow->pool.len));
    if (workflow->labels.len) json_object_set_new(described, "labels", bw_json_load(workflow->labels, NULL));
    if (workflow->keep_ok_ms != BW_AGE_UNSET) json_object_set_new(described, "keep_ok_ms", json_integer(workflow->keep_ok_ms));
    if (workflow->keep_failed_ms != BW_AGE_UNSET) json_object_set_new(described, "keep_failed_ms", json_integer(workflow->keep_failed_ms));
    return described;
}

static json_t *describe_action(const struct bw_action *action)
{
    char name[160];
    json_t *described = json_deep_copy(action->manifest);
    snprintf(name, sizeof name, "%s@%u", action->name, action->major);
    json_object_set_new(described, "name", json_string(name));
    json_object_set_new(described, "file", json_string(action->file));
    json_object_set_new(described, "kind", json_string(action->source.len ? "lua" : "plugin"));
    return described;
}

static json_t *describe_errors(const struct bw_errors *errs)
{
    json_t *described = json_array();
    for (size_t i = 0; i < errs->count; i++) {
        struct bw_buf text = {0};
        bw_error_to_json(&text, &errs->items[i], BW_CLASS_BUG, (struct bw_slice){0});
        json_array_append_new(described, json_loadb(text.data, text.len, 0, NULL));
        bw_buf_free(&text);
    }
    return described;
}

static void answer(struct bw_worker *worker, const struct bw_catalog *catalog, const struct bw_errors *errs)
{
    json_t *workflows = json_array(), *actions = json_array();
    struct bw_errors doubts = {0};
    for (size_t i = 0; i < catalog->workflow_count; i++) json_array_append_new(workflows, describe_workflow(&catalog->workflows[i]));
    for (size_t i = 0; i < catalog->action_count; i++) json_array_append_new(actions, describe_action(catalog->actions[i]));
    for (size_t i = 0; i < catalog->workflow_count; i++) bw_workflow_doubts(catalog->workflows[i].workflow, &doubts);
    json_t *head = json_pack("{s:i,s:o,s:o,s:o,s:o,s:o}", "revision", (int)catalog->revision, "workflows", workflows, "actions", actions, "errors",
                             describe_errors(errs), "doubts", describe_errors(&doubts), "refused", bw_refusals_describe(catalog));
    bw_errors_free(&doubts);
    bw_channel_send_json(worker->channel, BW_MSG_CATALOG_LOADED, head, NULL, 0);
    json_decref(head);
}

static void on_refused(void *catalog, struct bw_slice name, const struct bw_error *why)
{
    bw_refusals_add(catalog, name, why);
}

void bw_catalog_load(struct bw_worker *worker, const struct bw_message *message)
{
    struct bw_catalog *catalog = calloc(1, sizeof *catalog);
    struct bw_errors errs = {0};
    const json_t *files = json_object_get(message->head, "files");
    json_t *file;
    size_t index;
    if (!catalog) return;
    catalog->revision = (uint32_t)bw_json_int(message->head, "revision", 0);
    catalog->unconfigured = json_incref(json_object_get(message->head, "unconfigured"));
    catalog->unused = json_incref(json_object_get(message->head, "unused"));
    bw_offers_load(worker, catalog, message, &errs); /* first: workflows refer to them */
    bw_refusals_begin(catalog, message, &errs);
    json_array_foreach(files, index, file)
    {
        struct bw_workflow **workflows;
        if (strcmp(bw_json_str(file, "kind", ""), "workflow") != 0) continue;
        size_t count = bw_workflow_load_all(bw_message_part_or(message, file, "part", BW_SLICE("")), bw_json_str(file, "path", ""), &workflows, &errs,
                                            on_refused, catalog);
        for (size_t i = 0; i < count; i++) {
            struct bw_errors own = {0};
            add_workflow(worker, catalog, workflows[i], &own);
            for (size_t k = 0; k < own.count; k++) bw_errors_push(&errs, &own.items[k]);
            bw_errors_free(&own);
        }
        free(workflows);
    }
    drop_broken_callers(catalog, &errs);
    bw_exposed_check(catalog, &errs);
    if (!(catalog->matching = bw_matching_new(catalog->workflows, catalog->workflow_count))) exit(70);
    note_calls(catalog);
    TAILQ_INSERT_TAIL(&worker->catalogs, catalog, link);
    answer(worker, catalog, &errs);
    bw_errors_free(&errs);
    malloc_trim(0); /* what compiling and answering took */
}
