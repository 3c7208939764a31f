/* bellwire verify: judges captured requests; the vector format of ../shared/vectors is documented in the usage text. */
#include "base/codec.h"
#include "base/file.h"
#include "cmd/options.h"
#include "cmd/setup.h"
#include "source/key_ring.h"
#include "source/source.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_BYTES_MAX (64u << 20)
#define HEADERS_MAX 128
#define SECRETS_MAX 16

struct judge {
    const struct bw_schemes *schemes;
    const char *scheme; /* from the command line, or NULL */
    const struct bw_option_list *secrets;
    bool as_json;
    size_t judged, wrong;
};

/* One vector as a source and a request. */
struct material {
    struct bw_source_config config;
    struct bw_secret secrets[SECRETS_MAX];
    struct bw_slice values[SECRETS_MAX][8];
    char *options[16];
    char option_texts[16][256];
    struct bw_header headers[HEADERS_MAX];
    struct bw_request request;
    uint8_t *body;
};

static void add_secret(struct material *material, const char *name, struct bw_slice value)
{
    struct bw_source_config *config = &material->config;
    size_t i = 0;
    while (i < config->secret_count && strcmp(material->secrets[i].name, name) != 0) i++;
    if (i == SECRETS_MAX) return;
    if (i == config->secret_count) {
        material->secrets[i] = (struct bw_secret){(char *)name, material->values[i], 0};
        config->secret_count++;
    }
    if (material->secrets[i].count < 8) material->values[i][material->secrets[i].count++] = value; /* a repeated name is a rotation */
}

static void read_secrets(struct material *material, const json_t *vector, const struct judge *judge)
{
    size_t index;
    json_t *secret;
    json_array_foreach(json_object_get(vector, "secrets"), index, secret)
        add_secret(material, bw_json_str(secret, "name", ""), bw_json_slice(json_object_get(secret, "value")));
    for (size_t i = 0; i < judge->secrets->count; i++) {
        const char *equals = strchr(judge->secrets->items[i], '=');
        if (equals) add_secret(material, strndupa(judge->secrets->items[i], (size_t)(equals - judge->secrets->items[i])), bw_slice_of(equals + 1));
    }
    material->config.secrets = material->secrets;
}

static bool has_secret(const struct material *material, const char *name)
{
    for (size_t i = 0; i < material->config.secret_count; i++)
        if (!strcmp(material->secrets[i].name, name)) return true;
    return false;
}

static bool is_wanted(const json_t *wanted, const char *name)
{
    size_t index;
    json_t *secret;
    json_array_foreach(wanted, index, secret) if (!strcmp(bw_json_str(secret, "name", ""), name)) return true;
    return false;
}

/* A capture may call its secrets otherwise than the scheme does. Here, and only here, they are taken for those that the scheme misses, in its order.
 */
static void rename_secrets(struct material *material, const struct judge *judge, json_t *facts, const char *id)
{
    const json_t *wanted = json_object_get(facts, "secrets");
    size_t index;
    json_t *secret;
    for (size_t i = 0; i < material->config.secret_count; i++) {
        if (is_wanted(wanted, material->secrets[i].name)) continue;
        json_array_foreach(wanted, index, secret)
        {
            const char *name = bw_json_str(secret, "name", "");
            if (has_secret(material, name)) continue;
            if (!judge->as_json)
                fprintf(stderr, "%s: the secret '%s' is taken for '%s', as its scheme calls it\n", id, material->secrets[i].name, name);
            material->secrets[i].name = (char *)name; /* of facts, which outlives the material */
            break;
        }
    }
}

/* What is no option of the scheme is one of its secrets under this name, or says nothing to it. */
static void read_options(struct material *material, const struct judge *judge, const json_t *facts, const json_t *vector)
{
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(vector, "config"), name, value)
    {
        size_t i = material->config.option_count;
        if (i == 16 || !json_is_string(value)) continue;
        if (!json_object_get(json_object_get(facts, "options"), name)) {
            if (is_wanted(json_object_get(facts, "secrets"), name))
                add_secret(material, name, bw_json_slice(value));
            else if (!judge->as_json)
                fprintf(stderr, "%s: the scheme has no option '%s': it is left out\n", bw_json_str(vector, "id", "-"), name);
            continue;
        }
        snprintf(material->option_texts[i], sizeof material->option_texts[i], "%s=%s", name, json_string_value(value));
        for (char *c = material->option_texts[i]; !strcmp(name, "header") && *c; c++)
            if (*c >= 'A' && *c <= 'Z') *c += 32;
        material->options[i] = material->option_texts[i];
        material->config.option_count++;
    }
    material->config.options = material->options;
}

