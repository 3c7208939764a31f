/* Metered calls of steps (store/usage.h): a worker asks before each, the store decides by the budgets of bellwire.yaml and of the step, and the
 * worker hears of it when it is on disk; then it says what the call took. */
#include "store/usage.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/suggest.h"
#include "dispatch/internal.h"
#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX 1000000000000LL

struct metering {
    struct bw_store_op op;
    struct bw_mail mail;
    struct bw_dispatch *dispatch;
    struct bw_usage_wish wish;
    struct bw_usage_budget budgets[BW_USAGE_BUDGETS_MAX];
    unsigned worker; /* number, to tell it; the worker may be another one by then */
    pid_t pid;
    int64_t number; /* the worker's */
    json_t *head;   /* where the texts of the wish are */
};

static void on_stored(struct bw_store_op *op)
{
    struct metering *metering = op->owner; /* writer thread */
    bw_mailbox_post(metering->dispatch->mailbox, &metering->mail);
}

static int64_t number_of(const json_t *head, const char *name, int64_t otherwise)
{
    int64_t number = bw_json_int(head, name, otherwise);
    return number < otherwise ? otherwise : number > NUMBER_MAX ? NUMBER_MAX : number;
}

/* ---- by which budgets ---- */

static void add_budget(struct metering *metering, enum bw_usage_scope scope, const struct bw_budget_config *budget)
{
    if (budget->calls < 0 && budget->tokens < 0 && budget->cost < 0 && budget->ms < 0) return;
    metering->budgets[metering->wish.budget_count++] =
        (struct bw_usage_budget){.scope = scope, .most = {budget->calls, budget->tokens, budget->cost, budget->ms}};
}

static void choose_budgets(struct metering *metering, const json_t *of_step)
{
    const struct bw_budgets_config *budgets = metering->dispatch->budgets;
    const struct bw_budget_config step = {bw_json_int(of_step, "calls", -1), bw_json_int(of_step, "tokens", -1), bw_json_int(of_step, "cost", -1),
                                          bw_json_int(of_step, "ms", -1)};
    add_budget(metering, BW_USAGE_STEP, &step);
    add_budget(metering, BW_USAGE_RUN, &budgets->run);
    add_budget(metering, BW_USAGE_DAY, &budgets->day);
    for (size_t i = 0; i < budgets->workflow_count; i++) {
        if (!bw_slice_is(metering->wish.workflow, budgets->workflows[i].workflow)) continue;
        add_budget(metering, BW_USAGE_RUN, &budgets->workflows[i].run);
        add_budget(metering, BW_USAGE_WORKFLOW, &budgets->workflows[i].day);
    }
    metering->wish.budgets = metering->budgets;
}

void bw_usage_check_names(const struct bw_dispatch *dispatch, json_t *errors)
{
    const struct bw_budgets_config *budgets = dispatch->budgets;
    const char *names[64];
    size_t count = 0, index;
    json_t *workflow;
    for (size_t i = 0; i < budgets->workflow_count; i++) {
        const struct bw_workflow_budget *budget = &budgets->workflows[i];
        struct bw_error err;
        bool is_known = false;
        count = 0;
        json_array_foreach(dispatch->workflows, index, workflow)
        {
            const char *name = bw_json_str(workflow, "name", "");
            is_known |= !strcmp(name, budget->workflow);
            if (count < sizeof names / sizeof *names) names[count++] = name;
        }
        if (is_known) continue;
        const char *near = bw_suggest(bw_slice_of(budget->workflow), names, count);
        bw_error_set(&err, "budget.workflow", "there is no workflow '%s': this budget limits nothing", budget->workflow);
        bw_error_hint(&err, near ? "did you mean '%s'?" : "see: bellwire workflows", near);
        bw_error_at(&err, dispatch->options.config->file, budget->line, budget->column);
        json_array_append_new(errors, bw_dispatch_error_json(&err, NULL));
    }
}

/* ---- asked and told ---- */

static struct metering *submit(struct bw_run_worker *worker, const json_t *head, bool opens)
{
    struct bw_dispatch *dispatch = worker->dispatch;
    struct metering *metering = calloc(1, sizeof *metering);
    struct bw_usage_wish *wish;
    if (!metering || !bw_uid_parse(bw_json_slice(json_object_get(head, "run")), BW_UID_RUN, &metering->wish.run)) {
        free(metering);
        bw_process_kill(worker->process); /* no memory, or not a worker of ours: its events go to another one */
        return NULL;
    }
    wish = &metering->wish;
    metering->dispatch = dispatch;
    metering->mail.kind = BW_MAIL_USAGE;
    metering->worker = worker->number;
    metering->pid = bw_process_pid(worker->process);
    metering->head = json_incref((json_t *)head);
    wish->opens = opens;
    wish->at_ms = bw_clock_wall_ms();
    wish->numbers = (struct bw_usage_numbers){.input = number_of(head, "input_tokens", 0),
                                              .output = number_of(head, "output_tokens", 0),
                                              .cached = number_of(head, "cached_tokens", 0),
                                              .cost = number_of(head, "cost", -1),
                                              .first_ms = number_of(head, "first_ms", -1),
                                              .took_ms = number_of(head, "took_ms", 0)};
    metering->op = (struct bw_store_op){.kind = BW_OP_USAGE, .done = on_stored, .owner = metering, .usage = wish};
    dispatch->open_reports++;
    dispatch->exchanged++;
    return metering;
}

