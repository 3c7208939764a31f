/* multipart/form-data: what is taken, what is not, and nothing is read beyond the end, wherever the bytes end. */
#include "source/multipart.h"
#include "source_fixture.h"

#define TYPE "multipart/form-data; boundary=b0"
#define FIELD(name, value) "--b0\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n" value "\r\n"
#define END "--b0--\r\n"

/* The parts as "name=value|" and "name<filename:type>=value|"; "!" at the end: it is broken. */
/* out->data is there in any case. */
static void list(struct bw_slice type, struct bw_slice body, struct bw_buf *out)
{
    struct bw_multipart multipart;
    struct bw_part_field part;
    enum bw_multipart_end end = BW_MULTIPART_BROKEN;
    bw_buf_reserve(out, 1);
    bw_buf_clear(out);
    bool begun = bw_multipart_begin(&multipart, type, body);
    while (begun && (end = bw_multipart_next(&multipart, &part)) == BW_MULTIPART_PART) {
        bw_multipart_unquote_append(out, part.name);
        if (part.is_file) {
            bw_buf_append_char(out, '<');
            bw_multipart_unquote_append(out, part.filename);
            bw_buf_append_char(out, ':');
            bw_buf_append_slice(out, part.type);
            bw_buf_append_char(out, '>');
        }
        bw_buf_append_char(out, '=');
        bw_buf_append_slice(out, part.data);
        bw_buf_append_char(out, '|');
    }
    if (end != BW_MULTIPART_OVER) bw_buf_append_char(out, '!');
}

static void assert_listed(const char *type, struct bw_slice body, const char *expected)
{
    struct bw_buf out = {0};
    list(bw_slice_of(type), body, &out);
    if (strcmp(out.data ? out.data : "", expected) != 0) fail_msg("%s\n%.*s\nis %s, not %s", type, (int)body.len, body.ptr, out.data, expected);
    bw_buf_free(&out);
}

static const struct {
    const char *type, *body, *expected;
} good[] =
    {
        {TYPE, FIELD("a", "1") FIELD("b", "x y") END, "a=1|b=x y|"},
        {TYPE, FIELD("a", "") "--b0--", "a=|"},
        {TYPE, "--b0--", ""},
        {TYPE, "--b0--\r\n", ""},
        {TYPE, FIELD("a", "1\r\n--b") END, "a=1\r\n--b|"},
        {TYPE, FIELD("a", "\r\n\r\n") END, "a=\r\n\r\n|"},
        {TYPE, FIELD("a\\\"b\\\\c", "1") END, "a\"b\\c=1|"},
        {TYPE, FIELD("a%22b", "1") END, "a%22b=1|"},
        {TYPE, "--b0\r\ncontent-disposition:form-data;name=a\r\nX-Other: y\r\n\r\n1\r\n" END, "a=1|"},
        {TYPE, "--b0\r\nContent-Type: text/plain\r\nContent-Disposition: form-data; filename=\"f;x.txt\"; name=\"a\"\r\n\r\n1\r\n" END,
         "a<f;x.txt:text/plain>=1|"},
        {TYPE, "--b0\r\nContent-Disposition: form-data; name=\"a\"; filename=\"\"\r\nContent-Transfer-Encoding: binary\r\n\r\n\r\n" END, "a<:>=|"},
        {"multipart/form-data; charset=utf-8; boundary=\"b 0=?\"", "--b 0=?\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b 0=?--",
         "a=1|"},
        {"multipart/form-data;BOUNDARY=b0", FIELD("a", "1") END, "a=1|"},
},
  bad[] = {
      {"multipart/form-data", FIELD("a", "1") END, "!"},
      {"multipart/form-data; boundary=", FIELD("a", "1") END, "!"},
      {"multipart/form-data; boundary=\"b0", FIELD("a", "1") END, "!"},
      {"multipart/form-data; boundary=b0; boundary=b0", FIELD("a", "1") END, "!"},
      {"multipart/form-data; boundary=b0 x", FIELD("a", "1") END, "!"},
      {"multipart/form-data; boundary=\"b0 \"", "--b0 --", "!"},
      {"multipart/form-data; boundary=\"b@0\"", "--b@0--", "!"},
      {"multipart/form-data; boundary=01234567890123456789012345678901234567890123456789012345678901234567890",
       "--01234567890123456789012345678901234567890123456789012345678901234567890--", "!"},
      {TYPE, "", "!"},
      {TYPE, "preamble\r\n" FIELD("a", "1") END, "!"},
      {TYPE, "\r\n" FIELD("a", "1") END, "!"},
      {TYPE, FIELD("a", "1"), "!"},
      {TYPE, FIELD("a", "1") END "epilogue", "a=1|!"},
      {TYPE, FIELD("a", "1") "--b0 \r\n" END, "a=1|!"},
      {TYPE, FIELD("a", "1\r\n--b0x") END, "a=1|!"}, /* the boundary stands in the text: who has made this did not look */
      {TYPE, "--b0\n\nContent-Disposition: form-data; name=\"a\"\n\n1\n--b0--", "!"},
      {TYPE, "--b0\r\n\r\n1\r\n" END, "!"},
      {TYPE, "--b0\r\nContent-Type: text/plain\r\n\r\n1\r\n" END, "!"},
      {TYPE, "--b0\r\nContent-Disposition: attachment; name=\"a\"\r\n\r\n1\r\n" END, "!"},
      {TYPE, "--b0\r\nContent-Disposition: form-data\r\n\r\n1\r\n" END, "!"},
      {TYPE, "--b0\r\nContent-Disposition: form-data; name=\"a\"; name=\"b\"\r\n\r\n1\r\n" END, "!"},
      {TYPE, "--b0\r\nContent-Disposition: form-data; name=\"a\"; filename=x; filename=y\r\n\r\n1\r\n" END, "!"},
      {TYPE, "--b0\r\nContent-Disposition: form-data; name=\"a\r\n\r\n1\r\n" END, "!"},
      {TYPE, "--b0\r\nContent-Disposition: form-data; name=\"a\\\"\r\n\r\n1\r\n" END, "!"},
      {TYPE, "--b0\r\nContent-Disposition: form-data; name=\"a\" x\r\n\r\n1\r\n" END, "!"},
      {TYPE, "--b0\r\nContent-Disposition: form-data; name=\"a\"\r\nContent-Disposition: form-data; name=\"b\"\r\n\r\n1\r\n" END, "!"},
      {TYPE, "--b0\r\nContent-Disposition: form-data; name=\"a\"\r\nContent-Type: a/b\r\nContent-Type: a/b\r\n\r\n1\r\n" END, "!"},
      {TYPE, "--b0\r\nContent-Disposition: form-data; name=\"a\"\r\nContent-Transfer-Encoding: base64\r\n\r\nMQ==\r\n" END, "!"},
      {TYPE, "--b0\r\nContent-Disposition : form-data; name=\"a\"\r\n\r\n1\r\n" END, "!"},
      {TYPE, "--b0\r\nContent-Disposition: form-data; name=\"a\"\r\n folded: x\r\n\r\n1\r\n" END, "!"},
      {TYPE, "--b0\r\nContent-Disposition: form-data; name=\"a\rb\"\r\n\r\n1\r\n" END, "!"},
};