static bool read_request(struct material *material, const json_t *vector)
{
    const json_t *body = json_object_get(vector, "body"), *coded = json_object_get(vector, "body_b64");
    struct bw_request *request = &material->request;
    size_t index;
    json_t *header;
    json_array_foreach(json_object_get(vector, "headers"), index, header)
    {
        if (index == HEADERS_MAX) break;
        material->headers[request->header_count++] =
            (struct bw_header){bw_json_slice(json_array_get(header, 0)), bw_json_slice(json_array_get(header, 1))};
    }
    request->headers = material->headers;
    request->method = bw_slice_of(bw_json_str(vector, "method", "POST"));
    request->url = bw_slice_of(bw_json_str(vector, "url", ""));
    const char *query = strchr(request->url.ptr, '?');
    request->query = query ? bw_slice_of(query + 1) : (struct bw_slice){"", 0};
    request->now_ms = bw_json_int(vector, "now", 0) * 1000;
    request->body = bw_json_slice(body);
    if (!request->body.ptr) request->body = (struct bw_slice){"", 0};
    if (!json_is_string(coded)) return true;
    struct bw_slice text = bw_json_slice(coded);
    size_t len = 0;
    if (!(material->body = malloc(text.len + 1)) || !bw_base64_decode(text, material->body, text.len + 1, &len)) return false;
    request->body = (struct bw_slice){(char *)material->body, len};
    return true;
}

static void print_verdict(struct judge *judge, const json_t *vector, bool is_accepted, const char *reason)
{
    const char *id = bw_json_str(vector, "id", "-"), *expected = bw_json_str(vector, "expect", NULL);
    const char *verdict = is_accepted ? "accept" : "reject";
    bool is_wrong = expected && strcmp(expected, verdict) != 0;
    judge->judged++;
    judge->wrong += is_wrong || (!expected && !is_accepted);
    if (judge->as_json) {
        struct bw_buf line = {0};
        bw_buf_append_text(&line, "{\"id\":");
        bw_buf_append_json_string(&line, bw_slice_of(id));
        bw_buf_printf(&line, ",\"verdict\":\"%s\",\"reason\":", verdict);
        bw_buf_append_json_string(&line, bw_slice_of(reason));
        bw_buf_printf(&line, ",\"as_expected\":%s}", is_wrong ? "false" : expected ? "true" : "null");
        bw_print_line(&line);
    } else {
        printf("%-24s %s  %-32s %s%s%s\n", id, verdict, reason, is_wrong ? "MISMATCH: expected " : "", is_wrong ? expected : "",
               is_wrong ? bw_json_str(vector, "why", "") : "");
    }
}

/* Nothing is fetched here: what the scheme would only ask with need not be in the file that holds the keys. */
static void spare_what_is_asked_with(struct material *material, const json_t *facts, const json_t *vector)
{
    size_t index;
    json_t *name;
    if (!json_object_get(vector, "jwks") && !json_object_get(vector, "certs")) return;
    json_array_foreach(json_object_get(json_object_get(facts, "keys"), "with"), index, name) if (!has_secret(material, json_string_value(name)))
        add_secret(material, json_string_value(name), BW_SLICE("not asked"));
}

static void judge_one(struct judge *judge, const json_t *vector)
{
    struct material *material = calloc(1, sizeof *material);
    struct bw_errors errs = {0};
    struct bw_buf scratch = {0};
    struct bw_judgement judgement;
    if (!material) return;
    material->config = (struct bw_source_config){.name = (char *)"verify",
                                                 .path = (char *)"/",
                                                 .verify = (char *)(judge->scheme ? judge->scheme : bw_json_str(vector, "scheme", "")),
                                                 .dedupe_window_ms = 1};
    read_secrets(material, vector, judge);
    const struct bw_scheme *scheme = bw_schemes_find(judge->schemes, material->config.verify);
    json_t *facts = scheme ? bw_scheme_facts(scheme) : NULL;
    read_options(material, judge, facts, vector);
    if (facts) rename_secrets(material, judge, facts, bw_json_str(vector, "id", "-"));
    spare_what_is_asked_with(material, facts, vector);
    bool is_read = read_request(material, vector);
    material->config.public_url = (char *)(material->request.url.ptr ? material->request.url.ptr : "");
    struct bw_source *source = is_read ? bw_source_new(&material->config, judge->schemes, &errs) : NULL;
    if (!source) {
        print_verdict(judge, vector, false, errs.count ? errs.items[0].message : "unreadable vector");
    } else {
        material->request.ring = bw_key_ring_new();
        bw_source_judge(source, &material->request, &scratch, &judgement);
        if (judgement.verdict == BW_UNDECIDED) { /* nobody goes anywhere: the keys are in the file */
            bw_key_ring_give(material->request.ring, &judgement.wish, json_object_get(vector, "certs"), json_object_get(vector, "jwks"),
                             material->request.now_ms);
            bw_source_judge(source, &material->request, &scratch, &judgement);
        }
        bool is_decided = judgement.verdict != BW_UNDECIDED;
        bool is_turned_away = judgement.verdict == BW_HANDSHAKE && judgement.answer_status >= 400; /* it was asked, and says no */
        /* The signature is the question here: a body that is no JSON is another one. */
        print_verdict(judge, vector, is_decided && judgement.verdict != BW_REFUSED && !is_turned_away,
                      is_turned_away ? "handshake refused"
                      : is_decided   ? judgement.reason
                                     : "its key is not in the file");
        bw_key_ring_free(material->request.ring);
    }
    bw_source_free(source);
    bw_errors_free(&errs);
    bw_buf_free(&scratch);
    json_decref(facts);
    free(material->body);
    free(material);
}

