/* What a scheme does, for people and for programs: one set of facts, printed twice. */
#include "base/json.h"
#include "source/program.h"

static json_t *text_of(const struct bw_yaml_node *node)
{
    return node && node->text.ptr && node->kind != BW_YAML_NULL ? json_stringn_nocheck(node->text.ptr, node->text.len) : json_string("");
}

/* A list as it is written; one value is a list of one. */
static json_t *texts_of(const struct bw_yaml_node *node)
{
    json_t *list = json_array();
    if (node && node->kind != BW_YAML_LIST && node->kind != BW_YAML_NULL && node->text.len) json_array_append_new(list, text_of(node));
    for (size_t i = 0; node && node->kind == BW_YAML_LIST && i < node->count; i++) json_array_append_new(list, text_of(node->items[i]));
    return list;
}

static json_t *secrets_of(const struct bw_program *program)
{
    json_t *list = json_array();
    for (size_t i = 0; i < program->secret_count; i++)
        json_array_append_new(list, json_pack("{s:s, s:b, s:b}", "name", program->secrets[i].name.ptr, "optional", program->secrets[i].is_optional,
                                              "handed_over", program->captures_key && i == 0));
    return list;
}

static json_t *events_of(const struct bw_scheme *scheme, const struct bw_program *program)
{
    const struct bw_yaml_node *node = bw_scheme_node(scheme, "event");
    json_t *list = json_array();
    for (size_t i = 0; node && node->kind == BW_YAML_LIST && i < node->count && i < program->event_count; i++)
        json_array_append_new(list, json_pack("{s:o, s:b}", "from", text_of(node->items[i]), "trusted", program->event[i].is_signed));
    return list;
}

/* "GET with query:challenge", "POST when json:/type is ping" */
static json_t *condition_of(const struct bw_yaml_node *when)
{
    const struct bw_yaml_node *method = bw_yaml_get(when, "method"), *has = bw_yaml_get(when, "has"), *value = bw_yaml_get(when, "value"),
                              *is = bw_yaml_get(when, "is");
    struct bw_buf text = {0};
    bw_buf_append_text(&text, method ? method->text.ptr : "a request");
    if (has) bw_buf_printf(&text, " with %s", has->text.ptr);
    if (value) bw_buf_printf(&text, is ? " when %s is %s" : " with %s", value->text.ptr, is ? is->text.ptr : "");
    json_t *result = json_stringn(text.data, text.len);
    bw_buf_free(&text);
    return result;
}

static json_t *handshakes_of(const struct bw_scheme *scheme, const struct bw_program *program)
{
    const struct bw_yaml_node *node = bw_scheme_node(scheme, "handshake");
    json_t *list = json_array();
    for (size_t i = 0; i < program->handshake_count; i++) {
        const struct bw_yaml_node *answer = bw_yaml_get(node->items[i], "answer"), *json = bw_yaml_get(answer, "json"),
                                  *text = bw_yaml_get(answer, "text"), *headers = bw_yaml_get(answer, "headers");
        struct bw_buf body = {0};
        for (size_t k = 0; headers && headers->kind == BW_YAML_MAP && k < headers->count; k++)
            bw_buf_printf(&body, "%s%s: %s", k ? ", " : "", headers->pairs[k].key->text.ptr, headers->pairs[k].value->text.ptr);
        if (json)
            bw_yaml_to_json(json, &body);
        else if (text)
            bw_buf_append_slice(&body, text->text);
        json_array_append_new(list, json_pack("{s:o, s:i, s:o, s:b, s:b}", "when", condition_of(bw_yaml_get(node->items[i], "when")), "status",
                                              (int)program->handshakes[i].status, "answer", json_stringn(bw_buf_slice(&body).ptr, body.len),
                                              "verify_first", program->handshakes[i].verify_first, "hands_over_secret",
                                              program->handshakes[i].captured.kind != BW_REF_LITERAL));
        bw_buf_free(&body);
    }
    return list;
}

