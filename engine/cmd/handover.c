/* bellwire sources open, close, forget, reveal */
#include "base/clock.h"
#include "base/log.h"
#include "base/units.h"
#include "cmd/control.h"
#include "cmd/letters.h"
#include "cmd/options.h"
#include "cmd/setup.h"
#include "cmd/sources.h"
#include <stdio.h>
#include <string.h>

#define WINDOW_MS (10 * 60 * 1000)

static const struct bw_command commands[] = {
    /* by bw_handover_verb */
    {.name = "sources open",
     .usage =
         "usage: bellwire sources open NAME [--for 10m] [--json] [--config FILE]\n\n"
         "Lets the sender of a source hand over its secret, for so long. Some senders choose the secret themselves and say it in their first "
         "request:\n"
         "Asana (X-Hook-Secret), Notion (verification_token). Anybody could say one, so it is taken only while you have opened a window for it, and "
         "only\n"
         "the first one: a second one is refused. Open it just before you create the webhook over there, and look at `bellwire sources` "
         "afterwards.\n\n"
         "The secret is kept in the data folder, which only its owner may read, and is never shown by the list or in the log. It is there before "
         "the\n"
         "sender is answered, and stays over restarts, as an open window does to its end. A secret that the configuration gives counts instead.\n\n"
         "Without a serving engine the data folder itself is changed.\n\n"
         "  --for TIME        how long, at most 24h (10m)\n"
         "  --json            {\"source\":…,\"changed\":…,\"open_until_ms\":…}\n\n"
         "example: bellwire sources open asana --for 10m\n"},
    {.name = "sources close",
     .usage = "usage: bellwire sources close NAME [--json] [--config FILE]\n\n"
              "Ends the time in which the sender may hand over its secret. What it has handed over stays. Closing what is closed is no error.\n\n"
              "  --json            {\"source\":…,\"changed\":…}\n\n"
              "example: bellwire sources close asana\n"},
    {.name = "sources forget",
     .usage = "usage: bellwire sources forget NAME [--json] [--config FILE]\n\n"
              "Forgets the secret that the sender has handed over, and closes the window: requests that are signed with it are refused from now on. "
              "To learn\n"
              "another one: bellwire sources open NAME\n\n"
              "  --json            {\"source\":…,\"changed\":…}\n\n"
              "example: bellwire sources forget asana && bellwire sources open asana\n"},
    {.name = "sources reveal",
     .usage = "usage: bellwire sources reveal NAME [--config FILE]\n\n"
              "Prints the secret that the sender has handed over, and nothing else: Notion wants to have it pasted into its form. Whoever may read "
              "the data\n"
              "folder may do this. It is noted in the audit.\n\n"
              "example: bellwire sources reveal notion\n"},
};
static const char *const asked[] = {"sources.open", "sources.close", "sources.forget", "sources.reveal"};

struct wish {
    enum bw_handover_verb verb;
    const char *name, *config, *time;
    int64_t for_ms;
    bool as_json;
    bool has_changed; /* what came of it */
    int64_t until_ms;
};

static bool ask_engine(struct wish *wish, const struct bw_config *config, struct bw_error *err)
{
    json_t *answer = NULL, *request = json_pack("{s:s,s:s,s:I}", "do", asked[wish->verb], "source", wish->name, "for_ms", (json_int_t)wish->for_ms);
    bool good = request ? bw_control_ask(config->data, request, &answer, err) : bw_error_set(err, "source.text", "the name is no UTF-8");
    wish->has_changed = bw_json_bool(answer, "changed", false);
    wish->until_ms = bw_json_int(answer, "open_until_ms", 0);
    json_decref(request);
    json_decref(answer);
    return good;
}

static bool write_folder(struct wish *wish, const struct bw_config *config, struct bw_error *err)
{
    char user[64];
    int64_t now_ms = bw_clock_wall_ms();
    struct bw_handover handover = {.verb = wish->verb,
                                   .source = bw_slice_of(wish->name),
                                   .actor = bw_slice_of(bw_letters_actor(user)),
                                   .until_ms = wish->verb == BW_HANDOVER_OPEN ? now_ms + wish->for_ms : 0};
    struct bw_store_op op = {.kind = BW_OP_HANDOVER, .now_ms = now_ms, .handover = &handover};
    struct bw_store *store = bw_store_open(config->data, err);
    bool good = store && bw_store_submit_wait(store, &op, err);
    if (store) bw_store_close(store);
    wish->has_changed = handover.has_changed;
    wish->until_ms = handover.until_ms;
    return good;
}

