/* What expressions refer to, as far as it can be known before they run: steps above, granted secrets. */
#include "base/suggest.h"
#include "workflow/internal.h"
#include <stdio.h>

struct scope {
    size_t steps;         /* how many of the workflow's steps are above */
    bool allows_secrets;  /* only the `with` of a step */
    const char *where;
};

static struct bw_slice unquoted(struct bw_slice text) { return text.len >= 2 ? (struct bw_slice){text.ptr + 1, text.len - 2} : text; }

static struct bw_mark mark_at(const struct bw_expr *expr, const char *at)
{
    struct bw_mark mark = expr->mark;
    for (const char *c = expr->source.ptr; c < at; c++) {
        mark.column++;
        if (*c == '\n') {
            mark.line++;
            mark.column = 1;
        }
    }
    return mark;
}

static void check_step_name(struct bw_loader *loader, const struct bw_expr *expr, struct bw_slice name, const struct scope *scope)
{
    const struct bw_workflow *workflow = loader->workflow;
    const char *names[BW_WORKFLOW_STEPS_MAX];
    char hint[120] = "";
    struct bw_mark mark = mark_at(expr, name.ptr);
    for (size_t i = 0; i < scope->steps; i++)
        if (bw_slice_equal(workflow->steps[i].id, name)) return;
    for (size_t i = scope->steps; i < workflow->step_count; i++)
        if (bw_slice_equal(workflow->steps[i].id, name)) {
            bw_load_error(loader, mark, "expr.step_order", "an expression can only read steps above it", "the step '%.*s' has not run yet when %s is evaluated", (int)name.len, name.ptr, scope->where);
            return;
        }
    for (size_t i = 0; i < scope->steps; i++) names[i] = workflow->steps[i].id.ptr;
    const char *near = bw_suggest(name, names, scope->steps);
    if (near) snprintf(hint, sizeof hint, "did you mean '%s'?", near);
    bw_load_error(loader, mark, "expr.unknown_step", hint, "there is no step '%.*s' above", (int)name.len, name.ptr);
}

static void check_secret_name(struct bw_loader *loader, const struct bw_expr *expr, struct bw_slice name, const struct scope *scope)
{
    const struct bw_workflow *workflow = loader->workflow;
    char hint[120];
    if (!scope->allows_secrets) {
        bw_load_error(loader, mark_at(expr, name.ptr), "expr.secret", "pass it to the step that needs it: with: {token: \"${{ secrets.NAME }}\"}", "secrets can only be used in the `with` of a step");
        return;
    }
    for (size_t i = 0; i < workflow->secret_count; i++)
        if (bw_slice_equal(workflow->secrets[i], name)) return;
    snprintf(hint, sizeof hint, "add it to the workflow: secrets: [%.*s]", (int)(name.len < 60 ? name.len : 60), name.ptr);
    bw_load_error(loader, mark_at(expr, name.ptr), "expr.secret_not_granted", hint, "the secret '%.*s' is not in the workflow's `secrets`", (int)name.len, name.ptr);
}

/* NAME.x or NAME["x"] where NAME is no field of something else: calls check with x. */
static void check_expr(struct bw_loader *loader, int64_t index, const struct scope *scope)
{
    if (index < 0) return;
    const struct bw_expr *expr = &loader->workflow->exprs[index];
    const char *at = expr->source.ptr, *end = at + expr->source.len;
    struct bw_token token, next, name;
    bool is_field = false;
    while (bw_token_next(&at, end, &token)) {
        const char *ahead = at;
        bool is_steps = token.kind == BW_TOKEN_NAME && bw_slice_is(token.text, "steps"), is_secrets = token.kind == BW_TOKEN_NAME && bw_slice_is(token.text, "secrets");
        bool is_status = token.kind == BW_TOKEN_NAME && (bw_slice_is(token.text, "ok") || bw_slice_is(token.text, "status") || bw_slice_is(token.text, "err"));
        if (!is_field && (is_steps || is_secrets || is_status) && bw_token_next(&ahead, end, &next) && bw_token_next(&ahead, end, &name)) {
            bool has_name = (!is_status && bw_slice_is(next.text, ".") && name.kind == BW_TOKEN_NAME) || (bw_slice_is(next.text, is_status ? "(" : "[") && name.kind == BW_TOKEN_STRING);
            struct bw_slice word = name.kind == BW_TOKEN_STRING ? unquoted(name.text) : name.text;
            if (has_name && is_secrets) check_secret_name(loader, expr, word, scope);
            if (has_name && !is_secrets) check_step_name(loader, expr, word, scope);
        }
        is_field = bw_slice_is(token.text, ".") || bw_slice_is(token.text, ":");
    }
}

static void check_template(struct bw_loader *loader, const struct bw_template *template_, const struct scope *scope)
{
    if (!template_ || template_->kind == BW_TEMPLATE_CONST) return;
    if (template_->kind == BW_TEMPLATE_EXPR) check_expr(loader, template_->expr, scope);
    for (size_t i = 0; template_->kind == BW_TEMPLATE_TEXT && i < template_->count; i++)
        if (template_->pieces[i].is_expr) check_expr(loader, template_->pieces[i].expr, scope);
    for (size_t i = 0; (template_->kind == BW_TEMPLATE_MAP || template_->kind == BW_TEMPLATE_LIST) && i < template_->count; i++) check_template(loader, template_->items[i], scope);
}

void bw_check_references(struct bw_loader *loader)
{
    const struct bw_workflow *workflow = loader->workflow;
    for (size_t i = 0; i < workflow->trigger_count; i++) check_expr(loader, workflow->triggers[i].condition, &(struct scope){0, false, "a trigger"});
    for (size_t i = 0; i < workflow->step_count; i++) {
        const struct bw_step *step = &workflow->steps[i];
        const struct scope plain = {i, false, "this step"}, with = {i, true, "this step"};
        check_expr(loader, step->condition, &plain);
        check_template(loader, step->with, &with);
        check_template(loader, step->set, &plain);
        check_template(loader, step->outputs, &plain);
    }
    check_template(loader, workflow->outputs, &(struct scope){workflow->step_count, false, "outputs"});
}
