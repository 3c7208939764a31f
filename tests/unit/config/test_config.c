/* The keys of bellwire.yaml: default, a good value, a bad one with its place and what to do. */
#include "base/file.h"
#include "config_fixture.h"

static void test_without_a_file_everything_has_its_default(void **state)
{
    (void)state;
    struct bw_errors errs = {0};
    struct bw_config *config = bw_config_load("/dev/null", &errs);
    assert_non_null(config);
    assert_int_equal(config->listen_count, 1);
    assert_string_equal(config->listen[0].host, "127.0.0.1");
    assert_int_equal(config->listen[0].port, 8080);
    assert_false(config->allow_plaintext);
    assert_false(config->allow_private_network);
    const char *const folders[][2] = {{config->data, "data"},
                                      {config->workflows, "workflows"},
                                      {config->actions, "actions"},
                                      {config->plugins, "plugins"},
                                      {config->schemes, "schemes"}};
    for (size_t i = 0; i < COUNT(folders); i++) assert_string_equal(strrchr(folders[i][0], '/') + 1, folders[i][1]);
    assert_true(config->workers >= 1 && config->ingest_threads >= 1 && config->ingest_threads <= 4);
    assert_int_equal(config->max_body_bytes, 1 << 20);
    assert_int_equal(config->max_connections, 10000);
    assert_int_equal(config->max_connections_per_address, 256);
    assert_int_equal(config->request_deadline_ms, 10000);
    assert_int_equal(config->body_rate, 1024);
    assert_int_equal(config->idle_ms, 30000);
    assert_int_equal(config->lua_memory_bytes, 32 << 20);
    assert_int_equal(config->stall_ms, 2000);
    assert_int_equal(config->drain_ms, 30000);
    const int64_t day_ms = 24 * 3600 * 1000;
    assert_int_equal(config->retention.deliveries_ms, 14 * day_ms);
    assert_int_equal(config->retention.events_ms, 30 * day_ms);
    assert_int_equal(config->retention.succeeded_ms, 14 * day_ms);
    assert_int_equal(config->retention.failed_ms, 90 * day_ms);
    assert_int_equal(config->retention.max_size_bytes, 0);
    assert_int_equal(config->source_count + config->secret_count, 0);
    bw_config_free(config);
    /* A file that says nothing says the same. */
    bw_config_free(load_good(""));
    bw_config_free(load_good("# nothing yet\n"));
    bw_config_free(load_good("{}\n"));
    bw_config_free(load_good("retention:\n"));
}

static void test_every_key_is_taken(void **state)
{
    (void)state;
    struct bw_config *config =
        load_good("listen: [\"http://127.0.0.1:0\", \"http://[::1]:65535/\", \"http://localhost:80\"]\n"
                  "allow_plaintext: true\n"
                  "data: d\nworkflows: /abs/w\nactions: ./a\nplugins: p/q\nschemes: s\n"
                  "workers: 3\ningest_threads: 2\n"
                  "max_body: 16MiB\nmax_connections: 7\nmax_connections_per_address: 3\nrequest_deadline: 1h30m\nbody_rate: 2KiB\nidle: 500ms\n"
                  "lua_memory: 1MiB\nstall: 1s\ndrain: 1ms\nallow_private_network: true\n"
                  "sources: {}\nsecrets: {}\n");
    char path[300];
    assert_int_equal(config->listen_count, 3);
    assert_string_equal(config->listen[1].host, "::1");
    assert_int_equal(config->listen[1].port, 65535);
    assert_string_equal(config->listen[2].host, "127.0.0.1");
    assert_true(config->allow_plaintext && config->allow_private_network);
    assert_string_equal(config->folder, folder);
    snprintf(path, sizeof path, "%s/d", folder); /* relative to the file, wherever the engine was started */
    assert_string_equal(config->data, path);
    assert_string_equal(config->workflows, "/abs/w");
    assert_int_equal(config->workers, 3);
    assert_int_equal(config->ingest_threads, 2);
    assert_int_equal(config->max_body_bytes, 16 << 20);
    assert_int_equal(config->max_connections, 7);
    assert_int_equal(config->max_connections_per_address, 3);
    assert_int_equal(config->request_deadline_ms, 5400000);
    assert_int_equal(config->body_rate, 2048);
    assert_int_equal(config->idle_ms, 500);
    assert_int_equal(config->lua_memory_bytes, 1 << 20);
    assert_int_equal(config->stall_ms, 1000);
    assert_int_equal(config->drain_ms, 1);
    bw_config_free(config);
}

