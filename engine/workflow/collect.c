/* `collect`: several events, one run. */
#include "workflow/internal.h"

void bw_collect_load(struct bw_loader *loader, const struct bw_yaml_node *map)
{
    static const char example[] = "write for example collect: {key: \"${{ event.data.repository }}\", quiet: 2m, max_wait: 15m}";
    struct bw_collect *out = &loader->workflow->collect;
    const struct bw_yaml_node *quiet, *max_wait, *key;
    if (map->kind != BW_YAML_MAP) {
        bw_load_error(loader, bw_mark_of(map), "workflow.type", example, "collect must be a map, found %s", bw_yaml_kind_name(map->kind));
        return;
    }
    bw_check_keys(loader, map, "collect", bw_collect_keys, bw_collect_key_count);
    out->max_events =
        bw_load_number(loader, bw_yaml_get(map, "max_events"), "collect.max_events", "max_events", 1, BW_COLLECT_MAX, BW_COLLECT_OTHERWISE);
    if ((quiet = bw_yaml_get(map, "quiet"))) out->quiet_ms = bw_wait_duration(loader, quiet, "collect.quiet", "quiet");
    if ((max_wait = bw_yaml_get(map, "max_wait"))) out->max_wait_ms = bw_wait_duration(loader, max_wait, "collect.max_wait", "max_wait");
    if (!quiet && !max_wait)
        bw_load_error(loader, bw_mark_of(map), "collect.when",
                      "add how long it waits for another event: quiet: 2m; or for the first one: max_wait: 15m",
                      "collect does not say when the run begins: %u events may never come", out->max_events);
    if (out->quiet_ms && out->max_wait_ms && out->quiet_ms > out->max_wait_ms)
        bw_load_error(loader, bw_mark_of(quiet), "collect.quiet", "make it shorter, or leave it out",
                      "`quiet` is longer than `max_wait`: it would never be what decides");
    if ((key = bw_yaml_get(map, "key"))) out->key = bw_expr_template(loader, key);
}

void bw_collect_check(struct bw_loader *loader, const struct bw_yaml_node *respond)
{
    const struct bw_workflow *workflow = loader->workflow;
    if (workflow->collect.max_events && workflow->respond_ms)
        bw_load_error(loader, bw_mark_of(respond), "collect.respond", "leave one of the two out",
                      "with `collect` the run begins later and is made of the events of several senders: none of them can wait for it");
}
