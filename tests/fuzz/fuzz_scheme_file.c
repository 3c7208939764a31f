/* scheme_file: any text gives a scheme, or errors whose places are inside of it; what loads can be shown, means the same as JSON, and believes
 * nobody.
 *
 * Input: a file of a `schemes` folder, beside the built-in ones. What loads is described for people and as JSON; the same tree written as JSON, which
 * is YAML as well, loads and has the same facts; unless a scalar is written otherwise there (`030`, `TRUE`, nothing): a scheme takes them as they are
 * written. A source of it, with secrets that are in no input, verifies none of a few requests that nobody has signed, unless its algorithm is none.
 */
#include "base/json.h"
#include "fuzz.h"
#include "places.h"
#include "source/program.h"

#define FILE_NAME "schemes/fuzz.yaml"
#define NAME "fuzz"
#define SECRETS_MAX 64

static struct bw_schemes *schemes;
static const char *const secret_values[] = {"9b1ddcf0f3a24c1d8e0fd5a7c2d24b6aee5a3f6f2f1e4c3b8a7d6e5f40312233", "m7qW0c3Zx9v1nJ5tK2bL8sD4fG6hY0uR"};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct bw_errors errs = {0};
    (void)argc, (void)argv;
    schemes = bw_schemes_load(NULL, &errs);
    fuzz_check(schemes && !errs.count, "the built-in schemes");
    return 0;
}

static char *facts_of(void)
{
    struct bw_buf text = {0};
    const struct bw_scheme *scheme = bw_schemes_find(schemes, NAME);
    bw_scheme_describe(scheme, &text);
    fuzz_check(text.len && !text.failed, "it cannot be described");
    bw_buf_free(&text);
    json_t *facts = bw_scheme_facts(scheme);
    fuzz_check(facts, "it has no facts");
    char *dumped = json_dumps(facts, JSON_COMPACT | JSON_SORT_KEYS);
    fuzz_check(dumped, "its facts are no JSON");
    json_decref(facts);
    return dumped;
}

static bool is_written_as_in_json(const struct bw_yaml_node *node)
{
    struct bw_buf json = {0};
    bool is_same = true;
    switch (node->kind) {
    case BW_YAML_NULL:
    case BW_YAML_BOOL:
    case BW_YAML_INT:
    case BW_YAML_REAL:
        bw_yaml_to_json(node, &json);
        is_same = bw_slice_equal(bw_buf_slice(&json), node->text);
        break;
    case BW_YAML_LIST:
        for (size_t i = 0; is_same && i < node->count; i++) is_same = is_written_as_in_json(node->items[i]);
        break;
    case BW_YAML_MAP:
        for (size_t i = 0; is_same && i < node->count; i++) is_same = is_written_as_in_json(node->pairs[i].value);
        break;
    default: break;
    }
    bw_buf_free(&json);
    return is_same;
}

static void check_as_json(struct bw_slice text, const char *facts)
{
    struct bw_yaml *yaml = bw_yaml_load(text, "", NULL, NULL);
    bool is_same = yaml && is_written_as_in_json(bw_yaml_root(yaml, 0));
    bw_yaml_free(yaml);
    if (!is_same) return;
    struct bw_errors errs = {0};
    struct bw_slice again = fuzz_as_json(text);
    if (!again.ptr) return;
    bool is_taken = bw_schemes_put(schemes, BW_SLICE(NAME), FILE_NAME, again, &errs);
    fuzz_check(is_taken, "as JSON it is refused: %s: %.*s", errs.count ? errs.items[0].message : "", (int)again.len, again.ptr);
    char *same = facts_of();
    fuzz_check(!strcmp(facts, same), "as JSON it says %s, before %s", same, facts);
    free(same);
    free((void *)again.ptr);
    bw_errors_free(&errs);
}

/* ---- it believes nobody ---- */

