/* What expressions refer to, as far as it can be known before they run: steps that have ended by then, granted secrets. */
#include "base/suggest.h"
#include "workflow/internal.h"
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
};

/* An expression under check: its text as the file has it (not as rewritten), so that places are exact. */
struct checked {
    struct bw_loader *loader;
    const struct bw_origin *origin;
    const struct scope *scope;
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
static bool read_name(const char *at, const char *end, bool is_call, struct bw_slice *name)
{
    struct bw_token first, second, close;
    if (!bw_token_next(&at, end, &first)) return false;
    if (is_call && first.kind == BW_TOKEN_STRING) return read_string(first.text, name);
    if (!bw_token_next(&at, end, &second)) return false;
    if (!is_call && bw_slice_is(first.text, ".") && second.kind == BW_TOKEN_NAME) {
        *name = second.text;
        return true;
    }
    return bw_slice_is(first.text, is_call ? "(" : "[") && second.kind == BW_TOKEN_STRING && bw_token_next(&at, end, &close) &&
           bw_slice_is(close.text, is_call ? ")" : "]") && read_string(second.text, name);
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

static void check_expr(struct bw_loader *loader, int64_t index, const struct scope *scope)
{
    if (index < 0) return;
    const struct checked checked = {loader, &loader->origins[index], scope};
    const char *at = checked.origin->raw.ptr, *end = at + checked.origin->raw.len;
    struct bw_token token;
    struct bw_slice name;
    bool is_field = false; /* of something else: event.steps is no step */
    while (bw_token_next(&at, end, &token)) {
        bool is_name = token.kind == BW_TOKEN_NAME && !is_field;
        bool is_status = is_name && (bw_slice_is(token.text, "ok") || bw_slice_is(token.text, "status") || bw_slice_is(token.text, "err"));
        bool is_steps = is_name && bw_slice_is(token.text, "steps"), is_secrets = is_name && bw_slice_is(token.text, "secrets");
        if (is_name && bw_slice_is(token.text, "event")) note_event(loader->workflow, scope->body);
        if (is_name && bw_slice_is(token.text, "events") && !is_table_key(at, end)) check_events_name(&checked, token.text);
        bool is_inputs = is_name && bw_slice_is(token.text, "inputs"), is_config = is_name && bw_slice_is(token.text, "config");
        if (is_inputs && scope->is_admission) loader->workflow->admission_reads_inputs = true;
        is_field = bw_slice_is(token.text, ".") || bw_slice_is(token.text, ":");
        if (is_secrets && !scope->allows_secrets && is_indexed(at, end))
            bw_load_error(loader, mark_at(&checked, token.text.ptr), "expr.secret",
                          "pass it to the step that needs it: with: {token: \"${{ secrets.NAME }}\"}",
                          "secrets can only be used in the `with` of a step");
        else if (is_config && !scope->has_config && is_indexed(at, end))
            bw_load_error(loader, mark_at(&checked, token.text.ptr), "expr.config",
                          "pass it to the step that needs it: with: {url: \"${{ config.NAME }}\"}, or make it a constant: vars",
                          "`config` can only be used in the `with` of a step: a run does not keep what it says");
        else if (is_config && scope->has_config && read_name(at, end, false, &name))
            note_value(&checked, name);
        else if (is_inputs && scope->is_early)
            bw_load_error(loader, mark_at(&checked, token.text.ptr), "expr.too_early", "use the event: ${{ event.data.… }}",
                          "`inputs` are made when the run begins: %s comes before that", scope->where);
        else if (is_name && bw_slice_is(token.text, "error") && !scope->has_error)
            bw_load_error(loader, mark_at(&checked, token.text.ptr), "expr.error_name", "of a step that may fail: err('ID')",
                          "`error` can only be used in `catch`, `undo`, `on_failure` and `finally`");
        else if (is_name && bw_slice_is(token.text, "approval") && !scope->approval)
            bw_load_error(loader, mark_at(&checked, token.text.ptr), "expr.approval_name",
                          "what was decided is the output of the step: steps.ID.choice", "`approval` can only be used in the `with` of a `notify`");
        else if (is_name && bw_slice_is(token.text, "approval") && scope->approval->voter_count && read_name(at, end, false, &name) &&
                 bw_slice_is(name, "url"))
            bw_load_error(loader, mark_at(&checked, name.ptr), "expr.approval_url", "approval.urls is a list of them: {to, url}",
                          "with `to` there is no `approval.url`: each one has a link of their own");
        else if (is_name && bw_slice_is(token.text, "step") && !scope->has_step && is_indexed(at, end))
            bw_load_error(loader, mark_at(&checked, token.text.ptr), "expr.step_name", "of a step above: steps.ID",
                          "`step` can only be used in the `with` of a step with `uses` or `lua`: it is that step");
        else if ((is_steps || is_secrets || is_status || is_inputs) && read_name(at, end, is_status, &name))
            is_secrets ? check_secret_name(&checked, name) : is_inputs ? check_input_name(&checked, name) : check_step_name(&checked, name);
        else if (is_steps || is_status) /* which one is computed: it may be any */
            for (size_t i = 0; i < loader->workflow->step_count; i++)
                if (scope->ended[i] && is_visible(loader->workflow, i, scope->body)) note_read(loader->workflow, i, scope->body);
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
        const struct scope plain = {.ended = ended, .body = step->body, .where = where, .has_error = has_error},
                           with = {.ended = ended,
                                   .allows_secrets = true,
                                   .body = step->body,
                                   .where = "this step",
                                   .has_error = has_error,
                                   .approval = step->notifies >= 0 ? &workflow->steps[step->notifies] : NULL,
                                   .has_step = step->kind == BW_STEP_USES || step->kind == BW_STEP_LUA,
                                   .has_config = true},
                           call = {.ended = ended, .body = step->body, .where = where, .has_error = has_error, .has_config = true},
                           failed = {.ended = ended, .body = step->body, .where = "this `catch`", .has_error = true};
        bw_needs_closure(workflow, i, ended);
        for (size_t k = 0; k < i; k++) ended[k] |= bw_ending_reads(workflow, i, k);
        for (size_t k = 0; k < step->catch_count; k++) check_expr(loader, step->catches[k].condition, &failed);
        check_expr(loader, step->key, &plain);
        if (step->notifies < 0) check_expr(loader, step->condition, &plain);            /* else it is that of its approval */
        check_template(loader, step->with, step->kind == BW_STEP_CALL ? &call : &with); /* inputs of a run are stored */
        check_template(loader, step->set, &plain);
        check_template(loader, step->outputs, &plain);
        if (step->repeat.max) check_expr(loader, step->repeat.until, &plain);
        check_template(loader, step->limit.measures, &plain);
        for (size_t k = 0; k < step->arm_count; k++) {
            check_template(loader, step->arms[k].equals, &plain);
            check_expr(loader, step->arms[k].condition, &plain);
        }
    }
    for (size_t i = 0; i < workflow->step_count; i++) ended[i] = bw_step_ending(workflow, i) < 0;
    check_template(loader, workflow->outputs, &(struct scope){.ended = ended, .body = -1, .where = "outputs"});
}
