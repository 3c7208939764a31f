/* What plugins are told by bellwire.yaml: every fault is found, each at its place, and none makes a secret's value or a foreign field pass. */
#include "config/config_fixture.h"
#include "plugin/settings.h"

#define MANIFEST                                                                                                                         \
    "{\"name\":\"crm\",\"config\":{\"vendor\":{\"type\":\"string\",\"required\":true,\"enum\":[\"hubspot\",\"zoho\"]},"                  \
    "\"token\":{\"type\":\"string\",\"secret\":true},\"pages\":{\"type\":\"integer\",\"default\":10,\"min\":1,\"max\":100},"             \
    "\"proxy\":{\"type\":\"object\",\"properties\":{\"url\":{\"type\":\"string\"},\"password\":{\"type\":\"string\",\"secret\":true}}}," \
    "\"keys\":{\"type\":\"array\",\"items\":{\"type\":\"string\",\"secret\":true}}}}"
#define SECRETS "secrets: {CRM_TOKEN: {env: HOME}, OTHER: {env: HOME}}\n"

static json_t *configure_of(const char *text)
{
    struct bw_config *config = load_good(text);
    json_t *configure = bw_json_load(bw_slice_of(config->configure), NULL);
    bw_config_free(config);
    return configure;
}

static json_t *parse(const char *text)
{
    json_t *value = bw_json_load(bw_slice_of(text), NULL);
    assert_non_null(value);
    return value;
}

static void assert_told(const char *yaml, const char *config, const char *secrets)
{
    json_t *configure = configure_of(yaml), *manifest = parse(MANIFEST), *expected = parse(config), *names = parse(secrets);
    struct bw_settings settings;
    struct bw_errors errs = {0};
    char text[1400];
    if (!bw_settings_make(configure, manifest, &settings, &errs)) fail_msg("%s", bw_error_text(&errs.items[0], text, sizeof text));
    assert_true(json_equal(settings.config, expected));
    assert_true(json_equal(settings.secrets, names));
    bw_settings_free(&settings);
    json_decref(configure);
    json_decref(manifest);
    json_decref(expected);
    json_decref(names);
}

static void test_what_is_written_is_told_with_defaults_and_names_of_secrets(void **state)
{
    (void)state;
    assert_told(SECRETS "configure: {crm: {vendor: zoho}}\n", "{\"vendor\":\"zoho\",\"pages\":10}", "[]");
    assert_told(SECRETS "configure: {crm: {vendor: zoho, pages: 3, token: {secret: CRM_TOKEN}}, other: {x: 1}}\n",
                "{\"vendor\":\"zoho\",\"pages\":3,\"token\":{\"secret\":\"CRM_TOKEN\"}}", "[\"CRM_TOKEN\"]");
    assert_told(SECRETS
                "configure: {crm: {vendor: zoho, proxy: {url: x, password: {secret: OTHER}}, keys: [{secret: CRM_TOKEN}, {secret: OTHER}]}}\n",
                "{\"vendor\":\"zoho\",\"pages\":10,\"proxy\":{\"url\":\"x\",\"password\":{\"secret\":\"OTHER\"}},"
                "\"keys\":[{\"secret\":\"CRM_TOKEN\"},{\"secret\":\"OTHER\"}]}",
                "[\"OTHER\",\"CRM_TOKEN\"]");
}

/* '§' stands in front of what the error must point at. */
static void assert_wrong(const char *manifest_text, const char *marked, const char *code, const char *part)
{
    const char *sign = strstr(marked, "§");
    char yaml[2000], text[1400];
    int line = 1, column = 1;
    struct bw_settings settings;
    struct bw_errors errs = {0};
    assert_non_null(sign);
    for (const char *at = marked; at < sign; at++) {
        column = *at == '\n' ? 1 : column + 1;
        line += *at == '\n';
    }
    snprintf(yaml, sizeof yaml, "%.*s%s", (int)(sign - marked), marked, sign + strlen("§"));
    json_t *configure = configure_of(yaml), *manifest = parse(manifest_text);
    if (bw_settings_make(configure, manifest, &settings, &errs)) fail_msg("%s\nmust be refused", marked);
    const struct bw_error *err = &errs.items[0];
    if (errs.count != 1 || strcmp(err->code, code) || err->line != line || err->column != column ||
        (!strstr(err->message, part) && !strstr(err->hint, part)))
        fail_msg("%s\nhas %zu errors, as %s at %d:%d: %s", marked, errs.count, err->code, line, column, bw_error_text(err, text, sizeof text));
    assert_null(strstr(err->message, "s3cret"));
    bw_errors_free(&errs);
    json_decref(configure);
    json_decref(manifest);
}