static void check_request(const struct bw_source *source, const char *method, struct bw_slice query, struct bw_slice body, const char *type,
                          struct bw_buf *scratch)
{
    const struct bw_header headers[] = {{BW_SLICE("content-type"), bw_slice_of(type)},
                                        {BW_SLICE("x-signature"), BW_SLICE("t=1760000000,v1=00ff")},
                                        {BW_SLICE("authorization"), BW_SLICE("Bearer eyJhbGciOiJIUzI1NiJ9.e30.AA")},
                                        {BW_SLICE("x-timestamp"), BW_SLICE("1760000000")},
                                        {BW_SLICE("x-empty"), BW_SLICE("")}};
    const struct bw_request request = {.method = bw_slice_of(method),
                                       .url = BW_SLICE("https://hooks.example/in"),
                                       .query = query,
                                       .headers = headers,
                                       .header_count = sizeof headers / sizeof *headers,
                                       .body = body,
                                       .now_ms = 1760000000000};
    struct bw_judgement judgement;
    bw_source_judge(source, &request, scratch, &judgement);
    fuzz_check(judgement.verdict != BW_VERIFIED && judgement.verdict != BW_MALFORMED, "it has verified a request that nobody has signed");
}

static void check_source(enum bw_alg alg, struct bw_secret *secrets, size_t count)
{
    struct bw_source_config config = {.name = (char *)"fuzz",
                                      .path = (char *)"/in",
                                      .verify = (char *)NAME,
                                      .file = FILE_NAME,
                                      .line = 1,
                                      .column = 1,
                                      .public_url = (char *)"https://hooks.example/in",
                                      .secrets = secrets,
                                      .secret_count = count};
    struct bw_errors errs = {0};
    struct bw_buf scratch = {0};
    struct bw_source *source = bw_source_new(&config, schemes, &errs);
    fuzz_check(source || errs.count, "neither a source nor an error");
    if (source && alg != BW_ALG_NONE) {
        check_request(source, "POST", BW_SLICE(""), BW_SLICE("{\"id\":\"1\",\"type\":\"a\",\"items\":[{\"id\":1}]}"), "application/json", &scratch);
        check_request(source, "POST", BW_SLICE("a=b&sig=00"), BW_SLICE("a=b&signature=00ff&timestamp=1760000000"),
                      "application/x-www-form-urlencoded", &scratch);
        check_request(source, "POST", BW_SLICE(""), BW_SLICE(""), "", &scratch);
    }
    bw_source_free(source);
    bw_buf_free(&scratch);
    bw_errors_free(&errs);
}

static void check_sources(void)
{
    const struct bw_scheme *scheme = bw_schemes_find(schemes, NAME);
    struct bw_source_config nobody = {.name = (char *)"check", .verify = (char *)NAME};
    struct bw_errors errs = {0};
    struct bw_program *program = bw_program_compile(scheme, &nobody, &errs);
    fuzz_check(program, "what has loaded does not compile");
    for (size_t k = 0; k < sizeof secret_values / sizeof *secret_values; k++) {
        struct bw_secret secrets[SECRETS_MAX] = {{0}};
        struct bw_slice value = bw_slice_of(secret_values[k]);
        size_t count = program->secret_count < SECRETS_MAX ? program->secret_count : SECRETS_MAX;
        for (size_t i = 0; i < count; i++)
            secrets[i] = (struct bw_secret){.name = (char *)program->secrets[i].name.ptr, .values = &value, .count = 1};
        check_source(program->alg, secrets, count);
    }
    bw_program_free(program);
    bw_errors_free(&errs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bw_slice text = fuzz_input(data, size);
    struct bw_errors errs = {0};
    bool is_taken = bw_schemes_put(schemes, BW_SLICE(NAME), FILE_NAME, text, &errs);
    fuzz_check(is_taken == !errs.count, "%s, with %zu errors", is_taken ? "taken" : "refused", errs.count);
    fuzz_check_errors(text, FILE_NAME, &errs);
    if (is_taken) {
        char *facts = facts_of();
        check_sources();
        check_as_json(text, facts);
        free(facts);
    }
    bw_errors_free(&errs);
    return 0;
}
