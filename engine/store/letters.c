#include "base/suggest.h"
#include "store/admission.h"
#include "store/letters_apply.h"
#include "store/slots.h"
#include <stdio.h>
#include <string.h>

const char *bw_letter_verb_name(enum bw_letter_verb verb)
{
    static const char *const names[] = {"resume", "replay", "discard", "resolve"};
    return names[verb];
}

bool bw_letters_revive(struct bw_parking *parking, int64_t run_id, int64_t now_ms, struct bw_error *err)
{
    const struct bw_write_statements *sql = parking->sql;
    if (!bw_parking_end(parking, run_id, true, err)) return false; /* nothing of its first life is left */
    bw_sql_bind_int(BW_WRITE(sql, revive_steps), 1, run_id);
    bw_sql_bind_int(BW_WRITE(sql, revive_run), 1, run_id);
    bw_sql_bind_int(BW_WRITE(sql, revive_run), 2, now_ms);
    return bw_sql_run(BW_WRITE(sql, revive_steps), err) && bw_sql_run(BW_WRITE(sql, revive_run), err);
}

/* ---- may it? ---- */

bool bw_letter_refuse(struct bw_letter *letter, const char *code, const char *message, const char *hint)
{
    char run[BW_UID_TEXT];
    letter->is_refused = true;
    bw_error_set(&letter->refusal, code, "%s: %s", bw_uid_text(letter->run, BW_UID_RUN, run), message);
    if (hint) bw_error_hint(&letter->refusal, "%s", hint);
    return true;
}

static bool find(struct bw_parking *parking, struct bw_letter *letter, struct bw_letter_found *found, struct bw_error *err)
{
    sqlite3_stmt *row = BW_WRITE(parking->sql, find_letter);
    bool has_row;
    bw_sql_bind_blob(row, 1, letter->run.bytes, sizeof letter->run.bytes);
    if (!bw_sql_next(row, &has_row, err)) return false;
    if (!has_row) return bw_letter_refuse(letter, "run.unknown", "there is no such run", NULL);
    struct bw_slice workflow = bw_sql_column(row, 4), version = bw_sql_column(row, 5), error = bw_sql_column(row, 6);
    *found = (struct bw_letter_found){.id = sqlite3_column_int64(row, 0),
                                      .state = sqlite3_column_int(row, 1),
                                      .resolved = sqlite3_column_int(row, 2),
                                      .event_id = sqlite3_column_int64(row, 3),
                                      .is_child = sqlite3_column_int(row, 7) != 0,
                                      .parent = bw_sql_column_uid(row, 8),
                                      .is_alone = sqlite3_column_int(row, 9) != 0,
                                      .has_event = sqlite3_column_int(row, 10) != 0,
                                      .revision = (uint32_t)sqlite3_column_int64(row, 11)};
    snprintf(found->workflow, sizeof found->workflow, "%.*s", (int)workflow.len, workflow.ptr);
    snprintf(found->error, sizeof found->error, "%.*s", (int)error.len, error.ptr);
    if (version.len == sizeof found->version) memcpy(found->version, version.ptr, version.len);
    sqlite3_reset(row);
    return true;
}

static void check(struct bw_letter *letter, enum bw_letter_verb verb, const struct bw_letter_found *found)
{
    char message[160], hint[160], parent[BW_UID_TEXT];
    bool is_failed = found->state == BW_RUN_FAILED;
    bw_uid_text(found->parent, BW_UID_RUN, parent);
    if (verb == BW_LETTER_REPLAY ? found->state < BW_RUN_SUCCEEDED : !is_failed) {
        snprintf(message, sizeof message, "it is %s", bw_run_state_name((enum bw_run_state)found->state));
        bw_letter_refuse(letter, verb == BW_LETTER_REPLAY ? "run.not_ended" : "run.not_failed", message,
                         verb == BW_LETTER_REPLAY ? "a run is replayed when it has ended" : "only a run that failed is the dead letter of its event");
    } else if (is_failed && found->resolved && verb != BW_LETTER_REPLAY) {
        bw_letter_refuse(letter, "run.resolved", found->resolved == BW_REPLAYED ? "it was replayed" : "it was discarded",
                         "to run its event once more all the same: bellwire runs replay");
    } else if (verb == BW_LETTER_REPLAY && found->is_child) {
        snprintf(hint, sizeof hint, "replay the run that started it: %s", parent);
        bw_letter_refuse(letter, "run.child", "a step of another run has started it, so it has no event of its own", hint);
    } else if (verb == BW_LETTER_RESUME && !found->is_alone) {
        snprintf(hint, sizeof hint, "resume that run: %s", parent);
        bw_letter_refuse(letter, "run.child", "a step of another run has started it and has not succeeded", hint);
    } else if ((verb == BW_LETTER_RESUME || verb == BW_LETTER_REPLAY) && !found->has_event) {
        bw_letter_refuse(letter, "event.unknown", "its event is not there any more", NULL);
    }
}