static void test_a_unix_socket_has_a_path_and_a_mode_and_no_port(void **state)
{
    (void)state;
    struct bw_buf url = {0};
    struct bw_config *config = load_good("listen: [\"unix:/run/a?mode=600\", unix:b.sock, \"http://[::]:81\"]\nallow_plaintext: true\n");
    assert_int_equal(config->listen_count, 3);
    assert_string_equal(config->listen[0].path, "/run/a");
    assert_int_equal(config->listen[0].mode, 0600);
    char *beside = bw_file_join(config->folder, "b.sock"); /* relative to the file, as every path */
    assert_string_equal(config->listen[1].path, beside);
    assert_int_equal(config->listen[1].mode, 0660);
    free(beside);
    assert_null(config->listen[2].path);
    assert_int_equal(bw_config_first_port(config), 2);
    bw_config_public_url(config, 0, &url); /* nobody follows a link to a socket file */
    assert_string_equal(url.data, "http://[::1]:81");
    bw_buf_free(&url);
    bw_config_free(config);
    config = load_good("listen: unix:/run/a\n"); /* without allow_plaintext: it does not leave the machine */
    assert_int_equal(bw_config_first_port(config), 1);
    bw_config_public_url(config, 0, &url);
    assert_string_equal(url.data, "http://localhost");
    bw_buf_free(&url);
    bw_config_free(config);
}

static void test_pools_have_one_worker_unless_they_say_otherwise(void **state)
{
    (void)state;
    struct bw_config *config = load_good("workers: 3\npools: {heavy: {workers: 4}, odd-1: {}, bare: ~}\n");
    assert_int_equal(config->workers, 3);
    assert_int_equal(config->pool_count, 3);
    assert_string_equal(config->pools[0].name, "heavy");
    assert_int_equal(config->pools[0].workers, 4);
    assert_string_equal(config->pools[1].name, "odd-1");
    assert_int_equal(config->pools[1].workers, 1);
    assert_int_equal(config->pools[2].workers, 1);
    bw_config_free(config);
}

static void test_limits_are_taken_as_they_are_written(void **state)
{
    (void)state;
    struct bw_config *config =
        load_good("limits:\n  llm: {rate: 400000/1m, burst: 40000, concurrency: 32}\n  cms: {rate: 20/1s}\n  one: {concurrency: 1}\n");
    assert_int_equal(config->limit_count, 3);
    const struct bw_limit_config *limits = config->limits;
    assert_string_equal(limits[0].name, "llm");
    assert_true(limits[0].rate_count == 400000 && limits[0].burst == 40000);
    assert_int_equal(limits[0].rate_ms, 60000);
    assert_int_equal(limits[0].concurrency, 32);
    assert_true(limits[1].rate_count == 20 && limits[1].burst == 1 && limits[1].rate_ms == 1000 && limits[1].concurrency == 0);
    assert_true(limits[2].rate_ms == 0 && limits[2].concurrency == 1);
    bw_config_free(config);
}

static void test_retention_is_taken_and_what_it_leaves_out_has_its_default(void **state)
{
    (void)state;
    struct bw_config *config = load_good("retention: {deliveries: 1s, events: none, failed: 180d, max_size: 20GiB}\n");
    assert_int_equal(config->retention.deliveries_ms, 1000);
    assert_int_equal(config->retention.events_ms, 0);
    assert_int_equal(config->retention.succeeded_ms, 14 * 24 * 3600 * 1000LL);
    assert_int_equal(config->retention.failed_ms, 180 * 24 * 3600 * 1000LL);
    assert_int_equal(config->retention.max_size_bytes, 20ULL << 30);
    bw_config_free(config);
    config = load_good("retention: {deliveries: none, succeeded: 1ms, failed: none, max_size: none}\n");
    assert_int_equal(config->retention.deliveries_ms + config->retention.failed_ms, 0);
    assert_int_equal(config->retention.succeeded_ms, 1);
    assert_int_equal(config->retention.max_size_bytes, 0);
    bw_config_free(config);
}

