/* What expressions refer to, as far as it can be known before they run: names, steps that have ended by then, granted secrets. */
#include "base/json_view.h"
#include "base/suggest.h"
#include "workflow/internal.h"
#include "workflow/names.h"
#include <stdio.h>
#include <string.h>

struct scope {
    const bool *ended;   /* which steps have ended for certain by then */
    bool allows_secrets; /* only the `with` of a step */
    int32_t body;        /* the innermost foreach around it, or -1 */
    const char *where;
    bool has_error;                 /* what it is for is the consequence of a failure */
    bool is_early;                  /* there is no run yet, and no inputs */
    bool is_admission;              /* there is no run yet, but what it is called with is known */
    const struct bw_step *approval; /* it is the `with` of what notifies for that one */
    bool has_step;                  /* it is the `with` of a step that has attempts */
    bool has_config;                /* it is a `with` */
    bool has_result;                /* there is something that was given: by the step, or the event that is looked at */
    const struct bw_step *item;     /* the foreach whose item it names, though it stands outside of it */
};

/* An expression under check: its text as the file has it (not as rewritten), so that places are exact. */
struct checked {
    struct bw_loader *loader;
    const struct bw_origin *origin;
    const struct scope *scope;
};

/* Those that are always the same, so that a name that is not there is a mistake. */
static const struct {
    const char *name, *hint, *members[9];
} shapes[] = {
    {"event", "what was sent is event.data", {"id", "name", "source", "at", "headers", "data", "body_base64", "trusted"}},
    {"workflow", "it has only a name", {"name"}},
    {"run", "it has only an id", {"id"}},
    {"step", "it has only a key", {"key"}},
    {"approval", "it has message and url, or urls", {"message", "url", "urls"}},
};

static struct bw_mark mark_at(const struct checked *checked, const char *at)
{
    const struct bw_yaml_node *node = checked->origin->node;
    return bw_mark_inside(checked->loader, node, (size_t)(at - node->text.ptr));
}

static int shown(struct bw_slice name)
{
    return name.len > 64 ? 64 : (int)name.len;
}

/* Is the step executed by this run, or by one of those that it is the item of? */
static bool is_visible(const struct bw_workflow *workflow, size_t step, int32_t body)
{
    for (;; body = workflow->steps[body].body) {
        if (workflow->steps[step].body == body) return true;
        if (body < 0) return false;
    }
}

/* Items are handed out with those outputs from outside that they read. */
static void note_read(struct bw_workflow *workflow, size_t step, int32_t body)
{
    for (; body >= 0 && workflow->steps[step].body != body; body = workflow->steps[body].body)
        if (workflow->steps[body].reads) workflow->steps[body].reads[step] = true;
}

static void note_event(struct bw_workflow *workflow, int32_t body)
{
    workflow->reads_event = true;
    for (; body >= 0; body = workflow->steps[body].body) workflow->steps[body].reads_event = true;
}

static void note_events(struct bw_workflow *workflow, int32_t body)
{
    note_event(workflow, body); /* it is the last of them */
    workflow->reads_events = true;
    for (; body >= 0; body = workflow->steps[body].body) workflow->steps[body].reads_events = true;
}

static void check_step_name(const struct checked *checked, struct bw_slice name)
{
    struct bw_loader *loader = checked->loader;
    struct bw_workflow *workflow = loader->workflow;
    const struct scope *scope = checked->scope;
    const char *names[BW_WORKFLOW_STEPS_MAX + BW_ENDING_STEPS];
    char hint[120] = "";
    size_t known = 0;
    for (size_t i = 0; i < workflow->step_count; i++) {
        if (!bw_slice_equal(workflow->steps[i].id, name)) continue;
        if (!is_visible(workflow, i, scope->body)) {
            char hint_text[160];
            snprintf(hint_text, sizeof hint_text, "read the outputs of its items: steps.%s.items", workflow->steps[workflow->steps[i].body].path.ptr);
            bw_load_error(loader, mark_at(checked, name.ptr), "expr.step_inside", hint_text,
                          "the step '%.*s' is inside of a foreach: it is executed once for each item", shown(name), name.ptr);
            return;
        }
        note_read(workflow, i, scope->body);
        if (scope->ended[i]) return;
        bw_load_error(loader, mark_at(checked, name.ptr), "expr.step_order",
                      "an expression can only read steps above it; with `needs`, those that it names and what they wait for",
                      "the step '%.*s' may not have ended yet when %s is evaluated", shown(name), name.ptr, scope->where);
        return;
    }
    for (size_t i = 0; i < workflow->step_count; i++)
        if (scope->ended[i] && workflow->steps[i].id.len) names[known++] = workflow->steps[i].id.ptr;
    const char *near = bw_suggest(name, names, known);
    if (near) snprintf(hint, sizeof hint, "did you mean '%s'?", near);
    bw_load_error(loader, mark_at(checked, name.ptr), "expr.unknown_step", near ? hint : "`steps.ID` is what a step above gave, by its `id`",
                  "there is no step '%.*s' above", shown(name), name.ptr);
}

