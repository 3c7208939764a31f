/* A version of a workflow is what it does, not how its file is laid out. */
#include "base/file.h"
#include "base/json.h"
#include "workflow_fixture.h"

static void hash_of(const char *text, uint8_t out[32])
{
    struct loaded loaded = load_text(text);
    memcpy(out, only(&loaded)->hash, 32);
    unload(&loaded);
}

static const char original[] = "name: t\n"
                               "description: one\n"
                               "on: [{event: a.b, if: \"event.data.n > 1\"}, {manual: true}]\n"
                               "vars: {x: 1, y: [1, 2]}\n"
                               "secrets: [A, B]\n"
                               "steps:\n"
                               "  - {id: one, name: first, uses: http/request@1, with: {url: \"https://x/${{ event.id }}\", n: 10}, timeout: 90s}\n"
                               "  - {id: two, if: \"ok('one')\", lua: \"return {}\", outputs: {r: \"${{ result }}\"}}\n"
                               "  - {id: three, set: {a: [\"${{ 1 }}\", {k: v, l: w}]}}\n"
                               "outputs: {r: \"${{ steps.two.r }}\"}\n";

/* Replaces the first `from`, which must be there. */
static void replaced(const char *from, const char *to, char out[2000])
{
    const char *found = strstr(original, from);
    assert_non_null(found);
    snprintf(out, 2000, "%.*s%s%s", (int)(found - original), original, to, found + strlen(from));
}

static void test_layout_comments_and_order_of_keys_do_not_matter(void **state)
{
    (void)state;
    static const char *const same[][2] = {
        {"name: t\n", "# a comment\n\nname:   t   # another\n"},
        {"name: t\n", "name: 't'\n"},
        {"name: t\n", "\"name\": \"\\x74\"\n"},
        {"description: one\n", "description: two\n"}, /* names for people */
        {"description: one\n", ""},
        {"description: one\n", "pool: heavy\n"},             /* where, not what */
        {"description: one\n", "labels: {team: billing}\n"}, /* what counts for the runs that are there, too */
        {"description: one\n", "retention: {ok: 1h, failed: none}\n"},
        {"name: first, ", ""},
        {"{x: 1, y: [1, 2]}", "{y: [1, 2], x: 1}"},
        {"{x: 1, y: [1, 2]}", "\n  x: 1\n  y:\n    - 1\n    - 2"},
        {"{url: \"https://x/${{ event.id }}\", n: 10}", "{n: 10, url: 'https://x/${{event.id}}'}"},
        {"timeout: 90s", "timeout: 1m30s"},
        {"{k: v, l: w}", "{\"l\": \"w\", \"k\": \"v\"}"},
        {"if: \"ok('one')\"", "if: \"${{ ok('one') }}\""},
        {"\"return {}\"", "'return {}'"},
    };
    uint8_t expected[32], got[32];
    char text[2000];
    hash_of(original, expected);
    for (size_t i = 0; i < COUNT(same); i++) {
        replaced(same[i][0], same[i][1], text);
        hash_of(text, got);
        if (memcmp(expected, got, 32)) fail_msg("this is another version:\n%s", text);
    }
}

static void test_what_it_does_matters(void **state)
{
    (void)state;
    static const char *const other[][2] = {
        {"name: t\n", "name: u\n"},
        {"event: a.b", "event: a.c"},
        {"n > 1", "n > 2"},
        {", {manual: true}]", "]"},
        {"[{event: a.b, if: \"event.data.n > 1\"}, {manual: true}]", "[{manual: true}, {event: a.b, if: \"event.data.n > 1\"}]"},
        {"x: 1", "x: 2"},
        {"x: 1", "x: \"1\""},
        {"[1, 2]", "[2, 1]"},
        {"[A, B]", "[A]"},
        {"request@1", "request@2"},
        {"n: 10", "n: 11"},
        {"n: 10", "n: \"10\""},
        {"n: 10", "n: \"${{ 10 }}\""},
        {"https://x/${{ event.id }}", "https://x/${{ event.name }}"},
        {"timeout: 90s", "timeout: 91s"},
        {", timeout: 90s", ""},
        {"timeout: 90s", "timeout: 90s, limit: llm"},
        {"timeout: 90s", "timeout: 90s, heartbeat: 30s"},
        {"timeout: 90s", "timeout: 90s, guarantee: at_most_once"},
        {"timeout: 90s", "timeout: 90s, sensitive: true"},
        {"timeout: 90s", "timeout: 90s, effect: read"},
        {"timeout: 90s", "timeout: 90s, effect: write"},
        {"id: three", "id: four"},
        {"\"return {}\"", "\"return {1}\""},
        {"if: \"ok('one')\", ", ""},
        {", outputs: {r: \"${{ result }}\"}", ""},
        {"outputs: {r: \"${{ result }}\"}", "outputs: {r: \"${{ result.a }}\"}"},
        {"{k: v, l: w}", "{k: v}"},
        {"outputs: {r: \"${{ steps.two.r }}\"}\n", ""},
        {"  - {id: three, set: {a: [\"${{ 1 }}\", {k: v, l: w}]}}\n", ""},
    };
    uint8_t expected[32], got[32];
    char text[2000];
    hash_of(original, expected);
    for (size_t i = 0; i < COUNT(other); i++) {
        replaced(other[i][0], other[i][1], text);
        hash_of(text, got);
        if (!memcmp(expected, got, 32)) fail_msg("this is the same version:\n%s", text);
    }
}

