/* What is asked about approvals: a reading for those who look, a vote in the store for those who decide. */
#include "base/clock.h"
#include "base/log.h"
#include "base/schema.h"
#include "dispatch/approval.h"
#include "dispatch/internal.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BY_BYTES_MAX 200

void bw_approval_query_clear(struct bw_approval_query *query)
{
    json_decref(query->given);
    json_decref(query->question);
    json_decref(query->decision);
    json_decref(query->tally);
    bw_buf_free(&query->form);
}

/* ---- what the store says ---- */

static json_t *decision_of(struct bw_slice choice, struct bw_slice by, int64_t at_ms, struct bw_slice form)
{
    json_t *values = form.len ? bw_json_load(form, NULL) : NULL;
    return json_pack("{s:s%,s:s%,s:I,s:o}", "choice", choice.ptr, choice.len, "by", by.ptr, by.len, "at", (json_int_t)at_ms, "form",
                     values ? values : json_object());
}

/* Of a step that has ended: its output, unless the workflow made something else of it. */
static json_t *recorded_decision(const struct bw_approval *approval)
{
    json_t *output = approval->output.len ? bw_json_load(approval->output, NULL) : NULL;
    if (approval->step_state == BW_STEP_SUCCEEDED && json_is_string(json_object_get(output, "choice")) &&
        json_is_string(json_object_get(output, "by")) && json_is_integer(json_object_get(output, "at"))) {
        json_object_del(output, "votes"); /* what others have written is not for everybody who has a link */
        return output;
    }
    json_decref(output);
    if (approval->vote.choice.len) return decision_of(approval->vote.choice, approval->vote.by, approval->vote.at_ms, approval->vote.form);
    return decision_of(BW_SLICE(""), BW_SLICE("timeout"), 0, (struct bw_slice){0});
}

static bool is_question(const json_t *question)
{
    return json_is_string(json_object_get(question, "message")) && json_array_size(json_object_get(question, "choices")) &&
           json_is_object(json_object_get(question, "form"));
}

/* Only who is asked, if it says who. */
static bool is_asked(const struct bw_approval_query *query)
{
    const json_t *to = json_object_get(query->question, "to");
    size_t index;
    json_t *name;
    json_array_foreach(to, index, name) if (bw_slice_is(bw_json_slice(name), query->token.actor)) return true;
    return !to;
}

static bool see(void *arg, const struct bw_approval *approval)
{
    struct bw_approval_query *query = arg;
    bool is_waiting = approval->step_state == BW_STEP_WAITING;
    bool is_over = approval->run_state >= BW_RUN_SUCCEEDED || approval->is_ending || approval->step_state > BW_STEP_SUCCEEDED;
    if (approval->step_state == BW_STEP_SUCCEEDED || (is_waiting && approval->wake == BW_WAKE_VOTE)) {
        query->answer = BW_APPROVAL_DECIDED;
        query->decision = recorded_decision(approval);
        if (approval->is_sensitive) json_object_set_new(query->decision, "form", json_object());
    } else if (is_over) {
        query->answer = BW_APPROVAL_GONE;
    } else if (is_waiting && !approval->wake) {
        query->question = bw_json_load(approval->output, NULL);
        query->due_ms = approval->due_ms;
        query->is_sensitive = approval->is_sensitive;
        bool is_good = is_question(query->question) && is_asked(query); /* else another version of the workflow has another step there */
        query->answer = is_good ? BW_APPROVAL_OPEN : BW_APPROVAL_GONE;
        if (is_good && approval->own.choice.len) {
            query->answer = BW_APPROVAL_NOTED;
            query->decision = decision_of(approval->own.choice, approval->own.by, approval->own.at_ms,
                                          approval->is_sensitive ? (struct bw_slice){0} : approval->own.form);
            query->tally = bw_json_load(approval->tally, NULL);
        }
    }
    return false;
}

static void look(struct bw_approval_query *query)
{
    struct bw_error err;
    bool found;
    query->answer = BW_APPROVAL_LATER;
    if (!bw_reader_approval(query->dispatch->reader, query->token.run, bw_slice_of(query->token.step), bw_slice_of(query->token.actor), see, query,
                            &found, &err))
        bw_log_error(BW_LOG_WARN, "dispatch.approval", &err);
    else if (!found)
        query->answer = BW_APPROVAL_GONE;
}

/* ---- what was given ---- */

static bool wrong(struct bw_approval_query *query, const char *code, const char *message)
{
    query->answer = BW_APPROVAL_WRONG;
    return bw_error_set(&query->error, code, "%s", message);
}

