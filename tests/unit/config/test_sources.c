/* `sources:` and `secrets:`: who may send, and where secret values come from. */
#include "config_fixture.h"

#define SOURCE(more) "sources:\n  s:\n    path: /in/s\n    verify: none\n" more

static void test_a_source_has_defaults(void **state)
{
    (void)state;
    struct bw_config *config = load_good("max_body: 2MiB\n" SOURCE(""));
    assert_int_equal(config->source_count, 1);
    const struct bw_source_config *source = &config->sources[0];
    assert_string_equal(source->name, "s");
    assert_string_equal(source->path, "/in/s");
    assert_string_equal(source->verify, "none");
    assert_null(source->event);
    assert_null(source->public_url);
    assert_int_equal(source->event_ref_count + source->dedupe_ref_count + source->option_count + source->secret_count, 0);
    assert_int_equal(source->dedupe_window_ms, 3 * 86400000);
    assert_int_equal(source->max_body_bytes, 2 << 20); /* the instance's */
    assert_int_equal(source->line, 3);
    assert_int_equal(source->column, 3);
    bw_config_free(config);
}

static void test_everything_of_a_source_is_taken(void **state)
{
    (void)state;
    setenv("BW_TEST_ONE", "value-1", 1);
    struct bw_config *config = load_good("sources:\n"
                                         "  my-source-1:\n"
                                         "    path: /in/a.b-c_d/e\n"
                                         "    verify: hmac\n"
                                         "    secrets: {secret: {env: BW_TEST_ONE}}\n"
                                         "    event: {refs: [header:x-event, json:/type]}\n"
                                         "    dedupe: {refs: [header:x-id], window: 7d}\n"
                                         "    max_body: 5MiB\n"
                                         "    public_url: https://hooks.example/in/a\n"
                                         "    options: {header: x-sig, tolerance: 10}\n"
                                         "    schema: {type: object, properties: {id: {type: string, required: true}}}\n"
                                         "    rate: [{limit: 100/1s}, {limit: 10/2s, burst: 3, by: address}]\n"
                                         "    allow: [192.0.2.7, 10.0.0.0/8, \"2001:db8::/32\", \"::ffff:198.51.100.0/120\"]\n"
                                         "  fixed: {path: /f, verify: none, event: note.added}\n");
    const struct bw_source_config *source = &config->sources[0];
    assert_string_equal(source->secrets[0].name, "secret");
    assert_string_equal(source->secrets[0].values[0].ptr, "value-1");
    assert_int_equal(source->event_ref_count, 2);
    assert_string_equal(source->event_refs[1], "json:/type");
    assert_string_equal(source->dedupe_refs[0], "header:x-id");
    assert_int_equal(source->dedupe_window_ms, 7 * 86400000);
    assert_int_equal(source->max_body_bytes, 5 << 20);
    assert_string_equal(source->public_url, "https://hooks.example/in/a");
    assert_string_equal(source->options[0], "header=x-sig");
    assert_string_equal(source->options[1], "tolerance=10");
    assert_non_null(source->schema);
    assert_true(source->rate.count == 100 && source->rate.period_ms == 1000 && source->rate.burst == 100);
    assert_true(source->address_rate.count == 10 && source->address_rate.period_ms == 2000 && source->address_rate.burst == 3);
    assert_int_equal(source->allow_count, 4);
    assert_int_equal(source->allow[3].bits, 24);
    assert_false(source->is_trigger);
    assert_string_equal(config->sources[1].event, "note.added");
    bw_config_free(config);
    unsetenv("BW_TEST_ONE");
}

