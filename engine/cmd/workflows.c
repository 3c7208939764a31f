/* bellwire workflows */
#include "cmd/workflows.h"
#include "base/log.h"
#include "cmd/control.h"
#include "cmd/options.h"
#include "cmd/setup.h"
#include "serve/inspect.h"
#include "store/pauses.h"
#include <stdio.h>
#include <string.h>

struct listing {
    bool as_json;
    struct bw_reader *reader; /* NULL: there is no store yet */
    json_t *workflows;
    json_t *pauses; /* name → {since_ms, by, reason?, resuming} */
    size_t shown;
};

json_t *bw_workflows_load(const struct bw_config *config, bool *is_served, struct bw_error *err)
{
    json_t *request = json_pack("{s:s}", "do", "workflows.list"), *answer = NULL, *workflows = NULL;
    *is_served = bw_control_ask(config->data, request, &answer, err);
    if (!*is_served && !strcmp(err->code, "control.not_serving")) answer = bw_inspect_catalog(config, NULL, err);
    workflows = json_incref(json_object_get(answer, "workflows"));
    json_decref(request);
    json_decref(answer);
    return workflows;
}

static bool add_pause(void *arg, const struct bw_pause *pause)
{
    struct listing *listing = arg;
    char name[80];
    json_t *entry = json_pack("{s:I,s:s%,s:b}", "since_ms", (json_int_t)pause->since_ms, "by", pause->actor.ptr, pause->actor.len, "resuming",
                              pause->resumed_ms != 0);
    if (pause->reason.len) json_object_set_new(entry, "reason", json_stringn(pause->reason.ptr, pause->reason.len));
    snprintf(name, sizeof name, "%.*s", (int)pause->workflow.len, pause->workflow.ptr);
    return !json_object_set_new(listing->pauses, name, entry);
}

static void print_json(const json_t *workflow, const json_t *pause, const struct bw_run_counts *counts)
{
    static const char *const keys[] = {"description", "file", "events", "schedules", "manual", "callable", "tool", "labels"};
    struct bw_buf line = {0};
    json_t *shown = json_object();
    json_object_set(shown, "workflow", json_object_get(workflow, "name"));
    json_object_set_new(shown, "version", json_sprintf("%.12s", bw_json_str(workflow, "hash", "")));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (json_object_get(workflow, keys[i])) json_object_set(shown, keys[i], json_object_get(workflow, keys[i]));
    json_object_set_new(shown, "paused", pause ? json_incref((json_t *)pause) : json_null());
    json_object_set_new(shown, "runs",
                        json_pack("{s:I,s:I,s:I,s:I}", "active", (json_int_t)counts->active, "waiting", (json_int_t)counts->waiting, "held",
                                  (json_int_t)counts->held, "failed", (json_int_t)counts->failed));
    bw_json_append(&line, shown);
    bw_print_line(&line);
    json_decref(shown);
}

static void print_text(const json_t *workflow, const json_t *pause, const struct bw_run_counts *counts)
{
    struct bw_buf triggers = {0};
    char at[32];
    bw_trigger_text(workflow, &triggers);
    printf("%-24s %-12.12s %5llu active %5llu waiting %5llu failed  %s\n", bw_json_str(workflow, "name", ""), bw_json_str(workflow, "hash", "gone"),
           (unsigned long long)counts->active, (unsigned long long)counts->waiting, (unsigned long long)counts->failed,
           triggers.len ? triggers.data : "");
    bw_buf_free(&triggers);
    if (!pause) return;
    const char *reason = bw_json_str(pause, "reason", "");
    printf("  %s since %s by %s%s%s, %llu held\n", bw_json_bool(pause, "resuming", false) ? "resuming; it was paused" : "paused",
           bw_print_time(bw_json_int(pause, "since_ms", 0), at), bw_json_str(pause, "by", ""), *reason ? ": " : "", reason,
           (unsigned long long)counts->held);
}

