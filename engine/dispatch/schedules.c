/* Cron rules of the current revision: what is due becomes an event for its workflow alone. The event and "accounted for until then" are one
 * transaction, so a firing is neither lost nor done twice, whatever crashes. */
#include "base/clock.h"
#include "base/log.h"
#include "dispatch/internal.h"
#include "schedule/cron.h"
#include "workflow/model.h"
#include <stdlib.h>
#include <string.h>

#define ON_TIME_MS 60000 /* what is later than that was missed */
#define AT_ONCE 100      /* firings of one watch */
#define DEDUPE_WINDOW_MS (3 * 86400000LL)

struct schedule {
    char *workflow, *rule; /* rule: "CRON|ZONE" */
    struct bw_cron cron;
    struct bw_zone *zone;
    enum bw_missed missed;
    int64_t max_age_ms, last_ms;
    struct bw_firing next;
    bool has_next;
};
struct bw_schedules {
    struct bw_dispatch *dispatch;
    struct schedule *list;
    size_t count;
    json_t *known;         /* {workflow: {rule: last_ms}}, of all that ever were */
    int64_t not_before_us; /* after a full disk */
};

/* One firing, or the first sight of a schedule, on its way to the disk. */
struct stored {
    struct bw_accepted accepted; /* first: release() frees the whole */
    struct bw_mail mail;
    struct bw_store_op op;
    struct bw_dispatch *dispatch;
    struct bw_binding binding;
    char *text;
};

static bool keep_known(void *arg, const struct bw_schedule_row *row)
{
    json_t *known = arg, *rules;
    char *workflow = bw_slice_dup(row->workflow), *rule = bw_slice_dup(row->rule);
    if (workflow && rule) {
        if (!(rules = json_object_get(known, workflow))) json_object_set_new(known, workflow, rules = json_object());
        json_object_set_new(rules, rule, json_integer(row->last_ms));
    }
    free(workflow);
    free(rule);
    return true;
}

static int64_t known_ms(const struct bw_schedules *schedules, const struct schedule *schedule)
{
    return bw_json_int(json_object_get(schedules->known, schedule->workflow), schedule->rule, 0);
}

static void remember(struct bw_schedules *schedules, const struct schedule *schedule)
{
    keep_known(schedules->known, &(struct bw_schedule_row){bw_slice_of(schedule->workflow), bw_slice_of(schedule->rule), schedule->last_ms});
}

struct bw_schedules *bw_schedules_new(struct bw_dispatch *dispatch, struct bw_error *err)
{
    struct bw_schedules *schedules = calloc(1, sizeof *schedules);
    if (!schedules || !(schedules->known = json_object())) {
        free(schedules);
        bw_error_set(err, "memory", "out of memory");
        return NULL;
    }
    schedules->dispatch = dispatch;
    if (bw_reader_schedules(dispatch->reader, keep_known, schedules->known, err)) return schedules;
    bw_schedules_free(schedules);
    return NULL;
}

static void free_list(struct schedule *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(list[i].workflow);
        free(list[i].rule);
        bw_zone_close(list[i].zone);
    }
    free(list);
}

void bw_schedules_free(struct bw_schedules *schedules)
{
    if (!schedules) return;
    free_list(schedules->list, schedules->count);
    json_decref(schedules->known);
    free(schedules);
}

/* ---- to the disk ---- */

static void release(struct bw_accepted *accepted)
{
    struct stored *stored = (struct stored *)accepted;
    free(stored->text);
    free(stored);
}

static struct stored *stored_new(struct bw_schedules *schedules, const struct schedule *schedule)
{
    struct stored *stored = calloc(1, sizeof *stored);
    if (!stored) return NULL;
    stored->dispatch = schedules->dispatch;
    stored->mail.kind = BW_MAIL_SCHEDULE;
    stored->accepted.release = release;
    atomic_init(&stored->accepted.references, 2); /* ours, and the job's */
    if (asprintf(&stored->text, "%s%c%s", schedule->workflow, 0, schedule->rule) < 0) {
        free(stored);
        return NULL;
    }
    stored->op.owner = stored;
    stored->op.schedule = (struct bw_schedule_row){
        {stored->text, strlen(schedule->workflow)}, {stored->text + strlen(schedule->workflow) + 1, strlen(schedule->rule)}, schedule->last_ms};
    return stored;
}

static void on_stored(struct bw_store_op *op)
{
    struct stored *stored = op->owner; /* writer thread */
    stored->accepted.event_id = op->event_id;
    if (op->kind == BW_OP_ACCEPT && !op->failed && !op->is_duplicate)
        bw_dispatch_post(stored->dispatch, &stored->accepted);
    else
        bw_accepted_unref(&stored->accepted);
    bw_mailbox_post(stored->dispatch->mailbox, &stored->mail);
}

