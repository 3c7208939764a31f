#include "base/file.h"
#include "base/log.h"
#include "base/units.h"
#include "cmd/options.h"
#include "cmd/setup.h"
#include "cmd/trace.h"
#include "serve/once.h"
#include "store/store.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DATA_BYTES_MAX (16u << 20)

struct printer {
    bool as_json, is_terminal;
};

static void print_json(const struct bw_message *message)
{
    struct bw_buf line = {0};
    struct bw_slice output = bw_trace_output(message);
    json_t *head = json_copy((json_t *)message->head);
    int64_t state = bw_json_int(head, "state", 0);
    bool is_run = !strncmp(bw_json_str(head, "what", ""), "run", 3);
    json_object_del(head, "output_part");
    if (state)
        json_object_set_new(head, "state",
                            json_string(is_run ? bw_run_state_name((enum bw_run_state)state) : bw_step_state_name((enum bw_step_state)state)));
    bw_json_append(&line, head);
    if (output.len && line.len) {
        line.len--; /* the closing brace */
        bw_buf_append_text(&line, ",\"output\":");
        bw_buf_append_slice(&line, output);
        bw_buf_append_char(&line, '}');
    }
    json_decref(head);
    bw_print_line(&line);
    fflush(stdout);
}

static void on_trace(void *arg, const struct bw_message *message)
{
    const struct printer *printer = arg;
    if (printer->as_json)
        print_json(message);
    else
        bw_trace_print(stdout, message, printer->is_terminal);
}

/* Standard input may be a pipe, a terminal, anything. */
static bool read_stdin(size_t limit, struct bw_buf *out, struct bw_error *err)
{
    char chunk[16384];
    size_t got;
    while ((got = fread(chunk, 1, sizeof chunk, stdin)) > 0) {
        bw_buf_append(out, chunk, got);
        if (out->failed) return bw_error_set(err, "memory", "out of memory for the data");
        if (out->len > limit) return bw_error_set(err, "file.too_large", "standard input is larger than %zu bytes", limit);
    }
    return !ferror(stdin) || bw_error_set(err, "file.unreadable", "cannot read standard input");
}

static bool read_data(const char *path, struct bw_buf *out, struct bw_error *err)
{
    if (!path) {
        bw_buf_append_text(out, "{}");
        return true;
    }
    return strcmp(path, "-") ? bw_file_read(path, DATA_BYTES_MAX, out, err) : read_stdin(DATA_BYTES_MAX, out, err);
}

static int run_main(int argc, char **argv)
{
    const char *config_path = NULL, *data = NULL, *event = NULL, *file = NULL;
    struct printer printer = {.is_terminal = isatty(STDOUT_FILENO)};
    bool is_verbose = false;
    const struct bw_option options[] = {{.name = "config", .value = &config_path},  {.name = "data", .value = &data},
                                        {.name = "event", .value = &event},         {.name = "file", .value = &file},
                                        {.name = "json", .flag = &printer.as_json}, {.name = "verbose", .flag = &is_verbose}};
    int first, status = bw_options_parse(&bw_command_run, argc, argv, options, sizeof options / sizeof *options, &first);
    struct bw_errors errs = {0};
    struct bw_buf body = {0};
    struct bw_config *config;
    struct bw_error err;

    if (status >= 0) return status;
    if (argc - first > 1 || (argc == first && !file)) return bw_options_wrong(&bw_command_run, "name one workflow");
    const char *workflow = argc > first ? argv[first] : NULL;
    size_t len = workflow ? strlen(workflow) : 0;
    if (len > 5 && !file && (!strcmp(workflow + len - 5, ".yaml") || !strcmp(workflow + len - 4, ".yml"))) file = workflow, workflow = NULL;
    bw_log_setup(is_verbose ? BW_LOG_DEBUG : BW_LOG_ERROR, BW_LOG_TEXT, "run");
    if (!(config = bw_setup_config_with_secrets("run", config_path))) return 1;
    for (size_t i = 0; i < config->secret_count; i++)
        for (size_t k = 0; k < config->secrets[i].count; k++) bw_log_redact(config->secrets[i].name, config->secrets[i].values[k]);
    config->workers = 1;
    if (!read_data(data, &body, &err)) {
        bw_print_error("run", &err);
        status = 1;
    } else {
        const struct bw_once_options once = {
            .config = config, .workflow = workflow, .workflow_file = file, .event_name = event, .body = bw_buf_slice(&body)};
        enum bw_once_result result = bw_once_run(&once, &(struct bw_once_handlers){&printer, on_trace}, &errs);
        bw_print_errors(&errs, printer.as_json);
        status = result == BW_ONCE_SUCCEEDED ? 0 : 1;
    }
    bw_errors_free(&errs);
    bw_buf_free(&body);
    bw_config_free(config);
    return status;
}

const struct bw_command bw_command_run = {
    .name = "run",
    .summary = "run one workflow here and now, and watch its steps",
    .usage = "usage: bellwire run WORKFLOW [--data FILE] [--event NAME] [--json] [--verbose] [--config FILE]\n"
             "       bellwire run FILE.yaml [--data FILE]\n"
             "       bellwire run --file FILE.yaml WORKFLOW\n\n"
             "Runs one workflow in the same processes as `serve` does, without a listener; triggers and their `if` are not asked.\n"
             "Nothing is left behind. Exit status 0: the run succeeded; 1: it failed or could not start.\n\n"
             "  --data FILE     JSON that becomes event.data ('-' = standard input); {} without it\n"
             "  --event NAME    what event.name says (manual)\n"
             "  --json          one JSON object for each thing that happens\n"
             "  --verbose       the engine's log on stderr\n\n"
             "example: bellwire run hello --data push.json --event github.push\n",
    .run = run_main,
};
