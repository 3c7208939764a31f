#include "cmd/options.h"
#include "cmd/pages.h"
#include "cmd/setup.h"
#include "store/store.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct listing {
    bool as_json, with_body;
    struct bw_pages pages;
};

static void append_json(struct bw_buf *out, const struct bw_event *event, bool with_body)
{
    char uid[BW_UID_TEXT];
    bw_buf_printf(out, "{\"event\":\"%s\",\"at_ms\":%lld,\"name\":", bw_uid_text(event->uid, BW_UID_EVENT, uid), (long long)event->at_ms);
    bw_buf_append_json_string(out, event->name);
    bw_buf_append_text(out, ",\"source\":");
    bw_buf_append_json_string(out, event->source);
    bw_buf_printf(out, ",\"trusted\":%s,\"state\":\"%s\",\"matched\":%u,\"bytes\":%zu", event->trusted ? "true" : "false",
                  event->is_pending ? "pending" : "done", event->matched, event->body.len);
    if (with_body) {
        bw_buf_append_text(out, ",\"headers\":");
        bw_buf_append_slice(out, event->headers.len ? event->headers : BW_SLICE("{}"));
        bw_buf_append_text(out, ",\"body\":");
        bw_buf_append_json_string(out, event->body);
    }
    bw_buf_append_char(out, '}');
}

static bool show(void *arg, const struct bw_event *event)
{
    struct listing *listing = arg;
    struct bw_buf line = {0};
    char uid[BW_UID_TEXT], at[32];
    bw_pages_row(&listing->pages, event->id);
    if (listing->as_json) {
        append_json(&line, event, listing->with_body);
        bw_print_line(&line);
        return true;
    }
    printf("%s  %s  %-28.*s %s", bw_uid_text(event->uid, BW_UID_EVENT, uid), bw_print_time(event->at_ms, at), (int)event->name.len, event->name.ptr,
           event->is_pending ? "pending" : "done");
    if (!event->is_pending) printf("  %u run%s", event->matched, event->matched == 1 ? "" : "s");
    putchar('\n');
    if (listing->with_body) {
        printf("headers  ");
        bw_print_text(stdout, event->headers);
        putchar('\n');
        if (isatty(STDOUT_FILENO))
            bw_print_text(stdout, event->body);
        else
            fwrite(event->body.ptr, 1, event->body.len, stdout); /* a program gets it as it came */
        putchar('\n');
    }
    return true;
}

static int events_main(int argc, char **argv)
{
    const char *config_path = NULL, *name = NULL, *limit = "20";
    struct listing listing = {0};
    const struct bw_option options[] = {{.name = "config", .value = &config_path},
                                        {.name = "name", .value = &name},
                                        {.name = "limit", .value = &limit},
                                        {.name = "json", .flag = &listing.as_json}};
    int first, status = bw_options_parse(&bw_command_events, argc, argv, options, sizeof options / sizeof *options, &first);
    struct bw_config *config;
    struct bw_reader *reader = NULL;
    struct bw_error err;
    bool found = true, done = false;
    size_t rows;
    struct bw_uid uid = {{0}};

    if (status >= 0) return status;
    if ((status = bw_pages_limit(&bw_command_events, limit, &rows)) >= 0) return status;
    if (argc - first > 1) return bw_options_wrong(&bw_command_events, "at most one event is shown at a time");
    if (argc > first && !bw_uid_parse(bw_slice_of(argv[first]), BW_UID_EVENT, &uid))
        return bw_options_wrong(&bw_command_events, "'%s' is no event id (evt_…)", argv[first]);
    if (!(config = bw_setup_config("events", config_path))) return 1;
    if (!(reader = bw_reader_open(config->data, &err))) goto out;
    if (argc > first) {
        listing.with_body = true;
        done = bw_reader_event(reader, uid, show, &listing, &found, &err);
        if (done && !found) done = bw_error_set(&err, "event.unknown", "there is no event %s in %s", argv[first], config->data);
    } else {
        listing.pages = bw_pages_begin(rows);
        do
            done = bw_reader_events(reader, name ? bw_slice_of(name) : (struct bw_slice){0}, listing.pages.below, listing.pages.wanted, false, show,
                                    &listing, &err);
        while (bw_pages_next(&listing.pages) && done);
        if (done && !listing.pages.shown && !listing.as_json) fprintf(stderr, "no events yet: send one with  bellwire send SOURCE FILE\n");
    }
out:
    if (!done) bw_print_error("events", &err);
    bw_reader_close(reader);
    bw_config_free(config);
    return done ? 0 : 1;
}

const struct bw_command bw_command_events = {
    .name = "events",
    .summary = "list the accepted events, or show one",
    .usage = "usage: bellwire events [--name GLOB] [--limit N] [--json] [--config FILE]\n"
             "       bellwire events EVENT [--json]\n\n"
             "Lists accepted events, newest first, with what became of them; with an id, shows that event's headers and body.\n"
             "'pending' events are stored and still have runs to finish; 'done  0 runs' means that no workflow waits for this name.\n\n"
             "  --name GLOB    only events of this name: 'github.*'\n"
             "  --limit N      at most N (20)\n"
             "  --json         one JSON object a line\n\n"
             "example: bellwire events --name 'github.**' --limit 5\n",
    .run = events_main,
};
