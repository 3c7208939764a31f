#include "cmd/usage.h"
#include "base/clock.h"
#include "base/units.h"
#include "cmd/options.h"
#include "cmd/setup.h"
#include "store/usage.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- numbers as texts ---- */

static const char *cost_text(int64_t cost, char out[32])
{
    snprintf(out, 32, "%lld.%06lld", (long long)(cost / 1000000), (long long)(cost % 1000000));
    return cost < 0 ? "price unknown" : out;
}

static void append_numbers(struct bw_buf *out, const struct bw_usage_numbers *numbers)
{
    char cost[32];
    bw_buf_printf(out, ",\"input_tokens\":%lld,\"output_tokens\":%lld,\"cached_tokens\":%lld,\"cost\":%s,\"took_ms\":%lld", (long long)numbers->input,
                  (long long)numbers->output, (long long)numbers->cached, numbers->cost < 0 ? "null" : cost_text(numbers->cost, cost),
                  (long long)numbers->took_ms);
}

static void append_sum(struct bw_buf *out, const struct bw_usage_sum *sum)
{
    bw_buf_printf(out, "\"calls\":%lld,\"open\":%lld,\"unpriced\":%lld", (long long)sum->calls, (long long)sum->open, (long long)sum->unpriced);
    append_numbers(out, &sum->numbers);
}

static void print_sum(const struct bw_usage_sum *sum)
{
    char cost[32];
    printf("%lld call%s, %lld tokens in (%lld cached), %lld out, %s", (long long)sum->calls, sum->calls == 1 ? "" : "s",
           (long long)sum->numbers.input, (long long)sum->numbers.cached, (long long)sum->numbers.output, cost_text(sum->numbers.cost, cost));
    if (sum->unpriced) printf(" and %lld call%s of unknown price", (long long)sum->unpriced, sum->unpriced == 1 ? "" : "s");
    if (sum->open) printf(" (with %lld of which no answer is recorded: what they took, or might have taken)", (long long)sum->open);
    putchar('\n');
}

/* ---- of a run ---- */

static bool print_call(void *arg, const struct bw_usage_row *row)
{
    char took[32], first[32], cost[32];
    const struct bw_usage_numbers *numbers = &row->numbers;
    (void)arg;
    printf("  %-20.*s attempt %u  %.*s/%.*s  ", (int)row->path.len, row->path.ptr, row->attempt, (int)row->provider.len, row->provider.ptr,
           (int)row->model.len, row->model.ptr);
    if (!row->has_ended && !row->is_heard) {
        printf("at most %lld tokens in, %lld out, %s: it has not said what it took\n", (long long)numbers->input, (long long)numbers->output,
               cost_text(numbers->cost, cost));
        return true;
    }
    printf("%lld tokens in (%lld cached), %lld out, %s, %s", (long long)numbers->input, (long long)numbers->cached, (long long)numbers->output,
           cost_text(numbers->cost, cost), bw_duration_text(numbers->took_ms, took));
    if (numbers->first_ms >= 0) printf(", the first after %s", bw_duration_text(numbers->first_ms, first));
    if (!row->has_ended) printf(": what came of it is not recorded"); /* yet, or for good: then the call was made again */
    putchar('\n');
    return true;
}

bool bw_usage_print(struct bw_reader *reader, struct bw_uid run)
{
    struct bw_usage_sum sum;
    struct bw_error err;
    bool good = bw_reader_usage_of_root(reader, run, &sum, &err);
    if (good && sum.calls) {
        printf("usage    ");
        print_sum(&sum);
    }
    good = good && bw_reader_usage_of_run(reader, run, print_call, NULL, &err);
    if (!good) bw_print_error("runs", &err);
    return good;
}

static bool append_call(void *arg, const struct bw_usage_row *row)
{
    struct bw_buf *out = arg;
    bw_buf_append_text(out, out->data[out->len - 1] == '[' ? "{\"step\":" : ",{\"step\":");
    bw_buf_append_json_string(out, row->path);
    bw_buf_printf(out, ",\"attempt\":%u,\"at_ms\":%lld,\"ended\":%s,\"provider\":", row->attempt, (long long)row->at_ms,
                  row->has_ended ? "true" : "false");
    bw_buf_append_json_string(out, row->provider);
    bw_buf_append_text(out, ",\"model\":");
    bw_buf_append_json_string(out, row->model);
    append_numbers(out, &row->numbers);
    if (row->numbers.first_ms >= 0) bw_buf_printf(out, ",\"first_ms\":%lld", (long long)row->numbers.first_ms);
    bw_buf_append_char(out, '}');
    return true;
}