static bool judge_file(struct judge *judge, const char *path)
{
    struct bw_buf text = {0};
    struct bw_error err;
    json_t *root = NULL;
    /* The vectors hold bodies with every kind of odd text: jansson alone decides here, not the stricter scanner of the accept path. */
    bool is_read = bw_file_read(path, FILE_BYTES_MAX, &text, &err) &&
                   ((root = json_loadb(text.data, text.len, JSON_ALLOW_NUL, NULL)) || bw_error_set(&err, "verify.json", "this is no JSON"));
    if (is_read) {
        const json_t *list = json_is_object(root) ? json_object_get(root, "vectors") : root;
        size_t index;
        json_t *vector;
        if (json_is_array(list)) {
            json_array_foreach(list, index, vector) judge_one(judge, vector);
        } else {
            judge_one(judge, root);
        }
    } else {
        bw_error_at(&err, path, 0, 0);
        bw_print_error("verify", &err);
    }
    json_decref(root);
    bw_buf_free(&text);
    return is_read;
}

static int verify_main(int argc, char **argv)
{
    struct judge judge = {0};
    struct bw_option_list secrets = {0};
    const char *schemes_folder = NULL;
    const struct bw_option options[] = {{.name = "scheme", .value = &judge.scheme},
                                        {.name = "secret", .list = &secrets},
                                        {.name = "schemes", .value = &schemes_folder},
                                        {.name = "json", .flag = &judge.as_json}};
    int first, status = bw_options_parse(&bw_command_verify, argc, argv, options, sizeof options / sizeof *options, &first);
    struct bw_errors errs = {0};
    struct bw_schemes *schemes;
    bool all_read = true;

    if (status >= 0) return status;
    if (argc == first) return bw_options_wrong(&bw_command_verify, "name a file with captured requests");
    schemes = bw_schemes_load(schemes_folder, &errs);
    bw_print_errors(&errs, false);
    judge.schemes = schemes;
    judge.secrets = &secrets;
    for (int i = first; schemes && i < argc; i++) all_read = judge_file(&judge, argv[i]) && all_read;
    if (!judge.as_json) fprintf(stderr, "%zu judged, %zu %s\n", judge.judged, judge.wrong, judge.wrong == 1 ? "mismatch" : "mismatches");
    status = judge.wrong || !all_read || errs.count ? 1 : 0;
    bw_errors_free(&errs);
    bw_schemes_free(schemes);
    return status;
}

const struct bw_command bw_command_verify = {
    .name = "verify",
    .summary = "judge captured requests: is the signature good, and if not, why",
    .usage = "usage: bellwire verify FILE… [--scheme NAME] [--secret NAME=VALUE]… [--schemes FOLDER] [--json]\n\n"
             "Judges captured webhook requests with the same code that serves them, and prints one line each: verdict and reason.\n"
             "A file holds one request as JSON, a list of them, or {\"vectors\": [...]}:\n"
             "  {\"id\", \"scheme\", \"secrets\": [{\"name\", \"value\"}], \"method\", \"url\" (the public one), \"headers\": [[name, value]],\n"
             "   \"body\" (text) or \"body_b64\", \"now\" (unix seconds: the clock to judge at), \"expect\": \"accept\" | \"reject\" (optional),\n"
             "   \"certs\": {URL: PEM} and \"jwks\": {key id: JWK} (what would be fetched: nothing is), \"config\": {NAME: option of the scheme}}\n\n"
             "  --scheme NAME         judge by this scheme, whatever the file says\n"
             "  --secret NAME=VALUE   a secret of the scheme; may be repeated\n"
             "  --schemes FOLDER      your own schemes\n"
             "  --json                one JSON object a line\n\n"
             "Exit status 1: a verdict is not the expected one, or a request without expectation is refused.\n\n"
             "example: bellwire verify captured.json --scheme github --secret webhook_secret=s3cret\n",
    .run = verify_main,
};
