/* What `bellwire send` signs, the judge believes; one changed byte, and it does not. For every scheme that can sign. */
#include "source/compiler.h"
#include "source_fixture.h"

static const char body[] =
    "{\"id\":\"evt_1\",\"type\":\"a.b\",\"action\":\"x\",\"webhookTimestamp\":1760000000000,\"time_ms\":1760000000000,\"update_id\":7}";

/* Good as text, base64 and hex; or a public key. */
static const char *secret_for(const struct bw_program *program, size_t index)
{
    static const char p256[] =
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEb6ZYus9PppGe5jb0i+hQtek6R2uNWYKzABjkgxIzLXk4LrVV1mZvPqu3Z72biYqB5TMdIpOE/3sKjPiby1LgUQ==";
    if (index >= program->key_secret_count) return "somebody";
    if (program->alg == BW_ALG_ECDSA_P256) return p256;
    if (program->alg == BW_ALG_ED25519)
        return program->key_decode == BW_KEY_HEX ? "68eca9a88b5e61cbae72c069d900fa802d926c0fb7bca810dc39acfafd57672d"
                                                 : "aOypqItefGHLrnLAadkA+oAtkmwPt7yoENw5rPr9V2c=";
    return "c0ffeec0ffeec0ffeec0ffeec0ffee00";
}

static void open_any(struct fixture *fixture, const struct bw_scheme *scheme)
{
    static char names[BW_SECRET_NAMES_MAX][64];
    struct bw_errors errs = {0};
    const struct bw_source_config nobody = {.name = names[0], .verify = names[0]};
    struct bw_program *program = bw_program_compile(scheme, &nobody, &errs);
    assert_non_null(program);
    for (size_t i = 0; i < program->secret_count; i++) {
        format(names[i], sizeof names[i], "%s", program->secrets[i].name.ptr);
        add_secret(fixture, names[i], bw_slice_of(secret_for(program, i)));
    }
    if (!strcmp(bw_scheme_name(scheme), "google-pub-sub")) {
        add_option(fixture, "audience=a");
        add_option(fixture, "email=e");
    }
    fixture->config.public_url = (char *)(uintptr_t) "https://bellwire.example/in/test";
    bw_program_free(program);
    open_source(fixture, bw_scheme_name(scheme));
}

static bool signs_body(const struct bw_program *program)
{
    const struct bw_ref whole = {.kind = BW_REF_BODY};
    return bw_program_signs(program, &whole);
}

static bool takes_part(const struct bw_program *program, struct bw_slice header)
{
    const struct bw_ref *refs[BW_REFS_MAX + 1];
    size_t count = 0;
    refs[count++] = &program->signatures[0];
    for (size_t i = 0; i < program->message_counts[0]; i++) refs[count++] = &program->messages[0][i];
    for (size_t i = 0; i < count; i++) {
        const struct bw_ref *from = refs[i]->kind == BW_REF_LIST ? &program->lists[refs[i]->index].from : refs[i];
        if (from->kind == BW_REF_HEADER && bw_slice_equal(from->name, header)) return true;
    }
    return program->alg == BW_ALG_BASIC && bw_slice_is(header, "authorization");
}

static enum bw_verdict verdict_of(const struct fixture *fixture, struct bw_slice lines, struct bw_slice text)
{
    struct bw_buf scratch = {0};
    const struct bw_judgement out = judge_at(fixture->source, lines, text, NOW_MS, &scratch);
    bw_buf_free(&scratch);
    return out.verdict;
}

static void check_changes(const struct fixture *fixture, const struct bw_buf *lines)
{
    const struct bw_program *program = bw_source_program(fixture->source);
    const char *scheme = fixture->config.verify;
    struct bw_slice whole = bw_buf_slice(lines);
    struct lines split;
    char copy[sizeof body];
    for (size_t i = 0; signs_body(program) && i < sizeof body - 1; i++) {
        memcpy(copy, body, sizeof body);
        copy[i] ^= 1;
        if (verdict_of(fixture, whole, bw_slice_of(copy)) != BW_REFUSED) fail_msg("%s: the body may change at %zu", scheme, i);
    }
    if (signs_body(program)) assert_int_equal(verdict_of(fixture, whole, (struct bw_slice){body, sizeof body - 2}), BW_REFUSED);
    split_lines(&split, whole);
    for (size_t h = 0; h < split.count; h++)
        for (size_t i = 0; takes_part(program, split.headers[h].name) && i < split.headers[h].value.len; i++) {
            char *byte = lines->data + (split.headers[h].value.ptr - lines->data) + i;
            *byte ^= 1;
            if (verdict_of(fixture, whole, bw_slice_of(body)) != BW_REFUSED)
                fail_msg("%s: %.*s may change at %zu", scheme, (int)split.headers[h].name.len, split.headers[h].name.ptr, i);
            *byte ^= 1;
        }
    assert_int_equal(verdict_of(fixture, whole, bw_slice_of(body)), BW_VERIFIED); /* every change is taken back */
}

