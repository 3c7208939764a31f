/* The canonical definition: what a version is. Formatting, comments, names for people and the order of map keys do not matter, everything else
 * does. Each value says what it is ("const", "expr", …): a constant map must not be able to look like an expression. */
#include "base/json.h"
#include "workflow/internal.h"
#include <openssl/sha.h>
#include <stdlib.h>

static void append_template(struct bw_buf *out, const struct bw_workflow *workflow, const struct bw_template *template_);

static void append_expr(struct bw_buf *out, const struct bw_workflow *workflow, int64_t index)
{
    if (index < 0) {
        bw_buf_append_text(out, "null");
        return;
    }
    bw_buf_append_text(out, "{\"expr\":");
    bw_buf_append_json_string(out, workflow->exprs[index].source);
    bw_buf_append_char(out, '}');
}

/* Constants were folded in file order: sort them for the hash. */
static void append_sorted_json(struct bw_buf *out, struct bw_slice json)
{
    json_t *value = bw_json_load(json, NULL);
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY) : NULL;
    if (text)
        bw_buf_append_text(out, text);
    else
        out->failed = true; /* the loader made this JSON: only memory can be missing */
    free(text);
    json_decref(value);
}

static int compare_keys(const void *a, const void *b, void *arg)
{
    const struct bw_slice *keys = arg, *x = &keys[*(const size_t *)a], *y = &keys[*(const size_t *)b];
    int order = memcmp(x->ptr, y->ptr, x->len < y->len ? x->len : y->len);
    return order ? order : (x->len > y->len) - (x->len < y->len);
}

static void append_map(struct bw_buf *out, const struct bw_workflow *workflow, const struct bw_template *template_)
{
    size_t *order = calloc(template_->count + 1, sizeof *order);
    if (!order) {
        out->failed = true;
        return;
    }
    for (size_t i = 0; i < template_->count; i++) order[i] = i;
    qsort_r(order, template_->count, sizeof *order, compare_keys, template_->keys);
    bw_buf_append_text(out, "{\"map\":{");
    for (size_t i = 0; i < template_->count; i++) {
        if (i) bw_buf_append_char(out, ',');
        bw_buf_append_json_string(out, template_->keys[order[i]]);
        bw_buf_append_char(out, ':');
        append_template(out, workflow, template_->items[order[i]]);
    }
    bw_buf_append_text(out, "}}");
    free(order);
}

static void append_pieces(struct bw_buf *out, const struct bw_workflow *workflow, const struct bw_template *template_)
{
    bw_buf_append_text(out, template_->kind == BW_TEMPLATE_LIST ? "{\"list\":[" : "{\"text\":[");
    for (size_t i = 0; i < template_->count; i++) {
        if (i) bw_buf_append_char(out, ',');
        if (template_->kind == BW_TEMPLATE_LIST)
            append_template(out, workflow, template_->items[i]);
        else if (template_->pieces[i].is_expr)
            append_expr(out, workflow, template_->pieces[i].expr);
        else
            bw_buf_append_json_string(out, template_->pieces[i].text);
    }
    bw_buf_append_text(out, "]}");
}

static void append_template(struct bw_buf *out, const struct bw_workflow *workflow, const struct bw_template *template_)
{
    if (!template_) {
        bw_buf_append_text(out, "null");
        return;
    }
    switch (template_->kind) {
    case BW_TEMPLATE_CONST:
        bw_buf_append_text(out, "{\"const\":");
        append_sorted_json(out, template_->json);
        bw_buf_append_char(out, '}');
        break;
    case BW_TEMPLATE_EXPR: append_expr(out, workflow, template_->expr); break;
    case BW_TEMPLATE_MAP: append_map(out, workflow, template_); break;
    case BW_TEMPLATE_LIST:
    case BW_TEMPLATE_TEXT: append_pieces(out, workflow, template_); break;
    }
}

static void append_retry(struct bw_buf *out, const struct bw_retry *retry)
{
    bw_buf_printf(out, ",\"retry\":[%d,%lld,%lld,%lld,%.17g,%.17g,%d", retry->attempts, (long long)retry->delay_ms, (long long)retry->max_delay_ms,
                  (long long)retry->max_elapsed_ms, retry->factor, retry->jitter, retry->on);
    for (size_t i = 0; i < retry->code_count; i++) {
        bw_buf_append_char(out, ',');
        bw_buf_append_json_string(out, retry->codes[i]);
    }
    for (size_t i = 0; i < retry->wait_count; i++) bw_buf_printf(out, "%s%lld", i ? "," : ",[", (long long)retry->waits_ms[i]);
    bw_buf_append_text(out, retry->wait_count ? "]]" : "]");
}

