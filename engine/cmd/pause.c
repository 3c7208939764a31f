/* bellwire workflows pause, bellwire workflows resume */
#include "base/clock.h"
#include "base/log.h"
#include "base/suggest.h"
#include "cmd/control.h"
#include "cmd/letters.h"
#include "cmd/options.h"
#include "cmd/setup.h"
#include "cmd/workflows.h"
#include "store/pauses.h"
#include <stdio.h>
#include <string.h>

static const struct bw_command pause_command = {
    .name = "workflows pause",
    .usage =
        "usage: bellwire workflows pause NAME [--reason TEXT] [--json] [--config FILE]\n\n"
        "From now on no run of the workflow begins. Nothing is lost by that: events are accepted as ever, the workflow's triggers are looked at,\n"
        "schedules fire, and each run that would begin is held instead, in the order of the events. Calls by steps of other workflows are held,\n"
        "too, and those steps wait. Runs that have begun go on; so does one whose event a worker had in its hands at this moment.\n"
        "A run with `start_within` is skipped when its time is over, also while it is held.\n\n"
        "A pause stays over restarts and reloads, until it is ended by: bellwire workflows resume NAME\n"
        "What is held: bellwire runs --workflow NAME --state held; a held run can be cancelled: bellwire runs cancel RUN\n\n"
        "Without a serving engine the data folder itself is changed. Pausing what is paused already changes nothing and is no error.\n\n"
        "  --reason TEXT     is shown with the workflow and its held runs, and kept in the audit\n"
        "  --json            {\"workflow\":…,\"paused\":true,\"changed\":…,\"since_ms\":…}\n\n"
        "example: bellwire workflows pause publish --reason 'the CMS is being moved'\n",
};
static const struct bw_command resume_command = {
    .name = "workflows resume",
    .usage =
        "usage: bellwire workflows resume NAME [--reason TEXT] [--json] [--config FILE]\n\n"
        "Ends a pause. The runs that are held begin as if they came now, in the order of their events: `rate` and `concurrency` are asked then,\n"
        "and what was left of a `delay` is waited for. Runs that come meanwhile are behind them. Very many of them are let go bit by bit, so the\n"
        "engine serves on; the answer does not wait for that. Each runs as the version of the workflow that its event came under.\n\n"
        "Without a serving engine the data folder itself is changed, and they begin when one serves it. Resuming what is not paused changes\n"
        "nothing and is no error.\n\n"
        "  --reason TEXT     is kept in the audit\n"
        "  --json            {\"workflow\":…,\"paused\":false,\"changed\":…,\"held\":how many begin now}\n\n"
        "example: bellwire workflows resume publish\n",
};

struct wish { /* what the command line says */
    const char *name, *reason, *config;
    bool resumes, as_json;
    bool has_changed; /* what came of it */
    int64_t since_ms;
    struct bw_run_counts before;
};

static bool ask_engine(struct wish *wish, const struct bw_config *config, struct bw_error *err)
{
    json_t *answer = NULL, *request = json_pack("{s:s,s:s,s:s*}", "do", wish->resumes ? "workflows.resume" : "workflows.pause", "workflow",
                                                wish->name, "reason", wish->reason);
    bool good = request ? bw_control_ask(config->data, request, &answer, err) : bw_error_set(err, "pause.text", "the name or the reason is no UTF-8");
    wish->has_changed = bw_json_bool(answer, "changed", false);
    wish->since_ms = bw_json_int(answer, "since_ms", 0);
    json_decref(request);
    json_decref(answer);
    return good;
}

static bool note_paused(void *arg, const struct bw_pause *pause)
{
    struct wish *wish = arg;
    wish->since_ms = bw_slice_is(pause->workflow, wish->name) ? pause->since_ms : wish->since_ms;
    return !wish->since_ms;
}

/* A pause of one whose file is gone can be ended. */
static bool is_paused(struct wish *wish, const struct bw_config *config)
{
    struct bw_error err;
    struct bw_reader *reader = bw_reader_open(config->data, &err);
    bool good = reader && bw_reader_pauses(reader, note_paused, wish, &err);
    bw_reader_close(reader);
    return good && wish->since_ms;
}

