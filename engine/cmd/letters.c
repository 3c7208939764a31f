#include "cmd/letters.h"
#include "base/clock.h"
#include "base/log.h"
#include "cmd/control.h"
#include "cmd/setup.h"
#include "serve/letters.h"
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROGRESS_EVERY 500

struct wish { /* what the command line says */
    enum bw_letter_verb verb;
    struct bw_run_options filter;
    const char *config, *from;
    bool latest, same_version, dry_run, as_json, with_children;
    struct bw_letter_desk *desk; /* when no engine serves */
    struct bw_selection chosen;
    size_t done, refused;
};

static const char *const past[] = {"resumed", "replayed", "discarded"};

/* ---- which runs ---- */

static bool find(struct wish *wish, struct bw_reader *reader, struct bw_error *err)
{
    struct bw_run_filter filter = {.with_children = wish->with_children, .without_resolved = true};
    if (!wish->filter.state) wish->filter.state = "failed";
    return bw_run_options_filter(&wish->filter, reader, &filter, err) && bw_selection_find(&wish->chosen, filter, reader, err);
}

/* ---- doing it ---- */

const char *bw_letters_actor(char out[64])
{
    const struct passwd *user = getpwuid(getuid());
    if (user)
        snprintf(out, 64, "%s", user->pw_name);
    else
        snprintf(out, 64, "uid %ld", (long)getuid());
    return out;
}

static void tell(struct wish *wish, const struct bw_letter *letter)
{
    char run[BW_UID_TEXT], replay[BW_UID_TEXT];
    struct bw_buf line = {0};
    bw_uid_text(letter->run, BW_UID_RUN, run);
    bw_uid_text(letter->replay, BW_UID_RUN, replay);
    letter->is_refused ? wish->refused++ : wish->done++;
    if (wish->as_json) {
        bw_buf_printf(&line, "{\"run\":\"%s\",\"%s\":%s", run, past[wish->verb], letter->is_refused ? "false" : "true");
        if (!letter->is_refused && wish->verb == BW_LETTER_REPLAY) bw_buf_printf(&line, ",\"replay\":\"%s\"", replay);
        if (letter->is_refused) {
            bw_buf_append_text(&line, ",\"error\":");
            bw_json_append_error(&line, &letter->refusal, NULL, (struct bw_slice){0});
        }
        bw_buf_append_char(&line, '}');
        bw_print_line(&line);
    } else if (letter->is_refused && wish->refused <= BW_EACH_MAX) {
        bw_print_error("runs", &letter->refusal);
    } else if (!letter->is_refused && wish->chosen.count <= BW_EACH_MAX) {
        printf("%s  %s%s%s\n", run, past[wish->verb], wish->verb == BW_LETTER_REPLAY ? " as " : "", wish->verb == BW_LETTER_REPLAY ? replay : "");
    }
}

static bool needs_catalog(const struct wish *wish)
{
    return wish->latest || (wish->verb == BW_LETTER_REPLAY && !wish->same_version);
}

static json_t *request_of(const struct wish *wish, const struct bw_letters *letters)
{
    char verb[32], uid[BW_UID_TEXT];
    json_t *runs = json_array(), *request;
    snprintf(verb, sizeof verb, "runs.%s", bw_letter_verb_name(wish->verb));
    for (size_t i = 0; i < letters->count; i++) json_array_append_new(runs, json_string(bw_uid_text(letters->items[i].run, BW_UID_RUN, uid)));
    request = json_pack("{s:s,s:o,s:b,s:b}", "do", verb, "runs", runs, "latest", wish->latest, "same_version", wish->same_version);
    if (wish->from) json_object_set_new(request, "from", json_string(wish->from));
    return request;
}

static bool ask_engine(const struct wish *wish, const struct bw_config *config, struct bw_letters *letters, struct bw_error *err)
{
    json_t *request = request_of(wish, letters), *answer = NULL, *result;
    size_t index;
    bool good = bw_control_ask(config->data, request, &answer, err);
    json_array_foreach(json_object_get(answer, "results"), index, result)
    {
        const json_t *error = json_object_get(result, "error");
        struct bw_letter *letter = &letters->items[index];
        if (index >= letters->count) break;
        letter->is_refused = error != NULL;
        bw_uid_parse(bw_json_slice(json_object_get(result, "replay")), BW_UID_RUN, &letter->replay);
        bw_error_set(&letter->refusal, bw_json_str(error, "code", ""), "%s", bw_json_str(error, "message", ""));
        bw_error_hint(&letter->refusal, "%s", bw_json_str(error, "hint", ""));
    }
    if (good && index < letters->count) good = bw_error_set(err, "control.malformed", "the engine's answer is not about all of the runs");
    json_decref(request);
    json_decref(answer);
    return good;
}

/* Through the engine that serves the data folder; if none does, on the data folder itself. */
static bool do_some(struct wish *wish, const struct bw_config *config, struct bw_letters *letters, struct bw_error *err)
{
    if (!wish->desk) {
        if (ask_engine(wish, config, letters, err)) return true;
        bool is_first = !wish->done && !wish->refused;
        if (!is_first || strcmp(err->code, "control.not_serving") != 0) return false;
        if (!(wish->desk = bw_letter_desk_open(config, needs_catalog(wish), err))) return false;
    }
    return bw_letter_desk_do(wish->desk, letters, err);
}

