#include "cmd/options.h"
#include "cmd/pages.h"
#include "cmd/setup.h"
#include "store/store.h"
#include <stdio.h>

struct listing {
    bool as_json;
    struct bw_pages pages;
};

static void append_json(struct bw_buf *out, const struct bw_delivery_row *row, const char *event)
{
    const struct bw_delivery *delivery = &row->delivery;
    bw_buf_printf(out, "{\"delivery\":%lld,\"at_ms\":%lld,\"source\":", (long long)row->id, (long long)delivery->at_ms);
    bw_buf_append_json_string(out, delivery->source);
    bw_buf_printf(out, ",\"status\":%u,\"outcome\":\"%s\",\"event\":", delivery->status, bw_outcome_name(delivery->outcome));
    if (event)
        bw_buf_printf(out, "\"%s\"", event);
    else
        bw_buf_append_text(out, "null");
    bw_buf_append_text(out, ",\"provider_id\":");
    bw_buf_append_json_string(out, delivery->provider_id);
    bw_buf_append_text(out, ",\"remote\":");
    bw_buf_append_json_string(out, delivery->remote);
    bw_buf_append_text(out, ",\"detail\":");
    bw_buf_append_json_string(out, delivery->detail);
    bw_buf_printf(out, ",\"bytes\":%u,\"took_us\":%u,\"times\":%u}", delivery->bytes, delivery->took_us, row->times);
}

static bool show(void *arg, const struct bw_delivery_row *row)
{
    struct listing *listing = arg;
    const struct bw_delivery *delivery = &row->delivery;
    struct bw_buf line = {0};
    char uid[BW_UID_TEXT], at[32];
    const char *event = bw_uid_is_zero(row->event) ? NULL : bw_uid_text(row->event, BW_UID_EVENT, uid);
    bw_pages_row(&listing->pages, row->id);
    if (listing->as_json) {
        append_json(&line, row, event);
        bw_print_line(&line);
        return true;
    }
    printf("%s  %u  %-12s %-16.*s %s", bw_print_time(delivery->at_ms, at), delivery->status, bw_outcome_name(delivery->outcome),
           (int)delivery->source.len, delivery->source.ptr, event ? event : "");
    bw_print_text(stdout, delivery->detail);
    if (row->times > 1) printf("  (%u times)", row->times);
    printf("  %u B  %u us  %.*s  #%lld\n", delivery->bytes, delivery->took_us, (int)delivery->remote.len, delivery->remote.ptr, (long long)row->id);
    return true;
}

static int deliveries_main(int argc, char **argv)
{
    const char *config_path = NULL, *source = NULL, *limit = "20";
    struct listing listing = {0};
    bool only_refused = false;
    const struct bw_option options[] = {{.name = "config", .value = &config_path},
                                        {.name = "source", .value = &source},
                                        {.name = "limit", .value = &limit},
                                        {.name = "refused", .flag = &only_refused},
                                        {.name = "json", .flag = &listing.as_json}};
    int first, status = bw_options_parse(&bw_command_deliveries, argc, argv, options, sizeof options / sizeof *options, &first);
    struct bw_config *config;
    struct bw_reader *reader;
    struct bw_error err;
    bool done = false;
    size_t rows;

    if (status >= 0) return status;
    if ((status = bw_pages_limit(&bw_command_deliveries, limit, &rows)) >= 0) return status;
    if (argc > first) return bw_options_wrong(&bw_command_deliveries, "unexpected argument '%s'", argv[first]);
    if (!(config = bw_setup_config("deliveries", config_path))) return 1;
    listing.pages = bw_pages_begin(rows);
    if ((reader = bw_reader_open(config->data, &err))) {
        do
            done = bw_reader_deliveries(reader, source ? bw_slice_of(source) : (struct bw_slice){0}, only_refused, listing.pages.below,
                                        listing.pages.wanted, show, &listing, &err);
        while (bw_pages_next(&listing.pages) && done);
    }
    if (!done)
        bw_print_error("deliveries", &err);
    else if (!listing.pages.shown && !listing.as_json)
        fprintf(stderr, "no deliveries\n");
    bw_reader_close(reader);
    bw_config_free(config);
    return done ? 0 : 1;
}

const struct bw_command bw_command_deliveries = {
    .name = "deliveries",
    .summary = "list every request that came in, the refused ones too, and why",
    .usage = "usage: bellwire deliveries [--source NAME] [--refused] [--limit N] [--json] [--config FILE]\n\n"
             "Lists requests, newest first: the answer, the outcome, the event or the reason of the refusal, size, time taken, sender, number.\n"
             "What became of one says  bellwire why NUMBER\n"
             "Repeated refusals of one source are folded into one row above 100 a second.\n\n"
             "  --source NAME  only this source\n"
             "  --refused      only refused requests\n"
             "  --limit N      at most N (20)\n"
             "  --json         one JSON object a line\n\n"
             "example: bellwire deliveries --refused        (why did GitHub get a 401?)\n",
    .run = deliveries_main,
};
