/* What bw_json_build() makes is what jansson makes of the same text, or nothing. Copies of the exact size: a read outside is an ASan report. */
#include "base/file.h"
#include "base/json_build.h"
#include "base/json_scan.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

static json_t *build(struct bw_slice text)
{
    char *exact = malloc(text.len);
    memcpy(exact, text.ptr, text.len);
    json_t *built = bw_json_build((struct bw_slice){exact, text.len});
    free(exact);
    return built;
}

/* Also in the order of the members. */
static bool are_the_same(const json_t *one, const json_t *other)
{
    char *ours = json_dumps(one, JSON_ENCODE_ANY | JSON_COMPACT), *theirs = json_dumps(other, JSON_ENCODE_ANY | JSON_COMPACT);
    bool same = json_equal(one, other) && ours && theirs && !strcmp(ours, theirs);
    free(ours);
    free(theirs);
    return same;
}

/* False: bw_json_build() has left it to jansson. */
static bool check(struct bw_slice text)
{
    json_t *built = build(text), *native = json_loadb(text.ptr, text.len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    bool is_built = built != NULL;
    if (is_built && (!native || !are_the_same(built, native))) fail_msg("%.*s is not what jansson reads", (int)text.len, text.ptr);
    json_decref(built);
    json_decref(native);
    return is_built;
}

static const char *const documents[] = {
    "{\"a\":[1,2.5e-3,{\"b\":null}],\"c\":\"\\u00e9\\ud83d\\ude00\\n\",\"d\":true}",
    "{\"z\":1,\"a\":{},\"m\":[],\"\":\"\",\"\\\"k\\u00e9y\\\\\":{\"\\t\":\"\\/\"}}",
    " { \"k\" : [ 1 , -2 ,\t3.0 , \"\xc3\xa9\" , true , false , null ] , \"l\" : [ { } , [ ] ] }\r\n",
    "[999999999999999999,-999999999999999999,9223372036854775807,-9223372036854775808,0,-0,-0.0,1E3,1e-400]",
    "\"\"",
    "\"\\\\\"",
    "17",
    "-3",
    "12345678901234567",
    "0.5",
    "true",
    " null ",
    "[[[[[[[]]]]]]]",
};

static void test_a_tree_is_what_jansson_makes_of_the_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof documents / sizeof *documents; i++)
        if (!check(bw_slice_of(documents[i]))) fail_msg("%s is not built", documents[i]);
}

static void test_what_has_to_be_judged_is_left_to_jansson(void **state)
{
    static const struct {
        const char *text, *code; /* what bw_json_load() says in the end */
    } cases[] = {{"{\"a\":1,\"b\":{\"c\":1,\"c\":2}}", "json.syntax"},
                 {"{\"a\":1,\"\\u0061\":2}", "json.syntax"},
                 {"[9223372036854775808]", "json.number"},
                 {"[-99999999999999999999999999999999999999999999999999999999999999999999999999]", "json.number"},
                 {"[1e400]", "json.number"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bw_error err;
        assert_true(bw_json_scan(bw_slice_of(cases[i].text), NULL, NULL, NULL));
        assert_null(build(bw_slice_of(cases[i].text)));
        assert_null(bw_json_load(bw_slice_of(cases[i].text), &err));
        assert_string_equal(err.code, cases[i].code);
    }
}

static void test_a_head_may_have_a_key_twice_and_nul(void **state)
{
    (void)state;
    json_t *head = bw_json_load_head(BW_SLICE("{\"a\":1,\"a\":2}"));
    assert_int_equal(bw_json_int(head, "a", 0), 2);
    json_decref(head);
    head = bw_json_load_head(BW_SLICE("{\"a\":\"x\\u0000y\"}"));
    assert_int_equal(bw_json_slice(json_object_get(head, "a")).len, 3);
    json_decref(head);
    assert_null(bw_json_load_head(BW_SLICE("")));
    assert_null(bw_json_load_head(BW_SLICE("[]")));
    assert_null(bw_json_load_head(BW_SLICE("1")));
    assert_null(bw_json_load_head(BW_SLICE("{\"a\"")));
}

static void test_the_corpus(void **state)
{
    char folder[512], **names;
    size_t count, built = 0;
    struct bw_error err;
    (void)state;
    snprintf(folder, sizeof folder, "%s/corpora/json/test_parsing", getenv("BELLWIRE_SHARED") ? getenv("BELLWIRE_SHARED") : ".");
    if (!bw_file_list(folder, ".json", false, &names, &count, &err) || !count) {
        print_message("the JSON corpus is not here\n");
        skip();
    }
    for (size_t i = 0; i < count; i++) {
        char *path = bw_file_join(folder, names[i]);
        struct bw_buf text = {0};
        assert_true(bw_file_read(path, 1 << 20, &text, &err));
        if (bw_json_scan(bw_buf_slice(&text), NULL, NULL, NULL)) built += check(bw_buf_slice(&text));
        bw_buf_free(&text);
        free(path);
    }
    bw_file_list_free(names, count);
    assert_true(built > 80);
}

static void test_mutations(void **state)
{
    static const char bytes[] = "{}[]\",:\\0123456789.eE+-truefalsn u\n\t\x80\xc3\xa9\xed\xa0\x1f";
    unsigned seed = 1, built = 0;
    (void)state;
    for (unsigned round = 0; round < 200000; round++) {
        char text[160];
        const char *from = documents[round % (sizeof documents / sizeof *documents)];
        size_t len = strlen(from);
        memcpy(text, from, len);
        for (unsigned edits = 1 + round % 3; edits; edits--) {
            seed = seed * 1103515245 + 12345;
            size_t at = (seed >> 8) % len;
            seed = seed * 1103515245 + 12345;
            text[at] = bytes[(seed >> 8) % (sizeof bytes - 1)];
        }
        if (bw_json_scan((struct bw_slice){text, len}, NULL, NULL, NULL)) built += check((struct bw_slice){text, len});
    }
    assert_true(built > 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_tree_is_what_jansson_makes_of_the_text),
        cmocka_unit_test(test_what_has_to_be_judged_is_left_to_jansson),
        cmocka_unit_test(test_a_head_may_have_a_key_twice_and_nul),
        cmocka_unit_test(test_the_corpus),
        cmocka_unit_test(test_mutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
