/* What a hook demands before it is triggered. What must hold in any case (the top, and what is joined to it by `and`) can be demanded by the door:
 * a signature, a token, an address. All else becomes the condition of the trigger.
 *
 * Two values of a rule matter: is it so, and could it be judged? A value that is missing makes a match false, and an `and` around it too, even
 * behind a `not`; only where the `not` is the whole rule it is true. */
#include "base/net_range.h"
#include "hooks/internal.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum rule_kind { RULE_NOTHING, RULE_AND, RULE_OR, RULE_NOT, RULE_MATCH };

/* As webhook reads it: the first of them counts. */
static enum rule_kind kind_of(const struct bw_yaml_node *rule, const struct bw_yaml_node **inner)
{
    static const char *const names[] = {[RULE_AND] = "and", [RULE_OR] = "or", [RULE_NOT] = "not", [RULE_MATCH] = "match"};
    for (enum rule_kind kind = RULE_AND; kind <= RULE_MATCH; kind++)
        if ((*inner = bw_yaml_get(rule, names[kind]))) return kind;
    return RULE_NOTHING;
}

static const char *type_of(const struct bw_yaml_node *match)
{
    return bw_hook_text(match, "type", "");
}

/* "sha256"; NULL: it is no signature of the body. */
static const char *hash_of(const struct bw_yaml_node *match)
{
    static const char *const hashes[] = {"sha1", "sha256", "sha512"};
    const char *type = type_of(match);
    if (strncmp(type, "payload-hmac-", 13) != 0 && strncmp(type, "payload-hash-", 13) != 0) return NULL;
    for (size_t i = 0; i < sizeof hashes / sizeof *hashes; i++)
        if (!strcmp(type + 13, hashes[i])) return hashes[i];
    return NULL;
}

/* ---- the door ---- */

struct door {
    const struct bw_yaml_node *signature, *token, *allow;
};

/* "x-auth", "auth.key", and not "author" */
static bool has_word(const char *name, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = name; (at = strcasestr(at, word)); at++)
        if ((at == name || !isalnum((unsigned char)at[-1])) && !isalnum((unsigned char)at[len])) return true;
    return false;
}

/* A fixed text that is compared with something whose name says that it proves something. */
static bool is_token(const struct bw_yaml_node *match)
{
    static const char *const words[] = {"token", "secret", "password", "passwd", "api-key", "apikey", "api_key", "authorization", "credential"};
    const struct bw_yaml_node *parameter = bw_yaml_get(match, "parameter");
    const char *source = bw_hook_text(parameter, "source", ""), *name = bw_hook_text(parameter, "name", "");
    if (strcmp(type_of(match), "value") != 0) return false;
    if (!strcmp(source, "url") || !strcmp(source, "query")) return true; /* nothing else can see it */
    if (strcmp(source, "header") != 0 && strcmp(source, "payload") != 0) return false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasestr(name, words[i])) return true;
    return has_word(name, "auth");
}

static void append_secret(struct bw_hook *hook, const struct bw_yaml_node *match, const char *key, const char *what)
{
    const char *value = bw_hook_text(match, what, "");
    struct bw_buf path = {0};
    bw_buf_printf(&hook->door, "    secrets: {%s: ", key);
    if (!*value) {
        bw_hook_close(hook, match, "%s is empty: anybody could send", what);
        bw_buf_append_text(&hook->door, "{env: NOTHING}");
    } else if (!bw_hooks_append_placeholder(&hook->door, value)) {
        bw_buf_printf(&path, "secrets/%s", hook->name);
        bw_buf_printf(&hook->door, "{file: %s}", path.data ? path.data : "");
        struct bw_buf *secret = bw_made_add_file(&hook->state->out->made, bw_buf_take(&path, NULL), true);
        if (secret) bw_buf_append_text(secret, value);
    }
    bw_buf_append_text(&hook->door, "}\n");
    bw_buf_free(&path);
}

