#include "serve/letters.h"
#include "base/codec.h"
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

struct bw_letter_desk {
    struct bw_store *store;
    struct event_base *base;
    struct bw_dispatch *dispatch;
    struct bw_letter_catalog catalog;
    bool is_loaded;
    struct bw_error error;
};

/* ---- the catalogue ---- */

static size_t copy_paths(const json_t *list, struct bw_slice *paths)
{
    size_t index;
    json_t *path;
    json_array_foreach(list, index, path) paths[index] = bw_json_slice(path);
    return index;
}

bool bw_letter_catalog_make(struct bw_letter_catalog *catalog, const struct bw_dispatch *dispatch, struct bw_error *err)
{
    const json_t *workflows = bw_dispatch_workflows(dispatch);
    size_t index;
    json_t *workflow;
    *catalog = (struct bw_letter_catalog){.revision = bw_dispatch_revision(dispatch), .json = json_incref((json_t *)workflows)};
    bw_error_set(err, "memory", "out of memory");
    if (!(catalog->workflows = calloc(json_array_size(workflows) + 1, sizeof *catalog->workflows))) goto fail;
    json_array_foreach(workflows, index, workflow)
    {
        struct bw_letter_workflow *made = &catalog->workflows[catalog->count];
        const json_t *own = json_object_get(workflow, "steps"), *inner = json_object_get(workflow, "inner");
        struct bw_slice *steps = calloc(json_array_size(own) + json_array_size(inner) + 1, sizeof *steps);
        size_t len;
        if (!steps) goto fail;
        catalog->count++;
        made->name = bw_json_slice(json_object_get(workflow, "name"));
        made->steps = steps;
        made->own_count = copy_paths(own, steps);
        made->step_count = made->own_count + copy_paths(inner, steps + made->own_count);
        bw_hex_decode(bw_json_slice(json_object_get(workflow, "hash")), false, made->version, sizeof made->version, &len);
    }
    return true;
fail:
    bw_letter_catalog_free(catalog);
    return false;
}

void bw_letter_catalog_free(struct bw_letter_catalog *catalog)
{
    for (size_t i = 0; i < catalog->count; i++) free((void *)catalog->workflows[i].steps);
    free(catalog->workflows);
    json_decref(catalog->json);
    *catalog = (struct bw_letter_catalog){0};
}

void bw_letter_catalog_apply(const struct bw_letter_catalog *catalog, struct bw_letters *letters)
{
    letters->revision = catalog->revision;
    letters->workflows = catalog->workflows;
    letters->workflow_count = catalog->count;
}

/* ---- without a serving engine ---- */

static void on_catalog(void *arg, const json_t *loaded)
{
    struct bw_letter_desk *desk = arg;
    bw_dispatch_log_errors(loaded);
    desk->is_loaded = bw_letter_catalog_make(&desk->catalog, desk->dispatch, &desk->error);
    event_base_loopbreak(desk->base);
}

static void on_fatal(void *arg, const struct bw_error *err)
{
    struct bw_letter_desk *desk = arg;
    desk->error = *err;
    if (desk->base) event_base_loopbreak(desk->base);
}

static bool load(struct bw_letter_desk *desk, const struct bw_config *config, struct bw_error *err)
{
    const struct bw_dispatch_options options = {.config = config, .store = desk->store, .store_folder = config->data, .hold = true};
    const struct bw_dispatch_handlers handlers = {.arg = desk, .catalog = on_catalog, .fatal = on_fatal};
    bw_error_set(&desk->error, "memory", "out of memory");
    if ((desk->base = event_base_new()) && (desk->dispatch = bw_dispatch_new(desk->base, &options, &handlers, &desk->error)))
        event_base_dispatch(desk->base);
    if (!desk->is_loaded) *err = desk->error;
    return desk->is_loaded;
}

struct bw_letter_desk *bw_letter_desk_open(const struct bw_config *config, bool with_catalog, struct bw_error *err)
{
    struct bw_reader *there = bw_reader_open(config->data, err);
    if (!there && !strcmp(err->code, "store.missing")) return NULL; /* to open the store would make one: in a folder that was meant to be another */
    bw_reader_close(there);
    struct bw_letter_desk *desk = calloc(1, sizeof *desk);
    bw_error_set(err, "memory", "out of memory");
    if (!desk) return NULL;
    if ((desk->store = bw_store_open(config->data, err)) && (!with_catalog || load(desk, config, err))) return desk;
    bw_letter_desk_close(desk);
    return NULL;
}

bool bw_letter_desk_do(struct bw_letter_desk *desk, struct bw_letters *letters, struct bw_error *err)
{
    struct bw_store_op op = {.kind = BW_OP_LETTERS, .letters = letters};
    if (desk->is_loaded) bw_letter_catalog_apply(&desk->catalog, letters);
    return bw_store_submit_wait(desk->store, &op, err);
}

void bw_letter_desk_close(struct bw_letter_desk *desk)
{
    if (!desk) return;
    if (desk->dispatch) bw_dispatch_stop(desk->dispatch);
    if (desk->store) bw_store_close(desk->store);
    bw_dispatch_free(desk->dispatch);
    if (desk->base) event_base_free(desk->base);
    bw_letter_catalog_free(&desk->catalog);
    free(desk);
}
