/* What the engine is told about workflows that are tools (`expose: mcp`): engine/mcp makes what clients see of it. */
#include "worker/internal.h"
#include <string.h>

/* May it do something outside? Who is not known to have no effect may. */
static bool has_effect(const struct bw_step *step, const struct bw_action *action)
{
    switch (step->kind) {
    case BW_STEP_USES:
    case BW_STEP_LUA:
        if (step->effect) return step->effect == BW_EFFECT_WRITE;
        return step->kind == BW_STEP_LUA || !action || action->has_effect;
    case BW_STEP_EMIT:
    case BW_STEP_CALL:
    case BW_STEP_APPROVE: return true;
    default: return false;
    }
}

json_t *bw_exposed_describe(const struct bw_catalog_workflow *entry)
{
    const struct bw_workflow *workflow = entry->workflow;
    const struct bw_expose *expose = &workflow->expose;
    json_t *approvals = json_array();
    bool reads_only = true;
    if (!expose->name.len) {
        json_decref(approvals);
        return NULL;
    }
    for (size_t i = 0; i < workflow->step_count; i++) {
        const struct bw_step *step = &workflow->steps[i];
        reads_only &= !has_effect(step, entry->actions[i]);
        if (step->kind == BW_STEP_APPROVE) json_array_append_new(approvals, json_stringn(step->path.ptr, step->path.len));
    }
    json_t *tool = json_pack("{s:s%,s:b,s:o}", "name", expose->name.ptr, expose->name.len, "read_only", reads_only, "approvals", approvals);
    if (expose->title.len) json_object_set_new(tool, "title", json_stringn(expose->title.ptr, expose->title.len));
    if (expose->description.len) json_object_set_new(tool, "description", json_stringn(expose->description.ptr, expose->description.len));
    if (workflow->inputs.len) json_object_set_new(tool, "inputs", bw_json_load(workflow->inputs, NULL));
    return tool;
}

void bw_exposed_check(const struct bw_catalog *catalog, struct bw_errors *errs)
{
    for (size_t i = 0; i < catalog->workflow_count; i++) {
        const struct bw_workflow *workflow = catalog->workflows[i].workflow;
        const struct bw_expose *expose = &workflow->expose;
        for (size_t k = 0; expose->name.len && k < i; k++) {
            const struct bw_workflow *other = catalog->workflows[k].workflow;
            if (!bw_slice_equal(other->expose.name, expose->name)) continue;
            struct bw_error *err =
                bw_errors_add(errs, "expose.same_name", "the tool %s is that of the workflow %s already, in %s:%d:%d", expose->name.ptr,
                              other->name.ptr, other->file.ptr, other->expose.mark.line, other->expose.mark.column);
            bw_error_hint(err, "give it a name of its own: expose: {mcp: {name: …}}");
            bw_error_at(err, workflow->file.ptr, expose->mark.line, expose->mark.column);
            break;
        }
    }
}
