#include "cmd/why_delivery.h"
#include "base/units.h"
#include "cmd/setup.h"
#include <stdio.h>

#define SHOWN_MAX 5      /* of those that came again */
#define COUNTED_MAX 1000 /* more are "at least" so many */

struct asked {
    struct bw_reader *reader;
    bool as_json;
    struct bw_uid *event;
    struct bw_error *err;
};

static bool note_time(void *arg, const struct bw_event *event)
{
    *(int64_t *)arg = event->at_ms;
    return true;
}

static void append_json(struct bw_buf *out, const struct bw_delivery_row *row)
{
    const struct bw_delivery *delivery = &row->delivery;
    bw_buf_printf(out, "{\"delivery\":%lld,\"at_ms\":%lld,\"source\":", (long long)row->id, (long long)delivery->at_ms);
    bw_buf_append_json_string(out, delivery->source);
    bw_buf_append_text(out, ",\"provider_id\":");
    bw_buf_append_json_string(out, delivery->provider_id);
    bw_buf_append_text(out, ",\"remote\":");
    bw_buf_append_json_string(out, delivery->remote);
}

static void print_json(const struct bw_delivery_row *row, const char *event, int64_t event_at_ms)
{
    struct bw_buf line = {0};
    append_json(&line, row);
    bw_buf_printf(&line, ",\"status\":%u,\"outcome\":\"%s\",\"detail\":", row->delivery.status, bw_outcome_name(row->delivery.outcome));
    bw_buf_append_json_string(&line, row->delivery.detail);
    if (event) bw_buf_printf(&line, ",\"%s\":\"%s\"", row->delivery.outcome == BW_OUTCOME_DUPLICATE ? "duplicate_of" : "event", event);
    if (event) bw_buf_printf(&line, ",\"event_at_ms\":%lld", (long long)event_at_ms);
    bw_buf_append_char(&line, '}');
    bw_print_line(&line);
}

static bool explain(void *arg, const struct bw_delivery_row *row)
{
    struct asked *asked = arg;
    const struct bw_delivery *delivery = &row->delivery;
    char at[32], event_at[32], later[32], uid[BW_UID_TEXT];
    int64_t event_at_ms = 0;
    bool found = false, has_event = !bw_uid_is_zero(row->event);
    *asked->event = row->event;
    if (has_event && !bw_reader_event(asked->reader, row->event, note_time, &event_at_ms, &found, asked->err)) return false;
    const char *event = has_event ? bw_uid_text(row->event, BW_UID_EVENT, uid) : NULL;
    if (asked->as_json) {
        print_json(row, event, event_at_ms);
        return true;
    }
    printf("#%lld  %s  %.*s  from %.*s: ", (long long)row->id, bw_print_time(delivery->at_ms, at), (int)delivery->source.len, delivery->source.ptr,
           (int)delivery->remote.len, delivery->remote.ptr);
    if (delivery->outcome == BW_OUTCOME_ACCEPTED) {
        printf("%s\n", event ? "it became the event" : "it became an event that is no longer kept");
    } else if (delivery->outcome == BW_OUTCOME_DUPLICATE) {
        printf("a duplicate");
        if (delivery->provider_id.len) printf(", with the id "), bw_print_text(stdout, delivery->provider_id), putchar(',');
        if (event)
            printf(" of %s, which came at %s, %s before\n", event, bw_print_time(event_at_ms, event_at),
                   bw_duration_text(delivery->at_ms > event_at_ms ? delivery->at_ms - event_at_ms : 0, later));
        else
            printf(" of an event that is no longer kept: its id is remembered longer\n");
    } else if (delivery->outcome == BW_OUTCOME_HANDSHAKE) {
        printf("a handshake, which was answered; no event\n");
    } else {
        printf("refused with %u, %s: ", delivery->status, bw_outcome_name(delivery->outcome));
        bw_print_text(stdout, delivery->detail);
        putchar('\n');
    }
    return true;
}

bool bw_why_delivery(struct bw_reader *reader, int64_t number, bool as_json, struct bw_uid *event, struct bw_error *err)
{
    struct asked asked = {reader, as_json, event, err};
    bool found;
    *event = (struct bw_uid){{0}};
    *err = (struct bw_error){0};
    if (!bw_reader_delivery(reader, number, explain, &asked, &found, err) || *err->code) return false;
    if (found) return true;
    bw_error_set(err, "delivery.unknown", "there is no delivery %lld here", (long long)number);
    bw_error_hint(err, "see: bellwire deliveries");
    return false;
}

/* ---- what came again ---- */

struct again {
    bool as_json;
    int64_t at_ms;
    size_t count;
    struct bw_buf json, text;
};

static bool add(void *arg, const struct bw_delivery_row *row)
{
    struct again *again = arg;
    const struct bw_delivery *delivery = &row->delivery;
    char at[32], later[32];
    if (again->count++ >= SHOWN_MAX && !again->as_json) return true;
    if (again->json.len) bw_buf_append_char(&again->json, ',');
    append_json(&again->json, row);
    bw_buf_append_char(&again->json, '}');
    bw_buf_printf(&again->text, "    #%lld  %s, %s later  from %.*s  %.*s\n", (long long)row->id, bw_print_time(delivery->at_ms, at),
                  bw_duration_text(delivery->at_ms > again->at_ms ? delivery->at_ms - again->at_ms : 0, later), (int)delivery->remote.len,
                  delivery->remote.ptr, (int)delivery->provider_id.len, delivery->provider_id.len ? delivery->provider_id.ptr : "");
    return true;
}

bool bw_why_duplicates(struct bw_reader *reader, int64_t event_id, int64_t at_ms, bool as_json, struct bw_error *err)
{
    struct again again = {.as_json = as_json, .at_ms = at_ms};
    bool good = bw_reader_duplicates(reader, event_id, COUNTED_MAX, add, &again, err);
    if (good && again.count && as_json) {
        struct bw_buf line = {0};
        bw_buf_printf(&line, "{\"decided\":\"duplicates\",\"count\":%zu,\"duplicates\":[%s]}", again.count, again.json.data ? again.json.data : "");
        bw_print_line(&line);
    } else if (good && again.count) {
        const char *least = again.count == COUNTED_MAX ? "at least " : "";
        printf("  it came again %s%zu time%s, and was answered as a duplicate\n%s", least, again.count, again.count == 1 ? "" : "s",
               again.text.data ? again.text.data : "");
        if (again.count > SHOWN_MAX) printf("    … and %zu more\n", again.count - SHOWN_MAX);
    }
    bw_buf_free(&again.json);
    bw_buf_free(&again.text);
    return good;
}
