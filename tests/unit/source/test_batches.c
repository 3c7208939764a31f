/* Requests that hold several events, as the built-in schemes take them apart. */
#include "base/json_view.h"
#include "source_fixture.h"
#include <unistd.h>

#define JSON "content-type: application/json\n"
static const struct {
    const char *scheme, *body;
    const char *expected; /* "id name" of each item, a line each */
} rows[] = {
    {"sendgrid", "[{\"sg_event_id\":\"a\",\"event\":\"open\"},{\"sg_event_id\":\"b\",\"event\":\"click\"}]", "a open\nb click\n"},
    {"hubspot-v3", "[{\"eventId\":7,\"subscriptionType\":\"contact.creation\"}]", "7 contact.creation\n"},
    {"hubspot-v1", "[{\"eventId\":7,\"subscriptionType\":\"deal.deletion\"}]", "7 deal.deletion\n"},
    {"hubspot", "[{\"eventId\":7,\"subscriptionType\":\"deal.deletion\"}]", "7 deal.deletion\n"},
    {"gocardless", "{\"events\":[{\"id\":\"EV1\",\"resource_type\":\"payments\",\"action\":\"paid_out\"}],\"meta\":{}}", "EV1 payments.paid_out\n"},
    {"line", "{\"destination\":\"U\",\"events\":[{\"webhookEventId\":\"W\",\"type\":\"message\"},{\"type\":\"join\"}]}", "W message\n join\n"},
    {"line", "{\"destination\":\"U\",\"events\":[]}", ""},
    {"okta", "{\"eventType\":\"x\",\"data\":{\"events\":[{\"uuid\":\"u-1\",\"eventType\":\"user.session.start\"}]}}", "u-1 user.session.start\n"},
    {"klaviyo", "{\"data\":[{\"external_id\":\"e\",\"topic\":\"event:klaviyo.email_delivered\",\"payload\":{}}],\"meta\":{}}",
     "e event:klaviyo.email_delivered\n"},
    {"azure-event-grid", "[{\"id\":\"1\",\"eventType\":\"Microsoft.Storage.BlobCreated\"}]", "1 Microsoft.Storage.BlobCreated\n"},
    {"adyen",
     "{\"notificationItems\":[{\"NotificationRequestItem\":{\"pspReference\":\"P\",\"eventCode\":\"REFUND\",\"success\":\"true\"}},"
     "{\"NotificationRequestItem\":{\"pspReference\":\"P\",\"eventCode\":\"CAPTURE\",\"success\":\"false\"}}]}",
     "P:REFUND:true REFUND\nP:CAPTURE:false CAPTURE\n"},
    {"hubspot-v2", "{\"objectId\":1}", NULL}, /* no list: one event */
    {"sendgrid", "{\"event\":\"open\"}", NULL},
};

/* What is proven is the business of others: the scheme judges with `alg: none`, what it takes apart is its own. */
static void write_scheme(const char *folder, const char *name)
{
    char path[200];
    snprintf(path, sizeof path, "%s/open.yaml", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "doc: as %s, and anybody may send\nlike: %s\nalg: none\noptions: {none: \"\"}\ntime: {from: \"{none}\"}\n", name, name);
    fclose(file);
}

static void list_items(const struct fixture *fixture, const struct bw_request *request, const struct bw_judgement *judgement, struct bw_buf *scratch,
                       struct bw_buf *out)
{
    struct bw_json_iter iter = bw_json_view_iter((struct bw_json_view){judgement->items});
    struct bw_json_view view;
    while (bw_json_iter_next(&iter, NULL, &view)) {
        struct bw_item item;
        assert_true(bw_source_item(fixture->source, request, view.raw, scratch, &item));
        assert_ptr_equal(item.data.ptr, view.raw.ptr);
        bw_buf_append_slice(out, item.delivery_id);
        bw_buf_append_char(out, ' ');
        bw_buf_append_slice(out, item.event);
        bw_buf_append_char(out, '\n');
    }
}

static struct bw_request request_of(const struct lines *lines, const char *body)
{
    return (struct bw_request){.method = BW_SLICE("POST"),
                               .url = BW_SLICE("https://bellwire.example/in/test"),
                               .query = BW_SLICE(""),
                               .headers = lines->headers,
                               .header_count = lines->count,
                               .body = bw_slice_of(body),
                               .now_ms = NOW_MS};
}