static bool check_choice(struct bw_approval_query *query)
{
    const json_t *given = json_object_get(query->given, "choice");
    struct bw_buf names = {0};
    size_t index;
    json_t *choice;
    json_array_foreach(json_object_get(query->question, "choices"), index, choice)
    {
        if (given && json_equal(choice, given)) {
            query->vote.choice = bw_json_slice(choice);
            bw_buf_free(&names);
            return true;
        }
        bw_buf_printf(&names, "%s%s", index ? ", " : "choice must be one of: ", json_string_value(choice));
    }
    wrong(query, "approval.choice", names.data ? names.data : "choice is none of the choices");
    bw_buf_free(&names);
    return false;
}

/* Who decides is known by the link, or says so, or is known by the address. */
static bool check_by(struct bw_approval_query *query)
{
    const json_t *given = json_object_get(query->given, "by");
    struct bw_slice by = bw_json_slice(given);
    if (given && !json_is_string(given) && !json_is_null(given)) return wrong(query, "approval.by", "by must be a text");
    while (by.len && by.ptr[0] == ' ') by.ptr++, by.len--;
    while (by.len && by.ptr[by.len - 1] == ' ') by.len--;
    if (by.len > BY_BYTES_MAX) return wrong(query, "approval.by", "by must have at most 200 bytes");
    for (size_t i = 0; i < by.len; i++)
        if ((unsigned char)by.ptr[i] < 0x20 || by.ptr[i] == 0x7f) return wrong(query, "approval.by", "by must be in one line");
    if (*query->token.actor && by.len && !bw_slice_is(by, query->token.actor))
        return wrong(query, "approval.by", "this link is that of somebody else: leave `by` out");
    query->vote.by = *query->token.actor ? bw_slice_of(query->token.actor) : by.len ? by : bw_slice_of(query->remote);
    return true;
}

static json_t *number_of(const char *text, bool may_be_real)
{
    char *end;
    if (strspn(text, "+-0123456789.eE") != strlen(text)) return NULL; /* no blanks, nothing hexadecimal, no infinity */
    errno = 0;
    long long integer = strtoll(text, &end, 10);
    if (!errno && end != text && !*end) return json_integer(integer);
    errno = 0;
    double real = strtod(text, &end);
    return may_be_real && !errno && end != text && !*end ? json_real(real) : NULL;
}

/* A text as the schema wants it; NULL: as if it had been left out. What does not fit stays a text: then the schema says what is wrong. */
static json_t *typed(const json_t *schema, json_t *value)
{
    const char *type = bw_json_str(schema, "type", "any"), *text = json_string_value(value);
    const json_t *choices = json_object_get(schema, "enum");
    bool is_plain_text = !strcmp(type, "string") && !choices && !json_object_get(schema, "format") && !bw_json_bool(schema, "required", false);
    json_t *made = NULL, *choice;
    size_t index;
    if (!text) return json_incref(value);
    if (!*text && !is_plain_text) return NULL;
    json_array_foreach(choices, index, choice)
    {
        struct bw_buf spelled = {0};
        bw_json_append(&spelled, choice);
        bool is_it = json_is_string(choice) ? json_equal(choice, value) : bw_slice_is(bw_buf_slice(&spelled), text);
        bw_buf_free(&spelled);
        if (is_it) return json_incref(choice);
    }
    if (!strcmp(type, "integer") || !strcmp(type, "number")) made = number_of(text, !strcmp(type, "number"));
    if (!strcmp(type, "boolean") && (!strcmp(text, "true") || !strcmp(text, "false"))) made = json_boolean(*text == 't');
    return made ? made : json_incref(value);
}

static json_t *typed_form(const json_t *fields, const json_t *given)
{
    json_t *values = json_object(), *value, *made;
    const char *name;
    json_object_foreach((json_t *)given, name, value)
    {
        const json_t *schema = json_object_get(fields, name);
        made = schema ? typed(schema, value) : json_incref(value);
        if (made) json_object_set_new(values, name, made);
    }
    return values;
}

static bool check_form(struct bw_approval_query *query)
{
    const json_t *fields = json_object_get(query->question, "form"), *given = json_object_get(query->given, "form");
    if (given && !json_is_object(given)) return wrong(query, "form.type", "form must be an object");
    json_t *values = query->has_texts ? typed_form(fields, given) : given ? json_deep_copy(given) : json_object();
    struct bw_schema *schema = bw_schema_load(fields, &query->error);
    bool good = schema && values && bw_schema_check(schema, values, false, "form", &query->error);
    if (good) bw_json_append(&query->form, values);
    if (!good) query->answer = BW_APPROVAL_WRONG;
    bw_schema_free(schema);
    json_decref(values);
    query->vote.form = bw_buf_slice(&query->form);
    return good;
}