bool bw_usage_append(struct bw_reader *reader, struct bw_uid run, struct bw_buf *line)
{
    struct bw_usage_sum sum;
    struct bw_buf calls = {0};
    struct bw_error err;
    bw_buf_append_char(&calls, '[');
    bool good = bw_reader_usage_of_root(reader, run, &sum, &err) && bw_reader_usage_of_run(reader, run, append_call, &calls, &err);
    if (!good) bw_print_error("runs", &err);
    if (good && (sum.calls || calls.len > 1)) {
        bw_buf_append_text(line, ",\"usage\":{");
        append_sum(line, &sum); /* of one that another run has started: nothing, it counts there */
        bw_buf_append_text(line, ",\"of\":");
        bw_buf_append_slice(line, bw_buf_slice(&calls));
        bw_buf_append_text(line, "]}");
    }
    bw_buf_free(&calls);
    return good;
}

/* ---- of days ---- */

enum { BY_DAY = 1, BY_WORKFLOW = 2, BY_PROVIDER = 4, BY_MODEL = 8 };
static const struct {
    const char *name;
    unsigned bit;
} groupings[] = {{"day", BY_DAY}, {"workflow", BY_WORKFLOW}, {"provider", BY_PROVIDER}, {"model", BY_MODEL}};
#define GROUPING_COUNT (sizeof groupings / sizeof *groupings)

struct group {
    struct bw_usage_sum sum; /* its texts are malloc'd here */
    char *workflow, *provider, *model;
};
struct summing {
    unsigned by;
    const char *workflow; /* only this one; NULL: all */
    struct group *groups; /* in the order of their first rows */
    size_t count;
    bool has_no_memory;
};

static bool is_same(const struct summing *summing, const struct bw_usage_sum *a, const struct bw_usage_sum *b)
{
    return (!(summing->by & BY_DAY) || a->day == b->day) && (!(summing->by & BY_WORKFLOW) || bw_slice_equal(a->workflow, b->workflow)) &&
           (!(summing->by & BY_PROVIDER) || bw_slice_equal(a->provider, b->provider)) &&
           (!(summing->by & BY_MODEL) || bw_slice_equal(a->model, b->model));
}

static struct group *add_group(struct summing *summing, const struct bw_usage_sum *sum)
{
    struct group *grown = realloc(summing->groups, (summing->count + 1) * sizeof *grown);
    if (!grown) return NULL;
    summing->groups = grown;
    struct group *group = &grown[summing->count];
    *group = (struct group){.workflow = bw_slice_dup(sum->workflow), .provider = bw_slice_dup(sum->provider), .model = bw_slice_dup(sum->model)};
    if (!group->workflow || !group->provider || !group->model) return NULL;
    group->sum = (struct bw_usage_sum){
        .day = sum->day, .workflow = bw_slice_of(group->workflow), .provider = bw_slice_of(group->provider), .model = bw_slice_of(group->model)};
    summing->count++;
    return group;
}

static bool add(void *arg, const struct bw_usage_sum *sum)
{
    struct summing *summing = arg;
    struct group *group = NULL;
    if (summing->workflow && !bw_slice_is(sum->workflow, summing->workflow)) return true;
    for (size_t i = summing->count; !group && i > 0; i--) /* rows come by day: the last ones first */
        if (is_same(summing, &summing->groups[i - 1].sum, sum)) group = &summing->groups[i - 1];
    if (!group && !(group = add_group(summing, sum))) return !(summing->has_no_memory = true);
    group->sum.calls += sum->calls;
    group->sum.open += sum->open;
    group->sum.unpriced += sum->unpriced;
    group->sum.numbers.input += sum->numbers.input;
    group->sum.numbers.output += sum->numbers.output;
    group->sum.numbers.cached += sum->numbers.cached;
    group->sum.numbers.cost += sum->numbers.cost;
    group->sum.numbers.took_ms += sum->numbers.took_ms;
    return true;
}

static const char *day_text(int64_t day, char out[BW_CLOCK_TEXT])
{
    bw_clock_text(day * BW_USAGE_DAY_MS, out);
    out[10] = '\0';
    return out;
}

