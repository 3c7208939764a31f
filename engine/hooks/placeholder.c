#include "base/utf8.h"
#include "hooks/internal.h"
#include <ctype.h>
#include <string.h>

/* "@@e:NAME@@@@": as long as what it stands for, so that all places are right. No text of a hook begins so by itself. */
#define MARK "@@"
#define MARK_HEAD 4 /* MARK, the kind, a colon */

struct kind {
    const char *name;
    char letter;
};
static const struct kind kinds[] = {{"getenv", 'e'}, {"cat", 'f'}, {"credential", 'c'}};

static struct bw_slice trimmed(struct bw_slice text)
{
    while (text.len && isspace((unsigned char)*text.ptr)) text.ptr++, text.len--;
    while (text.len && isspace((unsigned char)text.ptr[text.len - 1])) text.len--;
    return text;
}

static bool is_variable(struct bw_slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] != '_' && (!isascii((unsigned char)name.ptr[i]) || !isalnum((unsigned char)name.ptr[i]))) return false;
    return name.len && !isdigit((unsigned char)*name.ptr);
}

/* `getenv "NAME" | js`: what is quoted, and which function. */
static const struct kind *read_call(struct bw_slice inner, struct bw_slice *argument)
{
    inner = trimmed(inner);
    if (inner.len > 2 && inner.ptr[0] == '-') inner = trimmed((struct bw_slice){inner.ptr + 1, inner.len - 1});
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t len = strlen(kinds[i].name);
        if (inner.len <= len || strncmp(inner.ptr, kinds[i].name, len) != 0) continue;
        struct bw_slice rest = trimmed((struct bw_slice){inner.ptr + len, inner.len - len});
        const char *end = rest.len > 1 && (*rest.ptr == '"' || *rest.ptr == '`') ? memchr(rest.ptr + 1, *rest.ptr, rest.len - 1) : NULL;
        if (!end) return NULL;
        *argument = (struct bw_slice){rest.ptr + 1, (size_t)(end - rest.ptr) - 1};
        struct bw_slice pipe = trimmed((struct bw_slice){end + 1, rest.len - argument->len - 2});
        bool is_plain = !pipe.len || (*pipe.ptr == '|' && bw_slice_is(trimmed((struct bw_slice){pipe.ptr + 1, pipe.len - 1}), "js"));
        bool is_name = kinds[i].letter == 'f' ? !memchr(argument->ptr, '@', argument->len) && !memchr(argument->ptr, '\\', argument->len)
                                              : is_variable(*argument);
        return is_plain && argument->len && is_name ? &kinds[i] : NULL;
    }
    return NULL;
}

static bool refuse(struct bw_slice text, size_t at, const char *file, struct bw_error *err)
{
    int line = 1, column = 1;
    size_t i = text.len >= 3 && !memcmp(text.ptr, "\xEF\xBB\xBF", 3) ? 3 : 0, len;
    while (i < at) { /* lines and characters as base/yaml.h counts them */
        bool is_break = (len = bw_yaml_break(text.ptr + i, text.ptr + text.len)) > 0;
        if (!is_break && !(len = bw_utf8_length(text.ptr + i, text.len - i))) len = 1;
        line += is_break;
        column = is_break ? 1 : column + 1;
        i += len;
    }
    bw_error_set(err, "hooks.template",
                 "only {{ getenv \"NAME\" }}, {{ cat \"FILE\" }} and {{ credential \"NAME\" }} can be taken over from a template");
    bw_error_hint(err, "write what it stands for in its place, and import that");
    bw_error_at(err, file, line, column);
    return false;
}

bool bw_hooks_mark_placeholders(struct bw_slice text, const char *file, struct bw_buf *out, struct bw_error *err)
{
    size_t done = 0;
    for (size_t at = 0; at + 1 < text.len; at++) {
        struct bw_slice argument;
        if (text.ptr[at] != '{' || text.ptr[at + 1] != '{') continue;
        const char *end = memmem(text.ptr + at, text.len - at, "}}", 2);
        size_t len = end ? (size_t)(end - text.ptr) + 2 - at : 0;
        const struct kind *kind = end ? read_call((struct bw_slice){text.ptr + at + 2, len - 4}, &argument) : NULL;
        if (!kind) return refuse(text, at, file, err);
        bw_buf_append(out, text.ptr + done, at - done);
        bw_buf_printf(out, MARK "%c:%.*s", kind->letter, (int)argument.len, argument.ptr);
        for (size_t i = MARK_HEAD + argument.len; i < len; i++) bw_buf_append_char(out, '@');
        done = at + len;
        at = done - 1;
    }
    bw_buf_append(out, text.ptr + done, text.len - done);
    return !out->failed || bw_error_set(err, "memory", "out of memory");
}

bool bw_hooks_looks_like_template(struct bw_slice text)
{
    struct bw_slice ignored;
    for (const char *at = text.ptr; (at = memmem(at, text.len - (size_t)(at - text.ptr), "{{", 2)); at += 2) {
        const char *end = memmem(at, text.len - (size_t)(at - text.ptr), "}}", 2);
        if (end && read_call((struct bw_slice){at + 2, (size_t)(end - at) - 2}, &ignored)) return true;
    }
    return false;
}

bool bw_hooks_has_placeholder(const char *text)
{
    for (const char *at = strstr(text, MARK); at; at = strstr(at + 1, MARK))
        if (at[2] && at[3] == ':' && strchr("efc", at[2])) return true;
    return false;
}

bool bw_hooks_append_placeholder(struct bw_buf *out, const char *text)
{
    size_t len = strlen(text);
    if (strncmp(text, MARK, 2) != 0 || !bw_hooks_has_placeholder(text)) return false;
    struct bw_slice name = {text + MARK_HEAD, strcspn(text + MARK_HEAD, "@")};
    if (MARK_HEAD + name.len + strspn(text + MARK_HEAD + name.len, "@") != len) return false; /* there is more than the mark */
    if (text[2] == 'e') bw_buf_printf(out, "{env: %.*s}", (int)name.len, name.ptr);
    if (text[2] == 'f') {
        bw_buf_append_text(out, "{file: ");
        bw_hooks_append_quoted(out, name);
        bw_buf_append_char(out, '}');
    }
    if (text[2] == 'c') bw_buf_printf(out, "{env: %.*s}", (int)name.len, name.ptr); /* as webhook does it without systemd */
    return true;
}