static bool is_known(struct wish *wish, const struct bw_config *config, struct bw_error *err)
{
    const char *names[64];
    size_t count = 0, index;
    bool is_served, found = false;
    json_t *workflow, *workflows = bw_workflows_load(config, &is_served, err);
    if (!workflows) return false;
    json_array_foreach(workflows, index, workflow)
    {
        const char *name = bw_json_str(workflow, "name", "");
        found |= !strcmp(name, wish->name);
        if (count < sizeof names / sizeof *names) names[count++] = name;
    }
    if (!found && !(found = wish->resumes && is_paused(wish, config))) {
        const char *near = bw_suggest(bw_slice_of(wish->name), names, count);
        bw_error_set(err, "workflow.unknown", "there is no workflow '%s'", wish->name);
        bw_error_hint(err, near ? "did you mean '%s'?" : "see: bellwire workflows", near);
    }
    json_decref(workflows);
    return found;
}

static bool change_folder(struct wish *wish, const struct bw_config *config, struct bw_error *err)
{
    char user[64];
    struct bw_store_op op = {.kind = BW_OP_PAUSE,
                             .now_ms = bw_clock_wall_ms(),
                             .pause = {.workflow = bw_slice_of(wish->name),
                                       .reason = bw_slice_of(wish->reason ? wish->reason : ""),
                                       .actor = bw_slice_of(bw_letters_actor(user)),
                                       .resumes = wish->resumes}};
    struct bw_store *store = is_known(wish, config, err) ? bw_store_open(config->data, err) : NULL;
    bool good = store && bw_store_submit_wait(store, &op, err);
    if (store) bw_store_close(store);
    wish->has_changed = op.pause.has_changed;
    wish->since_ms = op.pause.since_ms;
    return good;
}

static void count_held(struct wish *wish, const struct bw_config *config)
{
    struct bw_error err;
    struct bw_reader *reader = bw_reader_open(config->data, &err);
    if (reader) bw_reader_run_counts(reader, bw_slice_of(wish->name), &wish->before, &err); /* only to be told */
    bw_reader_close(reader);
}

static void tell(const struct wish *wish)
{
    char at[32];
    if (wish->as_json) {
        struct bw_buf line = {0};
        bw_buf_append_text(&line, "{\"workflow\":");
        bw_buf_append_json_string(&line, bw_slice_of(wish->name));
        bw_buf_printf(&line, ",\"paused\":%s,\"changed\":%s", wish->resumes ? "false" : "true", wish->has_changed ? "true" : "false");
        if (wish->resumes)
            bw_buf_printf(&line, ",\"held\":%llu}", (unsigned long long)wish->before.held);
        else
            bw_buf_printf(&line, ",\"since_ms\":%lld}", (long long)wish->since_ms);
        bw_print_line(&line);
    } else if (!wish->has_changed) {
        printf(wish->resumes ? "%s is not paused\n" : "%s is paused already, since %s\n", wish->name, bw_print_time(wish->since_ms, at));
    } else if (!wish->resumes) {
        printf("%s is paused: its runs are held from now on; those that have begun go on\n", wish->name);
    } else {
        printf("%s is resumed: %llu held run%s begin%s\n", wish->name, (unsigned long long)wish->before.held, wish->before.held == 1 ? "" : "s",
               wish->before.held == 1 ? "s" : "");
    }
}

int bw_workflows_pause(bool resumes, int argc, char **argv)
{
    const struct bw_command *command = resumes ? &resume_command : &pause_command;
    struct wish wish = {.resumes = resumes};
    const struct bw_option options[] = {
        {.name = "config", .value = &wish.config}, {.name = "reason", .value = &wish.reason}, {.name = "json", .flag = &wish.as_json}};
    int first, status = bw_options_parse(command, argc, argv, options, sizeof options / sizeof *options, &first);
    struct bw_config *config;
    struct bw_error err;
    if (status >= 0) return status;
    if (argc - first != 1) return bw_options_wrong(command, "which workflow? One is named");
    bw_log_setup(BW_LOG_ERROR, BW_LOG_TEXT, "workflows");
    if (!(config = bw_setup_config("workflows", wish.config))) return 1;
    wish.name = argv[first];
    if (resumes) count_held(&wish, config);
    bool done = ask_engine(&wish, config, &err);
    if (!done && !strcmp(err.code, "control.not_serving")) done = change_folder(&wish, config, &err);
    if (done)
        tell(&wish);
    else
        bw_print_error(command->name, &err);
    bw_config_free(config);
    return done ? 0 : 1;
}
