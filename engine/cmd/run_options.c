#include "base/clock.h"
#include "base/units.h"
#include "cmd/letters.h"
#include <string.h>

static bool note_id(void *arg, const struct bw_event *event)
{
    *(int64_t *)arg = event->id;
    return true;
}

static bool find_event(struct bw_reader *reader, const char *text, int64_t *id, struct bw_error *err)
{
    struct bw_uid uid;
    bool found;
    if (!bw_uid_parse(bw_slice_of(text), BW_UID_EVENT, &uid)) return bw_error_set(err, "event.id", "'%s' is no event id (evt_…)", text);
    if (!bw_reader_event(reader, uid, note_id, id, &found, err)) return false;
    return found || bw_error_set(err, "event.unknown", "there is no event %s", text);
}

bool bw_run_options_are_empty(const struct bw_run_options *options)
{
    return !options->workflow && !options->label && !options->state && !options->event && !options->since && !options->error;
}

bool bw_run_options_filter(const struct bw_run_options *options, struct bw_reader *reader, struct bw_run_filter *filter, struct bw_error *err)
{
    int64_t age_ms;
    if (options->state && (filter->state = bw_run_state_parse(bw_slice_of(options->state))) < 0)
        return bw_error_set(err, "run.state", "'%s' is no state: active, parked, succeeded, failed, cancelled or skipped", options->state);
    if (options->event && !find_event(reader, options->event, &filter->event_id, err)) return false;
    if (options->since) {
        if (!bw_duration_parse(bw_slice_of(options->since), &age_ms, err)) return false;
        filter->since_ms = bw_clock_wall_ms() - age_ms;
    }
    if (options->workflow) filter->workflow = bw_slice_of(options->workflow);
    if (options->label) filter->label = bw_slice_of(options->label);
    if (options->error) filter->error = bw_slice_of(options->error);
    return true;
}
