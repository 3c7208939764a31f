/* `approve`: a step that waits for a person. What tells that person is a step of its own in front of it, `ID~notify`: as durable as any other, and
 * its failure is that of the approval. */
#include "base/json.h"
#include "base/schema.h"
#include "base/units.h"
#include "workflow/internal.h"
#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS (7 * 86400000LL)
#define CHOICE_BYTES_MAX 64
#define FIELDS_MAX 32

const char *const bw_notify_verbs[] = {"uses", "lua", NULL};
const char *const bw_notify_keys[] = {"uses", "with", "lua", "timeout", "heartbeat", "retry", "max_elapsed", "limit", NULL};

static const char example[] = "write for example approve: {message: \"Publish ${{ event.data.url }}?\", choices: [publish, discard]}";

/* ---- what may be decided ---- */

static bool is_one_line(struct bw_slice text, size_t most)
{
    if (!text.len || text.len > most || text.ptr[0] == ' ' || text.ptr[text.len - 1] == ' ') return false;
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f) return false;
    return true;
}

static void load_choices(struct bw_loader *loader, const struct bw_yaml_node *list, struct bw_step *step)
{
    static const struct bw_slice otherwise[] = {{"approve", 7}, {"reject", 6}};
    size_t count = list ? list->count : 2;
    if (list && (list->kind != BW_YAML_LIST || !count || count > BW_WORKFLOW_CHOICES_MAX)) {
        bw_load_error(loader, bw_mark_of(list), "approve.choices", "write for example choices: [publish, discard]",
                      "choices must be a list of 1 to %d names", BW_WORKFLOW_CHOICES_MAX);
        return;
    }
    if (!(step->choices = bw_arena_alloc(loader->arena, count * sizeof *step->choices))) return;
    for (size_t i = 0; i < count; i++) {
        struct bw_slice name = list ? list->items[i]->text : otherwise[i];
        if (list && (list->items[i]->kind != BW_YAML_STRING || !is_one_line(name, CHOICE_BYTES_MAX)))
            bw_load_error(loader, bw_mark_of(list->items[i]), "approve.choices", list->items[i]->plain ? "put quotes around it" : "",
                          "a choice is a text of 1 to %d bytes, in one line", CHOICE_BYTES_MAX);
        else if (list)
            bw_refuse_hole(loader, list->items[i], "a choice");
        for (size_t k = 0; k < step->choice_count; k++)
            if (bw_slice_equal(step->choices[k], name))
                bw_load_error(loader, bw_mark_of(list->items[i]), "approve.choices", "remove one of them", "the choice '%s' is there twice",
                              step->choices[k].ptr);
        step->choices[step->choice_count++] = bw_arena_copy(loader->arena, name);
    }
}

/* ---- who decides ---- */

static void load_voters(struct bw_loader *loader, const struct bw_yaml_node *list, struct bw_step *step)
{
    if (list->kind != BW_YAML_LIST || !list->count || list->count > BW_WORKFLOW_VOTERS_MAX) {
        bw_load_error(loader, bw_mark_of(list), "approve.to", "write for example to: [ann@example.com, bob@example.com]",
                      "to must be a list of 1 to %d names", BW_WORKFLOW_VOTERS_MAX);
        return;
    }
    if (!(step->voters = bw_arena_alloc(loader->arena, list->count * sizeof *step->voters))) return;
    for (size_t i = 0; i < list->count; i++) {
        const struct bw_yaml_node *name = list->items[i];
        if (name->kind != BW_YAML_STRING || !is_one_line(name->text, BW_WORKFLOW_VOTER_BYTES_MAX))
            bw_load_error(loader, bw_mark_of(name), "approve.to", name->plain ? "put quotes around it" : "",
                          "who is asked is a text of 1 to %d bytes, in one line", BW_WORKFLOW_VOTER_BYTES_MAX);
        else
            bw_refuse_hole(loader, name, "who is asked");
        for (size_t k = 0; k < step->voter_count; k++)
            if (bw_slice_equal(step->voters[k], name->text))
                bw_load_error(loader, bw_mark_of(name), "approve.to", "remove one of them", "'%s' is asked twice", step->voters[k].ptr);
        step->voters[step->voter_count++] = bw_arena_copy(loader->arena, name->text);
    }
}

