/* bellwire runs cancel */
#include "base/id.h"
#include "cmd/control.h"
#include "cmd/options.h"
#include "cmd/runs.h"
#include "cmd/setup.h"
#include <stdio.h>
#include <string.h>

static const struct bw_command command = {
    .name = "runs cancel",
    .usage =
        "usage: bellwire runs cancel RUN… [--reason TEXT] [--json] [--config FILE]\n\n"
        "Asks the engine that serves to cancel runs: what they wait for is given up, calls that are on their way are broken off, no further step\n"
        "begins. Then their `finally` is run, and their `undo` if the workflow says undo_on: [cancel]. Runs that they wait for are cancelled with\n"
        "them. A run whose steps have all ended is not cut short.\n\n"
        "The answer is 'cancelling' as soon as nothing can keep it from happening, also no crash; 'cancelled' if it has happened by then.\n\n"
        "  --reason TEXT   is kept with the run, and is in its error\n"
        "  --json          one JSON object a line\n\n"
        "example: bellwire runs cancel run_06f… --reason 'wrong customer'\n",
};

static bool cancel(const char *folder, const char *run, const char *reason, bool as_json)
{
    struct bw_error err;
    struct bw_buf line = {0};
    json_t *answer = NULL, *request = json_pack("{s:s,s:s,s:s*}", "do", "runs.cancel", "run", run, "reason", reason);
    bool good = request ? bw_control_ask(folder, request, &answer, &err) : bw_error_set(&err, "cancel.reason", "the reason is no UTF-8");
    if (as_json) {
        bw_buf_append_text(&line, "{\"run\":");
        bw_buf_append_json_string(&line, bw_slice_of(run));
        bw_buf_append_text(&line, good ? ",\"state\":" : ",\"error\":");
        if (good)
            bw_buf_append_json_string(&line, bw_json_slice(json_object_get(answer, "state")));
        else
            bw_json_append_error(&line, &err, NULL, (struct bw_slice){0});
        bw_buf_append_char(&line, '}');
        bw_print_line(&line);
    } else if (good) {
        printf("%s  %s\n", run, bw_json_str(answer, "state", ""));
    } else {
        bw_print_error(command.name, &err);
    }
    json_decref(answer);
    json_decref(request);
    return good;
}

int bw_runs_cancel(int argc, char **argv)
{
    const char *config_path = NULL, *reason = NULL;
    bool as_json = false, good = true;
    const struct bw_option options[] = {
        {.name = "config", .value = &config_path}, {.name = "reason", .value = &reason}, {.name = "json", .flag = &as_json}};
    int first, status = bw_options_parse(&command, argc, argv, options, sizeof options / sizeof *options, &first);
    struct bw_config *config;
    struct bw_uid uid;
    if (status >= 0) return status;
    if (first == argc) return bw_options_wrong(&command, "which run?");
    for (int i = first; i < argc; i++)
        if (!bw_uid_parse(bw_slice_of(argv[i]), BW_UID_RUN, &uid)) return bw_options_wrong(&command, "'%s' is no run id (run_…)", argv[i]);
    if (!(config = bw_setup_config("runs", config_path))) return 1;
    for (int i = first; i < argc; i++) good = cancel(config->data, argv[i], reason, as_json) && good;
    bw_config_free(config);
    return good ? 0 : 1;
}