static void check_input_name(const struct checked *checked, struct bw_slice name)
{
    struct bw_loader *loader = checked->loader;
    const struct bw_workflow *workflow = loader->workflow;
    const char *names[64];
    char hint[120] = "declare it: inputs: {NAME: {type: string}}";
    size_t count = 0;
    for (size_t i = 0; i < workflow->input_count; i++) {
        if (bw_slice_equal(workflow->input_names[i], name)) return;
        if (count < 64) names[count++] = workflow->input_names[i].ptr;
    }
    const char *near = bw_suggest(name, names, count);
    if (near) snprintf(hint, sizeof hint, "did you mean '%s'?", near);
    bw_load_error(loader, mark_at(checked, name.ptr), "expr.unknown_input", hint, "the workflow has no input '%.*s'", shown(name), name.ptr);
}

static void check_var_name(const struct checked *checked, struct bw_slice name)
{
    struct bw_loader *loader = checked->loader;
    const struct bw_slice constants = loader->workflow->vars;
    struct bw_json_view vars = bw_json_view_of(constants.len ? constants : BW_SLICE("{}")), value;
    struct bw_slice key;
    const char *names[64];
    char hint[120] = "declare it: vars: {NAME: VALUE}";
    size_t count = 0;
    if (bw_json_view_get(vars, name, &value)) return;
    for (struct bw_json_iter iter = bw_json_view_iter(vars); count < 64 && bw_json_iter_next(&iter, &key, &value);)
        names[count++] = bw_arena_copy(loader->arena, (struct bw_slice){key.ptr + 1, key.len - 2}).ptr;
    const char *near = bw_suggest(name, names, count);
    if (near) snprintf(hint, sizeof hint, "did you mean '%s'?", near);
    bw_load_error(loader, mark_at(checked, name.ptr), "expr.unknown_var", hint, "the workflow has no constant '%.*s'", shown(name), name.ptr);
}

static void check_secret_name(const struct checked *checked, struct bw_slice name)
{
    struct bw_loader *loader = checked->loader;
    const struct bw_workflow *workflow = loader->workflow;
    char hint[120];
    for (size_t i = 0; i < workflow->secret_count; i++)
        if (bw_slice_equal(workflow->secrets[i], name)) return;
    snprintf(hint, sizeof hint, "add it to the workflow: secrets: [%.*s]", shown(name), name.ptr);
    bw_load_error(loader, mark_at(checked, name.ptr), "expr.secret_not_granted", hint, "the secret '%.*s' is not in the workflow's `secrets`",
                  shown(name), name.ptr);
}

/* What the instance is configured with is not known here: whoever loads the workflow looks for the names. */
static void note_value(const struct checked *checked, struct bw_slice name)
{
    struct bw_workflow *workflow = checked->loader->workflow;
    struct bw_arena *arena = checked->loader->arena;
    struct bw_value_ref *values = bw_arena_alloc(arena, (workflow->value_count + 1) * sizeof *values);
    if (!values) return;
    if (workflow->value_count) memcpy(values, workflow->values, workflow->value_count * sizeof *values);
    values[workflow->value_count] = (struct bw_value_ref){bw_arena_copy(arena, name), mark_at(checked, name.ptr)};
    workflow->values = values;
    workflow->value_count++;
}