static bool show(struct listing *listing, const json_t *workflow, struct bw_error *err)
{
    struct bw_run_counts counts = {0};
    const char *name = bw_json_str(workflow, "name", "");
    const json_t *pause = json_object_get(listing->pauses, name);
    if (listing->reader && !bw_reader_run_counts(listing->reader, bw_slice_of(name), &counts, err)) return false;
    (listing->as_json ? print_json : print_text)(workflow, pause, &counts);
    listing->shown++;
    return true;
}

static bool is_listed(const struct listing *listing, const char *name)
{
    size_t index;
    json_t *workflow;
    json_array_foreach(listing->workflows, index, workflow) if (!strcmp(bw_json_str(workflow, "name", ""), name)) return true;
    return false;
}

static bool show_all(struct listing *listing, struct bw_error *err)
{
    size_t index;
    json_t *workflow;
    const char *name;
    bool good = true;
    json_array_foreach(listing->workflows, index, workflow) if (!show(listing, workflow, err)) return false;
    json_object_foreach(listing->pauses, name, workflow)
    {
        json_t *gone = json_pack("{s:s}", "name", name);
        good = good && (is_listed(listing, name) || show(listing, gone, err)); /* its file is gone, its held runs are not */
        json_decref(gone);
    }
    return good;
}

static int list(int argc, char **argv)
{
    struct listing listing = {.pauses = json_object()};
    const char *config_path = NULL;
    const struct bw_option options[] = {{.name = "config", .value = &config_path}, {.name = "json", .flag = &listing.as_json}};
    int first, status = bw_options_parse(&bw_command_workflows, argc, argv, options, sizeof options / sizeof *options, &first);
    struct bw_config *config = NULL;
    struct bw_error err;
    bool done = false, is_served;
    if (status < 0 && argc > first) status = bw_options_wrong(&bw_command_workflows, "'%s' is none of: pause, resume", argv[first]);
    if (status >= 0) {
        json_decref(listing.pauses);
        return status;
    }
    bw_log_setup(BW_LOG_ERROR, BW_LOG_TEXT, "workflows");
    if (!(config = bw_setup_config("workflows", config_path))) goto out;
    if (!(listing.workflows = bw_workflows_load(config, &is_served, &err))) goto fail;
    if (!is_served) fprintf(stderr, "no engine serves %s: these are the workflows in the files\n", config->data);
    if (!(listing.reader = bw_reader_open(config->data, &err)) && strcmp(err.code, "store.missing") != 0) goto fail;
    if (listing.reader && !bw_reader_pauses(listing.reader, add_pause, &listing, &err)) goto fail;
    done = show_all(&listing, &err);
    if (done && !listing.shown && !listing.as_json) fprintf(stderr, "no workflows\n");
fail:
    if (!done) bw_print_error("workflows", &err);
out:
    bw_reader_close(listing.reader);
    json_decref(listing.workflows);
    json_decref(listing.pauses);
    bw_config_free(config);
    return done ? 0 : 1;
}

static int workflows_main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "pause")) return bw_workflows_pause(false, argc - 1, argv + 1);
    if (argc > 1 && !strcmp(argv[1], "resume")) return bw_workflows_pause(true, argc - 1, argv + 1);
    return list(argc, argv);
}

const struct bw_command bw_command_workflows = {
    .name = "workflows",
    .summary = "list the workflows with their runs; pause one, resume it",
    .usage = "usage: bellwire workflows [--json] [--config FILE]\n"
             "       bellwire workflows pause  NAME [--reason TEXT] [--json]   (bellwire workflows pause --help)\n"
             "       bellwire workflows resume NAME [--reason TEXT] [--json]\n\n"
             "Lists the workflows that the engine serves: name, version, how many of their runs are active, wait (delayed, blocked, parked) and\n"
             "have failed without anything having been done about it, and what starts them; those that are paused say since when, and by whom.\n"
             "When no engine serves, these are the workflows in the files.\n\n"
             "  --json            one JSON object a line\n\n"
             "example: bellwire workflows pause publish --reason 'the CMS is being moved'\n"
             "         bellwire runs --workflow publish --state held\n",
    .run = workflows_main,
};