/* ---- on another revision ---- */

static const struct bw_letter_workflow *find_workflow(const struct bw_letters *letters, struct bw_slice name)
{
    for (size_t i = 0; i < letters->workflow_count; i++)
        if (bw_slice_equal(letters->workflows[i].name, name)) return &letters->workflows[i];
    return NULL;
}

static bool has_step(const struct bw_letter_workflow *workflow, struct bw_slice path)
{
    for (size_t i = 0; i < workflow->step_count; i++)
        if (bw_slice_equal(workflow->steps[i], path)) return true;
    return false;
}

static bool refuse_workflow(struct bw_letter *letter, struct bw_slice name)
{
    char message[160];
    snprintf(message, sizeof message, "there is no workflow %.*s any more", (int)name.len, name.ptr);
    return bw_letter_refuse(letter, "workflow.unknown", message, "without --latest a run goes on as the version that it began with");
}

/* Everything that it has finished is still there: else what later steps read would be missing. */
static bool check_latest(struct bw_parking *parking, const struct bw_letters *letters, struct bw_letter *letter, const struct bw_letter_found *found,
                         struct bw_error *err)
{
    sqlite3_stmt *row = BW_WRITE(parking->sql, finished_steps);
    bw_sql_bind_int(row, 1, found->id);
    for (bool has_row;;) {
        if (!bw_sql_next(row, &has_row, err)) return false;
        if (!has_row) return true;
        struct bw_slice name = bw_sql_column(row, 0), path = bw_sql_column(row, 1);
        const struct bw_letter_workflow *workflow = find_workflow(letters, name);
        if (!workflow) {
            refuse_workflow(letter, name);
        } else if (path.len && !has_step(workflow, path)) {
            char message[240];
            snprintf(message, sizeof message, "it has finished the step %.*s, which the latest version of %s has not", (int)path.len, path.ptr,
                     workflow->name.ptr);
            bw_letter_refuse(letter, "version.step_missing", message, "give the step back its id, or use: bellwire runs replay");
        }
        if (letter->is_refused) return sqlite3_reset(row), true;
    }
}

/* It, or one that it would take up again. */
static bool check_undone(struct bw_parking *parking, struct bw_letter *letter, const struct bw_letter_found *found, struct bw_error *err)
{
    sqlite3_stmt *row = BW_WRITE(parking->sql, undone_step);
    bool has_row;
    bw_sql_bind_int(row, 1, found->id);
    if (!bw_sql_next(row, &has_row, err)) return false;
    if (!has_row) return true;
    sqlite3_reset(row);
    return bw_letter_refuse(letter, "run.undone", "what it had done was undone, so there is nothing to go on from", "use: bellwire runs replay");
}

static bool set_version(struct bw_parking *parking, const struct bw_letters *letters, const struct bw_letter_found *found, struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(parking->sql, set_version);
    const struct bw_letter_workflow *workflow = find_workflow(letters, bw_slice_of(found->workflow));
    bw_sql_bind_int(statement, 1, found->id);
    bw_sql_bind_blob(statement, 2, workflow->version, sizeof workflow->version);
    bw_sql_bind_int(statement, 3, letters->revision);
    return bw_sql_run(statement, err);
}

/* ---- the three verbs ---- */

bool bw_letter_audit(struct bw_parking *parking, const struct bw_letters *letters, struct bw_uid run, const char *verb, const char *detail,
                     struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(parking->sql, put_audit);
    char target[BW_UID_TEXT];
    bw_sql_bind_int(statement, 1, letters->now_ms);
    bw_sql_bind_text(statement, 2, letters->actor);
    bw_sql_bind_text(statement, 3, bw_slice_of(verb));
    bw_sql_bind_text(statement, 4, bw_slice_of(bw_uid_text(run, BW_UID_RUN, target)));
    bw_sql_bind_text_or_null(statement, 5, bw_slice_of(detail));
    return bw_sql_run(statement, err);
}