/* Only who has a link of their own is known to be somebody else. */
static void load_need(struct bw_loader *loader, const struct bw_yaml_node *map, struct bw_step *step)
{
    const struct bw_yaml_node *need = bw_yaml_get(map, "need"), *to = bw_yaml_get(map, "to");
    step->votes_needed = bw_load_number(loader, need, "approve.need", "need", 1, BW_WORKFLOW_VOTERS_MAX, 1);
    if (step->votes_needed > 1 && !to)
        bw_load_error(loader, bw_mark_of(need), "approve.need", "say who is asked: to: [ann@example.com, bob@example.com]",
                      "nobody could tell whether %u decisions are of so many people", step->votes_needed);
    else if (to && step->voter_count && step->votes_needed > step->voter_count)
        bw_load_error(loader, bw_mark_of(need), "approve.need", "ask more people, or need fewer", "%u must choose the same, and %zu are asked",
                      step->votes_needed, step->voter_count);
}

static void load_on_timeout(struct bw_loader *loader, const struct bw_yaml_node *node, struct bw_step *step)
{
    if (node->kind == BW_YAML_STRING)
        for (size_t i = 0; i < step->choice_count; i++)
            if (bw_slice_equal(step->choices[i], node->text)) step->choice_in_time = (int32_t)i;
    if (step->choice_in_time >= 0 || (node->kind == BW_YAML_STRING && bw_slice_is(node->text, "fail"))) return;
    bw_load_error(loader, bw_mark_of(node), "approve.on_timeout", "write fail (the default), or the choice that is taken then",
                  "on_timeout is none of the choices");
}

/* ---- the form ---- */

static const char *wrong_field(const json_t *schema)
{
    const char *type = bw_json_str(schema, "type", "any");
    size_t index;
    json_t *value;
    if (!strcmp(type, "object") || !strcmp(type, "array")) return "a person types texts and numbers: no object and no array";
    json_array_foreach(json_object_get(schema, "enum"), index, value)
    {
        if (json_is_object(value) || json_is_array(value) || json_is_null(value)) return "a person chooses among texts, numbers and booleans";
    }
    return NULL;
}

static void check_field(struct bw_loader *loader, const struct bw_yaml_pair *field)
{
    struct bw_buf text = {0};
    struct bw_error err = {0};
    bw_buf_append_char(&text, '{');
    bw_buf_append_json_string(&text, field->key->text);
    bw_buf_append_char(&text, ':');
    bw_yaml_to_json(field->value, &text);
    bw_buf_append_char(&text, '}');
    json_t *fields = bw_json_load(bw_buf_slice(&text), &err);
    struct bw_schema *schema = fields ? bw_schema_load(fields, &err) : NULL;
    const char *wrong = schema ? wrong_field(json_object_get(fields, field->key->text.ptr)) : NULL;
    if (!bw_is_expr_name(field->key->text))
        bw_load_error(loader, bw_mark_of(field->key), "approve.form", "use a-z, 0-9 and _, beginning with a letter; no word of the Lua language",
                      "'%s' is no name of a field", field->key->text.ptr);
    else if (!schema)
        bw_load_error(loader, bw_mark_of(field->value), err.code, err.hint, "%s", err.message);
    else if (wrong)
        bw_load_error(loader, bw_mark_of(field->value), "approve.form", "use string, integer, number or boolean", "%s: %s", field->key->text.ptr,
                      wrong);
    if (text.failed) loader->arena->failed = true;
    bw_schema_free(schema);
    json_decref(fields);
    bw_buf_free(&text);
}

static void load_form(struct bw_loader *loader, const struct bw_yaml_node *map, struct bw_step *step)
{
    struct bw_buf text = {0};
    if (map->kind != BW_YAML_MAP || map->count > FIELDS_MAX) {
        bw_load_error(loader, bw_mark_of(map), "approve.form", "write for example form: {days: {type: integer, min: 1, default: 7}}",
                      "form must be a map from at most %d names to schemas", FIELDS_MAX);
        return;
    }
    bw_refuse_hole(loader, map, "a form");
    for (size_t i = 0; i < map->count; i++) check_field(loader, &map->pairs[i]);
    bw_yaml_to_json(map, &text);
    step->form = bw_arena_copy(loader->arena, bw_buf_slice(&text));
    if (text.failed) loader->arena->failed = true;
    bw_buf_free(&text);
}

/* ---- the step ---- */

