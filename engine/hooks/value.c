#include "base/utf8.h"
#include "hooks/internal.h"
#include <ctype.h>
#include <string.h>

static bool is_word(struct bw_slice text)
{
    static const char *const reserved[] = {"and", "break", "do",  "else", "elseif", "end",    "false",  "for",  "function", "goto",  "if",
                                           "in",  "local", "nil", "not",  "or",     "repeat", "return", "then", "true",     "until", "while"};
    if (!text.len || isdigit((unsigned char)*text.ptr)) return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] != '_' && (!isascii((unsigned char)text.ptr[i]) || !isalnum((unsigned char)text.ptr[i]))) return false;
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (bw_slice_is(text, reserved[i])) return false;
    return true;
}

void bw_hooks_append_lua(struct bw_buf *out, struct bw_slice text)
{
    bw_buf_append_char(out, '\'');
    for (size_t i = 0, len; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c >= 0x80 && (len = bw_utf8_length(text.ptr + i, text.len - i))) {
            bw_buf_append(out, text.ptr + i, len);
            i += len - 1;
            continue;
        }
        bool is_second = i && (c == '{' || c == '}') && text.ptr[i - 1] == (char)c;
        if (c == '\'' || c == '\\')
            bw_buf_printf(out, "\\%c", c);
        else if (c < ' ' || c >= 0x7f || is_second)
            bw_buf_printf(out, "\\%03u", c);
        else
            bw_buf_append_char(out, (char)c);
    }
    bw_buf_append_char(out, '\'');
}

size_t bw_hooks_character(struct bw_slice text, bool *is_plain)
{
    const unsigned char *at = (const unsigned char *)text.ptr;
    size_t len = bw_utf8_length(text.ptr, text.len);
    bool is_control = len == 1 ? *at < ' ' || *at == 0x7f : len == 2 && *at == 0xC2 && at[1] < 0xA0;
    bool is_break = len == 3 && *at == 0xE2 && at[1] == 0x80 && (at[2] == 0xA8 || at[2] == 0xA9);
    bool is_none = len == 3 && *at == 0xEF && ((at[1] == 0xBB && at[2] == 0xBF) || (at[1] == 0xBF && at[2] > 0xBD));
    *is_plain = len && !is_control && !is_break && !is_none;
    return len ? len : 1;
}

void bw_hooks_append_quoted(struct bw_buf *out, struct bw_slice text)
{
    bw_buf_append_char(out, '"');
    while (text.len) {
        bool is_plain;
        size_t len = bw_hooks_character(text, &is_plain);
        const unsigned char *at = (const unsigned char *)text.ptr;
        if (*at == '"' || *at == '\\')
            bw_buf_printf(out, "\\%c", *at);
        else if (is_plain)
            bw_buf_append(out, at, len);
        else if (len == 3)
            bw_buf_printf(out, "\\u%04X", (*at & 0xFu) << 12 | (at[1] & 0x3Fu) << 6 | (at[2] & 0x3Fu));
        else
            bw_buf_printf(out, "\\x%02X", len == 2 ? at[1] : *at); /* U+0080 to U+009F end with their number */
        text = (struct bw_slice){text.ptr + len, text.len - len};
    }
    bw_buf_append_char(out, '"');
}

void bw_hooks_append_yaml(struct bw_buf *out, struct bw_slice text)
{
    struct bw_buf quoted = {0};
    if (memmem(text.ptr, text.len, "${{", 3)) {
        bw_buf_append_text(&quoted, "${{ ");
        bw_hooks_append_lua(&quoted, text);
        bw_buf_append_text(&quoted, " }}");
        text = bw_buf_slice(&quoted);
    }
    bw_hooks_append_quoted(out, text);
    if (quoted.failed) out->failed = true;
    bw_buf_free(&quoted);
}

/* "commits.0.id" → ".commits[1].id" */
static void append_path(struct bw_buf *out, const char *path)
{
    while (*path) {
        struct bw_slice part = {path, strcspn(path, ".")};
        bool is_number = part.len > 0 && part.len < 9;
        long number = 0;
        for (size_t i = 0; i < part.len && is_number; i++) {
            is_number = isdigit((unsigned char)part.ptr[i]);
            number = number * 10 + part.ptr[i] - '0';
        }
        if (is_number)
            bw_buf_printf(out, "[%ld]", number + 1); /* lists begin with 1 here */
        else if (is_word(part))
            bw_buf_printf(out, ".%.*s", (int)part.len, part.ptr);
        else {
            bw_buf_append_char(out, '[');
            bw_hooks_append_lua(out, part);
            bw_buf_append_char(out, ']');
        }
        path += part.len + (path[part.len] == '.');
    }
}

