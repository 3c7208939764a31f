#include "workflow/internal.h"
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

static const char *const other_kinds[] = {"event", "manual", "schedule", "call"};

/* Its keys are known to the reader of sources. */
static void load_webhook(struct bw_loader *loader, const struct bw_yaml_node *map, struct bw_trigger *trigger)
{
    for (size_t i = 0; i < sizeof other_kinds / sizeof *other_kinds; i++) {
        if (!bw_yaml_get(map, other_kinds[i])) continue;
        bw_load_error(loader, trigger->mark, "trigger.kind", "write two triggers", "a trigger is either a webhook or something else, not also `%s`",
                      other_kinds[i]);
        return;
    }
    bw_webhook_load(loader, map, trigger);
}

static void refuse_webhook_keys(struct bw_loader *loader, const struct bw_yaml_node *map)
{
    const char *const *names = bw_webhook_only_keys;
    for (size_t i = 0; i < map->count; i++)
        for (size_t k = 0; names[k]; k++)
            if (bw_slice_is(map->pairs[i].key->text, names[k]))
                bw_load_error(loader, bw_mark_of(map->pairs[i].key), "trigger.kind", "write for example {webhook: /in/NAME, verify: github}",
                              "`%s` goes with `webhook`", names[k]);
}

static void load_trigger(struct bw_loader *loader, const struct bw_yaml_node *map, struct bw_trigger *trigger)
{
    const struct bw_yaml_node *event, *manual, *schedule, *call, *condition;
    trigger->condition = -1;
    trigger->mark = bw_mark_of(map);
    if (map->kind != BW_YAML_MAP) {
        bw_load_error(loader, trigger->mark, "workflow.type", "write for example on: [{event: github.push}]", "a trigger must be a map, found %s",
                      bw_yaml_kind_name(map->kind));
        return;
    }
    if (bw_yaml_get(map, "webhook")) {
        load_webhook(loader, map, trigger);
        return;
    }
    bw_check_keys(loader, map, "a trigger", bw_trigger_keys, bw_trigger_key_count);
    refuse_webhook_keys(loader, map);
    event = bw_yaml_get(map, "event");
    manual = bw_yaml_get(map, "manual");
    schedule = bw_yaml_get(map, "schedule");
    call = bw_yaml_get(map, "call");
    condition = bw_yaml_get(map, "if");
    if (!!event + !!manual + !!schedule + !!call != 1) {
        bw_load_error(loader, trigger->mark, "trigger.kind",
                      "write {event: NAME}, {webhook: /PATH, verify: SCHEME}, {schedule: \"0 9 * * MON\"}, {manual: true} or {call: true}",
                      "a trigger is either an event, a webhook, a schedule, by hand, or a call by another workflow");
        return;
    }
    if (schedule || bw_yaml_get(map, "tz") || bw_yaml_get(map, "missed") || bw_yaml_get(map, "max_age")) {
        bw_schedule_load(loader, map, trigger);
        return;
    }
    if (manual || call) {
        const struct bw_yaml_node *value = manual ? manual : call;
        const char *name = manual ? "manual" : "call";
        trigger->kind = manual ? BW_TRIGGER_MANUAL : BW_TRIGGER_CALL;
        bool is_bare = value->kind == BW_YAML_NULL; /* {manual} is short for {manual: true} */
        if (!is_bare && (value->kind != BW_YAML_BOOL || !value->boolean))
            bw_load_error(loader, bw_mark_of(value), manual ? "trigger.manual" : "trigger.call", NULL, "%s can only be true", name);
        if (condition)
            bw_load_error(loader, bw_mark_of(condition), "trigger.if", "test it in the `if` of the steps",
                          "`if` goes with `event`: who %s has decided", manual ? "starts by hand" : "calls");
        return;
    } else if (event->kind != BW_YAML_STRING || !bw_is_event_glob(event->text)) {
        bw_load_error(loader, bw_mark_of(event), "trigger.event", "write for example github.push, github.*.opened or github.**",
                      "event must be the name of an event: parts between dots, * within a part, ** only as the last part");
    } else {
        trigger->event = bw_plain_text(loader, event, "event");
    }
    if (condition) trigger->condition = bw_expr_field(loader, condition, true);
}

