#include "base/units.h"
#include "workflow/internal.h"
#include <stdio.h>
#include <stdlib.h>

#define ONE_VERB "a step has exactly one of: uses, lua, set, sleep, wait, approve, emit, respond, foreach, stop; a block has steps, cases or parallel"

bool bw_is_expr_name(struct bw_slice text)
{
    if (!text.len || text.len > 64 || text.ptr[0] < 'a' || text.ptr[0] > 'z') return false;
    for (size_t i = 0; i < text.len; i++)
        if (!((text.ptr[i] >= 'a' && text.ptr[i] <= 'z') || (text.ptr[i] >= '0' && text.ptr[i] <= '9') || text.ptr[i] == '_')) return false;
    for (const char *const *word = bw_lua_words; *word; word++)
        if (bw_slice_is(text, *word)) return false;
    return true;
}

bool bw_is_workflow_name(struct bw_slice text)
{
    if (!text.len || text.len > 64 || text.ptr[0] < 'a' || text.ptr[0] > 'z') return false;
    for (size_t i = 0; i < text.len; i++)
        if (!((text.ptr[i] >= 'a' && text.ptr[i] <= 'z') || (text.ptr[i] >= '0' && text.ptr[i] <= '9') || text.ptr[i] == '-')) return false;
    return true;
}

static bool is_action_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

/* "ns/name@major": one spelling per action, so no leading zeros; at most six digits */
static bool split_uses(struct bw_slice text, struct bw_step *step)
{
    size_t slash = 0, at = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '/' && !slash && !at && i) {
            slash = i;
        } else if (text.ptr[i] == '@' && slash && i > slash + 1 && !at) {
            at = i;
        } else if (at ? text.ptr[i] < '0' || text.ptr[i] > '9' : !is_action_char(text.ptr[i])) {
            return false;
        }
    }
    if (!at || at + 1 == text.len || text.len - at > 7 || (text.ptr[at + 1] == '0' && at + 2 < text.len)) return false;
    step->uses = text;
    step->action = (struct bw_slice){text.ptr, at};
    step->major = (uint32_t)strtoul(text.ptr + at + 1, NULL, 10);
    return true;
}

static struct bw_template *load_map(struct bw_loader *loader, const struct bw_yaml_node *node, const char *what)
{
    if (node->kind == BW_YAML_MAP) return bw_template_load(loader, node);
    bw_load_error(loader, bw_mark_of(node), "workflow.type", NULL, "%s must be a map, found %s", what, bw_yaml_kind_name(node->kind));
    return NULL;
}

static bool is_blank(struct bw_slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!memchr(" \t\r\n", text.ptr[i], 4)) return false;
    return true;
}

static void load_lua(struct bw_loader *loader, const struct bw_yaml_node *node, struct bw_step *step)
{
    const char *hole;
    if (node->kind != BW_YAML_STRING || is_blank(node->text)) {
        bw_load_error(loader, bw_mark_of(node), "workflow.type", "write for example lua: return {text = input.name}",
                      "lua must be Lua code, found %s", node->kind == BW_YAML_STRING ? "an empty text" : bw_yaml_kind_name(node->kind));
        return;
    }
    if ((hole = memmem(node->text.ptr, node->text.len, "${{", 3))) {
        bw_load_error(loader, bw_mark_inside(loader, node, (size_t)(hole - node->text.ptr)), "lua.expression",
                      "pass it as an input: with: {NAME: \"${{ … }}\"}, then use input.NAME",
                      "an expression inside code would put data into the program");
        return;
    }
    step->lua = bw_arena_copy(loader->arena, node->text);
    step->lua_mark = bw_mark_inside(loader, node, 0);
}

static void load_uses(struct bw_loader *loader, const struct bw_yaml_node *node, struct bw_step *step)
{
    if (node->kind == BW_YAML_STRING && node->text.len >= 9 && !memcmp(node->text.ptr, "workflow/", 9)) {
        step->kind = BW_STEP_CALL;
        step->callee = bw_arena_copy(loader->arena, (struct bw_slice){node->text.ptr + 9, node->text.len - 9});
        if (!bw_is_workflow_name(step->callee))
            bw_load_error(loader, bw_mark_of(node), "step.uses", "write for example workflow/refresh-page, without a version",
                          "'%s' is no name of a workflow", step->callee.ptr);
    } else if (node->kind != BW_YAML_STRING || !split_uses(bw_arena_copy(loader->arena, node->text), step))
        bw_load_error(loader, bw_mark_of(node), "step.uses", "write for example http/request@1", "uses must name an action as NAMESPACE/NAME@MAJOR");
}

