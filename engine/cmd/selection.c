#include "cmd/selection.h"
#include "base/clock.h"
#include "base/units.h"
#include <stdlib.h>

#define READ_AT_ONCE 500

/* ---- filters ---- */

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
    return !options->workflow && !options->label && !options->state && !options->event && !options->since && !options->older && !options->error;
}

bool bw_run_options_filter(const struct bw_run_options *options, struct bw_reader *reader, struct bw_run_filter *filter, struct bw_error *err)
{
    int64_t age_ms;
    /* A shell's variable that is not set: it must not choose all there are. */
    const char *const texts[] = {options->workflow, options->label, options->error};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i] && !*texts[i]) return bw_error_set(err, "run.filter", "a filter is empty: --workflow, --label and --error need a value");
    if (options->state && (filter->state = bw_run_state_parse(bw_slice_of(options->state))) < 0)
        return bw_error_set(err, "run.state", "'%s' is no state: held, delayed, blocked, active, parked, succeeded, failed, cancelled or skipped",
                            options->state);
    if (options->event && !find_event(reader, options->event, &filter->event_id, err)) return false;
    if (options->since) {
        if (!bw_duration_parse(bw_slice_of(options->since), &age_ms, err)) return false;
        filter->since_ms = bw_clock_wall_ms() - age_ms;
    }
    if (options->older) {
        if (!bw_duration_parse(bw_slice_of(options->older), &age_ms, err)) return false;
        filter->before_ms = bw_clock_wall_ms() - age_ms;
    }
    if (options->workflow) filter->workflow = bw_slice_of(options->workflow);
    if (options->label) filter->label = bw_slice_of(options->label);
    if (options->error) filter->error = bw_slice_of(options->error);
    return true;
}

/* ---- all of them ---- */

bool bw_selection_add(struct bw_selection *selection, struct bw_uid run)
{
    if (selection->count == selection->room) {
        size_t room = selection->room ? 2 * selection->room : 64;
        struct bw_uid *bigger = realloc(selection->runs, room * sizeof *bigger);
        if (!bigger) return false;
        selection->runs = bigger;
        selection->room = room;
    }
    selection->runs[selection->count++] = run;
    return true;
}

void bw_selection_free(struct bw_selection *selection)
{
    free(selection->runs);
    *selection = (struct bw_selection){0};
}

struct page {
    struct bw_selection *selection;
    int64_t last_row;
    size_t read;
    bool has_failed;
};

static bool add_row(void *arg, const struct bw_run *run)
{
    struct page *page = arg;
    page->last_row = run->id;
    page->read++;
    page->has_failed = !bw_selection_add(page->selection, run->row.uid);
    return !page->has_failed;
}

bool bw_selection_find(struct bw_selection *selection, struct bw_run_filter filter, struct bw_reader *reader, struct bw_error *err)
{
    size_t first = selection->count;
    struct page page;
    filter.limit = READ_AT_ONCE;
    do {
        page = (struct page){.selection = selection};
        if (!bw_reader_runs(reader, &filter, add_row, &page, err)) return false;
        if (page.has_failed) return bw_error_set(err, "memory", "out of memory");
        filter.before_row = page.last_row;
    } while (page.read == READ_AT_ONCE);
    for (size_t i = first, k = selection->count; i + 1 < k; i++) { /* in the order in which they came */
        struct bw_uid swapped = selection->runs[i];
        selection->runs[i] = selection->runs[--k];
        selection->runs[k] = swapped;
    }
    return true;
}