static json_t *options_of(const struct bw_scheme *scheme)
{
    const struct bw_yaml_node *options = bw_scheme_node(scheme, "options");
    json_t *map = json_object();
    for (size_t i = 0; options && options->kind == BW_YAML_MAP && i < options->count; i++)
        json_object_set_new(map, options->pairs[i].key->text.ptr, text_of(options->pairs[i].value));
    return map;
}

/* Where the values of `LIST.KEY` stand */
static json_t *lists_of(const struct bw_scheme *scheme)
{
    const struct bw_yaml_node *parse = bw_scheme_node(scheme, "parse");
    json_t *map = json_object();
    for (size_t i = 0; parse && parse->kind == BW_YAML_MAP && i < parse->count; i++)
        json_object_set_new(map, parse->pairs[i].key->text.ptr, text_of(bw_yaml_get(parse->pairs[i].value, "from")));
    return map;
}

/* "header:x-version is 1" */
static json_t *required_of(const struct bw_scheme *scheme)
{
    const struct bw_yaml_node *node = bw_scheme_node(scheme, "require");
    json_t *list = json_array();
    for (size_t i = 0; node && node->kind == BW_YAML_LIST && i < node->count; i++) {
        json_t *is = texts_of(bw_yaml_get(node->items[i], "is"));
        struct bw_buf text = {0};
        bw_buf_append_slice(&text, bw_yaml_get(node->items[i], "value")->text);
        for (size_t k = 0; k < json_array_size(is); k++) bw_buf_printf(&text, "%s%s", k ? " or " : " is ", json_string_value(json_array_get(is, k)));
        json_array_append_new(list, json_stringn(text.data, text.len));
        bw_buf_free(&text);
        json_decref(is);
    }
    return list;
}

/* Where public keys come from, and the secrets that they are asked for with. */
static json_t *keys_of(const struct bw_scheme *scheme, const struct bw_program *program)
{
    const struct bw_yaml_node *keys = bw_scheme_node(scheme, "keys");
    json_t *facts = json_object(), *with = keys ? json_array() : NULL;
    if (!keys) return facts;
    json_object_set_new(facts, "url", text_of(bw_yaml_get(keys, "url")));
    json_object_set_new(facts, "as", text_of(bw_yaml_get(keys, "as")));
    json_object_set_new(facts, "hosts", texts_of(bw_yaml_get(keys, "hosts")));
    for (size_t i = 0; i < program->fetch.post_count; i++)
        if (program->fetch.post[i].secret.len) json_array_append_new(with, json_string(program->fetch.post[i].secret.ptr));
    json_object_set_new(facts, "with", with);
    return facts;
}

static json_t *acknowledge_of(const struct bw_acknowledge *acknowledge)
{
    json_t *facts = json_pack("{s:i}", "status", (int)acknowledge->status);
    struct bw_slice body = bw_buf_slice(&acknowledge->body);
    if (acknowledge->has_body) json_object_set_new(facts, "body", json_stringn_nocheck(body.ptr, body.len));
    return facts;
}

