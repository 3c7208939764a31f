/* What is said about a workflow and changes nothing of what its runs do: `labels`, `retention` and `pool`. None is part of the version: who finds
 * runs by a new label, keeps them longer or has other workers execute them, means those that are there already, too. */
#include "base/units.h"
#include "workflow/internal.h"
#include <stdio.h>
#include <string.h>

#define LABELS_MAX 32
#define NAME_BYTES_MAX 63
#define VALUE_BYTES_MAX 255

static bool is_label_name(struct bw_slice text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", inner[] = "_-./";
    if (!text.len || text.len > NAME_BYTES_MAX) return false;
    for (size_t i = 0; i < text.len; i++) {
        bool is_end = i == 0 || i + 1 == text.len;
        if (!text.ptr[i] || (!strchr(letters, text.ptr[i]) && (is_end || !strchr(inner, text.ptr[i])))) return false;
    }
    return true;
}

static bool is_one_line(struct bw_slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f) return false;
    return text.len > 0;
}

static void check_label(struct bw_loader *loader, const struct bw_yaml_pair *label)
{
    const struct bw_yaml_node *value = label->value;
    if (!is_label_name(label->key->text))
        bw_load_error(loader, bw_mark_of(label->key), "workflow.label", "use letters and digits, inside of it also _ - . and /",
                      "'%s' is no name of a label", label->key->text.ptr);
    if (value->kind != BW_YAML_STRING)
        bw_load_error(loader, bw_mark_of(value), "workflow.label", value->plain ? "put quotes around it" : "", "a label's value is a text, found %s",
                      bw_yaml_kind_name(value->kind));
    else if (!is_one_line(value->text) || value->text.len > VALUE_BYTES_MAX)
        bw_load_error(loader, bw_mark_of(value), "workflow.label", NULL, "a label's value has 1 to %d bytes, in one line", VALUE_BYTES_MAX);
}

void bw_labels_load(struct bw_loader *loader, const struct bw_yaml_node *map)
{
    struct bw_buf json = {0};
    if (map->kind != BW_YAML_MAP || map->count > LABELS_MAX) {
        bw_load_error(loader, bw_mark_of(map), "workflow.label", "write for example labels: {team: billing}",
                      "labels must be a map of at most %d names and texts", LABELS_MAX);
        return;
    }
    bw_refuse_hole(loader, map, "labels (a constant)");
    for (size_t i = 0; i < map->count; i++) check_label(loader, &map->pairs[i]);
    bw_yaml_to_json(map, &json);
    if (map->count) loader->workflow->labels = bw_arena_copy(loader->arena, bw_buf_slice(&json));
    if (json.failed) loader->arena->failed = true;
    bw_buf_free(&json);
}

const struct bw_load_key bw_retention_keys[] = {
    {"ok", BW_AGE_SCHEMA, "of runs that succeeded, were skipped or cancelled; none = for ever (what bellwire.yaml says)"},
    {"failed", BW_AGE_SCHEMA, "of runs that failed, from when something was done about them; none = for ever (what bellwire.yaml says)"},
};
const size_t bw_retention_key_count = sizeof bw_retention_keys / sizeof *bw_retention_keys;

static int64_t load_age(struct bw_loader *loader, const struct bw_yaml_node *node)
{
    struct bw_error err;
    int64_t age_ms;
    if (!node) return BW_AGE_UNSET;
    bool is_scalar = node->kind != BW_YAML_MAP && node->kind != BW_YAML_LIST;
    if (is_scalar && bw_slice_is(node->text, "none")) return 0;
    if (is_scalar && bw_duration_parse(node->text, &age_ms, &err) && age_ms > 0) return age_ms;
    bw_load_error(loader, bw_mark_of(node), "workflow.retention", "write a duration such as 12h or 30d, or none: for ever",
                  "this is no age after which a run may go");
    return BW_AGE_UNSET;
}

void bw_retention_load(struct bw_loader *loader, const struct bw_yaml_node *map)
{
    struct bw_workflow *workflow = loader->workflow;
    if (map->kind != BW_YAML_MAP) {
        bw_load_error(loader, bw_mark_of(map), "workflow.type", "write for example retention: {ok: 14d, failed: 90d}",
                      "retention must be a map, found %s", bw_yaml_kind_name(map->kind));
        return;
    }
    bw_check_keys(loader, map, "retention", bw_retention_keys, bw_retention_key_count);
    workflow->keep_ok_ms = load_age(loader, bw_yaml_get(map, "ok"));
    workflow->keep_failed_ms = load_age(loader, bw_yaml_get(map, "failed"));
}

/* Whether there is such a pool is for whoever knows bellwire.yaml. */
void bw_pool_load(struct bw_loader *loader, const struct bw_yaml_node *node)
{
    struct bw_workflow *workflow = loader->workflow;
    workflow->pool_mark = bw_mark_of(node);
    if (node->kind != BW_YAML_STRING || !bw_is_workflow_name(node->text)) /* the same letters */
        bw_load_error(loader, workflow->pool_mark, "workflow.pool", "write the name of a pool in bellwire.yaml: a-z, 0-9 and '-', a letter in front",
                      "pool does not name a pool");
    else if (!bw_slice_is(node->text, BW_POOL_DEFAULT))
        workflow->pool = bw_arena_copy(loader->arena, node->text);
}
