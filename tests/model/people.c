/* What people do, about whatever is there at that time; `pick` chooses among it:
 *   {do: "vote", pick, voter, choice, looks, forges}   by the link to an approval that waits, or did; plan.approvals: {STEP: {choices, to}}
 *   {do: "letter", pick, verb, latest, from, as}       about a run that failed, or (now and then) another one
 *   {do: "cancel", pick}                               of a run that has not ended */
#include "base/clock.h"
#include "dispatch/approval.h"
#include "life.h"
#include "serve/letters.h"
#include "wire/approval_token.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RUNS_MOST = 500, LINK_MS = 3600000 };

struct candidate {
    struct bw_uid run;
    char path[BW_APPROVAL_STEP_MAX + 1];
    json_t *had; /* steps of it that have succeeded */
};
struct search {
    const json_t *approvals; /* steps with these ids; NULL: runs */
    int least, most;         /* states of runs */
    struct candidate *found;
    size_t count;
};

static bool add(void *arg, const struct bw_run *run)
{
    struct search *search = arg;
    if ((int)run->row.state < search->least || (int)run->row.state > search->most) return true;
    json_t *had = search->approvals ? NULL : json_array();
    for (size_t i = 0; i < run->row.step_count; i++) {
        const struct bw_step_row *step = &run->row.steps[i];
        if (!search->approvals && step->state == BW_STEP_SUCCEEDED) json_array_append_new(had, json_stringn(step->path.ptr, step->path.len));
        if (!search->approvals || step->path.len > BW_APPROVAL_STEP_MAX || search->count == RUNS_MOST) continue;
        struct candidate *candidate = &search->found[search->count];
        snprintf(candidate->path, sizeof candidate->path, "%.*s", (int)step->path.len, step->path.ptr);
        candidate->run = run->row.uid;
        if (json_object_get(search->approvals, candidate->path)) search->count++;
    }
    if (!search->approvals && search->count < RUNS_MOST) search->found[search->count++] = (struct candidate){.run = run->row.uid, .had = had};
    return true;
}

/* The one that the act picks. False: there is none. */
static bool pick(struct life *life, const json_t *act, struct search search, struct candidate *out)
{
    const struct bw_run_filter filter = {.limit = RUNS_MOST, .with_steps = true, .with_children = bw_json_bool(act, "children", false)};
    struct bw_error err;
    search.found = calloc(RUNS_MOST, sizeof *search.found);
    if (!search.found || !bw_reader_runs(life_reader(life), &filter, add, &search, &err)) _exit(70);
    if (search.count) *out = search.found[(size_t)bw_json_int(act, "pick", 0) % search.count];
    for (size_t i = 0; i < search.count; i++)
        if (search.found[i].had != out->had) json_decref(search.found[i].had);
    free(search.found);
    return search.count > 0;
}

/* ---- approvals ---- */

struct ballot {
    struct bw_approval_query query;
    struct life *life;
    const json_t *act;
};

static void voted(struct bw_approval_query *query)
{
    static const char *const answers[] = {"later", "open", "noted", "wrong", "decided", "gone"};
    struct ballot *ballot = (struct ballot *)query;
    char run[BW_UID_TEXT];
    life_did(ballot->life, ballot->act,
             json_pack("{s:s,s:s,s:s,s:s,s:b,s:b,s:O?}", "run", bw_uid_text(query->token.run, BW_UID_RUN, run), "step", query->token.step, "actor",
                       query->token.actor, "answer", answers[query->answer], "votes", query->votes, "new", query->is_new, "decision",
                       query->decision));
    bw_approval_query_clear(query);
    free(ballot);
}

void people_vote(struct life *life, const json_t *act)
{
    const json_t *approvals = json_object_get(life->plan, "approvals");
    struct candidate chosen = {0};
    struct ballot *ballot = calloc(1, sizeof *ballot);
    struct bw_buf link = {0};
    const uint8_t *key = bw_dispatch_approval_key(life->dispatch);
    if (!ballot) _exit(70);
    if (!pick(life, act, (struct search){approvals, 0, 99, NULL, 0}, &chosen)) {
        life_did(life, act, NULL);
        free(ballot);
        return;
    }
    const json_t *approval = json_object_get(approvals, chosen.path), *to = json_object_get(approval, "to"),
                 *choices = json_object_get(approval, "choices");
    const json_t *voter = json_array_size(to) ? json_array_get(to, (size_t)bw_json_int(act, "voter", 0) % json_array_size(to)) : NULL;
    bw_approval_token_append(&link, key, chosen.run, bw_slice_of(chosen.path), voter ? bw_json_slice(voter) : BW_SLICE(""), life->now_ms + LINK_MS);
    if (bw_json_bool(act, "forges", false)) link.data[link.len / 2] ^= 1;
    bool is_good = bw_approval_token_read(bw_buf_slice(&link), key, &ballot->query.token);
    bw_buf_free(&link);
    if (!is_good) {
        life_did(life, act, json_pack("{s:b}", "refused", true));
        free(ballot);
        return;
    }
    ballot->life = life;
    ballot->act = act;
    ballot->query.done = voted;
    ballot->query.votes = !bw_json_bool(act, "looks", false);
    snprintf(ballot->query.remote, sizeof ballot->query.remote, "127.0.0.%d", (int)bw_json_int(act, "voter", 0) + 1);
    ballot->query.given = json_pack("{s:O}", "choice", json_array_get(choices, (size_t)bw_json_int(act, "choice", 0) % json_array_size(choices)));
    bw_dispatch_ask_approval(life->dispatch, &ballot->query);
}

