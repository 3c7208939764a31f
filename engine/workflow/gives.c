/* What a step gives to those below it, where that is certain: it writes the names itself, or they are always the same. An action may give more than
 * it declares, and code what it likes: nothing is known of these. */
#include "base/json_view.h"
#include "base/suggest.h"
#include "workflow/internal.h"
#include <string.h>

#define NAMES_MAX 256

static const struct {
    enum bw_step_kind kind;
    const char *fields[7];
} fixed[] = {
    {BW_STEP_WAIT, {"event", "arm", "timed_out"}},
    {BW_STEP_APPROVE, {"choice", "by", "at", "form", "votes"}},
    {BW_STEP_FOREACH, {"total", "succeeded", "failed", "failed_keys", "items", "items_left_out"}},
};

/* The names of a map. False: they are not known, or too many. */
static bool read_map(struct bw_loader *loader, const struct bw_template *map, const char **names, size_t *count)
{
    struct bw_slice key;
    struct bw_json_view value;
    if (map->kind == BW_TEMPLATE_MAP && map->count <= NAMES_MAX)
        while (*count < map->count) names[*count] = map->keys[*count].ptr, ++*count;
    if (map->kind != BW_TEMPLATE_CONST || *map->json.ptr != '{') return map->kind == BW_TEMPLATE_MAP && map->count <= NAMES_MAX;
    for (struct bw_json_iter iter = bw_json_view_iter(bw_json_view_of(map->json)); bw_json_iter_next(&iter, &key, &value);) {
        if (*count == NAMES_MAX || memchr(key.ptr, '\\', key.len)) return false;
        names[(*count)++] = bw_arena_copy(loader->arena, (struct bw_slice){key.ptr + 1, key.len - 2}).ptr;
    }
    return true;
}

static bool read_fields(struct bw_loader *loader, const struct bw_step *step, const char **names, size_t *count)
{
    *count = 0;
    if (step->outputs) return read_map(loader, step->outputs, names, count);
    if (step->kind == BW_STEP_SET) return step->set && read_map(loader, step->set, names, count);
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        if (fixed[i].kind != step->kind) continue;
        while (fixed[i].fields[*count]) names[*count] = fixed[i].fields[*count], ++*count;
        return true;
    }
    return false;
}

static void add(struct bw_loader *loader, const struct bw_field_ref *ref)
{
    struct bw_workflow *workflow = loader->workflow;
    size_t count = workflow->missing_count;
    if (!(count & (count - 1))) { /* room for twice as many */
        struct bw_field_ref *grown = bw_arena_alloc(loader->arena, (count ? 2 * count : 1) * sizeof *grown);
        if (!grown) return;
        if (count) memcpy(grown, workflow->missing, count * sizeof *grown);
        workflow->missing = grown;
    }
    workflow->missing[workflow->missing_count++] = *ref;
}

void bw_note_field(struct bw_loader *loader, struct bw_slice id, struct bw_slice field, struct bw_mark mark)
{
    const struct bw_workflow *workflow = loader->workflow;
    const char *names[NAMES_MAX];
    size_t count, i = 0;
    while (i < workflow->step_count && !bw_slice_equal(workflow->steps[i].id, id)) i++;
    if (i == workflow->step_count || !read_fields(loader, &workflow->steps[i], names, &count)) return;
    for (size_t k = 0; k < count; k++)
        if (bw_slice_is(field, names[k])) return;
    const char *near = bw_suggest(field, names, count);
    const struct bw_field_ref ref = {bw_arena_copy(loader->arena, id), bw_arena_copy(loader->arena, field), {near, near ? strlen(near) : 0}, mark};
    if (!loader->arena->failed) add(loader, &ref);
}