static const char *verb_of(const struct bw_step *step)
{
    static const char *const verbs[] = {"uses", "lua", "set", "stop", "sleep", "wait", "emit", "uses", "foreach", "respond", "approve"};
    return verbs[step->kind];
}

static void load_detach(struct bw_loader *loader, const struct bw_yaml_node *map, struct bw_step *step)
{
    const struct bw_yaml_node *detach = bw_yaml_get(map, "detach");
    if (!detach) return;
    step->is_detached = detach->kind == BW_YAML_BOOL && detach->boolean;
    if (detach->kind != BW_YAML_BOOL)
        bw_load_error(loader, bw_mark_of(detach), "step.detach", "write true or false", "detach says that nobody waits for the workflow");
    else if (step->kind != BW_STEP_CALL)
        bw_load_error(loader, bw_mark_of(detach), "step.detach", "leave it out", "`detach` goes with `uses: workflow/NAME`");
}

/* Everything is read, even of a step that says two things: its faults are all reported at once. */
static void load_verb(struct bw_loader *loader, const struct bw_yaml_node *map, struct bw_step *step, bool has_later_key)
{
    const struct bw_yaml_node *with = bw_yaml_get(map, "with"), *second = NULL;
    size_t verbs = 0;
    for (size_t i = 0; i < map->count; i++) {
        const struct bw_yaml_pair *pair = &map->pairs[i];
        bool is_uses = bw_slice_is(pair->key->text, "uses"), is_lua = bw_slice_is(pair->key->text, "lua"),
             is_set = bw_slice_is(pair->key->text, "set"), is_stop = bw_slice_is(pair->key->text, "stop"),
             is_sleep = bw_slice_is(pair->key->text, "sleep"), is_wait = bw_slice_is(pair->key->text, "wait"),
             is_emit = bw_slice_is(pair->key->text, "emit"), is_respond = bw_slice_is(pair->key->text, "respond"),
             is_approve = bw_slice_is(pair->key->text, "approve");
        if (!is_uses && !is_lua && !is_set && !is_stop && !is_sleep && !is_wait && !is_emit && !is_respond && !is_approve) continue;
        if (++verbs == 2) second = pair->key;
        step->kind = is_approve ? BW_STEP_APPROVE
                     : is_uses  ? BW_STEP_USES
                     : is_lua   ? BW_STEP_LUA
                     : is_set   ? BW_STEP_SET
                     : is_stop  ? BW_STEP_STOP
                     : is_sleep ? BW_STEP_SLEEP
                     : is_wait  ? BW_STEP_WAIT
                     : is_emit  ? BW_STEP_EMIT
                                : BW_STEP_RESPOND;
        if (is_uses) load_uses(loader, pair->value, step);
        if (is_lua) load_lua(loader, pair->value, step);
        if (is_set) step->set = load_map(loader, pair->value, "set");
        if (is_stop) bw_stop_load(loader, pair->value, step);
        if (is_sleep) bw_sleep_load(loader, pair->value, step);
        if (is_wait) bw_wait_load(loader, pair->value, step);
        if (is_emit) bw_emit_load(loader, pair->value, step);
        if (is_respond) bw_respond_load(loader, pair->value, step);
        if (is_approve) bw_approve_load(loader, pair->value, step);
    }
    if (with) step->with = load_map(loader, with, "with");
    load_detach(loader, map, step);
    if (second)
        bw_load_error(loader, bw_mark_of(second), "step.verbs", ONE_VERB, "this step says more than one thing to do");
    else if (!verbs && !has_later_key) /* what it was to do may be of a later version: that has been said */
        bw_load_error(loader, bw_mark_of(map), "step.no_verb", ONE_VERB, "this step does not say what to do");
    else if (with && verbs && step->kind != BW_STEP_USES && step->kind != BW_STEP_LUA && step->kind != BW_STEP_CALL)
        bw_load_error(loader, bw_mark_of(with), "step.with", step->kind == BW_STEP_SET ? "write the values into `set`" : NULL,
                      "`with` goes with `uses` or `lua`, not with `%s`", verb_of(step));
}