static void append_step(struct bw_buf *out, const struct bw_workflow *workflow, const struct bw_step *step)
{
    bw_buf_append_text(out, "{\"id\":");
    bw_buf_append_json_string(out, step->id);
    bw_buf_append_text(out, ",\"if\":");
    append_expr(out, workflow, step->condition);
    bw_buf_append_text(out, ",\"uses\":");
    bw_buf_append_json_string(out, step->uses);
    bw_buf_append_text(out, ",\"lua\":");
    bw_buf_append_json_string(out, step->lua);
    bw_buf_append_text(out, ",\"with\":");
    append_template(out, workflow, step->with);
    bw_buf_append_text(out, ",\"set\":");
    append_template(out, workflow, step->set);
    bw_buf_append_text(out, ",\"outputs\":");
    append_template(out, workflow, step->outputs);
    append_retry(out, &step->retry);
    if (step->limit.name.len) { /* only then: the versions of all others stay what they were */
        bw_buf_append_text(out, ",\"limit\":[");
        bw_buf_append_json_string(out, step->limit.name);
        bw_buf_append_char(out, ',');
        append_template(out, workflow, step->limit.measures);
        bw_buf_append_char(out, ']');
    }
    bw_buf_printf(out, ",\"in\":[%d,%u],\"needs\":[", step->parent, step->branch);
    for (size_t i = 0; i < step->need_count; i++) bw_buf_printf(out, i ? ",%u" : "%u", step->needs[i]);
    bw_buf_append_text(out, "],\"cases\":[");
    for (size_t i = 0; i < step->case_count; i++) {
        if (i) bw_buf_append_char(out, ',');
        bw_buf_append_json_string(out, step->cases[i]);
    }
    bw_buf_printf(out, "],\"wait\":[%lld,%s", (long long)step->since_ms, step->ends_well ? "true" : "false");
    for (size_t i = 0; i < step->arm_count; i++) {
        bw_buf_append_text(out, ",{\"event\":");
        bw_buf_append_json_string(out, step->arms[i].event);
        bw_buf_append_text(out, ",\"by\":");
        bw_buf_append_json_string(out, step->arms[i].by);
        bw_buf_append_text(out, ",\"equals\":");
        append_template(out, workflow, step->arms[i].equals);
        bw_buf_append_text(out, ",\"if\":");
        append_expr(out, workflow, step->arms[i].condition);
        bw_buf_append_char(out, '}');
    }
    bw_buf_printf(out, "],\"wait_ms\":%lld", (long long)step->wait_ms);
    bw_buf_append_text(out, ",\"callee\":");
    bw_buf_append_json_string(out, step->callee);
    bw_buf_append_text(out, ",\"as\":");
    bw_buf_append_json_string(out, step->as);
    bw_buf_append_text(out, ",\"key\":");
    append_expr(out, workflow, step->key);
    bw_buf_printf(out, ",\"detach\":%s,\"fan\":[%u,%u,%.17g]", step->is_detached ? "true" : "false", step->concurrency, step->tolerate,
                  step->tolerate_percent);
    if (step->repeat.max) {
        bw_buf_printf(out, ",\"repeat\":[%lld,%u,", (long long)step->repeat.every_ms, step->repeat.max);
        append_expr(out, workflow, step->repeat.until);
        bw_buf_append_char(out, ']');
    }
    if (step->choice_count) {
        bw_buf_printf(out, ",\"approve\":[%d", step->choice_in_time);
        for (size_t i = 0; i < step->choice_count; i++) {
            bw_buf_append_char(out, ',');
            bw_buf_append_json_string(out, step->choices[i]);
        }
        bw_buf_append_text(out, "],\"form\":");
        append_sorted_json(out, step->form.len ? step->form : BW_SLICE("{}"));
    }
    if (step->voter_count) {
        bw_buf_printf(out, ",\"votes\":[%u", step->votes_needed);
        for (size_t i = 0; i < step->voter_count; i++) {
            bw_buf_append_char(out, ',');
            bw_buf_append_json_string(out, step->voters[i]);
        }
        bw_buf_append_char(out, ']');
    }
    if (step->is_once || step->effect) bw_buf_printf(out, ",\"once\":%s,\"effect\":%d", step->is_once ? "true" : "false", step->effect);
    if (step->heartbeat_ms) bw_buf_printf(out, ",\"heartbeat_ms\":%lld", (long long)step->heartbeat_ms);
    if (step->is_sensitive) bw_buf_append_text(out, ",\"sensitive\":true");
    if (step->notifies >= 0) bw_buf_printf(out, ",\"notifies\":%d", step->notifies);
    bw_buf_printf(out, ",\"undoes\":%d,\"catches\":[", step->undoes);
    for (size_t i = 0; i < step->catch_count; i++) {
        bw_buf_printf(out, "%s{\"then\":%d,\"if\":", i ? "," : "", step->catches[i].then);
        append_expr(out, workflow, step->catches[i].condition);
        bw_buf_append_char(out, '}');
    }
    bw_buf_append_char(out, ']');
    bw_buf_printf(out, ",\"goes_on\":%s,\"kind\":%d,\"stop\":%d,\"timeout_ms\":%lld}", step->goes_on ? "true" : "false", step->kind, step->stop,
                  (long long)step->timeout_ms);
}