static bool do_all(struct wish *wish, const struct bw_config *config, struct bw_error *err)
{
    static struct bw_letter items[BW_LETTERS_AT_ONCE];
    char user[64];
    struct bw_letters letters = {.verb = wish->verb, .actor = bw_slice_of(bw_letters_actor(user)), .items = items};
    size_t at_once = wish->from ? 1 : BW_LETTERS_AT_ONCE;
    if (wish->from) letters.from = bw_slice_of(wish->from);
    for (size_t i = 0; i < wish->chosen.count; i += letters.count) {
        letters.now_ms = bw_clock_wall_ms();
        for (letters.count = 0; letters.count < at_once && i + letters.count < wish->chosen.count; letters.count++)
            items[letters.count] = (struct bw_letter){.run = wish->chosen.runs[i + letters.count], .replay = bw_uid_new(letters.now_ms)};
        if (!do_some(wish, config, &letters, err)) return false;
        for (size_t k = 0; k < letters.count; k++) tell(wish, &items[k]);
        size_t reached = i + letters.count;
        if (!wish->as_json && reached < wish->chosen.count && reached / PROGRESS_EVERY != i / PROGRESS_EVERY)
            fprintf(stderr, "%zu of %zu\n", reached, wish->chosen.count);
    }
    return true;
}

static void sum_up(const struct wish *wish)
{
    if (wish->as_json) return;
    if (!wish->chosen.count)
        fprintf(stderr, "no such runs\n");
    else if (wish->chosen.count > BW_EACH_MAX || (wish->refused && wish->chosen.count > 1))
        printf("%zu of %zu %s, %zu refused\n", wish->done, wish->chosen.count, past[wish->verb], wish->refused);
}

int bw_letters_main(enum bw_letter_verb verb, int argc, char **argv)
{
    struct wish wish = {.verb = verb};
    const struct bw_option options[] = {BW_RUN_OPTIONS(wish.filter),
                                        {.name = "config", .value = &wish.config},
                                        {.name = "from", .value = &wish.from},
                                        {.name = "latest", .flag = &wish.latest},
                                        {.name = "same-version", .flag = &wish.same_version},
                                        {.name = "children", .flag = &wish.with_children},
                                        {.name = "dry-run", .flag = &wish.dry_run},
                                        {.name = "json", .flag = &wish.as_json}};
    int first, status = bw_options_parse(&bw_command_runs, argc, argv, options, sizeof options / sizeof *options, &first);
    struct bw_config *config = NULL;
    struct bw_reader *reader = NULL;
    struct bw_error err;
    struct bw_uid uid;
    bool done = false;

    if (status >= 0) return status;
    if ((wish.from || wish.same_version) && verb != BW_LETTER_REPLAY)
        return bw_options_wrong(&bw_command_runs, "--from and --same-version are for replay");
    if (wish.latest && verb != BW_LETTER_RESUME) return bw_options_wrong(&bw_command_runs, "--latest is for resume");
    if (wish.from && wish.same_version)
        return bw_options_wrong(&bw_command_runs, "--from needs the current version: an earlier one is known only to the runs that have it");
    if (argc == first && bw_run_options_are_empty(&wish.filter))
        return bw_options_wrong(&bw_command_runs, "%s which runs? Name them, or give a filter: --state failed", bw_letter_verb_name(verb));
    if (argc > first && !bw_run_options_are_empty(&wish.filter))
        return bw_options_wrong(&bw_command_runs, "name the runs or give a filter, not both");
    for (int i = first; i < argc; i++)
        if (!bw_uid_parse(bw_slice_of(argv[i]), BW_UID_RUN, &uid)) return bw_options_wrong(&bw_command_runs, "'%s' is no run id (run_…)", argv[i]);
    bw_log_setup(BW_LOG_ERROR, BW_LOG_TEXT, "runs");
    if (!(config = bw_setup_config("runs", wish.config))) return 1;
    bw_error_set(&err, "memory", "out of memory");
    for (int i = first; i < argc; i++)
        if (!bw_uid_parse(bw_slice_of(argv[i]), BW_UID_RUN, &uid) || !bw_selection_add(&wish.chosen, uid)) goto out;
    if (argc == first && (!(reader = bw_reader_open(config->data, &err)) || !find(&wish, reader, &err))) goto out;
    bw_reader_close(reader);
    reader = NULL;
    if (wish.dry_run) {
        printf(wish.as_json ? "{\"runs\":%zu}\n" : wish.chosen.count == 1 ? "%zu run\n" : "%zu runs\n", wish.chosen.count);
        done = true;
    } else {
        done = !wish.chosen.count || do_all(&wish, config, &err);
        sum_up(&wish);
    }
out:
    if (!done) bw_print_error("runs", &err);
    bw_letter_desk_close(wish.desk);
    bw_reader_close(reader);
    bw_config_free(config);
    bw_selection_free(&wish.chosen);
    return done && !wish.refused ? 0 : 1;
}