#define LONG "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678"
static const struct refusal refusals[] = {
    {"§[]\n", "config.type", "must be a map"},
    {"a: 1\n§a: 2\n", "yaml.duplicate_key", "already on line 1"},
    {"workers: 1\n---\n§workers: 2\n", "config.documents", "one document"},
    {"§worker: 3\n", "config.unknown_key", "did you mean 'workers'?"},
    {"§Listen: x\n", "config.unknown_key", "did you mean 'listen'?"},
    {"§zzzzzzzz: x\n", "config.unknown_key", "'zzzzzzzz'"},
    {"§store: {}\n", "config.not_supported", "not supported by this version"},
    {"tls: §{}\n", "tls.incomplete", "cert and key"},
    {"retention: §3d\n", "config.type", "must be a map"},
    {"retention: {§event: 3d}\n", "config.unknown_key", "did you mean 'events'?"},
    {"retention: {events: §3}\n", "config.type", "duration"},
    {"retention: {events: §0s}\n", "config.type", "duration"},
    {"retention: {succeeded: §never}\n", "config.type", "none"},
    {"retention: {max_size: §lots}\n", "config.type", "20GiB or none"},
    {"retention: {max_size: §15MiB}\n", "config.range", "16777216"},
    {"pools: §[a]\n", "config.type", "pools: {heavy:"},
    {"pools: {heavy: §2}\n", "config.type", "must be a map"},
    {"pools: {§Heavy: {}}\n", "config.name", "'Heavy'"},
    {"pools: {§default: {workers: 2}}\n", "pool.default", "workers: 2"},
    {"pools: {heavy: {workers: §0}}\n", "config.range", "from 1 to 256"},
    {"pools: {heavy: {§worker: 2}}\n", "config.unknown_key", "did you mean 'workers'?"},
    {"limits: §[a]\n", "config.type", "limits: {crm:"},
    {"limits: {crm: §5}\n", "config.type", "must be a map"},
    {"limits: {§crm: {}}\n", "limit.empty", "limits nothing"},
    {"limits: {§crm: ~}\n", "limit.empty", "rate: 20/1s"},
    {"limits: {§Crm: {concurrency: 1}}\n", "config.name", "'Crm'"},
    {"limits: {§none: {concurrency: 1}}\n", "config.name", "no limit"},
    {"limits: {crm: {§rates: 20/1s, concurrency: 1}}\n", "config.unknown_key", "did you mean 'rate'?"},
    {"limits: {crm: {rate: §20}}\n", "limit.rate", "20/1s"},
    {"limits: {crm: {rate: §20/s}}\n", "limit.rate", "20/1s"},
    {"limits: {crm: {rate: §0/1s}}\n", "limit.rate", "20/1s"},
    {"limits: {crm: {rate: §20/0s}}\n", "limit.rate", "20/1s"},
    {"limits: {crm: {rate: §-1/1s}}\n", "limit.rate", "20/1s"},
    {"limits: {crm: {rate: §1.5/1s}}\n", "limit.rate", "whole number"},
    {"limits: {crm: {rate: §9999999999999/1s}}\n", "limit.rate", "whole number"},
    {"limits: {crm: {rate: 1/1s, burst: §0}}\n", "config.range", "from 1"},
    {"limits: {crm: {concurrency: 1, burst: §5}}\n", "limit.burst", "add a rate"},
    {"limits: {crm: {concurrency: §0}}\n", "config.range", "from 1"},
    {"limits: {crm: {concurrency: 1, §key: a}}\n", "config.not_supported", "key"},
    {"max_body: §none\n", "config.type", "size"},
    {"drain: §none\n", "config.type", "duration"},
    {"allow_plaintext: §yes\n", "config.type", "true or false"},
    {"allow_private_network: §1\n", "config.type", "true or false"},
    {"data: §[a]\n", "config.type", "must be text"},
    {"workflows: §~\n", "config.type", "must be text"},
    {"actions: §\"\"\n", "config.type", "must be text"},
    {"workers: §0\n", "config.range", "from 1 to 256"},
    {"workers: §257\n", "config.range", "from 1 to 256"},
    {"workers: §two\n", "config.range", "whole number"},
    {"workers: §1.5\n", "config.range", "whole number"},
    {"ingest_threads: §65\n", "config.range", "from 1 to 64"},
    {"max_connections: §0\n", "config.range", "from 1 to 1000000"},
    {"max_connections: §1000001\n", "config.range", "from 1 to 1000000"},
    {"max_connections_per_address: §0\n", "config.range", "from 1 to 1000000"},
    {"body_rate: §0\n", "config.range", "from 1 to 1073741824"},
    {"max_body: §25MB\n", "config.type", "512KiB or 4MiB"},
    {"max_body: §17MiB\n", "config.range", "16777216"},
    {"max_output: §9MiB\n", "config.range", "8388608"},
    {"max_output: §1000\n", "config.range", "1024"},
    {"max_run_outputs: §65MiB\n", "config.range", "67108864"},
    {"max_body: §0\n", "config.range", "from 1"},
    {"lua_memory: §1MB\n", "config.type", "512KiB"},
    {"lua_memory: §1023KiB\n", "config.range", "1048576"},
    {"lua_memory: §2GiB\n", "config.range", "1073741824"},
    {"request_deadline: §10\n", "config.type", "500ms, 30s or 1h30m"},
    {"idle: §0s\n", "config.type", "duration"},
    {"stall: §1s1m\n", "config.type", "duration"},
    {"drain: §[1s]\n", "config.type", "duration"},
    {"listen: §127.0.0.1:80\n", "listen.url", "http://127.0.0.1:8080"},
    {"listen: §https://127.0.0.1:80\n", "listen.no_certificate", "needs a certificate"},
    {"listen: §http://example.com:80\n", "listen.url", "numeric address"},
    {"listen: §http://127.0.0.1\n", "listen.url", "port"},
    {"listen: §http://127.0.0.1:65536\n", "listen.url", "port"},
    {"listen: §http://127.0.0.1:-1\n", "listen.url", "port"},
    {"listen: §http://127.0.0.1:+80\n", "listen.url", "port"},
    {"listen: §\"http://127.0.0.1: 80\"\n", "listen.url", "port"},
    {"listen: §http://127.0.0.1:80/in\n", "listen.url", "port"},
    {"listen: §http://::1:80\n", "listen.url", "http://[::1]:8080"},
    {"listen: §8080\n", "listen.url", "scheme"},
    {"listen: §{}\n", "listen.url", "scheme"},
    {"listen: §\"unix:\"\n", "listen.url", "names no file"},
    {"listen: §unix:/run/\n", "listen.url", "names no file"},
    {"listen: §unix:/run/x?mode=\n", "listen.url", "octal"},
    {"listen: §unix:/run/x?mode=0668\n", "listen.url", "octal"},
    {"listen: §unix:/run/x?mode=000\n", "listen.url", "octal"},
    {"listen: §unix:/run/x?mode=4660\n", "listen.url", "octal"},
    {"listen: §unix:/run/x?mode=00660\n", "listen.url", "octal"},
    {"listen: §unix:/run/x?owner=www\n", "listen.url", "mode=0660"},
    {"listen: §unix:/" LONG "\n", "listen.url", "107 bytes"},
    /* what is wrong with one leaves nothing to the next */
    {"listen: [§unix:/" LONG ", \"http://127.0.0.1:8080\"]\n", "listen.url", "nearer to the root"},
    {"listen: §[]\n", "listen.none", "at least one"},
    {"listen: [http://127.0.0.1:1, §7]\n", "listen.url", "scheme"},
    /* Secrets and events over the network in the clear: only when it is written out. */
    {"listen: §http://0.0.0.0:80\n", "listen.plaintext", "allow_plaintext: true"},
    {"listen: §http://192.168.1.2:80\n", "listen.plaintext", "192.168.1.2"},
    {"listen: §http://[::]:80\n", "listen.plaintext", "TLS proxy"},
    {"listen: [http://127.0.0.1:1, §http://10.0.0.1:80]\n", "listen.plaintext", "10.0.0.1"},
    {"sources: §[]\n", "config.type", "map of names"},
    {"secrets: §[]\n", "config.type", "map of names"},
};