json_t *bw_scheme_facts(const struct bw_scheme *scheme)
{
    const struct bw_source_config nobody = {.name = (char *)"check", .verify = scheme->name};
    struct bw_errors errs = {0};
    struct bw_program *program = bw_program_compile(scheme, &nobody, &errs);
    json_t *facts = program ? json_pack("{s:s, s:s, s:o, s:s}", "scheme", scheme->name, "doc", bw_scheme_doc(scheme), "console",
                                        text_of(bw_scheme_node(scheme, "console")), "algorithm", bw_algorithm(program->alg)->name)
                            : json_object();
    const struct bw_yaml_node *alg = bw_scheme_node(scheme, "alg"), *time = bw_scheme_node(scheme, "time");
    if (program) {
        if (alg && memchr(alg->text.ptr, '{', alg->text.len)) json_object_set_new(facts, "algorithm", text_of(alg)); /* an option */
        json_object_set_new(facts, "tokens", texts_of(bw_yaml_get(bw_scheme_node(scheme, "jwt"), "algs")));
        json_object_set_new(facts, "secrets", secrets_of(program));
        json_object_set_new(facts, "signature", texts_of(bw_yaml_get(bw_scheme_node(scheme, "sig"), "from")));
        json_object_set_new(facts, "encoding", text_of(bw_yaml_get(bw_scheme_node(scheme, "sig"), "enc")));
        json_object_set_new(facts, "prefix", text_of(bw_yaml_get(bw_scheme_node(scheme, "sig"), "prefix")));
        json_object_set_new(facts, "lists", lists_of(scheme));
        json_object_set_new(facts, "signed", texts_of(bw_scheme_node(scheme, "msg")));
        json_object_set_new(facts, "or_signed", texts_of(bw_scheme_node(scheme, "msg_alt")));
        json_object_set_new(facts, "required", required_of(scheme));
        json_object_set_new(facts, "keys", keys_of(scheme, program));
        json_object_set_new(facts, "public_url", json_boolean(program->needs_url));
        if (program->has_time)
            json_object_set_new(facts, "fresh",
                                json_pack("{s:o, s:I, s:I}", "from", text_of(bw_yaml_get(time, "from")), "past", (json_int_t)program->past_ms / 1000,
                                          "future", (json_int_t)program->future_ms / 1000));
        json_object_set_new(facts, "dedupe", texts_of(bw_scheme_node(scheme, "id")));
        json_object_set_new(facts, "event", events_of(scheme, program));
        json_object_set_new(facts, "data", text_of(bw_scheme_node(scheme, "data")));
        if (program->acknowledge.status) json_object_set_new(facts, "acknowledge", acknowledge_of(&program->acknowledge));
        json_object_set_new(facts, "accepts", texts_of(bw_scheme_node(scheme, "accepts")));
        if (program->batch.is_there)
            json_object_set_new(facts, "batch",
                                json_pack("{s:o, s:o, s:o}", "items", text_of(bw_yaml_get(bw_scheme_node(scheme, "batch"), "items")), "dedupe",
                                          texts_of(bw_yaml_get(bw_scheme_node(scheme, "batch"), "id")), "event",
                                          texts_of(bw_yaml_get(bw_scheme_node(scheme, "batch"), "event"))));
        json_object_set_new(facts, "handshakes", handshakes_of(scheme, program));
        json_object_set_new(facts, "options", options_of(scheme));
    }
    bw_program_free(program);
    bw_errors_free(&errs);
    return facts;
}

static void print_list(struct bw_buf *out, const json_t *list, const char *title, const char *between)
{
    size_t index;
    json_t *item;
    if (!json_array_size(list)) return;
    bw_buf_printf(out, "  %-10s", title);
    json_array_foreach(list, index, item)
    {
        const char *text = json_string_value(item);
        bool is_plain = text[strcspn(text, "\n")] == '\0';
        bw_buf_printf(out, "%s%s", index ? between : "", is_plain ? text : "(line end)");
    }
    bw_buf_append_char(out, '\n');
}

/* "jwt: HS256, HS384 or HS512" */
static void print_tokens(struct bw_buf *out, const json_t *algorithms)
{
    size_t count = json_array_size(algorithms);
    for (size_t i = 0; i < count; i++) {
        bw_buf_append_text(out, !i ? ": " : i + 1 < count ? ", " : " or ");
        bw_buf_append_text(out, json_string_value(json_array_get(algorithms, i)));
    }
}