static void test_what_a_webhook_says_matters(void **state)
{
    (void)state;
    static const char *const triggers[] = {
        "{webhook: /a, verify: hmac, secrets: {secret: {env: A}}}",
        "{webhook: /b, verify: hmac, secrets: {secret: {env: A}}}",
        "{webhook: /a, verify: hmac, secrets: {secret: {env: B}}}",
        "{webhook: /a, verify: hmac, secrets: {secret: {env: A}}, rate: {limit: 5/1s}}",
        "{webhook: /a, verify: hmac, secrets: {secret: {env: A}}, if: event.data.n > 1}",
        "{webhook: /a, verify: none}",
    };
    static const char *const same[][2] = {
        {"{webhook: /a, verify: hmac, secrets: {secret: {env: A}}}", "{secrets: {secret: {env: A}},\n      \"webhook\": '/a', verify: hmac}"},
        {"{webhook: /a, verify: none, if: event.data.n > 1}", "{webhook: /a, verify: none, if: \"${{ event.data.n > 1 }}\"}"},
    };
    uint8_t hashes[COUNT(triggers)][32];
    char text[300];
    for (size_t i = 0; i < COUNT(triggers); i++) {
        snprintf(text, sizeof text, "name: t\non: [%s]\nsteps: [{id: a, set: {}}]\n", triggers[i]);
        hash_of(text, hashes[i]);
        for (size_t k = 0; k < i; k++) assert_memory_not_equal(hashes[i], hashes[k], 32);
    }
    for (size_t i = 0; i < COUNT(same); i++) {
        for (size_t k = 0; k < 2; k++) {
            snprintf(text, sizeof text, "name: t\non: [%s]\nsteps: [{id: a, set: {}}]\n", same[i][k]);
            hash_of(text, hashes[k]);
        }
        assert_memory_equal(hashes[0], hashes[1], 32);
    }
}

static void test_what_a_limit_says_matters(void **state)
{
    (void)state;
    static const char *const limits[] = {
        "llm", "crm", "{name: llm, cost: 2}", "{name: llm, cost: 3}", "{name: llm, key: 2}", "{name: llm, cost: \"${{ 2 }}\"}"};
    uint8_t hashes[COUNT(limits)][32];
    char text[200];
    for (size_t i = 0; i < COUNT(limits); i++) {
        snprintf(text, sizeof text, "name: t\non: [{manual: true}]\nsteps: [{id: a, lua: return 1, limit: %s}]\n", limits[i]);
        hash_of(text, hashes[i]);
        for (size_t k = 0; k < i; k++) assert_memory_not_equal(hashes[i], hashes[k], 32);
    }
    snprintf(text, sizeof text, "name: t\non: [{manual: true}]\nsteps: [{id: a, lua: return 1, limit: {name: llm}}]\n");
    hash_of(text, hashes[1]);
    assert_memory_equal(hashes[0], hashes[1], 32);
}

static void test_who_decides_matters(void **state)
{
    (void)state;
    static const char *const asked[] = {
        "", ", to: [a]", ", to: [b]", ", to: [a, b]", ", to: [b, a]", ", to: [a, b], need: 2", ", choices: [a, b]", ", timeout: 1h"};
    uint8_t hashes[COUNT(asked)][32];
    char text[200];
    for (size_t i = 0; i < COUNT(asked); i++) {
        snprintf(text, sizeof text, "name: t\non: [{manual: true}]\nsteps: [{id: a, approve: {message: m%s}}]\n", asked[i]);
        hash_of(text, hashes[i]);
        for (size_t k = 0; k < i; k++) assert_memory_not_equal(hashes[i], hashes[k], 32);
    }
}

