#include "base/log.h"
#include "base/suggest.h"
#include "worker/internal.h"
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX 256

static void write_text(struct bw_worker *worker, const json_t *values)
{
    struct bw_buf text = {0};
    bw_json_append(&text, values);
    free(worker->values_text);
    if (text.failed || !(worker->values_text = bw_slice_dup(bw_buf_slice(&text)))) exit(70);
    bw_buf_free(&text);
}

static void free_secret(void *value)
{
    struct bw_slice *secret = value;
    explicit_bzero((void *)secret->ptr, secret->len);
    free((void *)secret->ptr);
    free(secret);
}

/* Attempts that are under way have copies of theirs. */
static void take_secrets(struct bw_worker *worker, const json_t *secrets)
{
    const char *name;
    json_t *value;
    bw_map_free(worker->secrets, free_secret);
    if (!(worker->secrets = bw_map_new())) exit(70);
    json_object_foreach((json_t *)secrets, name, value)
    {
        struct bw_slice text = bw_json_slice(value), *kept = malloc(sizeof *kept);
        if (!kept || !(kept->ptr = bw_slice_dup(text))) exit(70);
        kept->len = text.len;
        if (!bw_map_set(worker->secrets, bw_slice_of(name), kept)) exit(70);
        bw_log_redact(name, text);
    }
}

/* One that is gone stays: runs that began under it end under it. No workflow of a later revision can name it: it was refused. */
static void take_limits(struct bw_worker *worker, const json_t *limits)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)limits, name, value)
    {
        double *most = bw_map_get(worker->shared, bw_slice_of(name));
        if (!most && (!(most = malloc(sizeof *most)) || !bw_map_set(worker->shared, bw_slice_of(name), most))) exit(70);
        *most = json_number_value(value);
    }
}

void bw_values_take(struct bw_worker *worker, const json_t *head)
{
    take_limits(worker, json_object_get(head, "limits"));
    take_secrets(worker, json_object_get(head, "secrets"));
    const json_t *values = json_object_get(head, "config");
    json_decref(worker->configure);
    worker->configure = json_incref(json_object_get(head, "configure"));
    json_decref(worker->values);
    if (!(worker->values = values ? json_deep_copy(values) : json_object())) exit(70);
    write_text(worker, worker->values);
    bw_cache_clear(worker);
    struct bw_errors errs = {0}; /* who could refuse it has not; what an earlier revision does not know is told by the steps that need it */
    struct bw_catalog *catalog;
    TAILQ_FOREACH(catalog, &worker->catalogs, link) bw_offers_configure(worker, catalog, &errs);
    bw_errors_free(&errs);
}

void bw_values_override(struct bw_worker *worker, const json_t *values)
{
    json_t *all = json_copy(worker->values);
    if (!all || (values && json_object_update(all, (json_t *)values))) exit(70);
    write_text(worker, all);
    json_decref(all);
}

struct bw_slice bw_values_text(const struct bw_worker *worker)
{
    return bw_slice_of(worker->values_text);
}

/* An error for whoever loads the workflow now, and no reason to be without it: a run that is under way may never come there. */
void bw_values_check(const struct bw_worker *worker, const struct bw_workflow *workflow, struct bw_errors *errs)
{
    for (size_t i = 0; i < workflow->value_count; i++) {
        const struct bw_value_ref *ref = &workflow->values[i];
        const char *names[NAMES_MAX], *name;
        size_t count = 0;
        json_t *value;
        if (json_object_get(worker->values, ref->name.ptr)) continue;
        json_object_foreach(worker->values, name, value) if (count < NAMES_MAX) names[count++] = name;
        const char *near = bw_suggest(ref->name, names, count);
        struct bw_error *err = bw_errors_add(errs, "expr.unknown_config", "there is no config.%s in bellwire.yaml", ref->name.ptr);
        if (err && near) bw_error_hint(err, "did you mean '%s'?", near);
        if (err && !near) bw_error_hint(err, "add it there: config: {%s: …}", ref->name.ptr);
        if (err) bw_error_at(err, workflow->file.ptr, ref->mark.line, ref->mark.column);
    }
}