static void test_every_fault_has_its_code_place_and_next_step(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(refusals); i++) assert_refused(&refusals[i]);
}

static void test_plain_http_off_loopback_is_taken_when_it_is_written_out(void **state)
{
    (void)state;
    struct bw_config *config = load_good("allow_plaintext: true\nlisten: http://0.0.0.0:80\n");
    assert_string_equal(config->listen[0].host, "0.0.0.0");
    bw_config_free(config);
    bw_config_free(load_good("listen: http://127.255.0.1:80\n"));
}

static void test_one_go_reports_every_fault(void **state)
{
    (void)state;
    struct bw_errors errs = {0};
    assert_null(load_text("worker: 1\nmax_body: x\nlisten: y\nsources: {A: {path: a}}\nsecrets: {T: plain}\n", &errs));
    static const char *const codes[] = {"config.unknown_key", "config.type", "listen.url",      "config.name",
                                        "source.no_verify",   "source.path", "secret.reference"};
    assert_int_equal(errs.count, COUNT(codes));
    for (size_t i = 0; i < COUNT(codes); i++) assert_string_equal(errs.items[i].code, codes[i]);
    bw_errors_free(&errs);
}

static void test_a_named_file_that_is_missing_is_an_error(void **state)
{
    (void)state;
    struct bw_errors errs = {0};
    assert_null(bw_config_load(path_of("nobody.yaml"), &errs));
    assert_int_equal(errs.count, 1);
    assert_string_equal(errs.items[0].code, "file.missing");
    assert_string_equal(errs.items[0].file, path_of("nobody.yaml"));
    bw_errors_free(&errs);
}