/* The text of a string token, when it can be read without knowing Lua's escapes. */
static bool read_string(struct bw_slice token, struct bw_slice *out)
{
    size_t margin = 1;
    if (token.len < 2 || memchr(token.ptr, '\\', token.len)) return false;
    if (*token.ptr == '[') {
        while (margin < token.len && token.ptr[margin] == '=') margin++;
        margin++;
    }
    if (token.len < 2 * margin) return false;
    *out = (struct bw_slice){token.ptr + margin, token.len - 2 * margin};
    return true;
}

/* What follows a name: .x or ["x"] for a table, ("x") or "x" for a function. Computed names are left to the run. */
static bool read_name_behind(const char **at, const char *end, bool is_call, struct bw_slice *name)
{
    struct bw_token first, second, close;
    if (!bw_token_next(at, end, &first)) return false;
    if (is_call && first.kind == BW_TOKEN_STRING) return read_string(first.text, name);
    if (!bw_token_next(at, end, &second)) return false;
    if (!is_call && bw_slice_is(first.text, ".") && second.kind == BW_TOKEN_NAME) {
        *name = second.text;
        return true;
    }
    return bw_slice_is(first.text, is_call ? "(" : "[") && second.kind == BW_TOKEN_STRING && bw_token_next(at, end, &close) &&
           bw_slice_is(close.text, is_call ? ")" : "]") && read_string(second.text, name);
}

static bool read_name(const char *at, const char *end, bool is_call, struct bw_slice *name)
{
    return read_name_behind(&at, end, is_call, name);
}

static bool is_equality(const char *at, const char *end)
{
    return end - at >= 2 && at[1] == '=' && strchr("=~!", *at);
}

/* == and ~= never fail in Lua: what is sealed would differ from everything. < and the like refuse it when they are evaluated. */
static void check_sealed(const struct checked *checked, struct bw_slice secret, struct bw_slice name)
{
    const char *begin = checked->origin->raw.ptr, *end = begin + checked->origin->raw.len, *before = secret.ptr, *behind = name.ptr + name.len;
    while (before > begin && strchr(" \t\r\n", before[-1])) before--;
    while (behind < end && strchr(" \t\r\n\"']", *behind)) behind++;
    if (!(before - begin >= 2 && is_equality(before - 2, before)) && !is_equality(behind, end)) return;
    bw_load_error(checked->loader, mark_at(checked, secret.ptr), "expr.secret", "compare it in code: if ctx.secret('NAME') == input.given then …",
                  "a secret can only be passed on or joined to text, not compared");
}

static bool is_indexed(const char *at, const char *end)
{
    struct bw_token next;
    return bw_token_next(&at, end, &next) && (bw_slice_is(next.text, ".") || bw_slice_is(next.text, "["));
}

/* {events = 3}: that is no reading of the name. */
static bool is_table_key(const char *at, const char *end)
{
    struct bw_token next;
    return bw_token_next(&at, end, &next) && bw_slice_is(next.text, "=") && bw_token_next(&at, end, &next) && !bw_slice_is(next.text, "=");
}

static bool is_word(struct bw_slice name)
{
    for (const char *const *word = bw_lua_words; *word; word++)
        if (bw_slice_is(name, *word)) return true;
    return false;
}

/* Of a foreach around it: item, index, and what `as` says. */
static bool is_item(const struct checked *checked, struct bw_slice name)
{
    const struct bw_step *steps = checked->loader->workflow->steps;
    bool is_any = bw_slice_is(name, "item") || bw_slice_is(name, "index");
    if (checked->scope->item && (is_any || bw_slice_equal(name, checked->scope->item->as))) return true;
    for (int32_t body = checked->scope->body; body >= 0; body = steps[body].body)
        if (is_any || bw_slice_equal(name, steps[body].as)) return true;
    return false;
}

static void check_name(const struct checked *checked, struct bw_slice name)
{
    char hint[120] = "";
    if (bw_expr_knows(name) || is_word(name) || is_item(checked, name)) return;
    const char *near = bw_suggest(name, bw_expr_names, bw_expr_name_count);
    if (bw_slice_is(name, "item") || bw_slice_is(name, "index"))
        snprintf(hint, sizeof hint, "it is there inside of a `foreach`");
    else if (near)
        snprintf(hint, sizeof hint, "did you mean '%s'?", near);
    bw_load_error(checked->loader, mark_at(checked, name.ptr), "expr.unknown_name", hint, "unknown name '%.*s'", shown(name), name.ptr);
}