static void load_message(struct bw_loader *loader, const struct bw_yaml_node *map, struct bw_step *step)
{
    const struct bw_yaml_node *message = bw_yaml_get(map, "message");
    if (!message)
        bw_load_error(loader, bw_mark_of(map), "approve.message", example, "approve does not say what is to be decided");
    else if (message->kind != BW_YAML_STRING || !message->text.len || message->text.len > BW_APPROVE_MESSAGE_MAX)
        bw_load_error(loader, bw_mark_of(message), "approve.message", example, "message must be a text of 1 to %d bytes", BW_APPROVE_MESSAGE_MAX);
    else
        step->set = bw_template_load(loader, message);
}

void bw_approve_load(struct bw_loader *loader, const struct bw_yaml_node *map, struct bw_step *step)
{
    const struct bw_workflow *workflow = loader->workflow;
    const struct bw_yaml_node *value;
    int64_t whole_ms = workflow->timeout_ms ? workflow->timeout_ms : BW_WORKFLOW_TIMEOUT_MS;
    if (map->kind != BW_YAML_MAP) {
        bw_load_error(loader, bw_mark_of(map), "workflow.type", example, "approve must be a map, found %s", bw_yaml_kind_name(map->kind));
        return;
    }
    bw_check_keys(loader, map, "approve", bw_approve_keys, bw_approve_key_count);
    load_message(loader, map, step);
    load_choices(loader, bw_yaml_get(map, "choices"), step);
    if ((value = bw_yaml_get(map, "form"))) load_form(loader, value, step);
    if ((value = bw_yaml_get(map, "to"))) load_voters(loader, value, step);
    load_need(loader, map, step);
    step->wait_ms = whole_ms < TIMEOUT_MS ? whole_ms : TIMEOUT_MS;
    if ((value = bw_yaml_get(map, "timeout"))) step->wait_ms = bw_wait_duration(loader, value, "approve.timeout", "timeout");
    if ((value = bw_yaml_get(map, "on_timeout"))) load_on_timeout(loader, value, step);
}

/* ---- notify ---- */

static void check_notify_keys(struct bw_loader *loader, const struct bw_yaml_node *map)
{
    for (size_t i = 0; i < map->count; i++) {
        bool is_fine = false, is_known = false;
        for (const char *const *key = bw_notify_keys; *key; key++) is_fine |= bw_slice_is(map->pairs[i].key->text, *key);
        for (size_t k = 0; k < bw_step_key_count; k++)
            is_known |= bw_step_keys[k].schema && bw_slice_is(map->pairs[i].key->text, bw_step_keys[k].name);
        if (!is_fine && is_known)
            bw_load_error(loader, bw_mark_of(map->pairs[i].key), "approve.notify", "write it at the step that has `approve`",
                          "`%s` cannot be used in `notify`: it is one step of `uses` or `lua`", map->pairs[i].key->text.ptr);
    }
}

const struct bw_yaml_node *bw_notify_of(const struct bw_yaml_node *map)
{
    return bw_yaml_get(bw_yaml_get(map, "approve"), "notify");
}

void bw_notify_load(struct bw_loader *loader, const struct bw_yaml_node *map, const struct bw_list_place *place)
{
    const struct bw_yaml_node *notify = bw_notify_of(map), *id = bw_yaml_get(map, "id");
    struct bw_workflow *workflow = loader->workflow;
    size_t index = workflow->step_count;
    struct bw_list_place here = *place;
    char path[80];
    if (notify->kind != BW_YAML_MAP) {
        bw_load_error(loader, bw_mark_of(notify), "workflow.type",
                      "write for example notify: {uses: slack/post@1, with: {text: \"${{ approval.url }}\"}}", "notify must be a step, found %s",
                      bw_yaml_kind_name(notify->kind));
        return;
    }
    check_notify_keys(loader, notify);
    snprintf(path, sizeof path, "%.64s~notify", id && id->text.len ? id->text.ptr : "");
    here.path = path;
    here.is_caught = true; /* `catch` stands at the approval */
    bw_step_load(loader, notify, &here);
    struct bw_step *step = &workflow->steps[index];
    step->notifies = (int32_t)index + 1;
    if (step->kind == BW_STEP_CALL)
        bw_load_error(loader, bw_mark_of(bw_yaml_get(notify, "uses")), "approve.notify", "let that workflow be a step in front of the approval",
                      "a workflow cannot notify: it would not see `approval`");
}