static void test_each_fault_is_refused_at_its_place(void **state)
{
    (void)state;
    assert_wrong(MANIFEST, SECRETS "configure:\n  §crm: {pages: 3}\n", "configure.missing", "vendor: is required");
    assert_wrong(MANIFEST, SECRETS "configure:\n  crm: {vendor: §zohoo}\n", "configure.enum", "must be one of");
    assert_wrong(MANIFEST, SECRETS "configure:\n  crm: {vendor: zoho, pages: §many}\n", "configure.type", "expected an integer");
    assert_wrong(MANIFEST, SECRETS "configure:\n  crm: {vendor: zoho, pages: §1000}\n", "configure.range", "at most 100");
    assert_wrong(MANIFEST, SECRETS "configure:\n  crm:\n    vendor: zoho\n    §page/s: 3\n", "configure.unknown", "did you mean 'pages'?");
    assert_wrong(MANIFEST, SECRETS "configure:\n  crm:\n    vendor: zoho\n    §page: 3\n", "configure.unknown", "did you mean 'pages'?");
    assert_wrong(MANIFEST, SECRETS "configure:\n  crm: {vendor: zoho, proxy: {§ulr: x}}\n", "configure.unknown", "did you mean 'url'?");
    assert_wrong(MANIFEST, SECRETS "configure:\n  crm: {vendor: zoho, proxy: {url: §7}}\n", "configure.type", "proxy.url");
    assert_wrong(MANIFEST, SECRETS "configure:\n  crm: {vendor: zoho, keys: §3}\n", "configure.type", "expected an array");
    assert_wrong("{\"name\":\"crm\"}", "configure:\n  crm: {§vendor: zoho}\n", "configure.unknown", "takes no configuration");
}

static void test_a_secret_is_named_never_written(void **state)
{
    (void)state;
    assert_wrong(MANIFEST, SECRETS "configure:\n  crm: {vendor: zoho, token: §s3cret}\n", "configure.secret", "write {secret: NAME}");
    assert_wrong(MANIFEST, SECRETS "configure:\n  crm: {vendor: zoho, token: §{env: HOME}}\n", "configure.secret", "never written");
    assert_wrong(MANIFEST, SECRETS "configure:\n  crm: {vendor: zoho, token: §{secret: CRM_TOKEN, x: s3cret}}\n", "configure.secret",
                 "never written");
    assert_wrong(MANIFEST, SECRETS "configure:\n  crm: {vendor: zoho, token: §{secret: CRM_TOKNE}}\n", "configure.secret",
                 "did you mean 'CRM_TOKEN'?");
    assert_wrong(MANIFEST, SECRETS "configure:\n  crm: {vendor: zoho, proxy: {password: §s3cret}}\n", "configure.secret", "proxy.password");
    assert_wrong(MANIFEST, SECRETS "configure:\n  crm: {vendor: zoho, keys: [{secret: OTHER}, §s3cret]}\n", "configure.secret", "keys[2]");
    assert_wrong(MANIFEST, SECRETS "configure:\n  crm: {§vendro: {secret: CRM_TOKEN}, vendor: zoho}\n", "configure.unknown",
                 "did you mean 'vendor'?");
    assert_wrong(MANIFEST, SECRETS "configure:\n  crm: {vendor: zoho, pages: §{secret: OTHER}}\n", "configure.type", "found an object");
}

static void test_all_faults_are_found_at_once(void **state)
{
    json_t *configure = configure_of(SECRETS "configure: {crm: {vendor: x, pages: x, token: x, pagse: 1}}\n"), *manifest = parse(MANIFEST);
    struct bw_settings settings;
    struct bw_errors errs = {0};
    (void)state;
    assert_false(bw_settings_make(configure, manifest, &settings, &errs));
    assert_int_equal(errs.count, 4);
    assert_null(settings.config);
    bw_errors_free(&errs);
    json_decref(configure);
    json_decref(manifest);
}