static void test_when_runs_begin_matters(void **state)
{
    (void)state;
    static const char *const keys[] = {"",
                                       "rate: {limit: 5/1h}",
                                       "rate: {limit: 6/1h}",
                                       "rate: {limit: 5/2h}",
                                       "rate: {limit: 5/1h, burst: 2}",
                                       "rate: {limit: 5/1h, over: skip}",
                                       "rate: {limit: 5/1h, key: event.data.a}",
                                       "rate: {limit: 5/1h, key: event.data.b}",
                                       "delay: 1m",
                                       "delay: 2m",
                                       "delay: \"${{ 1 }}m\"",
                                       "start_within: 1m",
                                       "start_within: 2m",
                                       "collect: {quiet: 1m}",
                                       "collect: {quiet: 2m}",
                                       "collect: {max_wait: 1m}",
                                       "collect: {quiet: 1m, max_wait: 1m}",
                                       "collect: {quiet: 1m, max_events: 2}",
                                       "collect: {quiet: 1m, key: event.data.a}",
                                       "collect: {quiet: 1m, key: event.data.b}",
                                       "concurrency: {}",
                                       "concurrency: {on_failed: hold}",
                                       "concurrency: {}\npriority: 1",
                                       "concurrency: {}\npriority: 2",
                                       "concurrency: {}\npriority: event.data.a"};
    uint8_t hashes[COUNT(keys)][32];
    char text[200];
    for (size_t i = 0; i < COUNT(keys); i++) {
        snprintf(text, sizeof text, "name: t\non: [{manual: true}]\n%s\nsteps: [{id: a, lua: return 1}]\n", keys[i]);
        hash_of(text, hashes[i]);
        for (size_t k = 0; k < i; k++) assert_memory_not_equal(hashes[i], hashes[k], 32);
    }
}

static void test_order_of_steps_is_part_of_the_version(void **state)
{
    (void)state;
    uint8_t a[32], b[32];
    hash_of("name: t\non: [{manual: true}]\nsteps: [{id: a, set: {}}, {id: b, set: {}}]\n", a);
    hash_of("name: t\non: [{manual: true}]\nsteps: [{id: b, set: {}}, {id: a, set: {}}]\n", b);
    assert_memory_not_equal(a, b, 32);
}

/* A constant that looks like the canonical form of an expression must not get its hash. */
static void test_constant_cannot_pass_for_an_expression(void **state)
{
    (void)state;
    uint8_t a[32], b[32];
    hash_of("name: t\non: [{manual: true}]\nsteps: [{id: a, set: {x: \"${{ event.id }}\"}}]\n", a);
    hash_of("name: t\non: [{manual: true}]\nsteps: [{id: a, set: {x: {expr: event.id}}}]\n", b);
    assert_memory_not_equal(a, b, 32);
}

static void test_canonical_form_is_json(void **state)
{
    (void)state;
    struct bw_buf text = {0};
    struct bw_error err;
    struct loaded loaded = load_text(original);
    bw_workflow_canonical(only(&loaded), &text);
    json_t *value = bw_json_load(bw_buf_slice(&text), &err);
    assert_non_null(value);
    json_decref(value);
    bw_buf_free(&text);
    unload(&loaded);
}

/* The copy in the tree is what editors are pointed to. */
static void test_schema_in_the_tree_is_the_programs(void **state)
{
    (void)state;
    const char *root = getenv("BELLWIRE_SOURCE_DIR");
    struct bw_buf copy = {0}, own = {0};
    struct bw_error err;
    if (!root) {
        print_message("BELLWIRE_SOURCE_DIR is not set\n");
        skip();
    }
    char *path = bw_file_join(root, "engine/workflow/workflow.schema.json");
    assert_true(bw_file_read(path, 1 << 20, &copy, &err));
    bw_workflow_json_schema(&own);
    json_t *a = bw_json_load(bw_buf_slice(&copy), &err), *b = bw_json_load(bw_buf_slice(&own), &err);
    assert_true(a && b);
    if (!json_equal(a, b)) fail_msg("%s is out of date: bellwire check --print-schema | python3 -m json.tool --indent 2 > %s", path, path);
    json_decref(a);
    json_decref(b);
    bw_buf_free(&copy);
    bw_buf_free(&own);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout_comments_and_order_of_keys_do_not_matter),
        cmocka_unit_test(test_what_it_does_matters),
        cmocka_unit_test(test_what_a_webhook_says_matters),
        cmocka_unit_test(test_what_a_limit_says_matters),
        cmocka_unit_test(test_who_decides_matters),
        cmocka_unit_test(test_when_runs_begin_matters),
        cmocka_unit_test(test_order_of_steps_is_part_of_the_version),
        cmocka_unit_test(test_constant_cannot_pass_for_an_expression),
        cmocka_unit_test(test_canonical_form_is_json),
        cmocka_unit_test(test_schema_in_the_tree_is_the_programs),
    };
    bw_json_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
