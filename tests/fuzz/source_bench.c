#include "source_bench.h"
#include "base/codec.h"
#include "base/json.h"
#include "base/json_view.h"
#include "base/random.h"
#include "fuzz.h"
#include <ctype.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#define SOURCES_MAX 160
#define SECRETS_MAX 8

struct bench_source {
    struct bw_source_config config;
    struct bw_secret secrets[SECRETS_MAX];
    struct bw_slice values[SECRETS_MAX];
    json_t *facts; /* the secrets' names are in it */
    struct bw_source *source;
};
static struct {
    struct bw_schemes *schemes;
    struct bench_source sources[SOURCES_MAX];
    size_t count;
} bench;

/* In the forms that schemes decode: text, base64, hex (also an Ed25519 key), and an EC key. One of them fits each scheme. */
#define KEY_TEXT "5f1e03a1a0c84b6c9e7d2f4b8a6c0d3e5f1e03a1a0c84b6c9e7d2f4b8a6c0d3e"
#define KEY_BASE64 "NWYxZTAzYTFhMGM4NGI2YzllN2QyZjRiOGE2YzBkM2U="
static char curve_key[512];
static const char *const keys[] = {KEY_TEXT, KEY_BASE64, "whsec_" KEY_BASE64, "v1,whsec_" KEY_BASE64, curve_key};

static void make_curve_key(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    unsigned char *der = NULL;
    struct bw_buf text = {0};
    int len = key ? i2d_PUBKEY(key, &der) : 0;
    fuzz_check(len > 0, "no EC key");
    bw_base64_append(&text, der, (size_t)len);
    snprintf(curve_key, sizeof curve_key, "%s", text.data);
    bw_buf_free(&text);
    OPENSSL_free(der);
    EVP_PKEY_free(key);
}

static bool try_key(struct bench_source *source, const json_t *secrets, const char *key, struct bw_errors *errs)
{
    size_t index;
    json_t *secret;
    json_array_foreach(secrets, index, secret)
    {
        fuzz_check(index < SECRETS_MAX, "a scheme with %zu secrets", json_array_size(secrets));
        source->values[index] = bw_slice_of(key);
        source->secrets[index] = (struct bw_secret){(char *)(uintptr_t)bw_json_str(secret, "name", ""), &source->values[index], 1};
    }
    source->config.secrets = source->secrets;
    source->config.secret_count = json_array_size(secrets);
    source->source = bw_source_new(&source->config, bench.schemes, errs);
    return source->source != NULL;
}

static void open_source(const struct bw_scheme *scheme)
{
    static char *options[] = {(char *)(uintptr_t) "audience=https://bellwire.example", (char *)(uintptr_t) "email=push@bellwire.example"};
    fuzz_check(bench.count < SOURCES_MAX, "more than %d schemes", SOURCES_MAX);
    struct bench_source *source = &bench.sources[bench.count];
    struct bw_errors errs = {0};
    source->facts = bw_scheme_facts(scheme);
    source->config = (struct bw_source_config){.name = (char *)(uintptr_t) "fuzz",
                                               .path = (char *)(uintptr_t) "/in/fuzz",
                                               .verify = (char *)(uintptr_t)bw_scheme_name(scheme),
                                               .public_url = (char *)(uintptr_t) "https://bellwire.example/in/fuzz"};
    if (json_object_get(json_object_get(source->facts, "options"), "audience")) source->config.options = options, source->config.option_count = 2;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        bw_errors_free(&errs);
        if (!try_key(source, json_object_get(source->facts, "secrets"), keys[i], &errs)) continue;
        bench.count++;
        return;
    }
    fuzz_check(false, "no source of the scheme %s can be opened: %s", bw_scheme_name(scheme), errs.items[0].message);
}

/* Ids that a sender makes up are the same each time, so that a kept input shows the same again. */
static void fill_random(void *arg, void *out, size_t len)
{
    (void)arg;
    memset(out, 7, len);
}

void bench_open(void)
{
    struct bw_errors errs = {0};
    bw_random_override(fill_random, NULL);
    bw_json_setup();
    make_curve_key();
    bench.schemes = bw_schemes_load(NULL, &errs);
    fuzz_check(!errs.count, "%s", errs.items[0].message);
    for (size_t i = 0; i < bw_schemes_count(bench.schemes); i++) open_source(bw_schemes_at(bench.schemes, i));
}

size_t bench_count(void)
{
    return bench.count;
}
const struct bw_source *bench_at(size_t index)
{
    return bench.sources[index].source;
}
const char *bench_scheme(const struct bw_source *source)
{
    return bw_source_settings(source)->verify;
}
const struct bw_source *bench_find(struct bw_slice scheme)
{
    for (size_t i = 0; i < bench.count; i++)
        if (bw_slice_is(scheme, bench.sources[i].config.verify)) return bench.sources[i].source;
    return NULL;
}

