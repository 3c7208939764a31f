/* Which workflows could want an event: found by its name, so that thousands of others cost nothing. */
#include "worker/internal.h"
#include <stdlib.h>
#include <string.h>

struct list { /* indices into catalog->workflows, ascending, each once */
    size_t *items;
    size_t count, capacity;
};
struct bw_matching {
    struct bw_map *by_event;  /* name without a star → struct list * */
    struct bw_map *by_source; /* of a webhook → struct list * */
    struct bw_map *by_name;   /* of a workflow → its struct bw_catalog_workflow *, borrowed */
    struct list globs;        /* those with a star in one of their triggers: looked at for each event */
};

static bool append(struct list *list, size_t index)
{
    if (list->count && list->items[list->count - 1] == index) return true;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 4;
        size_t *grown = realloc(list->items, capacity * sizeof *grown);
        if (!grown) return false;
        list->items = grown;
        list->capacity = capacity;
    }
    list->items[list->count++] = index;
    return true;
}

static void free_list(void *list)
{
    if (list) free(((struct list *)list)->items);
    free(list);
}

static bool append_to(struct bw_map *lists, struct bw_slice name, size_t index)
{
    struct list *list = bw_map_get(lists, name);
    if (!list && (!(list = calloc(1, sizeof *list)) || !bw_map_set(lists, name, list))) {
        free(list);
        return false;
    }
    return append(list, index);
}

static bool add_trigger(struct bw_matching *matching, const struct bw_trigger *trigger, size_t index)
{
    if (trigger->kind == BW_TRIGGER_WEBHOOK) return append_to(matching->by_source, trigger->source, index);
    if (trigger->kind != BW_TRIGGER_EVENT) return true;
    if (memchr(trigger->event.ptr, '*', trigger->event.len)) return append(&matching->globs, index);
    return append_to(matching->by_event, trigger->event, index);
}

struct bw_matching *bw_matching_new(struct bw_catalog_workflow *workflows, size_t count)
{
    struct bw_matching *matching = calloc(1, sizeof *matching);
    if (!matching) return NULL;
    bool good = (matching->by_event = bw_map_new()) && (matching->by_source = bw_map_new()) && (matching->by_name = bw_map_new());
    for (size_t i = 0; good && i < count; i++) {
        const struct bw_workflow *workflow = workflows[i].workflow;
        good = bw_map_set(matching->by_name, workflow->name, &workflows[i]);
        for (size_t k = 0; good && k < workflow->trigger_count; k++) good = add_trigger(matching, &workflow->triggers[k], i);
    }
    if (good) return matching;
    bw_matching_free(matching);
    return NULL;
}

void bw_matching_free(struct bw_matching *matching)
{
    if (!matching) return;
    bw_map_free(matching->by_event, free_list);
    bw_map_free(matching->by_source, free_list);
    bw_map_free(matching->by_name, NULL);
    free(matching->globs.items);
    free(matching);
}

struct bw_catalog_workflow *bw_catalog_workflow_named(const struct bw_catalog *catalog, struct bw_slice name)
{
    return bw_map_get(catalog->matching->by_name, name);
}

struct bw_candidates bw_candidates_of(const struct bw_worker_event *event)
{
    const struct bw_matching *matching = event->catalog->matching;
    if (event->workflow.len)
        return (struct bw_candidates){.catalog = event->catalog, .only = bw_catalog_workflow_named(event->catalog, event->workflow)};
    const struct list *lists[] = {bw_map_get(matching->by_event, event->name), bw_map_get(matching->by_source, event->source), &matching->globs};
    struct bw_candidates candidates = {.catalog = event->catalog};
    for (size_t i = 0; i < BW_CANDIDATE_LISTS; i++)
        if (lists[i]) candidates.next[i] = lists[i]->items, candidates.left[i] = lists[i]->count;
    return candidates;
}

struct bw_catalog_workflow *bw_candidates_next(struct bw_candidates *candidates)
{
    struct bw_catalog_workflow *only = candidates->only;
    size_t least = SIZE_MAX;
    candidates->only = NULL;
    if (only) return only;
    for (size_t i = 0; i < BW_CANDIDATE_LISTS; i++)
        if (candidates->left[i] && *candidates->next[i] < least) least = *candidates->next[i];
    if (least == SIZE_MAX) return NULL;
    for (size_t i = 0; i < BW_CANDIDATE_LISTS; i++)
        if (candidates->left[i] && *candidates->next[i] == least) candidates->next[i]++, candidates->left[i]--;
    return &candidates->catalog->workflows[least];
}
