/* Scheme files: what ships, what a user adds, and that a fault is said at its place instead of weakening what is verified. */
#include "source_fixture.h"
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/bellwire-schemes-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static void write_scheme(const char *name, const char *text, char path[200])
{
    FILE *file = fopen(format(path, 200, "%s/%s", folder, name), "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void test_every_built_in_scheme_is_in_order(void **state)
{
    (void)state;
    struct bw_errors errs = {0};
    struct bw_schemes *schemes = bw_schemes_load(NULL, &errs);
    assert_int_equal(errs.count, 0);
    assert_true(bw_schemes_count(schemes) >= 110);
    for (size_t i = 0; i < bw_schemes_count(schemes); i++) {
        const struct bw_scheme *scheme = bw_schemes_at(schemes, i);
        struct bw_buf text = {0};
        assert_true(strlen(bw_scheme_doc(scheme)) > 10);
        assert_ptr_equal(bw_schemes_find(schemes, bw_scheme_name(scheme)), scheme);
        if (i) assert_true(strcmp(bw_scheme_name(bw_schemes_at(schemes, i - 1)), bw_scheme_name(scheme)) < 0);
        bw_scheme_describe(scheme, &text);
        assert_true(strstr(text.data, bw_scheme_name(scheme)) == text.data && strstr(text.data, "algorithm"));
        bw_buf_free(&text);
    }
    bw_schemes_free(schemes);
    bw_errors_free(&errs);
}

static const char acme[] = "doc: Acme\n"
                           "alg: hmac-sha256\n"
                           "key: {secret: secret}\n"
                           "parse: {s: {from: header:x-acme, sep: ';', eq: ':'}}\n"
                           "sig: {from: s.sig, enc: hex}\n"
                           "msg: [s.t, '|', method, '|', query:k, '|', json:/a, '|', body]\n"
                           "time: {from: s.t, past: 10, future: 5}\n"
                           "id: [json:/id|header:x-id]\n"
                           "event: [query:k, json:/a]\n";

static void test_scheme_of_the_user_is_as_good_as_a_built_in_one(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    struct bw_buf scratch = {0};
    struct bw_judgement out;
    char path[200], mac[65], message[200], value[200];
    write_scheme("acme.yaml", acme, path);
    add_secret(&fixture, "secret", BW_SLICE("its-a-secret"));
    if (!try_open(&fixture, "acme", folder)) fail_msg("%s", fixture.errs.items[0].message);
    const char *body = "{\"a\":\"x\\u0041\",\"id\":\"i1\"}";
    hex_mac("its-a-secret", format(message, sizeof message, "1760000000|PUT|a b|xA|%s", body), mac);
    const struct bw_header headers[] = {{BW_SLICE("X-Acme"), bw_slice_of(format(value, sizeof value, "t:1760000000; sig:%s", mac))}};
    struct bw_request request = {.method = BW_SLICE("PUT"),
                                 .url = BW_SLICE("/p?k=a+b"),
                                 .query = BW_SLICE("z=1&k=a+b"),
                                 .headers = headers,
                                 .header_count = 1,
                                 .body = bw_slice_of(body),
                                 .now_ms = NOW_MS};
    bw_source_judge(fixture.source, &request, &scratch, &out);
    assert_string_equal(out.reason, "verified");
    assert_true(bw_slice_is(out.delivery_id, "i1"));
    assert_true(bw_slice_is(out.event, "a_b.xA"));
    assert_true(out.event_trusted); /* both are in msg */
    request.method = BW_SLICE("POST");
    bw_source_judge(fixture.source, &request, &scratch, &out);
    assert_string_equal(out.reason, "bad signature");
    request.method = BW_SLICE("PUT");
    request.query = BW_SLICE("z=1");
    bw_source_judge(fixture.source, &request, &scratch, &out);
    assert_string_equal(out.reason, "a signed part is missing or repeated");
    bw_buf_free(&scratch);
    close_source(&fixture);
    unlink(path);
}

static void test_unsigned_handshake_is_answered_before_anything_is_proven(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    struct bw_buf scratch = {0};
    struct bw_judgement out;
    char path[200];
    write_scheme("acme.yaml",
                 "alg: hmac-sha256\nsig: {from: header:x-sig}\nmsg: [body]\nhandshake:\n"
                 "  - {when: {method: GET, has: query:challenge}, verify_first: false, answer: {status: 201, text: 'ok {query:challenge}!'}}\n"
                 "  - {when: {value: json:/type, is: hello}, verify_first: false, answer: {json: {n: 1, token: '{json:/token}'}}}\n",
                 path);
    add_secret(&fixture, "secret", BW_SLICE("its-a-secret"));
    if (!try_open(&fixture, "acme", folder)) fail_msg("%s", fixture.errs.items[0].message);
    struct bw_request request = {
        .method = BW_SLICE("GET"), .url = BW_SLICE("/p"), .query = BW_SLICE("challenge=%3Ca%3E"), .body = BW_SLICE(""), .now_ms = NOW_MS};
    bw_source_judge(fixture.source, &request, &scratch, &out);
    assert_int_equal(out.verdict, BW_HANDSHAKE);
    assert_int_equal(out.answer_status, 201);
    assert_true(bw_slice_is(out.answer_body, "ok <a>!"));
    assert_true(!strncmp(out.answer_type, "text/plain", 10));
    request.query = BW_SLICE("other=1");
    bw_source_judge(fixture.source, &request, &scratch, &out);
    assert_int_equal(out.verdict, BW_REFUSED);
    request.method = BW_SLICE("POST");
    request.body = BW_SLICE("{\"type\":\"hello\",\"token\":\"a\\\"b\"}");
    bw_source_judge(fixture.source, &request, &scratch, &out);
    assert_int_equal(out.verdict, BW_HANDSHAKE);
    assert_true(bw_slice_is(out.answer_body, "{\"n\":1,\"token\":\"a\\\"b\"}"));
    request.body = BW_SLICE("{\"type\":\"event\",\"token\":\"a\"}");
    bw_source_judge(fixture.source, &request, &scratch, &out);
    assert_int_equal(out.verdict, BW_REFUSED);
    bw_buf_free(&scratch);
    close_source(&fixture);
    unlink(path);
}

static void test_name_of_a_built_in_scheme_is_taken(void **state)
{
    (void)state;
    struct bw_errors errs = {0};
    char path[200];
    write_scheme("github.yaml", "alg: none\n", path);
    struct bw_schemes *schemes = bw_schemes_load(folder, &errs);
    assert_int_equal(errs.count, 1);
    assert_string_equal(errs.items[0].code, "scheme.taken");
    assert_string_equal(errs.items[0].file, path);
    assert_true(strlen(bw_scheme_doc(bw_schemes_find(schemes, "github"))) > 0); /* the built-in one stands */
    bw_schemes_free(schemes);
    bw_errors_free(&errs);
    unlink(path);
}

#define HMAC_HEAD "alg: hmac-sha256\nsig: {from: header:x-sig}\nmsg: [body]\n"
static const struct {
    const char *text;
    int line, column;
    const char *part; /* of message and hint */
} faults[] = {
    {"- a\n", 1, 1, "must be a map"},
    {"alg: [\n", 2, 1, ""},
    {"doc: no algorithm\n", 1, 1, "unknown alg"},
    {"alg: hmac-sha265\nsig: {from: header:x}\nmsg: [body]\n", 1, 6, "did you mean 'hmac-sha256'?"},
    {HMAC_HEAD "hanshake: []\n", 4, 1, "did you mean 'handshake'?"},
    {HMAC_HEAD "once: [header:x]\n", 4, 1, "unknown key"},
    {"alg: hmac-sha256\nmsg: [body]\n", 1, 1, "where the signature is"},
    {"alg: hmac-sha256\nsig: {from: header:x}\n", 1, 1, "what is signed"},
    {"alg: hmac-sha256\nsig: {form: header:x}\nmsg: [body]\n", 2, 7, "did you mean 'from'?"},
    {"alg: hmac-sha256\nsig: {from: heder:x}\nmsg: [body]\n", 2, 13, "header:NAME"},
    {"alg: hmac-sha256\nsig: {from: header:x, enc: base46}\nmsg: [body]\n", 2, 28, "did you mean 'base64'?"},
    {"alg: hmac-sha256\nsig: {from: header:x, any_case: yes}\nmsg: [body]\n", 2, 33, "true or false"},
    {"alg: hmac-sha256\nsig: {from: header:x}\nmsg: body\n", 3, 6, "a list of value references"},
    {"alg: hmac-sha256\nsig: {from: header:x}\nmsg: [{a: b}]\n", 3, 7, "a value reference"},
    {"alg: hmac-sha256\nsig: x\nmsg: [body]\n", 2, 6, "sig must be a map"},
    {"alg: hmac-sha256\nkey: {secret: s, decode: b64}\nsig: {from: header:x}\nmsg: [body]\n", 2, 26, "decoding of the key"},
    {"alg: hmac-sha256\nparse: {s: {from: s.a}}\nsig: {from: s.a}\nmsg: [body]\n", 2, 12, "names no part"}, /* a request had no end */
    {"alg: hmac-sha256\nparse: {s: {from: sig}}\nsig: {from: s.a}\nmsg: [body]\n", 2, 12, "names no part"},
    {"alg: hmac-sha256\nparse: {s: {from: header:x, sep: ',', equals: '='}}\nsig: {from: s.a}\nmsg: [body]\n", 2, 39, "unknown key in parse"},
    {"alg: hmac-sha256\nsig: {from: z.v1}\nmsg: [body]\n", 2, 13, "LIST.KEY"},
    {HMAC_HEAD "time: {form: header:x-time}\n", 4, 8, "did you mean 'from'?"},
    {HMAC_HEAD "time: {from: header:x-time}\n", 4, 14, "not among the signed parts"},
    {"alg: hmac-sha256\nsig: {from: header:x}\nmsg: [header:t, body]\ntime: {from: header:t|header:u}\n", 4, 14, "not among the signed parts"},
    {"alg: hmac-sha256\nsig: {from: header:x}\nmsg: [header:t, body]\ntime: {from: header:t, past: 5m}\n", 4, 30, "whole number of seconds"},
    {"alg: hmac-sha256\nsig: {from: header:x}\nmsg: [header:t, body]\ntime: {from: header:t, future: -1}\n", 4, 32, "whole number of seconds"},
    {"alg: hmac-sha256\nsig: {from: header:x}\nmsg: [header:t, body]\ntime: {from: header:t, unit: sec}\n", 4, 30, "unknown unit"},
    {"alg: equal\nsig: {from: header:x}\ntime: {from: json:/t}\n", 3, 14, "not among the signed parts"},
    {"alg: rsa\nsig: {from: header:x}\nmsg: [body]\n", 1, 1, "where the public key is"},
    {"alg: rsa\nkeys: {url: header:u, as: certificate}\nsig: {from: header:x}\nmsg: [body]\n", 2, 7, "whose keys are taken"},
    {"alg: rsa\nkeys: {url: 'https://a.example:8443/k'}\nsig: {from: header:x}\nmsg: [body]\n", 2, 13, "no address to fetch keys from"},
    {"alg: jwt\nsig: {from: header:x}\n", 1, 1, "what the token must be"},
    {"alg: jwt\nsig: {from: header:x}\njwt: {algs: [none]}\n", 3, 14, "unknown algorithm of a token"},
    {"alg: jwt\nsig: {from: header:x}\njwt: {algs: [RS256]}\n", 3, 6, "where the public keys are"},
    {"alg: jwt\nkey: {secret: s}\nkeys: {url: 'https://a.example/k'}\nsig: {from: header:x}\njwt: {algs: [HS256, RS256]}\n", 5, 13,
     "do not go together"},
    {"alg: jwt\nkey: {secret: s}\nkeys: {url: 'https://a.example/k'}\nsig: {from: header:x}\njwt: {algs: [ES512, HS384]}\n", 5, 13,
     "do not go together"},
    {"alg: jwt\nsig: {from: header:x}\njwt: {algs: [ES384]}\n", 3, 6, "where the public keys are"},
    {"alg: jwt\nkey: {secret: s}\nsig: {from: header:x}\njwt: {algs: [HS348]}\n", 4, 14, "did you mean 'HS384'?"},
    {"like: nobody\n", 1, 7, "cannot be like"},
    {"like: clerk\n", 1, 7, "like another one itself"},
    {HMAC_HEAD "data: json:/a\n", 4, 7, "read what `data` is"}, /* it was looked at whether it is signed, without an end */
    {HMAC_HEAD "data: form:a|json:/a\n", 4, 7, "read what `data` is"},
    {"alg: hmac-sha256\nparse: {l: {from: json:/a}}\nsig: {from: header:x}\nmsg: [body]\ndata: l.a\n", 5, 7, "read what `data` is"},
    {HMAC_HEAD "each: header:x\n", 4, 7, "JSON pointer of an array"},
    {HMAC_HEAD "require: [{value: header:x}]\n", 4, 11, "what is required"},
    {HMAC_HEAD "require: {value: header:x}\n", 4, 10, "must be a list"},
    {HMAC_HEAD "forbid: {chars: a}\n", 4, 10, "unknown key in forbid"},
    {"alg: hmac-sha256\nkey: {secret: [a, b, c]}\nsig: {from: header:x}\nmsg: [body]\n", 2, 15, "too many secrets"},
    {"alg: hmac-sha256\nkey: {secret: [a, b]}\nsig: {from: header:x}\nmsg: [body]\n", 3, 13, "as many signatures"},
    {"alg: hmac-sha256\nsig: {from: header:x}\nmsg: [twilio]\nmsg_alt: [body]\n", 4, 10, "forms of its own"},
    {HMAC_HEAD "id: [x-id]\n", 4, 5, "but the first a duplicate"},
    {HMAC_HEAD "id: [\"json:id\"]\n", 4, 6, "is no JSON pointer"},
    {"alg: jwt\nsig: {from: header:x}\n", 1, 1, "what the token must be"},           /* what is missing has the place of the whole */
    {"doc: x\nlike: stripe\nparse: {a: {from: header:x}}\n", 2, 7, "names no part"}, /* that is in the file of stripe: how it got here */
    {HMAC_HEAD "empty_body: acept\n", 4, 13, "did you mean 'accept'?"},
    {HMAC_HEAD "handshake: {}\n", 4, 12, "handshake must be a list"},
    {HMAC_HEAD "handshake: [{answer: {text: hi}}]\n", 4, 13, "when the handshake applies"},
    {HMAC_HEAD "handshake: [{when: {has: qurey:a}, answer: {text: hi}}]\n", 4, 26, "query:NAME"},
    {HMAC_HEAD "handshake: [{when: {has: query:a, equals: b}}]\n", 4, 35, "unknown key in when"},
    {HMAC_HEAD "handshake: [{when: {has: query:a}, answer: {status: 99}}]\n", 4, 53, "200 to 599"},
    {HMAC_HEAD "handshake: [{when: {has: query:a}, answer: {text: 'a {b}'}}]\n", 4, 44, "names no part"},
    {HMAC_HEAD "handshake: [{when: {has: query:a}, answer: {text: a, json: {}}}]\n", 4, 51, "not both"},
    {HMAC_HEAD "handshake: [{when: {has: query:a}, verify_first: no}]\n", 4, 50, "true or false"},
    {"alg: hmac-sha256\nsig: {from: header:x}\nmsg: [a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,\n  body]\n", 4, 3, "at most 16"},
    {"alg: hmac-sha256\nparse: {a: {from: header:x}, b: {from: header:x}, c: {from: header:x}, d: {from: header:x},\n  e: {from: header:x}}\n"
     "sig: {from: a.b}\nmsg: [body]\n",
     3, 3, "at most 4"},
};

static void test_every_fault_of_a_scheme_is_said_at_its_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(faults); i++) {
        struct bw_errors errs = {0};
        char path[200];
        write_scheme("acme.yaml", faults[i].text, path);
        struct bw_schemes *schemes = bw_schemes_load(folder, &errs);
        if (!errs.count) fail_msg("this must be refused:\n%s", faults[i].text);
        const struct bw_error *err = &errs.items[0];
        if (err->line != faults[i].line || err->column != faults[i].column || strcmp(err->file, path) ||
            (!strstr(err->message, faults[i].part) && !strstr(err->hint, faults[i].part)))
            fail_msg("%s\nis refused at %d:%d: %s (%s), not at %d:%d: %s", faults[i].text, err->line, err->column, err->message, err->hint,
                     faults[i].line, faults[i].column, faults[i].part);
        assert_null(bw_schemes_find(schemes, "acme")); /* left out, not half taken */
        bw_schemes_free(schemes);
        bw_errors_free(&errs);
        unlink(path);
    }
}