static void test_help_names_every_key_with_its_default(void **state)
{
    (void)state;
    struct bw_buf text = {0};
    static const char *const keys[] = {"listen",
                                       "allow_plaintext",
                                       "data",
                                       "workflows",
                                       "actions",
                                       "plugins",
                                       "schemes",
                                       "sources",
                                       "secrets",
                                       "workers",
                                       "ingest_threads",
                                       "max_body",
                                       "stall",
                                       "max_connections",
                                       "max_connections_per_address",
                                       "body_rate",
                                       "lua_memory",
                                       "idle",
                                       "drain",
                                       "request_deadline",
                                       "allow_private_network",
                                       "retention",
                                       "deliveries",
                                       "succeeded",
                                       "180d after its end one counts as discarded",
                                       "max_size",
                                       "limits.NAME",
                                       "configure.PLUGIN",
                                       "plugins_may",
                                       "20/1s",
                                       "burst",
                                       "sources.NAME",
                                       "verify",
                                       "dedupe",
                                       "public_url",
                                       "options",
                                       "(10s)",
                                       "(32MiB)"};
    bw_config_help(&text);
    for (size_t i = 0; i < COUNT(keys); i++)
        if (!strstr(text.data, keys[i])) fail_msg("%s is not in the help", keys[i]);
    bw_buf_free(&text);
}

static void test_a_text_is_a_configuration_without_any_file_or_program(void **state)
{
    (void)state;
    struct bw_errors errs = {0};
    struct bw_slice good =
        BW_SLICE("sources: {a: {path: /in/a, verify: hmac, secrets: {secret: [{file: /no/such}, {exec: [/no/such]}, {env: NO_SUCH}]}}}\n");
    struct bw_config *config = bw_config_parse("/etc/here/bellwire.yaml", good, &errs);
    assert_non_null(config);
    assert_int_equal(config->sources[0].secrets[0].count, 3);
    for (size_t i = 0; i < 3; i++) assert_true(bw_slice_is(config->sources[0].secrets[0].values[i], "secret-secret"));
    assert_string_equal(config->folder, "/etc/here");
    bw_config_free(config);
    assert_null(bw_config_parse("here.yaml", BW_SLICE("idle: 1s\nidel: 2s\n"), &errs));
    assert_int_equal(errs.count, 1);
    assert_string_equal(errs.items[0].file, "here.yaml");
    assert_int_equal(errs.items[0].line, 2);
    bw_errors_free(&errs);
}

static void test_what_has_changed_for_the_next_start_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *before, *now, *names;
    } cases[] = {
        {"idle: 1s\n", "idle: 1s\n", ""},
        {"idle: 1s # long\nstall: 1s\n", "stall: 1s\nidle: 1s\n", ""},
        {"", "idle: 1s\n", "idle"},
        {"idle: 1s\n", "", "idle"},
        {"idle: 1s\npools: {a: {workers: 1}}\n", "pools: {a: {workers: 2}}\nmax_body: 2KiB\n", "pools, max_body, idle"},
        {"config: {a: 1}\n", "config: {a: 2}\nschemes: ./other\nsources: {}\nlimits: {a: {rate: 1/1s}}\n", ""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct bw_config *before = load_good(cases[i].before), *now = load_good(cases[i].now);
        struct bw_buf names = {0};
        bw_config_append_for_start(before, now, &names);
        assert_string_equal(names.data ? names.data : "", cases[i].names);
        bw_buf_free(&names);
        bw_config_free(before);
        bw_config_free(now);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_has_changed_for_the_next_start_is_named),
        cmocka_unit_test(test_without_a_file_everything_has_its_default),
        cmocka_unit_test(test_every_key_is_taken),
        cmocka_unit_test(test_a_text_is_a_configuration_without_any_file_or_program),
        cmocka_unit_test(test_a_unix_socket_has_a_path_and_a_mode_and_no_port),
        cmocka_unit_test(test_pools_have_one_worker_unless_they_say_otherwise),
        cmocka_unit_test(test_limits_are_taken_as_they_are_written),
        cmocka_unit_test(test_retention_is_taken_and_what_it_leaves_out_has_its_default),
        cmocka_unit_test(test_every_fault_has_its_code_place_and_next_step),
        cmocka_unit_test(test_plain_http_off_loopback_is_taken_when_it_is_written_out),
        cmocka_unit_test(test_one_go_reports_every_fault),
        cmocka_unit_test(test_a_named_file_that_is_missing_is_an_error),
        cmocka_unit_test(test_help_names_every_key_with_its_default),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
