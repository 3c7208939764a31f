/* Steps that wait: `sleep` for time, `wait` for an event; the events of `cancel_on`; and how long a run may take in all. */
#include "base/clock.h"
#include "base/units.h"
#include "workflow/internal.h"
#include <string.h>

int64_t bw_wait_duration(struct bw_loader *loader, const struct bw_yaml_node *node, const char *code, const char *what)
{
    struct bw_error err;
    int64_t ms = 0;
    if (node->kind == BW_YAML_STRING && bw_duration_parse(node->text, &ms, &err) && ms >= 1 && ms <= BW_WORKFLOW_WAIT_MAX_MS) return ms;
    bw_load_error(loader, bw_mark_of(node), code, "write a duration such as 30s, 5m, 2h or 3d, at most 366d", "%s is no usable duration", what);
    return 0;
}

void bw_run_timeout_load(struct bw_loader *loader, const struct bw_yaml_node *node)
{
    loader->workflow->timeout_ms = bw_wait_duration(loader, node, "workflow.timeout", "timeout");
}

/* Without an expression it is known now. */
static void check_until(struct bw_loader *loader, const struct bw_yaml_node *node)
{
    bool is_text = node->kind == BW_YAML_STRING, has_hole = is_text && memmem(node->text.ptr, node->text.len, "${{", 3);
    int64_t at_ms;
    if (has_hole || node->kind == BW_YAML_INT || (is_text && bw_clock_parse(node->text, &at_ms))) return;
    bw_load_error(loader, bw_mark_of(node), "step.sleep", "write RFC 3339 text such as 2026-11-23T12:00:00Z, Unix milliseconds, or an expression",
                  "until is no time");
}

/* {for: TEXT} or {until: VALUE}: a text without a hole is checked now. */
void bw_sleep_load(struct bw_loader *loader, const struct bw_yaml_node *node, struct bw_step *step)
{
    static const char example[] = "write for example sleep: 14d, or sleep: {until: \"${{ event.data.starts_at }}\"}";
    const struct bw_yaml_node *until;
    struct bw_template *value;
    if (node->kind == BW_YAML_MAP) {
        bw_check_keys(loader, node, "sleep", bw_sleep_keys, bw_sleep_key_count);
        if ((until = bw_yaml_get(node, "until")))
            check_until(loader, until);
        else
            bw_load_error(loader, bw_mark_of(node), "step.sleep", example, "sleep does not say until when");
        step->set = bw_template_load(loader, node);
        return;
    }
    if (node->kind != BW_YAML_STRING) {
        bw_load_error(loader, bw_mark_of(node), "step.sleep", example, "sleep must be a duration or a map, found %s", bw_yaml_kind_name(node->kind));
        return;
    }
    if (!(value = bw_template_load(loader, node))) return;
    if (value->kind == BW_TEMPLATE_CONST) step->wait_ms = bw_wait_duration(loader, node, "step.sleep", "sleep");
    if (!(step->set = bw_arena_alloc(loader->arena, sizeof *step->set)) || !(step->set->items = bw_arena_alloc(loader->arena, sizeof value)) ||
        !(step->set->keys = bw_arena_alloc(loader->arena, sizeof *step->set->keys)))
        return;
    step->set->kind = BW_TEMPLATE_MAP;
    step->set->mark = bw_mark_of(node);
    step->set->count = 1;
    step->set->items[0] = value;
    step->set->keys[0] = BW_SLICE("for");
}

static bool is_path(struct bw_slice text)
{
    size_t part = 0;
    if (text.len < 6 || memcmp(text.ptr, "data.", 5) != 0) return false;
    for (size_t i = 5; i < text.len; i++) {
        if (text.ptr[i] == '.' && !part) return false;
        part = text.ptr[i] == '.' ? 0 : part + 1;
    }
    return part > 0;
}

static void load_arm(struct bw_loader *loader, const struct bw_yaml_node *map, struct bw_step_arm *arm)
{
    const struct bw_yaml_node *event = bw_yaml_get(map, "event"), *by = bw_yaml_get(map, "by"), *equals = bw_yaml_get(map, "equals"),
                              *condition = bw_yaml_get(map, "if");
    arm->mark = bw_mark_of(map);
    arm->condition = -1;
    if (!event || event->kind != BW_YAML_STRING || !bw_is_event_glob(event->text))
        bw_load_error(loader, event ? bw_mark_of(event) : arm->mark, "wait.event", "write for example event: stripe.invoice.paid",
                      "a wait needs the name of an event");
    else
        arm->event = bw_plain_text(loader, event, "event");
    if (by && (by->kind != BW_YAML_STRING || !is_path(by->text)))
        bw_load_error(loader, bw_mark_of(by), "wait.by", "write for example by: data.order.id, without ${{ }}",
                      "by must be the path of a field of the event, from `data` on");
    else if (by)
        arm->by = bw_plain_text(loader, by, "by");
    if (!by != !equals)
        bw_load_error(loader, by ? bw_mark_of(by) : bw_mark_of(equals), "wait.by",
                      "write for example by: data.order.id, equals: \"${{ event.data.order.id }}\"", "`by` and `equals` go together");
    if (equals && (equals->kind == BW_YAML_LIST || equals->kind == BW_YAML_MAP || equals->kind == BW_YAML_NULL))
        bw_load_error(loader, bw_mark_of(equals), "wait.equals", "compare one field with one value",
                      "equals must be a text, a number or a boolean, found %s", bw_yaml_kind_name(equals->kind));
    else if (equals)
        arm->equals = bw_template_load(loader, equals);
    if (condition) arm->condition = bw_expr_field(loader, condition, true);
}