static const struct refusal refusals[] = {
    {"sources:\n  §s:\n", "source.no_verify", "verify: none"},
    {"sources:\n  s: §x\n", "config.type", "must be a map"},
    {"sources:\n  §s: {path: /a}\n", "source.no_verify", "bellwire schemes"},
    {"sources:\n  §s: {verify: none}\n", "source.no_path", "path: /in/NAME"},
    {"sources:\n  §S: {path: /a, verify: none}\n", "config.name", "a-z, 0-9 and '-'"},
    {"sources:\n  §1: {path: /a, verify: none}\n", "config.name", "begin with a letter"},
    {"sources:\n  §aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: {path: /a, verify: none}\n", "config.name", "must be of"},
    {SOURCE("    §pathh: /x\n"), "config.unknown_key", "did you mean 'path'?"},
    {SOURCE("    rate: §5/1s\n"), "config.type", "{limit: 100/1s"},
    {SOURCE("    rate: §[]\n"), "config.type", "empty list"},
    {SOURCE("    rate: {limit: §5}\n"), "source.rate", "no usable rate"},
    {SOURCE("    rate: {limit: §0/1s}\n"), "source.rate", "limit: 100/1s"},
    {SOURCE("    rate: §{burst: 5}\n"), "source.rate", "no limit"},
    {SOURCE("    rate: {limit: 5/1s, burst: §0}\n"), "config.range", "1 to 1000000"},
    {SOURCE("    rate: {limit: 5/1s, by: §sender}\n"), "source.rate", "source or address"},
    {SOURCE("    rate: {limit: 5/1s, §per: address}\n"), "config.unknown_key", "rate"},
    {SOURCE("    rate: [{limit: 5/1s}, §{limit: 6/1s}]\n"), "source.rate", "two rates by source"},
    {SOURCE("    rate: [{limit: 5/1s, by: address}, {limit: 6/1s, by: §address}]\n"), "source.rate", "two rates by address"},
    {SOURCE("    allow: §10.0.0.0/8\n"), "config.type", "[192.0.2.7, 10.0.0.0/8]"},
    {SOURCE("    allow: §[]\n"), "config.type", "a list of addresses"},
    {SOURCE("    allow: [10.0.0.0/8, §10.0.0.1/8]\n"), "config.address", "write the network, 10.0.0.0/8"},
    {SOURCE("    allow: [§example.com]\n"), "config.address", "'example.com' is no address"},
    {SOURCE("    allow: [§10.0.0.0/33]\n"), "config.address", "no address or network"},
    {SOURCE("    allow: [§{}]\n"), "config.address", "a map is no address"},
    {SOURCE("    schema: §string\n"), "source.schema", "a schema must be a map"},
    {SOURCE("    schema: §{type: strin}\n"), "source.schema", "did you mean 'string'?"},
    {SOURCE("    schema: §{propertys: {}}\n"), "source.schema", "did you mean 'properties'?"},
    {SOURCE("    schema: {type: object, properties: {a: {type: array, items: {§default: 1}}}}\n"), "source.schema", "kept as it came"},
    {"trusted_proxies: [§10.0.0.7/8]\n", "config.address", "10.0.0.0/8"},
    {"sources:\n  s: {path: §in, verify: none}\n", "source.path", "begin with '/'"},
    {"sources:\n  s: {path: §/a?b, verify: none}\n", "source.path", "'?'"},
    {"sources:\n  s: {path: §/a%20, verify: none}\n", "source.path", "'%'"},
    {"sources:\n  s: {path: §/healthz, verify: none}\n", "source.path", "the engine's own"},
    {"sources:\n  s: {path: §/status/a, verify: none}\n", "source.path", "below /status/"},
    {"sources:\n  s: {path: §/callback/a, verify: none}\n", "source.path", "below /callback/ are the engine's own"},
    {"sources:\n  s: {path: /a, verify: none}\n  t: {path: §/a, verify: none}\n", "source.same_path", "s and t"},
    {"sources:\n  s: {path: /a, verify: §[none]}\n", "config.type", "must be text"},
    {SOURCE("    max_body: §26MiB\n"), "config.range", "26214400"},
    {SOURCE("    max_body: §17MiB\n"), "config.range", "16777216"},
    {"sources:\n  s:\n    path: /in/s\n    verify: github\n    max_body: §26MiB\n", "config.range", "26214400"},
    {SOURCE("    event: §[a]\n"), "config.type", "a name or {refs: [...]}"},
    {SOURCE("    event: §\"\"\n"), "config.type", "a name or"},
    {SOURCE("    event: §a b\n"), "config.event", "letters, digits"},
    {SOURCE("    event: §{ref: [json:/a]}\n"), "config.type", "{refs: [...]}"},
    {SOURCE("    event: {refs: §json:/a}\n"), "config.type", "[header:x-event, json:/type]"},
    {SOURCE("    event: {refs: §[]}\n"), "config.type", "a list of value references"},
    {SOURCE("    event: {refs: [§[a]]}\n"), "config.type", "must hold texts"},
    {SOURCE("    dedupe: §3d\n"), "config.type", "must be a map"},
    {SOURCE("    dedupe: {§windw: 3d}\n"), "config.unknown_key", "did you mean 'window'?"},
    {SOURCE("    dedupe: {window: §3}\n"), "config.type", "duration"},
    {SOURCE("    dedupe: {refs: §[]}\n"), "config.type", "value references"},
    {SOURCE("    public_url: §hooks.example/in\n"), "source.public_url", "https://"},
    {SOURCE("    options: §[a]\n"), "config.type", "map of names to values"},
    {SOURCE("    options: {header: §[a]}\n"), "config.type", "header"},
    {SOURCE("    secrets: §[a]\n"), "config.type", "map of names"},
    {SOURCE("    secrets: {a: §plain-text}\n"), "secret.reference", "never written into the configuration"},
    {SOURCE("    secrets: {a: §{vault: x}}\n"), "secret.reference", "{env: NAME}, {file: PATH} or {exec: "},
    {SOURCE("    secrets: {a: §{env: A, file: b}}\n"), "secret.reference", "or a list of those"},
    {SOURCE("    secrets: {a: §[]}\n"), "secret.empty", "no value"},
    {SOURCE("    secrets: {a: [§x]}\n"), "secret.reference", "{env: NAME}"},
    {SOURCE("    secrets: {a: {env: §BW_TEST_NOT_SET}}\n"), "secret.missing", "export BW_TEST_NOT_SET="},
    {SOURCE("    secrets: {a: {env: §BW_TEST_EMPTY}}\n"), "secret.empty", "would let anybody in"},
    {SOURCE("    secrets: {a: {env: §BW_TEST_BLANK}}\n"), "secret.empty", "BW_TEST_BLANK"},
    {SOURCE("    secrets: {a: {env: §[A]}}\n"), "secret.reference", "{env: NAME}"},
    {SOURCE("    secrets: {a: {env: §}}\n"), "secret.reference", "{env: NAME}"},
    {SOURCE("    secrets: {a: {file: §{b: c}}}\n"), "secret.reference", "{file: PATH}"},
    {SOURCE("    secrets: {a: {file: §nobody}}\n"), "secret.unreadable", "nobody"},
    {SOURCE("    secrets: {a: {file: §.}}\n"), "secret.unreadable", "may read it"},
    {SOURCE("    secrets: {a: {file: §empty}}\n"), "secret.empty", "would let anybody in"},
    {SOURCE("    secrets: {a: {file: §newline}}\n"), "secret.empty", "newline is empty"},
    {SOURCE("    secrets: {a: {file: §shared}}\n"), "secret.readable", "chmod o-r"},
    {"secrets: {T: {env: §BW_TEST_NOT_SET}}\n", "secret.missing", "not set"},
    {"secrets: {§a-b: {env: BW_TEST_VALUE}}\n", "secret.name", "letters, digits and _"},
};

