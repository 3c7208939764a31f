#include "cmd/setup.h"
#include "base/clock.h"
#include <stdio.h>
#include <string.h>

void bw_print_text(FILE *out, struct bw_slice text)
{
    const unsigned char *at = (const unsigned char *)text.ptr, *end = at + text.len;
    for (; at < end; at++) {
        bool is_c1 = *at == 0xc2 && at + 1 < end && at[1] >= 0x80 && at[1] < 0xa0;
        at += is_c1;
        if (is_c1 || *at == 0x7f || (*at < ' ' && *at != '\n' && *at != '\t'))
            fprintf(out, "\\u%04x", *at);
        else
            fputc(*at, out);
    }
}

void bw_print_errors(const struct bw_errors *errs, bool as_json)
{
    char text[1400];
    for (size_t i = 0; i < errs->count; i++) {
        struct bw_buf line = {0};
        if (as_json)
            bw_json_append_error(&line, &errs->items[i], NULL, (struct bw_slice){0}), bw_print_line(&line);
        else
            bw_print_text(stderr, bw_slice_of(bw_error_text(&errs->items[i], text, sizeof text))), fputc('\n', stderr);
    }
}

void bw_print_error(const char *command, const struct bw_error *err)
{
    char text[1400];
    fprintf(stderr, "bellwire %s: ", command);
    bw_print_text(stderr, bw_slice_of(bw_error_text(err, text, sizeof text)));
    fputc('\n', stderr);
}

typedef struct bw_config *load_config(const char *path, struct bw_errors *errs);

static struct bw_config *setup(const char *command, const char *path, load_config *load)
{
    struct bw_errors errs = {0};
    struct bw_config *config = load(path, &errs);
    if (!config) {
        bw_print_errors(&errs, false);
        fprintf(stderr, "bellwire %s: the configuration has %zu error%s\n", command, errs.count, errs.count == 1 ? "" : "s");
    }
    bw_errors_free(&errs);
    return config;
}

struct bw_config *bw_setup_config(const char *command, const char *path)
{
    return setup(command, path, bw_config_load_without_programs);
}

struct bw_config *bw_setup_config_with_secrets(const char *command, const char *path)
{
    return setup(command, path, bw_config_load);
}

void bw_print_line(struct bw_buf *line)
{
    if (line->data) fwrite(line->data, 1, line->len, stdout);
    fputc('\n', stdout);
    bw_buf_free(line);
}

void bw_trigger_text(const json_t *workflow, struct bw_buf *out)
{
    size_t inner, scheduled;
    json_t *event;
    json_array_foreach(json_object_get(workflow, "events"), inner, event) bw_buf_printf(out, "%s %s", inner ? "," : "on", json_string_value(event));
    json_array_foreach(json_object_get(workflow, "schedules"), scheduled, event)
        bw_buf_printf(out, "%s %s %s", inner + scheduled ? "," : "at", bw_json_str(event, "cron", ""), bw_json_str(event, "tz", ""));
    if (bw_json_bool(workflow, "manual", false)) bw_buf_printf(out, "%s by hand", inner + scheduled ? "," : "on");
    bool has_trigger = inner + scheduled > 0 || bw_json_bool(workflow, "manual", false);
    bool is_callable = bw_json_bool(workflow, "callable", false);
    if (is_callable) bw_buf_printf(out, "%s call", has_trigger ? ", by" : "on");
    const json_t *tool = json_object_get(workflow, "tool");
    if (tool) bw_buf_printf(out, "%s tool %s", has_trigger || is_callable ? ", as" : "as", bw_json_str(tool, "name", ""));
}

const char *bw_print_time(int64_t wall_ms, char out[32])
{
    bw_clock_text(wall_ms, out); /* 2026-11-23T12:00:00.123Z */
    if (out[10] == 'T') out[10] = ' ';
    if (strlen(out) > 19) out[19] = '\0';
    return out;
}
