/* bellwire runs cancel */
#include "base/id.h"
#include "cmd/control.h"
#include "cmd/runs.h"
#include "cmd/selection.h"
#include "cmd/setup.h"
#include <stdio.h>
#include <string.h>

static const struct bw_command command = {
    .name = "runs cancel",
    .usage =
        "usage: bellwire runs cancel RUN…|FILTER [--reason TEXT] [--dry-run] [--json] [--config FILE]\n\n"
        "Asks the engine that serves to cancel runs: what they wait for is given up, calls that are on their way are broken off, no further step\n"
        "begins. Then their `finally` is run, and their `undo` if the workflow says undo_on: [cancel]. Runs that they wait for are cancelled with\n"
        "them. A run whose steps have all ended is not cut short.\n\n"
        "The answer is 'cancelling' as soon as nothing can keep it from happening, also no crash; 'cancelled' if it has happened by then.\n\n"
        "FILTER takes all runs that have not ended, of those only\n"
        "  --workflow NAME   those of this workflow\n"
        "  --label NAME=TEXT those of workflows that have this label now\n"
        "  --state STATE     those that are held, delayed, blocked, active or parked\n"
        "  --event EVENT     those that this event started\n"
        "  --since 2d        those that started in the last 2 days\n"
        "  --older-than 1d   those that started longer ago\n\n"
        "  --reason TEXT     is kept with the run, and is in its error\n"
        "  --dry-run         say how many runs it would be, and do nothing\n"
        "  --json            one JSON object a line\n\n"
        "example: bellwire runs cancel run_06f… --reason 'wrong customer'\n"
        "         bellwire runs cancel --workflow publish --state parked --older-than 1d --dry-run\n",
};

struct wish { /* what the command line says */
    struct bw_run_options filter;
    const char *config, *reason;
    bool as_json, dry_run;
    struct bw_selection chosen;
    size_t done, refused, ended; /* ended: before they were asked to, those of a filter */
};

static bool find(struct wish *wish, struct bw_reader *reader, struct bw_error *err)
{
    static const enum bw_run_state live[] = {BW_RUN_HELD, BW_RUN_DELAYED, BW_RUN_BLOCKED, BW_RUN_PARKED, BW_RUN_ACTIVE};
    struct bw_run_filter filter = {0};
    if (!bw_run_options_filter(&wish->filter, reader, &filter, err)) return false;
    if (filter.state >= BW_RUN_SUCCEEDED) {
        bw_error_set(err, "run.state", "runs that are %s have ended: there is nothing to cancel", bw_run_state_name((enum bw_run_state)filter.state));
        bw_error_hint(err, "those that can be cancelled are held, delayed, blocked, active or parked");
        return false;
    }
    if (filter.state) return bw_selection_find(&wish->chosen, filter, reader, err);
    for (size_t i = 0; i < sizeof live / sizeof *live; i++) {
        filter.state = live[i];
        if (!bw_selection_find(&wish->chosen, filter, reader, err)) return false;
    }
    return true;
}

static void tell(const struct wish *wish, const char *run, const json_t *answer, const struct bw_error *err)
{
    struct bw_buf line = {0};
    bool is_shown = wish->done + wish->refused + wish->ended <= BW_EACH_MAX;
    if (wish->as_json) {
        bw_buf_append_text(&line, "{\"run\":");
        bw_buf_append_json_string(&line, bw_slice_of(run));
        bw_buf_append_text(&line, answer ? ",\"state\":" : ",\"error\":");
        if (answer)
            bw_buf_append_json_string(&line, bw_json_slice(json_object_get(answer, "state")));
        else
            bw_json_append_error(&line, err, NULL, (struct bw_slice){0});
        bw_buf_append_char(&line, '}');
        bw_print_line(&line);
    } else if (answer && is_shown) {
        printf("%s  %s\n", run, bw_json_str(answer, "state", ""));
    } else if (!answer && is_shown) {
        bw_print_error(command.name, err);
    }
}