static void test_without_a_configuration_defaults_are_told(void **state)
{
    json_t *manifest = parse("{\"name\":\"x\",\"config\":{\"n\":{\"type\":\"integer\",\"default\":3}}}");
    struct bw_settings settings;
    struct bw_errors errs = {0};
    (void)state;
    assert_true(bw_settings_make(NULL, manifest, &settings, &errs));
    assert_int_equal(bw_json_int(settings.config, "n", 0), 3);
    bw_settings_free(&settings);
    json_decref(manifest);
}

static void test_names_of_plugins_that_there_are_not(void **state)
{
    static const char *const names[] = {"http", "crm"};
    json_t *configure = configure_of("configure:\n  http: {}\n  crn: {}\n");
    struct bw_errors errs = {0};
    (void)state;
    bw_settings_check_names(configure, names, 2, &errs);
    assert_int_equal(errs.count, 1);
    assert_string_equal(errs.items[0].code, "configure.plugin");
    assert_string_equal(errs.items[0].hint, "did you mean 'crm'?");
    assert_int_equal(errs.items[0].line, 3);
    assert_int_equal(errs.items[0].column, 3);
    bw_errors_free(&errs);
    json_decref(configure);
}

static void test_lines_that_moved_are_no_change(void **state)
{
    json_t *one = configure_of("configure: {a: {x: 1}}\n"), *moved = configure_of("# a\nconfigure:\n  a:\n    x: 1\n"),
           *changed = configure_of("configure: {a: {x: 2}}\n"), *freer = configure_of("configure: {a: {x: 1}}\nplugins_may: {b: [exec]}\n"),
           *more = configure_of("configure: {a: {x: 1}, b: {}}\n");
    (void)state;
    assert_true(bw_settings_equal(one, moved));
    assert_false(bw_settings_equal(one, changed));
    assert_false(bw_settings_equal(one, more));
    assert_false(bw_settings_equal(more, one));
    assert_false(bw_settings_equal(one, freer));
    json_decref(freer);
    json_decref(one);
    json_decref(moved);
    json_decref(changed);
    json_decref(more);
}

static void assert_may(const char *yaml, const char *needs, enum bw_settings_may expected, int line, const char *hint)
{
    json_t *configure = configure_of(yaml), *manifest = json_pack("{s:s,s:o}", "name", "sql", "needs", parse(needs));
    struct bw_error err = {0};
    enum bw_settings_may may = bw_settings_may(configure, manifest, &err);
    if (may != expected || err.line != line || !strstr(err.hint, hint)) fail_msg("%s with %s: %d, %s at %d", yaml, needs, may, err.hint, err.line);
    json_decref(configure);
    json_decref(manifest);
}