static void test_forms_are_taken_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) assert_listed(good[i].type, bw_slice_of(good[i].body), good[i].expected);
}

static void test_what_is_no_form_is_broken(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) assert_listed(bad[i].type, bw_slice_of(bad[i].body), bad[i].expected);
}

/* Each beginning of each of them, in memory that ends where it ends. */
static void test_every_cut_is_broken_and_stays_inside(void **state)
{
    struct bw_buf out = {0};
    (void)state;
    for (size_t i = 0; i < COUNT(good) + COUNT(bad); i++) {
        const char *type = i < COUNT(good) ? good[i].type : bad[i - COUNT(good)].type,
                   *body = i < COUNT(good) ? good[i].body : bad[i - COUNT(good)].body;
        size_t len = strlen(body);
        bool ends_with_break = len > 2 && !strcmp(body + len - 2, "\r\n");
        for (size_t cut = 0; cut < len; cut++) {
            char *exact = malloc(cut + !cut);
            assert_non_null(exact);
            memcpy(exact, body, cut);
            list(bw_slice_of(type), (struct bw_slice){exact, cut}, &out);
            bool is_whole = ends_with_break && cut == len - 2 && i < COUNT(good), is_broken = out.len && out.data[out.len - 1] == '!';
            if (i < COUNT(good) && is_broken == is_whole) fail_msg("row %zu, cut at %zu: %s", i, cut, out.data); /* the last line end may be missing */
            free(exact);
        }
        for (size_t cut = 0; cut < strlen(type); cut++) {
            char *exact = malloc(cut + !cut);
            assert_non_null(exact);
            memcpy(exact, type, cut);
            list((struct bw_slice){exact, cut}, bw_slice_of(body), &out);
            free(exact);
        }
    }
    bw_buf_free(&out);
}

