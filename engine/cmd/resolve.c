/* bellwire runs resolve */
#include "base/clock.h"
#include "base/log.h"
#include "cmd/control.h"
#include "cmd/letters.h"
#include "cmd/runs.h"
#include "cmd/setup.h"
#include "serve/letters.h"
#include <stdio.h>
#include <string.h>

static const struct bw_command command = {
    .name = "runs resolve",
    .usage = "usage: bellwire runs resolve RUN --step STEP (--succeeded [--output JSON] | --failed | --retry) [--json] [--config FILE]\n\n"
             "A step with `guarantee: at_most_once` whose call was under way when its process ended is unknown: nobody knows whether it has had its\n"
             "effect, and it is never called again by itself. Look at the place where the effect would be, and say what you have found:\n"
             "  --succeeded   it has had its effect; the run goes on behind the step\n"
             "  --failed      it has not; the run stays failed: discard it, or resume it later, then the step is run anew\n"
             "  --retry       it has not; the run goes on with this step, under the same idempotency key\n\n"
             "As long as another step is unknown the run is not resumed; the item of a foreach goes on with the run that it belongs to.\n\n"
             "  --output JSON   with --succeeded: an object, what later steps see as steps.STEP ({})\n"
             "  --json          one JSON object\n\n"
             "example: bellwire runs resolve run_06f… --step charge --succeeded --output '{\"id\": \"ch_42\"}'\n",
};

static const char *const words[] = {"succeeded", "failed", "retry"};

static bool read_output(const char *text, json_t **output, struct bw_error *err)
{
    if (strlen(text) > BW_RESOLVED_OUTPUT_BYTES_MAX)
        return bw_error_set(err, "output.too_large", "the output has %zu bytes, at most %u are taken", strlen(text), BW_RESOLVED_OUTPUT_BYTES_MAX);
    if (!(*output = bw_json_load(bw_slice_of(text), err))) return false;
    if (json_is_object(*output)) return true;
    bw_error_set(err, "output.invalid", "the output of a step is a JSON object");
    bw_error_hint(err, "write for example --output '{\"id\": 42}'");
    return false;
}

static bool ask_engine(const char *folder, struct bw_letters *letters, const json_t *output, struct bw_error *err)
{
    struct bw_letter *letter = letters->items;
    char uid[BW_UID_TEXT];
    json_t *answer = NULL, *request = json_pack("{s:s,s:[s],s:s%,s:s,s:O}", "do", "runs.resolve", "runs", bw_uid_text(letter->run, BW_UID_RUN, uid),
                                                "step", letters->step.ptr, letters->step.len, "as", words[letters->resolution], "output", output);
    bool good = request ? bw_control_ask(folder, request, &answer, err) : bw_error_set(err, "step.name", "the name of the step is no UTF-8");
    const json_t *result = json_array_get(json_object_get(answer, "results"), 0), *error = json_object_get(result, "error"),
                 *why = error ? error : json_object_get(result, "why");
    letter->is_refused = error != NULL;
    letter->is_resumed = bw_json_bool(result, "resumed", false);
    bw_error_set(&letter->refusal, bw_json_str(why, "code", ""), "%s", bw_json_str(why, "message", ""));
    bw_error_hint(&letter->refusal, "%s", bw_json_str(why, "hint", ""));
    json_decref(request);
    json_decref(answer);
    return good;
}

/* Through the engine that serves the data folder; if none does, on the data folder itself. */
static bool resolve(const struct bw_config *config, struct bw_letters *letters, const json_t *output, struct bw_error *err)
{
    if (ask_engine(config->data, letters, output, err)) return true;
    if (strcmp(err->code, "control.not_serving") != 0) return false;
    struct bw_letter_desk *desk = bw_letter_desk_open(config, false, err);
    bool good = desk && bw_letter_desk_do(desk, letters, err);
    bw_letter_desk_close(desk);
    return good;
}