static void check_member(const struct checked *checked, struct bw_slice of, const char *at, const char *end)
{
    struct bw_slice name;
    char hint[120];
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        size_t count = 0;
        if (!bw_slice_is(of, shapes[i].name) || !read_name(at, end, false, &name)) continue;
        for (; shapes[i].members[count]; count++)
            if (bw_slice_is(name, shapes[i].members[count])) return;
        const char *near = bw_suggest(name, shapes[i].members, count);
        snprintf(hint, sizeof hint, near ? "did you mean '%s'?" : "%s", near ? near : shapes[i].hint);
        bw_load_error(checked->loader, mark_at(checked, name.ptr), "expr.unknown_field", hint, "`%s` has no '%.*s'", shapes[i].name, shown(name),
                      name.ptr);
    }
}

static void check_events_name(const struct checked *checked, struct bw_slice name)
{
    struct bw_loader *loader = checked->loader;
    if (!loader->workflow->collect.max_events)
        bw_load_error(loader, mark_at(checked, name.ptr), "expr.events_name", "did you mean `event`? With collect: {quiet: 2m} a run has several",
                      "`events` can only be used in a workflow with `collect`");
    else if (checked->scope->is_early || checked->scope->is_admission)
        bw_load_error(loader, mark_at(checked, name.ptr), "expr.too_early", "use the event: ${{ event.data.… }}",
                      "`events` are known when the run begins: %s looks at each of them by itself", checked->scope->where);
    else
        note_events(loader->workflow, checked->scope->body);
}

/* A name that does not stand where it means something: reported. */
static bool is_misplaced(const struct checked *checked, struct bw_slice name, const char *at, const char *end)
{
    struct bw_loader *loader = checked->loader;
    const struct scope *scope = checked->scope;
    struct bw_slice member;
    if (bw_slice_is(name, "secrets") && !scope->allows_secrets && is_indexed(at, end))
        bw_load_error(loader, mark_at(checked, name.ptr), "expr.secret", "pass it to the step that needs it: with: {token: \"${{ secrets.NAME }}\"}",
                      "secrets can only be used in the `with` of a step");
    else if (bw_slice_is(name, "config") && !scope->has_config && is_indexed(at, end))
        bw_load_error(loader, mark_at(checked, name.ptr), "expr.config",
                      "pass it to the step that needs it: with: {url: \"${{ config.NAME }}\"}, or make it a constant: vars",
                      "`config` can only be used in the `with` of a step: a run does not keep what it says");
    else if (bw_slice_is(name, "inputs") && scope->is_early)
        bw_load_error(loader, mark_at(checked, name.ptr), "expr.too_early", "use the event: ${{ event.data.… }}",
                      "`inputs` are made when the run begins: %s comes before that", scope->where);
    else if (bw_slice_is(name, "error") && !scope->has_error)
        bw_load_error(loader, mark_at(checked, name.ptr), "expr.error_name", "of a step that may fail: err('ID')",
                      "`error` can only be used in `catch`, `undo`, `on_failure` and `finally`");
    else if (bw_slice_is(name, "result") && !scope->has_result)
        bw_load_error(loader, mark_at(checked, name.ptr), "expr.result_name", "of a step above: steps.ID",
                      "`result` can only be used in `outputs`, `until` and `undo` of a step, and in the `if` of an event that is waited for");
    else if (bw_slice_is(name, "approval") && !scope->approval)
        bw_load_error(loader, mark_at(checked, name.ptr), "expr.approval_name", "what was decided is the output of the step: steps.ID.choice",
                      "`approval` can only be used in the `with` of a `notify`");
    else if (bw_slice_is(name, "approval") && scope->approval->voter_count && read_name(at, end, false, &member) && bw_slice_is(member, "url"))
        bw_load_error(loader, mark_at(checked, member.ptr), "expr.approval_url", "approval.urls is a list of them: {to, url}",
                      "with `to` there is no `approval.url`: each one has a link of their own");
    else if (bw_slice_is(name, "step") && !scope->has_step && is_indexed(at, end))
        bw_load_error(loader, mark_at(checked, name.ptr), "expr.step_name", "of a step above: steps.ID",
                      "`step` can only be used in the `with` of a step with `uses` or `lua`: it is that step");
    else
        return false;
    return true;
}