/* err->code empty: it was printed. */
static bool change_folder(struct wish *wish, const struct bw_config *config, struct bw_error *err)
{
    struct bw_source_files files = {0};
    *err = (struct bw_error){0};
    bool good = bw_source_files_load(config, &files) && bw_handovers_may(files.router, files.learnt, wish->verb, wish->name, err) &&
                write_folder(wish, config, err);
    bw_source_files_free(&files);
    return good;
}

struct search {
    const char *source;
    bool found;
};

static bool print_secret(void *arg, const struct bw_learnt_secret *secret)
{
    struct search *search = arg;
    if (!bw_slice_is(secret->source, search->source)) return true;
    printf("%.*s\n", (int)secret->value.len, secret->value.ptr);
    search->found = true;
    return false;
}

static bool reveal(const struct wish *wish, const struct bw_config *config, struct bw_error *err)
{
    struct search search = {.source = wish->name};
    struct bw_reader *reader = bw_reader_open(config->data, err);
    bool good = reader && bw_reader_learnt(reader, print_secret, &search, err);
    bw_reader_close(reader);
    return good && (search.found || bw_error_set(err, "source.no_secret", "the secret of %s has just been forgotten", wish->name));
}

static void tell(const struct wish *wish)
{
    struct bw_buf line = {0};
    char at[32];
    if (wish->as_json) {
        bw_buf_append_text(&line, "{\"source\":");
        bw_buf_append_json_string(&line, bw_slice_of(wish->name));
        bw_buf_printf(&line, ",\"changed\":%s", wish->has_changed ? "true" : "false");
        if (wish->until_ms) bw_buf_printf(&line, ",\"open_until_ms\":%lld", (long long)wish->until_ms);
        bw_buf_append_char(&line, '}');
        bw_print_line(&line);
    } else if (wish->verb == BW_HANDOVER_OPEN) {
        printf("the sender of %s may hand over its secret until %s: create the webhook now\n", wish->name, bw_print_time(wish->until_ms, at));
    } else if (wish->verb == BW_HANDOVER_CLOSE) {
        printf(wish->has_changed ? "%s is closed: nothing is handed over any more\n" : "%s was not open\n", wish->name);
    } else {
        printf(wish->has_changed ? "the secret of %s is forgotten\n" : "the sender of %s had handed over no secret\n", wish->name);
    }
}

int bw_sources_verb(enum bw_handover_verb verb, int argc, char **argv)
{
    const struct bw_command *command = &commands[verb];
    struct wish wish = {.verb = verb, .for_ms = WINDOW_MS};
    const struct bw_option all[] = {
        {.name = "config", .value = &wish.config}, {.name = "json", .flag = &wish.as_json}, {.name = "for", .value = &wish.time}};
    const size_t counts[] = {3, 2, 2, 1}; /* how many of these the verb has */
    int first, status = bw_options_parse(command, argc, argv, all, counts[verb], &first);
    struct bw_config *config;
    struct bw_error err;
    if (status >= 0) return status;
    if (argc - first != 1) return bw_options_wrong(command, "which source? One is named");
    if (wish.time && !bw_duration_parse(bw_slice_of(wish.time), &wish.for_ms, &err)) return bw_options_wrong(command, "--for: %s", err.message);
    if (wish.for_ms <= 0 || wish.for_ms > BW_WINDOW_MAX_MS) return bw_options_wrong(command, "--for must be more than nothing, and at most 24h");
    bw_log_setup(BW_LOG_ERROR, BW_LOG_TEXT, "sources");
    if (!(config = bw_setup_config("sources", wish.config))) return 1;
    wish.name = argv[first];
    bool done = ask_engine(&wish, config, &err);
    if (!done && !strcmp(err.code, "control.not_serving")) done = change_folder(&wish, config, &err);
    done = done && (verb != BW_HANDOVER_REVEAL || reveal(&wish, config, &err));
    if (done && verb != BW_HANDOVER_REVEAL) tell(&wish);
    if (!done && *err.code) bw_print_error(command->name, &err);
    bw_config_free(config);
    return done ? 0 : 1;
}
