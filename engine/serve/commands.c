#include "serve/commands.h"
#include "admin/cancel.h"
#include "admin/pause.h"
#include "admin/plugins.h"
#include "base/log.h"

static void on_resume(void *arg, struct bw_control_request *request, const json_t *body)
{
    bw_letter_office_take(((struct bw_commands *)arg)->letters, BW_LETTER_RESUME, request, body);
}

static void on_replay(void *arg, struct bw_control_request *request, const json_t *body)
{
    bw_letter_office_take(((struct bw_commands *)arg)->letters, BW_LETTER_REPLAY, request, body);
}

static void on_discard(void *arg, struct bw_control_request *request, const json_t *body)
{
    bw_letter_office_take(((struct bw_commands *)arg)->letters, BW_LETTER_DISCARD, request, body);
}

static void on_resolve(void *arg, struct bw_control_request *request, const json_t *body)
{
    bw_letter_office_take(((struct bw_commands *)arg)->letters, BW_LETTER_RESOLVE, request, body);
}

static void on_cancel(void *arg, struct bw_control_request *request, const json_t *body)
{
    bw_admin_cancel(((struct bw_commands *)arg)->dispatch, request, body);
}

static void on_sources(void *arg, struct bw_control_request *request, const json_t *body)
{
    const struct bw_commands *commands = arg;
    (void)body;
    bw_handover_office_list(commands->handovers, *commands->router, request);
}

static void on_open(void *arg, struct bw_control_request *request, const json_t *body)
{
    const struct bw_commands *commands = arg;
    bw_handover_office_take(commands->handovers, BW_HANDOVER_OPEN, *commands->router, request, body);
}

static void on_close(void *arg, struct bw_control_request *request, const json_t *body)
{
    const struct bw_commands *commands = arg;
    bw_handover_office_take(commands->handovers, BW_HANDOVER_CLOSE, *commands->router, request, body);
}

static void on_forget(void *arg, struct bw_control_request *request, const json_t *body)
{
    const struct bw_commands *commands = arg;
    bw_handover_office_take(commands->handovers, BW_HANDOVER_FORGET, *commands->router, request, body);
}

static void on_reveal(void *arg, struct bw_control_request *request, const json_t *body)
{
    const struct bw_commands *commands = arg;
    bw_handover_office_take(commands->handovers, BW_HANDOVER_REVEAL, *commands->router, request, body);
}

static void on_workflows(void *arg, struct bw_control_request *request, const json_t *body)
{
    (void)body;
    bw_admin_workflows(((struct bw_commands *)arg)->dispatch, request);
}

static void on_pause(void *arg, struct bw_control_request *request, const json_t *body)
{
    bw_admin_pause(((struct bw_commands *)arg)->dispatch, false, request, body);
}

static void on_unpause(void *arg, struct bw_control_request *request, const json_t *body)
{
    bw_admin_pause(((struct bw_commands *)arg)->dispatch, true, request, body);
}

static void on_plugins(void *arg, struct bw_control_request *request, const json_t *body)
{
    (void)body;
    bw_admin_plugins(((struct bw_commands *)arg)->dispatch, request);
}

static const struct bw_control_verb verbs[] = {{"runs.cancel", on_cancel},    {"runs.resume", on_resume},       {"runs.replay", on_replay},
                                               {"runs.discard", on_discard},  {"runs.resolve", on_resolve},     {"workflows.list", on_workflows},
                                               {"workflows.pause", on_pause}, {"workflows.resume", on_unpause}, {"sources.list", on_sources},
                                               {"sources.open", on_open},     {"sources.close", on_close},      {"sources.forget", on_forget},
                                               {"sources.reveal", on_reveal}, {"plugins.list", on_plugins}};

bool bw_commands_open(struct bw_commands *commands, const struct bw_commands_of *of, struct bw_error *err)
{
    bw_error_set(err, "memory", "out of memory");
    *commands =
        (struct bw_commands){.dispatch = of->dispatch, .router = of->router, .letters = bw_letter_office_new(of->base, of->store, of->dispatch)};
    return commands->letters && (commands->handovers = bw_handover_office_new(of->base, of->store, of->folder, err));
}

void bw_commands_listen(struct bw_commands *commands, struct event_base *base, const char *folder)
{
    struct bw_error err;
    if (!(commands->control = bw_control_new(base, folder, verbs, sizeof verbs / sizeof *verbs, commands, &err)))
        bw_log_error(BW_LOG_WARN, "control.closed", &err);
}

void bw_commands_hang_up(struct bw_commands *commands)
{
    bw_control_free(commands->control);
    commands->control = NULL;
}

void bw_commands_free(struct bw_commands *commands)
{
    bw_letter_office_free(commands->letters);
    bw_handover_office_free(commands->handovers);
    *commands = (struct bw_commands){0};
}