static bool is_status(struct bw_slice name)
{
    return bw_slice_is(name, "ok") || bw_slice_is(name, "status") || bw_slice_is(name, "err");
}

/* Which one is read is not known here: it may be any. */
static void note_every_read(const struct checked *checked)
{
    struct bw_workflow *workflow = checked->loader->workflow;
    const struct scope *scope = checked->scope;
    for (size_t i = 0; i < workflow->step_count; i++)
        if (scope->ended[i] && is_visible(workflow, i, scope->body)) note_read(workflow, i, scope->body);
}

/* Another place of the same expression may mean what every expression knows by that name. */
static void note_local(const struct checked *checked, struct bw_slice name)
{
    if (bw_slice_is(name, "steps") || is_status(name)) note_every_read(checked);
    if (bw_slice_is(name, "events") && checked->loader->workflow->collect.max_events) note_events(checked->loader->workflow, checked->scope->body);
}

/* What is behind the name: a step, a secret, an input, a constant, a value of the instance. */
static void check_use(const struct checked *checked, struct bw_slice of, const char *at, const char *end)
{
    bool is_steps = bw_slice_is(of, "steps");
    struct bw_slice name, field;
    const char *behind = at;
    if (bw_slice_is(of, "secrets") && read_name(at, end, false, &name)) {
        check_secret_name(checked, name);
        check_sealed(checked, of, name);
    } else if (bw_slice_is(of, "inputs") && read_name(at, end, false, &name)) {
        check_input_name(checked, name);
    } else if (bw_slice_is(of, "vars") && read_name(at, end, false, &name)) {
        check_var_name(checked, name);
    } else if (bw_slice_is(of, "config") && read_name(at, end, false, &name)) {
        note_value(checked, name);
    } else if ((is_steps || is_status(of)) && read_name_behind(&behind, end, is_status(of), &name)) {
        check_step_name(checked, name);
        if (is_steps && read_name(behind, end, false, &field)) bw_note_field(checked->loader, name, field, mark_at(checked, field.ptr));
    } else if (is_steps || is_status(of)) {
        note_every_read(checked);
    }
}

/* A name with a secret or a value of the instance behind it is never taken for a local: it would be read unseen. */
static bool is_local(const struct bw_expr_locals *locals, struct bw_slice name)
{
    return !bw_slice_is(name, "secrets") && !bw_slice_is(name, "config") && bw_expr_is_local(locals, name);
}

static void check_expr(struct bw_loader *loader, int64_t index, const struct scope *scope)
{
    if (index < 0) return;
    const struct checked checked = {loader, &loader->origins[index], scope};
    const char *at = checked.origin->raw.ptr, *end = at + checked.origin->raw.len;
    struct bw_expr_locals locals;
    struct bw_token token;
    bool is_field = false, was_field; /* of something else: event.steps is no step */
    bw_expr_find_locals(at, end, &locals);
    while (bw_token_next(&at, end, &token)) {
        was_field = is_field;
        is_field = bw_slice_is(token.text, ".") || bw_slice_is(token.text, ":");
        if (token.kind != BW_TOKEN_NAME || was_field || is_table_key(at, end)) continue;
        if (bw_slice_is(token.text, "event")) note_event(loader->workflow, scope->body);
        if (bw_slice_is(token.text, "inputs") && scope->is_admission) loader->workflow->admission_reads_inputs = true;
        if (is_local(&locals, token.text)) {
            note_local(&checked, token.text);
            continue;
        }
        check_name(&checked, token.text);
        if (bw_slice_is(token.text, "events")) check_events_name(&checked, token.text);
        if (is_misplaced(&checked, token.text, at, end)) continue;
        check_member(&checked, token.text, at, end);
        check_use(&checked, token.text, at, end);
    }
}

static void check_template(struct bw_loader *loader, const struct bw_template *template_, const struct scope *scope)
{
    if (!template_ || template_->kind == BW_TEMPLATE_CONST) return;
    if (template_->kind == BW_TEMPLATE_EXPR) check_expr(loader, template_->expr, scope);
    for (size_t i = 0; template_->kind == BW_TEMPLATE_TEXT && i < template_->count; i++)
        if (template_->pieces[i].is_expr) check_expr(loader, template_->pieces[i].expr, scope);
    for (size_t i = 0; (template_->kind == BW_TEMPLATE_MAP || template_->kind == BW_TEMPLATE_LIST) && i < template_->count; i++)
        check_template(loader, template_->items[i], scope);
}

