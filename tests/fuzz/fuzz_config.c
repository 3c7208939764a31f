/* config: any text gives a configuration, or errors whose places are inside of it; what loads is within its bounds, and means the same as JSON.
 *
 * Input: a bellwire.yaml; no other file is read for it, and no program is run. What loads has sources whose paths stand where they say, and which
 * become sources of the built-in schemes or errors with a place. The same tree written as JSON, which is YAML as well, loads with as many of
 * everything. */
#include "config/config.h"
#include "config/sources.h"
#include "fuzz.h"
#include "places.h"
#include "source/source.h"

#define FILE_NAME "fuzz.yaml"

static struct bw_schemes *schemes;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct bw_errors errs = {0};
    (void)argc, (void)argv;
    schemes = bw_schemes_load(NULL, &errs);
    fuzz_check(schemes && !errs.count, "the built-in schemes");
    return 0;
}

static void check_source(struct bw_slice text, const struct bw_config *config, const struct bw_source_config *settings)
{
    struct bw_errors errs = {0};
    uint64_t most = strcmp(settings->verify, "github") != 0 ? BW_BODY_BYTES_HARD : BW_BODY_BYTES_HARD_GITHUB;
    const char *at = fuzz_find_place(text, settings->path_line, settings->path_column);
    fuzz_check(bw_config_is_name(bw_slice_of(settings->name)), "the name %s", settings->name);
    fuzz_check(*settings->path == '/' && at && at < text.ptr + text.len, "the path %s at %d:%d", settings->path, settings->path_line,
               settings->path_column);
    fuzz_check(settings->max_body_bytes <= (most > config->max_body_bytes ? most : config->max_body_bytes), "max_body of %s", settings->name);
    struct bw_source *source = bw_source_new(settings, schemes, &errs);
    fuzz_check(source || errs.count, "neither a source nor an error");
    fuzz_check_errors(text, FILE_NAME, &errs);
    bw_source_free(source);
    bw_errors_free(&errs);
}

static void check_config(struct bw_slice text, const struct bw_config *config)
{
    fuzz_check(config->listen_count && config->max_connections && config->body_rate && config->idle_ms > 0 && config->request_deadline_ms > 0,
               "a bound is 0");
    fuzz_check(config->data && config->workflows && config->actions && config->plugins && config->schemes && config->values, "a part is missing");
    for (size_t i = 0; i < config->source_count; i++) check_source(text, config, &config->sources[i]);
}

static void check_as_json(struct bw_slice text, const struct bw_config *before)
{
    struct bw_errors errs = {0};
    struct bw_slice again = fuzz_as_json(text);
    if (!again.ptr) return;
    struct bw_config *config = bw_config_parse(FILE_NAME, again, &errs);
    fuzz_check(config, "as JSON it is refused: %s: %.*s", errs.count ? errs.items[0].message : "", (int)again.len, again.ptr);
    fuzz_check(config->source_count == before->source_count && config->listen_count == before->listen_count &&
                   config->pool_count == before->pool_count && config->secret_count == before->secret_count &&
                   !strcmp(config->values, before->values),
               "as JSON it is another one: %.*s", (int)again.len, again.ptr);
    bw_config_free(config);
    free((void *)again.ptr);
    bw_errors_free(&errs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bw_slice text = fuzz_input(data, size);
    struct bw_errors errs = {0};
    struct bw_config *config = bw_config_parse(FILE_NAME, text, &errs);
    fuzz_check(!config == (errs.count > 0), "%s, with %zu errors", config ? "taken" : "refused", errs.count);
    fuzz_check_errors(text, FILE_NAME, &errs);
    if (config) {
        check_config(text, config);
        check_as_json(text, config);
    }
    bw_config_free(config);
    bw_errors_free(&errs);
    return 0;
}