static void load_triggers(struct bw_loader *loader, const struct bw_yaml_node *list)
{
    struct bw_workflow *workflow = loader->workflow;
    if (list->kind != BW_YAML_LIST || !list->count) {
        bw_load_error(loader, bw_mark_of(list), "workflow.type", "write for example on: [{event: github.push}]",
                      "on must be a list with at least one trigger");
        return;
    }
    if (!(workflow->triggers = bw_arena_alloc(loader->arena, list->count * sizeof *workflow->triggers))) return;
    for (size_t i = 0; i < list->count; i++) load_trigger(loader, list->items[i], &workflow->triggers[workflow->trigger_count++]);
}

static bool is_secret_name(const struct bw_yaml_node *node)
{
    struct bw_slice name = node->text;
    if (node->kind != BW_YAML_STRING || !name.len || (name.ptr[0] >= '0' && name.ptr[0] <= '9')) return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_')) return false;
    }
    return true;
}

static void load_secrets(struct bw_loader *loader, const struct bw_yaml_node *list)
{
    struct bw_workflow *workflow = loader->workflow;
    if (list->kind != BW_YAML_LIST) {
        bw_load_error(loader, bw_mark_of(list), "workflow.type", "write for example secrets: [API_KEY]", "secrets must be a list of names, found %s",
                      bw_yaml_kind_name(list->kind));
        return;
    }
    if (list->count > BW_WORKFLOW_SECRETS_MAX) {
        bw_load_error(loader, bw_mark_of(list), "workflow.secret", "let another workflow do a part of it", "a workflow has at most %d secrets",
                      BW_WORKFLOW_SECRETS_MAX);
        return;
    }
    workflow->secrets = bw_arena_alloc(loader->arena, (list->count + 1) * sizeof *workflow->secrets);
    workflow->secret_marks = bw_arena_alloc(loader->arena, (list->count + 1) * sizeof *workflow->secret_marks);
    if (!workflow->secrets || !workflow->secret_marks) return;
    for (size_t i = 0; i < list->count; i++) {
        const struct bw_yaml_node *name = list->items[i];
        bool is_known = false;
        if (!is_secret_name(name)) {
            bw_load_error(loader, bw_mark_of(name), "workflow.secret", "use letters, digits and _, no digit in front", "this is no name of a secret");
            continue;
        }
        for (size_t k = 0; k < workflow->secret_count; k++) is_known |= bw_slice_equal(workflow->secrets[k], name->text);
        if (is_known)
            bw_load_error(loader, bw_mark_of(name), "workflow.secret", "remove one of them", "the secret '%s' is listed twice", name->text.ptr);
        else {
            workflow->secret_marks[workflow->secret_count] = bw_mark_of(name);
            workflow->secrets[workflow->secret_count++] = bw_arena_copy(loader->arena, name->text);
        }
    }
}

static void load_vars(struct bw_loader *loader, const struct bw_yaml_node *node)
{
    struct bw_buf json = {0};
    if (node->kind != BW_YAML_MAP) {
        bw_load_error(loader, bw_mark_of(node), "workflow.type", NULL, "vars must be a map, found %s", bw_yaml_kind_name(node->kind));
        return;
    }
    bw_refuse_hole(loader, node, "vars (a constant)");
    bw_yaml_to_json(node, &json);
    loader->workflow->vars = bw_arena_copy(loader->arena, bw_buf_slice(&json));
    if (json.failed) loader->arena->failed = true;
    bw_buf_free(&json);
}

/* "\0" in double quotes is YAML, but no text of ours: names end at it, and JSON with it is refused everywhere else. */
static void refuse_nul(struct bw_loader *loader, const struct bw_yaml_node *node)
{
    const char *nul = node->text.len ? memchr(node->text.ptr, '\0', node->text.len) : NULL;
    if (nul)
        bw_load_error(loader, bw_mark_inside(loader, node, (size_t)(nul - node->text.ptr)), "workflow.nul", "leave the \\0 out",
                      "a text cannot hold the character NUL");
    for (size_t i = 0; node->kind == BW_YAML_MAP && i < node->count; i++) {
        refuse_nul(loader, node->pairs[i].key);
        refuse_nul(loader, node->pairs[i].value);
    }
    for (size_t i = 0; node->kind == BW_YAML_LIST && i < node->count; i++) refuse_nul(loader, node->items[i]);
}