static void test_what_a_plugin_may_need(void **state)
{
    (void)state;
    assert_may("", "[\"exec\",\"files:/\"]", BW_PLUGIN_MAY_BE, 0, "");
    assert_may("plugins_may: {http: []}\n", "[\"exec\"]", BW_PLUGIN_MAY_BE, 0, "");
    assert_may("plugins_may: {sql: []}\n", "[]", BW_PLUGIN_MAY_BE, 0, "");
    assert_may("plugins_may: {sql: []}\n", "[\"exec\"]", BW_PLUGIN_IS_OFF, 0, "");
    assert_may("plugins_may: {sql: [network, exec]}\n", "[\"exec\"]", BW_PLUGIN_MAY_BE, 0, "");
    assert_may("plugins_may:\n  sql: [network]\n", "[\"network\",\"exec\"]", BW_PLUGIN_MAY_NOT_BE, 2, "sql: [\"network\",\"exec\"]");
    assert_may("plugins_may:\n  '*': []\n", "[\"exec\"]", BW_PLUGIN_MAY_NOT_BE, 2, "sql: []");
    assert_may("plugins_may:\n  '*': []\n  sql: [exec]\n", "[\"exec\"]", BW_PLUGIN_MAY_BE, 0, "");
    assert_may("plugins_may: {'*': [exec], sql: [network]}\n", "[\"exec\"]", BW_PLUGIN_MAY_NOT_BE, 1, "");
    for (size_t i = 0; i < 2; i++) {
        const char *yaml = i ? "plugins_may: {sql: ['files:/srv/']}\n" : "plugins_may: {sql: ['files:/srv']}\n";
        assert_may(yaml, "[\"files:/srv/db/x\"]", BW_PLUGIN_MAY_BE, 0, "");
        assert_may(yaml, "[\"files:/srvx\"]", BW_PLUGIN_MAY_NOT_BE, 1, "");
        assert_may(yaml, "[\"files:/\"]", BW_PLUGIN_MAY_NOT_BE, 1, "");
        assert_may(yaml, "[\"files:/srv/../etc\"]", BW_PLUGIN_MAY_NOT_BE, 1, "");
        assert_may(yaml, "[\"files:/srv/..\"]", BW_PLUGIN_MAY_NOT_BE, 1, "");
    }
    assert_may("plugins_may: {sql: [network]}\n", "[\"network\",\"files:$folder\"]", BW_PLUGIN_MAY_BE, 0, "");
    assert_may("plugins_may: {sql: []}\n", "[\"network\",\"files:$folder\"]", BW_PLUGIN_IS_OFF, 0, "");
    assert_may("plugins_may: {sql: ['files:/']}\n", "[\"files:/etc\"]", BW_PLUGIN_MAY_BE, 0, "");
    assert_may("plugins_may: {sql: [unix, groups]}\n", "[\"groups\",\"unix\"]", BW_PLUGIN_MAY_BE, 0, "");
    assert_may("plugins_may: {sql: [network]}\n", "[\"network\",\"unix\"]", BW_PLUGIN_MAY_NOT_BE, 1, "");
    assert_may("plugins_may: {sql: [exec]}\n", "[\"exec\",\"unix:$unix\",\"reads:$folder\"]", BW_PLUGIN_MAY_BE, 0, "");
}

static void test_who_may_write_may_read_and_not_the_other_way_round(void **state)
{
    (void)state;
    assert_may("plugins_may: {sql: ['files:/srv']}\n", "[\"reads:/srv/x\",\"reads:/srv\"]", BW_PLUGIN_MAY_BE, 0, "");
    assert_may("plugins_may: {sql: ['reads:/srv']}\n", "[\"reads:/srv/x\",\"reads:/srv\"]", BW_PLUGIN_MAY_BE, 0, "");
    assert_may("plugins_may: {sql: ['reads:/srv']}\n", "[\"files:/srv/x\"]", BW_PLUGIN_MAY_NOT_BE, 1, "");
    assert_may("plugins_may: {sql: ['reads:/srv']}\n", "[\"files:/srv\"]", BW_PLUGIN_MAY_NOT_BE, 1, "");
    assert_may("plugins_may: {sql: ['reads:/srv']}\n", "[\"reads:/srv/../etc\"]", BW_PLUGIN_MAY_NOT_BE, 1, "");
}

static void test_fields_that_a_manifest_may_not_have(void **state)
{
    static const struct {
        const char *fields, *part;
    } cases[] = {
        {"{\"a\":{\"type\":\"integer\",\"secret\":true}}", "is of type string, not integer"},
        {"{\"a\":{\"type\":\"string\",\"secret\":\"yes\"}}", "must be true or false"},
        {"{\"a\":{\"type\":\"string\",\"secret\":true,\"default\":\"x\"}}", "has no default"},
        {"{\"a\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"b\":{\"type\":\"array\",\"secret\":true}}}}}",
         "a.b: what is secret"},
        {"{\"a\":{\"typ\":\"string\"}}", "unknown schema key 'typ'"},
        {"{\"a\":3}", "must be a map"},
        {"[]", "must be a map"},
    };
    struct bw_error err;
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        json_t *fields = parse(cases[i].fields);
        if (bw_settings_check_fields(fields, &err) || !strstr(err.message, cases[i].part)) fail_msg("%s: %s", cases[i].fields, err.message);
        json_decref(fields);
    }
    json_t *manifest = parse(MANIFEST);
    assert_true(bw_settings_check_fields(json_object_get(manifest, "config"), &err));
    assert_true(bw_settings_check_fields(NULL, &err));
    json_decref(manifest);
}