static bool resolve(struct bw_parking *parking, const struct bw_letters *letters, const struct bw_letter_found *found, enum bw_resolution how,
                    struct bw_error *err)
{
    bw_sql_bind_int(BW_WRITE(parking->sql, resolve_run), 1, found->id);
    bw_sql_bind_int(BW_WRITE(parking->sql, resolve_run), 2, how);
    bw_sql_bind_int(BW_WRITE(parking->sql, resolve_run), 3, letters->now_ms);
    return bw_sql_run(BW_WRITE(parking->sql, resolve_run), err) && bw_slots_resolved(parking, found->id, err) &&
           bw_slots_resolved_below(parking, found->id, err);
}

static bool resume(struct bw_parking *parking, const struct bw_letters *letters, struct bw_letter *letter, const struct bw_letter_found *found,
                   struct bw_error *err)
{
    char detail[160];
    if (!check_undone(parking, letter, found, err) || letter->is_refused) return letter->is_refused;
    if (!bw_letter_check_unknown(parking, letter, found->id, err) || letter->is_refused) return letter->is_refused;
    if (letters->revision && !check_latest(parking, letters, letter, found, err)) return false;
    if (letter->is_refused) return true;
    snprintf(detail, sizeof detail, "it had failed with %s%s", found->error[0] ? found->error : "no error",
             letters->revision ? "; goes on as the latest version" : "");
    if (letters->revision && !set_version(parking, letters, found, err)) return false;
    return bw_letters_revive(parking, found->id, letters->now_ms, err) && bw_admission_again(parking, found->id, 0, err) &&
           bw_letter_audit(parking, letters, letter->run, "resume", detail, err);
}

/* Who is asked again is told again: an approval begins with what notifies for it. */
static bool is_begin(struct bw_slice step, struct bw_slice from)
{
    static const char notify[] = "~notify";
    struct bw_slice rest = {step.ptr + from.len, step.len - from.len};
    return step.len >= from.len && !memcmp(step.ptr, from.ptr, from.len) && (!rest.len || bw_slice_is(rest, notify));
}

static bool copy_steps(struct bw_parking *parking, const struct bw_letter_workflow *workflow, struct bw_slice from, int64_t old_id, int64_t new_id,
                       struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(parking->sql, copy_step);
    for (size_t i = 0; i < workflow->own_count && !is_begin(workflow->steps[i], from); i++) {
        bw_sql_bind_int(statement, 1, new_id);
        bw_sql_bind_int(statement, 2, old_id);
        bw_sql_bind_text(statement, 3, workflow->steps[i]);
        bw_sql_bind_int(statement, 4, (int64_t)i);
        if (!bw_sql_run(statement, err)) return false;
    }
    return true;
}

static bool may_begin_with(struct bw_letter *letter, const struct bw_letter_workflow *workflow, struct bw_slice from)
{
    const char *names[64];
    char message[200], hint[120];
    size_t count = 0, i = 0;
    while (i < workflow->own_count && !bw_slice_equal(workflow->steps[i], from)) i++;
    if (!from.len || i < workflow->own_count) return true;
    if (has_step(workflow, from)) {
        snprintf(message, sizeof message, "no run begins with the step %.*s: it stands inside of a foreach, or after the end", (int)from.len,
                 from.ptr);
        return !bw_letter_refuse(letter, "step.inside", message, "--from takes one of the steps of the run itself");
    }
    for (i = 0; i < workflow->own_count && count < sizeof names / sizeof *names; i++) names[count++] = workflow->steps[i].ptr;
    const char *near = bw_suggest(from, names, count);
    snprintf(message, sizeof message, "the workflow %s has no step %.*s", workflow->name.ptr, (int)from.len, from.ptr);
    if (near) snprintf(hint, sizeof hint, "did you mean '%s'?", near);
    return !bw_letter_refuse(letter, "step.unknown", message, near ? hint : NULL);
}

/* What is copied is known; else the new run would do it again, behind its own first step. */
static bool check_copied(struct bw_parking *parking, const struct bw_letter_workflow *workflow, struct bw_slice from, struct bw_letter *letter,
                         int64_t run_id, struct bw_error *err)
{
    for (size_t i = 0; i < workflow->own_count && !is_begin(workflow->steps[i], from); i++) {
        int state;
        if (!bw_letter_step_state(parking, run_id, workflow->steps[i], &state, err)) return false;
        if (state == BW_STEP_UNKNOWN || state == BW_STEP_STARTED) return bw_letter_refuse_unknown(letter, letter->run, workflow->steps[i]);
    }
    return true;
}