static void test_there_are_at_most_so_many_parts(void **state)
{
    struct bw_buf body = {0}, more = {0}, out = {0};
    (void)state;
    for (size_t i = 0; i < BW_MULTIPART_PARTS_MAX; i++) bw_buf_append_text(&body, FIELD("a", "1"));
    bw_buf_append_slice(&more, bw_buf_slice(&body));
    bw_buf_append_text(&more, FIELD("a", "1") END);
    bw_buf_append_text(&body, END);
    list(BW_SLICE(TYPE), bw_buf_slice(&body), &out);
    assert_int_equal(out.len, BW_MULTIPART_PARTS_MAX * strlen("a=1|"));
    list(BW_SLICE(TYPE), bw_buf_slice(&more), &out);
    assert_int_equal(out.data[out.len - 1], '!');
    bw_buf_free(&more);
    bw_buf_free(&body);
    bw_buf_free(&out);
}

static void assert_data(const char *body, enum bw_verdict verdict, const char *data)
{
    struct fixture fixture = {0};
    struct bw_buf scratch = {0};
    open_source(&fixture, "none");
    const struct bw_judgement out = judge_at(fixture.source, BW_SLICE("content-type: " TYPE "\n"), bw_slice_of(body), NOW_MS, &scratch);
    if (out.verdict != verdict || (data && !bw_slice_is(out.data, data)))
        fail_msg("%s\nis %d, %.*s", body, out.verdict, (int)out.data.len, out.data.ptr);
    bw_buf_free(&scratch);
    close_source(&fixture);
}

static void test_a_workflow_sees_fields_as_texts_and_files_as_objects(void **state)
{
    (void)state;
    assert_data(FIELD("a", "1") FIELD("b", "x\"y") FIELD("a", "\xc3\xbc") END, BW_VERIFIED, "{\"a\":[\"1\",\"\xc3\xbc\"],\"b\":\"x\\\"y\"}");
    assert_data(
        "--b0\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\\\"b.pdf\"\r\nContent-Type: application/pdf\r\n\r\n\xff\x01\x02\r\n" END,
        BW_VERIFIED, "{\"f\":{\"filename\":\"a\\\"b.pdf\",\"type\":\"application/pdf\",\"size\":3,\"base64\":\"/wEC\"}}");
    assert_data("--b0--", BW_VERIFIED, "{}");
    assert_data(FIELD("a", "\xff") END, BW_MALFORMED, NULL);
    assert_data(FIELD("\xff", "a") END, BW_MALFORMED, NULL);
    assert_data(FIELD("a", "1"), BW_MALFORMED, NULL);
}

static void test_dropbox_sign_is_a_form_with_json_in_it(void **state)
{
    static const char json[] =
        "{\"event\":{\"event_time\":\"1760000000\",\"event_type\":\"signature_request_sent\",\"event_hash\":\"%s\"},\"x\":[1]}";
    struct fixture fixture = {0};
    struct bw_buf scratch = {0};
    char mac[65], text[400], body[600];
    (void)state;
    add_secret(&fixture, "api_key", BW_SLICE("k"));
    open_source(&fixture, "dropbox-sign");
    hex_mac("k", "1760000000signature_request_sent", mac);
    snprintf(text, sizeof text, json, mac);
    snprintf(body, sizeof body, "--b0\r\nContent-Disposition: form-data; name=\"json\"\r\n\r\n%s\r\n" END, text);
    struct bw_judgement out = judge_at(fixture.source, BW_SLICE("content-type: " TYPE "\n"), bw_slice_of(body), NOW_MS, &scratch);
    assert_string_equal(out.reason, "verified");
    assert_true(bw_slice_is(out.event, "signature_request_sent") && out.event_trusted && bw_slice_is(out.delivery_id, mac));
    assert_true(bw_slice_is(out.data, text));
    assert_true(bw_source_acknowledge(fixture.source)->status == 200 &&
                bw_slice_is(bw_buf_slice(&bw_source_acknowledge(fixture.source)->body), "Hello API Event Received"));
    mac[0] = mac[0] == '0' ? '1' : '0';
    snprintf(text, sizeof text, json, mac);
    snprintf(body, sizeof body, "--b0\r\nContent-Disposition: form-data; name=\"json\"\r\n\r\n%s\r\n" END, text);
    assert_refused(&fixture, "content-type: " TYPE "\n", body, "bad signature");
    snprintf(body, sizeof body, "--b0\r\nContent-Disposition: form-data; name=\"json\"; filename=\"x\"\r\n\r\n%s\r\n" END, text);
    assert_refused(&fixture, "content-type: " TYPE "\n", body, NULL);
    bw_buf_free(&scratch);
    close_source(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms_are_taken_apart),
        cmocka_unit_test(test_what_is_no_form_is_broken),
        cmocka_unit_test(test_every_cut_is_broken_and_stays_inside),
        cmocka_unit_test(test_there_are_at_most_so_many_parts),
        cmocka_unit_test(test_a_workflow_sees_fields_as_texts_and_files_as_objects),
        cmocka_unit_test(test_dropbox_sign_is_a_form_with_json_in_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