/* ---- letters ---- */

struct post {
    struct bw_store_op op;
    struct bw_letters letters;
    struct bw_letter_catalog catalog;
    struct bw_letter item;
    struct life *life;
    const json_t *act;
    json_t *had;
};

static void written(struct bw_store_op *op)
{
    struct post *post = op->owner; /* writer thread */
    char run[BW_UID_TEXT], replay[BW_UID_TEXT];
    bw_uid_text(post->item.replay, BW_UID_RUN, replay);
    life_did(post->life, post->act,
             json_pack("{s:s,s:s,s:s?,s:s?,s:b,s:o}", "run", bw_uid_text(post->item.run, BW_UID_RUN, run), "verb",
                       bw_letter_verb_name(post->letters.verb), "refused",
                       op->failed              ? op->error.code
                       : post->item.is_refused ? post->item.refusal.code
                                               : NULL,
                       "replay", post->letters.verb == BW_LETTER_REPLAY ? replay : NULL, "resumed", post->item.is_resumed, "had", post->had));
    bw_letter_catalog_free(&post->catalog);
    free(post);
}

void people_write(struct life *life, const json_t *act)
{
    const char *verb = bw_json_str(act, "verb", "");
    bool is_any = bw_json_bool(act, "any", false);
    struct candidate chosen = {0};
    struct bw_error err;
    struct post *post = calloc(1, sizeof *post);
    if (!post) _exit(70);
    if (!pick(life, act, (struct search){NULL, is_any ? 0 : BW_RUN_FAILED, is_any ? 99 : BW_RUN_FAILED, NULL, 0}, &chosen)) {
        life_did(life, act, NULL);
        free(post);
        return;
    }
    post->life = life;
    post->act = act;
    post->had = chosen.had;
    post->item = (struct bw_letter){.run = chosen.run, .replay = bw_uid_new(life->now_ms)};
    post->letters = (struct bw_letters){.actor = BW_SLICE("model"), .now_ms = life->now_ms, .items = &post->item, .count = 1};
    while (strcmp(bw_letter_verb_name(post->letters.verb), verb) != 0) post->letters.verb++;
    if (bw_json_bool(act, "latest", false)) {
        if (!bw_letter_catalog_make(&post->catalog, life->dispatch, &err)) _exit(70);
        bw_letter_catalog_apply(&post->catalog, &post->letters);
        if (post->letters.verb == BW_LETTER_REPLAY) post->letters.from = bw_json_slice(json_object_get(act, "from"));
    }
    post->op = (struct bw_store_op){.kind = BW_OP_LETTERS, .done = written, .owner = post, .letters = &post->letters};
    bw_store_submit(life->store, &post->op);
}

/* ---- cancelling ---- */

struct wish {
    struct life *life;
    const json_t *act;
    struct bw_uid run;
};

static void cancelled(void *arg, const char *state, const struct bw_error *err)
{
    struct wish *wish = arg;
    char run[BW_UID_TEXT];
    life_did(wish->life, wish->act,
             json_pack("{s:s,s:s?,s:s?}", "run", bw_uid_text(wish->run, BW_UID_RUN, run), "state", state, "refused", state ? NULL : err->code));
    free(wish);
}

void people_cancel(struct life *life, const json_t *act)
{
    struct candidate chosen = {0};
    struct wish *wish = calloc(1, sizeof *wish);
    if (!wish) _exit(70);
    if (!pick(life, act, (struct search){NULL, 0, BW_RUN_SUCCEEDED - 1, NULL, 0}, &chosen)) {
        life_did(life, act, NULL);
        free(wish);
        return;
    }
    json_decref(chosen.had);
    *wish = (struct wish){life, act, chosen.run};
    bw_dispatch_cancel(life->dispatch, chosen.run, "the model wants it", "model", cancelled, wish);
}