void bw_scheme_describe(const struct bw_scheme *scheme, struct bw_buf *out)
{
    json_t *facts = bw_scheme_facts(scheme), *item, *fresh = json_object_get(facts, "fresh");
    const char *name;
    size_t index;
    bw_buf_printf(out, "%s: %s\n  algorithm %s", scheme->name, bw_scheme_doc(scheme), bw_json_str(facts, "algorithm", ""));
    print_tokens(out, json_object_get(facts, "tokens"));
    bw_buf_append_char(out, '\n');
    json_array_foreach(json_object_get(facts, "secrets"), index, item)
        bw_buf_printf(out, "%s%s%s", index ? ", " : "  secrets   ", bw_json_str(item, "name", ""),
                      bw_json_bool(item, "handed_over", false) ? " (handed over, or given)"
                      : bw_json_bool(item, "optional", false)  ? " (optional)"
                                                               : "");
    if (json_array_size(json_object_get(facts, "secrets"))) bw_buf_append_char(out, '\n');
    if (*bw_json_str(facts, "console", "")) bw_buf_printf(out, "  from      %s\n", bw_json_str(facts, "console", ""));
    if (json_array_size(json_object_get(facts, "signature"))) {
        const char *encoding = bw_json_str(facts, "encoding", ""), *prefix = bw_json_str(facts, "prefix", "");
        print_list(out, json_object_get(facts, "signature"), "signature", " or ");
        out->len--; /* its line goes on */
        if (*encoding) bw_buf_printf(out, ", %s", encoding);
        if (*prefix) bw_buf_printf(out, ", behind '%s'", prefix);
        bw_buf_append_char(out, '\n');
    }
    json_object_foreach(json_object_get(facts, "lists"), name, item) bw_buf_printf(out, "  %-9s %s\n", name, json_string_value(item));
    print_list(out, json_object_get(facts, "signed"), "signed", " + ");
    print_list(out, json_object_get(facts, "or_signed"), "  or", " + ");
    print_list(out, json_object_get(facts, "required"), "required", ", ");
    item = json_object_get(facts, "keys");
    if (json_object_size(item)) bw_buf_printf(out, "  key       fetched: %s\n", bw_json_str(item, "url", ""));
    if (bw_json_bool(facts, "public_url", false)) bw_buf_append_text(out, "  URL       is signed: the source needs public_url\n");
    if (fresh)
        bw_buf_printf(out, "  fresh     %s, %lld s back and %lld s ahead\n", bw_json_str(fresh, "from", ""), (long long)bw_json_int(fresh, "past", 0),
                      (long long)bw_json_int(fresh, "future", 0));
    print_list(out, json_object_get(facts, "dedupe"), "dedupe", " + ");
    json_array_foreach(json_object_get(facts, "event"), index, item) bw_buf_printf(
        out, "%s%s%s", index ? " + " : "  event     ", bw_json_str(item, "from", ""), bw_json_bool(item, "trusted", false) ? "" : " (not signed)");
    if (json_array_size(json_object_get(facts, "event"))) bw_buf_append_char(out, '\n');
    if (*bw_json_str(facts, "data", "")) bw_buf_printf(out, "  data      %s\n", bw_json_str(facts, "data", ""));
    print_list(out, json_object_get(facts, "accepts"), "accepts", ", ");
    item = json_object_get(facts, "acknowledge");
    if (item) bw_buf_printf(out, "  answer    %lld %s\n", (long long)bw_json_int(item, "status", 0), bw_json_str(item, "body", ""));
    item = json_object_get(facts, "batch");
    if (item) {
        const char *items = bw_json_str(item, "items", "");
        bw_buf_printf(out, "  batch     each item of %s is an event\n", strcmp(items, "json:") ? items : "the list");
        print_list(out, json_object_get(item, "dedupe"), "  dedupe", " + ");
        print_list(out, json_object_get(item, "event"), "  event", " + ");
    }
    json_array_foreach(json_object_get(facts, "handshakes"), index, item)
        bw_buf_printf(out, "  handshake %s%s: %lld %s\n", bw_json_str(item, "when", ""),
                      bw_json_bool(item, "hands_over_secret", false) ? ", hands over the secret"
                      : bw_json_bool(item, "verify_first", true)     ? ", signed"
                                                                     : "",
                      (long long)bw_json_int(item, "status", 0), bw_json_str(item, "answer", ""));
    json_object_foreach(json_object_get(facts, "options"), name, item)
        bw_buf_printf(out, "  option    %s (%s)\n", name, *json_string_value(item) ? json_string_value(item) : "empty");
    json_decref(facts);
}