static void tell(const struct bw_letters *letters, bool as_json)
{
    const struct bw_letter *letter = letters->items;
    char uid[BW_UID_TEXT];
    struct bw_buf line = {0};
    bool has_why = letter->is_refused || (!letter->is_resumed && letters->resolution != BW_STEP_HAS_FAILED);
    bw_uid_text(letter->run, BW_UID_RUN, uid);
    if (as_json) {
        bw_buf_printf(&line, "{\"run\":\"%s\",\"step\":", uid);
        bw_buf_append_json_string(&line, letters->step);
        bw_buf_printf(&line, ",\"resolved\":%s,\"resumed\":%s", letter->is_refused ? "false" : "true", letter->is_resumed ? "true" : "false");
        if (has_why) bw_buf_append_text(&line, letter->is_refused ? ",\"error\":" : ",\"why\":");
        if (has_why) bw_json_append_error(&line, &letter->refusal, NULL, (struct bw_slice){0});
        bw_buf_append_char(&line, '}');
        bw_print_line(&line);
    } else if (letter->is_refused) {
        bw_print_error("runs", &letter->refusal);
    } else {
        printf("%s  %.*s: %s  %s\n", uid, (int)letters->step.len, letters->step.ptr, words[letters->resolution],
               letter->is_resumed ? "resumed" : "not resumed");
        if (has_why) bw_print_error("runs", &letter->refusal);
    }
}

int bw_runs_resolve(int argc, char **argv)
{
    const char *config_path = NULL, *step = NULL, *text = NULL;
    bool as_json = false, chosen[3] = {false}, good = false;
    const struct bw_option options[] = {{.name = "config", .value = &config_path}, {.name = "step", .value = &step},
                                        {.name = "output", .value = &text},        {.name = "succeeded", .flag = &chosen[0]},
                                        {.name = "failed", .flag = &chosen[1]},    {.name = "retry", .flag = &chosen[2]},
                                        {.name = "json", .flag = &as_json}};
    int first, status = bw_options_parse(&command, argc, argv, options, sizeof options / sizeof *options, &first);
    char user[64];
    struct bw_letter letter = {0};
    struct bw_letters letters = {.verb = BW_LETTER_RESOLVE, .now_ms = bw_clock_wall_ms(), .items = &letter, .count = 1};
    struct bw_buf output_text = {0};
    json_t *output = NULL;
    struct bw_config *config;
    struct bw_error err;

    if (status >= 0) return status;
    if (argc - first != 1) return bw_options_wrong(&command, argc > first ? "one run at a time" : "which run?");
    if (!bw_uid_parse(bw_slice_of(argv[first]), BW_UID_RUN, &letter.run)) return bw_options_wrong(&command, "'%s' is no run id (run_…)", argv[first]);
    if (!step) return bw_options_wrong(&command, "which step? Its name is in: bellwire runs show %s", argv[first]);
    if (chosen[0] + chosen[1] + chosen[2] != 1) return bw_options_wrong(&command, "say one of --succeeded, --failed and --retry");
    if (text && !chosen[0]) return bw_options_wrong(&command, "--output goes with --succeeded");
    bw_log_setup(BW_LOG_ERROR, BW_LOG_TEXT, "runs");
    if (!(config = bw_setup_config("runs", config_path))) return 1;
    letters.resolution = chosen[0] ? BW_STEP_HAS_SUCCEEDED : chosen[1] ? BW_STEP_HAS_FAILED : BW_STEP_TRY_AGAIN;
    letters.step = bw_slice_of(step);
    letters.actor = bw_slice_of(bw_letters_actor(user));
    if (!read_output(text ? text : "{}", &output, &err)) goto out;
    bw_json_append(&output_text, output);
    letters.output = bw_buf_slice(&output_text);
    good = resolve(config, &letters, output, &err);
    if (good) tell(&letters, as_json);
out:
    if (!good) bw_print_error("runs", &err);
    json_decref(output);
    bw_buf_free(&output_text);
    bw_config_free(config);
    return good && !letter.is_refused ? 0 : 1;
}