static void load_root(struct bw_loader *loader, const struct bw_yaml_node *root)
{
    struct bw_workflow *workflow = loader->workflow;
    const struct bw_yaml_node *value;
    static const char *const required[] = {"name", "on", "steps"};
    struct bw_step_defaults defaults = {.retry = bw_retry_unset};
    workflow->mark = bw_mark_of(root);
    workflow->file = bw_arena_copy(loader->arena, bw_slice_of(loader->file));
    if (root->kind != BW_YAML_MAP) {
        bw_load_error(loader, workflow->mark, "workflow.type", "it begins with name:, on: and steps:", "a workflow must be a map, found %s",
                      bw_yaml_kind_name(root->kind));
        return;
    }
    refuse_nul(loader, root);
    bw_check_keys(loader, root, "a workflow", bw_workflow_keys, bw_workflow_key_count);
    for (size_t i = 0; i < sizeof required / sizeof *required; i++)
        if (!bw_yaml_get(root, required[i]) && !(bw_yaml_get(root, "expose") && !strcmp(required[i], "on")))
            bw_load_error(loader, workflow->mark, "workflow.missing_key", NULL, "the workflow has no '%s'", required[i]);
    if ((value = bw_yaml_get(root, "name"))) {
        workflow->name = bw_arena_copy(loader->arena, value->text);
        if (value->kind != BW_YAML_STRING || !bw_is_workflow_name(value->text))
            bw_load_error(loader, bw_mark_of(value), "workflow.name", "use a-z, 0-9 and '-', beginning with a letter",
                          "'%s' is no name of a workflow", workflow->name.ptr);
    }
    if ((value = bw_yaml_get(root, "description"))) workflow->description = bw_plain_text(loader, value, "description");
    workflow->keep_ok_ms = workflow->keep_failed_ms = BW_AGE_UNSET;
    if ((value = bw_yaml_get(root, "labels"))) bw_labels_load(loader, value);
    if ((value = bw_yaml_get(root, "retention"))) bw_retention_load(loader, value);
    if ((value = bw_yaml_get(root, "pool"))) bw_pool_load(loader, value);
    if ((value = bw_yaml_get(root, "expose"))) bw_expose_load(loader, value);
    if ((value = bw_yaml_get(root, "secrets"))) load_secrets(loader, value);
    if ((value = bw_yaml_get(root, "vars"))) load_vars(loader, value);
    if ((value = bw_yaml_get(root, "inputs"))) bw_inputs_load(loader, value);
    if ((value = bw_yaml_get(root, "on"))) load_triggers(loader, value);
    if ((value = bw_yaml_get(root, "defaults"))) bw_defaults_load(loader, value, &defaults);
    if ((value = bw_yaml_get(root, "timeout"))) bw_run_timeout_load(loader, value);
    if ((value = bw_yaml_get(root, "fail_fast"))) {
        workflow->fail_fast = value->kind == BW_YAML_BOOL && value->boolean;
        if (value->kind != BW_YAML_BOOL)
            bw_load_error(loader, bw_mark_of(value), "workflow.type", NULL, "fail_fast must be true or false, found %s",
                          bw_yaml_kind_name(value->kind));
    }
    if ((value = bw_yaml_get(root, "collect"))) bw_collect_load(loader, value);
    if ((value = bw_yaml_get(root, "rate"))) bw_rate_load(loader, value);
    if ((value = bw_yaml_get(root, "concurrency"))) bw_concurrency_load(loader, value);
    if ((value = bw_yaml_get(root, "priority"))) bw_priority_load(loader, value);
    if ((value = bw_yaml_get(root, "delay"))) bw_delay_load(loader, value);
    if ((value = bw_yaml_get(root, "start_within"))) bw_start_within_load(loader, value);
    if ((value = bw_yaml_get(root, "respond"))) bw_respond_mode_load(loader, value);
    bw_collect_check(loader, value);
    if (bw_yaml_get(root, "steps")) bw_steps_load(loader, root, &defaults);
    if ((value = bw_yaml_get(root, "outputs"))) {
        if (value->kind == BW_YAML_MAP)
            workflow->outputs = bw_template_load(loader, value);
        else
            bw_load_error(loader, bw_mark_of(value), "workflow.type", NULL, "outputs must be a map, found %s", bw_yaml_kind_name(value->kind));
    }
    bw_waits_check(loader);
    if (workflow->step_count) bw_check_references(loader); /* without steps every reference to one would be wrong: that has been said */
}