/* A field that holds JSON as a text (parse-parameters-as-json), of which this name is a part: its name's length. */
static size_t parsed_length(const struct bw_hook *hook, const char *source, const char *name)
{
    const struct bw_yaml_node *parsed = bw_yaml_get(hook->node, "parse-parameters-as-json");
    for (size_t i = 0; parsed && parsed->kind == BW_YAML_LIST && i < parsed->count; i++) {
        const char *field = bw_hook_text(parsed->items[i], "name", "");
        size_t len = strlen(field);
        if (!strcmp(bw_hook_text(parsed->items[i], "source", ""), source) && len && !strncmp(name, field, len) && name[len] == '.') return len;
    }
    return 0;
}

static void append_payload(const struct bw_hook *hook, struct bw_buf *out, const char *name)
{
    size_t parsed = parsed_length(hook, "payload", name);
    char field[512];
    if (!parsed || parsed >= sizeof field) {
        bw_buf_append_text(out, "event.data");
        append_path(out, name);
        return;
    }
    snprintf(field, sizeof field, "%.*s", (int)parsed, name);
    bw_buf_append_text(out, "parse(default(event.data");
    append_path(out, field);
    bw_buf_append_text(out, ", '{}'))");
    append_path(out, name + parsed + 1);
}

static bool append_header(const struct bw_hook *hook, struct bw_buf *out, const char *name, const char **why)
{
    char low[256];
    size_t len = strlen(name);
    if (len >= sizeof low || !hook->state->options->is_header_kept(bw_slice_of(name))) {
        *why = "a header that may prove something is not kept with an event";
        return false;
    }
    for (size_t i = 0; i <= len; i++) low[i] = (char)tolower((unsigned char)name[i]);
    bw_buf_append_text(out, "event.headers[");
    bw_hooks_append_lua(out, bw_slice_of(low));
    bw_buf_append_char(out, ']');
    return true;
}

bool bw_hook_append_value(struct bw_hook *hook, struct bw_buf *out, const struct bw_yaml_node *argument, const char **why)
{
    const char *source = bw_hook_text(argument, "source", ""), *name = bw_hook_text(argument, "name", "");
    bool is_entire = !strcmp(source, "entire-payload") || !strcmp(source, "raw-request-body") || !strcmp(source, "entire-headers");
    *why = "no such source of a value is known";
    if (bw_hooks_has_placeholder(name)) {
        *why = "a template is filled in within `secret` only";
        return false;
    }
    if (is_entire) {
        bw_buf_append_text(out, !strcmp(source, "entire-headers") ? "json(event.headers)" : "json(event.data)");
        return true;
    }
    if (!strcmp(source, "string")) {
        bw_hooks_append_lua(out, bw_slice_of(name));
        return true;
    }
    if (!strcmp(source, "payload") && *name) {
        append_payload(hook, out, name);
        return true;
    }
    if (!strcmp(source, "header") && *name) return append_header(hook, out, name, why);
    if (!strcmp(source, "request") && !strcmp(name, "method")) {
        bw_buf_append_text(out, "'POST'"); /* nothing else comes in */
        return true;
    }
    if (!strcmp(source, "url") || !strcmp(source, "query") || !strcmp(source, "entire-query")) *why = "an event has no query of its URL";
    if (!strcmp(source, "request")) *why = "an event does not have its sender's address";
    return false;
}

bool bw_hook_append_argument(struct bw_hook *hook, struct bw_buf *out, const struct bw_yaml_node *argument, const char *otherwise, const char **why)
{
    const char *source = bw_hook_text(argument, "source", ""), *name = bw_hook_text(argument, "name", "");
    struct bw_buf value = {0}, text = {0};
    bool is_literal = !strcmp(source, "string") && !bw_hooks_has_placeholder(name),
         may_be_nil = !strcmp(source, "payload") || !strcmp(source, "header");
    bool good = is_literal || bw_hook_append_value(hook, &value, argument, why);
    if (is_literal) {
        bw_hooks_append_yaml(out, bw_slice_of(name));
    } else if (good) {
        bool has_default = otherwise && may_be_nil;
        bw_buf_append_text(&text, has_default ? "${{ default(" : "${{ ");
        bw_buf_append_slice(&text, bw_buf_slice(&value));
        if (has_default) bw_buf_printf(&text, ", '%s')", otherwise);
        bw_buf_append_text(&text, " }}");
        bw_hooks_append_quoted(out, bw_buf_slice(&text));
    }
    if (value.failed || text.failed) out->failed = true;
    bw_buf_free(&value);
    bw_buf_free(&text);
    return good;
}
