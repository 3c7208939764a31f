/* What a step hands to its action, as far as it is written down: names that the action does not know, those that it needs, and, where there is no
 * expression, the values. The rest is seen when the inputs are made. */
#include "base/suggest.h"
#include "worker/internal.h"

#define NAMES_MAX 256

static void place(struct bw_error *err, const struct bw_workflow *workflow, struct bw_mark mark)
{
    if (err) bw_error_at(err, workflow->file.ptr, mark.line, mark.column);
}

static void check_values(const struct bw_workflow *workflow, const struct bw_action *action, struct bw_slice given, struct bw_mark mark,
                         struct bw_errors *errs)
{
    struct bw_error err;
    json_t *value = bw_json_load(given, &err);
    if (value && bw_schema_check(action->inputs, value, false, "input", &err)) goto out;
    if (!err.hint[0]) bw_error_hint(&err, "see: bellwire actions show %s", action->name);
    place(&err, workflow, mark);
    bw_errors_push(errs, &err);
out:
    json_decref(value);
}

static void check_names(const struct bw_workflow *workflow, const struct bw_action *action, const struct bw_template *with, struct bw_errors *errs)
{
    json_t *fields = json_object_get(action->manifest, "inputs"), *field;
    const char *name, *names[NAMES_MAX];
    size_t count = 0;
    json_object_foreach(fields, name, field)
    {
        bool is_given = false;
        if (count < NAMES_MAX) names[count++] = name;
        for (size_t i = 0; i < with->count; i++) is_given |= bw_slice_is(with->keys[i], name);
        if (is_given || !bw_json_bool(field, "required", false) || json_object_get(field, "default")) continue;
        struct bw_error *err = bw_errors_add(errs, "input.missing", "the action %s needs the input '%s'", action->name, name);
        if (err) bw_error_hint(err, "see: bellwire actions show %s", action->name);
        place(err, workflow, with->mark);
    }
    for (size_t i = 0; i < with->count; i++) {
        if (json_object_get(fields, with->keys[i].ptr)) continue;
        const char *near = bw_suggest(with->keys[i], names, count);
        struct bw_error *err = bw_errors_add(errs, "input.unknown", "the action %s has no input '%s'", action->name, with->keys[i].ptr);
        if (err && near) bw_error_hint(err, "did you mean '%s'?", near);
        if (err && !near) bw_error_hint(err, "see: bellwire actions show %s", action->name);
        place(err, workflow, with->items[i]->mark);
    }
}

void bw_given_check(const struct bw_workflow *workflow, const struct bw_step *step, const struct bw_action *action, struct bw_errors *errs)
{
    const struct bw_template *with = step->with;
    if (!action->inputs) return;
    if (!with || with->kind == BW_TEMPLATE_CONST)
        check_values(workflow, action, with ? with->json : BW_SLICE("{}"), with ? with->mark : step->mark, errs);
    else if (with->kind == BW_TEMPLATE_MAP)
        check_names(workflow, action, with, errs);
}
