#include "dispatch/awaits.h"
#include "workflow/model.h"
#include <stdlib.h>
#include <string.h>

struct bw_awaited {
    struct bw_awaited *next; /* in the list of the retired */
    uint32_t revision;
    bool is_everything;
    struct bw_slice *globs;
    size_t count;
};

static bool add(struct bw_awaited *awaited, struct bw_slice glob)
{
    const char *copy = bw_slice_dup(glob);
    if (copy) awaited->globs[awaited->count++] = (struct bw_slice){copy, glob.len};
    return copy != NULL;
}

void bw_awaited_free(struct bw_awaited *awaited)
{
    if (!awaited) return;
    for (size_t i = 0; i < awaited->count; i++) free((char *)awaited->globs[i].ptr);
    free(awaited->globs);
    free(awaited);
}

struct bw_awaited *bw_awaited_new(uint32_t revision, const json_t *workflows)
{
    struct bw_awaited *awaited = calloc(1, sizeof *awaited);
    size_t index, inner, total = 0;
    json_t *workflow, *glob;
    if (!awaited) return NULL;
    awaited->revision = revision;
    awaited->is_everything = !workflows;
    json_array_foreach(workflows, index, workflow) total += json_array_size(json_object_get(workflow, "events"));
    if (!(awaited->globs = calloc(total + 1, sizeof *awaited->globs))) goto fail;
    json_array_foreach(workflows, index, workflow)
    {
        json_array_foreach(json_object_get(workflow, "events"), inner, glob) if (!add(awaited, bw_json_slice(glob))) goto fail;
    }
    return awaited;
fail:
    bw_awaited_free(awaited);
    return NULL;
}

void bw_awaits_publish_take(struct bw_awaits *awaits, struct bw_awaited *awaited)
{
    struct bw_awaited *old = atomic_exchange(&awaits->current, awaited);
    if (old) {
        old->next = awaits->retired;
        awaits->retired = old;
    }
    bw_awaits_reclaim(awaits);
}

static bool is_awaited_by(const struct bw_awaited *awaited, struct bw_slice event_name)
{
    if (awaited->is_everything) return true;
    for (size_t i = 0; i < awaited->count; i++)
        if (bw_glob_match(awaited->globs[i], event_name)) return true;
    return false;
}

uint32_t bw_awaits_bind(struct bw_awaits *awaits, struct bw_slice event_name, bool *is_awaited)
{
    /* Counted before the pointer is read, all sequentially consistent: a zero that reclaim sees after an exchange says that every reader of the
     * old object has left, and that the next one reads the new pointer. */
    atomic_fetch_add(&awaits->readers, 1);
    const struct bw_awaited *awaited = atomic_load(&awaits->current);
    uint32_t revision = awaited ? awaited->revision : 0;
    *is_awaited = !awaited || is_awaited_by(awaited, event_name);
    atomic_fetch_sub(&awaits->readers, 1);
    return revision;
}

bool bw_awaits_reclaim(struct bw_awaits *awaits)
{
    struct bw_awaited *old;
    if (awaits->retired && atomic_load(&awaits->readers)) return false; /* a reader stays for microseconds: next time */
    while ((old = awaits->retired)) {
        awaits->retired = old->next;
        bw_awaited_free(old);
    }
    return true;
}

void bw_awaits_end(struct bw_awaits *awaits)
{
    bw_awaited_free(atomic_exchange(&awaits->current, NULL));
    bw_awaits_reclaim(awaits);
}
