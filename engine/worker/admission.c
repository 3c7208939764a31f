/* Runs that share slots: the worker tells the group, since keys are expressions; the store says when the run may begin. */
#include "base/codec.h"
#include "worker/internal.h"
#include <openssl/sha.h>

bool bw_admission_ask(struct bw_worker_event *event, struct bw_catalog_workflow *entry, struct bw_error *err)
{
    const struct bw_concurrency *concurrency = &entry->workflow->concurrency;
    struct bw_uid run = bw_uid_of_run(event->uid, entry->workflow->name);
    struct bw_buf group = {0};
    char run_text[BW_UID_TEXT], hex[2 * SHA256_DIGEST_LENGTH + 1];
    unsigned char hash[SHA256_DIGEST_LENGTH];
    bool good = true;
    bw_buf_append_char(&group, concurrency->scope.len ? 'g' : 'w');
    bw_buf_append_slice(&group, concurrency->scope.len ? concurrency->scope : entry->workflow->name);
    bw_buf_append_char(&group, '\0');
    if (concurrency->key) {
        struct bw_run_scope scope;
        struct bw_script *script = bw_catalog_take_script(event->worker, entry, err);
        bw_event_scope(event, bw_uid_text(run, BW_UID_RUN, run_text), &scope);
        bw_note_enter(event, run, BW_SLICE("trigger"), 0);
        good = script && bw_script_begin_run(script, &scope, err) && bw_script_render(script, concurrency->key, &(struct bw_render){0}, &group, err);
        bw_note_leave(event->worker);
        bw_catalog_return_script(entry, script);
    }
    if (good) {
        SHA256((const unsigned char *)group.data, group.len, hash);
        bw_hex_encode(hash, sizeof hash, hex);
        bw_report_slot(event, entry, hex);
        bw_event_run_ended(event);
    }
    bw_buf_free(&group);
    return good;
}
