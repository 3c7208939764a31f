/* `webhook` triggers: a source of its own, which the engine serves. What it says is read here with the reader of bellwire.yaml, but without the
 * secrets: those are for the engine alone, which gets the trigger as it is written, with its places. */
#include "base/yaml_tree.h"
#include "config/sources.h"
#include "workflow/internal.h"

const char *const bw_webhook_only_keys[] = {"verify", "secrets", "name",        "dedupe",  "max_body", "public_url", "options",
                                            "schema", "rate",    "acknowledge", "accepts", "batch",    "allow",      NULL};

static struct bw_slice keep(struct bw_loader *loader, struct bw_buf *text)
{
    if (text->failed) loader->arena->failed = true;
    struct bw_slice kept = bw_arena_copy(loader->arena, bw_buf_slice(text));
    bw_buf_free(text);
    return kept;
}

static void keep_written(struct bw_loader *loader, const struct bw_yaml_node *map, struct bw_trigger *trigger)
{
    struct bw_buf text = {0};
    json_t *tree = bw_yaml_tree(map);
    if (tree)
        bw_json_append(&text, tree);
    else
        text.failed = true;
    trigger->webhook = keep(loader, &text);
    json_decref(tree);
    for (size_t i = 0; i < map->count; i++) {
        const struct bw_yaml_pair *pair = &map->pairs[i];
        if (bw_slice_is(pair->key->text, "if")) continue; /* it is an expression, however it is written */
        bw_buf_append_char(&text, text.len ? ',' : '{');
        bw_buf_append_json_string(&text, pair->key->text);
        bw_buf_append_char(&text, ':');
        bw_yaml_to_json(pair->value, &text);
    }
    bw_buf_append_char(&text, '}');
    trigger->definition = keep(loader, &text);
}

static void refuse_holes(struct bw_loader *loader, const struct bw_yaml_node *map)
{
    for (size_t i = 0; i < map->count; i++)
        if (!bw_slice_is(map->pairs[i].key->text, "if")) bw_refuse_hole(loader, map->pairs[i].value, "a webhook");
}

static void be_unique(struct bw_loader *loader, const struct bw_trigger *trigger)
{
    const struct bw_workflow *workflow = loader->workflow;
    for (size_t i = 0; i < workflow->trigger_count; i++) {
        const struct bw_trigger *other = &workflow->triggers[i];
        if (other == trigger || other->kind != BW_TRIGGER_WEBHOOK) continue;
        bw_load_error(loader, trigger->mark, "trigger.webhook", "make the second one a source of bellwire.yaml, and wait for its events",
                      "the workflow has a webhook already, in line %d", other->mark.line);
        return;
    }
}

void bw_webhook_load(struct bw_loader *loader, const struct bw_yaml_node *map, struct bw_trigger *trigger)
{
    struct bw_slice name = loader->workflow->name;
    struct bw_errors errs = {0};
    struct bw_source_config source;
    struct bw_buf glob = {0};
    const struct bw_yaml_node *condition = bw_yaml_get(map, "if");
    const struct bw_key_context context = {.file = loader->file, .errs = &errs, .without_secrets = true, .programs = BW_PROGRAMS_REFUSED};
    be_unique(loader, trigger);
    trigger->kind = BW_TRIGGER_WEBHOOK;
    refuse_holes(loader, map);
    if (bw_webhook_read(&context, name.len ? name : BW_SLICE("this workflow"), map, ".", &source)) bw_source_config_clear(&source);
    for (size_t i = 0; i < errs.count; i++) {
        loader->has_failed = true;
        bw_errors_push(loader->errs, &errs.items[i]);
    }
    bw_errors_free(&errs);
    trigger->source = name;
    bw_buf_append_slice(&glob, name);
    bw_buf_append_text(&glob, ".**");
    trigger->event = keep(loader, &glob);
    keep_written(loader, map, trigger);
    if (condition) trigger->condition = bw_expr_field(loader, condition, true);
}
