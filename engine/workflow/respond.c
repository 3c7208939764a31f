/* `respond`: the workflow's, which says that the sender waits for its result; and a step's, which answers before the end. */
#include "base/units.h"
#include "workflow/internal.h"
#include <string.h>

#define WITHIN_MS 10000

void bw_respond_mode_load(struct bw_loader *loader, const struct bw_yaml_node *node)
{
    static const char example[] = "write for example respond: {mode: result, within: 10s}";
    if (node->kind != BW_YAML_MAP) {
        bw_load_error(loader, bw_mark_of(node), "workflow.type", example, "respond must be a map, found %s", bw_yaml_kind_name(node->kind));
        return;
    }
    bw_check_keys(loader, node, "respond", bw_respond_mode_keys, bw_respond_mode_key_count);
    const struct bw_yaml_node *mode = bw_yaml_get(node, "mode"), *within = bw_yaml_get(node, "within");
    struct bw_slice text = mode && mode->kind == BW_YAML_STRING ? mode->text : (struct bw_slice){"", 0};
    bool is_result = bw_slice_is(text, "result");
    int64_t within_ms = WITHIN_MS;
    struct bw_error err;
    if (!is_result && !bw_slice_is(text, "ack"))
        bw_load_error(loader, mode ? bw_mark_of(mode) : bw_mark_of(node), "respond.mode", example,
                      "mode is ack (the sender is answered when the event is stored) or result (when the run says so, or ends)");
    if (within && !(within->kind == BW_YAML_STRING && bw_duration_parse(within->text, &within_ms, &err) && within_ms >= 1 &&
                    within_ms <= BW_WORKFLOW_RESPOND_MAX_MS))
        bw_load_error(loader, bw_mark_of(within), "respond.within", "write a duration such as 10s, at most 60s",
                      "within says how long the sender is kept waiting");
    if (is_result) loader->workflow->respond_ms = within_ms;
}

void bw_respond_load(struct bw_loader *loader, const struct bw_yaml_node *node, struct bw_step *step)
{
    const struct bw_yaml_node *status, *headers;
    struct bw_mark mark = bw_mark_of(node);
    if (!loader->workflow->respond_ms)
        bw_load_error(loader, mark, "step.respond", "write respond: {mode: result} at the top of the workflow",
                      "nobody waits for this answer: the workflow does not say that the sender waits for its result");
    else if (step->body >= 0)
        bw_load_error(loader, mark, "step.respond", "put it behind the `foreach`",
                      "an item of a `foreach` cannot answer: there is one sender, and one answer");
    if (node->kind != BW_YAML_MAP) {
        bw_load_error(loader, mark, "workflow.type", "write for example respond: {status: 200, body: {ok: true}}", "respond must be a map, found %s",
                      bw_yaml_kind_name(node->kind));
        return;
    }
    bw_check_keys(loader, node, "respond", bw_respond_keys, bw_respond_key_count);
    if ((status = bw_yaml_get(node, "status")) && status->kind != BW_YAML_STRING &&
        !(status->kind == BW_YAML_INT && status->integer >= 200 && status->integer <= 599))
        bw_load_error(loader, bw_mark_of(status), "respond.status", "write a number from 200 to 599, or an expression that gives one",
                      "status is no status of an HTTP answer");
    if ((headers = bw_yaml_get(node, "headers")) && headers->kind != BW_YAML_MAP)
        bw_load_error(loader, bw_mark_of(headers), "workflow.type", "write for example headers: {content-type: text/plain}",
                      "headers must be a map, found %s", bw_yaml_kind_name(headers->kind));
    step->set = bw_template_load(loader, node);
}