static bool replay(struct bw_parking *parking, const struct bw_letters *letters, struct bw_letter *letter, const struct bw_letter_found *found,
                   struct bw_error *err)
{
    sqlite3_stmt *statement = BW_WRITE(parking->sql, insert_replay);
    const struct bw_letter_workflow *workflow = letters->revision ? find_workflow(letters, bw_slice_of(found->workflow)) : NULL;
    char uid[BW_UID_TEXT], detail[120];
    if (letters->revision && !workflow) return refuse_workflow(letter, bw_slice_of(found->workflow));
    if (workflow && !may_begin_with(letter, workflow, letters->from)) return true;
    if (workflow && letters->from.len && (!check_copied(parking, workflow, letters->from, letter, found->id, err) || letter->is_refused))
        return letter->is_refused;
    bw_sql_bind_blob(statement, 1, letter->replay.bytes, sizeof letter->replay.bytes);
    bw_sql_bind_int(statement, 2, found->event_id);
    bw_sql_bind_text(statement, 3, bw_slice_of(found->workflow));
    bw_sql_bind_blob(statement, 4, workflow ? workflow->version : found->version, sizeof found->version);
    bw_sql_bind_int(statement, 5, letters->now_ms);
    bw_sql_bind_int(statement, 6, letters->revision ? letters->revision : found->revision);
    bw_sql_bind_blob(statement, 7, letter->run.bytes, sizeof letter->run.bytes);
    if (!bw_sql_run(statement, err)) return false;
    int64_t new_id = sqlite3_last_insert_rowid(sqlite3_db_handle(statement));
    if (workflow && letters->from.len && !copy_steps(parking, workflow, letters->from, found->id, new_id, err)) return false;
    snprintf(detail, sizeof detail, "as %s%s%.*s", bw_uid_text(letter->replay, BW_UID_RUN, uid), letters->from.len ? " from step " : "",
             (int)(letters->from.len < 64 ? letters->from.len : 64), letters->from.len ? letters->from.ptr : "");
    return bw_admission_again(parking, new_id, found->id, err) && resolve(parking, letters, found, BW_REPLAYED, err) &&
           bw_letter_audit(parking, letters, letter->run, "replay", detail, err);
}

static bool discard(struct bw_parking *parking, const struct bw_letters *letters, struct bw_letter *letter, const struct bw_letter_found *found,
                    struct bw_error *err)
{
    return resolve(parking, letters, found, BW_DISCARDED, err) && bw_letter_audit(parking, letters, letter->run, "discard", "", err);
}

/* What is known now, and then it goes on if it may. */
static bool resolve_step(struct bw_parking *parking, const struct bw_letters *letters, struct bw_letter *letter, const struct bw_letter_found *found,
                         struct bw_error *err)
{
    struct bw_letter again = {.run = letter->run};
    letter->is_resumed = false;
    if (!bw_letter_resolve(parking, letters, letter, found, err)) return false;
    if (letter->is_refused || letters->resolution == BW_STEP_HAS_FAILED) return true;
    check(&again, BW_LETTER_RESUME, found);
    if (!again.is_refused && !resume(parking, letters, &again, found, err)) return false;
    letter->is_resumed = !again.is_refused;
    letter->refusal = again.refusal;
    return true;
}

bool bw_letters_apply(struct bw_parking *parking, struct bw_letters *letters, struct bw_error *err)
{
    for (size_t i = 0; i < letters->count; i++) {
        struct bw_letter *letter = &letters->items[i];
        struct bw_letter_found found = {0};
        bool good = true;
        letter->is_refused = false; /* it may be the second time, after a rollback */
        if (!find(parking, letter, &found, err)) return false;
        if (!letter->is_refused) check(letter, letters->verb, &found);
        if (letter->is_refused) continue;
        switch (letters->verb) {
        case BW_LETTER_RESUME: good = resume(parking, letters, letter, &found, err); break;
        case BW_LETTER_REPLAY: good = replay(parking, letters, letter, &found, err); break;
        case BW_LETTER_DISCARD: good = discard(parking, letters, letter, &found, err); break;
        case BW_LETTER_RESOLVE: good = resolve_step(parking, letters, letter, &found, err); break;
        }
        if (!good) return false;
        if (!letter->is_refused) parking->letters++;
    }
    return true;
}