size_t bench_headers(struct bw_slice lines, struct bw_header *out, size_t capacity)
{
    size_t count = 0;
    while (lines.len && count < capacity) {
        const char *end = memchr(lines.ptr, '\n', lines.len);
        struct bw_slice line = {lines.ptr, end ? (size_t)(end - lines.ptr) : lines.len};
        const char *colon = line.len ? memchr(line.ptr, ':', line.len) : NULL;
        lines = end ? (struct bw_slice){end + 1, lines.len - line.len - 1} : (struct bw_slice){"", 0};
        if (!colon || colon == line.ptr) continue;
        struct bw_slice value = {colon + 1, line.len - (size_t)(colon - line.ptr) - 1};
        while (value.len && *value.ptr == ' ') value = (struct bw_slice){value.ptr + 1, value.len - 1};
        out[count++] = (struct bw_header){{line.ptr, (size_t)(colon - line.ptr)}, value};
    }
    return count;
}

/* Each part of the request on its own, so that the sanitizer sees a read beside it. */
struct exact {
    struct bw_request request;
    struct bw_header headers[BENCH_HEADERS_MAX];
};

static void exact_copy(struct exact *exact, const struct bw_request *from)
{
    exact->request = *from;
    exact->request.method = fuzz_copy(from->method);
    exact->request.url = fuzz_copy(from->url);
    exact->request.query = fuzz_copy(from->query);
    exact->request.body = fuzz_copy(from->body);
    exact->request.headers = exact->headers;
    for (size_t i = 0; i < from->header_count; i++)
        exact->headers[i] = (struct bw_header){fuzz_copy(from->headers[i].name), fuzz_copy(from->headers[i].value)};
}

static void exact_free(struct exact *exact)
{
    free((void *)exact->request.method.ptr);
    free((void *)exact->request.url.ptr);
    free((void *)exact->request.query.ptr);
    free((void *)exact->request.body.ptr);
    for (size_t i = 0; i < exact->request.header_count; i++) {
        free((void *)exact->headers[i].name.ptr);
        free((void *)exact->headers[i].value.ptr);
    }
}

/* Both can be read, and are equal. */
static bool are_equal(const struct bw_judgement *a, const struct bw_judgement *b)
{
    bool is_same = a->verdict == b->verdict && a->reason == b->reason && a->event_trusted == b->event_trusted &&
                   bw_slice_equal(a->delivery_id, b->delivery_id) && bw_slice_equal(a->event, b->event) && bw_slice_equal(a->data, b->data) &&
                   bw_slice_equal(a->items, b->items);
    if (a->verdict == BW_HANDSHAKE)
        is_same = is_same && a->answer_status == b->answer_status && bw_slice_equal(a->answer_body, b->answer_body) &&
                  bw_slice_equal(a->answer_headers, b->answer_headers) && bw_slice_equal(a->captured, b->captured);
    if (a->verdict == BW_UNDECIDED)
        is_same = is_same && bw_slice_equal(a->wish.url, b->wish.url) && bw_slice_equal(a->wish.ring_url, b->wish.ring_url) &&
                  bw_slice_equal(a->wish.post, b->wish.post) && bw_slice_equal(a->wish.name, b->wish.name);
    return is_same;
}

static void check_event(const struct bw_source *source, struct bw_slice event, struct bw_slice id)
{
    fuzz_check(event.len > 0 && id.len <= 512, "%s: an event of %zu bytes, an id of %zu", bench_scheme(source), event.len, id.len);
    for (size_t i = 0; i < event.len; i++)
        fuzz_check(isalnum((unsigned char)event.ptr[i]) || strchr("._-:", event.ptr[i]), "%s: the event is called %.*s", bench_scheme(source),
                   (int)event.len, event.ptr);
}

/* Each event of a batch is one that could have come by itself; those that are none are refused by whoever takes the request. */
static void check_items(const struct bw_source *source, const struct bw_request *request, struct bw_slice items, struct bw_buf *scratch)
{
    struct bw_json_iter iter = bw_json_view_iter((struct bw_json_view){items});
    struct bw_json_view view;
    struct bw_item item;
    while (bw_json_iter_next(&iter, NULL, &view)) {
        size_t before = scratch->len;
        if (bw_source_item(source, request, view.raw, scratch, &item)) {
            check_event(source, item.event, item.delivery_id);
            fuzz_check(bw_json_scan(item.data, NULL, NULL, NULL) && *item.data.ptr == '{', "%s: an item is %.*s", bench_scheme(source),
                       (int)item.data.len, item.data.ptr);
        }
        scratch->len = before;
    }
}

void bench_judge(const struct bw_source *source, const struct bw_request *request, struct bw_judgement *out)
{
    static struct exact first, second;
    static struct bw_buf scratch, other_scratch;
    struct bw_judgement again;
    exact_free(&first);
    exact_copy(&first, request);
    exact_copy(&second, request);
    bw_source_judge(source, &first.request, &scratch, out);
    bw_source_judge(source, &second.request, &other_scratch, &again);
    fuzz_check(are_equal(out, &again), "%s: '%s', and then '%s'", bench_scheme(source), out->reason, again.reason);
    if (out->verdict == BW_VERIFIED) {
        check_event(source, out->event, out->delivery_id);
        if (out->items.len) check_items(source, &first.request, out->items, &scratch);
    }
    fuzz_check(!scratch.failed && scratch.len < scratch.capacity, "%zu bytes of scratch in room for %zu", scratch.len, scratch.capacity);
    exact_free(&second);
}

bool bench_is_proven(const struct bw_judgement *judgement)
{
    return judgement->verdict == BW_VERIFIED || judgement->verdict == BW_MALFORMED;
}
