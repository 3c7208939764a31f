/* What a run waits for that has not begun, or has called one that has not, with figures: for `runs show` and `why`. */
#include "base/units.h"
#include "cmd/setup.h"
#include "store/run_wait.h"

static void append_ahead(struct bw_buf *out, uint32_t ahead)
{
    if (ahead) bw_buf_printf(out, ", %u run%s in front of it", ahead, ahead == 1 ? "" : "s");
}

static bool append_wait(struct bw_reader *reader, int64_t run_id, struct bw_buf *out, struct bw_error *err)
{
    struct bw_run_wait wait;
    size_t before = out->len;
    char text[32], run[BW_UID_TEXT];
    if (!bw_reader_run_wait(reader, run_id, &wait, err)) return false;
    if (wait.begins_ms) {
        bw_buf_printf(out, "begins at %s", bw_print_time(wait.begins_ms, text));
        if (wait.count) bw_buf_printf(out, " under the rate %u/%s", wait.count, bw_duration_text(wait.period_ms, text));
        append_ahead(out, wait.ahead);
    } else if (wait.most) {
        if (bw_uid_is_zero(wait.lender))
            bw_buf_printf(out, "for a slot: %u of %u taken", wait.held, wait.most);
        else
            bw_buf_printf(out, "for the slot of %s, which waits for it: another run is on it", bw_uid_text(wait.lender, BW_UID_RUN, run));
        append_ahead(out, wait.ahead);
        if (!bw_uid_is_zero(wait.kept))
            bw_buf_printf(out, "; %s has failed and keeps its slot until it is resumed, replayed or discarded",
                          bw_uid_text(wait.kept, BW_UID_RUN, run));
    }
    if (wait.paused_ms) {
        bw_buf_printf(out, "the workflow is paused since %s%s%s", bw_print_time(wait.paused_ms, text), *wait.reason ? ": " : "", wait.reason);
    } else if (wait.is_held) {
        bw_buf_append_text(out, "the workflow was paused and is being resumed");
        append_ahead(out, wait.ahead);
    }
    if (out->len > before && wait.until_ms) bw_buf_printf(out, "; skipped if it has not begun by %s", bw_print_time(wait.until_ms, text));
    return true;
}

bool bw_wait_text(struct bw_reader *reader, int64_t run_id, struct bw_buf *out)
{
    struct bw_unbegun_call call = {.run_id = 0};
    struct bw_error err;
    char run[BW_UID_TEXT];
    bool good = append_wait(reader, run_id, out, &err) && (out->len || bw_reader_unbegun_call(reader, run_id, &call, &err));
    if (good && call.run_id) {
        bw_buf_printf(out, "step %s for %s, which waits: ", call.path, bw_uid_text(call.run, BW_UID_RUN, run));
        good = append_wait(reader, call.run_id, out, &err);
    }
    if (!good) bw_print_error("wait", &err);
    return good;
}