void bw_schedules_stored(struct bw_mail *mail)
{
    struct stored *stored = (struct stored *)((char *)mail - offsetof(struct stored, mail));
    struct bw_schedules *schedules = stored->dispatch->schedules;
    const struct bw_schedule_row *row = &stored->op.schedule;
    if (stored->op.failed && strcmp(stored->op.error.code, "store.full") != 0) {
        bw_dispatch_fail(stored->dispatch, &stored->op.error);
    } else if (stored->op.failed && schedules) { /* it fires again when there is room */
        bw_log_error(BW_LOG_ERROR, "dispatch.disk_full", &stored->op.error);
        schedules->not_before_us = bw_clock_mono_us() + 500000;
        for (size_t i = 0; i < schedules->count; i++) {
            struct schedule *schedule = &schedules->list[i];
            if (!bw_slice_is(row->workflow, schedule->workflow) || !bw_slice_is(row->rule, schedule->rule) || schedule->last_ms < row->last_ms)
                continue;
            schedule->last_ms = row->last_ms - 1;
            schedule->has_next = bw_cron_next(&schedule->cron, schedule->zone, schedule->last_ms, &schedule->next);
        }
    }
    bw_accepted_unref(&stored->accepted);
}

static bool store_position(struct bw_schedules *schedules, const struct schedule *schedule)
{
    struct stored *stored = stored_new(schedules, schedule);
    if (!stored) return false;
    stored->op.kind = BW_OP_SCHEDULE;
    stored->op.done = on_stored;
    bw_store_submit(schedules->dispatch->options.store, &stored->op);
    return true;
}

/* ---- the rules of a revision ---- */

static bool make_one(struct bw_schedules *schedules, const char *workflow, const json_t *from, struct schedule *schedule)
{
    const char *cron = bw_json_str(from, "cron", ""), *zone = bw_json_str(from, "tz", "UTC");
    struct bw_error err;
    *schedule =
        (struct schedule){.missed = (enum bw_missed)bw_json_int(from, "missed", BW_MISSED_LATEST), .max_age_ms = bw_json_int(from, "max_age_ms", 0)};
    if (!(schedule->workflow = strdup(workflow)) || asprintf(&schedule->rule, "%s|%s", cron, zone) < 0) {
        schedule->rule = NULL;
        return false;
    }
    /* Both were tried by the worker that loaded the workflow; a zone may have gone from the disk since. */
    if (!bw_cron_parse(bw_slice_of(cron), &schedule->cron, &err) || !(schedule->zone = bw_zone_open(bw_slice_of(zone), &err))) {
        bw_log_error(BW_LOG_ERROR, "schedule.broken", &err);
        return true;
    }
    schedule->last_ms = known_ms(schedules, schedule);
    bool is_new = !schedule->last_ms;
    if (is_new) schedule->last_ms = bw_clock_wall_ms(); /* nothing was missed before it was there */
    schedule->has_next = bw_cron_next(&schedule->cron, schedule->zone, schedule->last_ms, &schedule->next);
    remember(schedules, schedule);
    return !is_new || store_position(schedules, schedule);
}

bool bw_schedules_set(struct bw_schedules *schedules, const json_t *workflows)
{
    size_t index, inner, total = 0, count = 0;
    json_t *workflow, *from;
    json_array_foreach(workflows, index, workflow) total += json_array_size(json_object_get(workflow, "schedules"));
    struct schedule *list = calloc(total + 1, sizeof *list);
    bool good = list != NULL;
    for (size_t i = 0; i < schedules->count; i++) remember(schedules, &schedules->list[i]);
    json_array_foreach(workflows, index, workflow) json_array_foreach(json_object_get(workflow, "schedules"), inner, from)
    {
        if (good) good = make_one(schedules, bw_json_str(workflow, "name", ""), from, &list[count++]);
    }
    if (!good) {
        free_list(list, count);
        return false;
    }
    free_list(schedules->list, schedules->count);
    schedules->list = list;
    schedules->count = count;
    return true;
}

/* ---- firing ---- */