static void show_group(const struct summing *summing, const struct group *group, bool as_json)
{
    const struct bw_usage_sum *sum = &group->sum;
    const struct bw_slice texts[] = {{0}, sum->workflow, sum->provider, sum->model};
    char day[BW_CLOCK_TEXT];
    struct bw_buf line = {0};
    bw_buf_append_text(&line, as_json ? "{" : "");
    for (size_t i = 0; i < GROUPING_COUNT; i++) {
        if (!(summing->by & groupings[i].bit)) continue;
        struct bw_slice text = i ? texts[i] : bw_slice_of(day_text(sum->day, day));
        if (as_json) {
            bw_buf_printf(&line, "\"%s\":", groupings[i].name);
            bw_buf_append_json_string(&line, text);
            bw_buf_append_char(&line, ',');
        } else {
            bw_buf_printf(&line, "%-*.*s  ", i ? 20 : 10, (int)text.len, text.ptr);
        }
    }
    if (as_json) {
        append_sum(&line, sum);
        bw_buf_append_char(&line, '}');
        bw_print_line(&line);
        return;
    }
    fputs(line.data ? line.data : "", stdout);
    bw_buf_free(&line);
    print_sum(sum);
}

/* "day,model" → bits; 0: not such a list. */
static unsigned read_by(const char *text)
{
    unsigned by = 0;
    while (*text) {
        size_t len = strcspn(text, ","), i = 0;
        while (i < GROUPING_COUNT && (strlen(groupings[i].name) != len || strncmp(groupings[i].name, text, len) != 0)) i++;
        if (i == GROUPING_COUNT) return 0;
        by |= groupings[i].bit;
        text += len + (text[len] == ',');
    }
    return by;
}

static int usage_main(int argc, char **argv)
{
    const char *config_path = NULL, *since = "30d", *by = "day,workflow,model";
    bool as_json = false, done = false;
    struct summing summing = {0};
    const struct bw_option options[] = {{.name = "config", .value = &config_path},
                                        {.name = "since", .value = &since},
                                        {.name = "by", .value = &by},
                                        {.name = "workflow", .value = &summing.workflow},
                                        {.name = "json", .flag = &as_json}};
    int first, status = bw_options_parse(&bw_command_usage, argc, argv, options, sizeof options / sizeof *options, &first);
    struct bw_config *config;
    struct bw_reader *reader;
    struct bw_error err;
    int64_t since_ms;

    if (status >= 0) return status;
    if (argc > first) return bw_options_wrong(&bw_command_usage, "unexpected argument '%s'", argv[first]);
    if (!(summing.by = read_by(by))) return bw_options_wrong(&bw_command_usage, "'%s' is no list of day, workflow, provider, model", by);
    if (!bw_duration_parse(bw_slice_of(since), &since_ms, NULL)) return bw_options_wrong(&bw_command_usage, "'%s' is no duration such as 7d", since);
    if (!(config = bw_setup_config("usage", config_path))) return 1;
    if ((reader = bw_reader_open(config->data, &err)))
        done = bw_reader_usage_days(reader, (bw_clock_wall_ms() - since_ms) / BW_USAGE_DAY_MS, add, &summing, &err);
    if (done && summing.has_no_memory) done = bw_error_set(&err, "memory", "out of memory");
    if (!done) bw_print_error("usage", &err);
    for (size_t i = 0; i < summing.count; i++) {
        if (done) show_group(&summing, &summing.groups[i], as_json);
        free(summing.groups[i].workflow);
        free(summing.groups[i].provider);
        free(summing.groups[i].model);
    }
    if (done && !summing.count && !as_json) fprintf(stderr, "no usage\n");
    free(summing.groups);
    bw_reader_close(reader);
    bw_config_free(config);
    return done ? 0 : 1;
}

const struct bw_command bw_command_usage = {
    .name = "usage",
    .summary = "sum what calls that are paid by use took: tokens, money, time",
    .usage =
        "usage: bellwire usage [--since 30d] [--by LIST] [--workflow NAME] [--json] [--config FILE]\n\n"
        "Sums the calls of steps to what is paid by use, such as language models: calls, tokens, money (in the currency of the prices), time. Also\n"
        "those of attempts that failed. A call of which nobody knows the price is counted as such, and not as free; one that never said what it\n"
        "took, because its process ended, counts with what it might have taken. Both it and one whose answer was lost are open. Days are those\n"
        "of UTC.\n\n"
        "  --since 30d      from that day on\n"
        "  --by LIST        of day, workflow, provider and model, with commas between (day,workflow,model)\n"
        "  --workflow NAME  only this workflow\n"
        "  --json           one JSON object a line\n\n"
        "The calls of one run:  bellwire runs show RUN\n"
        "What they may take:    budgets in bellwire.yaml  (bellwire serve --help)\n\n"
        "example: bellwire usage --by day,model --since 7d\n",
    .run = usage_main,
};
