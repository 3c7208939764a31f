#include "serve/inspect.h"
#include "dispatch/dispatch.h"

struct inspection {
    struct event_base *base;
    json_t *loaded;
    struct bw_error error;
};

static void on_catalog(void *arg, const json_t *loaded)
{
    struct inspection *inspection = arg;
    inspection->loaded = json_deep_copy(loaded);
    event_base_loopbreak(inspection->base);
}

static void on_fatal(void *arg, const struct bw_error *err)
{
    struct inspection *inspection = arg;
    inspection->error = *err;
    event_base_loopbreak(inspection->base);
}

static json_t *inspect(const struct bw_dispatch_options *options, struct bw_error *err)
{
    struct inspection inspection = {.base = event_base_new()};
    const struct bw_dispatch_handlers handlers = {.arg = &inspection, .catalog = on_catalog, .fatal = on_fatal};
    struct bw_dispatch *dispatch = NULL;
    bw_error_set(&inspection.error, "memory", "out of memory");
    if (inspection.base && (dispatch = bw_dispatch_new(inspection.base, options, &handlers, &inspection.error))) event_base_dispatch(inspection.base);
    bw_dispatch_free(dispatch);
    if (inspection.base) event_base_free(inspection.base);
    if (!inspection.loaded && err) *err = inspection.error;
    return inspection.loaded;
}

json_t *bw_inspect_catalog(const struct bw_config *config, const char *only_file, struct bw_error *err)
{
    return inspect(&(struct bw_dispatch_options){.config = config, .check_only = true, .only_workflow_file = only_file}, err);
}

json_t *bw_inspect_all(const struct bw_config *config, struct bw_error *err)
{
    return inspect(&(struct bw_dispatch_options){.config = config, .check_only = true, .shows_all = true}, err);
}

json_t *bw_inspect_revision(const struct bw_config *config, const struct bw_revision *revision, struct bw_error *err)
{
    return inspect(&(struct bw_dispatch_options){.config = config, .check_only = true, .revision = revision}, err);
}

static size_t read_errors(const json_t *list, struct bw_errors *errs)
{
    size_t index;
    json_t *error;
    json_array_foreach(list, index, error)
    {
        struct bw_error err = bw_json_error(error);
        size_t before = errs->count;
        bw_errors_push(errs, &err);
        if (errs->count == before) break;
    }
    return index;
}

size_t bw_inspect_errors(const json_t *loaded, struct bw_errors *errs)
{
    return read_errors(json_object_get(loaded, "errors"), errs);
}

size_t bw_inspect_doubts(const json_t *loaded, struct bw_errors *doubts)
{
    return read_errors(json_object_get(loaded, "doubts"), doubts);
}