/* Senders that write "sha1=" in front, as GitHub has begun to; others send the digits alone. */
static void take_signature(struct bw_hook *hook, const struct bw_yaml_node *match)
{
    const struct bw_yaml_node *parameter = bw_yaml_get(match, "parameter");
    const char *header = bw_hook_text(parameter, "name", ""), *hash = hash_of(match);
    bool has_prefix = !strncasecmp(header, "x-hub-signature", 15);
    if (strcmp(bw_hook_text(parameter, "source", ""), "header") != 0 || !*header) {
        bw_hook_close(hook, match, "a signature that is not in a header cannot be verified");
        return;
    }
    bw_buf_append_text(&hook->door, "    verify: hmac\n");
    append_secret(hook, match, "secret", "secret");
    bw_buf_append_text(&hook->door, "    options: {header: ");
    bw_hooks_append_quoted(&hook->door, bw_slice_of(header));
    bw_buf_printf(&hook->door, ", algorithm: hmac-%s, encoding: hex", hash);
    if (has_prefix) bw_buf_printf(&hook->door, ", prefix: \"%s=\"", hash);
    bw_buf_append_text(&hook->door, "}\n");
    if (!has_prefix) bw_hook_note(hook, match, "if the sender writes %s= in front of the signature, add  prefix: \"%s=\"  to options", hash, hash);
}

/* Where a scheme finds it. A body is JSON or a form, and a scheme reads one of them: fields whose text is parsed are those of a form. */
static void append_place(struct bw_hook *hook, struct bw_buf *out, const struct bw_yaml_node *match, const char *source, const char *name)
{
    struct bw_buf place = {0};
    bool is_form = bw_yaml_get(hook->node, "parse-parameters-as-json") != NULL;
    if (strcmp(source, "payload") != 0) {
        bw_buf_printf(&place, "query:%s", name);
    } else if (is_form) {
        bw_buf_printf(&place, "form:%s", name);
        bw_hook_note(hook, match, "the token is looked for in a form; where the body is JSON, write json:/%s into the scheme", name);
    } else {
        bw_buf_append_text(&place, "json:/");
        for (const char *at = name; *at; at++) bw_buf_append_char(&place, *at == '.' ? '/' : *at);
        bw_hook_note(hook, match, "the token is looked for in JSON; where the body is a form, write form:%s into the scheme", name);
    }
    bw_hooks_append_quoted(out, bw_buf_slice(&place));
    bw_buf_free(&place);
}

/* A token is compared by a scheme of its own where it does not come in a header. */
static void take_token(struct bw_hook *hook, const struct bw_yaml_node *match)
{
    const struct bw_yaml_node *parameter = bw_yaml_get(match, "parameter");
    const char *source = bw_hook_text(parameter, "source", ""), *name = bw_hook_text(parameter, "name", "");
    bool is_header = !strcmp(source, "header"), is_payload = !strcmp(source, "payload");
    struct bw_buf path = {0};
    if (is_header)
        bw_buf_append_text(&hook->door, "    verify: static-header\n");
    else
        bw_buf_printf(&hook->door, "    verify: hook-%s\n", hook->name);
    append_secret(hook, match, "token", "value");
    if (is_header) {
        bw_buf_append_text(&hook->door, "    options: {header: ");
        bw_hooks_append_quoted(&hook->door, bw_slice_of(name));
        bw_buf_append_text(&hook->door, "}\n");
        return;
    }
    bw_buf_printf(&path, "schemes/hook-%s.yaml", hook->name);
    struct bw_buf *scheme = bw_made_add_file(&hook->state->out->made, bw_buf_take(&path, NULL), false);
    if (!scheme) return;
    bw_buf_printf(scheme, "doc: A fixed token in the %s (nothing is signed)\nalg: equal\nkey: {secret: token}\n%ssig: {enc: utf8, from: ",
                  is_payload ? "body" : "URL", is_payload ? "" : "empty_body: accept\n");
    append_place(hook, scheme, match, source, name);
    bw_buf_append_text(scheme, "}\n");
}

/* "192.168.0.1/24" is the network here: webhook takes it for that as well. An address of IPv6 without a length is one address, where webhook
 * takes it for a /32. */
