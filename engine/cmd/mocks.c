/* bellwire runs mocks: what a run has recorded, as the mocks of a test. */
#include "base/json.h"
#include "cmd/options.h"
#include "cmd/runs.h"
#include "cmd/setup.h"
#include "store/usage.h"
#include <stdio.h>
#include <string.h>

static const struct bw_command command = {
    .name = "runs mocks",
    .usage =
        "usage: bellwire runs mocks RUN [--all] [--config FILE]\n\n"
        "Prints what steps of the run gave, as the `mocks` of a test: keep it in a file, and name that in the test as `mocks_file`. Without --all "
        "only\n"
        "steps that called something that is paid by use, such as a language model: `bellwire test` then gives them the answers of that run again.\n"
        "Of a step with recorded parts (the turns of an agent, the calls of its tools) the parts are printed, so that its own code runs in the "
        "test.\n"
        "Sensitive steps are left out, and so are runs that the run has started.\n\n"
        "  --all   all steps that have ended, those of your own code too\n\n"
        "example: bellwire runs mocks run_06f… > workflows/digest.recorded.json\n",
};

struct recording {
    bool takes_all;
    json_t *metered; /* an object with the paths of steps that made metered calls */
    json_t *mocks;
};

static bool note_metered(void *arg, const struct bw_usage_row *row)
{
    struct recording *recording = arg;
    char path[512];
    snprintf(path, sizeof path, "%.*s", (int)row->path.len, row->path.ptr);
    return !json_object_set_new(recording->metered, path, json_true());
}

/* "ask.turn[1]" is a part of "ask". */
static bool is_part_of(struct bw_slice part, struct bw_slice step)
{
    return part.len > step.len + 1 && !memcmp(part.ptr, step.ptr, step.len) && part.ptr[step.len] == '.' && memchr(part.ptr, '[', part.len);
}

static bool has_parts(const struct bw_run_row *run, struct bw_slice path)
{
    if (memchr(path.ptr, '[', path.len)) return false; /* it is one */
    for (size_t i = 0; i < run->step_count; i++)
        if (is_part_of(run->steps[i].path, path)) return true;
    return false;
}

static bool is_wanted(const struct recording *recording, struct bw_slice path)
{
    const char *name;
    json_t *ignored;
    json_object_foreach(recording->metered, name, ignored) if (bw_slice_is(path, name) || is_part_of(path, bw_slice_of(name))) return true;
    return recording->takes_all;
}

static bool record(void *arg, const struct bw_run *run)
{
    struct recording *recording = arg;
    for (size_t i = 0; i < run->row.step_count; i++) {
        const struct bw_step_row *step = &run->row.steps[i];
        bool has_failed = step->state == BW_STEP_FAILED;
        if ((!has_failed && step->state != BW_STEP_SUCCEEDED) || step->is_sensitive || has_parts(&run->row, step->path)) continue;
        if (!is_wanted(recording, step->path)) continue;
        json_t *given = bw_json_load(has_failed ? step->error : step->output.len ? step->output : BW_SLICE("{}"), NULL);
        json_t *mock = has_failed ? json_pack("{s:{s:s,s:s,s:s}}", "error", "code", bw_json_str(given, "code", "failed"), "message",
                                              bw_json_str(given, "message", ""), "class", bw_json_str(given, "class", "permanent"))
                                  : json_pack("{s:O}", "output", given);
        char path[512];
        snprintf(path, sizeof path, "%.*s", (int)step->path.len, step->path.ptr);
        json_object_set_new(recording->mocks, path, mock);
        json_decref(given);
    }
    return true;
}

int bw_runs_mocks(int argc, char **argv)
{
    const char *config_path = NULL;
    struct recording recording = {.metered = json_object(), .mocks = json_object()};
    const struct bw_option options[] = {{.name = "config", .value = &config_path}, {.name = "all", .flag = &recording.takes_all}};
    int first, status = bw_options_parse(&command, argc, argv, options, sizeof options / sizeof *options, &first);
    struct bw_config *config = NULL;
    struct bw_reader *reader = NULL;
    struct bw_error err;
    struct bw_uid uid;
    bool done = false, found = false;

    if (status < 0 && argc - first != 1) status = bw_options_wrong(&command, "which run?");
    if (status < 0 && !bw_uid_parse(bw_slice_of(argv[first]), BW_UID_RUN, &uid))
        status = bw_options_wrong(&command, "'%s' is no run id (run_…)", argv[first]);
    if (status < 0 && !(config = bw_setup_config("runs", config_path))) status = 1;
    if (status < 0) {
        if ((reader = bw_reader_open(config->data, &err)))
            done =
                bw_reader_usage_of_run(reader, uid, note_metered, &recording, &err) && bw_reader_run(reader, uid, record, &recording, &found, &err);
        if (done && !found) done = bw_error_set(&err, "run.unknown", "there is no recorded run %s in %s", argv[first], config->data);
        if (!done) bw_print_error("runs", &err);
        if (done) {
            json_dumpf(recording.mocks, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
            putchar('\n');
            if (!json_object_size(recording.mocks)) fprintf(stderr, "no step of this run called anything that is paid by use; see --all\n");
        }
        status = done ? 0 : 1;
    }
    json_decref(recording.metered);
    json_decref(recording.mocks);
    bw_reader_close(reader);
    bw_config_free(config);
    return status;
}
