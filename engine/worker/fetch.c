/* Keys of senders: fetched here, read here, and handed on as plain public keys. No redirect is followed, and only https is spoken. */
#include "base/clock.h"
#include "base/codec.h"
#include "source/public_key.h"
#include "worker/internal.h"
#include <stdlib.h>

#define ANSWER_BYTES_MAX (256u << 10)
#define FETCH_MS 5000
#define KEY_SET_MS 3600000
#define CERTIFICATE_MS (24 * 3600000LL)

struct bw_key_fetch {
    struct bw_worker *worker;
    json_t *head; /* of the BW_MSG_FETCH */
};

static void add_key(json_t *keys, const char *id, EVP_PKEY *key)
{
    uint8_t der[BW_PUBLIC_KEY_DER_MAX];
    struct bw_buf text = {0};
    size_t len = bw_public_key_encode(key, der);
    bw_base64_append(&text, der, len);
    if (len && !text.failed) json_array_append_new(keys, json_pack("{s:s, s:s}", "id", id, "der", text.data));
    bw_buf_free(&text);
    EVP_PKEY_free(key);
}

static int64_t read_certificate(const json_t *head, struct bw_slice body, json_t *keys, struct bw_error *err)
{
    const int64_t now_s = bw_clock_wall_ms() / 1000;
    const struct bw_certificate_rules rules = {bw_json_slice(json_object_get(head, "name")), bw_json_bool(head, "chain", false), now_s};
    int64_t until_s = 0;
    EVP_PKEY *key = bw_certificate_read(body, &rules, &until_s, err);
    if (!key) return 0;
    add_key(keys, "", key);
    return (until_s - now_s) * 1000 < CERTIFICATE_MS ? (until_s - now_s) * 1000 : CERTIFICATE_MS;
}

static int64_t read_set(const json_t *head, struct bw_slice body, json_t *keys, struct bw_error *err)
{
    struct bw_ring_key *read = calloc(BW_RING_KEYS_MAX, sizeof *read);
    size_t count = read ? bw_key_set_read(body, bw_json_slice(json_object_get(head, "at")), read, BW_RING_KEYS_MAX) : 0;
    for (size_t i = 0; i < count; i++) add_key(keys, read[i].id, read[i].key);
    if (!count) bw_error_set(err, "key.set", "there is no key in the answer that can be used");
    free(read);
    return KEY_SET_MS;
}

static void answer(struct bw_worker *worker, const json_t *head, json_t *keys, int64_t good_for_ms, const struct bw_error *err)
{
    json_t *result =
        json_pack("{s:I, s:I, s:o}", "fetch", (json_int_t)bw_json_int(head, "fetch", 0), "good_for_ms", (json_int_t)good_for_ms, "keys", keys);
    if (result && err) json_object_set_new(result, "error", json_string(err->message));
    if (result) bw_channel_send_json(worker->channel, BW_MSG_FETCHED, result, NULL, 0);
    json_decref(result);
}

static void on_done(const struct bw_http_answer *got, void *arg)
{
    struct bw_key_fetch *fetch = arg;
    struct bw_error err = {0};
    json_t *keys = json_array();
    int64_t good_for_ms = 0;
    if (!got->status)
        err = *got->error;
    else if (got->status != 200)
        bw_error_set(&err, "key.status", "the answer was %u", got->status);
    else if (!strcmp(bw_json_str(fetch->head, "kind", ""), "certificate"))
        good_for_ms = read_certificate(fetch->head, got->body, keys, &err);
    else
        good_for_ms = read_set(fetch->head, got->body, keys, &err);
    answer(fetch->worker, fetch->head, keys, good_for_ms, json_array_size(keys) ? NULL : &err);
    json_decref(fetch->head);
    free(fetch);
}

static bool write_url(const json_t *head, struct bw_buf *out)
{
    struct bw_slice url = bw_json_slice(json_object_get(head, "url")), host, path;
    if (!bw_url_is_plain(url, &host, &path)) return false;
#ifdef BELLWIRE_TEST_HOOKS
    const char *instead = bw_json_str(head, "instead", NULL);
    if (instead) {
        bw_buf_printf(out, "%s/%.*s", instead, (int)(host.len + path.len), host.ptr);
        return !out->failed;
    }
#endif
    bw_buf_append_slice(out, url);
    return !out->failed;
}

void bw_fetch_take(struct bw_worker *worker, const json_t *head)
{
    static const struct bw_http_header type = {{"content-type", 12}, {"application/json", 16}};
    struct bw_key_fetch *fetch = malloc(sizeof *fetch);
    struct bw_buf url = {0};
    struct bw_error err;
    struct bw_slice post = bw_json_slice(json_object_get(head, "post"));
    bw_error_set(&err, "key.url", "this is no address to fetch keys from");
    bool is_started = false;
    if (fetch && write_url(head, &url)) {
        *fetch = (struct bw_key_fetch){worker, json_deep_copy(head)};
        const struct bw_task_request request = {.method = post.len ? BW_SLICE("POST") : BW_SLICE("GET"),
                                                .url = bw_buf_slice(&url),
                                                .body = post,
                                                .headers = &type,
                                                .header_count = post.len ? 1 : 0,
                                                .max_response_bytes = ANSWER_BYTES_MAX};
        is_started = fetch->head && bw_http_start(worker->http, &request, FETCH_MS, true, on_done, NULL, fetch, &err);
        if (!is_started) json_decref(fetch->head);
    }
    bw_buf_free(&url);
    if (is_started) return;
    free(fetch);
    answer(worker, head, json_array(), 0, &err);
}