static void take_allow(struct bw_hook *hook, const struct bw_yaml_node *match)
{
    const char *at = bw_hook_text(match, "ip-range", "");
    const char *comma = "";
    bw_buf_append_text(&hook->door, "    allow: [");
    while (*(at += strspn(at, " \t\n"))) {
        struct bw_slice text = {at, strcspn(at, " \t\n")};
        struct bw_net_range range;
        struct bw_buf address = {0};
        enum bw_net_fault fault = bw_net_range_parse(text, &range);
        if (fault == BW_NET_NO_ADDRESS || bw_slice_is(text, "unix"))
            bw_hook_close(hook, match, "'%.*s' is no address or network", (int)text.len, text.ptr);
        bw_net_range_append(&address, &range);
        bw_buf_append_text(&hook->door, comma);
        if (fault == BW_NET_GOOD)
            bw_hooks_append_quoted(&hook->door, text);
        else
            bw_hooks_append_quoted(&hook->door, bw_buf_slice(&address));
        bw_buf_free(&address);
        comma = ", ";
        at += text.len;
    }
    bw_buf_append_text(&hook->door, "]\n");
    if (!*comma) bw_hook_close(hook, match, "ip-range names no address: nobody could send");
}

/* ---- the condition ---- */

static bool append_is_so(struct bw_hook *hook, struct bw_buf *out, const struct bw_yaml_node *rule, bool is_within_and);

/* A number or a truth may come as such or as a text; anything else only as a text. */
static bool may_be_no_text(const char *value)
{
    return !strcmp(value, "true") || !strcmp(value, "false") || (*value && !value[strspn(value, "+-.0123456789eE")]);
}

static void append_equals(struct bw_buf *out, struct bw_buf *value, const char *expected)
{
    bw_buf_printf(out, may_be_no_text(expected) ? "fmt('%%s', %s) == " : "%s == ", value->data ? value->data : "");
    bw_hooks_append_lua(out, bw_slice_of(expected));
}

static bool append_match(struct bw_hook *hook, struct bw_buf *out, const struct bw_yaml_node *match)
{
    const struct bw_yaml_node *parameter = bw_yaml_get(match, "parameter");
    const char *type = type_of(match), *expected = bw_hook_text(match, "value", ""), *why = NULL;
    bool is_value = !strcmp(type, "value"), is_regex = !strcmp(type, "regex"), good = false;
    struct bw_buf value = {0};
    if (!is_value && !is_regex)
        bw_hook_close(hook, match, "%s%.40s cannot be one of several conditions", *type ? "" : "a match without a type", type);
    else if (is_token(match) && strcmp(bw_hook_text(parameter, "source", ""), "payload") == 0)
        bw_hook_close(hook, match, "a secret as one of several conditions would stand in the workflow for all to read");
    else if (bw_hooks_has_placeholder(expected))
        bw_hook_close(hook, match, "a template is filled in within `secret` only, or where the value is the token that proves the sender");
    else if (!bw_hook_append_value(hook, &value, parameter, &why))
        bw_hook_close(hook, match, "%s.%s cannot be looked at: %s", bw_hook_text(parameter, "source", "?"), bw_hook_text(parameter, "name", "?"),
                      why);
    else if (is_regex && !bw_hooks_append_regex(out, value.data, bw_hook_text(match, "regex", "")))
        bw_hook_close(hook, match, "Lua has no pattern for the regular expression %.200s", bw_hook_text(match, "regex", ""));
    else
        good = true;
    if (good && is_value) append_equals(out, &value, expected);
    if (value.failed) out->failed = true;
    bw_buf_free(&value);
    return good;
}