/* ---- the vote ---- */

static void on_voted(struct bw_store_op *op)
{
    struct bw_approval_query *query = op->owner; /* writer thread */
    bw_mailbox_post(query->dispatch->mailbox, &query->mail);
}

static void submit(struct bw_approval_query *query)
{
    query->is_submitted = true;
    query->vote.run = query->token.run;
    query->vote.step = bw_slice_of(query->token.step);
    query->vote.remote = bw_slice_of(query->remote);
    query->vote.at_ms = bw_clock_wall_ms();
    query->op = (struct bw_store_op){.kind = BW_OP_VOTE, .done = on_voted, .owner = query, .vote = &query->vote};
    bw_store_submit(query->dispatch->options.store, &query->op);
}

static void voted(struct bw_approval_query *query)
{
    const struct bw_vote *vote = &query->vote;
    query->answer = BW_APPROVAL_LATER;
    if (query->op.failed) {
        bw_log_error(BW_LOG_WARN, "dispatch.vote", &query->op.error);
        return;
    }
    char run[BW_UID_TEXT];
    if (vote->is_counted)
        bw_log(BW_LOG_INFO, vote->decides ? "approval.decided" : "approval.voted", BW_STR("run", bw_uid_text(vote->run, BW_UID_RUN, run)),
               BW_SLC("step", vote->step), BW_SLC("choice", vote->choice), BW_SLC("remote", vote->remote));
    if (vote->decides) {
        query->answer = BW_APPROVAL_DECIDED;
        query->is_new = true;
        query->decision = decision_of(vote->choice, vote->by, vote->at_ms, query->is_sensitive ? (struct bw_slice){0} : vote->form);
        return;
    }
    json_decref(query->question); /* how does it stand, with this one or with what came before it? */
    query->question = NULL;
    if (query->dispatch->is_stopped) return;
    look(query);
    if (query->answer == BW_APPROVAL_OPEN) query->answer = BW_APPROVAL_LATER;
    query->is_new = vote->is_counted && query->answer == BW_APPROVAL_NOTED;
}

void bw_approvals_mail(struct bw_mail *mail)
{
    struct bw_approval_query *query = (struct bw_approval_query *)((char *)mail - offsetof(struct bw_approval_query, mail));
    struct bw_dispatch *dispatch = query->dispatch;
    if (query->is_submitted) {
        voted(query);
    } else if (dispatch->is_stopped || dispatch->is_failed || !dispatch->reader) {
        query->answer = BW_APPROVAL_LATER;
    } else {
        look(query);
        if (query->votes && query->answer == BW_APPROVAL_OPEN && check_choice(query) && check_by(query) && check_form(query)) {
            submit(query);
            return; /* once more when it is on disk */
        }
    }
    query->done(query);
}

void bw_dispatch_ask_approval(struct bw_dispatch *dispatch, struct bw_approval_query *query)
{
    query->dispatch = dispatch;
    query->mail.kind = BW_MAIL_APPROVAL;
    bw_mailbox_post(dispatch->mailbox, &query->mail);
}

/* ---- links ---- */

bool bw_approvals_open(struct bw_dispatch *dispatch, struct bw_error *err)
{
    struct bw_store_op op = {.kind = BW_OP_KEY};
    struct bw_buf url = {0};
    if (!bw_store_submit_wait(dispatch->options.store, &op, err)) return false;
    memcpy(dispatch->approval_key, op.key, sizeof dispatch->approval_key);
    bw_config_public_url(dispatch->options.config, 0, &url);
    dispatch->public_url = bw_buf_take(&url, NULL);
    return dispatch->public_url || bw_error_set(err, "memory", "out of memory");
}

const uint8_t *bw_dispatch_approval_key(const struct bw_dispatch *dispatch)
{
    return dispatch->approval_key;
}

void bw_dispatch_set_public_url(struct bw_dispatch *dispatch, const char *url)
{
    char *copy = bw_slice_dup(bw_slice_of(url));
    struct bw_run_worker *worker;
    if (!copy) return;
    free(dispatch->public_url);
    dispatch->public_url = copy;
    json_t *head = json_pack("{s:s}", "public_url", url);
    TAILQ_FOREACH(worker, &dispatch->workers, link) bw_channel_send_json(worker->channel, BW_MSG_PUBLIC_URL, head, NULL, 0);
    json_decref(head);
}