static void make_hash(struct bw_workflow *workflow, struct bw_arena *arena)
{
    struct bw_buf canonical = {0};
    bw_workflow_canonical(workflow, &canonical);
    if (canonical.failed) arena->failed = true;
    SHA256((const unsigned char *)canonical.data, canonical.len, workflow->hash);
    bw_buf_free(&canonical);
}

static struct bw_workflow *load_document(struct bw_slice text, const char *file, const struct bw_yaml_node *root, struct bw_errors *errs,
                                         const struct bw_load_visits *visits)
{
    struct bw_workflow_owner *owner = calloc(1, sizeof *owner);
    struct bw_errors own = {0};
    if (!owner) {
        bw_errors_add(errs, "memory", "out of memory");
        return NULL;
    }
    struct bw_loader loader = {.file = file, .text = text, .errs = &own, .arena = &owner->arena, .workflow = &owner->workflow};
    load_root(&loader, root);
    if (!loader.has_failed) make_hash(&owner->workflow, &owner->arena);
    if (owner->arena.failed) bw_errors_add(&own, "memory", "out of memory while loading %s", file);
    bool is_good = !loader.has_failed && !owner->arena.failed;
    if (is_good && visits->loaded) visits->loaded(visits->arg, &loader);
    if (!is_good && visits->refused && own.count) visits->refused(visits->arg, owner->workflow.name, &own.items[0]);
    for (size_t i = 0; i < own.count; i++) bw_errors_push(errs, &own.items[i]);
    bw_errors_free(&own);
    if (is_good) return &owner->workflow;
    bw_workflow_free(&owner->workflow);
    return NULL;
}

/* "---" at the end of a file begins a document of nothing: only a file that is nothing else is a fault. */
static bool is_left_over(const struct bw_yaml *yaml, size_t document)
{
    const struct bw_yaml_node *root = bw_yaml_root(yaml, document);
    return document > 0 && root->kind == BW_YAML_NULL && !root->text.len;
}

size_t bw_workflow_load(struct bw_slice text, const char *file, struct bw_workflow ***out, struct bw_errors *errs)
{
    return bw_load_documents(text, file, out, errs, &(struct bw_load_visits){0});
}

size_t bw_workflow_load_all(struct bw_slice text, const char *file, struct bw_workflow ***out, struct bw_errors *errs, bw_workflow_refused *refused,
                            void *arg)
{
    return bw_load_documents(text, file, out, errs, &(struct bw_load_visits){.refused = refused, .arg = arg});
}

size_t bw_load_documents(struct bw_slice text, const char *file, struct bw_workflow ***out, struct bw_errors *errs,
                         const struct bw_load_visits *visits)
{
    struct bw_error err;
    struct bw_yaml *yaml = bw_yaml_load(text, file, NULL, &err);
    size_t count = 0;
    *out = NULL;
    if (!yaml) {
        bw_errors_push(errs, &err);
        if (visits->refused) visits->refused(visits->arg, (struct bw_slice){"", 0}, &err);
        return 0;
    }
    struct bw_workflow **list = calloc(bw_yaml_count(yaml), sizeof *list);
    if (!list) bw_errors_add(errs, "memory", "out of memory while loading %s", file);
    for (size_t i = 0; list && i < bw_yaml_count(yaml); i++) {
        if (is_left_over(yaml, i)) continue;
        struct bw_workflow *workflow = load_document(text, file, bw_yaml_root(yaml, i), errs, visits);
        if (workflow) list[count++] = workflow;
    }
    bw_yaml_free(yaml);
    if (count)
        *out = list;
    else
        free(list);
    return count;
}

void bw_workflow_free(struct bw_workflow *workflow)
{
    struct bw_workflow_owner *owner = (struct bw_workflow_owner *)workflow;
    if (!owner) return;
    bw_arena_free(&owner->arena);
    free(owner);
}
