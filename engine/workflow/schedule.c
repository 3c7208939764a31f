/* `schedule` triggers: a cron rule in a time zone. */
#include "base/units.h"
#include "schedule/cron.h"
#include "workflow/internal.h"

#define MAX_AGE_MS (24 * 3600000LL)

static void check_cron(struct bw_loader *loader, const struct bw_yaml_node *node, struct bw_trigger *trigger)
{
    struct bw_cron cron;
    struct bw_error err;
    if (node->kind != BW_YAML_STRING) {
        bw_load_error(loader, bw_mark_of(node), "trigger.schedule", "write for example schedule: \"0 9 * * MON-FRI\"",
                      "schedule must be a cron rule, found %s", bw_yaml_kind_name(node->kind));
        return;
    }
    if (!bw_cron_parse(node->text, &cron, &err)) bw_load_error(loader, bw_mark_of(node), err.code, err.hint, "%s", err.message);
    trigger->cron = bw_arena_copy(loader->arena, node->text);
}

static void check_zone(struct bw_loader *loader, const struct bw_yaml_node *node, struct bw_trigger *trigger)
{
    struct bw_error err;
    struct bw_zone *zone = node->kind == BW_YAML_STRING ? bw_zone_open(node->text, &err) : NULL;
    if (node->kind != BW_YAML_STRING)
        bw_load_error(loader, bw_mark_of(node), "trigger.tz", "write for example tz: Europe/Berlin", "tz must be the name of a time zone, found %s",
                      bw_yaml_kind_name(node->kind));
    else if (!zone)
        bw_load_error(loader, bw_mark_of(node), err.code, err.hint, "%s", err.message);
    bw_zone_close(zone);
    trigger->zone = bw_arena_copy(loader->arena, node->text);
}

void bw_schedule_load(struct bw_loader *loader, const struct bw_yaml_node *map, struct bw_trigger *trigger)
{
    static const char *const policies[] = {[BW_MISSED_LATEST] = "latest", [BW_MISSED_ALL] = "all", [BW_MISSED_SKIP] = "skip"};
    const struct bw_yaml_node *rule = bw_yaml_get(map, "schedule"), *zone = bw_yaml_get(map, "tz"), *missed = bw_yaml_get(map, "missed"),
                              *age = bw_yaml_get(map, "max_age"), *condition = bw_yaml_get(map, "if");
    struct bw_error err;
    trigger->kind = BW_TRIGGER_SCHEDULE;
    trigger->max_age_ms = MAX_AGE_MS;
    trigger->zone = BW_SLICE("UTC");
    if (!rule) {
        bw_load_error(loader, trigger->mark, "trigger.kind", "write for example {schedule: \"0 9 * * MON\", tz: Europe/Berlin}",
                      "`tz`, `missed` and `max_age` go with `schedule`");
        return;
    }
    check_cron(loader, rule, trigger);
    if (zone) check_zone(loader, zone, trigger);
    if (age && (age->kind != BW_YAML_STRING || !bw_duration_parse(age->text, &trigger->max_age_ms, &err) || !trigger->max_age_ms))
        bw_load_error(loader, bw_mark_of(age), "trigger.max_age", "write a duration such as 30m or 24h", "max_age is no usable duration");
    if (condition) bw_load_error(loader, bw_mark_of(condition), "trigger.if", "test it in the `if` of the steps", "`if` goes with `event`");
    if (!missed) return;
    size_t i = 0;
    while (i < 3 && !(missed->kind == BW_YAML_STRING && bw_slice_is(missed->text, policies[i]))) i++;
    if (i == 3)
        bw_load_error(loader, bw_mark_of(missed), "trigger.missed", "write latest (the default), all or skip",
                      "missed says which firings are made up for that came while nobody served");
    else
        trigger->missed = (enum bw_missed)i;
}