static void load_id(struct bw_loader *loader, const struct bw_yaml_node *map, struct bw_step *step, bool may_have_none)
{
    const struct bw_yaml_node *id = bw_yaml_get(map, "id");
    if (!id) {
        if (!may_have_none) bw_load_error(loader, bw_mark_of(map), "step.no_id", "give it a name: id: post", "this step has no id");
        return;
    }
    step->id = step->path = bw_arena_copy(loader->arena, id->text);
    if (id->kind != BW_YAML_STRING || !bw_is_expr_name(id->text))
        bw_load_error(loader, bw_mark_of(id), "step.id",
                      "use a-z, 0-9 and _ (no -), beginning with a letter, at most 64; no word of the Lua language", "'%s' is no id of a step",
                      id->text.ptr);
    for (const struct bw_step *other = loader->workflow->steps; other < step; other++)
        if (other->id.len && bw_slice_equal(other->id, step->id)) {
            bw_load_error(loader, bw_mark_of(id), "step.same_id", NULL, "the step id '%s' is used twice (line %d)", step->id.ptr, other->mark.line);
            return;
        }
}

static bool is_block(const struct bw_yaml_node *map)
{
    static const char *const keys[] = {"steps", "else", "switch", "cases", "default", "parallel"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (bw_yaml_get(map, keys[i])) return true;
    return false;
}

struct bw_step *bw_step_new(struct bw_loader *loader, struct bw_mark mark, const struct bw_list_place *place)
{
    struct bw_workflow *workflow = loader->workflow;
    size_t index = workflow->step_count++;
    struct bw_step *step = &workflow->steps[index];
    char path[16];
    int len = snprintf(path, sizeof path, "#%zu", index + 1);
    step->condition = -1;
    step->retry = bw_retry_unset;
    step->mark = mark;
    step->parent = place->parent;
    step->branch = place->branch;
    step->end = (uint32_t)index + 1;
    step->key = step->undoes = step->notifies = step->choice_in_time = -1;
    step->endings = (struct bw_endings){-1, -1, -1, -1};
    step->path = bw_arena_copy(loader->arena, place->path ? bw_slice_of(place->path) : (struct bw_slice){path, (size_t)len});
    step->body = place->parent < 0                                        ? -1
                 : workflow->steps[place->parent].kind == BW_STEP_FOREACH ? place->parent
                                                                          : workflow->steps[place->parent].body;
    return step;
}

static void load_sensitive(struct bw_loader *loader, const struct bw_yaml_node *map, struct bw_step *step)
{
    const struct bw_yaml_node *value = bw_yaml_get(map, "sensitive");
    bool has_output = step->kind != BW_STEP_STOP && step->kind != BW_STEP_SLEEP && step->kind != BW_STEP_EMIT && step->kind != BW_STEP_RESPOND;
    if (!value) return;
    step->is_sensitive = value->kind == BW_YAML_BOOL && value->boolean;
    if (value->kind != BW_YAML_BOOL)
        bw_load_error(loader, bw_mark_of(value), "step.sensitive", "write true or false", "sensitive says that what the step gives is not shown");
    else if (!has_output)
        bw_load_error(loader, bw_mark_of(value), "step.sensitive",
                      step->kind == BW_STEP_EMIT ? "an event is there for all to see; let a later step fetch what they must not" : "leave it out",
                      "`sensitive` goes with steps that have an output, not with `%s`", verb_of(step));
}

/* What is made of a sensitive step: the list of what its items gave, what tells of it, what takes it back. */
static void spread_sensitive(struct bw_workflow *workflow)
{
    for (size_t i = workflow->step_count; i-- > 0;) {
        struct bw_step *step = &workflow->steps[i];
        if (step->undoes >= 0) step->is_sensitive |= workflow->steps[step->undoes].is_sensitive;
        if (step->notifies >= 0) step->is_sensitive |= workflow->steps[step->notifies].is_sensitive;
        if (step->is_sensitive && step->body >= 0) workflow->steps[step->body].is_sensitive = true;
    }
}

void bw_step_load(struct bw_loader *loader, const struct bw_yaml_node *map, const struct bw_list_place *place)
{
    struct bw_workflow *workflow = loader->workflow;
    const struct bw_yaml_node *value;
    if (!place->is_caught && bw_yaml_get(map, "catch")) {
        bw_try_load(loader, map, place);
        return;
    }
    bool is_part = place->path != NULL; /* of another step: it holds none */
    if (!is_part && bw_notify_of(map)) bw_notify_load(loader, map, place);
    size_t index = workflow->step_count;
    struct bw_step *step = bw_step_new(loader, bw_mark_of(map), place);
    if (map->kind != BW_YAML_MAP) {
        bw_load_error(loader, step->mark, "workflow.type", "write for example - {id: greet, lua: 'return {}'}", "a step must be a map, found %s",
                      bw_yaml_kind_name(map->kind));
        return;
    }
    bool has_later_key = bw_check_keys(loader, map, "a step", bw_step_keys, bw_step_key_count);
    load_id(loader, map, step, place->path || has_later_key || (is_block(map) && !bw_yaml_get(map, "foreach")));
    if (!place->is_caught) loader->needs[index] = bw_yaml_get(map, "needs");
    loader->undos[index] = bw_yaml_get(map, "undo");
    if ((value = bw_yaml_get(map, "name"))) step->name = bw_plain_text(loader, value, "name");
    if ((value = bw_yaml_get(map, "if"))) step->condition = bw_expr_field(loader, value, true);
    if (bw_step_has_notify(workflow->steps, index)) { /* nobody is told of what is not asked */
        workflow->steps[index - 1].condition = step->condition;
        loader->needs[index - 1] = loader->needs[index];
    }
    bool is_foreach = !is_part && bw_foreach_load(loader, map, step, place);
    if (is_foreach || (!is_part && bw_block_load(loader, map, step, place))) step->end = (uint32_t)workflow->step_count;
    if (bw_step_is_block(step)) return;
    if (!is_foreach) load_verb(loader, map, step, has_later_key);
    bw_policy_load(loader, map, step, place->defaults);
    load_sensitive(loader, map, step);
    if ((value = bw_yaml_get(map, "outputs"))) step->outputs = load_map(loader, value, "outputs");
    if (value && step->kind == BW_STEP_STOP)
        bw_load_error(loader, bw_mark_of(value), "step.outputs", "leave it out", "`stop` ends the run: nothing can read its outputs");
}

void bw_steps_load(struct bw_loader *loader, const struct bw_yaml_node *root, const struct bw_step_defaults *defaults)
{
    struct bw_workflow *workflow = loader->workflow;
    const struct bw_yaml_node *list = bw_yaml_get(root, "steps"), *on_failure = bw_yaml_get(root, "on_failure"),
                              *finally = bw_yaml_get(root, "finally");
    size_t count = bw_block_count_steps(list) + bw_block_count_steps(on_failure) + bw_block_count_steps(finally);
    if (count > BW_WORKFLOW_STEPS_MAX) {
        bw_load_error(loader, bw_mark_of(list), "workflow.too_many_steps", "move a part of it into a workflow of its own",
                      "a workflow has at most %d steps, this one %zu", BW_WORKFLOW_STEPS_MAX, count);
        return;
    }
    count += BW_ENDING_STEPS;
    workflow->steps = bw_arena_alloc(loader->arena, (count + 1) * sizeof *workflow->steps);
    loader->needs = bw_arena_alloc(loader->arena, (count + 1) * sizeof *loader->needs);
    loader->undos = bw_arena_alloc(loader->arena, (count + 1) * sizeof *loader->undos);
    if (!workflow->steps || !loader->needs || !loader->undos) return;
    bw_list_load(loader, list, "steps", &(struct bw_list_place){.parent = -1, .defaults = defaults});
    bw_endings_load(loader, root, defaults);
    spread_sensitive(workflow);
    bw_needs_load(loader);
}