static void test_null_is_no_text(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    char path[200];
    write_scheme("acme.yaml", "doc: null\nalg: equal\nkey: {secret: s}\nsig: {from: header:x, prefix: null}\noptions: {a: null, b: ~}\n", path);
    add_secret(&fixture, "s", BW_SLICE("abc"));
    assert_true(try_open(&fixture, "acme", folder));
    assert_accepted(&fixture, "x: abc\n", "{}");
    assert_string_equal(bw_scheme_doc(bw_schemes_find(fixture.schemes, "acme")), "");
    json_t *facts = bw_scheme_facts(bw_schemes_find(fixture.schemes, "acme"));
    assert_string_equal(json_string_value(json_object_get(json_object_get(facts, "options"), "a")), "");
    assert_string_equal(json_string_value(json_object_get(json_object_get(facts, "options"), "b")), "");
    json_decref(facts);
    close_source(&fixture);
    unlink(path);
}

static void test_a_fault_in_the_options_is_the_sources(void **state)
{
    (void)state;
    struct fixture fixture = {0};
    add_option(&fixture, "encoding=base65");
    add_option(&fixture, "header=x-a");
    add_secret(&fixture, "secret", BW_SLICE("s"));
    assert_false(try_open(&fixture, "hmac", NULL));
    assert_string_equal(fixture.errs.items[0].code, "scheme.invalid");
    assert_string_equal(fixture.errs.items[0].file, "bellwire.yaml"); /* not the file of the scheme, in which nothing is wrong */
    assert_int_equal(fixture.errs.items[0].line, 7);
    assert_non_null(strstr(fixture.errs.items[0].message, "base65"));
    close_source(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_built_in_scheme_is_in_order),
        cmocka_unit_test(test_scheme_of_the_user_is_as_good_as_a_built_in_one),
        cmocka_unit_test(test_unsigned_handshake_is_answered_before_anything_is_proven),
        cmocka_unit_test(test_name_of_a_built_in_scheme_is_taken),
        cmocka_unit_test(test_every_fault_of_a_scheme_is_said_at_its_place),
        cmocka_unit_test(test_null_is_no_text),
        cmocka_unit_test(test_a_fault_in_the_options_is_the_sources),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
