#include "cmd/trace.h"
#include "base/units.h"
#include "cmd/setup.h"
#include "store/store.h"
#include <string.h>

#define PROGRESS_BYTES 48

static const char *colour(bool is_terminal, const char *code)
{
    return is_terminal ? code : "";
}

struct bw_slice bw_trace_output(const struct bw_message *message)
{
    return bw_message_part_or(message, message->head, "output_part", (struct bw_slice){0});
}

static void print_error(FILE *out, const char *indent, const json_t *error)
{
    if (!error) return;
    fprintf(out, "%s", indent);
    if (*bw_json_str(error, "file", "")) fprintf(out, "%s:%lld: ", bw_json_str(error, "file", ""), (long long)bw_json_int(error, "line", 0));
    bw_print_text(out, bw_json_slice(json_object_get(error, "message")));
    fprintf(out, "  [%s]\n", bw_json_str(error, "code", ""));
    if (!*bw_json_str(error, "hint", "")) return;
    fprintf(out, "%shint: ", indent);
    bw_print_text(out, bw_json_slice(json_object_get(error, "hint")));
    fputc('\n', out);
}

/* Over itself, on one line. What a model says must not move the cursor: no control characters. */
static void print_progress(FILE *out, const char *step, const char *text)
{
    size_t len = strlen(text), from = len > PROGRESS_BYTES ? len - PROGRESS_BYTES : 0;
    while (from < len && ((unsigned char)text[from] & 0xc0) == 0x80) from++;
    fprintf(out, "  ... %s  ", step);
    for (const char *at = text + from; *at; at++) {
        bool is_c1 = (unsigned char)*at == 0xc2 && (unsigned char)at[1] >= 0x80 && (unsigned char)at[1] < 0xa0;
        at += is_c1;
        fputc(is_c1 || (unsigned char)*at < ' ' || *at == 0x7f ? ' ' : *at, out);
    }
    fputs("\033[K\r", out);
}

void bw_trace_print(FILE *out, const struct bw_message *message, bool is_terminal)
{
    const json_t *head = message->head;
    const char *what = bw_json_str(head, "what", ""), *path = bw_json_str(head, "path", "");
    char step[200];
    int64_t index = bw_json_int(head, "index", 0), runs = bw_json_int(head, "runs", 0);
    if (index)
        snprintf(step, sizeof step, "%s[%lld].%s", path, (long long)index, bw_json_str(head, "step", ""));
    else
        snprintf(step, sizeof step, "%s%s%s", path, *path ? "." : "", bw_json_str(head, "step", ""));
    if (*path && !strncmp(what, "run_", 4)) return; /* a run in the run: its steps tell, and the one that waits for it */
    int64_t state = bw_json_int(head, "state", 0);
    struct bw_slice output = bw_json_bool(head, "sensitive", false) ? BW_SLICE("(not shown: sensitive)") : bw_trace_output(message);
    bool is_good = state == BW_STEP_SUCCEEDED || state == BW_STEP_SKIPPED;
    char took[32];
    bw_duration_text(bw_json_int(head, "took_ms", 0), took);
    if (!strcmp(what, "run_started")) {
        fprintf(out, "%s  %s\n", bw_json_str(head, "run", ""), bw_json_str(head, "workflow", ""));
    } else if (!strcmp(what, "run_blocked") && bw_json_int(head, "delay_ms", 0)) {
        fprintf(out, "  %swait%s  begins in %s\n", colour(is_terminal, "\033[33m"), colour(is_terminal, "\033[0m"),
                bw_duration_text(bw_json_int(head, "delay_ms", 0), took));
    } else if (!strcmp(what, "step_started")) {
        if (is_terminal) fprintf(out, "  ... %s\r", step);
    } else if (!strcmp(what, "step_progress")) {
        if (is_terminal) print_progress(out, step, bw_json_str(head, "text", ""));
    } else if (!strcmp(what, "step_retry")) {
        char delay[32];
        fprintf(out, "  %sagain%s %-20s attempt %lld in %s\n", colour(is_terminal, "\033[33m"), colour(is_terminal, "\033[0m"), step,
                (long long)bw_json_int(head, "attempt", 0) + 1, bw_duration_text(bw_json_int(head, "delay_ms", 0), delay));
        print_error(out, "        ", json_object_get(head, "error"));
    } else if (!strcmp(what, "step_waiting")) {
        int64_t delay_ms = bw_json_int(head, "delay_ms", 0);
        const char *limit = bw_json_str(head, "limit", NULL);
        char delay[100];
        if (limit) snprintf(delay, sizeof delay, "for its turn: limit %.64s", limit);
        if (runs) snprintf(delay, sizeof delay, "for %lld run%s", (long long)runs, runs == 1 ? "" : "s");
        fprintf(out, "  %swait%s  %-20s %s\n", colour(is_terminal, "\033[33m"), colour(is_terminal, "\033[0m"), step,
                runs || limit  ? delay
                : delay_ms > 0 ? bw_duration_text(delay_ms, delay)
                               : "for an event");
    } else if (!strcmp(what, "step_finished")) {
        fputs(colour(is_terminal, "\033[K"), out);
        fprintf(out, "  %s%-5s%s %-20s %8s  ", colour(is_terminal, is_good ? "\033[32m" : "\033[31m"),
                state == BW_STEP_SUCCEEDED ? "ok"
                : state == BW_STEP_SKIPPED ? "skip"
                                           : "FAIL",
                colour(is_terminal, "\033[0m"), step, took);
        bw_print_text(out, (struct bw_slice){output.ptr, output.len > 200 ? 200 : output.len});
        fputc('\n', out);
        print_error(out, "        ", json_object_get(head, "error"));
    } else if (!strcmp(what, "run_finished")) {
        fprintf(out, "%s in %s\n", bw_run_state_name((enum bw_run_state)state), took);
        if (output.len) fputs("output ", out), bw_print_text(out, output), fputc('\n', out);
        print_error(out, "", json_object_get(head, "error"));
    }
    fflush(out);
}
