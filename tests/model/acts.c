/* What comes from outside:
 *   {do: "event", key, name, body}            as a listener stores it
 *   {do: "reload", files: {PATH: TEXT}}       files are written, and the engine is told
 *   {do: "retain"}                            a pass of retention begins
 *   {do: "tick"}                              time passes, for what is due by a schedule
 *   {do: "vote" …}, {do: "letter" …}, {do: "cancel" …}   people.c */
#include "base/clock.h"
#include "base/file.h"
#include "life.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEPT_MS = 86400000 };

/* ---- events ---- */

struct sent {
    struct bw_store_op op;
    struct bw_accepted accepted;
    struct bw_binding binding;
    struct bw_buf body;
    struct life *life;
    const json_t *act;
};

static void sent_free(struct sent *sent)
{
    bw_buf_free(&sent->body);
    free(sent);
}

static void release(struct bw_accepted *accepted)
{
    sent_free((struct sent *)((char *)accepted - offsetof(struct sent, accepted)));
}

static void on_accepted(struct bw_store_op *op)
{
    struct sent *sent = op->owner; /* writer thread */
    char uid[BW_UID_TEXT];
    if (op->failed) {
        life_did(sent->life, sent->act, json_pack("{s:s}", "failed", op->error.code));
        sent_free(sent);
        return;
    }
    bool is_known = !op->is_duplicate || !bw_uid_equal(op->duplicate_of, (struct bw_uid){{0}});
    life_did(sent->life, sent->act,
             json_pack("{s:O,s:s?,s:b,s:i}", "key", json_object_get(sent->act, "key"), "event",
                       is_known ? bw_uid_text(op->is_duplicate ? op->duplicate_of : sent->accepted.uid, BW_UID_EVENT, uid) : NULL, "duplicate",
                       op->is_duplicate, "revision", (int)sent->accepted.revision));
    sent->accepted.event_id = op->event_id;
    if (op->is_duplicate)
        sent_free(sent);
    else
        bw_dispatch_post(sent->life->dispatch, &sent->accepted);
}

static void submit(struct life *life, const json_t *from)
{
    struct sent *sent = calloc(1, sizeof *sent);
    if (!sent) abort();
    struct bw_accepted *event = &sent->accepted;
    sent->life = life;
    sent->act = from;
    bw_json_append(&sent->body, json_object_get(from, "body"));
    atomic_init(&event->references, 1);
    event->release = release;
    event->at_ms = life->now_ms;
    event->uid = bw_uid_new(event->at_ms);
    event->revision = bw_dispatch_revision(life->dispatch);
    event->trusted = true;
    event->source = BW_SLICE("model");
    event->name = bw_slice_of(bw_json_str(from, "name", ""));
    event->headers = BW_SLICE("{}");
    event->body = bw_buf_slice(&sent->body);
    bw_dispatch_bind(life->dispatch, event->name, event->body, &sent->binding);
    sent->op = (struct bw_store_op){
        .kind = BW_OP_ACCEPT,
        .done = on_accepted,
        .owner = sent,
        .delivery = {.at_ms = event->at_ms, .source = event->source, .status = 202, .outcome = BW_OUTCOME_ACCEPTED},
        .event = {.uid = event->uid,
                  .at_ms = event->at_ms,
                  .revision = event->revision,
                  .source = event->source,
                  .name = event->name,
                  .trusted = true,
                  .headers = event->headers,
                  .body = event->body,
                  .dedupe_key = bw_slice_of(bw_json_str(from, "key", "")),
                  .dedupe_expire_ms = event->at_ms + KEPT_MS,
                  .keys = sent->binding.keys,
                  .key_count = sent->binding.key_count},
    };
    bw_store_submit(life->store, &sent->op);
}

/* ---- files ---- */

static void reload(struct life *life, const json_t *act)
{
    const char *path;
    json_t *text;
    json_object_foreach(json_object_get(act, "files"), path, text)
    {
        char whole[512];
        snprintf(whole, sizeof whole, "%s/%s", life->folder, path);
        int fd = open(whole, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (fd < 0 || write(fd, json_string_value(text), json_string_length(text)) != (ssize_t)json_string_length(text)) _exit(70);
        close(fd);
    }
    life_did(life, act, json_pack("{s:i}", "revision", (int)bw_dispatch_revision(life->dispatch)));
    bw_dispatch_reload(life->dispatch);
}

static void tick(struct life *life, const json_t *act)
{
    life_did(life, act, NULL);
}

static const struct {
    const char *name;
    void (*begin)(struct life *life, const json_t *act);
} kinds[] = {{"event", submit},     {"reload", reload},       {"retain", wraps_want_pass}, {"tick", tick},
             {"vote", people_vote}, {"letter", people_write}, {"cancel", people_cancel}};

void acts_begin(struct life *life, const json_t *act)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(kinds[i].name, bw_json_str(act, "do", ""))) {
            kinds[i].begin(life, act);
            return;
        }
    _exit(64);
}