static void load_list(struct bw_loader *loader, const struct bw_yaml_node *list, const char *what, struct bw_step *step)
{
    if (!(step->arms = bw_arena_alloc(loader->arena, list->count * sizeof *step->arms))) return;
    for (size_t i = 0; i < list->count; i++) {
        const struct bw_yaml_node *arm = list->items[i];
        if (arm->kind != BW_YAML_MAP) {
            bw_load_error(loader, bw_mark_of(arm), "workflow.type", "write for example {event: order.paid}", "%s must be a map, found %s", what,
                          bw_yaml_kind_name(arm->kind));
            continue;
        }
        bw_check_keys(loader, arm, what, bw_wait_keys, BW_ARM_KEYS);
        load_arm(loader, arm, &step->arms[step->arm_count++]);
    }
}

static void load_arms(struct bw_loader *loader, const struct bw_yaml_node *node, struct bw_step *step)
{
    const struct bw_yaml_node *any = bw_yaml_get(node, "any");
    if (any && bw_yaml_get(node, "event")) {
        bw_load_error(loader, bw_mark_of(any), "step.wait", "move the other event into `any`", "a wait has either `event` or `any`");
        return;
    }
    if (any && (any->kind != BW_YAML_LIST || !any->count || any->count > BW_WORKFLOW_ARMS_MAX)) {
        bw_load_error(loader, bw_mark_of(any), "step.wait", "write for example any: [{event: order.paid}, {event: order.cancelled}]",
                      "any must be a list of 1 to %d events", BW_WORKFLOW_ARMS_MAX);
        return;
    }
    if (any)
        load_list(loader, any, "an event of `any`", step);
    else if ((step->arms = bw_arena_alloc(loader->arena, sizeof *step->arms)))
        load_arm(loader, node, &step->arms[step->arm_count++]);
}

void bw_wait_load(struct bw_loader *loader, const struct bw_yaml_node *node, struct bw_step *step)
{
    const struct bw_yaml_node *value;
    step->since_ms = -1;
    if (node->kind != BW_YAML_MAP) {
        bw_load_error(loader, bw_mark_of(node), "workflow.type", "write for example wait: {event: order.paid, timeout: 3d}",
                      "wait must be a map, found %s", bw_yaml_kind_name(node->kind));
        return;
    }
    bw_check_keys(loader, node, "wait", bw_wait_keys, bw_wait_key_count);
    load_arms(loader, node, step);
    if ((value = bw_yaml_get(node, "since")) && !(value->kind == BW_YAML_STRING && bw_slice_is(value->text, "run")))
        step->since_ms =
            value->kind == BW_YAML_STRING && bw_slice_is(value->text, "now") ? 0 : bw_wait_duration(loader, value, "wait.since", "since");
    if ((value = bw_yaml_get(node, "timeout"))) step->wait_ms = bw_wait_duration(loader, value, "wait.timeout", "timeout");
    step->ends_well = true;
    if (!(value = bw_yaml_get(node, "on_timeout"))) return;
    step->ends_well = value->kind == BW_YAML_STRING && bw_slice_is(value->text, "continue");
    if (!step->ends_well && !(value->kind == BW_YAML_STRING && bw_slice_is(value->text, "fail")))
        bw_load_error(loader, bw_mark_of(value), "wait.on_timeout", "write continue (the default) or fail", "on_timeout says what happens then");
}

void bw_cancel_on_load(struct bw_loader *loader, const struct bw_yaml_node *list, struct bw_step *step)
{
    step->since_ms = -1;
    if (list->kind != BW_YAML_LIST || !list->count || list->count > BW_WORKFLOW_ARMS_MAX) {
        bw_load_error(loader, step->mark, "workflow.cancel_on", "write for example cancel_on: [{event: order.cancelled}]",
                      "cancel_on must be a list of 1 to %d events", BW_WORKFLOW_ARMS_MAX);
        return;
    }
    load_list(loader, list, "an event of `cancel_on`", step);
}

void bw_waits_check(struct bw_loader *loader)
{
    const struct bw_workflow *workflow = loader->workflow;
    int64_t whole_ms = workflow->timeout_ms ? workflow->timeout_ms : BW_WORKFLOW_TIMEOUT_MS;
    for (size_t i = 0; i < workflow->step_count; i++) {
        const struct bw_step *step = &workflow->steps[i];
        char wait[32], whole[32];
        if (step->wait_ms <= whole_ms) continue;
        bw_load_error(loader, step->mark, "step.too_long", "give the workflow a longer `timeout`",
                      "the step '%s' waits for %s, but the run ends after %s", step->path.ptr, bw_duration_text(step->wait_ms, wait),
                      bw_duration_text(whole_ms, whole));
    }
}