void bw_usage_ask(struct bw_run_worker *worker, const json_t *head)
{
    struct metering *metering = submit(worker, head, true);
    if (!metering) return;
    metering->number = bw_json_int(head, "usage", 0);
    metering->wish.workflow = bw_json_slice(json_object_get(head, "workflow"));
    metering->wish.path = bw_json_slice(json_object_get(head, "step"));
    metering->wish.provider = bw_json_slice(json_object_get(head, "provider"));
    metering->wish.model = bw_json_slice(json_object_get(head, "model"));
    metering->wish.attempt = (uint32_t)number_of(head, "attempt", 0);
    choose_budgets(metering, json_object_get(head, "budget"));
    bw_store_submit(worker->dispatch->options.store, &metering->op);
}

void bw_usage_end(struct bw_run_worker *worker, const json_t *head)
{
    struct metering *metering = submit(worker, head, false);
    if (!metering) return;
    metering->wish.id = bw_json_int(head, "id", 0);
    metering->wish.is_final = bw_json_bool(head, "final", false);
    bw_store_submit(worker->dispatch->options.store, &metering->op);
}

static void measure_text(enum bw_usage_measure measure, int64_t number, char out[48])
{
    static const char *const units[BW_USAGE_MEASURES] = {[BW_USAGE_CALLS] = " calls", [BW_USAGE_TOKENS] = " tokens"};
    if (measure == BW_USAGE_COST)
        snprintf(out, 48, "%lld.%06lld", (long long)(number / 1000000), (long long)(number % 1000000));
    else if (measure == BW_USAGE_MS)
        snprintf(out, 48, "%lld s", (long long)(number / 1000));
    else
        snprintf(out, 48, "%lld%s", (long long)number, units[measure]);
}

static void describe(const struct bw_usage_wish *wish, struct bw_error *err)
{
    static const char *const scopes[] = {
        [BW_USAGE_STEP] = "the step", [BW_USAGE_RUN] = "the run", [BW_USAGE_WORKFLOW] = "the workflow's day", [BW_USAGE_DAY] = "the day"};
    static const char *const places[] = {[BW_USAGE_STEP] = "`budget` in the `with` of the step",
                                         [BW_USAGE_RUN] = "budgets.run in bellwire.yaml, or that of the workflow",
                                         [BW_USAGE_WORKFLOW] = "budgets.workflows in bellwire.yaml",
                                         [BW_USAGE_DAY] = "budgets.day in bellwire.yaml"};
    const int64_t wanted[BW_USAGE_MEASURES] = {1, wish->numbers.input + wish->numbers.output, wish->numbers.cost, 0};
    char most[48], used[48], more[48];
    if (wish->is_unpriced) {
        bw_error_set(err, "budget.price", "nobody knows what a call to %.*s costs, and the budget of %s is one of money", (int)wish->model.len,
                     wish->model.ptr, scopes[wish->budget.scope]);
        bw_error_hint(err, "say its price, or limit tokens instead: %s", places[wish->budget.scope]);
        return;
    }
    measure_text(wish->measure, wish->budget.most[wish->measure], most);
    measure_text(wish->measure, wish->used, used);
    measure_text(wish->measure, wanted[wish->measure], more);
    if (wish->measure == BW_USAGE_MS || wish->measure == BW_USAGE_CALLS)
        bw_error_set(err, "budget.spent", "the budget of %s is %s, and %s are used", scopes[wish->budget.scope], most, used);
    else
        bw_error_set(err, "budget.spent", "the budget of %s is %s, %s are used, and this call may take %s", scopes[wish->budget.scope], most, used,
                     more);
    bw_error_hint(err, "it is %s", places[wish->budget.scope]);
}

static void answer(const struct metering *metering)
{
    struct bw_run_worker *worker;
    struct bw_error err = metering->op.error;
    json_t *head = json_pack("{s:I,s:O}", "usage", (json_int_t)metering->number, "run", json_object_get(metering->head, "run"));
    if (!metering->op.failed && metering->wish.is_refused) describe(&metering->wish, &err);
    if (metering->op.failed || metering->wish.is_refused)
        json_object_set_new(head, "error", bw_dispatch_error_json(&err, metering->op.failed ? "transient" : "permanent"));
    else
        json_object_set_new(head, "id", json_integer(metering->wish.id));
    TAILQ_FOREACH(worker, &metering->dispatch->workers, link)
    if (worker->number == metering->worker && bw_process_pid(worker->process) == metering->pid)
        bw_channel_send_json(worker->channel, BW_MSG_USAGE, head, NULL, 0);
    json_decref(head);
}

void bw_usage_stored(struct bw_mail *mail)
{
    struct metering *metering = (struct metering *)((char *)mail - offsetof(struct metering, mail));
    struct bw_dispatch *dispatch = metering->dispatch;
    dispatch->open_reports--;
    dispatch->exchanged++;
    /* What a call took and cannot be written counts with what it might have taken, as that of a process that died. */
    if (metering->op.failed) bw_log_error(BW_LOG_WARN, "usage.not_stored", &metering->op.error);
    if (metering->op.failed && !strcmp(metering->op.error.code, "store.failed")) bw_dispatch_fail(dispatch, &metering->op.error);
    if (metering->wish.opens) answer(metering);
    json_decref(metering->head);
    free(metering);
    bw_dispatch_check_drained(dispatch);
}