static void test_each_item_is_an_event_with_an_id_and_a_name_of_its_own(void **state)
{
    char folder[] = "/tmp/bellwire-batches-XXXXXX", text[1400];
    (void)state;
    assert_non_null(mkdtemp(folder));
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct fixture fixture = {0};
        struct lines lines;
        struct bw_buf scratch = {0}, items = {0};
        struct bw_judgement out;
        write_scheme(folder, strcmp(rows[i].scheme, "hubspot") ? rows[i].scheme : "hubspot-v3");
        if (!try_open(&fixture, "open", folder)) fail_msg("%s", bw_error_text(&fixture.errs.items[0], text, sizeof text));
        split_lines(&lines, bw_slice_of(JSON));
        const struct bw_request request = request_of(&lines, rows[i].body);
        bw_source_judge(fixture.source, &request, &scratch, &out);
        if (out.verdict != BW_VERIFIED || (out.items.len != 0) != (rows[i].expected != NULL))
            fail_msg("row %zu: %s: %s, %zu bytes of items", i, rows[i].scheme, out.reason, out.items.len);
        if (rows[i].expected) {
            list_items(&fixture, &request, &out, &scratch, &items);
            assert_string_equal(items.data ? items.data : "", rows[i].expected);
        }
        bw_buf_free(&items);
        bw_buf_free(&scratch);
        close_source(&fixture);
    }
    snprintf(text, sizeof text, "%s/open.yaml", folder);
    unlink(text);
    rmdir(folder);
}

static void test_names_of_items_are_trusted_when_the_body_is_signed(void **state)
{
    static const struct {
        const char *scheme, *secret, *value;
        bool is_trusted;
    } schemes[] = {{"gocardless", "secret", "s", true}, {"okta", "token", "t", false}, {"adyen", "hmac_key", "6b6b", true}};
    (void)state;
    for (size_t i = 0; i < COUNT(schemes); i++) {
        struct fixture fixture = {0};
        add_secret(&fixture, schemes[i].secret, bw_slice_of(schemes[i].value));
        open_source(&fixture, schemes[i].scheme);
        assert_int_equal(bw_source_names_are_signed(fixture.source), schemes[i].is_trusted);
        close_source(&fixture);
    }
}

static void test_what_is_no_event_is_refused(void **state)
{
    static const char *const bad[] = {"1", "\"x\"", "[]", "null", "{\"id\":\"a\",\"id\":\"b\"}", "{\"id\":\"a\",\"\\u0069d\":\"b\"}"};
    struct fixture fixture = {0};
    struct lines lines = {0};
    struct bw_buf scratch = {0};
    struct bw_item item;
    (void)state;
    add_secret(&fixture, "token", BW_SLICE("t"));
    open_source(&fixture, "azure-event-grid");
    const struct bw_request request = request_of(&lines, "");
    assert_true(bw_buf_reserve(&scratch, 1000));
    for (size_t i = 0; i < COUNT(bad); i++) assert_false(bw_source_item(fixture.source, &request, bw_slice_of(bad[i]), &scratch, &item));
    assert_true(bw_source_item(fixture.source, &request, BW_SLICE("{\"x\":1,\"x\":2}"), &scratch, &item));
    assert_int_equal(item.delivery_id.len, 0);
    assert_true(bw_slice_is(item.event, "event"));
    bw_buf_free(&scratch);
    close_source(&fixture);
}

static void test_a_source_may_say_otherwise(void **state)
{
    char *id[] = {(char *)"item:/nested/id"}, *name[] = {(char *)"header:x-kind", (char *)"item:/kind"};
    struct fixture fixture = {0};
    struct lines lines;
    struct bw_buf scratch = {0};
    struct bw_item item;
    (void)state;
    fixture.config.dedupe_refs = id;
    fixture.config.dedupe_ref_count = 1;
    fixture.config.event_refs = name;
    fixture.config.event_ref_count = 2;
    add_secret(&fixture, "token", BW_SLICE("t"));
    open_source(&fixture, "azure-event-grid");
    split_lines(&lines, BW_SLICE("x-kind: blob\n"));
    const struct bw_request request = request_of(&lines, "");
    assert_true(bw_buf_reserve(&scratch, 1000));
    assert_true(bw_source_item(fixture.source, &request, BW_SLICE("{\"nested\":{\"id\":\"n\"},\"kind\":\"made/new\"}"), &scratch, &item));
    assert_true(bw_slice_is(item.delivery_id, "n") && bw_slice_is(item.event, "blob.made.new") && !item.event_trusted);
    close_source(&fixture);
    fixture = (struct fixture){.config.keeps_batches = true};
    add_secret(&fixture, "secret", BW_SLICE("s"));
    open_source(&fixture, "gocardless");
    char mac[65], line[120];
    format(line, sizeof line, "webhook-signature: %s\n", hex_mac("s", "{\"events\":[{\"id\":\"1\"}]}", mac));
    const struct bw_judgement out = judge_at(fixture.source, bw_slice_of(line), BW_SLICE("{\"events\":[{\"id\":\"1\"}]}"), NOW_MS, &scratch);
    assert_int_equal(out.verdict, BW_VERIFIED);
    assert_int_equal(out.items.len, 0);
    bw_buf_free(&scratch);
    close_source(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_item_is_an_event_with_an_id_and_a_name_of_its_own),
        cmocka_unit_test(test_names_of_items_are_trusted_when_the_body_is_signed),
        cmocka_unit_test(test_what_is_no_event_is_refused),
        cmocka_unit_test(test_a_source_may_say_otherwise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
