/* `emit`: events that a step causes. */
#include "workflow/internal.h"
#include <string.h>

static void check_one(struct bw_loader *loader, const struct bw_yaml_node *map)
{
    const struct bw_yaml_node *event, *key, *delay;
    if (map->kind != BW_YAML_MAP) {
        bw_load_error(loader, bw_mark_of(map), "workflow.type", "write for example emit: {event: order.late, data: {id: 7}}",
                      "emit must be a map or a list of maps, found %s", bw_yaml_kind_name(map->kind));
        return;
    }
    bw_check_keys(loader, map, "emit", bw_emit_keys, bw_emit_key_count);
    event = bw_yaml_get(map, "event");
    key = bw_yaml_get(map, "key");
    delay = bw_yaml_get(map, "delay");
    if (delay && !(delay->kind == BW_YAML_STRING && memmem(delay->text.ptr, delay->text.len, "${{", 3)))
        bw_wait_duration(loader, delay, "emit.delay", "delay");
    bool has_hole = event && event->kind == BW_YAML_STRING && memmem(event->text.ptr, event->text.len, "${{", 3);
    if (!event || event->kind != BW_YAML_STRING || (!has_hole && !bw_is_event_name(event->text)))
        bw_load_error(loader, event ? bw_mark_of(event) : bw_mark_of(map), "emit.event", "write for example event: order.late",
                      "an event needs a name: parts between dots, at most 200 bytes, without * and spaces, not below bellwire.");
    if (key && (key->kind == BW_YAML_LIST || key->kind == BW_YAML_MAP || key->kind == BW_YAML_NULL || key->kind == BW_YAML_BOOL))
        bw_load_error(loader, bw_mark_of(key), "emit.key", "write for example key: \"${{ event.data.id }}\"",
                      "key must be a text or a number, found %s", bw_yaml_kind_name(key->kind));
}

void bw_emit_load(struct bw_loader *loader, const struct bw_yaml_node *node, struct bw_step *step)
{
    if (node->kind != BW_YAML_LIST) {
        check_one(loader, node);
    } else if (!node->count || node->count > BW_WORKFLOW_EMITS_MAX) {
        bw_load_error(loader, bw_mark_of(node), "step.emit", "use several steps", "a step emits 1 to %d events", BW_WORKFLOW_EMITS_MAX);
    } else {
        for (size_t i = 0; i < node->count; i++) check_one(loader, node->items[i]);
    }
    step->set = bw_template_load(loader, node);
}
