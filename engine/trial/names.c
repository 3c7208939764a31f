/* Does the catalogue have what a test names? Told before it runs: a mock for a step that is not there would never be asked for. */
#include "base/suggest.h"
#include "trial/internal.h"
#include <stdlib.h>
#include <string.h>

struct names {
    const char **items;
    size_t count;
};

static void add_all(struct names *names, const json_t *list)
{
    size_t index;
    json_t *name;
    const char **grown = realloc(names->items, (names->count + json_array_size(list) + 1) * sizeof *grown);
    if (!grown) return;
    names->items = grown;
    json_array_foreach(list, index, name) names->items[names->count++] = json_string_value(name);
}

static bool has(const struct names *names, struct bw_slice name)
{
    for (size_t i = 0; i < names->count; i++)
        if (bw_slice_is(name, names->items[i])) return true;
    return false;
}

static void add_open(struct names *names, const json_t *workflow)
{
    static const char *const lists[] = {"steps", "inner"};
    struct names fixed = {0};
    add_all(&fixed, json_object_get(workflow, "fixed"));
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        size_t kept = names->count;
        add_all(names, json_object_get(workflow, lists[i]));
        for (size_t k = kept; k < names->count; k++)
            if (!has(&fixed, bw_slice_of(names->items[k]))) names->items[kept++] = names->items[k];
        names->count = kept;
    }
    free(fixed.items);
}

/* A mock that nobody would ask for, since the step runs as it is. With `open`: unless a step of that name, of some workflow, can have it. */
static bool check_mocks(const struct bw_trial_test *test, const struct bw_yaml_node *map, const struct names *fixed, const struct names *open,
                        struct bw_error *err)
{
    for (size_t i = 0; map && i < map->count; i++) {
        const struct bw_yaml_node *key = map->pairs[i].key;
        if (!has(fixed, key->text) || (open && has(open, key->text))) continue;
        bw_error_set(err, "test.no_mock", "the step %s cannot be mocked: `uses`, `lua` and `approve` can, all else runs as it is", key->text.ptr);
        bw_error_hint(err, "leave it out; what is waited for comes from `events`, the time passes by itself");
        bw_error_at(err, test->file, key->line, key->column);
        return false;
    }
    return true;
}

/* fan[2].get and ask.get are get, of this workflow or of another one. */
static bool check(const struct bw_trial_test *test, const char *file, const struct bw_yaml_node *map, const char *what, const struct names *own,
                  const struct names *all, struct bw_error *err)
{
    for (size_t i = 0; map && i < map->count; i++) {
        const struct bw_yaml_node *key = map->pairs[i].key;
        const char *dot = strrchr(key->text.ptr, '.');
        const char *first = strchr(key->text.ptr, '.');
        struct bw_slice last = dot ? bw_slice_of(dot + 1) : key->text;
        if (has(dot ? all : own, last)) continue;
        /* ask.turn[1] is a part of ask */
        if (first && strchr(first, '[') && has(own, (struct bw_slice){key->text.ptr, (size_t)(first - key->text.ptr)})) continue;
        const char *near = bw_suggest(last, own->items, own->count);
        bw_error_set(err, "test.unknown_step", "%s names the step %s, which the workflow %.*s has not", what, key->text.ptr, (int)test->workflow.len,
                     test->workflow.ptr);
        if (near) bw_error_hint(err, "did you mean '%s'?", near);
        bw_error_at(err, file, key->line, key->column);
        return false;
    }
    return true;
}

bool bw_trial_check_names(const struct bw_trial_test *test, const json_t *loaded, struct bw_error *err)
{
    struct names own = {0}, all = {0}, workflows = {0}, fixed = {0}, all_fixed = {0}, open = {0};
    const json_t *list = json_object_get(loaded, "workflows"), *found = NULL;
    json_t *workflow, *names = json_array();
    size_t index;
    bool good = true;
    json_array_foreach(list, index, workflow)
    {
        json_array_append(names, json_object_get(workflow, "name"));
        add_all(&all, json_object_get(workflow, "steps"));
        add_all(&all, json_object_get(workflow, "inner"));
        add_all(&all_fixed, json_object_get(workflow, "fixed"));
        add_open(&open, workflow);
        if (bw_slice_is(test->workflow, bw_json_str(workflow, "name", ""))) found = workflow;
    }
    add_all(&workflows, names);
    if (!found) {
        const char *near = bw_suggest(test->workflow, workflows.items, workflows.count);
        good = bw_error_set(err, "test.unknown_workflow", "there is no workflow '%.*s' that loads without errors", (int)test->workflow.len,
                            test->workflow.ptr);
        if (near)
            bw_error_hint(err, "did you mean '%s'?", near);
        else
            bw_error_hint(err, "see: bellwire check");
        bw_error_at(err, test->file, test->node->line, test->node->column);
    } else {
        add_all(&own, json_object_get(found, "steps"));
        add_all(&own, json_object_get(found, "inner"));
        add_all(&fixed, json_object_get(found, "fixed"));
        const struct bw_yaml_node *recorded = test->recorded ? bw_yaml_root(test->recorded, 0) : NULL;
        good = check(test, test->file, test->mock_nodes[0], "mocks", &own, &all, err) &&
               check(test, test->file, test->mock_nodes[1], "mocks", &all, &all, err) &&
               check(test, test->recorded_file, recorded, "mocks_file", &own, &all, err) &&
               check(test, test->file, bw_yaml_get(test->expect, "steps"), "expect", &own, &all, err) &&
               check_mocks(test, test->mock_nodes[0], &fixed, NULL, err) && check_mocks(test, test->mock_nodes[1], &all_fixed, &open, err);
    }
    json_decref(names);
    free(own.items);
    free(all.items);
    free(workflows.items);
    free(fixed.items);
    free(all_fixed.items);
    free(open.items);
    return good;
}
