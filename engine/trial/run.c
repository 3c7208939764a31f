/* Drives tests through the engine. The time of a test stands still while there is something to do, and jumps to the next thing that happens. */
#include "base/clock.h"
#include "base/file.h"
#include "dispatch/dispatch.h"
#include "trial/internal.h"
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define JUMPS_MAX 1000000

struct runner {
    struct bw_trial_test *const *tests;
    size_t count, next;
    const struct bw_trial_handlers *handlers;
    struct event_base *base;
    struct bw_store *store;
    struct bw_dispatch *dispatch;
    struct bw_reader *reader;
    struct event *interrupted[2];
    json_t *loaded;
    struct bw_error error; /* code set: the command ends */
    struct bw_store_op forget;
    /* the test that runs */
    const struct bw_trial_test *test; /* NULL: none */
    struct bw_trial_result result;
    _Atomic int64_t first_event; /* its id in the store */
    json_t *inputs;              /* {run: {step: what it was given}} */
    size_t next_event, jumps;
    int64_t now_ms, began_us;
    bool is_judged; /* what is still under way is only brought to its end */
};

struct sent { /* an event on its way through the store */
    struct bw_store_op op;
    struct bw_accepted accepted;
    struct bw_binding binding;
    struct runner *runner;
};

static void begin_next(struct runner *runner);

static void stop(struct runner *runner)
{
    event_base_loopbreak(runner->base);
}

/* ---- events ---- */

static void release(struct bw_accepted *accepted)
{
    free((char *)accepted - offsetof(struct sent, accepted));
}

static void on_accepted(struct bw_store_op *op)
{
    struct sent *sent = op->owner; /* writer thread */
    int64_t none = 0;
    if (op->failed) { /* then all that follows fails as well, and the dispatcher says so */
        free(sent);
        return;
    }
    sent->accepted.event_id = op->event_id;
    atomic_compare_exchange_strong(&sent->runner->first_event, &none, op->event_id);
    bw_dispatch_post(sent->runner->dispatch, &sent->accepted);
}

static void submit(struct runner *runner, const struct bw_trial_event *from)
{
    struct sent *sent = calloc(1, sizeof *sent);
    if (!sent) {
        bw_error_set(&runner->error, "memory", "out of memory");
        stop(runner);
        return;
    }
    struct bw_accepted *event = &sent->accepted;
    sent->runner = runner;
    atomic_init(&event->references, 1);
    event->release = release;
    event->at_ms = runner->now_ms;
    event->uid = bw_uid_new(event->at_ms);
    event->revision = bw_dispatch_revision(runner->dispatch);
    event->trusted = from->is_trusted;
    event->source = from->source;
    event->name = from->name;
    event->workflow = from->workflow;
    event->headers = bw_buf_slice(&from->headers);
    event->body = bw_buf_slice(&from->body);
    bw_dispatch_bind(runner->dispatch, event->name, event->body, &sent->binding);
    sent->op = (struct bw_store_op){
        .kind = BW_OP_ACCEPT,
        .done = on_accepted,
        .owner = sent,
        .delivery =
            {.at_ms = event->at_ms, .source = event->source, .status = 202, .outcome = BW_OUTCOME_ACCEPTED, .bytes = (uint32_t)event->body.len},
        .event = {.uid = event->uid,
                  .at_ms = event->at_ms,
                  .revision = event->revision,
                  .source = event->source,
                  .name = event->name,
                  .trusted = event->trusted,
                  .headers = event->headers,
                  .body = event->body,
                  .workflow = event->workflow,
                  .keys = sent->binding.keys,
                  .key_count = sent->binding.key_count},
    };
    bw_store_submit(runner->store, &sent->op);
}

/* ---- one test ---- */

static void on_forgotten(struct bw_store_op *op)
{
    (void)op; /* a failure is that of all that follows */
}

static void end_test(struct runner *runner)
{
    runner->result.took_us = bw_clock_mono_us() - runner->began_us;
    runner->handlers->end(runner->handlers->arg, runner->test, &runner->result);
    json_decref(runner->result.outcome);
    runner->result.outcome = NULL;
    runner->test = NULL;
    runner->next++;
}

static void judge(struct runner *runner)
{
    runner->is_judged = true;
    runner->result.outcome =
        bw_trial_outcome(runner->reader, atomic_load(&runner->first_event), runner->test->workflow, runner->inputs, &runner->result.error);
    if (runner->result.outcome) bw_trial_judge(runner->test, &runner->result);
}

/* Nothing will happen before due_ms, unless it is in the test. */
static void on_quiet(void *arg, int64_t due_ms)
{
    struct runner *runner = arg;
    const struct bw_trial_test *test = runner->test;
    const struct bw_trial_event *event = runner->next_event < test->event_count ? &test->events[runner->next_event] : NULL;
    int64_t next_ms = due_ms, until_ms = test->until_ms ? test->clock_ms + test->until_ms : INT64_MAX;
    bool is_event_next = event && !runner->is_judged && (!due_ms || test->clock_ms + event->after_ms <= due_ms);
    if (is_event_next) next_ms = test->clock_ms + event->after_ms;
    if (!runner->is_judged && (!next_ms || next_ms > until_ms)) judge(runner);
    if (!runner->is_judged && ++runner->jumps > JUMPS_MAX) {
        bw_error_set(&runner->result.error, "test.endless", "there is always something left to do, after %d jumps of the clock", JUMPS_MAX);
        bw_error_hint(&runner->result.error, "say how long the test goes on: until: 2h");
        bw_error_at(&runner->result.error, test->file, test->node->line, test->node->column);
        runner->error = runner->result.error; /* what is under way cannot be brought to its end */
        stop(runner);
        return;
    }
    if (runner->is_judged && (!due_ms || ++runner->jumps > 2 * JUMPS_MAX)) {
        end_test(runner);
        begin_next(runner);
        return;
    }
    if (next_ms > runner->now_ms) runner->now_ms = next_ms;
    if (is_event_next && !runner->is_judged) {
        runner->next_event++;
        bw_clock_stop_at(runner->now_ms);
        submit(runner, event);
    }
    bw_dispatch_trial_go_on(runner->dispatch, runner->now_ms);
}

