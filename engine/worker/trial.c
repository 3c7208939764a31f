/* Trials (`bellwire test`): steps get the answers that the test gives them instead of doing what they do, nothing reaches the network, and time
 * stands still until the engine sets it. All else is what it is for every run. */
#include "base/clock.h"
#include "base/log.h"
#include "worker/internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bw_trial {
    struct bw_slice workflow; /* in `head`: the one whose triggers are asked */
    json_t *head;             /* of the BW_MSG_TRIAL that began the test */
    json_t *nothing;          /* [{}]: the answer of whoever is not worth a mock */
    int64_t ask;              /* to be answered when nothing is left to do at this time; 0 = nothing is asked */
};

bool bw_trial_begin(struct bw_worker *worker)
{
    worker->trial = calloc(1, sizeof *worker->trial);
    if (!worker->trial || !(worker->trial->nothing = json_pack("[{}]"))) return false;
    bw_clock_stop_at(bw_clock_wall_ms());
    return true;
}

void bw_trial_take(struct bw_worker *worker, const struct bw_message *message)
{
    struct bw_trial *trial = worker->trial;
    int64_t now_ms = bw_json_int(message->head, "now_ms", 0), before_ms = bw_clock_wall_ms();
    if (!trial) return;
    if (json_object_get(message->head, "workflow")) {
        json_decref(trial->head);
        trial->head = json_incref((json_t *)message->head);
        trial->workflow = bw_json_slice(json_object_get(trial->head, "workflow"));
        bw_values_override(worker, json_object_get(trial->head, "config"));
    }
    if (now_ms > before_ms) bw_clock_skip_us((now_ms - before_ms) * 1000); /* deadlines are told by the monotonic clock */
    bw_clock_stop_at(now_ms);
    bw_timers_fire(worker);
    trial->ask = bw_json_int(message->head, "ask", 0);
    bw_trial_answer_if_quiet(worker);
}

void bw_trial_answer_if_quiet(struct bw_worker *worker)
{
    char head[80];
    if (!worker->trial || !worker->trial->ask || !TAILQ_EMPTY(&worker->ready)) return;
    int len = snprintf(head, sizeof head, "{\"ask\":%lld,\"due_ms\":%lld}", (long long)worker->trial->ask, (long long)bw_timers_next_ms(worker));
    worker->trial->ask = 0;
    bw_channel_send(worker->channel, BW_MSG_QUIET, (struct bw_slice){head, (size_t)len}, NULL, 0);
}

bool bw_trial_leaves_out(const struct bw_worker *worker, const struct bw_workflow *workflow)
{
    return worker->trial && worker->trial->workflow.len && !bw_slice_equal(worker->trial->workflow, workflow->name);
}

/* ---- answers ---- */

bool bw_trial_can_mock(const struct bw_step *step)
{
    return step->kind == BW_STEP_USES || step->kind == BW_STEP_LUA || step->kind == BW_STEP_CALL || step->kind == BW_STEP_APPROVE;
}

/* By the names that `bellwire run` gives the step, the closest first: fan[2].get, fan.get, get. The step of a workflow that another one calls has
 * that one's step in front. */
static const json_t *find_mock(const struct bw_attempt *attempt, size_t index)
{
    const struct bw_trial *trial = bw_attempt_worker(attempt)->trial;
    const struct bw_run *run = attempt->run;
    const struct bw_step *step = &run->entry->workflow->steps[index];
    char name[2 * 128 + 32];
    if (!trial || !bw_trial_can_mock(step)) return NULL;
    const json_t *mocks = json_object_get(trial->head, "mocks"), *mock = NULL;
    const char *outer = bw_json_str(run->child, "path", "");
    if (bw_run_is_item(run)) {
        snprintf(name, sizeof name, "%s[%lld].%s", outer, (long long)bw_json_int(run->child, "item", 0) + 1, step->path.ptr);
        mock = json_object_get(mocks, name);
    }
    snprintf(name, sizeof name, "%s.%s", outer, step->path.ptr);
    if (!mock && *outer) mock = json_object_get(mocks, name);
    if (!mock && bw_slice_equal(run->entry->workflow->name, trial->workflow)) mock = json_object_get(mocks, step->path.ptr);
    return mock;
}

const json_t *bw_trial_mock_named(const struct bw_attempt *attempt, const char *name)
{
    const struct bw_trial *trial = bw_attempt_worker(attempt)->trial;
    return trial ? json_object_get(json_object_get(trial->head, "mocks"), name) : NULL;
}

/* Who is told of an approval that the test decides need not be said. */
const json_t *bw_trial_mock(const struct bw_attempt *attempt)
{
    int32_t approval = bw_attempt_step(attempt)->notifies;
    const json_t *mock = find_mock(attempt, attempt->step);
    if (mock || approval < 0 || !find_mock(attempt, (size_t)approval)) return mock;
    return bw_attempt_worker(attempt)->trial->nothing;
}

/* Objects by the members that are wanted, all else whole. */
static bool fits(const json_t *wanted, const json_t *got)
{
    const char *key;
    json_t *value, *other;
    size_t index;
    if (json_is_number(wanted) && json_is_number(got)) return json_number_value(wanted) == json_number_value(got);
    if (json_is_array(wanted) && json_is_array(got) && json_array_size(wanted) == json_array_size(got)) {
        json_array_foreach(wanted, index, value) if (!fits(value, json_array_get(got, index))) return false;
        return true;
    }
    if (!json_is_object(wanted) || !json_is_object(got)) return json_equal(wanted, got);
    json_object_foreach((json_t *)wanted, key, value)
    {
        other = json_object_get(got, key);
        if (json_is_null(value) ? other && !json_is_null(other) : !other || !fits(value, other)) return false;
    }
    return true;
}