static void test_what_is_signed_is_believed_and_no_byte_may_change(void **state)
{
    (void)state;
    struct bw_errors errs = {0};
    struct bw_schemes *schemes = bw_schemes_load(NULL, &errs);
    char unable[300] = "";
    for (size_t i = 0; i < bw_schemes_count(schemes); i++) {
        struct fixture fixture = {0};
        struct bw_buf lines = {0};
        struct bw_error err;
        const char *name = bw_scheme_name(bw_schemes_at(schemes, i));
        open_any(&fixture, bw_schemes_at(schemes, i));
        if (!bw_source_sign(fixture.source, bw_slice_of(body), BW_SLICE("id-1"), BW_SLICE("push"), NOW_MS, &lines, &err)) {
            assert_string_equal(err.code, "sign.unsupported");
            strcat(strcat(unable, name), " ");
        } else {
            if (verdict_of(&fixture, bw_buf_slice(&lines), bw_slice_of(body)) != BW_VERIFIED)
                fail_msg("%s does not believe itself:\n%s", name, lines.data);
            if (strcmp(name, "none")) check_changes(&fixture, &lines);
        }
        bw_buf_free(&lines);
        close_source(&fixture);
    }
    /* inside the body or the URL, or by a private key */
    assert_string_equal(unable, "adyen aws-sns azure-event-grid braintree discord discord-webhook-events dropbox-sign google-pub-sub lark-token "
                                "mailchimp-marketing mailgun microsoft-graph paypal plaid sendgrid strava telnyx ");
    bw_schemes_free(schemes);
    bw_errors_free(&errs);
}

static void test_id_and_event_travel_in_the_headers_of_the_scheme(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    struct bw_buf lines = {0}, scratch = {0};
    struct bw_error err;
    add_secret(&fixture, "webhook_secret", BW_SLICE("its-a-secret"));
    open_source(&fixture, "github");
    assert_true(bw_source_sign(fixture.source, bw_slice_of(body), BW_SLICE("id-1"), BW_SLICE("issues"), NOW_MS, &lines, &err));
    bw_buf_append_text(&lines, "content-type: application/json\n");
    const struct bw_judgement out = judge_at(fixture.source, bw_buf_slice(&lines), bw_slice_of(body), NOW_MS, &scratch);
    assert_true(bw_slice_is(out.delivery_id, "id-1"));
    assert_true(bw_slice_is(out.event, "issues.x"));
    bw_buf_free(&scratch);
    bw_buf_free(&lines);
    close_source(&fixture);
}

static void test_every_sending_without_an_id_gets_its_own(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    struct bw_buf lines[2] = {0}, scratch = {0};
    struct bw_error err;
    char ids[2][64];
    add_secret(&fixture, "webhook_secret", BW_SLICE("its-a-secret"));
    open_source(&fixture, "github");
    for (size_t i = 0; i < 2; i++) {
        assert_true(bw_source_sign(fixture.source, bw_slice_of(body), BW_SLICE(""), BW_SLICE(""), NOW_MS, &lines[i], &err));
        const struct bw_judgement out = judge_at(fixture.source, bw_buf_slice(&lines[i]), bw_slice_of(body), NOW_MS, &scratch);
        assert_true(out.delivery_id.len > 0 && out.delivery_id.len < sizeof ids[0]);
        format(ids[i], sizeof ids[i], "%.*s", (int)out.delivery_id.len, out.delivery_id.ptr);
        bw_buf_free(&lines[i]);
    }
    assert_string_not_equal(ids[0], ids[1]);
    bw_buf_free(&scratch);
    close_source(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_signed_is_believed_and_no_byte_may_change),
        cmocka_unit_test(test_id_and_event_travel_in_the_headers_of_the_scheme),
        cmocka_unit_test(test_every_sending_without_an_id_gets_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
