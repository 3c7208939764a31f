/* The secrets that the code of a step may ask for. */
#include "worker/internal.h"
#include <stdlib.h>

static const struct bw_slice *secret_value(const struct bw_worker *worker, struct bw_slice name)
{
    return bw_map_get(worker->secrets, name);
}

/* action NULL: all that the workflow has. */
static size_t grants_of(const struct bw_attempt *attempt, const struct bw_action *action, struct bw_grant *grants)
{
    const struct bw_workflow *workflow = attempt->run->entry->workflow;
    size_t count = 0;
    for (size_t i = 0; i < workflow->secret_count; i++) {
        const struct bw_slice *value = secret_value(bw_attempt_worker(attempt), workflow->secrets[i]);
        bool is_declared = !action;
        for (size_t k = 0; action && k < action->secret_count; k++)
            is_declared = is_declared || bw_slice_is(workflow->secrets[i], action->secrets[k]);
        if (value && is_declared) grants[count++] = (struct bw_grant){workflow->secrets[i], *value};
    }
    return count;
}

size_t bw_step_grants(const struct bw_attempt *attempt, bool only_declared, struct bw_grant grants[BW_WORKFLOW_SECRETS_MAX])
{
    return grants_of(attempt, only_declared ? bw_attempt_action(attempt) : NULL, grants);
}

struct bw_grant *bw_step_all_grants(const struct bw_attempt *attempt, const struct bw_action *action, size_t *count)
{
    const struct bw_package *package = action ? action->package : NULL;
    const json_t *names = package ? package->secrets : NULL;
    struct bw_grant *grants = calloc(BW_WORKFLOW_SECRETS_MAX + json_array_size(names), sizeof *grants);
    size_t index;
    json_t *name;
    if (!grants) return NULL;
    *count = grants_of(attempt, action, grants);
    json_array_foreach(names, index, name)
    {
        const struct bw_slice *value = secret_value(bw_attempt_worker(attempt), bw_json_slice(name));
        if (value) grants[(*count)++] = (struct bw_grant){bw_json_slice(name), *value};
    }
    return grants;
}