/* False: nothing will come of the others either. */
static bool cancel(struct wish *wish, const char *folder, struct bw_uid uid, bool is_named)
{
    struct bw_error err;
    char run[BW_UID_TEXT];
    bw_uid_text(uid, BW_UID_RUN, run);
    json_t *answer = NULL, *request = json_pack("{s:s,s:s,s:s*}", "do", "runs.cancel", "run", run, "reason", wish->reason);
    bool good = request ? bw_control_ask(folder, request, &answer, &err) : bw_error_set(&err, "cancel.reason", "the reason is no UTF-8");
    if (good)
        wish->done++;
    else if (!is_named && !strcmp(err.code, "run.ended"))
        wish->ended++;
    else
        wish->refused++;
    tell(wish, run, good ? answer : NULL, &err);
    json_decref(answer);
    json_decref(request);
    return good || (strncmp(err.code, "control.", 8) != 0 && strncmp(err.code, "cancel.", 7) != 0);
}

static void sum_up(const struct wish *wish)
{
    if (wish->as_json) return;
    if (!wish->chosen.count)
        fprintf(stderr, "no such runs\n");
    else if (wish->chosen.count > BW_EACH_MAX || (wish->ended && wish->chosen.count > 1))
        printf("%zu of %zu are being cancelled, %zu had ended, %zu refused\n", wish->done, wish->chosen.count, wish->ended, wish->refused);
}

int bw_runs_cancel(int argc, char **argv)
{
    struct wish wish = {0};
    const struct bw_option options[] = {BW_RUN_OPTIONS(wish.filter),
                                        {.name = "config", .value = &wish.config},
                                        {.name = "reason", .value = &wish.reason},
                                        {.name = "dry-run", .flag = &wish.dry_run},
                                        {.name = "json", .flag = &wish.as_json}};
    int first, status = bw_options_parse(&command, argc, argv, options, sizeof options / sizeof *options, &first);
    struct bw_config *config;
    struct bw_reader *reader = NULL;
    struct bw_error err;
    struct bw_uid uid;
    bool is_named = argc > first, done = false;
    if (status >= 0) return status;
    if (!is_named && bw_run_options_are_empty(&wish.filter))
        return bw_options_wrong(&command, "which runs? Name them, or give a filter: --workflow NAME");
    if (is_named && !bw_run_options_are_empty(&wish.filter)) return bw_options_wrong(&command, "name the runs or give a filter, not both");
    if (wish.filter.error) return bw_options_wrong(&command, "--error is of runs that have failed: those have ended");
    for (int i = first; i < argc; i++)
        if (!bw_uid_parse(bw_slice_of(argv[i]), BW_UID_RUN, &uid)) return bw_options_wrong(&command, "'%s' is no run id (run_…)", argv[i]);
    if (!(config = bw_setup_config("runs", wish.config))) return 1;
    bw_error_set(&err, "memory", "out of memory");
    for (int i = first; i < argc; i++)
        if (!bw_uid_parse(bw_slice_of(argv[i]), BW_UID_RUN, &uid) || !bw_selection_add(&wish.chosen, uid)) goto out;
    if (!is_named && (!(reader = bw_reader_open(config->data, &err)) || !find(&wish, reader, &err))) goto out;
    bw_reader_close(reader);
    reader = NULL;
    done = true;
    if (wish.dry_run) {
        printf(wish.as_json ? "{\"runs\":%zu}\n" : wish.chosen.count == 1 ? "%zu run\n" : "%zu runs\n", wish.chosen.count);
    } else {
        for (size_t i = 0; i < wish.chosen.count && cancel(&wish, config->data, wish.chosen.runs[i], is_named); i++) {
        }
        sum_up(&wish);
    }
out:
    if (!done) bw_print_error(command.name, &err);
    bw_reader_close(reader);
    bw_config_free(config);
    bw_selection_free(&wish.chosen);
    return done && !wish.refused ? 0 : 1;
}
