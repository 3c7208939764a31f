#include "serve/once.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/suggest.h"
#include "dispatch/dispatch.h"
#include "serve/inspect.h"
#include "wire/messages.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct once {
    const struct bw_once_options *options;
    const struct bw_once_handlers *handlers;
    struct bw_errors *errs;
    struct event_base *base;
    struct bw_store *store;
    struct bw_dispatch *dispatch;
    struct bw_store_op op;
    struct bw_accepted *event;
    enum bw_once_result result;
    bool is_parked; /* the run waits in the store */
    char folder[64];
};

static void stop_with(struct once *once, const struct bw_error *err)
{
    bw_errors_push(once->errs, err);
    once->result = BW_ONCE_NOT_STARTED;
    event_base_loopbreak(once->base);
}

static void on_fatal(void *arg, const struct bw_error *err)
{
    stop_with(arg, err);
}

static void on_trace(void *arg, const struct bw_message *message)
{
    struct once *once = arg;
    const char *what = bw_json_str(message->head, "what", "");
    bool is_child = json_object_get(message->head, "parent") != NULL;
    if (is_child) what = "";
    if (!strcmp(what, "run_parked") || !strcmp(what, "run_blocked")) once->is_parked = true;
    if (!strcmp(what, "run_resumed")) once->is_parked = false;
    if (!strcmp(what, "run_finished"))
        once->result = bw_json_int(message->head, "state", BW_RUN_FAILED) == BW_RUN_SUCCEEDED ? BW_ONCE_SUCCEEDED : BW_ONCE_FAILED;
    once->handlers->trace(once->handlers->arg, message);
}

static void on_event_done(void *arg, struct bw_uid event, uint32_t matched)
{
    struct once *once = arg;
    (void)event, (void)matched;
    if (!once->is_parked) event_base_loopbreak(once->base);
}

/* Writer thread: the event is on disk. */
static void on_accepted(struct bw_store_op *op)
{
    struct once *once = op->owner;
    once->event->event_id = op->event_id;
    bw_dispatch_post(once->dispatch, once->event);
}

static void release_event(struct bw_accepted *event)
{
    free(event);
}

/* The workflow that is meant: by name, or the only one of the file. */
static const char *choose(struct once *once, const json_t *loaded, struct bw_error *err)
{
    const json_t *workflows = json_object_get(loaded, "workflows");
    const char *names[256];
    size_t index, count = 0;
    json_t *workflow;
    json_array_foreach(workflows, index, workflow)
    {
        const char *name = bw_json_str(workflow, "name", "");
        if (once->options->workflow && !strcmp(name, once->options->workflow)) return name;
        if (count < sizeof names / sizeof *names) names[count++] = name;
    }
    if (!once->options->workflow && count == 1) return names[0];
    if (!once->options->workflow) {
        bw_error_set(err, "run.which", "the file holds %zu workflows", count);
        if (count) bw_error_hint(err, "name one of them: bellwire run --file FILE %s", names[0]);
        return NULL;
    }
    const char *near = bw_suggest(bw_slice_of(once->options->workflow), names, count);
    bw_error_set(err, "run.unknown_workflow", "there is no workflow '%s' that loads without errors", once->options->workflow);
    if (near)
        bw_error_hint(err, "did you mean '%s'?", near);
    else
        bw_error_hint(err, "see: bellwire check");
    return NULL;
}

static void on_catalog(void *arg, const json_t *loaded)
{
    struct once *once = arg;
    const struct bw_once_options *options = once->options;
    struct bw_error err;
    const char *name = choose(once, loaded, &err), *event_name = options->event_name ? options->event_name : "manual";
    if (!name) {
        bw_inspect_errors(loaded, once->errs);
        stop_with(once, &err);
        return;
    }
    size_t name_len = strlen(name), event_len = strlen(event_name);
    struct bw_accepted *event = calloc(1, sizeof *event + options->body.len + name_len + event_len);
    if (!event) {
        bw_error_set(&err, "memory", "out of memory");
        stop_with(once, &err);
        return;
    }
    char *at = (char *)(event + 1);
    atomic_init(&event->references, 1);
    event->release = release_event;
    event->at_ms = bw_clock_wall_ms();
    event->uid = bw_uid_new(event->at_ms);
    event->revision = bw_dispatch_revision(once->dispatch);
    event->trusted = true;
    event->source = BW_SLICE("manual");
    event->headers = BW_SLICE("{}");
    event->name = (struct bw_slice){memcpy(at, event_name, event_len), event_len};
    event->workflow = (struct bw_slice){memcpy(at + event_len, name, name_len), name_len};
    event->body = (struct bw_slice){at + event_len + name_len, options->body.len};
    if (options->body.len) memcpy(at + event_len + name_len, options->body.ptr, options->body.len);
    once->event = event;
    once->op = (struct bw_store_op){
        .kind = BW_OP_ACCEPT,
        .done = on_accepted,
        .owner = once,
        .delivery =
            {.at_ms = event->at_ms, .source = event->source, .status = 202, .outcome = BW_OUTCOME_ACCEPTED, .bytes = (uint32_t)options->body.len},
        .event = {.uid = event->uid,
                  .at_ms = event->at_ms,
                  .revision = event->revision,
                  .source = event->source,
                  .name = event->name,
                  .trusted = true,
                  .headers = event->headers,
                  .body = event->body,
                  .workflow = event->workflow},
    };
    bw_store_submit(once->store, &once->op);
}

enum bw_once_result bw_once_run(const struct bw_once_options *options, const struct bw_once_handlers *handlers, struct bw_errors *errs)
{
    struct once once = {.options = options, .handlers = handlers, .errs = errs, .result = BW_ONCE_NOT_STARTED, .folder = "/tmp/bellwire-run-XXXXXX"};
    const struct bw_dispatch_handlers dispatch_handlers = {
        .arg = &once, .catalog = on_catalog, .trace = on_trace, .event_done = on_event_done, .fatal = on_fatal};
    struct bw_error err;

    if (!mkdtemp(once.folder)) {
        bw_error_set(&err, "run.folder", "cannot make a folder under /tmp: %s", strerror(errno));
        bw_errors_push(errs, &err);
        return BW_ONCE_NOT_STARTED;
    }
    const struct bw_dispatch_options dispatch_options = {
        .config = options->config, .store_folder = once.folder, .trace = true, .only_workflow_file = options->workflow_file};
    bw_error_set(&err, "memory", "out of memory");
    if ((once.base = event_base_new()) && (once.store = bw_store_open(once.folder, &err))) {
        struct bw_dispatch_options with_store = dispatch_options;
        with_store.store = once.store;
        once.dispatch = bw_dispatch_new(once.base, &with_store, &dispatch_handlers, &err);
    }
    if (once.dispatch)
        event_base_dispatch(once.base);
    else
        bw_errors_push(errs, &err);
    if (once.dispatch) bw_dispatch_stop(once.dispatch);
    if (once.store) bw_store_close(once.store);
    bw_dispatch_free(once.dispatch);
    if (once.base) event_base_free(once.base);
    bw_file_remove_folder(once.folder);
    return once.result;
}
