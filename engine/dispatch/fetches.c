#include "dispatch/fetches.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/log.h"
#include "dispatch/internal.h"
#include "source/key_ring.h"
#include "source/public_key.h"
#include <stdlib.h>

#define OPEN_MAX 8 /* who asks for many different keys at once is no sender */

struct bw_fetch {
    struct bw_mail mail;
    struct bw_dispatch *dispatch;
    TAILQ_ENTRY(bw_fetch) link;
    struct bw_run_worker *worker;
    int64_t number;
    struct bw_key_wish wish;
    char bytes[]; /* what the wish points to */
};

static struct bw_slice put(char **at, struct bw_slice bytes)
{
    struct bw_slice copy = {*at, bytes.len};
    memcpy(*at, bytes.ptr ? bytes.ptr : "", bytes.len);
    *at += bytes.len;
    return copy;
}

void bw_dispatch_fetch_key(struct bw_dispatch *dispatch, const struct bw_key_wish *wish)
{
    size_t room = wish->ring_url.len + wish->url.len + wish->post.len + wish->name.len + wish->at.len;
    struct bw_fetch *fetch = malloc(sizeof *fetch + room);
    if (!fetch) return; /* the ring asks again */
    char *at = fetch->bytes;
    *fetch = (struct bw_fetch){.mail.kind = BW_MAIL_FETCH, .dispatch = dispatch, .wish = *wish};
    fetch->wish.ring_url = put(&at, wish->ring_url);
    fetch->wish.url = put(&at, wish->url);
    fetch->wish.post = put(&at, wish->post);
    fetch->wish.name = put(&at, wish->name);
    fetch->wish.at = put(&at, wish->at);
    bw_mailbox_post(dispatch->mailbox, &fetch->mail);
}

/* Takes the keys over. None: it failed. */
static void end(struct bw_dispatch *dispatch, const struct bw_key_wish *wish, struct bw_ring_key *keys, size_t count, int64_t good_for_ms,
                const char *why)
{
    bw_log(count ? BW_LOG_INFO : BW_LOG_WARN, count ? "key.fetched" : "key.failed", BW_SLC("url", wish->url), BW_INT("keys", count),
           BW_STR("message", why));
    bw_key_ring_put(dispatch->options.ring, wish->ring_url, keys, count, bw_clock_wall_ms(), good_for_ms);
    if (dispatch->options.keys_changed) dispatch->options.keys_changed(dispatch->options.keys_arg);
}

static struct bw_run_worker *any_worker(struct bw_dispatch *dispatch)
{
    struct bw_run_worker *worker;
    TAILQ_FOREACH(worker, &dispatch->workers, link)
    if (worker->pool == dispatch->pools && worker->state == BW_WORKER_LIVE) return worker;
    return NULL;
}

void bw_fetches_mail(struct bw_mail *mail)
{
    struct bw_fetch *fetch = (struct bw_fetch *)((char *)mail - offsetof(struct bw_fetch, mail));
    struct bw_dispatch *dispatch = fetch->dispatch;
    struct bw_run_worker *worker = any_worker(dispatch);
    if (!worker || dispatch->fetch_count >= OPEN_MAX) {
        end(dispatch, &fetch->wish, NULL, 0, 0, worker ? "too many keys are being fetched" : "there is no worker now");
        free(fetch);
        return;
    }
    fetch->worker = worker;
    fetch->number = ++dispatch->next_fetch;
    dispatch->fetch_count++;
    TAILQ_INSERT_TAIL(&dispatch->fetches, fetch, link);
    const struct bw_key_wish *wish = &fetch->wish;
    json_t *head = json_pack("{s:I, s:s, s:s%, s:s%, s:s%, s:s%, s:b}", "fetch", (json_int_t)fetch->number, "kind",
                             wish->kind == BW_FETCH_CERTIFICATE ? "certificate" : "jwks", "url", wish->url.ptr, wish->url.len, "post", wish->post.ptr,
                             wish->post.len, "name", wish->name.ptr, wish->name.len, "at", wish->at.ptr, wish->at.len, "chain", wish->chain);
#ifdef BELLWIRE_TEST_HOOKS
    const char *instead = getenv("BELLWIRE_KEYS_FROM"); /* tests have no certificate that anybody trusts */
    if (head && instead) json_object_set_new(head, "instead", json_string(instead));
#endif
    bool is_sent = head && bw_channel_send_json(worker->channel, BW_MSG_FETCH, head, NULL, 0);
    json_decref(head);
    if (!is_sent) bw_fetches_worker_lost(worker);
}

static void forget(struct bw_dispatch *dispatch, struct bw_fetch *fetch)
{
    TAILQ_REMOVE(&dispatch->fetches, fetch, link);
    dispatch->fetch_count--;
    free(fetch);
}

static size_t read_keys(const json_t *list, struct bw_ring_key *out)
{
    size_t index, count = 0;
    json_t *item;
    json_array_foreach(list, index, item)
    {
        uint8_t der[BW_PUBLIC_KEY_DER_MAX];
        size_t len;
        const char *id = bw_json_str(item, "id", "");
        if (count == BW_RING_KEYS_MAX || strlen(id) > BW_RING_ID_MAX ||
            !bw_base64_decode(bw_json_slice(json_object_get(item, "der")), der, sizeof der, &len) ||
            !(out[count].key = bw_public_key_decode((struct bw_slice){(char *)der, len})))
            continue;
        strcpy(out[count++].id, id);
    }
    return count;
}

void bw_fetches_take(struct bw_run_worker *worker, const json_t *head)
{
    struct bw_dispatch *dispatch = worker->dispatch;
    struct bw_ring_key keys[BW_RING_KEYS_MAX] = {0};
    struct bw_fetch *fetch;
    int64_t number = bw_json_int(head, "fetch", 0);
    TAILQ_FOREACH(fetch, &dispatch->fetches, link)
    if (fetch->number == number && fetch->worker == worker) break;
    if (!fetch) return;
    size_t count = read_keys(json_object_get(head, "keys"), keys);
    end(dispatch, &fetch->wish, keys, count, bw_json_int(head, "good_for_ms", 0), bw_json_str(head, "error", count ? NULL : "no key in the answer"));
    forget(dispatch, fetch);
}

void bw_fetches_worker_lost(struct bw_run_worker *worker)
{
    struct bw_dispatch *dispatch = worker->dispatch;
    struct bw_fetch *fetch, *next;
    for (fetch = TAILQ_FIRST(&dispatch->fetches); fetch; fetch = next) {
        next = TAILQ_NEXT(fetch, link);
        if (fetch->worker != worker) continue;
        end(dispatch, &fetch->wish, NULL, 0, 0, "the worker that fetched it has ended");
        forget(dispatch, fetch);
    }
}

void bw_fetches_free(struct bw_dispatch *dispatch)
{
    struct bw_fetch *fetch;
    while ((fetch = TAILQ_FIRST(&dispatch->fetches))) forget(dispatch, fetch);
}