/* Each only when it is there: the versions of all others stay what they were. */
static void append_admission(struct bw_buf *out, const struct bw_workflow *workflow)
{
    const struct bw_rate *rate = &workflow->rate;
    if (rate->count) {
        bw_buf_printf(out, ",\"rate\":[%u,%lld,%u,%s,", rate->count, (long long)rate->period_ms, rate->burst, rate->skips ? "true" : "false");
        append_template(out, workflow, rate->key);
        bw_buf_append_char(out, ']');
    }
    if (workflow->priority || workflow->priority_s) {
        bw_buf_printf(out, ",\"priority\":[%d,", workflow->priority_s);
        append_template(out, workflow, workflow->priority);
        bw_buf_append_char(out, ']');
    }
    if (workflow->delay || workflow->delay_ms) {
        bw_buf_printf(out, ",\"delay\":[%lld,", (long long)workflow->delay_ms);
        append_template(out, workflow, workflow->delay);
        bw_buf_append_char(out, ']');
    }
    if (workflow->start_within_ms) bw_buf_printf(out, ",\"start_within\":%lld", (long long)workflow->start_within_ms);
}

void bw_workflow_canonical(const struct bw_workflow *workflow, struct bw_buf *out)
{
    bw_buf_append_text(out, "{\"name\":");
    bw_buf_append_json_string(out, workflow->name);
    bw_buf_append_text(out, ",\"on\":[");
    for (size_t i = 0; i < workflow->trigger_count; i++) {
        bw_buf_append_text(out, i ? ",{\"event\":" : "{\"event\":");
        bw_buf_append_json_string(out, workflow->triggers[i].event);
        bw_buf_printf(out, ",\"kind\":%d,\"if\":", workflow->triggers[i].kind);
        append_expr(out, workflow, workflow->triggers[i].condition);
        bw_buf_append_text(out, ",\"cron\":");
        bw_buf_append_json_string(out, workflow->triggers[i].cron);
        bw_buf_append_text(out, ",\"tz\":");
        bw_buf_append_json_string(out, workflow->triggers[i].zone);
        bw_buf_printf(out, ",\"missed\":[%d,%lld]", workflow->triggers[i].missed, (long long)workflow->triggers[i].max_age_ms);
        if (workflow->triggers[i].definition.len) {
            bw_buf_append_text(out, ",\"webhook\":");
            append_sorted_json(out, workflow->triggers[i].definition);
        }
        bw_buf_append_char(out, '}');
    }
    bw_buf_append_text(out, "],\"vars\":");
    append_sorted_json(out, workflow->vars.len ? workflow->vars : BW_SLICE("{}"));
    bw_buf_append_text(out, ",\"inputs\":");
    append_sorted_json(out, workflow->inputs.len ? workflow->inputs : BW_SLICE("{}"));
    bw_buf_append_text(out, ",\"input_defaults\":{");
    for (size_t i = 0, shown = 0; i < workflow->input_count; i++) {
        if (!workflow->input_defaults[i]) continue;
        if (shown++) bw_buf_append_char(out, ',');
        bw_buf_append_json_string(out, workflow->input_names[i]);
        bw_buf_append_char(out, ':');
        append_template(out, workflow, workflow->input_defaults[i]);
    }
    bw_buf_append_text(out, "},\"secrets\":[");
    for (size_t i = 0; i < workflow->secret_count; i++) {
        if (i) bw_buf_append_char(out, ',');
        bw_buf_append_json_string(out, workflow->secrets[i]);
    }
    bw_buf_append_text(out, "],\"steps\":[");
    for (size_t i = 0; i < workflow->step_count; i++) {
        if (i) bw_buf_append_char(out, ',');
        append_step(out, workflow, &workflow->steps[i]);
    }
    bw_buf_printf(out, "],\"undo_on\":[%s,%s]", workflow->undoes_failed ? "true" : "false", workflow->undoes_cancelled ? "true" : "false");
    if (workflow->concurrency.limit) {
        const struct bw_concurrency *concurrency = &workflow->concurrency;
        bw_buf_printf(out, ",\"concurrency\":[%u,%d,%u,%s,", concurrency->limit, concurrency->when_full, concurrency->max_queue,
                      concurrency->holds_parked ? "true" : "false");
        bw_buf_append_json_string(out, concurrency->scope);
        bw_buf_append_char(out, ',');
        append_template(out, workflow, concurrency->key);
        bw_buf_append_text(out, concurrency->holds_failed ? ",\"hold\"]" : "]");
    }
    if (workflow->collect.max_events) {
        const struct bw_collect *collect = &workflow->collect;
        bw_buf_printf(out, ",\"collect\":[%lld,%lld,%u,", (long long)collect->quiet_ms, (long long)collect->max_wait_ms, collect->max_events);
        append_template(out, workflow, collect->key);
        bw_buf_append_char(out, ']');
    }
    append_admission(out, workflow);
    bw_buf_printf(out, ",\"fail_fast\":%s,\"timeout_ms\":%lld,\"outputs\":", workflow->fail_fast ? "true" : "false", (long long)workflow->timeout_ms);
    append_template(out, workflow, workflow->outputs);
    if (workflow->respond_ms) bw_buf_printf(out, ",\"respond_ms\":%lld", (long long)workflow->respond_ms); /* the others stay what they were */
    bw_buf_append_char(out, '}');
}