/* Those whose `with` fits what the step is given; if there is none, those that have no `with`. Of these one for each attempt, the last for all that
 * follow. */
static const json_t *choose(const struct bw_attempt *attempt)
{
    json_t *input = bw_json_load(bw_buf_slice(&attempt->input), NULL), *answer;
    uint32_t left = bw_attempt_result(attempt)->iteration + bw_attempt_result(attempt)->attempt, fitting = 0;
    const json_t *chosen = NULL;
    size_t index;
    for (int pass = 0; pass < 2 && !fitting; pass++) {
        json_array_foreach(attempt->mock, index, answer)
        {
            const json_t *with = json_object_get(answer, "with");
            if (pass == 0 ? !with || !fits(with, input) : with != NULL) continue;
            fitting++;
            if (left) {
                chosen = answer;
                left--;
            }
        }
    }
    json_decref(input);
    return chosen;
}

static enum bw_error_class class_of(const char *name)
{
    if (!strcmp(name, "transient")) return BW_CLASS_TRANSIENT;
    if (!strcmp(name, "timeout")) return BW_CLASS_TIMEOUT;
    return strcmp(name, "bug") ? BW_CLASS_PERMANENT : BW_CLASS_BUG;
}

static void give(struct bw_attempt *attempt)
{
    const json_t *answer = choose(attempt), *error = json_object_get(answer, "error"), *output = json_object_get(answer, "output");
    struct bw_buf text = {0};
    struct bw_error err;
    if (!answer) {
        bw_error_set(&err, "test.no_answer", "none of the answers that the test has for %s fits what it is given",
                     bw_attempt_step(attempt)->path.ptr);
        bw_error_hint(&err, "add one without `with` to its mock: that is for all else");
        bw_step_fail(attempt, &err, BW_CLASS_PERMANENT, -1);
    } else if (error) {
        bw_error_set(&err, bw_json_str(error, "code", "test.mocked"), "%s", bw_json_str(error, "message", "the test lets this attempt fail"));
        bw_step_fail(attempt, &err, class_of(bw_json_str(error, "class", "permanent")), bw_json_int(error, "retry_after_ms", -1));
    } else if (bw_attempt_step(attempt)->kind == BW_STEP_APPROVE) {
        bw_approve_mocked(attempt, output);
    } else {
        if (output)
            bw_json_append(&text, output);
        else
            bw_buf_append_text(&text, "{}");
        bw_step_succeed_checked(attempt, bw_buf_slice(&text));
        bw_buf_free(&text);
    }
}

static void on_answer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    give(arg);
}

void bw_trial_attempt(struct bw_attempt *attempt, int64_t timeout_ms)
{
    const json_t *answer = choose(attempt);
    int64_t after_ms = bw_json_int(answer, "after_ms", 0);
    if (!after_ms) {
        give(attempt);
        return;
    }
    attempt->wait = BW_WAIT_SLEEP;
    if (after_ms < timeout_ms)
        bw_attempt_set_timer(attempt, on_answer, after_ms);
    else
        bw_attempt_set_timer(attempt, bw_step_on_timeout, timeout_ms);
}

static void on_late(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    bw_approve_timed_out(arg);
}

void bw_trial_vote(struct bw_attempt *attempt, int64_t timeout_ms)
{
    int64_t after_ms = bw_json_int(choose(attempt), "after_ms", 0);
    if (!after_ms) {
        give(attempt);
        return;
    }
    attempt->wait = BW_WAIT_SLEEP;
    bw_attempt_set_timer(attempt, after_ms < timeout_ms ? on_answer : on_late, after_ms < timeout_ms ? after_ms : timeout_ms);
}

void bw_trial_refuse_step(struct bw_attempt *attempt)
{
    const struct bw_step *step = bw_attempt_step(attempt);
    struct bw_error err;
    bw_error_set(&err, "test.not_mocked", "the step %s would run %s, which is no Lua: the test must say what comes of it", step->path.ptr,
                 step->uses.ptr);
    bw_error_hint(&err, "add to the test: mocks: {%s: {output: {…}}}", step->path.ptr);
    bw_error_at(&err, attempt->run->entry->workflow->file.ptr, step->mark.line, step->mark.column);
    bw_step_fail(attempt, &err, BW_CLASS_PERMANENT, -1);
}

void bw_trial_network_error(const struct bw_attempt *attempt, const struct bw_task_request *request, struct bw_error *err)
{
    bw_error_set(err, "test.network", "the step %s would ask %.200s, and a test has no network", bw_attempt_step(attempt)->path.ptr,
                 request->url.ptr);
    bw_error_hint(err, "add to the test: mocks: {%s: {output: {…}}}", bw_attempt_step(attempt)->path.ptr);
}

void bw_trial_trace_input(struct bw_attempt *attempt)
{
    struct bw_buf seen = {0};
    if (!bw_attempt_worker(attempt)->trial) return;
    bw_redact_append(&seen, bw_buf_slice(&attempt->input));
    bw_trace_input(attempt->run, attempt->step, &seen);
    bw_buf_free(&seen);
}