static bool fire(struct bw_schedules *schedules, struct schedule *schedule, const struct bw_firing *firing, uint64_t missed)
{
    struct bw_dispatch *dispatch = schedules->dispatch;
    struct bw_buf text = {0};
    int64_t before_ms = schedule->last_ms;
    schedule->last_ms = firing->at_ms;
    struct stored *stored = stored_new(schedules, schedule);
    if (!stored) {
        schedule->last_ms = before_ms;
        return false;
    }
    size_t workflow_len = strlen(schedule->workflow), rule_at = workflow_len + 1;
    bw_buf_append(&text, stored->text, rule_at + strlen(schedule->rule) + 1);
    size_t body_at = text.len;
    bw_buf_printf(&text, "{\"at\":%lld,\"nominal\":\"%s\",\"missed\":%llu,\"cron\":", (long long)firing->at_ms, firing->nominal,
                  (unsigned long long)missed);
    bw_buf_append_json_string(&text, (struct bw_slice){schedule->rule, (size_t)(strrchr(schedule->rule, '|') - schedule->rule)});
    bw_buf_printf(&text, ",\"tz\":\"%s\"}", bw_zone_name(schedule->zone));
    size_t name_at = text.len;
    bw_buf_printf(&text, "schedule.%s", schedule->workflow);
    size_t source_at = text.len;
    bw_buf_printf(&text, "schedule/%s", schedule->workflow);
    size_t key_at = text.len;
    bw_buf_printf(&text, "%s|%s", schedule->rule, firing->nominal);
    size_t end = text.len;
    free(stored->text);
    if (!(stored->text = text.data) || text.failed) {
        release(&stored->accepted);
        schedule->last_ms = before_ms;
        return false;
    }
    struct bw_accepted *event = &stored->accepted;
    event->at_ms = bw_clock_wall_ms();
    event->uid = bw_uid_new(event->at_ms);
    event->trusted = true;
    event->headers = BW_SLICE("{}");
    event->workflow = (struct bw_slice){stored->text, workflow_len};
    event->body = (struct bw_slice){stored->text + body_at, name_at - body_at};
    event->name = (struct bw_slice){stored->text + name_at, source_at - name_at};
    event->source = (struct bw_slice){stored->text + source_at, key_at - source_at};
    bw_awaits_bind(&dispatch->awaits, event->name, event->body, &stored->binding);
    event->revision = dispatch->revision;
    stored->op = (struct bw_store_op){
        .kind = BW_OP_ACCEPT,
        .done = on_stored,
        .owner = stored,
        .schedule = {event->workflow, {stored->text + rule_at, strlen(schedule->rule)}, firing->at_ms},
        .delivery = {.at_ms = event->at_ms,
                     .source = event->source,
                     .status = 202,
                     .outcome = BW_OUTCOME_ACCEPTED,
                     .provider_id = {stored->text + key_at, end - key_at},
                     .bytes = (uint32_t)event->body.len},
        .event = {.uid = event->uid,
                  .at_ms = event->at_ms,
                  .revision = event->revision,
                  .source = event->source,
                  .name = event->name,
                  .trusted = true,
                  .headers = event->headers,
                  .body = event->body,
                  .workflow = event->workflow,
                  .keys = stored->binding.keys,
                  .key_count = stored->binding.key_count,
                  .dedupe_key = {stored->text + key_at, end - key_at},
                  .dedupe_expire_ms = event->at_ms + DEDUPE_WINDOW_MS},
    };
    bw_log(BW_LOG_INFO, "schedule.fired", BW_STR("workflow", schedule->workflow), BW_STR("nominal", firing->nominal), BW_INT("missed", missed));
    bw_store_submit(dispatch->options.store, &stored->op);
    return true;
}

static void leave_out(struct bw_schedules *schedules, struct schedule *schedule, int64_t until_ms, uint64_t count)
{
    bw_log(BW_LOG_WARN, "schedule.left_out", BW_STR("workflow", schedule->workflow), BW_STR("rule", schedule->rule), BW_INT("firings", count),
           BW_STR("message", "they came while nobody served, and `missed` or `max_age` leaves them out"));
    schedule->last_ms = until_ms;
    store_position(schedules, schedule);
}

/* What is due of one schedule: on time, or by its policy. */
static bool catch_up(struct bw_schedules *schedules, struct schedule *schedule, int64_t now_ms)
{
    struct bw_firing newest;
    uint64_t missed;
    bool is_late = now_ms - schedule->next.at_ms > ON_TIME_MS;
    if (!is_late) return fire(schedules, schedule, &schedule->next, 0);
    if (!bw_cron_latest(&schedule->cron, schedule->zone, schedule->last_ms, now_ms, &newest, &missed)) return false;
    if (schedule->missed == BW_MISSED_SKIP) {
        leave_out(schedules, schedule, newest.at_ms, missed);
    } else if (schedule->missed == BW_MISSED_ALL) {
        struct bw_firing too_old;
        uint64_t old_count;
        if (bw_cron_latest(&schedule->cron, schedule->zone, schedule->last_ms, now_ms - schedule->max_age_ms - 1, &too_old, &old_count))
            leave_out(schedules, schedule, too_old.at_ms, old_count);
        else
            return fire(schedules, schedule, &schedule->next, 0);
    } else if (now_ms - newest.at_ms > schedule->max_age_ms) {
        leave_out(schedules, schedule, newest.at_ms, missed);
    } else {
        return fire(schedules, schedule, &newest, missed - 1);
    }
    return true;
}

void bw_schedules_watch(struct bw_schedules *schedules)
{
    const struct bw_dispatch *dispatch = schedules->dispatch;
    int64_t now_ms = bw_clock_wall_ms();
    size_t fired = 0;
    if (dispatch->is_draining || dispatch->is_failed || bw_clock_mono_us() < schedules->not_before_us) return;
    for (size_t i = 0; i < schedules->count; i++) {
        struct schedule *schedule = &schedules->list[i];
        while (schedule->has_next && schedule->next.at_ms <= now_ms && fired++ < AT_ONCE) {
            if (!catch_up(schedules, schedule, now_ms)) return; /* no memory: next time */
            schedule->has_next = bw_cron_next(&schedule->cron, schedule->zone, schedule->last_ms, &schedule->next);
        }
    }
}
