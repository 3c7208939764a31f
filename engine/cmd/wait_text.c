/* What a run waits for that has not begun, with figures: for `runs show` and `why`. */
#include "base/units.h"
#include "cmd/setup.h"
#include "store/store.h"

static void append_ahead(struct bw_buf *out, uint32_t ahead)
{
    if (ahead) bw_buf_printf(out, ", %u run%s in front of it", ahead, ahead == 1 ? "" : "s");
}

bool bw_wait_text(struct bw_reader *reader, int64_t run_id, struct bw_buf *out)
{
    struct bw_run_wait wait;
    struct bw_error err;
    char text[32], run[BW_UID_TEXT];
    if (!bw_reader_run_wait(reader, run_id, &wait, &err)) {
        bw_print_error("wait", &err);
        return false;
    }
    if (wait.begins_ms) {
        bw_buf_printf(out, "begins at %s", bw_print_time(wait.begins_ms, text));
        if (wait.count) bw_buf_printf(out, " under the rate %u/%s", wait.count, bw_duration_text(wait.period_ms, text));
        append_ahead(out, wait.ahead);
    } else if (wait.most) {
        bw_buf_printf(out, "for a slot: %u of %u taken", wait.held, wait.most);
        append_ahead(out, wait.ahead);
        if (!bw_uid_is_zero(wait.kept))
            bw_buf_printf(out, "; %s has failed and keeps its slot until it is resumed, replayed or discarded",
                          bw_uid_text(wait.kept, BW_UID_RUN, run));
    }
    if (out->len && wait.until_ms) bw_buf_printf(out, "; skipped if it has not begun by %s", bw_print_time(wait.until_ms, text));
    return true;
}