static void begin_test(struct runner *runner, const struct bw_trial_test *test)
{
    runner->test = test;
    runner->result = (struct bw_trial_result){0};
    runner->next_event = runner->jumps = 0;
    runner->is_judged = false;
    runner->now_ms = test->clock_ms;
    runner->began_us = bw_clock_mono_us();
    atomic_store(&runner->first_event, 0);
    json_object_clear(runner->inputs);
    runner->handlers->begin(runner->handlers->arg, test);
    if (!bw_trial_check_names(test, runner->loaded, &runner->result.error)) {
        end_test(runner);
        return;
    }
    char *workflow = bw_slice_dup(test->workflow);
    bw_dispatch_trial_begin(runner->dispatch, runner->now_ms, workflow ? workflow : "", test->mocks, test->values);
    free(workflow);
    runner->forget = (struct bw_store_op){.kind = BW_OP_FORGET, .done = on_forgotten};
    bw_store_submit(runner->store, &runner->forget);
    submit(runner, &test->first);
    bw_dispatch_trial_go_on(runner->dispatch, runner->now_ms);
}

static void begin_next(struct runner *runner)
{
    while (!runner->test && runner->next < runner->count) {
        const struct bw_trial_test *test = runner->tests[runner->next];
        if (test->skip.len)
            runner->next++;
        else
            begin_test(runner, test);
    }
    if (!runner->test) stop(runner);
}

/* ---- the engine ---- */

static void on_catalog(void *arg, const json_t *loaded)
{
    struct runner *runner = arg;
    runner->loaded = json_deep_copy(loaded);
    runner->handlers->loaded(runner->handlers->arg, loaded);
    begin_next(runner);
}

static void on_trace(void *arg, const struct bw_message *message)
{
    struct runner *runner = arg;
    const char *run = bw_json_str(message->head, "run", "");
    if (!runner->test || runner->is_judged) return;
    if (!strcmp(bw_json_str(message->head, "what", ""), "step_input") && message->part_count) {
        json_t *steps = json_object_get(runner->inputs, run), *input = bw_json_load(message->parts[0], NULL);
        if (!steps) json_object_set_new(runner->inputs, run, steps = json_object());
        if (input) json_object_set_new(steps, bw_json_str(message->head, "step", ""), input);
        return;
    }
    runner->handlers->trace(runner->handlers->arg, message, runner->now_ms - runner->test->clock_ms);
}

static void on_fatal(void *arg, const struct bw_error *err)
{
    struct runner *runner = arg;
    runner->error = *err;
    stop(runner);
}

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
    struct runner *runner = arg;
    (void)fd, (void)what;
    bw_error_set(&runner->error, "test.interrupted", "interrupted");
    stop(runner);
}

static bool watch_signals(struct runner *runner)
{
    static const int signals[] = {SIGINT, SIGTERM};
    for (size_t i = 0; i < 2; i++)
        if (!(runner->interrupted[i] = evsignal_new(runner->base, signals[i], on_signal, runner)) || event_add(runner->interrupted[i], NULL))
            return false;
    return true;
}

bool bw_trial_run(const struct bw_config *config, struct bw_trial_test *const *tests, size_t count, const struct bw_trial_handlers *handlers,
                  struct bw_error *err)
{
    struct runner runner = {.tests = tests, .count = count, .handlers = handlers};
    const struct bw_dispatch_handlers dispatch_handlers = {
        .arg = &runner, .catalog = on_catalog, .trace = on_trace, .quiet = on_quiet, .fatal = on_fatal};
    char folder[64] = "/dev/shm/bellwire-test-XXXXXX"; /* the store syncs, and there is nothing to keep */
    if (!mkdtemp(folder) && !mkdtemp(strcpy(folder, "/tmp/bellwire-test-XXXXXX")))
        return bw_error_set(err, "test.folder", "cannot make a folder under /tmp: %s", strerror(errno));
    bw_error_set(&runner.error, "memory", "out of memory");
    if ((runner.inputs = json_object()) && (runner.base = event_base_new()) && watch_signals(&runner) &&
        (runner.store = bw_store_open(folder, &runner.error)) && (runner.reader = bw_reader_open(folder, &runner.error))) {
        const struct bw_dispatch_options options = {.config = config, .store = runner.store, .store_folder = folder, .trace = true, .trial = true};
        runner.dispatch = bw_dispatch_new(runner.base, &options, &dispatch_handlers, &runner.error);
    }
    if (runner.dispatch) {
        bw_error_clear(&runner.error);
        event_base_dispatch(runner.base);
        bw_dispatch_stop(runner.dispatch);
    }
    if (runner.store) bw_store_close(runner.store);
    bw_dispatch_free(runner.dispatch);
    if (runner.reader) bw_reader_close(runner.reader);
    for (size_t i = 0; i < 2; i++)
        if (runner.interrupted[i]) event_free(runner.interrupted[i]);
    if (runner.base) event_base_free(runner.base);
    bw_file_remove_folder(folder);
    json_decref(runner.result.outcome);
    json_decref(runner.inputs);
    json_decref(runner.loaded);
    if (runner.error.code[0] && err) *err = runner.error;
    return !runner.error.code[0];
}
