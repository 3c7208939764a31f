/* Requests with the answer that is due, most of them judged by the vendors' own SDKs: every file whose scheme ships here. */
#include "base/file.h"
#include "base/json.h"
#include "source/key_ring.h"
#include "source_fixture.h"

#define FILE_BYTES_MAX (64u << 20)

struct tally {
    size_t judged, accepted, refused, wrong, files;
};

static void read_material(struct fixture *fixture, const json_t *vector, char option_texts[][256])
{
    size_t index;
    json_t *secret, *value;
    const char *name;
    json_array_foreach(json_object_get(vector, "secrets"), index, secret)
        add_secret(fixture, bw_json_str(secret, "name", ""), bw_json_slice(json_object_get(secret, "value")));
    json_object_foreach(json_object_get(vector, "config"), name, value)
        add_option(fixture, format(option_texts[fixture->config.option_count], 256, "%s=%s", name, json_string_value(value)));
}

/* A secret that no source may start with (empty, not decodable) is a refusal, too. */
static bool is_accepted(const json_t *vector, struct bw_buf *why)
{
    struct fixture fixture = {0};
    char option_texts[12][256];
    struct bw_header headers[64];
    struct bw_request request = {.method = bw_slice_of(bw_json_str(vector, "method", "POST")),
                                 .url = bw_slice_of(bw_json_str(vector, "url", "")),
                                 .headers = headers,
                                 .body = bw_json_slice(json_object_get(vector, "body")),
                                 .now_ms = bw_json_int(vector, "now", 0) * 1000};
    const char *query = strchr(request.url.ptr, '?');
    uint8_t *decoded = NULL;
    struct bw_buf scratch = {0};
    struct bw_judgement out = {.verdict = BW_REFUSED};
    size_t index;
    json_t *header;
    request.query = bw_slice_of(query ? query + 1 : "");
    json_array_foreach(json_object_get(vector, "headers"), index, header)
    {
        assert_true(request.header_count < COUNT(headers));
        headers[request.header_count++] = (struct bw_header){bw_json_slice(json_array_get(header, 0)), bw_json_slice(json_array_get(header, 1))};
    }
    if (json_object_get(vector, "body_b64")) {
        struct bw_slice coded = bw_json_slice(json_object_get(vector, "body_b64"));
        decoded = malloc(coded.len + 1);
        assert_true(decoded && bw_base64_decode(coded, decoded, coded.len + 1, &request.body.len));
        request.body.ptr = (char *)decoded;
    }
    if (!request.body.ptr) request.body = BW_SLICE("");
    read_material(&fixture, vector, option_texts);
    if (try_open(&fixture, bw_json_str(vector, "scheme", ""), NULL)) {
        request.ring = bw_key_ring_new();
        bw_source_judge(fixture.source, &request, &scratch, &out);
        if (out.verdict == BW_UNDECIDED) {
            bw_key_ring_give(request.ring, &out.wish, json_object_get(vector, "certs"), json_object_get(vector, "jwks"), request.now_ms);
            bw_source_judge(fixture.source, &request, &scratch, &out);
        }
        bw_buf_append_text(why, out.reason);
        bw_key_ring_free(request.ring);
    } else {
        bw_buf_append_text(why, fixture.errs.items[0].message);
    }
    close_source(&fixture);
    bw_buf_free(&scratch);
    free(decoded);
    bool is_turned_away = out.verdict == BW_HANDSHAKE && out.answer_status >= 400;
    return out.verdict != BW_REFUSED && out.verdict != BW_UNDECIDED && !is_turned_away; /* MALFORMED and HANDSHAKE come after the proof */
}

static void judge_file(const char *folder, const char *name, const struct bw_schemes *schemes, struct tally *tally)
{
    char *path = bw_file_join(folder, name);
    struct bw_buf text = {0};
    struct bw_error err;
    size_t index;
    json_t *vector;
    assert_true(bw_file_read(path, FILE_BYTES_MAX, &text, &err));
    json_t *root = json_loadb(text.data, text.len, JSON_ALLOW_NUL, NULL); /* bodies with every kind of odd text: not the engine's strict reader */
    const json_t *list = json_is_object(root) ? json_object_get(root, "vectors") : root;
    assert_true(json_is_array(list) && json_array_size(list) > 0);
    if (!bw_schemes_find(schemes, bw_json_str(json_array_get(list, 0), "scheme", ""))) {
        print_message("[  NOTE    ] %s: no such scheme in this version\n", name);
    } else {
        tally->files++;
        json_array_foreach(list, index, vector)
        {
            struct bw_buf why = {0};
            bool accepted = is_accepted(vector, &why), expected = !strcmp(bw_json_str(vector, "expect", "?"), "accept");
            tally->judged++;
            tally->accepted += accepted;
            tally->refused += !accepted;
            if (accepted != expected) {
                tally->wrong++;
                print_error("%s: %s, but it must be %s: %s\n", bw_json_str(vector, "id", "?"), why.data, bw_json_str(vector, "expect", "?"),
                            bw_json_str(vector, "why", ""));
            }
            bw_buf_free(&why);
        }
    }
    json_decref(root);
    bw_buf_free(&text);
    free(path);
}

static void test_every_vector_gets_the_verdict_that_is_due(void **state)
{
    (void)state;
    const char *shared = getenv("BELLWIRE_SHARED");
    char *folder = shared ? bw_file_join(shared, "vectors") : NULL, **names = NULL;
    size_t count = 0;
    struct bw_error err;
    struct bw_errors errs = {0};
    struct tally tally = {0};
    if (!folder || !bw_file_list(folder, ".json", false, &names, &count, &err) || !count) {
        bw_file_list_free(names, count);
        free(folder);
        print_message("the vectors are not here (BELLWIRE_SHARED)\n");
        skip();
    }
    struct bw_schemes *schemes = bw_schemes_load(NULL, &errs);
    for (size_t i = 0; i < count; i++) judge_file(folder, names[i], schemes, &tally);
    print_message("%zu vectors of %zu files: %zu accepted, %zu refused\n", tally.judged, tally.files, tally.accepted, tally.refused);
    assert_int_equal(tally.wrong, 0);
    assert_true(tally.files > 0 && tally.accepted > 0 && tally.refused > 0);
    bw_schemes_free(schemes);
    bw_errors_free(&errs);
    bw_file_list_free(names, count);
    free(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_vector_gets_the_verdict_that_is_due)};
    bw_json_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
