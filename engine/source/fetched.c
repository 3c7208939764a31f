/* Keys that are fetched: the address is judged here, before anybody goes there (verification.md pitfall 12). */
#include "source/program.h"
#include "source/public_key.h"

#define URL_MAX 512

const char BW_REASON_KEY[] = "its key is being fetched";

static bool ends_with(struct bw_slice text, struct bw_slice end)
{
    return text.len > end.len && !memcmp(text.ptr + text.len - end.len, end.ptr, end.len);
}

static bool is_allowed(const struct bw_fetch_spec *fetch, struct bw_slice url)
{
    struct bw_slice host, path;
    bool is_known = false;
    if (!bw_url_is_plain(url, &host, &path)) return false;
    for (size_t i = 0; i < fetch->host_count; i++) is_known = is_known || bw_host_matches(host, fetch->hosts[i]);
    return is_known && (!fetch->ends.len || ends_with(path, fetch->ends));
}

/* {"client_id":"…","key_id":"…"}; false: a secret is missing */
static bool write_post(struct bw_trial *trial, const struct bw_fetch_spec *fetch, struct bw_slice id, struct bw_slice *out)
{
    struct bw_buf text = {0};
    bool good = true;
    for (size_t i = 0; i < fetch->post_count; i++) {
        const struct bw_secret *secret = fetch->post[i].secret.len ? bw_trial_secret(trial, fetch->post[i].secret) : NULL;
        good = good && (secret || !fetch->post[i].secret.len);
        bw_buf_append_char(&text, i ? ',' : '{');
        bw_buf_append_json_string(&text, fetch->post[i].name);
        bw_buf_append_char(&text, ':');
        bw_buf_append_json_string(&text, secret ? secret->values[0] : id);
    }
    bw_buf_append_char(&text, '}');
    size_t before = trial->scratch->len;
    good = good && !text.failed && bw_trial_has_room(trial, text.len);
    if (good) bw_buf_append_slice(trial->scratch, bw_buf_slice(&text));
    *out = bw_trial_since(trial, before);
    bw_buf_free(&text);
    return good;
}

/* Where each key has an answer of its own, the ring has it by URL and id. */
static bool name_in_ring(struct bw_trial *trial, struct bw_slice url, struct bw_slice id, struct bw_slice *out)
{
    size_t before = trial->scratch->len;
    if (url.len + id.len > URL_MAX || !bw_trial_has_room(trial, url.len + id.len + 1)) return false;
    bw_buf_append_slice(trial->scratch, url);
    bw_buf_append_char(trial->scratch, '#');
    bw_buf_append_slice(trial->scratch, id);
    *out = bw_trial_since(trial, before);
    return true;
}

const char *bw_fetched_key(struct bw_trial *trial, struct bw_slice id, EVP_PKEY **key)
{
    const struct bw_fetch_spec *fetch = &trial->program->fetch;
    struct bw_key_wish *wish = &trial->wish;
    size_t occurrences = 1;
    *key = NULL;
    *wish = (struct bw_key_wish){.kind = fetch->kind, .url = fetch->url, .name = fetch->name, .at = fetch->at, .chain = fetch->chain};
    if (!fetch->url.len && (!bw_ref_read(trial, &fetch->url_ref, &wish->url, &occurrences) || occurrences > 1)) return "missing address of the key";
    if (!is_allowed(fetch, wish->url)) return "the address of the key is not one of the provider's";
    if (fetch->post_count && !id.len) return "the token does not say which key it is signed with";
    wish->ring_url = wish->url;
    if (fetch->post_count && !name_in_ring(trial, wish->url, id, &wish->ring_url)) return "the id of the key is too long";
    trial->key_state = bw_key_ring_find(trial->request->ring, wish->ring_url, id, trial->request->now_ms, key);
    if (trial->key_state == BW_RING_FOUND) return NULL;
    if (trial->key_state == BW_RING_ABSENT) return "unknown key";
    if (fetch->post_count && !write_post(trial, fetch, id, &wish->post)) return "a secret is missing to fetch the key with";
    return BW_REASON_KEY;
}

void bw_key_ring_give(struct bw_key_ring *ring, const struct bw_key_wish *wish, const json_t *certificates, const json_t *key_set, int64_t now_ms)
{
    struct bw_ring_key keys[BW_RING_KEYS_MAX] = {0};
    struct bw_error err;
    size_t count = 0;
    int64_t until_s;
    const char *id;
    json_t *jwk;
    if (wish->kind == BW_FETCH_CERTIFICATE) {
        struct bw_slice pem = bw_json_slice(json_object_getn(certificates, wish->url.ptr, wish->url.len));
        const struct bw_certificate_rules rules = {.name = wish->name};
        keys[0].key = pem.len ? bw_certificate_read(pem, &rules, &until_s, &err) : NULL;
        count = keys[0].key && until_s * 1000 > now_ms;
        if (!count) EVP_PKEY_free(keys[0].key), keys[0].key = NULL;
    } else {
        json_object_foreach((json_t *)key_set, id, jwk)
        {
            if (count == BW_RING_KEYS_MAX || strlen(id) > BW_RING_ID_MAX || !(keys[count].key = bw_jwk_read(jwk))) continue;
            strcpy(keys[count++].id, id);
        }
    }
    bw_key_ring_put(ring, wish->ring_url, keys, count, now_ms, 3600000);
}