void bw_check_references(struct bw_loader *loader)
{
    const struct bw_workflow *workflow = loader->workflow;
    bool ended[BW_WORKFLOW_STEPS_MAX + BW_ENDING_STEPS] = {false};
    const struct scope trigger = {.ended = ended, .body = -1, .where = "a trigger", .is_early = true},
                       inputs = {.ended = ended, .body = -1, .where = "an input"};
    for (size_t i = 0; i < workflow->trigger_count; i++) check_expr(loader, workflow->triggers[i].condition, &trigger);
    for (size_t i = 0; i < workflow->input_count; i++) check_template(loader, workflow->input_defaults[i], &inputs);
    check_template(loader, workflow->collect.key, &(struct scope){.ended = ended, .body = -1, .where = "collect", .is_early = true});
    const struct {
        const struct bw_template *value;
        const char *where;
    } admission[] = {
        {workflow->rate.key, "rate"}, {workflow->concurrency.key, "concurrency"}, {workflow->priority, "priority"}, {workflow->delay, "delay"}};
    for (size_t i = 0; i < sizeof admission / sizeof *admission; i++)
        check_template(loader, admission[i].value, &(struct scope){.ended = ended, .body = -1, .where = admission[i].where, .is_admission = true});
    for (size_t i = 0; i < workflow->step_count; i++)
        if (workflow->steps[i].kind == BW_STEP_FOREACH)
            workflow->steps[i].reads = bw_arena_alloc(loader->arena, workflow->step_count * sizeof *workflow->steps[i].reads);
    for (size_t i = 0; i < workflow->step_count; i++) {
        const struct bw_step *step = &workflow->steps[i];
        bool has_error = bw_step_sees_error(workflow, i);
        const char *where = (int32_t)i == workflow->cancel_on ? "cancel_on, at the run's beginning," : "this step";
        bool is_undo = step->undoes >= 0; /* it sees what it takes back */
        const struct scope plain = {.ended = ended, .body = step->body, .where = where, .has_error = has_error, .has_result = is_undo},
                           given = {.ended = ended, .body = step->body, .where = where, .has_error = has_error, .has_result = true},
                           key = {.ended = ended, .body = step->body, .where = where, .has_error = has_error, .item = step},
                           with = {.ended = ended,
                                   .allows_secrets = true,
                                   .body = step->body,
                                   .where = "this step",
                                   .has_error = has_error,
                                   .approval = step->notifies >= 0 ? &workflow->steps[step->notifies] : NULL,
                                   .has_step = step->kind == BW_STEP_USES || step->kind == BW_STEP_LUA,
                                   .has_config = true,
                                   .has_result = is_undo},
                           call = {.ended = ended, .body = step->body, .where = where, .has_error = has_error, .has_config = true},
                           failed = {.ended = ended, .body = step->body, .where = "this `catch`", .has_error = true};
        bw_needs_closure(workflow, i, ended);
        for (size_t k = 0; k < i; k++) ended[k] |= bw_ending_reads(workflow, i, k);
        for (size_t k = 0; k < step->catch_count; k++) check_expr(loader, step->catches[k].condition, &failed);
        check_expr(loader, step->key, &key);
        if (step->notifies < 0) check_expr(loader, step->condition, &plain);            /* else it is that of its approval */
        check_template(loader, step->with, step->kind == BW_STEP_CALL ? &call : &with); /* inputs of a run are stored */
        check_template(loader, step->set, &plain);
        check_template(loader, step->outputs, &given);
        if (step->repeat.max) check_expr(loader, step->repeat.until, &given);
        check_template(loader, step->limit.measures, &plain);
        for (size_t k = 0; k < step->arm_count; k++) {
            check_template(loader, step->arms[k].equals, &plain);
            check_expr(loader, step->arms[k].condition, &given);
        }
    }
    for (size_t i = 0; i < workflow->step_count; i++) ended[i] = bw_step_ending(workflow, i) < 0;
    check_template(loader, workflow->outputs, &(struct scope){.ended = ended, .body = -1, .where = "outputs"});
}