static void test_every_fault_has_its_code_place_and_next_step(void **state)
{
    (void)state;
    setenv("BW_TEST_EMPTY", "", 1);
    setenv("BW_TEST_BLANK", " \t\n", 1);
    setenv("BW_TEST_VALUE", "v", 1);
    unsetenv("BW_TEST_NOT_SET");
    write_file("empty", "", 0600);
    write_file("newline", "\n", 0600);
    write_file("shared", "value", 0644);
    for (size_t i = 0; i < COUNT(refusals); i++) assert_refused(&refusals[i]);
    unlink(path_of("empty"));
    unlink(path_of("newline"));
    unlink(path_of("shared"));
    unsetenv("BW_TEST_EMPTY");
    unsetenv("BW_TEST_BLANK");
    unsetenv("BW_TEST_VALUE");
}

static void test_one_line_break_at_the_end_of_a_file_is_the_editors(void **state)
{
    (void)state;
    static const char *const texts[][2] = {{"value", "value"},       {"value\n", "value"},   {"value\r\n", "value"},
                                           {"value\n\n", "value\n"}, {" value ", " value "}, {"two\nlines\n", "two\nlines"}};
    for (size_t i = 0; i < COUNT(texts); i++) {
        write_file("secret", texts[i][0], 0600);
        struct bw_config *config = load_good("secrets: {TOKEN: {file: secret}}\n"); /* relative to the file's folder */
        const struct bw_secret *secret = bw_secret_find(config->secrets, config->secret_count, BW_SLICE("TOKEN"));
        assert_non_null(secret);
        assert_null(bw_secret_find(config->secrets, config->secret_count, BW_SLICE("TOKE")));
        assert_int_equal(secret->count, 1);
        assert_int_equal(secret->values[0].len, strlen(texts[i][1]));
        assert_string_equal(secret->values[0].ptr, texts[i][1]);
        bw_config_free(config);
    }
    unlink(path_of("secret"));
}

static void test_several_values_are_a_rotation(void **state)
{
    (void)state;
    setenv("BW_TEST_NEW", "new", 1);
    write_file("old", "old\n", 0600);
    struct bw_config *config = load_good("secrets: {TOKEN: [{env: BW_TEST_NEW}, {file: old}]}\n");
    const struct bw_secret *secret = bw_secret_find(config->secrets, config->secret_count, BW_SLICE("TOKEN"));
    assert_int_equal(secret->count, 2);
    assert_string_equal(secret->values[0].ptr, "new");
    assert_string_equal(secret->values[1].ptr, "old");
    bw_config_free(config);
    unlink(path_of("old"));
    unsetenv("BW_TEST_NEW");
}

/* An error goes to logs and screens: a value in it would be known to everybody. */
static void test_no_error_shows_a_secret(void **state)
{
    (void)state;
    struct bw_errors errs = {0};
    char text[1400];
    write_file("shared", "s3cret-value", 0644);
    assert_null(load_text("secrets: {A: s3cret-value, B: {file: shared}, C: [s3cret-value]}\n", &errs));
    assert_int_equal(errs.count, 3);
    for (size_t i = 0; i < errs.count; i++) assert_null(strstr(bw_error_text(&errs.items[i], text, sizeof text), "s3cret-value"));
    bw_errors_free(&errs);
    unlink(path_of("shared"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_source_has_defaults),
        cmocka_unit_test(test_everything_of_a_source_is_taken),
        cmocka_unit_test(test_every_fault_has_its_code_place_and_next_step),
        cmocka_unit_test(test_one_line_break_at_the_end_of_a_file_is_the_editors),
        cmocka_unit_test(test_several_values_are_a_rotation),
        cmocka_unit_test(test_no_error_shows_a_secret),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