static bool append_joined(struct bw_hook *hook, struct bw_buf *out, const struct bw_yaml_node *list, bool is_and)
{
    bool good = list->kind == BW_YAML_LIST;
    if (!good) bw_hook_close(hook, list, "%s must be a list of rules", is_and ? "and" : "or");
    bw_buf_append_text(out, "(");
    if (good && !list->count) bw_buf_append_text(out, is_and ? "true" : "false");
    for (size_t i = 0; good && i < list->count; i++) {
        if (i) bw_buf_append_text(out, is_and ? " and " : " or ");
        good = append_is_so(hook, out, list->items[i], is_and);
    }
    bw_buf_append_text(out, ")");
    return good;
}

/* Could it be judged? Only asked within a `not`. */
static bool append_is_known(struct bw_hook *hook, struct bw_buf *out, const struct bw_yaml_node *rule)
{
    const struct bw_yaml_node *inner;
    const char *why;
    enum rule_kind kind = kind_of(rule, &inner);
    if (kind == RULE_NOT) return append_is_known(hook, out, inner);
    if (kind != RULE_MATCH) { /* an `or` swallows it; what an `and` makes of it depends on what stands before */
        if (kind == RULE_AND)
            bw_hook_close(hook, inner, "`and` within `not` within `and` cannot be said: webhook makes false of it when a value is missing");
        bw_buf_append_text(out, "true");
        return kind != RULE_AND;
    }
    if (!bw_hook_append_value(hook, out, bw_yaml_get(inner, "parameter"), &why)) return false; /* told when it was judged */
    bw_buf_append_text(out, " ~= nil");
    return true;
}

static bool append_is_so(struct bw_hook *hook, struct bw_buf *out, const struct bw_yaml_node *rule, bool is_within_and)
{
    const struct bw_yaml_node *inner;
    bool good;
    switch (kind_of(rule, &inner)) {
    case RULE_AND: return append_joined(hook, out, inner, true);
    case RULE_OR: return append_joined(hook, out, inner, false);
    case RULE_MATCH: return append_match(hook, out, inner);
    case RULE_NOT:
        bw_buf_append_text(out, "(not (");
        good = append_is_so(hook, out, inner, false);
        bw_buf_append_char(out, ')');
        if (good && is_within_and) {
            bw_buf_append_text(out, " and ");
            good = append_is_known(hook, out, inner);
        }
        bw_buf_append_text(out, ")");
        return good;
    default: bw_buf_append_text(out, "false"); return true; /* so does webhook */
    }
}

static void add_condition(struct bw_hook *hook, const struct bw_yaml_node *rule, bool is_whole)
{
    if (hook->condition.len) bw_buf_append_text(&hook->condition, " and ");
    append_is_so(hook, &hook->condition, rule, !is_whole);
}

/* Each of those that must hold: to the door, if that has not one of its kind yet. */
static void take(struct bw_hook *hook, const struct bw_yaml_node *rule, struct door *door, bool is_whole)
{
    const struct bw_yaml_node *inner;
    enum rule_kind kind = kind_of(rule, &inner);
    bool is_match = kind == RULE_MATCH;
    if (kind == RULE_AND && inner->kind == BW_YAML_LIST) {
        for (size_t i = 0; i < inner->count; i++) take(hook, inner->items[i], door, false);
    } else if (is_match && hash_of(inner) && !door->signature) {
        door->signature = inner;
    } else if (is_match && !strcmp(type_of(inner), "ip-whitelist") && !door->allow) {
        door->allow = inner;
    } else if (is_match && is_token(inner) && !door->token) {
        door->token = inner;
    } else {
        add_condition(hook, rule, is_whole);
    }
}

void bw_hook_take_rule(struct bw_hook *hook, const struct bw_yaml_node *rule)
{
    struct door door = {0};
    if (rule && rule->kind != BW_YAML_NULL) take(hook, rule, &door, true);
    if (door.signature) {
        take_signature(hook, door.signature);
        /* One proof is what a door can ask for. */
        if (door.token) bw_hook_close(hook, door.token, "a signature and a token, both of them, cannot be asked for");
    } else if (door.token) {
        take_token(hook, door.token);
    } else {
        bw_buf_append_text(&hook->door, "    verify: none # as it was: anybody may send who knows the path\n");
    }
    if (door.allow) take_allow(hook, door.allow);
}