static void assert_needs(const char *needs, const char *yaml, const char *expected)
{
    char text[600];
    snprintf(text, sizeof text,
             "{\"name\":\"sql\",\"needs\":%s,\"config\":{\"folder\":{\"type\":\"string\"},\"folders\":{\"type\":\"array\",\"items\":{\"type\":"
             "\"string\"}},\"online\":{\"type\":\"boolean\"},\"local\":{\"type\":\"boolean\",\"default\":true}}}",
             needs);
    json_t *configure = configure_of(yaml), *manifest = parse(text), *wanted = parse(expected);
    struct bw_settings settings;
    struct bw_errors errs = {0};
    assert_true(bw_settings_make(configure, manifest, &settings, &errs));
    assert_true(json_equal(settings.needs, wanted));
    bw_settings_free(&settings);
    json_decref(configure);
    json_decref(manifest);
    json_decref(wanted);
}

static void test_paths_of_the_configuration_are_what_a_plugin_needs(void **state)
{
    (void)state;
    assert_needs("[\"network\",\"files:$folder\"]", "configure: {sql: {folder: /srv/a}}\n", "[\"network\",\"files:/srv/a\"]");
    assert_needs("[\"files:$folders\",\"files:/etc/x\"]", "configure: {sql: {folders: [/a, /b]}}\n", "[\"files:/a\",\"files:/b\",\"files:/etc/x\"]");
    assert_needs("[\"files:$folder\"]", "configure: {sql: {}}\n", "[]");
    assert_needs("[\"reads:$folder\",\"files:/a:$b\"]", "configure: {sql: {folder: /srv/a}}\n", "[\"reads:/srv/a\",\"files:/a:$b\"]");
    assert_needs("[\"exec\",\"network:$online\",\"unix:$local\"]", "configure: {sql: {online: true, local: false}}\n", "[\"exec\",\"network\"]");
}

static void test_a_path_that_is_none_is_refused_at_its_place(void **state)
{
    static const char manifest[] = "{\"name\":\"sql\",\"needs\":[\"files:$folder\",\"files:$folders\"],\"config\":{\"folder\":{\"type\":\"string\"},"
                                   "\"folders\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}}}}";
    (void)state;
    assert_wrong(manifest, "configure: {sql: {folder: §data}}\n", "configure.path", "folder must be a path from the root");
    assert_wrong(manifest, "configure: {sql: {folders: [/a, §../b]}}\n", "configure.path", "folders must be a path from the root");
}

static void test_what_is_no_configuration_is_refused_when_it_is_read(void **state)
{
    static const struct refusal cases[] = {
        {"configure: §[crm]\n", "config.type", "must be a map"},
        {"configure: {crm: §hubspot}\n", "config.type", "configure.crm"},
        {"plugins_may: §[network]\n", "config.type", "must be a map"},
        {"plugins_may: {crm: §network}\n", "config.type", "must be a list"},
        {"plugins_may: {crm: [§netwrok]}\n", "config.need", "netwrok"},
        {"plugins_may: {crm: [§\"files:srv\"]}\n", "config.need", "from the root"},
        {"configure: {crm: §{url: \"${{ event.data.x }}\"}}\n", "config.expression", "no expression"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) assert_refused(&cases[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written_is_told_with_defaults_and_names_of_secrets),
        cmocka_unit_test(test_each_fault_is_refused_at_its_place),
        cmocka_unit_test(test_a_secret_is_named_never_written),
        cmocka_unit_test(test_all_faults_are_found_at_once),
        cmocka_unit_test(test_without_a_configuration_defaults_are_told),
        cmocka_unit_test(test_names_of_plugins_that_there_are_not),
        cmocka_unit_test(test_lines_that_moved_are_no_change),
        cmocka_unit_test(test_what_a_plugin_may_need),
        cmocka_unit_test(test_who_may_write_may_read_and_not_the_other_way_round),
        cmocka_unit_test(test_fields_that_a_manifest_may_not_have),
        cmocka_unit_test(test_paths_of_the_configuration_are_what_a_plugin_needs),
        cmocka_unit_test(test_a_path_that_is_none_is_refused_at_its_place),
        cmocka_unit_test(test_what_is_no_configuration_is_refused_when_it_is_read),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
